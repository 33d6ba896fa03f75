"""Copies on this machine: bounded, whole or absent, made once, and never taken from under their user."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmidd.errors import UsageError, WorkError
from mmidd.raw import cache as room
from mmidd.raw.cache import Cache

KB = 1000


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "remote", 800 * KB)


def name(number: int) -> str:
    return f"{number:032x}.bin"


def put(cache: Cache, number: int, size: int = 100 * KB) -> room.Copy:
    return cache.copy(name(number), size, lambda: [bytes([number]) * size])


def kept(cache: Cache) -> set[str]:
    return {path.name for path in cache.folder.rglob("*.bin")}


def test_a_copy_is_made_once_and_holds_the_bytes(cache: Cache) -> None:
    made: list[int] = []

    def pieces() -> Iterator[bytes]:
        made.append(1)
        time.sleep(0.05)
        yield from (b"ab", b"c")

    with ThreadPoolExecutor(6) as pool:
        copies = list(pool.map(lambda _: cache.copy(name(1), 3, pieces), range(6)))
    assert {copy.path.read_bytes() for copy in copies} == {b"abc"} and made == [1]


def test_the_least_recently_used_go_and_the_limit_holds(cache: Cache) -> None:
    for number in range(6):
        put(cache, number)
        (kept_at,) = cache.folder.rglob(name(number))
        os.utime(kept_at, (number, number))
    put(cache, 0)  # used again
    for number in range(6, 9):
        put(cache, number)
        sizes = sum(path.stat().st_size for path in cache.folder.rglob("*.bin"))
        assert sizes <= cache.limit
    assert name(0) in kept(cache) and name(1) not in kept(cache) and name(8) in kept(cache)


def test_a_copy_in_use_stays_whatever_comes(cache: Cache) -> None:
    held = put(cache, 1)
    for number in range(2, 30):
        put(cache, number)
    assert held.path.read_bytes() == b"\1" * 100 * KB
    path = held.path
    del held
    os.utime(path, (1, 1))
    put(cache, 30)
    put(cache, 31)
    assert not path.exists()


def test_one_that_is_larger_than_the_limit_is_had_all_the_same(cache: Cache) -> None:
    assert put(cache, 1, 900 * KB).path.stat().st_size == 900 * KB
    put(cache, 2)
    assert kept(cache) == {name(2)}


@pytest.mark.parametrize("size", [0, 99])
def test_a_copy_of_another_size_is_made_anew(cache: Cache, size: int) -> None:
    put(cache, 1).path.write_bytes(b"x" * size)
    assert put(cache, 1).path.read_bytes() == b"\1" * 100 * KB


def test_what_fails_or_is_killed_half_way_leaves_nothing_under_its_name(cache: Cache) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"half"
        raise WorkError("gone")

    with pytest.raises(WorkError, match="gone"):
        cache.copy(name(1), 8, breaks)
    code = (
        "import os, pathlib; from mmidd.raw.cache import Cache\n"
        "def pieces():\n  yield b'half'\n  os.kill(os.getpid(), 9)\n"
        f"Cache(pathlib.Path({str(cache.folder)!r}), {cache.limit}).copy({name(1)!r}, 8, pieces)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert kept(cache) == set() and len(list(cache.folder.rglob("*.tmp"))) == 1
    assert put(cache, 1).path.exists() and not list(cache.folder.rglob("*.tmp"))


def test_a_full_disk_stops_the_build_by_name(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMIDD_FAULT", f"fetched:1:ENOSPC:{tmp_path / 'tally'}")
    with pytest.raises(WorkError, match="the disk is full"):
        put(cache, 1)
    assert kept(cache) == set() and not list(cache.folder.rglob("*.tmp"))


def test_it_leaves_half_of_what_is_free(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 200 * KB}))
    for number in range(5):
        put(cache, number)
        room._left.clear()
    assert len(kept(cache)) <= 2


def test_a_file_system_without_locks_is_told(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(WorkError, match="MMIDD_CACHE=FOLDER"):
        put(cache, 1)


def test_gc_hears_of_what_nobody_uses_and_of_other_machines_once_it_is_old(cache: Cache) -> None:
    held, free = put(cache, 1), put(cache, 2).path
    young, old = (cache.folder / "another" / "000" / name(number) for number in (3, 4))
    for path in (young, old):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    os.utime(old, (1, 1))
    assert sorted(cache.unused()) == sorted([free, old])
    assert held.path.exists() and free.exists()


@pytest.mark.parametrize("said", ["", "0", "-1", "nan", "inf", "lots"])
def test_a_size_that_is_none_is_refused(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMIDD_CACHE_GB", said)
    with pytest.raises(UsageError, match="MMIDD_CACHE_GB"):
        Cache.of(tmp_path)


def test_place_and_size_are_said_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Cache.of(tmp_path) == Cache(tmp_path / "remote", 20 * 10**9)
    monkeypatch.setenv("MMIDD_CACHE_GB", "0.5")
    monkeypatch.setenv("MMIDD_CACHE", str(tmp_path / "scratch"))
    assert Cache.of(tmp_path) == Cache(tmp_path / "scratch", 500_000_000)
