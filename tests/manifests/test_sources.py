"""The layouts of six sources of the corpus (DFDC Preview, KoDF, TIMIT with its reals, CelebA-HQ, CelebV-HQ), by example."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest

from mmidd.errors import ManifestError
from mmidd.manifest import find_manifest

from .trees import account, only

DFDCP = "DFDC Preview"
A_FAKE = "method_A/1260311/1260311_C/1255229_1260311_C_001.mp4"
A_REAL = "original_videos/1260311/1260311_C_001.mp4"
ODD_FAKE = "method_A/1260311/1260311_C/1255229.mp4"
B_FAKE = "method_B/643049/643049_C/1260311_643049_C_001.mp4"
ORIGINAL = "original_videos/643049/643049_A_001.mp4"


def _row(label: str, split: str, target: int, swapped: int | None) -> dict[str, Any]:
    return {"label": label, "set": split, "target_id": target, "swapped_id": swapped, "augmentations": ["fps-15"]}


DFDCP_LIST = json.dumps(
    {
        ORIGINAL: _row("real", "train", 643049, None),
        "original_videos/1260311/1260311_B_002.mp4": _row("real", "test", 1260311, None),
        "original_videos/7/7_A_001.mp4": {"label": "real", "set": "train", "target_id": 7, "augmentations": []},
        A_FAKE: _row("fake", "test", 1260311, 1255229),
        A_REAL: _row("real", "test", 1260311, None),
        ODD_FAKE: _row("fake", "test", 1260311, 1255229),
        B_FAKE: _row("fake", "train", 643049, 1260311) | {"source_video": "643049_C"},
    }
)
MAPPING = "idx orig_idx orig_file\n0 6 000007.jpg\n12 41 000042.jpg\n"
# the columns of AI-Hub's metadata that are read; a subject, or the target clip, may be left blank
KODF_LABELS: dict[str, str | bytes] = {
    "meta/원본영상_training_메타데이터.csv": "\ufeff영상ID,UUID,인물성별\nreal_1.mp4,u1,F\nreal_2.mp4,,F\n",
    "원본영상_validation_메타데이터.csv": "영상ID,UUID\nreal_3,u3\n",
    "변조영상_training_메타데이터.csv": "영상ID,타겟영상,타겟UUID,소스UUID,변조모델\n"
    "fake_1.mp4,real_1.mp4,u1,u2,dfl\nfake_2.mp4,,,,audio-driven\nfake_3.mp4,real_1.mp4,u1,u2,deepswap\n",
}
LABELS: dict[str, dict[str, str | bytes]] = {
    DFDCP: {"dataset.json": DFDCP_LIST},
    "KoDF": KODF_LABELS,
    "CelebA-HQ": {"CelebA-HQ-to-CelebA-mapping.txt": MAPPING},
}
KINDS = {"CelebA-HQ": "image"}

Case = tuple[str, str, dict[str, Any]]


def _medium(dataset: str, path: str, **said: Any) -> Case:
    """A case that names every field of a medium; what is not said has no value."""
    plain: dict[str, Any] = {"dataset": dataset, "media": path, "kind": KINDS.get(dataset, "video"), "rule": None}
    plain |= {"label": "fake", "forgery_type": None, "method": None, "compression": None, "target_id": None}
    plain |= {"source_id": None, "pair_dataset": None, "pair_media": None, "aligned": False, "group_keys": ()}
    plain |= {
        "split": None,
        "licence": find_manifest(dataset).licence.name,
        "faces": "detect",
        "pair_candidates": (),
        "mask": None,
    }
    return dataset, path, plain | said


def _real(dataset: str, path: str, rule: str, **said: Any) -> Case:
    return _medium(dataset, path, rule=rule, label="real", forgery_type="REAL", **said)


def _people(dataset: str, *names: str) -> dict[str, Any]:
    """The identities of a medium, target first, and the group keys that they give."""
    target, source = (*names, None)[:2]
    return {"target_id": target, "source_id": source, "group_keys": tuple(f"{dataset}/identity/{each}" for each in names)}


TIMIT_REALS = (
    "fadg0/sa1.avi", "fadg0/video/sa1.avi", "fadg0/sa1.mp4", "fadg0/video/sa1.mp4", "fadg0/video/sa1",
    "fadg0.zip/fadg0/video/sa1", "fadg0/sa1",
)  # fmt: skip


def _frames(folder: str, name: str) -> Case:
    """A clip of VidTIMIT as it is released, of which one frame is there."""
    said = {"media": folder, "kind": "frames", **_people("VidTIMIT", "fadg0")}
    return _real("VidTIMIT", f"{folder}/{name}", "frames", **said)


def _clip(name: str) -> dict[str, Any]:
    return {"group_keys": (f"KoDF/clip/{name}.mp4", f"KoDF/clip/{name}")}


def _timit(quality: str, prefix: str = "") -> Case:
    path = f"{prefix}{quality}_quality/fadg0/sa1-video-fram1.avi"
    said = _people("VidTIMIT", "fadg0", "fram1") | {"pair_dataset": "VidTIMIT", "pair_media": "fadg0/sa1.avi"}
    said |= {"pair_candidates": tuple(f"VidTIMIT:{name}" for name in TIMIT_REALS)}
    said |= {"rule": quality, "method": "faceswap-GAN", "forgery_type": "FS", "aligned": True}
    return _medium("DeepfakeTIMIT", path, **said)


CASES: list[Case] = [
    *(
        _real(DFDCP, path, "original", split="train", **_people(DFDCP, "643049"))
        for path in (ORIGINAL, ORIGINAL.replace("s/", "s/videos/", 1), f"dfdc_preview_set/{ORIGINAL}")
    ),
    _real(DFDCP, "original_videos/1260311/1260311_B_002.mp4", "original", split="test", **_people(DFDCP, "1260311")),
    _real(DFDCP, "original_videos/7/7_A_001.mp4", "original", split="train", **_people(DFDCP, "7")),
    *(
        _medium(
            DFDCP,
            path,
            rule="swapped",
            method="DFDCP-A",
            forgery_type="FS",
            split="test",
            pair_dataset=DFDCP,
            pair_media=real,
            **_people(DFDCP, "1260311", "1255229"),
        )
        for path, real in (
            (A_FAKE, A_REAL),
            (A_FAKE.replace("A/", "A/videos/", 1), A_REAL.replace("s/", "s/videos/", 1)),
            (f"dfdc_preview_set/{A_FAKE}", f"dfdc_preview_set/{A_REAL}"),
        )
    ),
    *(
        _medium(
            DFDCP,
            path,
            rule="swapped-other",
            method="DFDCP-A",
            forgery_type="FS",
            split="test",
            **_people(DFDCP, "1260311", "1255229"),
        )
        for path in (ODD_FAKE, ODD_FAKE.replace("A/", "A/videos/", 1), f"dfdc_preview_set/{ODD_FAKE}")
    ),
    _medium(
        DFDCP,
        B_FAKE,
        rule="swapped",
        method="DFDCP-B",
        forgery_type="FS",
        split="train",
        pair_dataset=DFDCP,
        pair_media="original_videos/643049/643049_C_001.mp4",
        **_people(DFDCP, "643049", "1260311"),
    ),
    *(
        _real("KoDF", f"{prefix}original_videos/{folders}x_1.mp4", "original", **_clip("x_1"))
        for prefix in ("kodf_release/", "")
        for folders in ("", "001/", "001/a b/")
    ),
    *(
        _medium(
            "KoDF", f"{prefix}synthesized_videos/{folder}/001/x_1.mp4", rule="synthesized", method=method, forgery_type=kind
        )
        for prefix in ("kodf_release/", "")
        for folder, method, kind in (
            ("dffs", "KoDF-FaceSwap", "FS"),
            ("dfl", "DeepFaceLab", "FS"),
            ("fsgan", "FSGAN", "FS"),
            ("fo", "FOMM", "FR"),
        )
    ),
    *(
        _medium(
            "KoDF",
            f"{prefix}synthesized_videos/audio-driven/001/x.mp4",
            rule="audio-driven",
            method="unknown",
            forgery_type="FR",
        )
        for prefix in ("kodf_release/", "")
    ),
    _real("KoDF", "original_videos/1/real_1.mp4", "original", **_clip("real_1"), target_id="u1", split="train"),
    _real("KoDF", "original_videos/1/real_2.mp4", "original", **_clip("real_2"), split="train"),
    *(
        _real("KoDF", f"{top}/x/real_3.mp4", "aihub-original", **_clip("real_3"), target_id="u3", split="validation")
        for top in ("1.Training", "2.Validation", "원천데이터")
    ),
    *(
        _medium(
            "KoDF",
            f"{top}/fake_1.mp4",
            rule=rule,
            method="DeepFaceLab",
            forgery_type="FS",
            target_id="u1",
            source_id="u2",
            split="train",
            group_keys=("KoDF/clip/real_1.mp4",),
        )
        for top, rule in (
            ("1.Training/dfl/u1", "aihub-synthesized"),
            ("2.Validation/a/b", "aihub-synthesized"),
            ("원천데이터", "aihub-synthesized"),
            ("kodf_release/synthesized_videos/dfl", "synthesized"),
        )
    ),
    *(
        _medium("KoDF", f"{top}/fake_2.mp4", rule=rule, method="unknown", forgery_type="FR", split="train")
        for top, rule in (
            ("1.Training/audio", "aihub-audio-driven"),
            ("2.Validation/a", "aihub-audio-driven"),
            ("원천데이터/x", "aihub-audio-driven"),
            ("synthesized_videos/audio-driven", "audio-driven"),
        )
    ),
    *(
        case
        for top in ("kodf_release/adversarial", "adversarial_videos", "adversarial_attack")
        for case in (
            _real("KoDF", f"{top}/original_videos/a/real_1.mp4", "adversarial-original", **_clip("real_1")),
            _medium(
                "KoDF",
                f"{top}/synthesized_videos/dfl/fake_1.mp4",
                rule="adversarial-synthesized",
                method="DeepFaceLab",
                forgery_type="FS",
                group_keys=("KoDF/clip/real_1.mp4",),
            ),
            _medium(
                "KoDF",
                f"{top}/synthesized_videos/audio-driven/a/x.mp4",
                rule="adversarial-other",
                method="unknown",
                forgery_type="FR",
            ),
        )
    ),
    *(
        _frames(folder, name)
        for folder in ("fadg0/video/sa1", "fadg0.zip/fadg0/video/sx19", "fadg0/sa2")
        for name in ("001", "001.jpg", "001.jpeg")
    ),
    *(_timit(quality, prefix) for quality in ("higher", "lower") for prefix in ("", "DeepfakeTIMIT/")),
    *(
        _real("VidTIMIT", path, "sentence", **_people("VidTIMIT", "fadg0"))
        for path in ("fadg0/sa1.avi", "fadg0/video/si1279.avi", "fadg0/sx19.mp4", "fadg0/video/sa2.mp4")
    ),
    *(
        _real("CelebA-HQ", f"{folder}/12.{ext}", "image", group_keys=("CelebA/image/000042.jpg",))
        for folder in ("CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img")
        for ext in ("jpg", "png")
    ),
    _real("CelebA-HQ", "CelebA-HQ-img/0.jpg", "image", group_keys=("CelebA/image/000007.jpg",)),
    _real("CelebA-HQ", "CelebA-HQ-img/29999.jpg", "image"),
    *(
        _real("CelebV-HQ", f"{folder}/-_2Ohb0FAaJ_1.mp4", "clip", group_keys=("CelebV-HQ/video/-_2Ohb0FAaJ",))
        for folder in ("processed", "downloaded_celebvhq/processed", "35666")
    ),
    _real("CelebV-HQ", "35666/_b8ITBB5Oxk_13_0.mp4", "clip", group_keys=("CelebV-HQ/video/_b8ITBB5Oxk",)),
]
DATASETS = sorted({dataset for dataset, _, _ in CASES})


@pytest.mark.parametrize(("dataset", "path", "wanted"), CASES, ids=[f"{name}:{path}" for name, path, _ in CASES])
def test_a_path_gives_every_field_of_its_medium(dataset: str, path: str, wanted: dict[str, Any]) -> None:
    pair = [wanted["pair_media"]] if wanted["pair_dataset"] == dataset else []
    assert asdict(only(dataset, path, LABELS.get(dataset), *pair)) == wanted


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_cases_reach_every_rule_and_every_variant_of_its_path(dataset: str) -> None:
    manifest = find_manifest(dataset)
    paths = [path for name, path, _ in CASES if name == dataset]
    assert {rule for name, _, wanted in CASES if name == dataset for rule in [wanted["rule"]]} == {
        rule.id for rule in manifest.rules if not rule.unless
    }
    rules = [rule for rule in manifest.layout.rules if not rule.unless]  # test_frames has the others
    unused = [pattern.text for rule in rules for pattern in rule.paths if not any(map(pattern.match, paths))]
    assert unused == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_manifest_says_its_counts_and_what_is_not_confirmed(dataset: str) -> None:
    manifest = find_manifest(dataset)
    assert manifest.expected
    assert manifest.verified or manifest.verified_note
    assert manifest.licence.redistributable is False
    assert find_manifest(manifest.slug) is manifest


SIDECARS = [
    (DFDCP, "README.md"),
    (DFDCP, "original_videos/frames/643049_A_001/000.npy"),
    ("KoDF", "kodf_release/metadata.csv"),
    ("DeepfakeTIMIT", "higher_quality/fadg0/sa1.wav"),
    ("VidTIMIT", "fadg0/audio/sa1.wav"),
    ("VidTIMIT", "fadg0/video/head2/001"),
    ("VidTIMIT", "fadg0.zip/fadg0/video/head/001"),
    ("CelebA-HQ", "CelebAMask-HQ-mask-anno/0/00000_hair.png"),
    ("CelebA-HQ", "CelebAMask-HQ/CelebAMask-HQ-attribute-anno.txt"),
    ("CelebV-HQ", "raw/-_2Ohb0FAaJ.mp4"),
    ("CelebV-HQ", "downloaded_celebvhq/raw/-_2Ohb0FAaJ.mp4"),
    ("CelebV-HQ", "celebvhq_info.json"),
]


@pytest.mark.parametrize(("dataset", "path"), SIDECARS)
def test_sidecars_are_counted_and_are_no_media(dataset: str, path: str) -> None:
    result = account(dataset, [path])
    assert sum(result.ignored.values()) == 1
    assert not result.media


UNMATCHED = [
    (DFDCP, "original_videos/643049/unheard.mp4", "no row in table 'clips'"),
    (DFDCP, "method_C/643049/643049_C/x.mp4", "no rule"),
    ("KoDF", "kodf_release/synthesized_videos/atfhp/001/x.mp4", "no rule"),
    ("KoDF", "kodf_release/adversarial_videos/x.mp4", "no rule"),
    ("KoDF", "1.Training/x/stray.mp4", "originals.split has no value"),
    ("KoDF", "1.Training/x/fake_3.mp4", "bad method value 'deepswap' at 변조영상_training_메타데이터.csv:4"),
    ("DeepfakeTIMIT", "higher_quality/fadg0/sa1.avi", "no rule"),
    ("DeepfakeTIMIT", "medium_quality/fadg0/sa1-video-fram1.avi", "no rule"),
    ("VidTIMIT", "fadg0/video/sa1/x01", "no numbered image"),
    ("VidTIMIT", "fadg0/video/sa1/0000000001", "no numbered image"),
    ("VidTIMIT", "fadg0/sa1.mov", "no rule"),
    ("CelebA-HQ", "CelebA-HQ-img/000000.jpg", "no rule"),
    ("CelebV-HQ", "processed/short_1.mp4", "no rule"),
    ("CelebV-HQ", "processed/_b8ITBB5Oxk_13_0_2.mp4", "no rule"),
]


@pytest.mark.parametrize(("dataset", "path", "reason"), UNMATCHED)
def test_what_no_rule_takes_is_listed_with_the_reason(dataset: str, path: str, reason: str) -> None:
    assert account(dataset, [path], LABELS.get(dataset)).unmatched == [(path, reason)]


def test_dfdcp_takes_its_split_from_dataset_json_wherever_that_lies() -> None:
    paths = list(json.loads(DFDCP_LIST))
    for folder in ("", "dfdc_preview_set/"):
        result = account(DFDCP, [folder + path for path in paths], {f"{folder}dataset.json": DFDCP_LIST})
        assert Counter((medium.label, medium.split) for medium in result.media) == {
            ("real", "train"): 2,
            ("real", "test"): 2,
            ("fake", "train"): 1,
            ("fake", "test"): 2,
        }
        assert result.label_files == [f"{folder}dataset.json"]


def test_dfdcp_without_dataset_json_labels_nothing() -> None:
    result = account(DFDCP, [ORIGINAL, A_FAKE])
    assert not result.media
    assert {reason for _, reason in result.unmatched} == {"no label file for table 'clips' (dataset.json)"}


def test_a_dataset_json_that_contradicts_the_folders_labels_nothing() -> None:
    result = account(DFDCP, [ORIGINAL], {"dataset.json": json.dumps({ORIGINAL: _row("fake", "train", 1, 2)})})
    assert result.unmatched == [(ORIGINAL, "clips.label is 'fake', which rule 'original' does not take")]


@pytest.mark.parametrize(("key", "value"), [("label", "FAKE?"), ("set", "holdout")])
def test_a_value_that_dataset_json_should_not_hold_is_told_with_its_place(key: str, value: str) -> None:
    row = _row("real", "train", 1, None) | {key: value}
    [(path, reason)] = account(DFDCP, [ORIGINAL], {"dataset.json": json.dumps({ORIGINAL: row})}).unmatched
    assert path == ORIGINAL
    assert f"value '{value}' at dataset.json: '{ORIGINAL}'" in reason


@pytest.mark.parametrize(
    ("dataset", "file", "text", "message"),
    [
        (DFDCP, "dataset.json", "{", "dataset.json:1:2: broken JSON"),
        (DFDCP, "dataset.json", "[]", "expected a JSON object of names, found a list"),
        (DFDCP, "dataset.json", '{"a.mp4": {"set": "train"}}', "no 'label' here"),
        ("CelebA-HQ", "CelebA-HQ-to-CelebA-mapping.txt", "0 6\n", "mapping.txt:1: 2 columns, expected 3"),
    ],
)
def test_a_broken_label_file_is_an_error_that_names_it(dataset: str, file: str, text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        account(dataset, [], {file: text})
    assert message in str(caught.value)


def test_both_identities_of_a_dfdcp_fake_join_it_to_the_clips_of_both() -> None:
    media = {
        medium.media: set(medium.group_keys) for medium in account(DFDCP, [ORIGINAL, A_FAKE, B_FAKE], LABELS[DFDCP]).media
    }
    assert media[B_FAKE] & media[ORIGINAL]
    assert media[B_FAKE] & media[A_FAKE]
    assert not media[A_FAKE] & media[ORIGINAL]


def test_timit_fakes_of_both_qualities_have_the_same_real_in_vidtimit() -> None:
    paths = [f"{quality}_quality/fadg0/{name}-video-fram1.avi" for quality in ("higher", "lower") for name in ("sa1", "sx9")]
    result = account("DeepfakeTIMIT", paths)
    reals = account("VidTIMIT", ["fadg0/sa1.avi", "fadg0/sx9.avi"]).media
    assert {(medium.pair_dataset, medium.pair_media) for medium in result.media} == {
        (real.dataset, real.media) for real in reals
    }
    assert result.missing_pairs == []


def test_names_of_full_size_give_the_official_counts() -> None:
    people = [f"f{a}{b}m0" for a in "abcdefgh" for b in "abcdef"][:43]
    sentences = [f"sx{number}" for number in range(10)]
    reals = account("VidTIMIT", [f"{person}/{name}.avi" for person in people for name in sentences]).media
    swapped = [(a, b) for one, two in zip(people[:32:2], people[1:32:2], strict=True) for a, b in ((one, two), (two, one))]
    fakes = account(
        "DeepfakeTIMIT",
        [f"{q}_quality/{a}/{name}-video-{b}.avi" for q in ("higher", "lower") for a, b in swapped for name in sentences],
    ).media
    images = account("CelebA-HQ", [f"CelebA-HQ-img/{number}.jpg" for number in range(30000)]).media
    clips = account("CelebV-HQ", [f"processed/{number // 3:011d}_{number % 3}.mp4" for number in range(35666)]).media
    for dataset, media in (("VidTIMIT", reals), ("DeepfakeTIMIT", fakes), ("CelebA-HQ", images), ("CelebV-HQ", clips)):
        for each in find_manifest(dataset).expected:
            stated = {name: value for name, value in each.model_dump(exclude={"count"}).items() if value is not None}
            assert sum(all(getattr(m, name) == value for name, value in stated.items()) for m in media) == each.count
    assert len({medium.group_keys for medium in clips}) == 11889


def test_the_same_photograph_and_the_same_person_join_across_datasets() -> None:
    hq = account("CelebA-HQ", ["CelebA-HQ-img/12.jpg"], LABELS["CelebA-HQ"]).media[0]
    photo = account("CelebA", ["img_align_celeba/000042.jpg"]).media[0]
    assert set(hq.group_keys) & set(photo.group_keys) == {"CelebA/image/000042.jpg"}
    fake = account("DeepfakeTIMIT", ["higher_quality/fadg0/sa1-video-fram1.avi"]).media[0]
    reals = account("VidTIMIT", ["fadg0/video/sa1.avi", "fram1/sa1.avi"]).media
    assert set(fake.group_keys) == {key for real in reals for key in real.group_keys}


def test_a_dfdcp_fake_is_paired_by_name_and_one_without_its_real_is_told() -> None:
    result = account(DFDCP, [A_REAL, A_FAKE, B_FAKE], LABELS[DFDCP])
    assert {medium.media: medium.pair_media for medium in result.media} == {A_REAL: None, A_FAKE: A_REAL, B_FAKE: None}
    assert result.missing_pairs == [B_FAKE]
    assert not any(medium.aligned for medium in result.media)
