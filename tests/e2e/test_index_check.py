"""`mmidd index --check` on trees as clumsy downloads and hostile names leave them: all is told, with 4 at the end."""

from __future__ import annotations

import json
import os
import stat
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Said

from mmidd.raw.archives import NESTED_ARCHIVE

Run = Callable[..., Said]
Make = Callable[[Path], None]
FFHQ = "images1024x1024"
CLIPS = "original_sequences/youtube/c23/videos"


def words(root: Path, dataset: str, *more: str) -> list[str]:
    (root / "one.yaml").write_text(f"name: one\ndatasets: [{dataset}]\n")
    return ["index", str(root / "one.yaml"), "--data", str(root / "data"), "--work", str(root / "work"), *more]


def write(path: Path, data: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def named(name: str | bytes) -> Make:
    return lambda root: write(root / FFHQ / os.fsdecode(name))


def linked(target: str) -> Make:
    return lambda root: (root / FFHQ / "00002.png").symlink_to(target)


def copied_clip(root: Path) -> None:
    """DF40: one folder of frames under two methods."""
    for method in ("simswap", "inswap"):
        for number in range(3):
            write(root / f"{method}/frames/000_003/{number:03d}.png", b"frame %d" % number)


def other_clip(root: Path) -> None:
    for method in ("simswap", "inswap"):
        for number in range(3):
            write(root / f"{method}/frames/000_003/{number:03d}.png", f"{method} {number}".encode())


def copied_member(root: Path) -> None:
    """DeepFakeFace: one zip under two names."""
    for part in ("inpainting", "insight"):
        with zipfile.ZipFile(root / f"{part}.zip", "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(f"{part}/00/1.jpg", b"same")


def traps(root: Path) -> None:
    """A zip with every kind of member that is refused, and one good one."""
    link = zipfile.ZipInfo("wiki/00/link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(root / "wiki.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("../../up.jpg", "/etc/passwd", "wiki/00/in.zip", "wiki/00/10_1950-01-01_2000.jpg"):
            made.writestr(name, b"x")
        made.writestr(link, "/etc/passwd")
        made.writestr("wiki/00/bomb.jpg", bytes(2**23))


def cut_tar(root: Path) -> None:
    path = root / "real_train/1.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as made:
        made.add(__file__, "1/real/5/0.png")
    path.write_bytes(path.read_bytes()[:-100])


NOTHING = ("no media", "nothing in its folder is a medium")
NO_UTF8 = "name is not UTF-8"
TREES: list[tuple[str, str, Make, dict[tuple[str, str], list[str]]]] = [
    ("not UTF-8", "FFHQ", named(b"b\xffd.png"), {("refused", NO_UTF8): [f"{FFHQ}/b\\udcffd.png"]}),
    ("folder not UTF-8", "FFHQ", named(b"d\xff/00002.png"), {("refused", NO_UTF8): [f"{FFHQ}/d\\udcff/00002.png"]}),
    ("newline", "FFHQ", named("a\n0001.png"), {("in no rule", "no rule"): [f"{FFHQ}/a\n0001.png"]}),
    ("escape", "FFHQ", named("\x1b[31m[red].png"), {("in no rule", "no rule"): [f"{FFHQ}/\x1b[31m[red].png"]}),
    ("right to left", "FFHQ", named("a\u202egnp.exe"), {("in no rule", "no rule"): [f"{FFHQ}/a\u202egnp.exe"]}),
    ("long", "FFHQ", named("x" * 251 + ".png"), {("in no rule", "no rule"): [f"{FFHQ}/{'x' * 251}.png"]}),
    ("upper case twin", "FFHQ", named("00001.PNG"),
     {("in no rule", "there is a rule for it but for upper and lower case"): [f"{FFHQ}/00001.PNG"]}),
    ("link out", "FFHQ", linked("/etc/passwd"),
     {("refused", "link that leaves the dataset's root"): [f"{FFHQ}/00002.png"]}),
    ("link to nothing", "FFHQ", linked("nothing"), {("refused", "link to nothing"): [f"{FFHQ}/00002.png"]}),
    ("link to itself", "FFHQ", linked("00002.png"), {("refused", "link to nothing"): [f"{FFHQ}/00002.png"]}),
    ("loop", "FFHQ", linked("."), {("refused", "link to a folder: not followed"): [f"{FFHQ}/00002.png"]}),
    ("fifo", "FFHQ", lambda root: os.mkfifo(root / FFHQ / "00002.png"),
     {("refused", "not a regular file"): [f"{FFHQ}/00002.png"]}),
    ("empty", "FFHQ", lambda root: write(root / FFHQ / "00002.png", b""),
     {("empty file", "no bytes: was the download cut?"): [f"{FFHQ}/00002.png"]}),
    ("copied folder of frames", "DF40", copied_clip,
     {("same file twice", "one size, start and end in two places"): ["inswap/frames/000_003 = simswap/frames/000_003"]}),
    ("other frames of one name", "DF40", other_clip, {}),
    ("a zip that is none", "DeepFakeFace", lambda root: write(root / "wiki.zip", b"no zip"),
     {("refused", "the archive is damaged or of an unknown form (BadZipFile)"): ["wiki.zip"], NOTHING: ["wiki.zip"]}),
    ("a tar that was cut", "WildDeepfake", cut_tar,
     {("refused", "the archive ends too early; was the download cut?"): ["real_train/1.tar.gz"], NOTHING: ["real_train"]}),
    ("a zip of traps", "DeepFakeFace", traps,
     {("refused", "not a plain relative path"): ["wiki.zip/../../up.jpg", "wiki.zip//etc/passwd"],
      ("refused", NESTED_ARCHIVE): ["wiki.zip/wiki/00/in.zip"],
      ("refused", "a link in an archive"): ["wiki.zip/wiki/00/link.jpg"],
      ("refused", "it unpacks to more than 200 times its size"): ["wiki.zip/wiki/00/bomb.jpg"]}),
    ("copied zip", "DeepFakeFace", copied_member,
     {("same file twice", "one size, start and end in two places"):
      ["inpainting.zip/inpainting/00/1.jpg = insight.zip/insight/00/1.jpg"]}),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "make", "wanted"), [row[1:] for row in TREES], ids=[row[0] for row in TREES])
def test_what_is_odd_is_told_by_name_and_nothing_else_is(
    dataset: str, make: Make, wanted: dict[tuple[str, str], list[str]], tmp_path: Path, mmidd: Run
) -> None:
    root = tmp_path / "data" / dataset
    root.mkdir(parents=True)
    if dataset == "FFHQ":
        write(root / FFHQ / "00001.png")
    make(root)
    said = mmidd(*words(tmp_path, dataset, "--check", "--json"))
    assert said.code == 4
    (found,) = said.document["datasets"]
    odd = [each for each in found["findings"] if each["kind"] not in ("real not on disk", "missing label file")]
    assert {(each["kind"], each["reason"]): each["names"] for each in odd} == wanted
    assert all(each["count"] == len(each["names"]) and each["advice"] for each in found["findings"])
    shown = mmidd(*words(tmp_path, dataset, "--check"))
    assert shown.code == 4
    assert not set(shown.out) & set("\x1b\u202e")
    assert all(reason in " ".join(shown.out.split()) for _, reason in wanted)
    plain = mmidd(*words(tmp_path, dataset))
    assert plain.code == (4 if NOTHING in wanted else 0) and not set(plain.out) & set("\x1b\u202e")


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own cannot be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_that_cannot_be_read_is_told_and_the_others_are_indexed(open_to_all: Path, mmidd: Run) -> None:
    closed = open_to_all / "data/FFHQ" / FFHQ / "00000"
    write(closed / "00001.png")
    write(closed.parent / "01000/01001.png")
    closed.chmod(0)
    (open_to_all / "work").mkdir(mode=0o777)
    line = words(open_to_all, "FFHQ", "--check", "--json")
    root = os.geteuid() == 0
    if root:  # whom no mode keeps out
        (open_to_all / "work").chmod(0o777)
        os.seteuid(65534)
    try:
        said = mmidd(*line)
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o755)
    (found,) = said.document["datasets"]
    assert [(each["kind"], each["reason"], each["names"]) for each in found["findings"]] == [
        ("refused", "folder cannot be read: Permission denied", [f"{FFHQ}/00000"])
    ]
    assert sum(each["found"] for each in found["counts"]) == 1


def test_every_file_is_in_one_place_and_the_numbers_add_up(tmp_path: Path, mmidd: Run) -> None:
    """Half downloaded, litter beside it, two clips in the wrong case, one in a folder too deep."""
    root = tmp_path / "data/FaceForensics++"
    for clip in range(4):
        write(root / CLIPS / f"{clip:03d}.mp4", b"%d" % clip)
    write(root / "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4")
    for name in ("004.MP4", "005.mp4.part", ".DS_Store", "notes.pdf"):
        write(root / CLIPS / name)
    write(root / "FaceForensics++" / CLIPS / "006.mp4")
    (root / "dataset/splits").mkdir(parents=True)
    (root / "dataset/splits/train.json").write_text(json.dumps([["000", "003"], ["010", "011"]]))
    said = mmidd(*words(tmp_path, "FaceForensics++", "--check", "--json"))
    (found,) = said.document["datasets"]
    kinds = Counter({(each["kind"], each["reason"]): each["count"] for each in found["findings"]})
    assert kinds == {
        ("missing label file", "table 'splits' needs it"): 2,
        ("label file not whole", "2 rows of 360 that the official file has"): 1,
        ("listed but not on disk", "table 'splits' lists it"): 2,
        ("in no rule", "there is a rule for it but for upper and lower case"): 1,
        ("in no rule", "looks like an unfinished download"): 1,
        ("in no rule", "no rule"): 1,
    }
    media = sum(each["found"] for each in found["counts"])
    unmatched = sum(count for (kind, _), count in kinds.items() if kind == "in no rule")
    assert found["read_from"] == [["FaceForensics++", "", 1]]
    assert (found["files"], found["litter"], media, unmatched) == (10, 1, 6, 3)
    youtube = next(each for each in found["expected"] if each["rule"] == "youtube" and each["split"] is None)
    assert (youtube["found"], youtube["expected"], youtube["difference"]) == (5, 1000, -995)
    shown = mmidd(*words(tmp_path, "FaceForensics++", "--check")).out
    assert "counts differ: fewer, an incomplete download" in shown and "-> " in shown
