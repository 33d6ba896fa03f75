"""A medium that changes while it is read: nothing is kept of it, wherever it lies and whenever that is."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from raw.test_bytes import PACKS, extracted, root_in

from mmidd.engine.units import Item, Outcome, Resources, Task
from mmidd.errors import CHANGED, ChangedMedia
from mmidd.extraction.masks import MaskFile
from mmidd.media import Kind
from mmidd.raw import archives, listing, sources
from mmidd.raw.bytes import FilePart, MediaFile
from mmidd.raw.opened import Opened
from mmidd.recipe import read
from mmidd.stages import extract

FILES = {"video": "video/keep/a.mp4", "image": "image/keep/a.jpg", "frames": "frames/keep/clip/7.jpg"}
OTHER = {"frames": "frames/keep/clip/8.jpg"}


@dataclass(frozen=True)
class Pair:
    """Bytes of a medium, and others of the same length."""

    before: bytes
    after: bytes


@pytest.fixture(scope="module")
def pairs(sample_data: Path) -> dict[str, Pair]:
    """Two videos and two images, each pair of one length: as a copy that keeps size and time would have it."""
    films = [path.read_bytes() for path in sorted((sample_data / "DFDC").rglob("*.mp4"))[:2]]
    images = [path.read_bytes() for path in sorted((sample_data / "CelebA").rglob("*.jpg"))[:2]]
    long = max(map(len, films)) + 8
    films = [film + struct.pack(">I4s", long - len(film), b"free") + bytes(long - len(film) - 8) for film in films]
    images = [image.ljust(max(map(len, images)), b"\0") for image in images]
    return {"video": Pair(*films), "image": Pair(*images), "frames": Pair(*images)}


def renamed_over(path: Path, data: bytes) -> None:
    """Another file in the place of this one, with its size and its modification time."""
    about = path.stat()
    other = path.with_name("other")
    other.write_bytes(data)
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    other.replace(path)


def rewritten(path: Path, data: bytes) -> None:
    """Other bytes in the same file, whose modification time is then put back."""
    about = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def cut(path: Path, data: bytes) -> None:
    os.truncate(path, len(data) // 2)


def gone(path: Path, data: bytes) -> None:
    path.unlink()


CHANGES: dict[str, Callable[[Path, bytes], None]] = {
    "renamed over": renamed_over, "rewritten": rewritten, "cut": cut, "gone": gone,
}  # fmt: skip


def once_digested(patch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Let something happen between the digest of the first medium and its decoding."""
    left = [change]
    patch.setattr(extract, "fault", lambda *_: left.pop()() if left else None)


Found = tuple[dict[str, list[dict[str, Any]]], dict[str, Outcome]]
CASES = [(kind, where, "renamed over") for kind in FILES for where in PACKS]
CASES += [(kind, where, how) for kind, where in (("video", ""), ("frames", ""), ("image", "box.zip/"), ("video", "box.tgz/"))
          for how in CHANGES if how != "renamed over"]  # fmt: skip


@pytest.fixture(scope="module")
def straight(pairs: dict[str, Pair], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Found]:
    """What a kind of medium gives, in this place, where nobody changes it."""

    @cache
    def found(kind: str, where: str) -> Found:
        folder = tmp_path_factory.mktemp("straight")
        PACKS[where](root_in(folder), named(kind, pairs[kind].before, pairs[kind].before))
        return extracted(folder / "root", folder / "work")

    return found


def named(kind: str, data: bytes, second: bytes) -> dict[str, bytes]:
    """The files of a medium; of a clip two frames."""
    return {FILES[kind]: data} | ({OTHER[kind]: second} if kind in OTHER else {})


@pytest.mark.parametrize(("kind", "where", "how"), CASES)
def test_what_changes_after_its_digest_is_failed_as_changed_and_done_again(
    kind: str, where: str, how: str, pairs: dict[str, Pair], straight: Callable[[str, str], Found], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pair, root, new = pairs[kind], root_in(tmp_path), root_in(tmp_path / "new")
    PACKS[where](root, named(kind, pair.before, pair.before))
    PACKS[where](new, named(kind, pair.after, pair.before))
    file, original = where.rstrip("/") or FILES[kind], tmp_path / "original"
    shutil.copy2(root / file, original)
    with monkeypatch.context() as patch:
        once_digested(patch, lambda: CHANGES[how](root / file, (new / file).read_bytes()))
        rows, outcomes = extracted(tmp_path / "root", tmp_path / "work")
    (outcome,) = outcomes.values()
    assert (rows, outcome.status, outcome.error, outcome.message) == ({}, "failed", "ChangedMedia", CHANGED)
    assert outcome.inputs[0] == "unread" and outcome.facts == {}
    original.replace(root / file)  # with the size and time it had
    assert extracted(tmp_path / "root", tmp_path / "work") == straight(kind, where)


def test_a_clip_is_what_was_listed_and_a_frame_that_comes_later_is_seen_next_time(
    pairs: dict[str, Pair], straight: Callable[[str, str], Found], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, root = pairs["frames"], root_in(tmp_path)
    PACKS[""](root, named("frames", pair.before, pair.before))
    with monkeypatch.context() as patch:
        once_digested(patch, lambda: PACKS[""](root, {"frames/keep/clip/9.jpg": pair.after}))
        assert extracted(tmp_path / "root", tmp_path / "work") == straight("frames", "")
    rows, outcomes = extracted(tmp_path / "root", tmp_path / "work")
    assert [row["frame"] for row in rows["frames/keep/clip"]] == [7, 8, 9]
    assert outcomes["frames/keep/clip"].inputs != straight("frames", "")[1]["frames/keep/clip"].inputs


def test_a_frame_that_is_other_bytes_for_a_moment_is_noticed_by_them(tmp_path: Path) -> None:
    shown = iter([b"one", b"two", b"other", b"two"])
    frames = sources._Frames([FilePart(1, "1.png", 3, 0), FilePart(2, "2.png", 3, 0)], lambda part: next(shown))
    frames.sha256()
    with pytest.raises(ChangedMedia):
        frames.frame(1)
    assert frames.frame(2) == b"two"


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("how", CHANGES)
def test_a_mask_that_changes_while_it_is_read_fails_its_medium_and_leaves_the_digest_of_that(
    how: str, kind: Kind, pairs: dict[str, Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(pairs["image"].before)
    place = tmp_path / "mask"
    place.write_bytes(pairs[kind].before)
    mask = MaskFile("made", "mask", listed(place, kind), own=True)
    payload = extract.ExtractPayload(listed(tmp_path / "a.jpg", "image"), 1, None, "own", "keep", mask)
    task, config = Task((Item("made", "a.jpg", None, payload),)), extract.config(read("sample"))
    (before,) = extract.run(task, config, Resources()).outcomes
    assert before.status == "ok" and {"sha256", "mask_sha256"} <= set(before.facts)
    once_digested(monkeypatch, lambda: CHANGES[how](place, pairs[kind].after))
    result = extract.run(task, config, Resources())
    (outcome,) = result.outcomes
    assert result.rows.num_rows == 0 and (outcome.status, outcome.error) == ("failed", "ChangedMedia")
    assert outcome.facts == {"sha256": before.facts["sha256"]} and outcome.inputs[-1] == "mask: unread"


def listed(path: Path, kind: Kind) -> MediaFile:
    about = path.stat()
    return MediaFile(path.parent, path.name, kind, about.st_size, about.st_mtime_ns, ctime_ns=about.st_ctime_ns)


@pytest.mark.parametrize("how", CHANGES)
def test_a_file_that_is_read_is_held_to_what_it_was(how: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")
    about = path.stat()
    file = Opened(path, 6, about.st_mtime_ns)
    assert file.read() == b"before"
    file.check()
    CHANGES[how](path, b"after!")
    with pytest.raises(ChangedMedia):
        file.check()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(ChangedMedia):
        Opened(tmp_path / "a.mp4", 0, 0)


@pytest.mark.parametrize("name", ["box.zip", "box.tar"])
def test_an_archive_that_is_replaced_is_listed_anew_whatever_its_size_and_time(
    name: str, pairs: dict[str, Pair], tmp_path: Path
) -> None:
    def inside() -> list[str]:
        found = listing.open_archives("Made Up", [name], tmp_path, listing.walk(tmp_path), tmp_path / "kept")
        return sorted(path for path in found.files if path.startswith(f"{name}/"))

    PACKS[f"{name}/"](tmp_path, {"image/keep/a.jpg": pairs["image"].before})
    assert inside() == inside() == [f"{name}/image/keep/a.jpg"]
    (tmp_path / "new").mkdir()
    PACKS[f"{name}/"](tmp_path / "new", {"image/keep/b.jpg": pairs["image"].before})
    renamed_over(tmp_path / name, (tmp_path / "new" / name).read_bytes())
    assert inside() == [f"{name}/image/keep/b.jpg"]


def test_an_archive_that_changes_while_it_is_listed_is_refused_and_nothing_of_it_is_kept(
    pairs: dict[str, Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PACKS["box.tar/"](tmp_path, {"image/keep/a.jpg": pairs["image"].before})
    data, found = (tmp_path / "box.tar").read_bytes(), listing.walk(tmp_path)
    real = archives.contents

    def replaced(path: Path) -> archives.Contents:
        renamed_over(path, data)
        return real(path)

    monkeypatch.setattr(archives, "contents", replaced)
    found = listing.open_archives("Made Up", ["box.tar"], tmp_path, found, tmp_path / "kept")
    assert found.refused == {"box.tar": CHANGED} and not (tmp_path / "kept").exists()
