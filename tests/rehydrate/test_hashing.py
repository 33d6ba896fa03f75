"""Digests of a user's files: each read once, kept on the way, and never of a file that changed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from mmidd.raw.bytes import MediaFile
from mmidd.share.rehydrate import hashing
from mmidd.share.rehydrate.finding import find
from mmidd.share.rehydrate.hashing import Digests
from mmidd.watch import Nobody
from rehydrate.folders import FILES, look, put, wanted, zipped


def files(root: Path, count: int) -> list[MediaFile]:
    put(root, {f"{number}": b"%d" % number for number in range(count)})
    found = []
    for number in range(count):
        about = (root / str(number)).stat()
        found.append(MediaFile(root, str(number), "video", about.st_size, about.st_mtime_ns, ctime_ns=about.st_ctime_ns))
    return found


class Kill(Nobody):
    """Interrupts at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def at(self, step: int, told: str) -> None:
        if step == self.step:
            raise KeyboardInterrupt


def test_what_was_read_before_an_interruption_is_not_read_again(tmp_path: Path) -> None:
    every = files(tmp_path / "data", 200)
    first = Digests(tmp_path / "work", tmp_path / "data")
    with pytest.raises(KeyboardInterrupt):
        first.learn(every, Kill(120))
    second = Digests(tmp_path / "work", tmp_path / "data")
    second.learn(every)
    assert first.files == 120 and second.files == 80
    assert [second.of(each) for each in every] == [hashlib.sha256(b"%d" % number).hexdigest() for number in range(200)]


def test_digests_are_kept_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a machine that stops leaves behind."""
    monkeypatch.setattr(hashing, "_KEEP_EVERY", 0.0)
    every = files(tmp_path / "data", 50)
    seen: list[int] = []

    class Look(Nobody):
        def at(self, step: int, told: str) -> None:
            again = Digests(tmp_path / "work", tmp_path / "data")
            seen.append(sum(again.of(each) is not None for each in every))

    Digests(tmp_path / "work", tmp_path / "data").learn(every, Look())
    assert seen == list(range(1, 51))


def test_a_file_that_is_not_as_it_was_listed_has_no_digest(tmp_path: Path) -> None:
    first, second, third = files(tmp_path / "data", 3)
    digests = Digests(tmp_path / "work", tmp_path / "data")
    (tmp_path / "data" / "2").unlink()
    digests.learn([first, replace(second, mtime_ns=1), third])
    assert digests.of(first) is not None and (digests.of(second), digests.of(third)) == (None, None)
    assert digests.faults["1"] == "it changed while it was read" and set(digests.faults) == {"1", "2"}


def test_a_member_of_an_archive_that_cannot_be_unpacked_is_a_fault_of_its_own(tmp_path: Path) -> None:
    (one, two) = FILES.values()
    packed = bytearray(zipped({"a": one, "b": two}))
    packed[packed.index(b"a", 30) + 3] ^= 0xFF  # in the first member's own bytes
    put(tmp_path / "data", {"x.zip": bytes(packed)})
    found = look(tmp_path, wanted("FaceForensics++", "m/1", one), wanted("FaceForensics++", "m/2", two))
    assert [each.wanted.name[1] for each in found.media] == ["m/2"]
    assert found.notes[0].startswith("1 file of a wanted size could not be read: x.zip/a (")


def test_a_data_root_that_moves_keeps_its_digests(tmp_path: Path) -> None:
    put(tmp_path / "data", {"mine/x": b"x"})
    one = wanted("FaceForensics++", "m/1", b"x")
    assert look(tmp_path, one).hashed[0] == 1
    (tmp_path / "data").rename(tmp_path / "moved")
    assert find([one], tmp_path / "moved", tmp_path / "work").hashed[0] == 0
