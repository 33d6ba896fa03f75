"""What is none of a dataset's files is known by its name or its first bytes, wherever it lies."""

from __future__ import annotations

import pytest

from mmidd.raw import junk

NAMED = {
    "litter": [
        "._002.png", "a/b/._x.mp4", ".DS_Store", "a/.ds_store", "Thumbs.db", "a/thumbs.DB", "ehthumbs.db", "desktop.ini",
        "Icon\r", "__MACOSX/a/001.png", "a/__MACOSX/._x", "@eaDir/x.mp4/SYNOPHOTO_THUMB_XL.jpg", "a/@eaDir/001.png",
        "#recycle/a.mp4", "$RECYCLE.BIN/S-1/a.mp4", "System Volume Information/x", "lost+found/#1", ".Trash/a.mp4",
        ".git/lfs/objects/a", ".cache/huggingface/a.incomplete", ".snapshot/hourly.0/a.mp4", "a/.ipynb_checkpoints/b-1.png",
        ".nfs000000000123abcd", ".fuse_hidden0001", ".~lock.list.csv#", "~$list.xlsx", ".#000.png", ".000.png.swp",
    ],
    "unfinished": [
        "a.mp4.part", "a.mp4.PART", "a.zip.crdownload", "a.zip.incomplete", "a.zip.aria2", "a.mp4.download/a.mp4",
        "a.zip.partial", "a.mp4.tmp", "a.mp4.ytdl", ".000.mp4.Ab3dE9", "a.zipk3_9x2q1tmp", ".000.mp4.icloud",
    ],
    None: [
        "000.png", "a/000_003.mp4", "_x.mp4", "__x/000.png", "a.b.mp4", "partial/000.png", "part/a.mp4", "tmp/a.mp4",
        ".gitattributes", ".hidden.mp4", "..a/b.mp4", "../a.mp4", "./a.mp4", "MACOSX/a.png", "desktop.initial",
        "eaDir/a.png", "thumbs.db.png", "a.part1.mp4",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("sort", "path"), [(sort, path) for sort, paths in NAMED.items() for path in paths])
def test_a_name_says_what_is_litter_and_what_is_unfinished(sort: str | None, path: str) -> None:
    expected = sort if path != "..a/b.mp4" else "litter"  # a folder that is hidden, whatever its second letter
    assert junk.named(path) == expected


@pytest.mark.parametrize("path", ["._1.png", ".x.mp4", "a/.000.png", "a.mp4.part", "@eaDir/1.png"])
def test_nothing_hidden_is_a_medium(path: str) -> None:
    assert junk.no_medium(path) and not junk.no_medium(path.rpartition("/")[2].lstrip("._").replace(".part", ""))


@pytest.mark.parametrize(
    ("path", "part"),
    [("a.z01", True), ("a.zip.001", True), ("a.tar.gz.0", True), ("a.tar.gz.aa", True), ("a.tar.gz.part-ab", True),
     ("a.part1.rar", True), ("a.7z.001", True), ("a.zip", False), ("a.tar.gz", False), ("000.png", False), ("a.001", False)],
)  # fmt: skip
def test_a_part_of_an_archive_is_known_by_its_name(path: str, part: bool) -> None:
    assert junk.is_part(path) is part


HELD = [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "Git LFS pointer"),
    (b"/annex/objects/MD5E-s5--0.mp4\n", "git-annex pointer"),
    (b"../../.git/annex/objects/a/b/MD5E-s5--0.mp4", "git-annex pointer"),
    (b"<!DOCTYPE html><html><head>", "HTML page"),
    (b"\xef\xbb\xbf\n  <html lang=en>", "HTML page"),
    (b"<!-- google drive --><html>", "HTML page"),
    (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code>', "store's error"),
    (b"\x89PNG\r\n\x1a\n", None), (b"PK\3\4", None), (b"", None), (b"version 2\n", None), (b"<svg>", None),
]  # fmt: skip


@pytest.mark.parametrize(("head", "told"), HELD)
def test_first_bytes_say_what_lies_in_a_files_place(head: bytes, told: str | None) -> None:
    found = junk.holds(head)
    assert (told in found) if told and found else found is told
