"""File systems as they are, and as they may be: read-only, full, without locks or links, with another clock."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmidd.doctor import disk

from .conftest import by_name

PARTS = ("space", "inodes", "writing", "locks", "hard links", "clock")


def test_a_folder_of_a_good_disk_is_well_in_every_way_and_left_as_it_was(tmp_path: Path) -> None:
    found = by_name(disk.folder("work", tmp_path / "not" / "yet", few=10**6))
    assert {name: each.state for name, each in found.items()} == {f"work: {part}": "ok" for part in PARTS}
    assert all(str(tmp_path) in each.found for each in found.values())
    assert list(tmp_path.iterdir()) == []


def test_of_places_that_hold_no_build_only_room_and_leave_to_write_count(tmp_path: Path) -> None:
    assert set(by_name(disk.folder("model cache", tmp_path))) == {f"model cache: {part}" for part in PARTS[:3]}


def _statvfs(**more: int) -> Callable[[pytest.MonkeyPatch], None]:
    real = {"f_bavail": 10**9, "f_frsize": 4096, "f_files": 10**7, "f_favail": 10**7, "f_flag": 0}
    return lambda patch: patch.setattr(os, "statvfs", lambda path: SimpleNamespace(**{**real, **more}))


def _raises(module: object, name: str, code: int) -> Callable[[pytest.MonkeyPatch], None]:
    def fail(*words: object) -> None:
        raise OSError(code, os.strerror(code))

    return lambda patch: patch.setattr(module, name, fail)


def _later(seconds: float) -> Callable[[pytest.MonkeyPatch], None]:
    real = time.time
    return lambda patch: patch.setattr(time, "time", lambda: real() + seconds)


FAULTS: list[tuple[Callable[[pytest.MonkeyPatch], None], str, str, str]] = [
    (_statvfs(f_bavail=100), "space", "problem", "0.0 GB free"),
    (_statvfs(f_bavail=500_000), "space", "warning", "2.0 GB free"),
    (_statvfs(f_favail=10), "inodes", "problem", "10 more files"),
    (_statvfs(f_favail=10_000), "inodes", "warning", "10,000 more files"),
    (_statvfs(f_flag=os.ST_RDONLY), "writing", "problem", "mounted read-only"),
    (_raises(os, "mkdir", errno.EACCES), "writing", "problem", "cannot be written: Permission denied"),
    (_raises(os, "mkdir", errno.EDQUOT), "writing", "problem", "cannot be written: Disk quota exceeded"),
    (_raises(fcntl, "flock", errno.ENOLCK), "locks", "warning", "has no locks"),
    (_raises(fcntl, "flock", errno.EIO), "locks", "warning", "gives no lock: Input/output error"),
    (lambda patch: patch.setattr(fcntl, "flock", lambda *words: None), "locks", "warning", "one lock to two"),
    (_raises(os, "link", errno.EPERM), "hard links", "note", "has no hard links"),
    (_later(7200), "clock", "warning", "7200 s behind"),
    (_later(-7200), "clock", "warning", "7200 s ahead of"),
]


@pytest.mark.parametrize(("fault", "part", "state", "told"), FAULTS)
def test_a_fault_of_a_disk_is_told_and_the_rest_is_looked_at(
    fault: Callable[[pytest.MonkeyPatch], None], part: str, state: str, told: str, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        found = by_name(disk.folder("work", tmp_path))
    assert found[f"work: {part}"].state == state and told in found[f"work: {part}"].found
    others = [each.state for name, each in found.items() if name != f"work: {part}"]
    assert set(others) <= {"ok"} and (part == "writing" or len(others) == len(PARTS) - 1)


def test_a_file_system_that_counts_no_inodes_is_no_full_one(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _statvfs(f_files=0, f_favail=0)(patch)
        assert "work: inodes" not in by_name(disk.folder("work", tmp_path))


def test_copies_need_locks(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _raises(fcntl, "flock", errno.ENOLCK)(patch)
        assert by_name(disk.folder("MMIDD_CACHE", tmp_path))["MMIDD_CACHE: locks"].state == "problem"


def test_a_place_where_nobody_can_write_is_a_problem_even_for_root() -> None:
    found = by_name(disk.folder("out", Path("/proc/self/fd/corpus")))
    assert found["out: writing"].state == "problem" and "another --out" in (found["out: writing"].advice or "")


def test_a_model_cache_that_cannot_be_written_is_but_a_warning() -> None:
    assert by_name(disk.folder("model cache", Path("/proc/self/x")))["model cache: writing"].state == "warning"


_MOUNT = """
set -e
mount -t tmpfs -o size={size},nr_inodes={files} none {at}
{more}
exec {python} -m mmidd doctor --work {at}/w --json
"""


@pytest.mark.parametrize(
    ("size", "files", "more", "part", "told"),
    [
        ("1m", 900, "", "space", "0.0 GB free"),
        ("200m", 900, "", "inodes", "more files fit"),
        ("200m", 10**6, "mount -o remount,ro {at}", "writing", "mounted read-only"),
    ],
)
def test_a_tiny_or_read_only_mount_is_a_problem(
    size: str, files: int, more: str, part: str, told: str, tmp_path: Path
) -> None:
    """A mount that only a process of this test sees, where the system lets anybody make one."""
    unshare = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*unshare, f"mount -t tmpfs none {tmp_path}"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no mounts of one's own here")
    script = _MOUNT.format(size=size, files=files, at=tmp_path, python=sys.executable, more=more.format(at=tmp_path))
    done = subprocess.run([*unshare, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 4, done.stderr
    problems = {c["name"]: c["found"] for c in json.loads(done.stdout)["checks"] if c["state"] == "problem"}
    assert told in problems[f"work: {part}"] and "tmpfs" in problems[f"work: {part}"]


def test_out_and_work_share_a_disk_or_do_not(tmp_path: Path) -> None:
    (same, *_) = disk.together(tmp_path / "corpus", tmp_path / "corpus.work")
    assert same.state == "ok" and "on one file system" in same.found
    (two, *kinds) = disk.together(tmp_path / "corpus", Path("/proc/self/work"))
    assert "on two file systems" in two.found and not [each for each in kinds if each.state == "problem"]


def test_memory_is_no_place_for_a_corpus() -> None:
    if disk._type_of(Path("/dev/shm")) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    found = by_name(disk.together(Path("/dev/shm/corpus"), Path("/dev/shm/work")))
    assert found["out: kind"].state == "warning" and "gone when the machine restarts" in found["work: kind"].found


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ("/dev/a / ext4 rw 0 0\nserver:/x {at} nfs4 rw 0 0\n", "nfs4"),
        ("/dev/a / ext4 rw 0 0\nx {at}/deeper nfs4 rw 0 0\n", "ext4"),
        ("none {at} tmpfs rw 0 0\n/dev/b {at} xfs rw 0 0\n", "xfs"),
        ("broken\n\n", "?"),
    ],
)
def test_the_kind_of_a_file_system_is_that_of_the_deepest_mount(table: str, kind: str, tmp_path: Path) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    (tmp_path / "mounts").write_text(table.format(at=str(place).replace(" ", "\\040")))
    assert disk._type_of(place, tmp_path / "mounts") == kind
    assert disk._type_of(place, tmp_path / "absent") == "?"


def test_places_are_those_that_a_build_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"MMIDD_CACHE": str(tmp_path / "copies")}
    found = disk.places(tmp_path / "corpus", tmp_path / "w", environ)
    assert list(found) == ["out", "work", "MMIDD_CACHE", "temporary files", "model cache"]
    assert found["out"]() == tmp_path.resolve() and found["MMIDD_CACHE"]() == tmp_path / "copies"
    assert list(disk.places(None, None, {})) == ["temporary files", "model cache"]


def test_a_place_that_cannot_be_named_is_a_problem_and_the_others_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    (tmp_path / "loop").symlink_to("loop")
    found = by_name(disk.disks(tmp_path / "loop" / "corpus", tmp_path, {}))
    assert found["temporary files"].state == "problem" and found["out"].state == "problem"
    assert found["work: writing"].state == "ok" and "model cache: writing" in found
