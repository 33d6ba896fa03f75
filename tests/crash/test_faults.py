"""What a disk, a system or another user does to a build ends in a clear message, never in a wrong corpus."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmidd.engine.store import Store

from .conftest import Commands, Ground, Site

IMAGE = "CelebA/img_align_celeba/000001.jpg"
VIDEO = "FaceForensics++/original_sequences/youtube/c23/videos/003.mp4"
GO_ON = "run the same command to go on"


def built(site: Site, commands: Commands, *, fault: str | None = None, code: int = 0, more: tuple[str, ...] = ()) -> str:
    """What a build said that ended with this code."""
    site.log.unlink(missing_ok=True)
    ended = commands.run(site.building(0, *more), site.log, fault)
    assert ended == code and "Traceback" not in site.told(), site.told()
    return site.told()


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[None]:
    """A file system of its own at `place`; the test is skipped where none may be mounted."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *words, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_full_stops_the_build_which_goes_on_when_it_is_not(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    root = tmp_path / "disk"
    with mounted(root, "-t", "tmpfs", "-o", "size=300k", "tmpfs"):
        site = Site(root, ground.data)
        log = Site(tmp_path, ground.data).log
        assert commands.run(site.building(0), log) == 1
        assert "the disk is full" in log.read_text() and GO_ON in log.read_text() and "Traceback" not in log.read_text()
        assert not site.out.exists() and list((site.work / "tmp").glob("*")) == []
        subprocess.run(["mount", "-o", "remount,size=20m", str(root)], check=True)
        built(site, commands)
        assert site.digests() == ground.straight


POINTS = ("before_write@extract", "written@/data/extract/", "before_record@/records/extract/", "written@build.json",
          "digests", "shard_written", "before_swap")  # fmt: skip


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EROFS", "EIO"])
def test_a_disk_that_fails_at_any_point_is_one_clear_error(
    error: str, ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    for number, point in enumerate(POINTS):
        site = ground.place(tmp_path / f"place{number}", older=False)  # each stop commits what came back
        tally = tmp_path / f"tally{number}"
        told = built(site, commands, fault=f"{point}{'' if '@' in point else '@'}:1:{error}:{tally}", code=1)
        assert tally.exists() and "cannot write" in told and GO_ON in told, (point, told)
        assert list((site.work / "tmp").glob("*")) == [] and not site.out.exists()
    built(site, commands)
    assert site.digests() == ground.straight


def test_an_output_that_is_read_only_is_told_before_any_work(ground: Ground, commands: Commands, tmp_path: Path) -> None:
    root = tmp_path / "disk"
    with mounted(root, "-t", "tmpfs", "-o", "size=20m,ro", "tmpfs"):
        site, log = Site(root, ground.data), tmp_path / "log.txt"
        assert commands.run(site.building(0, "--work", str(tmp_path / "work")), log) == 1
        assert "the file system is read-only" in log.read_text() and "Traceback" not in log.read_text()
        assert not (tmp_path / "work").exists()


def test_a_work_folder_without_hard_links_or_folder_exchange_serves_as_well(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    site = ground.place(tmp_path / "place", older=True)
    built(site, commands, fault="link:*:EPERM;exchange:*:ENOSYS")
    assert site.digests() == ground.straight
    assert "(unchanged)" in built(site, commands)


def test_a_file_system_without_locks_is_told_and_the_build_goes_on(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    site = ground.place(tmp_path / "place", older=True)
    told = built(site, commands, fault="lock:*:ENOLCK")
    assert "this file system has no locks, so nothing keeps a second command out" in told
    assert site.digests() == ground.straight


def test_a_second_build_on_a_work_folder_is_refused_and_the_first_is_named(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    site, second = ground.place(tmp_path / "place", older=True), tmp_path / "second.txt"
    pid = commands.start(site.building(0), site.log, "caption@:1:hang:" + str(tmp_path / "tally"))
    try:
        _wait_for(tmp_path / "tally")
        more = Commands(commands.environment)
        assert more.run([*site.building(0), "--out", str(tmp_path / "other"), "--work", str(site.work)], second) == 1
        more.close()
    finally:
        os.kill(pid, signal.SIGKILL)
        commands.end()
    told = f"another mmidd command is writing {site.work}: process {pid} on {socket.gethostname()}, since 20"
    assert told in second.read_text()
    assert (site.work / "lock").exists()  # of a dead process: it is taken over
    built(site, commands)
    assert site.digests() == ground.straight and not (site.work / "lock").exists()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists()


def own_data(ground: Ground, root: Path) -> Site:
    """A place with raw data of its own, and no build yet."""
    shutil.copytree(ground.data, root / "data")
    shutil.copy(ground.recipe, root)
    (root / "place").mkdir()
    return Site(root / "place", root / "data")


def failed(site: Site, commands: Commands) -> dict[str, tuple[str, str, str, int]]:
    """What `failures` lists: stage, class, message, attempts by medium."""
    found = site.document(commands, "failures", str(site.work))
    return {each["media"]: (each["stage"], each["error"], each["message"], each["attempts"]) for each in found}


def test_a_file_that_vanishes_between_index_and_extract_fails_alone_until_it_is_back(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    site, media = own_data(ground, tmp_path), IMAGE.partition("/")[2]
    path = site.data / IMAGE
    told = built(site, commands, fault=f"index_done:1:unlink={path}:{tmp_path / 'tally'}", code=3)
    assert "9 media ok, 1 dropped, 1 failed" in told
    shutil.copy2(ground.data / IMAGE, path)  # the same size and time as when it was indexed
    assert failed(site, commands) == {media: ("extract", "UnreadableMedia", "cannot be read: No such file or directory", 1)}
    assert commands.run(["failures", str(site.work), "--retry"], site.log) == 0, site.told()
    assert failed(site, commands) == {} and site.digests() == ground.straight


def test_a_medium_that_may_not_be_read_fails_until_it_may(ground: Ground, commands: Commands, tmp_path: Path) -> None:
    site, media = own_data(ground, tmp_path), IMAGE.partition("/")[2]
    path = site.data / IMAGE
    path.chmod(0)

    def run(*words: str, code: int) -> str:
        log = tmp_path / "nobody.txt"
        log.unlink(missing_ok=True)
        log.touch()
        assert commands.run(words, log, powerless=True) == code, log.read_text()
        return log.read_text()

    run(*site.building(0), code=3)
    (stage, error, message, attempts) = failed(site, commands)[media]
    assert (stage, error, attempts) == ("extract", "UnreadableMedia", 1) and "Permission denied" in message
    assert "tried again: 1 media; 0 came out, 1 failed again" in run("failures", str(site.work), "--retry", code=3)
    path.chmod(0o644)  # neither size nor time change
    before = site.fresh()
    run(*site.building(0), code=0)
    assert site.fresh()["extract"] == before["extract"] + 1
    assert failed(site, commands) == {} and site.digests() == ground.straight


def test_a_retry_does_failed_media_only_and_refuses_where_there_is_more_to_do(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    site = ground.copy(tmp_path)
    shutil.copy(site.data / IMAGE, site.data / IMAGE.replace("000001", "000099"))
    before = site.fresh()
    assert commands.run(["failures", str(site.work), "--retry"], site.log) == 1
    assert (
        "not up to date (1 media to extract): run the build first" in site.told()
        and site.fresh()["extract"] == before["extract"]
    )


def test_a_medium_that_kills_every_worker_is_quarantined_and_the_others_go_on(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    site = ground.place(tmp_path / "place", older=False)
    assert commands.run(site.building(2), site.log, "decode@videos/003.mp4:*:kill") == 3, site.told()
    ((media, (stage, error, message, attempts)),) = failed(site, commands).items()
    assert (stage, error, attempts) == ("extract", "WorkerDied", 2) and "SIGKILL" in message and media.endswith("003.mp4")
    assert "10 media ok" in site.told() or "9 media ok" in site.told()
    assert commands.run(["failures", str(site.work), "--retry"], site.log) == 0, site.told()
    assert site.digests() == ground.straight and failed(site, commands) == {}


def test_a_worker_that_needs_too_much_memory_is_stopped_and_its_medium_charged(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    site = ground.place(tmp_path / "place", older=False)
    fault = "decode@videos/003.mp4:*:gorge"
    assert commands.run(site.building(2, "--worker-memory", "1.5"), site.log, fault) == 3, site.told()
    ((_, (stage, error, message, attempts)),) = failed(site, commands).items()
    assert (stage, error, attempts) == ("extract", "OutOfMemory", 2)
    assert message.startswith("its worker needed more than --worker-memory allows")


@pytest.mark.parametrize("when", [1, 2**31], ids=["1970", "2038"])
def test_a_clock_that_jumps_costs_reading_and_no_work(when: int, ground: Ground, commands: Commands, tmp_path: Path) -> None:
    site = ground.copy(tmp_path)
    for path in (*site.data.rglob("*"), *site.work.rglob("*")):
        os.utime(path, (when, when))
    before = site.fresh()
    assert "(unchanged)" in built(site, commands) and site.fresh() == before
    other = site.data / IMAGE.replace("000001", "000002")
    (site.data / IMAGE).write_bytes(other.read_bytes())
    os.utime(site.data / IMAGE, (when - 1, when - 1))  # another file that is older than the one before
    built(site, commands)
    assert site.fresh()["extract"] == before["extract"] + 1


def test_half_written_files_of_a_killed_build_are_cleared_by_the_next(
    ground: Ground, commands: Commands, tmp_path: Path
) -> None:
    site = ground.place(tmp_path / "place", older=True)
    built(site, commands, fault=f"written@/data/caption/:1:kill:{tmp_path / 'tally'}", code=-9)
    (left,) = (site.work / "tmp").iterdir()
    away = left.with_name(left.name.replace(left.name[:12], "0" * 12))
    shutil.copy(left, away)  # as of a process of another machine, which may live
    assert f"removed 1 half-written files of a killed command ({left.stat().st_size} bytes)" in built(site, commands)
    assert [path.name for path in (site.work / "tmp").iterdir()] == [away.name]
    with Store(site.work).held(lambda line: None):
        past = time.time() - 2 * 86400
        os.utime(away, (past, past))
    built(site, commands)
    assert list((site.work / "tmp").iterdir()) == []
