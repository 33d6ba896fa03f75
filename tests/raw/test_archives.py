"""Archives are read in place; nothing in them leaves them, and nothing in them fills memory."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mmidd.errors import TooLargeMedia, UnreadableMedia
from mmidd.raw import archives
from mmidd.raw.archives import Member

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
        "in.zip": archives.NESTED_ARCHIVE,
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


NOISE = {f"a/{number}.jpg": os.urandom(3000) for number in range(20)}
HEADER = 512


def cut(share: float) -> Callable[[bytearray], None]:
    def harm(data: bytearray) -> None:
        del data[int(len(data) * share) :]

    return harm


def cut_between_members(data: bytearray) -> None:
    del data[5 * (HEADER + 6 * HEADER) :]


def break_header(data: bytearray) -> None:
    data[2 * (HEADER + 6 * HEADER) + 148] ^= 7


def flip_a_pixel(data: bytearray) -> None:
    data[9000] ^= 1


def add_another(data: bytearray) -> None:
    data += bytes(data)


def say_of_first_entry(place: int, value: bytes) -> Callable[[bytearray], None]:
    """Overwrite a field of a zip's first directory entry."""

    def harm(data: bytearray) -> None:
        at = data.find(b"PK\x01\x02") + place
        data[at : at + len(value)] = value

    return harm


def say_many(data: bytearray) -> None:
    at = data.rfind(b"PK\x05\x06") + 10
    data[at : at + 2] = (60000).to_bytes(2, "little")


DAMAGES = [
    ("x.tar.gz", cut(0.02), "ends too early"),
    ("x.tar.gz", cut(0.5), "ends too early"),
    ("x.tar.gz", cut(0.99), "ends too early"),
    ("x.tar.gz", flip_a_pixel, "damaged"),  # nothing but the checksum at the end knows
    ("x.tar", cut(0.5), "ends too early"),
    ("x.tar", cut_between_members, "ends too early"),
    ("x.tar", break_header, "a damaged header"),
    ("x.tar", add_another, "behind its end mark"),
    ("x.zip", cut(0.99), "damaged"),
    ("x.zip", say_of_first_entry(0, b"XXXX"), "damaged"),
    ("x.zip", say_of_first_entry(28, (600).to_bytes(2, "little")), "damaged"),
    ("x.zip", say_of_first_entry(28, (3000).to_bytes(2, "little")), "not as many members as it says"),
    ("x.zip", say_many, "not as many members as it says"),
]


@pytest.mark.parametrize(("name", "harm", "told"), DAMAGES)
def test_an_archive_that_lacks_members_is_never_taken_for_a_shorter_one(
    tmp_path: Path, name: str, harm: Callable[[bytearray], None], told: str
) -> None:
    path = pack(tmp_path / name, NOISE)
    data = bytearray(path.read_bytes())
    harm(data)
    path.write_bytes(data)
    with pytest.raises(UnreadableMedia, match=told):
        archives.contents(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [(16, bytes(4)), (24, (900).to_bytes(4, "little")), (42, (2**31 - 16).to_bytes(4, "little"))],
    ids=["checksum", "size", "place"],
)
def test_a_zip_with_one_bad_member_gives_the_others(tmp_path: Path, place: int, value: bytes) -> None:
    path = pack(tmp_path / "x.zip", NOISE)
    data = bytearray(path.read_bytes())
    say_of_first_entry(place, value)(data)
    path.write_bytes(data)
    bad, *good = sorted(archives.contents(path).members, key=lambda member: member.name != "a/0.jpg")
    with pytest.raises(UnreadableMedia):
        archives.read(path, bad)
    read = {member.name: archives.read(path, member) for member in good}
    assert read == {name: data for name, data in NOISE.items() if name != bad.name}


def test_more_members_than_16_bits_can_count_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as made:
        for number in range(65600):
            made.writestr(f"{number}.jpg", b"")
    assert len(archives.contents(path).members) == 65600


def test_encrypted_members_are_refused_by_name(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", FILES)
    data = bytearray(path.read_bytes())
    say_of_first_entry(8, b"\x01")(data)
    path.write_bytes(data)
    found = archives.contents(path)
    assert found.refused == (("a/1.jpg", "encrypted"),) and len(found.members) == len(FILES) - 1


def test_a_member_that_unpacks_to_more_than_it_declares_fills_no_memory(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"a.jpg": bytes(64 * 2**20)})
    data = bytearray(path.read_bytes())
    say_of_first_entry(24, (1000).to_bytes(4, "little"))(data)
    path.write_bytes(data)
    (member,) = archives.contents(path).members
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableMedia):
            archives.read(path, member)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
