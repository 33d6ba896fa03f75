"""Faults happen where, when and as often as ordered."""

from __future__ import annotations

import http.client
import time
from pathlib import Path

import pytest

from .server import Hub


def get(hub: Hub, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """Raises what a client meets when the connection ends early."""
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Bearer {hub.token}", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


FILE = "/datasets/lab/x/resolve/main/a.txt"


@pytest.fixture
def filled(hub: Hub) -> Hub:
    hub.create("lab/x", private=True)
    hub.write("lab/x", {"a.txt": b"0123456789"})
    return hub


def test_so_many_times_and_no_more(filled: Hub) -> None:
    fault = filled.fault("resolve", status=429, retry_after=7, times=2, skip=1)
    answers = [get(filled, FILE) for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 429, 429, 200] and fault.met == 2
    assert (answers[1][2]["Retry-After"], answers[1][2]["RateLimit"]) == ("7", '"api";r=0;t=7')
    assert get(filled, "/api/whoami-v2")[0] == 200


def test_only_where_the_path_fits(filled: Hub) -> None:
    filled.fault("resolve", path="b.txt", status=500)
    assert get(filled, FILE)[0] == 200


@pytest.mark.parametrize(
    ("drop", "error"),
    (
        ("before", http.client.RemoteDisconnected),
        ("after", http.client.RemoteDisconnected),
        ("middle", http.client.IncompleteRead),
    ),
)
def test_connections_end(drop: str, error: type[Exception], filled: Hub) -> None:
    filled.fault("resolve", drop=drop)
    with pytest.raises(error):
        get(filled, FILE)
    assert get(filled, FILE)[1] == b"0123456789"


def test_other_bytes_are_served_once(filled: Hub) -> None:
    filled.fault("resolve", wrong=True)
    status, body, _ = get(filled, FILE)
    assert status == 200 and len(body) == 10 and body != b"0123456789"
    assert get(filled, FILE)[1] == b"0123456789"


def test_slow_and_somebody_else_in_between(filled: Hub) -> None:
    filled.fault("resolve", slow=0.2, before=lambda: filled.write("lab/x", {"a.txt": b"new"}))
    before = time.monotonic()
    assert get(filled, FILE)[1] == b"new" and time.monotonic() - before >= 0.2


def test_parts_of_a_file(filled: Hub) -> None:
    for asked, status, part in (("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=-3", 206, b"789"),
                                ("bytes=10-", 416, b""), ("bytes=0-99", 206, b"0123456789")):  # fmt: skip
        assert get(filled, FILE, Range=asked)[:2] == (status, part), asked


def test_a_large_file_is_elsewhere(filled: Hub, tmp_path: Path) -> None:
    filled.write("lab/x", {"a.parquet": b"large"})
    status, _, headers = get(filled, "/datasets/lab/x/resolve/main/a.parquet")
    place = headers["Location"].removeprefix(filled.store_url)
    assert status == 302 and headers["Location"].startswith("http://localhost")
    assert get(filled, place)[0] == 400  # a token has no business there
    assert get(filled, place.partition("?")[0], Authorization="")[0] == 403
    assert get(filled, place, Authorization="")[1] == b"large"
