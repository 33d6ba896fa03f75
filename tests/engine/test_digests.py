"""The digest cache: an equal stat is trusted, a changed one is not, and a damaged cache costs reading only."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmidd.engine.digests import UNSTEADY, DigestCache, Known
from mmidd.errors import WorkError

KNOWN = Known(10, 1_700_000_000_123_456_789, "a" * 64)


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    cache = DigestCache(tmp_path / "digests")
    cache.put("set", [("a.png", KNOWN), ("b.png", Known(5, 7, "b" * 64))])
    return cache


def reopened(cache: DigestCache) -> DigestCache:
    return DigestCache(cache.folder)


def test_an_equal_stat_is_trusted_by_this_and_a_later_command(cache: DigestCache) -> None:
    for one in (cache, reopened(cache)):
        assert one.fresh("set", "a.png", 10, KNOWN.mtime_ns) == "a" * 64
        assert one.last("set", "a.png") == KNOWN


@pytest.mark.parametrize("size, mtime_ns", [(11, KNOWN.mtime_ns), (10, KNOWN.mtime_ns + 1), (10, 0)])
def test_a_changed_stat_is_not_trusted_but_known_to_have_changed(cache: DigestCache, size: int, mtime_ns: int) -> None:
    for one in (cache, reopened(cache)):
        assert one.fresh("set", "a.png", size, mtime_ns) is None
        assert one.last("set", "a.png") == KNOWN


def test_what_was_put_last_counts(cache: DigestCache) -> None:
    cache.put("set", [("a.png", Known(10, 9, "c" * 64))])
    for one in (cache, reopened(cache)):
        assert one.fresh("set", "a.png", 10, 9) == "c" * 64
        assert one.fresh("set", "a.png", 10, KNOWN.mtime_ns) is None
        assert one.fresh("set", "b.png", 5, 7) == "b" * 64


def test_nothing_is_known_of_other_files_and_datasets(cache: DigestCache) -> None:
    assert cache.fresh("set", "c.png", 10, 1) is None and cache.last("other", "a.png") is None
    cache.put("other", [])
    assert sorted(path.name for path in cache.folder.iterdir()) == ["set.jsonl"]


@pytest.mark.parametrize("dataset", ["FaceForensics++", "a/../../b", "ü b", ".."])
def test_any_name_of_a_dataset_stays_in_the_folder(tmp_path: Path, dataset: str) -> None:
    cache = DigestCache(tmp_path / "digests")
    cache.put(dataset, [("a\nb \udc00.png".encode("utf-8", "replace").decode(), KNOWN)])
    assert reopened(cache).last(dataset, "a\nb ?.png") == KNOWN
    assert [path.parent.name for path in tmp_path.rglob("*.jsonl")] == ["digests"]


def test_a_torn_last_line_costs_that_line_and_nothing_that_is_put_after_it(cache: DigestCache) -> None:
    path = cache.folder / "set.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    torn = reopened(cache)
    assert torn.last("set", "a.png") == KNOWN and torn.last("set", "b.png") is None
    torn.put("set", [("b.png", Known(6, 8, "d" * 64)), ("c.png", KNOWN)])
    after = reopened(cache)
    assert after.fresh("set", "b.png", 6, 8) == "d" * 64 and after.last("set", "c.png") == KNOWN


@pytest.mark.parametrize(
    "line",
    [b"garbage", b"\xff\xfe\x00", b"", b"[]", b"{}", b"7", b'["a.png", 1]', b'["a.png", "x", 1, "y"]', b"[" * 100_000,
     b'["a.png", 1e999, 1, "y"]', b'["a.png", null, 1, "y"]', b'["a.png", 10, 5, 7]', b'["a.png", 10, 5, "short"]'],
    ids=lambda line: line[:12].decode(errors="replace"),
)  # fmt: skip
def test_a_garbage_line_is_skipped(cache: DigestCache, line: bytes) -> None:
    path = cache.folder / "set.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes() + line + b"\n")
    assert reopened(cache).last("set", "a.png") == KNOWN
    assert reopened(cache).last("set", "b.png") == Known(5, 7, "b" * 64)


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "digests").touch()
    with pytest.raises(WorkError, match="cannot write"):
        DigestCache(tmp_path / "digests").put("set", [("a.png", KNOWN)])


def test_a_file_of_equal_size_and_time_that_changed_its_state_is_another(cache: DigestCache) -> None:
    cache.put("set", [("d.png", Known(10, 7, "d" * 64, 100))])
    for one in (cache, reopened(cache)):
        assert one.fresh("set", "d.png", 10, 7, 100) == "d" * 64
        assert one.fresh("set", "d.png", 10, 7, 101) is None
        assert one.last("set", "d.png") == Known(10, 7, "d" * 64, 100)
        assert one.fresh("set", "b.png", 5, 7, 101) == "b" * 64  # as older versions noted it


def test_what_changed_while_it_was_read_is_known_and_never_trusted(cache: DigestCache) -> None:
    cache.put("set", [("a.png", UNSTEADY)])
    for one in (cache, reopened(cache)):
        assert one.last("set", "a.png") == UNSTEADY
        assert one.fresh("set", "a.png", 10, KNOWN.mtime_ns, 5) is None
