"""Presentation attacks: every rule of CelebA-Spoof, 3DMAD, SiW, SiW-Mv2 and WMCA by example, field by field."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from mmidd.manifest import find_manifest
from mmidd.manifest.insides import inside_of
from mmidd.manifest.methods import registry
from mmidd.media import Inside

from .trees import account, fields, only

CA, MAD, MV2 = "CelebA-Spoof", "3DMAD", "SiW-Mv2"
Labels = dict[str, str | bytes]
Case = tuple[str, str, dict[str, Any]]


def numbers(kind: int, label: int) -> list[int]:
    """A row of CelebA-Spoof: 40 attributes, spoof type, illumination, environment, live or spoof."""
    return [0] * 40 + [kind, 2, 1, label]


CA_ROWS = {
    "train": {f"Data/train/7/spoof/{kind:06d}.jpg": numbers(kind, 1) for kind in range(1, 11)}
    | {"Data/train/7/live/000100.png": numbers(0, 0)},
    "test": {
        "Data/test/8/live/000200.jpg": numbers(0, 0),
        "Data/test/8/live/000201.jpg": numbers(3, 1),
        "Data/test/8/spoof/000202.jpg": numbers(0, 0),
        "Data/test/8/spoof/000203.jpg": numbers(11, 1),
        "Data/test/8/spoof/000204.jpg": numbers(0, 1),
    },
}
LABELS: dict[str, Labels] = {
    CA: {f"metas/intra_test/{half}_label.json": json.dumps(rows) for half, rows in CA_ROWS.items()},
    MV2: {
        "pro_3_text/trainlist_all.txt": "Paper_20\nPaper_20\nMask_Mann_3\n",
        "pro_3_text/testlist_live.txt": "Live_92\n",
        "pro_3_text/trainlist_live.txt": "Live_7\n",
        "pro_3_text/testlist_all.txt": "Replay_59\n",
    },
}

NOBODY: dict[str, Any] = {"target_id": None, "group_keys": ()}
LIVE: dict[str, Any] = {"label": "real", "forgery_type": "REAL", "method": None, "source_id": None, "pair_media": None}


def attack(method: str, **more: Any) -> dict[str, Any]:
    return {"label": "fake", "forgery_type": None, "method": method, "source_id": None, "pair_media": None, **more}


def person(dataset: str, target: str, split: str | None) -> dict[str, Any]:
    return {"target_id": target, "group_keys": (f"{dataset}/identity/{target}",), "split": split}


CA_TYPES = ("photo", "poster", "A4", "face-mask", "upper-body-mask", "region-mask", "PC", "pad", "phone", "3D-mask")
MV2_FOLDERS = {
    "Makeup_Cosmetic": "cosmetic", "Makeup_Impersonation": "impersonation", "Makeup_Obfuscation": "obfuscation",
    "Mannequin": "mannequin", "Silicone": "silicone-mask", "Print": "print", "Replay": "replay",
    "Partial_FunnyeyeGlasses": "funny-eyes", "Partial_PaperGlasses": "paper-glasses", "Partial_Eye": "eye",
    "Partial_Mouth": "mouth", "Mask_HalfMask": "half-mask", "Mask_PaperMask": "paper-mask",
    "Mask_TransparentMask": "transparent-mask",
}  # fmt: skip
WMCA = {
    "glasses": ("1_01", "1_03", "1_07", "1_15", "1_16"),
    "rigid-mask": ("1_02", "1_13", "1_14", "2_12", "2_17"),
    "wig": ("1_08", "1_12"),
    "fake-head": ("2_01", "2_07"),
    "paper-mask": ("2_08", "2_11"),
    "flexible-mask": ("2_18", "2_75", "2_99"),
    "replay": ("3_05", "3_10", "3_15", "4_01", "4_02"),
    "print": ("3_01", "3_06", "3_99"),
    "makeup": ("5_01", "5_42"),
}
CASES: list[Case] = [
    *(
        (CA, f"Data/train/7/spoof/{kind:06d}.jpg",
         attack(f"{CA}-{name}", rule="spoof", kind="image") | person(CA, "7", "train"))
        for kind, name in enumerate(CA_TYPES, 1)
    ),
    (CA, "Data/train/7/live/000100.png", LIVE | {"rule": "live", "kind": "image"} | person(CA, "7", "train")),
    (CA, "Data/test/8/live/000200.jpg", LIVE | person(CA, "8", "test")),
    (MAD, "01_01_05.hdf5", LIVE | {"rule": "live-train", "kind": "hdf5"} | person(MAD, "01", "train")),
    (MAD, "Data/07_02_01.hdf5", LIVE | person(MAD, "07", "train")),
    (MAD, "session02/08_02_01.hdf5", LIVE | {"rule": "live-dev"} | person(MAD, "08", "validation")),
    (MAD, "12_01_01.hdf5", LIVE | person(MAD, "12", "validation")),
    (MAD, "17_01_01.hdf5", LIVE | {"rule": "live-test"} | person(MAD, "17", "test")),
    (MAD, "03_03_01.hdf5", attack("3DMAD-mask", rule="mask-train", kind="hdf5") | person(MAD, "03", "train")),
    (MAD, "10_03_05.hdf5", attack("3DMAD-mask", rule="mask-dev") | person(MAD, "10", "validation")),
    (MAD, "session03/13_03_05.hdf5", attack("3DMAD-mask", rule="mask-test") | person(MAD, "13", "test")),
    ("SiW", "Train/live/003/003-1-1-1-1.mov", LIVE | {"rule": "live", "kind": "video"} | person("SiW", "003", "train")),
    ("SiW", "Test/live/001/001-2-1-2-4.mp4", LIVE | person("SiW", "001", "test")),
    *(
        ("SiW", f"Train/spoof/003/003-1-2-{n}-1.mov", attack(f"SiW-print-{n}", rule="print") | person("SiW", "003", "train"))
        for n in (1, 2)
    ),
    *(
        ("SiW", f"Test/spoof/001/001-2-3-{n}-2.mov", attack(f"SiW-replay-{n}", rule="replay") | person("SiW", "001", "test"))
        for n in (1, 2, 3, 4)
    ),
    (MV2, "Live/Live_92.mov", LIVE | {"rule": "live", "kind": "video", **NOBODY, "split": "test"}),
    (MV2, "Live/Live_7.MOV", LIVE | {"split": "train"}),
    (MV2, "Live/Live_8.mp4", LIVE | {"split": None}),
    *(
        (MV2, f"Spoof/{folder}/Other_1.mp4", attack(f"{MV2}-{name}", rule="spoof", split=None, **NOBODY))
        for folder, name in MV2_FOLDERS.items()
    ),
    (MV2, "Spoof/Print/Paper_20.mov", attack(f"{MV2}-print", split="train")),
    (MV2, "Spoof/Mannequin/Mask_Mann_3.mov", attack(f"{MV2}-mannequin", split="train")),
    (MV2, "Spoof/Replay/Replay_59.mov", attack(f"{MV2}-replay", split="test")),
    ("WMCA", "face-station/12.02.18/100_03_015_0_00.hdf5",
     LIVE | {"rule": "bona-fide", "kind": "hdf5"} | person("WMCA", "100", None)),
    *(
        ("WMCA", path.format(f"514_01_000_{code}.hdf5"), attack(f"WMCA-{name}", kind="hdf5") | person("WMCA", "514", None))
        for name, codes in WMCA.items() for code in codes for path in ("{}", "12.02.18_{}", "12.02.18/{}")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "path", "wanted"), CASES)
def test_every_field_is_what_the_owners_say(dataset: str, path: str, wanted: dict[str, Any]) -> None:
    medium = only(dataset, path, LABELS.get(dataset))
    assert fields(medium, wanted) == wanted


@pytest.mark.parametrize("dataset", sorted({dataset for dataset, _, _ in CASES}))
def test_the_cases_reach_every_rule_and_every_instrument(dataset: str) -> None:
    media = [only(dataset, path, LABELS.get(dataset)) for name, path, _ in CASES if name == dataset]
    manifest = find_manifest(dataset)
    assert {medium.rule for medium in media} == {rule.id for rule in manifest.rules}
    assert {medium.method for medium in media} - {None} == {method.id for method in manifest.methods}


FAMILIES = {
    CA: {"print": 3, "mask2d": 3, "replay": 3, "mask3d": 1},
    MAD: {"mask3d": 1},
    "SiW": {"print": 2, "replay": 4},
    MV2: {"makeup": 3, "mask3d": 4, "mask2d": 1, "print": 1, "replay": 1, "partial": 4},
    "WMCA": {"partial": 2, "mask3d": 3, "mask2d": 1, "print": 1, "replay": 1, "makeup": 1},
}


@pytest.mark.parametrize("dataset", FAMILIES)
def test_every_instrument_is_of_a_family(dataset: str) -> None:
    assert Counter(method.attack for method in find_manifest(dataset).methods) == FAMILIES[dataset]


UNMATCHED = [
    (CA, "Data/train/7/live/000999.png", "no row in table 'labels'"),
    (CA, "Data/test/8/spoof/000203.jpg", "bad type value '11'"),
    (CA, "Data/val/8/spoof/1.jpg", "no rule"),
    (MAD, "18_01_01.hdf5", "no rule"),
    (MAD, "01_04_01.hdf5", "no rule"),
    ("SiW", "Train/spoof/003/004-1-2-1-1.mov", "no rule"),
    ("SiW", "Train/spoof/003/003-1-2-3-1.mov", "no rule"),
    (MV2, "Spoof/Unheard/Unheard_1.mov", "no rule"),
    ("WMCA", "100_01_000_6_01.hdf5", "no rule"),
]


@pytest.mark.parametrize(("dataset", "path", "reason"), UNMATCHED)
def test_nothing_is_guessed(dataset: str, path: str, reason: str) -> None:
    ((found, why),) = account(dataset, [path], LABELS.get(dataset)).unmatched
    assert found == path and reason in why


@pytest.mark.parametrize("name", ["live/000201", "spoof/000202", "spoof/000204"])
def test_a_folder_that_the_label_file_contradicts_gives_no_medium(name: str) -> None:
    result = account(CA, [f"Data/test/8/{name}.jpg"], LABELS[CA])
    assert not result.media and len(result.unmatched) == 1


@pytest.mark.parametrize("code", ["1_17", "2_19", "2_74", "1_00"])
def test_a_code_of_wmca_that_nobody_explained_gives_no_medium(code: str) -> None:
    result = account("WMCA", [f"514_01_000_{code}.hdf5"])
    assert not result.media and len(result.unmatched) == 1


SIDECARS = [
    (CA, "Data/train/7/live/000100_BB.txt", "Data/*/*/*/*_BB.txt"),
    (CA, "metas/protocol1/train_label.json", "metas/**"),
    ("SiW", "Train/live/003/003-1-1-1-1.face", "**/*.face"),
    (MV2, "pro_3_text/train_B_spoof.txt", "pro_3_text/train_*.txt"),
    ("WMCA", "WMCA_preprocessed_CDIT/WMCA/face-station/12.02.18/100_03_015_2_10.hdf5", "*CDIT*/**"),
    ("WMCA", "face-station/12.02.18/100_03_015_2_10.h5", "**/*.h5"),
]


@pytest.mark.parametrize(("dataset", "path", "pattern"), SIDECARS)
def test_what_is_no_medium_is_ignored_and_counted(dataset: str, path: str, pattern: str) -> None:
    assert account(dataset, [path]).ignored == {pattern: 1}


def test_3dmad_has_its_255_clips_of_17_people_in_three_sets() -> None:
    paths = [f"{c:02d}_{s:02d}_{n:02d}.hdf5" for c in range(1, 18) for s in (1, 2, 3) for n in range(1, 6)]
    media = account(MAD, paths).media
    manifest = find_manifest(MAD)
    assert Counter(medium.label for medium in media) == {"real": 170, "fake": 85}
    counts: dict[tuple[str, str], int] = Counter()
    for medium in media:
        counts[("label", medium.label)] += 1
        counts[("split", str(medium.split))] += 1
    for expected in manifest.expected:
        key = ("label", expected.label) if expected.label else ("split", str(expected.split))
        assert counts[key] == expected.count
    people = {split: {m.target_id for m in media if m.split == split} for split in ("train", "validation", "test")}
    assert [len(each) for each in people.values()] == [7, 5, 5]


def test_a_person_of_celeba_spoof_is_whole_in_one_half() -> None:
    media = account(CA, [path for rows in CA_ROWS.values() for path in rows], LABELS[CA]).media
    assert {(medium.target_id, medium.split) for medium in media} == {("7", "train"), ("8", "test")}


@pytest.mark.parametrize(
    ("dataset", "path", "inside"),
    [
        (MAD, "session03/13_03_05.hdf5", Inside("Color_Data", "nchw")),
        ("WMCA", "12.02.18/514_01_000_2_12.hdf5", Inside("Frame_*/array", "chw")),
        ("SiW", "Train/live/003/003-1-1-1-1.mov", None),
        (MAD, "x/y/z.hdf5", None),
    ],
)
def test_where_frames_are_in_a_file_is_known_by_its_name(dataset: str, path: str, inside: Inside | None) -> None:
    assert inside_of(find_manifest(dataset).layout, path) == inside


def test_no_instrument_is_a_method_of_forgery() -> None:
    assert all(registry().resolve(name).type is None for name in ("SiW-print-1", "WMCA-wig", "3DMAD-mask"))
