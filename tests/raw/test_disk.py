"""Listing a folder on a disk: litter and pointers are no files, names are composed, links lead where they may."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path
from unicodedata import normalize

import pytest

from mmidd.errors import UnreadableMedia
from mmidd.raw import archives, disk
from mmidd.raw.listing import Listing, open_archives, walk

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
NAME = "한국/가나_001.mp4"
NFD = normalize("NFD", NAME)


def put(root: Path, *paths: str, data: bytes = b"data") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def link(root: Path, path: str, target: str | Path) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(target)


def test_litter_is_counted_and_is_no_file_and_leaves_an_empty_folder(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "a/._1.png", "a/.DS_Store", "b/Thumbs.db", "__MACOSX/a/._1.png", ".git/x/y", ".git/z", ".keep")
    (tmp_path / "@eaDir").mkdir()
    found = walk(tmp_path)
    assert set(found.files) == {"a/1.png", ".keep"}
    assert (found.litter, found.refused, found.empty) == (7, {}, ("b",))


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_litter_pointers_and_decomposed_names_in_archives_are_what_they_are_on_a_disk(tmp_path: Path, name: str) -> None:
    files = {f"d/{NFD}": b"one", "d/._x.mp4": b"junk", "__MACOSX/d/._y": b"junk", "d/p.mp4": POINTER, "d/512": b"5" * 512}
    _pack(tmp_path / name, files)
    found = archives.contents(tmp_path / name)
    assert [member.name for member in found.members] == ["d/512", f"d/{NAME}"]
    assert found.litter == 2 and [path for path, why in found.refused if "Git LFS" in why] == ["d/p.mp4"]
    assert archives.read(tmp_path / name, found.members[1]) == b"one"
    seen = walk(tmp_path)
    listing = open_archives("D", [name], tmp_path, seen, tmp_path / "kept")
    assert listing == open_archives("D", [name], tmp_path, seen, tmp_path / "kept", keep=False)
    assert listing.litter == 2


def _pack(path: Path, files: dict[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as made:
            for name, data in files.items():
                made.writestr(name, data)
        return
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_two_names_in_an_archive_that_are_one_when_composed_are_refused(tmp_path: Path) -> None:
    _pack(tmp_path / "x.tar", {NAME: b"1", NFD: b"2", "c.mp4": b"3"})
    found = archives.contents(tmp_path / "x.tar")
    assert [member.name for member in found.members] == ["c.mp4"]
    assert found.refused == ((NAME, "stands twice in the archive"),)


def test_a_zip_whose_names_are_utf_8_and_not_marked_so_is_read_as_macos_meant_it(tmp_path: Path) -> None:
    _pack(tmp_path / "x.zip", {"abc/def.mp4": b"1"})
    name = normalize("NFD", "é/è.mp4").encode()
    (tmp_path / "x.zip").write_bytes((tmp_path / "x.zip").read_bytes().replace(b"abc/def.mp4", name))
    found = archives.contents(tmp_path / "x.zip")
    assert [member.name for member in found.members] == ["é/è.mp4"]
    assert archives.read(tmp_path / "x.zip", found.members[0]) == b"1"


def test_names_are_composed_and_found_where_the_disk_has_them(tmp_path: Path) -> None:
    put(tmp_path, NFD, f"{NFD.partition('/')[0]}/plain.mp4", "é.txt")
    found = walk(tmp_path)
    assert set(found.files) == {NAME, "한국/plain.mp4", "é.txt"}
    assert all(found.place(tmp_path, path).read_bytes() == b"data" for path in found.files)


@pytest.mark.parametrize("second", [NAME, "한국/other.mp4"])
def test_two_names_that_are_one_when_composed_are_refused_and_told(tmp_path: Path, second: str) -> None:
    put(tmp_path, NFD, second, "ok.mp4")
    found = walk(tmp_path)
    assert set(found.files) == {"ok.mp4"}
    assert set(found.refused) == {NFD, second} and all("Unicode form" in why for why in found.refused.values())


def test_pointers_are_refused_as_what_they_are(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "b.zip", data=POINTER)
    put(tmp_path, "c.mp4", data=b"/annex/objects/MD5E-s12345--0123456789abcdef.mp4\n")
    put(tmp_path, "d.txt", data=b"plain text that is short")
    found = walk(tmp_path)
    assert set(found.files) == {"d.txt"}
    assert "git lfs pull" in found.refused["a.mp4"] == found.refused["b.zip"] and "annex" in found.refused["c.mp4"]


def test_a_file_is_not_whole_as_long_as_aria2_says_so(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", "a.mp4.aria2", "b.mp4")
    found = walk(tmp_path)
    assert set(found.files) == {"b.mp4", "a.mp4.aria2"} and "unfinished" in found.refused["a.mp4"]


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A dataset's folder with links of every kind, and a disk beside the data root."""
    put(tmp_path, "disk/ff/real/1.mp4", "disk/ff/deep/er/2.mp4", "data/D/own/3.mp4", "data/E/4.mp4", "secret/5.mp4")
    root = tmp_path / "data/D"
    link(root, "in.mp4", "own/3.mp4")
    link(root, "folder", "own")
    link(root, "real", tmp_path / "disk/ff/real")
    link(root, "chain.mp4", tmp_path / "disk/ff/real/hop.mp4")
    link(tmp_path, "disk/ff/real/hop.mp4", "../deep/er/2.mp4")
    link(root, "beside.mp4", "../E/4.mp4")
    link(root, "secret.mp4", tmp_path / "secret/5.mp4")
    link(tmp_path, "disk/ff/real/out.mp4", tmp_path / "secret/5.mp4")
    link(root, "passwd", "/etc/passwd")
    link(root, "proc.mp4", "/proc/self/environ")
    link(root, "gone.mp4", "nowhere")
    link(root, "loop", ".")
    link(tmp_path, "disk/ff/deep/up", "../real")
    link(tmp_path, "disk/ff/real/up", "..")
    return root


def test_without_leave_only_links_to_files_of_the_dataset_are_followed(linked: Path) -> None:
    found = walk(linked)
    assert set(found.files) == {"own/3.mp4", "in.mp4"}
    assert set(found.links) == {"real", "folder", "chain.mp4", "beside.mp4", "secret.mp4", "passwd", "proc.mp4"}
    assert found.refused["gone.mp4"] == "link to nothing" and set(found.refused) == {*found.links, "gone.mp4", "loop"}


def test_links_into_an_allowed_folder_are_followed_and_no_further(linked: Path) -> None:
    top = linked.parents[1]
    found = walk(linked, (top / "disk/ff", top / "data"))
    assert set(found.files) == {
        "own/3.mp4", "in.mp4", "folder/3.mp4", "beside.mp4", "chain.mp4", "real/1.mp4", "real/hop.mp4",
    }  # fmt: skip
    assert found.refused["real/out.mp4"] == found.refused["secret.mp4"] == found.refused["passwd"] == disk.OUTSIDE
    assert found.refused["loop"] == found.refused["real/up"] == disk.LOOP
    assert found.place(linked, "chain.mp4") == (top / "disk/ff/deep/er/2.mp4").resolve()
    assert found.place(linked, "real/1.mp4") == (top / "disk/ff/real/1.mp4").resolve()
    assert found.place(linked, "own/3.mp4") == linked / "own/3.mp4"


def test_folders_that_link_to_each_other_are_read_once_each(tmp_path: Path) -> None:
    """Each of twelve folders has two links to the next one: 4,096 ways to the last."""
    put(tmp_path, "D/x.mp4", *(f"disk/{number}/file.mp4" for number in range(13)))
    for number in range(12):
        for name in ("a", "b"):
            link(tmp_path, f"disk/{number}/{name}", f"../{number + 1}")
    link(tmp_path, "D/top", tmp_path / "disk/0")
    found = walk(tmp_path / "D", (tmp_path / "disk",))
    assert len(found.files) == 14 and len(found.refused) == 12


def test_a_link_that_is_swapped_after_the_listing_is_not_asked_again(tmp_path: Path) -> None:
    put(tmp_path, "disk/1.mp4")
    put(tmp_path, "secret", data=b"mine")
    link(tmp_path, "D/1.mp4", tmp_path / "disk/1.mp4")
    root = tmp_path / "D"
    found = walk(root, (tmp_path / "disk",))
    (root / "1.mp4").unlink()
    link(tmp_path, "D/1.mp4", tmp_path / "secret")
    with disk.open_inside(root, _path(found, root, "1.mp4")) as file:
        assert file.read() == b"data"


@pytest.mark.parametrize("at", ["file", "folder"])
def test_what_becomes_a_link_after_the_listing_is_not_opened(tmp_path: Path, at: str) -> None:
    put(tmp_path, "D/own/1.mp4", "secret/1.mp4")
    root = tmp_path / "D"
    found = walk(root)
    if at == "file":
        (root / "own/1.mp4").unlink()
        link(root, "own/1.mp4", tmp_path / "secret/1.mp4")
    else:
        (root / "own").rename(tmp_path / "moved")
        link(root, "own", tmp_path / "secret")
    with pytest.raises(UnreadableMedia, match="leads elsewhere"):
        disk.open_inside(root, _path(found, root, "own/1.mp4"))


def test_a_target_that_becomes_a_link_is_not_opened(tmp_path: Path) -> None:
    put(tmp_path, "disk/1.mp4", "secret")
    link(tmp_path, "D/1.mp4", tmp_path / "disk/1.mp4")
    found = walk(tmp_path / "D", (tmp_path / "disk",))
    (tmp_path / "disk/1.mp4").unlink()
    link(tmp_path, "disk/1.mp4", tmp_path / "secret")
    with pytest.raises(UnreadableMedia, match="leads elsewhere"):
        disk.open_inside(tmp_path / "D", _path(found, tmp_path / "D", "1.mp4"))


def _path(found: Listing, root: Path, path: str) -> Path:
    return Path(os.fspath(found.place(root, path)))  # type: ignore[arg-type]


@pytest.mark.parametrize("blob", ["x.zip", "x.tar", "x.tar.gz"])
def test_an_archive_is_read_through_a_link_to_a_name_that_says_nothing(tmp_path: Path, blob: str) -> None:
    """As a snapshot of the Hub's cache has them: links to files that are called by their digest."""
    _pack(tmp_path / blob, {"a/1.png": b"one"})
    (tmp_path / "blobs").mkdir()
    (tmp_path / blob).rename(tmp_path / "blobs/0123abcd")
    link(tmp_path, f"D/{blob}", tmp_path / "blobs/0123abcd")
    root = tmp_path / "D"
    found = open_archives("D", [blob], root, walk(root, (tmp_path / "blobs",)), None)
    assert set(found.files) == {f"{blob}/a/1.png"} and not found.refused
    assert archives.read(found.place(root, blob), found.member(f"{blob}/a/1.png")) == b"one"
