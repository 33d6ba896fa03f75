from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import pytest
from PIL import Image

from mmidd.errors import DataError
from mmidd.sampledata import MARKER, layouts, write_sample
from mmidd.sampledata.shots import FACE_SWAP_SHORT

OFFICIAL = {
    "FaceForensics++": r"original_sequences/youtube/c(23|40)/videos/\d{3}\.mp4"
    r"|original_sequences/actors/c23/videos/\d{2}__[a-z_]+\.mp4"
    r"|manipulated_sequences/(Deepfakes|FaceSwap|Face2Face|NeuralTextures|FaceShifter)/c(23|40)/videos/\d{3}_\d{3}\.mp4"
    r"|manipulated_sequences/DeepFakeDetection/c23/videos/\d{2}_\d{2}__[a-z_]+__[A-Z0-9]{8}\.mp4"
    r"|manipulated_sequences/Deepfakes/masks/videos/\d{3}_\d{3}\.mp4"
    r"|dataset/splits/(train|val|test)\.json",
    "Celeb-DF-v2": r"Celeb-real/id\d+_\d{4}\.mp4|YouTube-real/\d{5}\.mp4|Celeb-synthesis/id\d+_id\d+_\d{4}\.mp4"
    r"|List_of_testing_videos\.txt",
    "DFDC": r"train/dfdc_train_part_0/([a-z]{10}\.mp4|metadata\.json)|test/([a-z]{10}\.mp4|labels\.csv)",
    "DeepFakeFace": r"(wiki|text2img|inpainting|insight)/\d{2}/\d+_\d{4}-\d{2}-\d{2}_\d{4}\.jpg|notes\.txt",
    "DFFD": r"(ffhq|celeba|faceapp|stargan|pggan_v1|pggan_v2|stylegan_celeba|stylegan_ffhq)"
    r"/(train|validation|test)/\d{5}\.png",
    "CelebA": r"img_align_celeba/\d{6}\.jpg|identity_CelebA\.txt|list_eval_partition\.txt",
    "FFHQ": r"images1024x1024/\d{2}000/\d{5}\.png",
}


def _files(root: Path) -> dict[str, str]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _length(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("tiny", [True, False])
def test_every_file_has_an_official_name(tiny: bool) -> None:
    files = layouts.plan(tiny)
    assert {file.dataset for file in files} == set(OFFICIAL)
    assert [f"{file.dataset}/{file.path}" for file in files if not re.fullmatch(OFFICIAL[file.dataset], file.path)] == []
    assert max(Counter((file.dataset, file.path) for file in files).values()) == 1


@pytest.mark.parametrize(("tiny", "videos", "images"), [(True, 30, 60), (False, 60, 160)])
def test_the_sample_stays_small(tiny: bool, videos: int, images: int) -> None:
    suffixes = Counter(Path(file.path).suffix for file in layouts.plan(tiny))
    assert suffixes[".mp4"] <= videos
    assert suffixes[".jpg"] + suffixes[".png"] <= images


def test_the_tree_holds_what_was_planned_and_says_what_it_is(tiny: Path) -> None:
    planned = {f"{file.dataset}/{file.path}" for file in layouts.plan(tiny=True)}
    assert set(_files(tiny)) == planned | {MARKER, "README.txt"}
    assert "no benchmark" in (tiny / "README.txt").read_text()


def test_a_second_run_writes_the_same_bytes_into_an_empty_folder_and_reports_each_file(tiny: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    (tmp_path / "again").mkdir()
    counts = write_sample(tmp_path / "again", size="tiny", report=lambda *step: seen.append(step))
    assert _files(tmp_path / "again") == _files(tiny)
    assert len(seen) == sum(counts.values()) == len(_files(tiny)) - 2
    last = {dataset: (done, total) for dataset, done, total in seen}
    assert last == {dataset: (count, count) for dataset, count in counts.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["again"], "nothing is left beside"


def test_images_decode_and_every_video_is_as_long_as_its_real(tiny: Path) -> None:
    lengths = {path.relative_to(tiny).as_posix(): _length(path) for path in tiny.rglob("*.mp4")}
    ff = {name: n for name, n in lengths.items() if name.startswith("FaceForensics++/manipulated")}
    for name, length in ff.items():
        if "DeepFakeDetection" not in name:
            real = f"FaceForensics++/original_sequences/youtube/c23/videos/{Path(name).stem[:3]}.mp4"
            assert length == lengths[real] - (FACE_SWAP_SHORT if "/FaceSwap/" in name else 0), name
    assert min(lengths.values()) >= 9
    for path in [*tiny.rglob("*.jpg"), *tiny.rglob("*.png")]:
        with Image.open(path) as image:
            image.load()
            assert image.mode == "RGB"
    with Image.open(tiny / "CelebA/img_align_celeba/000001.jpg") as image:
        assert image.size == (178, 218)


def test_the_faceforensics_splits_name_the_pairs_of_the_tree(tiny: Path) -> None:
    root = tiny / "FaceForensics++"
    names = ("train", "val", "test")
    splits = {name: json.loads((root / f"dataset/splits/{name}.json").read_text()) for name in names}
    listed = [clip for pairs in splits.values() for pair in pairs for clip in pair]
    reals = {path.stem for path in root.glob("original_sequences/youtube/c23/videos/*.mp4")}
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 360, "val": 70, "test": 70}, (
        "as long as official"
    )
    assert reals < set(listed) and max(Counter(listed).values()) == 1
    pairs = {frozenset(pair) for pairs in splits.values() for pair in pairs}
    for path in root.glob("manipulated_sequences/*/c*/videos/???_???.mp4"):
        assert frozenset(path.stem.split("_")) in pairs


def test_all_methods_of_the_small_sample_cross_the_splits_of_their_clips() -> None:
    paths = [file.path for file in layouts.plan(tiny=False) if file.dataset == "FaceForensics++"]
    for method in layouts.FF_METHODS:
        stems = {Path(path).stem for path in paths if f"/{method}/c23/" in path}
        assert {f"{b}_{a}" for a, b in (stem.split("_") for stem in stems)} == stems, "both directions"
        assert len(stems) >= 4


def test_the_celeb_df_list_names_files_and_marks_reals_with_one(tiny: Path) -> None:
    lines = (tiny / "Celeb-DF-v2/List_of_testing_videos.txt").read_text().splitlines()
    assert len(set(lines)) == 518, "as long as the official one"
    here = [path for _, path in map(str.split, lines) if (tiny / "Celeb-DF-v2" / path).is_file()]
    assert here and lines[0].endswith(here[0])
    for mark, path in map(str.split, lines):
        assert (mark == "1") == (not path.startswith("Celeb-synthesis"))


def test_the_dfdc_tables_name_every_clip(tiny: Path) -> None:
    part = tiny / "DFDC/train/dfdc_train_part_0"
    metadata = json.loads((part / "metadata.json").read_text())
    assert set(metadata) == {path.name for path in part.glob("*.mp4")}
    assert Counter(entry["label"] for entry in metadata.values()).keys() == {"REAL", "FAKE"}
    for entry in metadata.values():
        if entry["label"] == "FAKE":
            assert metadata[entry["original"]]["label"] == "REAL"
    with (tiny / "DFDC/test/labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert {row["filename"] for row in rows} == {path.name for path in (tiny / "DFDC/test").glob("*.mp4")}
    assert {row["label"] for row in rows} == {"0", "1"}


def test_deepfakeface_has_every_name_in_all_four_folders(tiny: Path) -> None:
    root = tiny / "DeepFakeFace"
    names = [
        {path.relative_to(root / folder).as_posix() for path in (root / folder).rglob("*.jpg")}
        for folder in ("wiki", "text2img", "inpainting", "insight")
    ]
    assert names[0] and all(found == names[0] for found in names)


@pytest.mark.parametrize("tiny_plan", [True, False])
def test_celeba_keeps_each_identity_in_one_partition(tiny_plan: bool, tmp_path: Path) -> None:
    files = {file.path: file for file in layouts.plan(tiny_plan) if file.dataset == "CelebA"}
    tables = {}
    for name in ("identity_CelebA.txt", "list_eval_partition.txt"):
        files[name].write(tmp_path / name)
        tables[name] = dict(line.split(" ") for line in (tmp_path / name).read_text().splitlines())
    identities, partitions = tables.values()
    images = {Path(path).name for path in files if path.endswith(".jpg")}
    assert set(identities) == set(partitions) == images
    assert set(partitions.values()) == {"0", "1", "2"}
    assert all(len({partitions[i] for i in images if identities[i] == who}) == 1 for who in identities.values())


def test_exactly_one_image_is_a_byte_for_byte_twin(tiny: Path) -> None:
    media = {name: digest for name, digest in _files(tiny).items() if Path(name).suffix in (".jpg", ".png", ".mp4")}
    twins = [digest for digest, count in Counter(media.values()).items() if count > 1]
    assert len(twins) == 1
    assert [name for name in sorted(media) if media[name] == twins[0]] == [
        "CelebA/img_align_celeba/000003.jpg",
        "CelebA/img_align_celeba/000007.jpg",
    ]


def test_odd_media_are_there_on_purpose(tiny: Path) -> None:
    with av.open(str(tiny / "Celeb-DF-v2/YouTube-real/00000.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len({round(b - a, 3) for a, b in pairwise(times)}) > 1, "uneven frame times"
    rotations = []
    for path in (tiny / "DFDC/test").glob("*.mp4"):
        with av.open(str(path)) as container:
            rotations.append(next(container.decode(video=0)).rotation)
    assert sorted(rotations) == [0, 90]


def test_an_intact_sample_is_left_alone(tiny: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*")}
    counts = write_sample(tiny, size="tiny")
    assert counts == dict(Counter(file.dataset for file in layouts.plan(tiny=True)))
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*")} == before


def _foreign(root: Path) -> None:
    root.mkdir()
    (root / "thesis.tex").write_text("irreplaceable")


def _a_file(root: Path) -> None:
    root.write_text("irreplaceable")


def _broken_marker(root: Path) -> None:
    root.mkdir()
    (root / MARKER).write_text("{")


def _marker_of_something_else(root: Path) -> None:
    root.mkdir()
    (root / MARKER).write_text('{"version": 1, "size": "tiny", "files": {"../elsewhere": "0"}}')


def _other_size(root: Path) -> None:
    root.mkdir()
    (root / MARKER).write_text('{"version": 1, "size": "small", "files": {}}')


def _damaged(root: Path) -> None:
    root.mkdir()
    (root / MARKER).write_text('{"version": 1, "size": "tiny", "files": {"FFHQ/a.png": "0"}}')


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_foreign, "not empty"),
        (_a_file, "not a folder"),
        (_broken_marker, "no mmidd sample"),
        (_marker_of_something_else, "no mmidd sample"),
        (_other_size, "another sample"),
        (_damaged, r"FFHQ/a\.png is missing"),
    ],
)
def test_a_folder_that_holds_something_else_is_refused_and_untouched(
    tmp_path: Path, prepare: Callable[[Path], None], reason: str
) -> None:
    root = tmp_path / "s"
    prepare(root)
    before = _files(tmp_path)
    with pytest.raises(DataError, match=reason):
        write_sample(root, size="tiny")
    assert _files(tmp_path) == before


def test_a_place_that_cannot_be_written_is_an_error_without_leftovers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot write the sample"):
        write_sample(tmp_path / "file" / "s", size="tiny")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(dataset: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "s", size="tiny", report=interrupt)
    assert list(tmp_path.iterdir()) == []
