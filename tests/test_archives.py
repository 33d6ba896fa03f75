"""Archives are read in place; nothing in them leaves them, and nothing in them fills memory."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from mmidd import archives
from mmidd.archives import Member
from mmidd.errors import TooLargeMedia, UnreadableMedia

FILES = {"a/1.jpg": b"one", "a/2.jpg": b"two" * 1000, "b.mp4": bytes(range(256)) * 40}


def pack(path: Path, files: dict[str, bytes], *odd: tarfile.TarInfo) -> Path:
    """A zip or tar of these files; a tar gets the odd entries too."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for name, data in files.items():
                made.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in odd:
            tar.addfile(info)
    return path


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
def test_members_are_listed_and_read_whatever_the_form(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / name, {f"./{each}": data for each, data in FILES.items()})
    found = archives.contents(path)
    assert {member.name: member.bytes for member in found.members} == {n: len(d) for n, d in FILES.items()}
    assert found.refused == ()
    for member in found.members:
        assert archives.read(path, member) == FILES[member.name]
        with archives.open_member(path, member) as file:
            assert file.seek(-5, io.SEEK_END) == member.bytes - 5 if member.bytes > 5 else True
            file.seek(1)
            assert file.read() == FILES[member.name][1:]


def test_one_pass_gives_the_wanted_members_in_their_order(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar.gz", FILES)
    assert list(archives.stream(path, {"b.mp4", "a/1.jpg"})) == [("a/1.jpg", b"one"), ("b.mp4", FILES["b.mp4"])]


def _info(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_a_tar_gives_no_links_devices_or_names_that_leave_it(tmp_path: Path, name: str) -> None:
    odd = [
        _info("soft.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        _info("hard.jpg", tarfile.LNKTYPE, "good.jpg"),
        _info("null", tarfile.CHRTYPE),
        _info("pipe", tarfile.FIFOTYPE),
        _info("folder", tarfile.DIRTYPE),
    ]
    files = dict.fromkeys(["../up.jpg", "/etc/abs.jpg", "a/../../b.jpg", "a\\b.jpg", "in.zip", "good.jpg"], b"x")
    found = archives.contents(pack(tmp_path / name, files, *odd))
    assert [member.name for member in found.members] == ["good.jpg"]
    assert dict(found.refused) == {
        **dict.fromkeys(["../up.jpg", "/etc/abs.jpg", "a/../../b.jpg", "a\\b.jpg"], "not a plain relative path"),
        "in.zip": "an archive in an archive",
        **dict.fromkeys(["soft.jpg", "hard.jpg"], "a link in an archive"),
        **dict.fromkeys(["null", "pipe"], "not a regular file"),
    }


def test_a_zip_gives_no_links_bombs_or_twins(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr(link, "/etc/passwd")
        made.writestr("bomb.bin", bytes(8 * 2**20))
        made.writestr("twice.jpg", b"1")
        made.writestr("./twice.jpg", b"3")
        made.writestr("twice.jpg", b"2")
        made.writestr("good.jpg", b"x")
    found = archives.contents(path)
    assert [member.name for member in found.members] == ["good.jpg"]
    assert {name: why.split(" times")[0] for name, why in found.refused} == {
        "link.jpg": "a link in an archive",
        "bomb.bin": "it unpacks to more than 200",
        "twice.jpg": "stands twice in the archive",
    }


def test_a_compressed_tar_that_is_a_bomb_is_refused_before_it_is_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 2**20)
    path = pack(tmp_path / "x.tar.gz", {"zeros.bin": bytes(32 * 2**20), "good.jpg": b"x"})
    with pytest.raises(TooLargeMedia, match="200 times"):
        archives.contents(path)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    for name in ("x.zip", "x.tar", "x.tgz"):
        with pytest.raises(TooLargeMedia, match="more than 2 members"):
            archives.contents(pack(tmp_path / name, FILES))


def test_a_tar_header_of_an_absurd_size_allocates_nothing(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**32
    path = tmp_path / "x.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    with pytest.raises(TooLargeMedia, match="absurd"):
        archives.contents(path)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
@pytest.mark.parametrize("data", [b"", b"no archive" * 400, None])
def test_a_damaged_archive_is_a_fault_of_the_medium(tmp_path: Path, name: str, data: bytes | None) -> None:
    path = pack(tmp_path / name, FILES)
    path.write_bytes(path.read_bytes()[:300] if data is None else data)
    with pytest.raises(UnreadableMedia):
        members = archives.contents(path).members
        for member in (*members, Member("a/2.jpg", 3000)):
            archives.read(path, member)
