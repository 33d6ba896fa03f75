"""The sets of presentation attacks: every rule by example, counts of a whole copy, and what OULU-NPU's protocols take."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmidd.errors import RecipeError
from mmidd.flow.select import drops
from mmidd.manifest import Medium, find_manifest
from mmidd.manifest.methods import registry
from mmidd.recipe import Recipe, parse, read
from mmidd.schema import ATTACKS

from .trees import account, fields, only

LABELS: dict[str, dict[str, str | bytes]] = {}
OULU, CASIA, REPLAY, MSU, ROSE = "OULU-NPU", "CASIA-FASD", "Replay-Attack", "MSU-MFSD", "ROSE-Youtu"


def _live(dataset: str, path: str, rule: str, person: str, split: str, **said: Any) -> tuple[str, str, dict[str, Any]]:
    wanted = {"rule": rule, "label": "real", "forgery_type": "REAL", "method": None, "target_id": person, "split": split}
    return (
        dataset,
        path,
        wanted | {"source_id": None, "pair_media": None, "group_keys": (f"{dataset}/identity/{person}",)} | said,
    )


def _attack(dataset: str, path: str, rule: str, method: str, person: str, split: str) -> tuple[str, str, dict[str, Any]]:
    return _live(dataset, path, rule, person, split, label="fake", forgery_type=None, method=method)


CASES: list[tuple[str, str, dict[str, Any]]] = [
    _live(OULU, "Train_files/1_1_01_1.avi", "live", "01", "train"),
    _live(OULU, "Dev_files/6_3_21_1.avi", "live", "21", "validation"),
    _attack(OULU, "Train_files/2_1_01_2.avi", "attack", "OULU-print-1", "01", "train"),
    _attack(OULU, "Dev_files/2_2_35_3.avi", "attack", "OULU-print-2", "35", "validation"),
    _attack(OULU, "Test_files/2_3_36_4.avi", "attack", "OULU-display-1", "36", "test"),
    _attack(OULU, "Test_files/2_3_36_5.avi", "attack", "OULU-display-2", "36", "test"),
    # the same number in train and in test is another person
    _live(CASIA, "train_release/1/1.avi", "live", "train-1", "train"),
    _live(CASIA, "test_release/1/HR_1.avi", "live", "test-1", "test"),
    _live(CASIA, "test/test_release/30/2.avi", "live", "test-30", "test"),
    *(
        _attack(CASIA, f"{folder}train_release/20/{clip}.avi", "attack", method, "train-20", "train")
        for method, clips in (
            ("CASIA-warped-print", ("3", "4", "HR_2")), ("CASIA-cut-print", ("5", "6", "HR_3")),
            ("CASIA-replay", ("7", "8", "HR_4")),
        )
        for clip in clips for folder in ("", "train/")
    ),
    *(
        case
        for folder in ("devel", "replayattack-devel", "replayattack-devel/devel")
        for case in (
            _live(
                REPLAY, f"{folder}/real/client003_session01_webcam_authenticate_adverse_2.mov", "live", "client003",
                "validation",
            ),
            _attack(
                REPLAY, f"{folder}/attack/hand/attack_print_client003_session01_highdef_photo_adverse.mov", "print",
                "Replay-print", "client003", "validation",
            ),
            _attack(
                REPLAY, f"{folder}/attack/fixed/attack_mobile_client003_session01_mobile_photo_controlled.mov", "screen",
                "Replay-mobile-photo", "client003", "validation",
            ),
        )
    ),
    *(
        _attack(
            REPLAY, f"train/attack/fixed/attack_{device}_client001_session01_{device}_{what}_adverse.mov", "screen",
            f"Replay-{device}-{what}", "client001", "train",
        )
        for device in ("mobile", "highdef") for what in ("photo", "video")
    ),
    _live(REPLAY, "test/real/client009_session01_webcam_authenticate_controlled_1.mov", "live", "client009", "test"),
    _live(MSU, "scene01/real/real_client003_android_SD_scene01.mp4", "live-turned", "003", "train"),
    _live(MSU, "scene01/real/real_client003_laptop_SD_scene01.mov", "live-train", "003", "train"),
    _live(MSU, "scene01/real/real_client002_android_SD_scene01.mp4", "live-train", "002", "train"),
    _live(MSU, "scene01/real/real_client001_android_SD_scene01.mp4", "live-test", "001", "test"),
    *(
        _attack(
            MSU, f"scene01/attack/attack_client{who}_{device}_SD_{shown}_scene01.{end}", f"attack-{split}", method, who,
            split,
        )
        for who, split in (("055", "train"), ("001", "test"))
        for device, end in (("android", "mp4"), ("laptop", "mov"))
        for shown, method in (("ipad_video", "MSU-ipad"), ("iphone_video", "MSU-iphone"), ("printed_photo", "MSU-print"))
    ),
    # the folder is not the person
    _live(ROSE, "train/2/G_NT_5s_g_E_7_1.mp4", "live", "7", "train"),
    *(
        _attack(ROSE, f"test/_4/{code}_T_HS_wg_E_10_120.mp4", "attack", method, "10", "test")
        for code, method in (
            ("Ps", "ROSE-still-print"), ("Pq", "ROSE-quivering-print"), ("Vl", "ROSE-display-Vl"), ("Vm", "ROSE-display-Vm"),
            ("Mc", "ROSE-mask-Mc"), ("Mf", "ROSE-mask-Mf"), ("Mu", "ROSE-mask-Mu"),
        )
    ),
]  # fmt: skip
DATASETS = sorted({dataset for dataset, _, _ in CASES})


@pytest.mark.parametrize(("dataset", "path", "wanted"), CASES, ids=[f"{name}:{path}" for name, path, _ in CASES])
def test_a_path_says_who_is_shown_by_which_instrument(dataset: str, path: str, wanted: dict[str, Any]) -> None:
    assert fields(only(dataset, path), wanted) == wanted


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_cases_reach_every_rule_every_form_and_every_instrument(dataset: str) -> None:
    manifest = find_manifest(dataset)
    mine = [(path, wanted) for name, path, wanted in CASES if name == dataset]
    assert {wanted["rule"] for _, wanted in mine} == {rule.id for rule in manifest.rules}
    patterns = [pattern for rule in manifest.layout.rules for pattern in rule.paths]
    assert [each.text for each in patterns if not any(each.match(path) for path, _ in mine)] == []
    used = {wanted["method"] for _, wanted in mine} - {None}
    assert used == {method.id for method in manifest.methods}
    assert all(method.type is None and method.attack in ATTACKS for method in manifest.methods)


@pytest.mark.parametrize("dataset", DATASETS)
def test_none_of_them_may_be_passed_on_nor_is_verified(dataset: str) -> None:
    manifest = find_manifest(dataset)
    assert not manifest.licence.redistributable and not manifest.verified and manifest.verified_note


def _casia() -> Iterator[str]:
    for part, people in (("train", 20), ("test", 30)):
        for person in range(1, people + 1):
            yield from (f"{part}_release/{person}/{name}.avi" for name in (*range(1, 9), *(f"HR_{n}" for n in range(1, 5))))


def _oulu() -> Iterator[str]:
    for user in range(1, 56):
        part = "Train" if user <= 20 else "Dev" if user <= 35 else "Test"
        for phone in range(1, 7):
            for session in range(1, 4):
                yield from (f"{part}_files/{phone}_{session}_{user:02}_{shown}.avi" for shown in range(1, 6))


def _replay() -> Iterator[str]:
    client = 0
    for part, people in (("train", 15), ("devel", 15), ("test", 20)):
        for _ in range(people):
            client += 1
            who = f"client{client:03}_session01"
            yield f"enroll/{part}/{who}_webcam_enroll_1.mov"
            for light in ("controlled", "adverse"):
                yield from (f"{part}/real/{who}_webcam_authenticate_{light}_{take}.mov" for take in (1, 2))
                for support in ("fixed", "hand"):
                    folder = f"{part}/attack/{support}/attack"
                    yield f"{folder}_print_{who}_highdef_photo_{light}.mov"
                    for device in ("mobile", "highdef"):
                        yield from (f"{folder}_{device}_{who}_{device}_{what}_{light}.mov" for what in ("photo", "video"))


def _msu() -> Iterator[str]:
    trained = find_manifest(MSU).fields["trained"].choices or ()
    tested = [f"{number:03}" for number in range(1, 56) if f"{number:03}" not in trained][:20]
    for who in (*trained, *tested):
        for device, end in (("android", "mp4"), ("laptop", "mov")):
            yield f"scene01/real/real_client{who}_{device}_SD_scene01.{end}"
            for shown in ("ipad_video", "iphone_video", "printed_photo"):
                yield f"scene01/attack/attack_client{who}_{device}_SD_{shown}_scene01.{end}"


@pytest.mark.parametrize(("dataset", "names"), [(OULU, _oulu), (CASIA, _casia), (REPLAY, _replay), (MSU, _msu)])
def test_names_of_full_size_give_the_official_counts_and_people_who_are_in_one_split(dataset: str, names: Any) -> None:
    found = account(dataset, names())
    assert found.unmatched == []
    for entry in find_manifest(dataset).expected:
        wanted = {name: said for name in ("label", "method", "split") if (said := getattr(entry, name)) is not None}
        mine = [each for each in found.media if fields(each, wanted) == wanted]
        assert len(mine) == entry.count, entry
    splits: dict[str | None, set[str | None]] = {}
    for each in found.media:
        splits.setdefault(each.target_id, set()).add(each.split)
    assert max(map(len, splits.values())) == 1
    assert len(splits) == {OULU: 55, CASIA: 50, REPLAY: 50, MSU: 35}[dataset]


def test_the_clips_that_stand_on_their_heads_are_turned_and_no_other() -> None:
    rules = {rule.id: rule.turn for rule in find_manifest(MSU).layout.rules}
    assert rules.pop("live-turned") == 180 and set(rules.values()) == {0}
    turned = [each.media for each in account(MSU, _msu()).media if each.rule == "live-turned"]
    assert [name.split("client")[1][:3] for name in turned] == ["003", "005", "006", "007", "008", "009"]
    assert {rule.turn for rule in find_manifest(ROSE).layout.rules} == {"find"}


PAGE = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
WRITTEN = dict(re.findall(r"^```yaml (\S+)\.yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def _recipe(name: str) -> Recipe:
    return parse(WRITTEN[name], name) if name in WRITTEN else read(name)


def _rows(media: list[Medium]) -> list[dict[str, Any]]:
    names = ("dataset", "media", "label", "method", "compression", "split", "pair_dataset", "pair_media")
    return [fields(each, names) for each in media]


@pytest.mark.parametrize(
    ("protocol", "wanted"),
    [
        ("oulu-p1", {"train": (240, 960), "validation": (180, 720), "test": (120, 480)}),
        ("oulu-p2", {"train": (360, 720), "validation": (270, 540), "test": (360, 720)}),
        ("oulu-p3", {"train": (300, 1200), "validation": (225, 900), "test": (60, 240)}),
        ("oulu-p4", {"train": (200, 400), "validation": (150, 300), "test": (20, 40)}),
    ],
)
def test_the_recipes_of_oulus_protocols_take_the_official_numbers_of_live_and_attack(
    protocol: str, wanted: dict[str, tuple[int, int]]
) -> None:
    rows = _rows(account(OULU, _oulu()).media)
    found = Counter[tuple[str, str]]()
    for name in (protocol, f"{protocol}-test"):
        (entry,) = _recipe(name).datasets
        left_out = drops(rows, entry, None, 0)
        found.update((row["split"], row["label"]) for row in rows if row["media"] not in left_out)
    assert {split: (found[split, "real"], found[split, "fake"]) for split in wanted} == wanted
    assert sum(found.values()) == sum(map(sum, wanted.values()))


def test_a_pattern_that_is_none_or_that_nothing_fits_is_an_error() -> None:
    with pytest.raises(RecipeError, match="no field 'phones'"):
        parse("name: x\ndatasets: [{name: OULU-NPU, media: ['{part}_files/{phones}_1.avi']}]", "x.yaml")
    (entry,) = parse("name: x\ndatasets: [{name: OULU-NPU, media: ['train/*.avi']}]", "x.yaml").datasets
    with pytest.raises(RecipeError, match=r"OULU-NPU: no medium fits train/\*.avi \(media\); one is Dev_files/1_1_21_1.avi"):
        drops(_rows(account(OULU, _oulu()).media), entry, None, 0)


def test_an_instrument_is_of_one_dataset() -> None:
    own = [method for dataset in DATASETS for method in find_manifest(dataset).methods]
    assert len(own) == len({method.id for method in own})
    assert {method.attack for method in own} == {"print", "replay", "mask2d"}
    assert registry().resolve("oulu-PRINT-1").attack == "print"
