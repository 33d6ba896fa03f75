"""What several datasets share stays together: photographs, clips and people under one key. A blank joins nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mmidd.manifest import describe, load_manifest

from .trees import account

MAPPING: dict[str, str | bytes] = {"CelebA-HQ-to-CelebA-mapping.txt": "idx orig_idx orig_file\n12 2 000003.jpg\n"}
Place = tuple[str, str, dict[str, str | bytes]]

FAKES: tuple[Place, ...] = (
    ("DFFD", "youtube/train/071_12.png", {}),
    ("DFFD", "Deepfakes/train/071_054_12.png", {}),
    ("DFFD", "FaceSwap/train/054_071-12.png", {}),
    ("DF40", "simswap/ff/frames/054_071/000.png", {}),
    ("DF40", "fomm/ff/frames/071_054/000.png", {}),
    ("DF40", "sadtalker/ff/frames/071/000.png", {}),
    ("DF40", "DF40_train/simswap/frames/071_054/000.png", {}),
    ("DF40", "frames/071_054/000.png", {}),
)
"""Of the clip 071 and its pair."""
JOINED: list[tuple[Place, Place]] = [
    (("CelebA", "img_align_celeba/000003.jpg", {}), ("CelebA-HQ", "CelebA-HQ-img/12.jpg", MAPPING)),
    (("CelebA", "img_align_celeba/000003.jpg", {}), ("DFFD", "celeba/train/000003.png", {})),
    (("CelebA-HQ", "CelebA-HQ-img/12.jpg", MAPPING), ("DFFD", "celeba_2w/test/000003.jpg", {})),
    *(
        (("FaceForensics++", f"original_sequences/youtube/{compression}/videos/071.mp4", {}), fake)
        for compression in ("c23", "c40", "raw")
        for fake in FAKES
    ),
    (("VidTIMIT", "fadg0/video/sa1/001", {}), ("DeepfakeTIMIT", "lower_quality/fram1/sx9-video-fadg0.avi", {})),
]
APART: list[tuple[Place, Place]] = [
    (("CelebA", "img_align_celeba/000012.jpg", {}), ("CelebA-HQ", "CelebA-HQ-img/12.jpg", {})),
    (("CelebA", "img_align_celeba/000003.jpg", {}), ("DFFD", "celeba/train/R_CelA_000003.png", {})),
    (("CelebA", "img_align_celeba/000003.jpg", {}), ("DF40", "stargan/real/000003.jpg", {})),
    (("FFHQ", "images1024x1024/00003.png", {}), ("DFFD", "ffhq/train/R_FFHQ_00003.png", {})),
    # the folder of a synthesised picture bears a clip's name and is none
    (
        ("FaceForensics++", "original_sequences/youtube/c23/videos/071.mp4", {}),
        ("DF40", "StyleGAN2/ff/071/seed0188.png", {}),
    ),
    (("CelebA", "img_align_celeba/000003.jpg", {}), ("CelebA", "img_align_celeba/000004.jpg", {})),
]


def _keys(place: Place) -> set[str]:
    dataset, path, labels = place
    (medium,) = account(dataset, [path], labels).media
    return set(medium.group_keys)


@pytest.mark.parametrize(("one", "other"), JOINED, ids=lambda place: f"{place[0]}:{place[1]}")
def test_what_names_prove_to_be_the_same_shares_a_key(one: Place, other: Place) -> None:
    assert _keys(one) & _keys(other)


@pytest.mark.parametrize(("one", "other"), APART, ids=lambda place: f"{place[0]}:{place[1]}")
def test_what_names_do_not_prove_is_not_joined(one: Place, other: Place) -> None:
    assert not _keys(one) & _keys(other)


def test_a_fake_of_kodf_stays_with_its_target_clip_and_not_with_all_clips_of_its_people() -> None:
    labels: dict[str, str | bytes] = {
        "원본영상_training_메타데이터.csv": "영상ID,UUID\nr1.mp4,u1\nr2.mp4,u1\n",
        "변조영상_training_메타데이터.csv": "영상ID,타겟영상,타겟UUID,소스UUID,변조모델\n"
        "f1.mp4,r1.mp4,u1,u2,dfl\nf2.mp4,r2,u1,u2,fo\n",
    }
    paths = [f"1.Training/x/{name}.mp4" for name in ("r1", "r2", "f1", "f2")]
    fake1, fake2, real1, real2 = (set(medium.group_keys) for medium in account("KoDF", paths, labels).media)
    assert fake1 & real1 and fake2 & real2
    assert not (fake1 | real1) & (fake2 | real2)


BLANK = """\
name: Blank
slug: blank
year: 2024
folders: [Blank]
summary: rows with and without values
access: none
citation: none
licence: {id: other, name: none, url: "https://example.org", redistributable: false}
verified: true
type_basis: stated
join_identities: true
fields: {name: '[a-z]+'}
tables:
  rows:
    files: rows.FORM
    key: "{name}"
    values: {who: "{who}", donor: "{donor}", photo: "{photo}", real: "real/{real}", side: {from: "{side}", as: {a: train}}}
rules:
  - id: fake
    path: "{name}.png"
    look_up: {rows: "{name}"}
    label: fake
    method: FaceSwap
    target_id: "{rows.who}"
    source_id: "{rows.donor}"
    pair: "{rows.real}.png"
    group: ["photo/{rows.photo}", "/CelebA/image/{rows.photo}.jpg", "{rows.photo}"]
    split: "{rows.side}"
"""
COLUMNS = ("name", "who", "donor", "photo", "real", "side")


def _as(form: str, rows: list[dict[str, str | None]]) -> bytes:
    if form == "json":
        return json.dumps(rows).encode()
    lines = [",".join(COLUMNS), *(",".join(row[name] or "" for name in COLUMNS) for row in rows)]
    return "\n".join(lines).encode()


def _row(name: str, value: str | None, side: str = "a") -> dict[str, str | None]:
    return {**dict.fromkeys(COLUMNS, value), "name": name, "side": side}


@pytest.mark.parametrize(("form", "blank"), [("csv", ""), ("csv", "  "), ("json", ""), ("json", " \t"), ("json", None)])
def test_blank_identities_photographs_and_pairs_join_nothing(form: str, blank: str | None) -> None:
    manifest = load_manifest(BLANK.replace("FORM", form), "blank.yaml")
    files = {"a.png": b"", "b.png": b"", f"rows.{form}": _as(form, [_row("a", blank), _row("b", blank), _row("", "x")])}
    found = describe(manifest, files, files.__getitem__)
    assert [medium.media for medium in found.media] == ["a.png", "b.png"]
    for medium in found.media:
        assert (medium.target_id, medium.source_id, medium.pair_media, medium.group_keys) == (None, None, None, ())
    assert found.missing_pairs == ["a.png", "b.png"]


def test_the_same_rows_with_values_do_join() -> None:
    manifest = load_manifest(BLANK.replace("FORM", "csv"), "blank.yaml")
    files = {"a.png": b"", "b.png": b"", "rows.csv": _as("csv", [_row("a", "x"), _row("b", "x")])}
    keys = {medium.group_keys for medium in describe(manifest, files, files.__getitem__).media}
    (joined,) = keys
    assert {"CelebA/image/x.jpg", "Blank/identity/x", "Blank/photo/x", "Blank/media/real/x.png"} <= set(joined)


def test_a_blank_value_where_only_some_are_allowed_is_a_bad_one() -> None:
    manifest = load_manifest(BLANK.replace("FORM", "csv"), "blank.yaml")
    files: dict[str, Any] = {"a.png": b"", "rows.csv": _as("csv", [_row("a", "x", "")])}
    assert describe(manifest, files, files.__getitem__).unmatched == [("a.png", "bad side value '' at rows.csv:2")]


PART = "dfdc_train_part_0"
A, B, C, D = (f"{name * 10}.mp4" for name in "abcd")


@pytest.mark.parametrize("original", [B, D])
def test_a_fake_of_a_fake_or_of_itself_has_no_real_and_stays_with_what_it_names(original: str) -> None:
    meta = {A: {"label": "REAL"}, B: {"label": "FAKE", "original": A}, D: {"label": "FAKE", "original": original}}
    found = account("DFDC", [f"{PART}/{each}" for each in meta], {f"{PART}/metadata.json": json.dumps(meta)})
    media = {each.media.rpartition("/")[2]: each for each in found.media}
    assert (media[B].pair_media, media[D].pair_media, media[D].aligned) == (f"{PART}/{A}", None, False)
    assert found.missing_pairs == [f"{PART}/{D}"]
    assert f"DFDC/media/{PART}/{original}" in {*media[D].group_keys} & {*media[original].group_keys}
    assert media[A].group_keys == ()


@pytest.mark.parametrize(("value", "label"), [({}, "real"), ({"original": None}, "real"), ({"original": C}, None)])
def test_a_clip_that_is_real_and_has_an_original_is_unlabelled(value: dict[str, Any], label: str | None) -> None:
    meta = json.dumps({A: {"label": "REAL", **value}})
    found = account("DFDC", [f"{PART}/{A}"], {f"{PART}/metadata.json": meta})
    assert [each.label for each in found.media] == ([label] if label else [])
    assert found.unlabelled == (set() if label else {f"{PART}/{A}"})
