"""What clumsy and hostile users do: a clear error or a recorded failure, nothing lost, nothing overwritten."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest
from conftest import Place, Said

from mmidd import cli
from mmidd.corpus.target import Target

Run = Callable[..., Said]
IMAGES = Path("data/CelebA/img_align_celeba")
REALS = Path("data/FaceForensics++/original_sequences/youtube/c23/videos")
SPLITS = Path("data/FaceForensics++/dataset/splits")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def fill(root: Path) -> None:
    (root / "precious").mkdir()
    (root / "precious/thing").write_text("mine")


def link_nowhere(root: Path) -> None:
    (root / "dangling").symlink_to(root / "nowhere")


def link_in_a_circle(root: Path) -> None:
    (root / "circle").symlink_to(root / "circle")


def touch_file(root: Path) -> None:
    (root / "file").write_text("mine")


def make_empty_dataset(root: Path) -> None:
    (root / "bare/CelebA").mkdir(parents=True)


NOWHERE = [
    ("--data", "absent", None, 1, "is not a folder"),
    ("--data", "file", touch_file, 1, "is not a folder"),
    ("--data", "circle", link_in_a_circle, 2, "go round in a circle"),
    ("--data", "bare", make_empty_dataset, 1, "is empty"),
    ("--out", "file", touch_file, 1, "is a file"),
    ("--out", "file/below", touch_file, 1, "a part of the path is a file"),
    ("--out", "precious", fill, 1, "holds something that is no corpus"),
    ("--out", "dangling", link_nowhere, 1, "link to nothing"),
    ("--out", "circle", link_in_a_circle, 1, "link to nothing"),
    ("--out", "data/corpus", None, 2, "lie in each other"),
    ("--out", "corpus.work/corpus", None, 2, "lie in each other"),
    ("--out", ".", None, 2, "lie in each other"),
    ("--out", "/", None, 2, "no place for a corpus"),
    ("--out", "o\udcff", None, 2, "is not UTF-8"),
    ("--work", "file", touch_file, 1, "is a file"),
    ("--work", "file/below", touch_file, 1, "a part of the path is a file"),
    ("--work", "precious", fill, 1, "not a work folder"),
    ("--work", "circle", link_in_a_circle, 2, "go round in a circle"),
    ("--work", "data/work", None, 2, "inside the data root"),
]


@pytest.mark.parametrize(("option", "value", "make", "code", "told"), NOWHERE)
def test_a_wrong_place_is_one_clear_error_and_nothing_is_touched(
    option: str, value: str, make: Callable[[Path], None] | None, code: int, told: str, place: Place, mmidd: Run
) -> None:
    if make:
        make(place.root)
    before = contents(place.root)
    words = place.words("build")
    if option == "--out" and value == "/":
        words[words.index("--out") + 1] = "/"
    else:
        words += ["--work", str(place.work), option, str(place.root / value)]
    said = mmidd(*words)
    assert (said.code, said.out) == (code, "")
    assert told in said.err
    assert contents(place.root) == before
    assert {path.name for path in place.root.glob(".*")} == set()


def test_two_builds_of_one_corpus_do_not_mix(place: Place, mmidd: Run) -> None:
    before = contents(place.out)
    with Target(place.out.resolve()).held():
        said = mmidd(*place.words("build", "--set", "frames.count=1", "--allow-removals"))
        assert said.code == 1 and "another build is writing" in said.err
        assert contents(place.out) == before
    assert mmidd(*place.words("build")).code == 0
    assert not list(place.root.glob(".*"))


def png(width: int, height: int, pixels: bytes, depth: int) -> bytes:
    """A grey PNG that declares its size, whatever its pixels are."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")


def cut(source: Path, target: Path, share: float) -> None:
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])


BAD_MEDIA: dict[Path, tuple[Callable[[Path], object], str]] = {
    IMAGES / "000100.jpg": (lambda path: path.write_bytes(b""), "EmptyMedia"),
    IMAGES / "000101.jpg": (lambda path: path.write_text("text"), "UnreadableMedia"),
    IMAGES / "000102.jpg": (lambda path: cut(path.with_name("000001.jpg"), path, 0.5), "UnreadableMedia"),
    IMAGES / "000103.png": (lambda path: path.write_bytes(png(60000, 60000, b"", 8)), "TooLargeMedia"),
    IMAGES / "000104.png": (lambda path: path.write_bytes(png(30000, 30000, bytes(3751 * 30000), 1)), "TooLargeMedia"),
    IMAGES / "000105.jpg": (lambda path: path.symlink_to("/etc/passwd"), "Refused"),
    IMAGES / "000106.jpg": (lambda path: path.symlink_to(path.name), "Refused"),
    IMAGES / "000107.jpg": (os.mkfifo, "Refused"),
    IMAGES / "000108.jpg": (lambda path: socket_at(path), "Refused"),
    IMAGES / "round": (lambda path: path.symlink_to("."), "Refused"),
    IMAGES / "\x1b[31m[bold]<script>|`.jpg": (lambda path: path.write_bytes(b"x"), "Unmatched"),
    IMAGES / "no\udcffutf.jpg": (lambda path: path.write_bytes(b"x"), "Refused"),
    REALS / "100.mp4": (lambda path: path.write_bytes(b""), "EmptyMedia"),
    REALS / "101.mp4": (lambda path: path.write_text("text"), "UnreadableMedia"),
    REALS / "102.mp4": (lambda path: path.write_bytes(os.urandom(50_000)), "UnreadableMedia"),
    REALS / "103.mp4": (lambda path: cut(path.with_name("000.mp4"), path, 0.6), "LostFrames"),
}


def socket_at(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name may have 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind(path.name)
    finally:
        os.chdir(here)


def test_bad_media_are_recorded_with_path_and_reason_and_cost_nobody_else(place: Place, mmidd: Run) -> None:
    before = pq.read_table(place.out / "media.parquet").num_rows
    for path, (make, _) in BAD_MEDIA.items():
        make(place.root / path)
    built = mmidd(*place.words("build"))
    assert built.code == 3, built.err
    failures = {entry["media"]: entry for entry in mmidd("failures", str(place.work), "--json").document}
    wanted = {
        str(Path(*path.parts[2:])).encode(errors="backslashreplace").decode(): error
        for path, (_, error) in BAD_MEDIA.items()
    }
    assert {media: entry["error"] for media, entry in failures.items()} == wanted
    assert all(entry["message"] and str(place.root) not in entry["message"] for entry in failures.values())
    assert "file_cut_off" in failures["original_sequences/youtube/c23/videos/103.mp4"]["message"]
    shown = mmidd("failures", str(place.work))
    assert shown.code == 3 and "\x1b" not in shown.out and "?[31m[bold]<script>|`.jpg" in shown.out
    listed = pq.read_table(place.out / "media.parquet").num_rows
    assert listed == before + len(wanted) - sum(error == "Unmatched" for error in wanted.values())
    assert mmidd("verify", str(place.out)).code == 0
    assert "\x1b" not in (place.out / "README.md").read_text()


@pytest.fixture
def deep(place: Place) -> Iterator[Path]:
    """A folder 1,200 levels down; taken away here, for `shutil.rmtree` cannot."""
    top = folder = place.data / "CelebA"
    for _ in range(1200):
        folder /= "d"
        folder.mkdir()
    yield folder
    while folder != top:
        folder.rmdir()
        folder = folder.parent


def test_a_folder_a_thousand_deep_is_listed_as_any_other(deep: Path, place: Place, mmidd: Run) -> None:
    file = deep / "file.jpg"
    file.write_text("x")
    try:
        assert mmidd(*place.words("build")).code == 0
        assert [entry["error"] for entry in mmidd("failures", str(place.work), "--json").document] == ["Unmatched"]
    finally:
        file.unlink()


LABELS = [
    ("cut off", SPLITS / "train.json", '[["000", "00', "train.json:1:"),
    ("an object", SPLITS / "train.json", '{"a": 1}', "expected a JSON list"),
    ("one name", SPLITS / "train.json", '[["000"]]', "no '1' here"),
    ("nested", SPLITS / "train.json", "[" * 100_000, "nested too deep"),
    ("not text", SPLITS / "train.json", b"\xff\xfe\x00", "not UTF-8"),
    ("columns", Path("data/CelebA/list_eval_partition.txt"), "000001.jpg\n", "columns"),
]


@pytest.mark.parametrize(("path", "text", "told"), [row[1:] for row in LABELS], ids=[row[0] for row in LABELS])
def test_a_broken_label_file_stops_the_build_with_its_place(
    path: Path, text: str | bytes, told: str, place: Place, mmidd: Run
) -> None:
    (place.root / path).write_bytes(text if isinstance(text, bytes) else text.encode())
    before = contents(place.out)
    said = mmidd(*place.words("build"))
    assert said.code == 1
    assert path.parts[1] in said.err and path.name in said.err and told in said.err
    assert contents(place.out) == before


def test_media_without_a_label_are_told_and_end_a_build_as_refused_files_do(place: Place, mmidd: Run) -> None:
    path = place.data / "CelebA/list_eval_partition.txt"
    path.write_text(path.read_text().replace("000001.jpg 0", "000001.jpg 7").replace("000001.jpg 1", "000001.jpg 7"))
    said = mmidd(*place.words("build", "--allow-removals"))
    assert said.code == 3
    assert "1 media were lost for want of a label" in said.err and "bad split value '7'" in said.err
    rows = {row["media"]: row for row in pq.read_table(place.out / "media.parquet").to_pylist()}
    lost = rows["img_align_celeba/000001.jpg"]
    assert (lost["outcome"], lost["error"]) == ("failed", "Unlabelled") and "bad split value '7'" in lost["message"]
    assert mmidd("verify", str(place.out)).code == 0
    assert [entry["error"] for entry in mmidd("failures", str(place.work), "--json").document] == ["Unlabelled"]


def test_a_short_list_is_told_and_no_split_is_called_official_by_it(place: Place, mmidd: Run) -> None:
    before = pq.read_table(place.out / "media.parquet").to_pylist()
    assert {row["split_basis"] for row in before if row["dataset"] == "FaceForensics++"} == {"official"}
    path = place.root / SPLITS / "train.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:100]))
    said = mmidd(*place.words("build"))
    assert said.code == 0, said.err
    told = "train.json: 1 of 100 rows (the official file has 360) name media that are here"
    assert told in said.err and "no split is official by it" in said.err
    rows = pq.read_table(place.out / "media.parquet").to_pylist()
    mine = {(row["split"], row["split_basis"]) for row in rows if row["dataset"] == "FaceForensics++"}
    assert mine == {("train", "partial")}
    card = (place.out / "README.md").read_text()
    assert "| FaceForensics++ | dataset/splits/train.json |" in card and "no split is official by it" in card


def test_a_label_file_of_gigabytes_is_refused_before_it_is_read(place: Place, mmidd: Run) -> None:
    os.truncate(place.root / SPLITS / "train.json", 2**40)
    said = mmidd(*place.words("build"))
    assert said.code == 1 and "train.json" in said.err and "more than" in said.err


def test_a_label_file_that_is_a_folder_counts_as_missing_and_is_told(place: Place, mmidd: Run) -> None:
    (place.root / SPLITS / "train.json").unlink()
    (place.root / SPLITS / "train.json").mkdir()
    said = mmidd(*place.words("build"))
    assert said.code == 0, said.err


def test_one_dataset_under_two_names_is_an_error(place: Place, mmidd: Run) -> None:
    shutil.copytree(place.data / "CelebA", place.data / "celeba")
    said = mmidd(*place.words("build"))
    assert said.code == 1 and "twice" in said.err


def test_a_dataset_may_be_a_link_to_elsewhere(place: Place, mmidd: Run) -> None:
    before = contents(place.out)
    (place.data / "CelebA").rename(place.root / "elsewhere")
    (place.data / "CelebA").symlink_to(place.root / "elsewhere")
    said = mmidd(*place.words("build"))
    assert said.code == 0 and "(unchanged)" in said.err
    assert contents(place.out) == before


def test_fakes_without_their_reals_are_extracted_on_their_own(place: Place, mmidd: Run) -> None:
    shutil.rmtree(place.root / REALS)
    shutil.rmtree(place.out)
    said = mmidd(*place.words("build", "--only", "FaceForensics++"))
    assert said.code == 0 and "whose real is not there" in said.err
    rows = pq.read_table(sorted((place.out / "data").glob("*.parquet"))[0]).to_pylist()
    assert {row["geometry"] for row in rows} == {"own"} and {row["pair_media"] for row in rows} == {None}


def test_where_everything_fails_the_old_corpus_stays(place: Place, mmidd: Run) -> None:
    before = contents(place.out)
    for path in (*place.data.rglob("*.mp4"), *place.data.rglob("*.jpg")):
        path.write_text("broken")
    said = mmidd(*place.words("build"))
    assert said.code == 1 and "no sample is left" in said.err
    assert contents(place.out) == before
    assert mmidd("failures", str(place.work)).code == 3


@pytest.mark.parametrize("path", ["README.md", "media.parquet"])
def test_a_damaged_note_of_the_corpus_is_made_again(path: str, place: Place, mmidd: Run) -> None:
    before = contents(place.out)
    (place.out / path).write_bytes(b"damaged")
    assert mmidd("verify", str(place.out)).code == 4
    assert mmidd(*place.words("build")).code == 0
    assert contents(place.out) == before


def test_a_damaged_old_corpus_is_no_traceback(place: Place, mmidd: Run) -> None:
    before = contents(place.out)
    shard = sorted((place.out / "data").glob("*.parquet"))[0]
    shard.write_bytes(b"damaged")
    said = mmidd(*place.words("build"))
    assert said.code == 1 and "cannot be read" in said.err and "--allow-removals" in said.err
    assert mmidd(*place.words("build", "--allow-removals")).code == 0
    assert contents(place.out) == before


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = [
    ("data/extract/*/*.blobs.bin", flip, 1),
    ("data/extract/*/*.rows.parquet", flip, 1),
    ("data/extract/*/*.outcomes.parquet", flip, 1),
    ("data/caption/*/*.rows.parquet", flip, 1),
    ("data/curate/*/*.rows.parquet", flip, 1),
    ("data/index/*/*.rows.parquet", flip, 1),
    ("data/extract/*/*.blobs.bin", halve, 0),
    ("data/extract/*/*.rows.parquet", Path.unlink, 0),
    ("data/caption/*/*.rows.parquet", Path.unlink, 0),
    ("records/*/*/*.json", flip, 0),
    ("records/*/*/*.json", Path.unlink, 0),
    ("digests/*", flip, 0),
    ("digests/*", Path.unlink, 0),
]


@pytest.mark.parametrize(("pattern", "harm", "code"), DAMAGE, ids=[f"{how.__name__} {what}" for what, how, _ in DAMAGE])
def test_a_damaged_work_folder_is_told_or_mended_and_never_a_wrong_corpus(
    pattern: str, harm: Callable[[Path], None], code: int, place: Place, mmidd: Run
) -> None:
    before = contents(place.out)
    shutil.rmtree(place.out)
    hurt = sorted(place.work.glob(pattern))
    assert hurt
    for path in hurt:
        harm(path)
    said = mmidd(*place.words("build"))
    assert said.code == code, said.err
    if code:
        assert "is damaged" in said.err and "Delete that file" in said.err and not place.out.exists()
        for path in hurt:
            path.unlink()
        assert mmidd(*place.words("build")).code == 0
    assert contents(place.out) == before


def test_captions_are_never_made_from_damaged_crops(place: Place, mmidd: Run) -> None:
    shutil.rmtree(place.work / "records/caption")
    for path in place.work.glob("data/extract/*/*.blobs.bin"):
        flip(path)
    said = mmidd(*place.words("build"))
    assert said.code == 1 and "blobs.bin is damaged" in said.err
    assert not list((place.work / "records").glob("caption/*/*.json"))


def test_a_file_that_cannot_be_read_is_listed_until_it_can(
    place: Place, mmidd: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(place.out)
    closed = place.root / IMAGES / "000001.jpg"
    os.utime(closed, ns=(1, 1))
    opened = Path.open

    def refuse(self: Path, *words: object, **options: object) -> object:
        if self.name == closed.name:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *words, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:  # tests may run as root, whom no file mode keeps out
        patch.setattr(Path, "open", refuse)
        said = mmidd(*place.words("build", "--allow-removals"))
        assert said.code == 3, said.err
    (entry,) = mmidd("failures", str(place.work), "--json").document
    assert (entry["media"], entry["error"]) == ("img_align_celeba/000001.jpg", "UnreadableMedia")
    assert entry["message"] == "cannot be read: Permission denied"
    assert mmidd(*place.words("build")).code == 0
    assert contents(place.out) == before


@pytest.mark.parametrize("error", [OSError(5, "Input/output error", "/disk/x"), BrokenPipeError()], ids=["disk", "pipe"])
def test_what_the_system_refuses_is_no_traceback(
    error: OSError, place: Place, mmidd: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("mmidd.show.data.datasets", lambda *_, **__: fail())
    assert mmidd("datasets").code == 1


def test_a_name_with_escape_sequences_and_markup_is_shown_harmlessly(place: Place, mmidd: Run) -> None:
    said = mmidd("verify", "no\x1b[31m[bold]thing\u202e")
    assert said.code == 1 and "no?[31m[bold]thing?" in said.err and "\x1b" not in said.err


def test_the_error_of_a_full_disk_says_how_to_go_on(place: Place, mmidd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(place.out)
    shutil.rmtree(place.out)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mmidd.stages.shard.write_shard", full)
        said = mmidd(*place.words("build"))
    assert said.code == 1 and "the disk is full" in said.err and "run the same command" in said.err
    assert not place.out.exists()
    assert mmidd(*place.words("build")).code == 0
    assert contents(place.out) == before


def test_a_work_folder_note_that_is_broken_stops_no_build(place: Place, mmidd: Run) -> None:
    (place.work / "build.json").write_text("{")
    assert mmidd("status", str(place.work)).code == 1
    assert mmidd(*place.words("build")).code == 0
    assert json.loads((place.work / "build.json").read_text())
    assert cli.run(["status", str(place.work)]) == 0


def test_a_clip_without_an_index_that_is_cut_is_told_as_shorter_than_it_says(place: Place, mmidd: Run) -> None:
    real = place.data / "FaceForensics++/original_sequences/youtube/c23/videos/000.mp4"
    whole = real.with_name("whole")
    with av.open(str(real)) as read, av.open(str(whole), "w", format="matroska") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                write.mux(packet)
    real.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    whole.unlink()
    said = mmidd(*place.words("build"), "--allow-removals")
    assert "1 media are shorter than their header says" in said.err and "videos/000.mp4" in said.err, said.err
