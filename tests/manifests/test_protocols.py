"""The papers' protocols, end to end on small copies of every dataset: what each bundled recipe takes, and where it goes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmidd.engine.units import Item, Resources, Task
from mmidd.errors import DataError
from mmidd.flow.indexing import Indexed
from mmidd.manifest import find_manifest
from mmidd.options import Options
from mmidd.project import Project
from mmidd.recipe import bundled, read
from mmidd.stages import curate

from . import test_attacks, test_benchmarks, test_datasets, test_sources
from .trees import whole

FF, CDF = "FaceForensics++", "Celeb-DF-v2"
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
PAIRS = {"train": ("000", "003"), "val": ("001", "870"), "test": ("993", "989")}
DFDC_META = {"aaaaaaaaaa.mp4": {"label": "REAL"}, "bbbbbbbbbb.mp4": {"label": "FAKE", "original": "aaaaaaaaaa.mp4"}}

TREES: dict[str, list[str]] = {
    FF: [
        *(
            f"original_sequences/youtube/{compression}/videos/{clip}.mp4"
            for compression in ("c23", "c40") for pair in PAIRS.values() for clip in pair
        ),
        *(
            f"manipulated_sequences/{method}/c23/videos/{a}_{b}.mp4"
            for method in METHODS for one, other in PAIRS.values() for a, b in ((one, other), (other, one))
        ),
        "original_sequences/actors/c23/videos/01__walking.mp4",
        "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walking__ABCDEFGH.mp4",
    ],
    CDF: [
        *(f"Celeb-real/id0_000{take}.mp4" for take in range(3)), "YouTube-real/00001.mp4", "YouTube-real/00002.mp4",
        *(f"Celeb-synthesis/id0_id1_000{take}.mp4" for take in range(2)),
    ],
    "DF40": [
        "fsgan/ff/frames/993_989/000.png", "fsgan/cdf/frames/id0_id1_0000/000.png", "StyleGAN2/ff/989/000.png",
        "stargan/real/1.png", "stargan/fake/1.png", "DF40_train/fsgan/frames/000_003/000.png",
        "DF40_train/StyleGAN2/000/000.png",
    ],
    "DFDC": [f"dfdc_train_part_0/{name}" for name in DFDC_META] + ["test/iiiiiiiiii.mp4", "test/jjjjjjjjjj.mp4"]
    + ["validation/gggggggggg.mp4"],
    "UADFV": ["real/0000.mp4", "fake/0000_fake.mp4"],
    "WildDeepfake": [f"{label}_{split}/7/{label}/9/0.png" for label in ("real", "fake") for split in ("train", "test")],
    "GenImage": [
        f"ADM/imagenet_ai_0508_adm/{split}/{label}/{split}-{label}.png"
        for split in ("train", "val") for label in ("ai", "nature")
    ],
    "DFDM": [f"DFDM_crf23/{model}/id0_id1_0000_{model}.mp4" for model in ("IAE", "Faceswap")],
    "FFIW-10K": [f"{part}/{split}/{split}.mp4" for part in ("source", "target") for split in ("train", "val", "test")],
}  # fmt: skip
LISTS: dict[str, dict[str, str | bytes]] = {
    FF: {f"dataset/splits/{split}.json": json.dumps([pair]) for split, pair in PAIRS.items()},
    CDF: {
        "List_of_testing_videos.txt": whole(
            "1 Celeb-real/id0_0001.mp4\n1 YouTube-real/00001.mp4\n0 Celeb-synthesis/id0_id1_0001.mp4\n"
        )
    },
    "DFDC": {
        "dfdc_train_part_0/metadata.json": json.dumps(DFDC_META),
        "test/metadata.json": '{"iiiiiiiiii.mp4": {"is_fake": 1}, "jjjjjjjjjj.mp4": {"is_fake": 0}}',
        "validation/labels.csv": "filename,label\ngggggggggg.mp4,FAKE\n",
    },
}
EXAMPLES = (test_datasets, test_benchmarks, test_sources, test_attacks)


def _tree(dataset: str) -> tuple[list[str], Mapping[str, str | bytes]]:
    """The files and the lists of a small copy: ours, or every layout that the tests of its manifest have."""
    if dataset in TREES:
        return TREES[dataset], LISTS.get(dataset, {})
    cases = [case for module in EXAMPLES for case in module.CASES if case[0] == dataset]
    lists = {path: text for module in EXAMPLES for path, text in module.LABELS.get(dataset, {}).items()}
    pairs = [case[2].get("pair_media") for case in cases if case[2].get("pair_dataset") in (None, dataset)]
    return [*(case[1] for case in cases), *filter(None, pairs)], lists


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("protocols")
    for dataset in sorted({entry.name for name in bundled() for entry in read(name).datasets}):
        paths, lists = _tree(dataset)
        assert paths, dataset
        for path in {*paths, *lists}:
            place = root / find_manifest(dataset).folders[0] / path
            place.parent.mkdir(parents=True, exist_ok=True)
            text = lists.get(path, dataset + path)
            place.write_bytes(text.encode() if isinstance(text, str) else text)
    return root


@dataclass(frozen=True)
class Taken:
    """What a recipe takes: the index, and of each taken medium its split and group."""

    indexed: Indexed
    split: Mapping[tuple[str, str], str]
    group: Mapping[tuple[str, str], str]

    def of(self, dataset: str) -> set[tuple[str, str]]:
        return {(split, media) for (name, media), split in self.split.items() if name == dataset}

    def count(self, dataset: str) -> dict[tuple[str, str], int]:
        """Media by split and label or method."""
        rows = {(row["dataset"], row["media"]): row for row in self.indexed.media.to_pylist()}
        told = (
            (split, rows[name]["method"] or rows[name]["label"]) for name, split in self.split.items() if name[0] == dataset
        )
        return dict(Counter(told))


def _take(name: str, data: Path, out: Path, *settings: str) -> Taken:
    indexed = Project(Options(name, str(data), out / name, settings=(*settings, "detector=mtcnn"), workers=0)).index()
    recipe = read(name, settings)
    payload = curate.CuratePayload((), indexed.judged, {})
    judged = curate.run(Task((Item("*", ".", (), payload),)), curate.config(recipe), Resources()).rows.to_pylist()
    assert set(indexed.selected) | set(indexed.dropped) == {(row["dataset"], row["media"]) for row in judged}
    assert not set(indexed.selected) & set(indexed.dropped)
    kept = [row for row in judged if (row["dataset"], row["media"]) in indexed.selected and row["drop"] is None]
    return Taken(
        indexed,
        {(row["dataset"], row["media"]): row["split"] for row in kept},
        {(row["dataset"], row["media"]): row["group"] for row in kept},
    )


@pytest.fixture(scope="module")
def taken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Taken]:
    out = tmp_path_factory.mktemp("out")
    return {name: _take(name, data, out) for name in bundled()}


TESTS = sorted(name for name in bundled() if name.endswith("-test"))


def test_every_test_recipe_is_named_after_what_is_trained_for_it() -> None:
    assert TESTS == ["lnclip-test", "mmi-dd-test", "oulu-p1-test", "oulu-p2-test"]
    assert {name.removesuffix("-test") for name in TESTS} <= set(bundled())


@pytest.mark.parametrize("name", TESTS)
def test_a_test_recipe_puts_everything_in_test(name: str, taken: dict[str, Taken]) -> None:
    assert set(taken[name].split.values()) == {"test"}


@pytest.mark.parametrize("name", sorted(bundled()))
def test_every_dataset_of_a_recipe_gives_media(name: str, taken: dict[str, Taken]) -> None:
    assert {dataset for dataset, _ in taken[name].split} == {entry.name for entry in read(name).datasets}
    assert not taken[name].indexed.absent


def _trained(found: Taken) -> set[tuple[str, str]]:
    return {name for name, split in found.split.items() if split != "test"}


def _real(found: Taken, names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    rows = {(row["dataset"], row["media"]): row for row in found.indexed.media.to_pylist()}
    return {(rows[n]["pair_dataset"] or n[0], rows[n]["pair_media"]) for n in names if rows[n]["pair_media"]}


@pytest.mark.parametrize("name", TESTS)
def test_no_recipe_trains_on_what_its_test_recipe_holds(name: str, taken: dict[str, Taken]) -> None:
    train, test = taken[name.removesuffix("-test")], taken[name]
    ours, theirs = _trained(train), set(test.split)
    assert ours and theirs
    assert not ours & theirs
    assert not _real(test, theirs) & ours and not _real(train, ours) & theirs
    assert not {train.group[each] for each in ours} & set(test.group.values())


OULU = "OULU-NPU"
IN_DOMAIN = {"mmi-dd-test": {"DF40", FF}, "lnclip-test": {FF}, "oulu-p1-test": {OULU}, "oulu-p2-test": {OULU}}
"""What a protocol trains on too, in other media: all else that is tested on is of datasets that were never seen."""


@pytest.mark.parametrize("name", TESTS)
def test_what_is_tested_across_domains_is_of_no_dataset_that_is_trained_on(name: str, taken: dict[str, Taken]) -> None:
    ours = {dataset for dataset, _ in _trained(taken[name.removesuffix("-test")])}
    assert ours & {dataset for dataset, _ in taken[name].split} == IN_DOMAIN[name]


def test_mmi_dd_as_it_was_trained_on_datasets_that_it_is_tested_on_across_domains(
    data: Path, taken: dict[str, Taken], tmp_path: Path
) -> None:
    old = _take("mmi-dd", data, tmp_path, "datasets=[DFDC, Celeb-DF-v2, DF40]")
    ours = {dataset for dataset, _ in _trained(old)}
    assert {"DFDC", CDF} <= ours & {dataset for dataset, _ in taken["mmi-dd-test"].split} - IN_DOMAIN["mmi-dd-test"]


def test_ff_trains_on_dfd_which_lnclip_test_tests_on(taken: dict[str, Taken]) -> None:
    """So whoever trains on `ff++` is refused by `mmidd.studies.overlap`; `lnclip` is for that."""
    both = set(taken["ff++"].split) & set(taken["lnclip-test"].split)
    dfd = {media for _, media in both if "DeepFakeDetection" in media or "actors" in media}
    assert dfd and dfd & {media for _, media in _trained(taken["ff++"])}


def test_mmi_dd_is_its_eleven_sources_and_the_reals_of_one(taken: dict[str, Taken]) -> None:
    names = [entry.name for entry in read("mmi-dd").datasets]
    eleven = {
        "DF40", "DeepFakeFace", "DFFD", "DFDC Preview", "KoDF", FF, "DeepfakeTIMIT", "CelebA", "CelebA-HQ", "CelebV-HQ",
        "FFHQ",
    }  # fmt: skip
    assert set(names) == eleven | {"VidTIMIT"} and len(names) == 12
    assert taken["mmi-dd"].of("DF40") == {
        ("train", "DF40_train/StyleGAN2/000"), ("train", "DF40_train/fsgan/frames/000_003"),
    }  # fmt: skip


def test_mmi_dd_test_takes_the_test_parts_and_the_reals_that_df40_lacks(taken: dict[str, Taken]) -> None:
    found = taken["mmi-dd-test"]
    assert {media for _, media in found.of("DFDC")} == {"test/iiiiiiiiii.mp4", "test/jjjjjjjjjj.mp4"}
    assert {media.split("/")[0] for _, media in found.of("WildDeepfake")} == {"real_test", "fake_test"}
    assert {media.split("/")[2] for _, media in found.of("GenImage")} == {"val"}
    assert len(found.of("UADFV")) == 2
    assert {media for _, media in found.of("DF40")} == {
        "fsgan/ff/frames/993_989", "fsgan/cdf/frames/id0_id1_0000", "StyleGAN2/ff/989", "stargan/real/1.png",
        "stargan/fake/1.png",
    }  # fmt: skip
    assert found.of(FF) == {("test", "original_sequences/youtube/c23/videos/993.mp4")}
    assert found.of(CDF) == {("test", "Celeb-real/id0_0000.mp4")}


@pytest.mark.parametrize(
    ("name", "methods", "splits"),
    [("ff++", METHODS, ("train", "validation", "test")), ("lnclip", METHODS[:4], ("train", "validation"))],
)
def test_ff_is_taken_by_the_official_lists(
    name: str, methods: tuple[str, ...], splits: tuple[str, ...], taken: dict[str, Taken]
) -> None:
    found = taken[name].count(FF)
    wanted = {(split, what): 2 for split in splits for what in ("real", *methods)}
    dfd = {key: count for key, count in found.items() if key[1] == "DeepFakeDetection"}
    if name == "ff++":
        (place,) = dfd
        wanted[(place[0], "real")] += 1
        wanted |= dfd
    assert found == wanted
    assert all(
        row["compression"] == "c23"
        for row in taken[name].indexed.media.to_pylist()
        if (FF, row["media"]) in taken[name].split
    )


def test_without_official_lists_a_recipe_that_takes_one_split_and_what_is_in_none_stops(data: Path, tmp_path: Path) -> None:
    """Else every clip would be one that is in none, and `lnclip-test` would test on what `lnclip` trains on."""
    root = tmp_path / "data"
    for path in (found for found in (data / "FaceForensics++").rglob("*") if found.is_file() and found.suffix != ".json"):
        place = root / path.relative_to(data)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    settings = ("datasets=[{name: FaceForensics++, compression: c23, splits: [test, none]}]", "detector=mtcnn")
    project = Project(Options("lnclip-test", str(root), tmp_path / "out", settings=settings, workers=0))
    with pytest.raises(
        DataError, match=r"FaceForensics\+\+: label files missing: .*dataset/splits/test.json.*official test split"
    ):
        project.plan()


def test_lnclip_leaves_out_with_a_reason_each(taken: dict[str, Taken]) -> None:
    dropped = Counter(taken["lnclip"].indexed.dropped.values())
    assert dropped == {"other_compression": 6, "other_split": 2 + 10 + 2, "other_method": 4}
    assert taken["lnclip"].indexed.dropped[FF, "original_sequences/actors/c23/videos/01__walking.mp4"] == "other_split"


def test_lnclip_test_takes_each_benchmark_s_test_part(taken: dict[str, Taken]) -> None:
    found = taken["lnclip-test"]
    assert found.count(FF) == {
        **{("test", method): 2 for method in METHODS}, ("test", "real"): 3, ("test", "DeepFakeDetection"): 1,
    }  # fmt: skip
    assert {media for _, media in found.of(CDF)} == {
        "Celeb-real/id0_0001.mp4", "YouTube-real/00001.mp4", "Celeb-synthesis/id0_id1_0001.mp4",
    }  # fmt: skip
    assert {media for _, media in found.of("DFDM")} == {"DFDM_crf23/IAE/id0_id1_0000_IAE.mp4"}
    assert {media for _, media in found.of("FFIW-10K")} == {"source/test/test.mp4", "target/test/test.mp4"}
    assert {label for _, label in found.count("IDForge")} == {"InfoSwap"}
    rows = {(row["dataset"], row["media"]): row for row in found.indexed.media.to_pylist()}
    everything = {name for name in rows if name[0] in ("KoDF", "FakeAVCeleb", "PolyGlotFake")}
    assert everything <= set(found.split)


def test_the_page_marks_the_datasets_whose_layout_is_not_the_authors_word() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8").split("## ")[0]
    names = {entry.name for name in bundled() if name != "sample" for entry in read(name).datasets}
    assert {name for name in names if f"{name}†" in page} == {name for name in names if not find_manifest(name).verified}
    assert {name for name in names if name not in page} == set()
    assert all(f"| `{name}` |" in page for name in bundled() if name != "sample")


def test_a_check_of_the_disk_sees_the_published_splits(taken: dict[str, Taken]) -> None:
    splits = Counter(row["split"] for row in taken["lnclip-test"].indexed.media.to_pylist() if row["dataset"] == FF)
    assert splits == {"train": 14, "validation": 14, "test": 14, None: 2}
