"""What paths name is found once, said where it is passed by, and never opened where it is no regular file."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mmidd.errors import UsageError
from mmidd.verdicts.named import AllNamed, all_named

Lay = Callable[[Path], object]


def _files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 1000)
    return folder


def _shown(found: AllNamed, below: Path) -> list[tuple[str, str]]:
    return [(each.shown.removeprefix(f"{below}/"), each.file.kind) for each in found.media]


def test_a_folder_gives_its_images_and_videos_in_order_and_counts_the_rest(tmp_path: Path) -> None:
    _files(tmp_path, "b/clip.MP4", "a/z.jpg", "a/y.webp", "notes.txt", "b/labels.csv", ".DS_Store", "a/more.txt")
    found = all_named([tmp_path])
    assert _shown(found, tmp_path) == [("a/y.webp", "image"), ("a/z.jpg", "image"), ("b/clip.MP4", "video")]
    assert dict(found.others) == {".csv": 1, ".txt": 2} and found.litter == 1 and not found.passed


@pytest.mark.parametrize(
    ("names", "clip"),
    [
        (["0001.png", "0002.png", "0010.png"], [1, 2, 10]),
        (["f_3.jpg", "f_1.JPG"], [1, 3]),
        (["0001.png", "0002.png", "cover.png"], None),
        (["a1.png", "b2.png"], None),
        (["1.png", "2.jpg"], None),
        (["1.png", "01.png"], None),
        (["1.png", "2.png", "readme.txt"], None),
        (["1.png"], None),
    ],
)
def test_numbered_images_of_one_name_are_one_clip_unless_stills_are_asked_for(
    tmp_path: Path, names: list[str], clip: list[int] | None
) -> None:
    _files(tmp_path, *(f"clip/{name}" for name in names))
    found = all_named([tmp_path / "clip"])
    images = sum(not name.endswith("txt") for name in names)
    if clip is None:
        assert [each.file.kind for each in found.media] == ["image"] * images
    else:
        (medium,) = found.media
        assert medium.file.kind == "frames" and [part.number for part in medium.file.parts] == clip
        assert medium.shown == str(tmp_path / "clip") and "as one clip" in medium.notes[0]
    assert len(all_named([tmp_path / "clip"], stills=True).media) == images


def test_members_of_archives_are_media_and_hostile_ones_are_passed_by(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("in/x.jpg", "frames/1.png", "frames/2.png", "../evil.jpg", "nested.tar", "readme.md"):
            archive.writestr(name, b"y" * 1000)
        archive.writestr("bomb.jpg", b"\0" * 80_000_000, compress_type=zipfile.ZIP_DEFLATED)
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as packed:
        info = tarfile.TarInfo("v.mp4")
        info.size = 4
        packed.addfile(info, io.BytesIO(b"abcd"))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    found = all_named([tmp_path])
    assert _shown(found, tmp_path) == [("a.zip/frames", "frames"), ("a.zip/in/x.jpg", "image"), ("b.tar.gz/v.mp4", "video")]
    told = {each.shown.removeprefix(f"{tmp_path}/"): each.reason for each in found.passed}
    assert set(told) == {"a.zip/../evil.jpg", "a.zip/nested.tar", "a.zip/bomb.jpg", "b.tar.gz/link.jpg"}
    assert "200 times" in told["a.zip/bomb.jpg"]
    assert _shown(all_named([tmp_path / "a.zip"]), tmp_path) == [("a.zip/frames", "frames"), ("a.zip/in/x.jpg", "image")]


def _loop(folder: Path) -> None:
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")


def _closed(folder: Path) -> None:
    _files(folder, "closed/x.jpg")
    (folder / "closed").chmod(0)


PASSED: list[tuple[str, Lay, str, str]] = [
    ("a pipe", lambda folder: os.mkfifo(folder / "p"), "p", "a pipe"),
    ("a pipe in a folder", lambda folder: os.mkfifo(folder / "p.mp4"), "", "a pipe"),
    ("links in a circle", _loop, "one", "circle"),
    ("a link that leads out", lambda folder: (folder / "x.jpg").symlink_to("/etc/hostname"), "", "leads out"),
    ("a link to nothing", lambda folder: (folder / "x.jpg").symlink_to("gone.jpg"), "", "link to nothing"),
    ("no zip", lambda folder: _files(folder, "x.zip"), "x.zip", "damaged"),
    ("an empty folder", lambda folder: (folder / "e").mkdir(), "e", "no image or video"),
]


@pytest.mark.parametrize(("lay", "name", "why"), [case[1:] for case in PASSED], ids=[case[0] for case in PASSED])
def test_what_cannot_be_judged_is_said_with_its_reason(tmp_path: Path, lay: Lay, name: str, why: str) -> None:
    lay(tmp_path)
    found = all_named([tmp_path / name, tmp_path / name])
    assert not found.media and [why in each.reason for each in found.passed] == [True], found.passed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_passed_by(tmp_path: Path) -> None:
    _closed(tmp_path)
    try:
        assert "denied" in all_named([tmp_path / "closed"]).passed[0].reason.lower()
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_medium_that_is_named_in_several_ways_is_judged_once(tmp_path: Path) -> None:
    _files(tmp_path, "a/x.jpg")
    (tmp_path / "link.jpg").symlink_to("a/x.jpg")
    found = all_named([tmp_path / "a" / "x.jpg", tmp_path / "a", tmp_path / "link.jpg", f"{tmp_path}/a/../a/x.jpg"])
    assert [each.shown for each in found.media] == [str(tmp_path / "a" / "x.jpg")] and found.twice == 3


def test_a_named_file_whose_name_says_nothing_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 20)
    (tmp_path / "other").write_bytes(b"x" * 20)
    assert [each.file.kind for each in all_named([tmp_path / "picture", tmp_path / "other"]).media] == ["image", "video"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("http://example.org/x.mp4", "nothing is fetched"),
        ("s3://bucket/x", "nothing is fetched"),
        ("gone.mp4", "there is no 'gone.mp4'"),
        ("", "there is no ''"),
        ("a\0b", "there is no"),
    ],
)
def test_an_address_and_what_is_not_there_are_refused_before_any_work(path: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        all_named([path])
