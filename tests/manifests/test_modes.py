"""Clips of numbered frames, archives, ready-made crops and whole images: twins of the datasets that have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmidd.errors import ManifestError
from mmidd.manifest import Manifest, archive_paths, clip_frames, describe, load_manifest

from .trees import fields

FOLDER = Path(__file__).parents[2] / "manifests"
NAMES = ("df40", "wilddeepfake", "genimage")
FF = "original_sequences/youtube/c23/videos"


def manifest(name: str) -> Manifest:
    return load_manifest((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), name)


def _fake(rule: str, method: str, forgery_type: str | None, split: str, **more: Any) -> dict[str, Any]:
    wanted = {"rule": rule, "label": "fake", "method": method, "forgery_type": forgery_type, "split": split}
    return {**wanted, "faces": "padded", "aligned": False, **more}


def _ff(target: str) -> dict[str, Any]:
    places = tuple(f"FaceForensics++:{FF.replace('c23', name)}/{target}.mp4" for name in ("c23", "raw", "c0", "c40"))
    places += (f"FaceForensics++:{FF.replace('videos', 'frames')}/{target}",)
    pair = {"pair_dataset": "FaceForensics++", "pair_media": f"{FF}/{target}.mp4", "pair_candidates": places}
    return {**pair, "target_id": target}


def _clip(number: str) -> str:
    return f"FaceForensics++/identity/{number}"


CLIP: dict[str, Any] = {"kind": "frames"}
WHOLE: dict[str, Any] = {"kind": "image", "faces": "whole", "group_keys": ()}
REAL: dict[str, Any] = {"label": "real", "method": None, "forgery_type": "REAL"}
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("df40", "simswap/ff/frames/993_989", "000.png",
     _fake("swap-ff", "SimSwap", "FS", "test", source_id="989", group_keys=(_clip("993"), _clip("989")), **CLIP,
           **_ff("993"))),
    ("df40", "SIMSWAP/ff/frames/993_989", "000.png", _fake("swap-ff", "SimSwap", "FS", "test", **CLIP, **_ff("993"))),
    ("df40", "DF40/FSGAN/cdf/frames/id0_id1_0000", "12.png",
     _fake("swap-cdf", "FSGAN", "FS", "test", target_id="id0", source_id="id1", pair_dataset="Celeb-DF-v2",
           pair_media="Celeb-real/id0_0000.mp4", **CLIP)),
    ("df40", "facevid2vid/ff/frames/000", "000.png",
     _fake("drive-ff", "FS_vid2vid", "FR", "test", group_keys=(_clip("000"),), **CLIP, **_ff("000"))),
    ("df40", "mraa/ff/frames/000_003", "0.png",
     _fake("drive-ff-two", "MRAA", "FR", "test", pair_media=None, group_keys=(_clip("000"), _clip("003")), **CLIP)),
    ("df40", "danet/cdf/frames/id0_0000", "000.png",
     _fake("drive-other", "DaGAN", "FR", "test", pair_media=None, group_keys=("DF40/cdf/id0_0000",), **CLIP)),
    ("df40", "ddim/ff/000", "seed01.png", _fake("synthesis-test", "DDPM", "EFS", "test", pair_media=None, **CLIP)),
    ("df40", "VQGAN/cdf/Fake_from_Celeb-real/id0_0000", "1.png", _fake("synthesis-test", "VQGAN", "EFS", "test", **CLIP)),
    ("df40", "DiT/cdf/Fake_from_Youtube-real/00043", "458.png", _fake("synthesis-test", "DiT-XL-2", "EFS", "test", **CLIP)),
    *(("df40", f"{top}{place}", "", _fake("e4e", "e4e", "FE", "test", kind="image", group_keys=()))
      for top in ("", "DF40/")
      for place in ("e4e/ff/inversions/a.png", "e4e/cdf/YouTube-real/inversions/a.png", "e4e/e4e/ff/001/00001.jpg")),
    ("df40", "DF40_train/blendface/frames/001_002", "0.png",
     _fake("swap-train", "BlendFace", "FS", "train", source_id="002", **CLIP, **_ff("001"))),
    *(("df40", f"{top}/001_002", "0.png",
       _fake("uniface-train", "UniFace", "FS", "train", source_id="002", group_keys=(_clip("001"), _clip("002")), **CLIP,
             **_ff("001")))
      for top in ("frames", "DF40_train/frames")),
    ("df40", "one_shot_free/003", "0.png", _fake("drive-train", "OneShot", "FR", "train", **CLIP, **_ff("003"))),
    ("df40", "DF40_train/fomm/frames/003_000", "0.png",
     _fake("drive-train-two", "FOMM", "FR", "train", pair_media=None, group_keys=(_clip("003"), _clip("000")), **CLIP)),
    ("df40", "StyleGAN2/001", "seed0188.png",
     _fake("synthesis-train", "StyleGAN2", "EFS", "train", group_keys=("DF40/generated/001",), **CLIP)),
    ("df40", "stargan/fake/fake/x.png", "", _fake("flat-fake", "StarGAN", "FE", "test", kind="image")),
    ("df40", "MidJourney/real/x.png", "", REAL | {"rule": "flat-real", "split": "test", "kind": "image"}),
    ("df40", "deepfacelab/fake/frames/0001_fake", "1.png", _fake("unknown-fake", "DeepFaceLab", "FS", "test", **CLIP)),
    ("df40", "heygen/real/7", "1.png", REAL | CLIP | {"rule": "unknown-real", "group_keys": ("DF40/heygen/7",)}),
    ("df40", "heygen/heygen_new/fake/frames/7", "1.png",
     _fake("unknown-fake", "HeyGen", "FR", "test", group_keys=("DF40/heygen/7",), **CLIP)),
    ("df40", "sd2.1_new/ff/000", "seed01.png", _fake("synthesis-test", "SD-2.1", "EFS", "test", **CLIP)),
    ("df40", "heygen/heygen_new/fake/7.mp4", "",
     _fake("heygen-fake-video", "HeyGen", "FR", "test", kind="video", group_keys=("DF40/heygen/7",)) | {"faces": "detect"}),
    ("df40", "DF40/heygen/fake/7.mp4", "",
     _fake("unknown-fake-video", "HeyGen", "FR", "test", kind="video", group_keys=("DF40/heygen/7",)) | {"faces": "detect"}),
    ("df40", "whichfaceisreal/whichfaceisreal/fake/x.png", "",
     _fake("flat-fake", "WhichIsReal", "EFS", "test", kind="image")),
    *(
        ("wilddeepfake", f"{top}{label}_{split}/{archive}{video}/{label}/131", "942.png",
         CLIP | {"label": label, "split": split, "faces": "padded", "method": "unknown" if label == "fake" else None,
                 "forgery_type": None if label == "fake" else "REAL",
                 "group_keys": (f"WildDeepfake/{label}/{split}/{video}",)})
        for top in ("deepfake_in_the_wild/", "")
        for archive in ("1.tar.gz/", "")
        for label, split in (("real", "train"), ("fake", "test"))
        for video in ("1",)
    ),
    ("genimage", "ADM/train/nature/n01.JPEG", "", REAL | WHOLE | {"rule": "nature", "split": "train"}),
    ("genimage", "glide/imagenet_glide/val/ai/GLIDE_1.png", "",
     _fake("ai", "GLIDE", "EFS", "validation") | WHOLE),
    ("genimage", "imagenet_ai_0419_sdv4/val/ai/1.png", "", _fake("ai-release", "SD-1.4", "EFS", "validation") | WHOLE),
    ("genimage", "wukong/imagenet_ai_0424_wukong/train/nature/n1.JPEG", "", REAL | WHOLE | {"split": "train"}),
    *(
        ("genimage", f"{folder}/train/ai/1.png", "", _fake("ai", method, "EFS", "train") | WHOLE)
        for folder, method in (("Stable Diffusion V1.4", "SD-1.4"), ("Stable Diffusion V1.5", "SD-1.5"),
                               ("GLIDE", "GLIDE"), ("Wukong", "Wukong"))
    ),
    ("genimage", "imagenet_ai/val/ai/1.png", "", _fake("ai-merged", "unknown", "EFS", "validation") | WHOLE),
    ("genimage", "imagenet_ai/val/nature/1.JPEG", "", REAL | WHOLE | {"rule": "nature", "split": "validation"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "media", "frame", "wanted"), CASES, ids=[f"{case[0]}:{case[1]}" for case in CASES])
def test_every_rule_says_what_the_authors_say(name: str, media: str, frame: str, wanted: dict[str, Any]) -> None:
    path = f"{media}/{frame}" if frame else media
    result = describe(manifest(name), [path], lambda path: b"")
    assert (result.unmatched, result.ignored) == ([], {})
    (medium,) = result.media
    assert medium.media == media
    assert fields(medium, wanted) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_the_cases_reach_every_rule(name: str) -> None:
    reached = set()
    for case in CASES:
        if case[0] == name:
            path = f"{case[1]}/{case[2]}" if case[2] else case[1]
            reached.add(describe(manifest(name), [path], lambda path: b"").media[0].rule)
    assert reached == {rule.id for rule in manifest(name).rules}


def test_df40_has_its_forty_methods_by_type() -> None:
    types = [method.type for method in manifest("df40").methods]
    assert {kind: types.count(kind) for kind in types} == {"FS": 10, "FR": 13, "EFS": 12, "FE": 5}


def test_a_folder_of_numbered_images_is_one_medium_and_every_file_is_accounted_for() -> None:
    folder = "real_train/1.tar.gz/1/real/9"
    paths = [f"{folder}/{name}" for name in ("10.png", "9.png", "009.png", "notes.txt", "x.png", "README.md")]
    result = describe(manifest("wilddeepfake"), paths, lambda path: b"")
    assert [(medium.media, medium.kind) for medium in result.media] == [(folder, "frames")]
    assert result.frames == {folder: {9: f"{folder}/009.png", 10: f"{folder}/10.png"}}
    assert result.ignored == {"**/*.md": 1}
    assert result.unmatched == [
        (f"{folder}/9.png", "a second frame 9 in its folder"),
        (f"{folder}/notes.txt", "no numbered image"),
        (f"{folder}/x.png", "no numbered image"),
    ]


def test_frames_are_in_the_order_of_their_numbers() -> None:
    names = ["b/10.png", "b/9.png", "b/seed0188.jpg", "b/1.txt", "b/٣.png", "b/12345678901.png", "b/x1y.png"]
    assert clip_frames(names) == {9: "b/9.png", 10: "b/10.png", 188: "b/seed0188.jpg"}
    bare = ["a.zip/b/010", "a.zip/b/001", "a.zip/b/x2", "a.zip/b/٣", "a.zip/b/12345678901"]
    assert clip_frames(bare) == {1: "a.zip/b/001", 10: "a.zip/b/010"}


def test_an_archive_that_was_unpacked_beside_itself_is_not_opened() -> None:
    tars = ["real_train/1.tar.gz", "real_train/2.tar.gz", "elsewhere/3.tar.gz"]
    assert archive_paths(manifest("wilddeepfake"), [*tars, "real_train/2/real/1/1.png"]) == tars[:1]
    assert archive_paths(manifest("genimage"), ["a.zip"]) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: frames", "kind: frame", "kind"),
        ("faces: padded", "faces: padding", "faces"),
        ("faces: padded", "turn: 45", "turn"),
        ("faces: padded", "turn: true", "turn"),
        ("faces: padded", "faces: whole\n    turn: find", "'faces: whole' no face is looked for"),
        ('archives: ["', 'archives: ["x.rar", "', r"x\.rar.*\.tar\.gz"),
    ],
)
def test_a_mode_that_there_is_not_is_an_error_with_its_place(old: str, new: str, message: str) -> None:
    text = (FOLDER / "wilddeepfake.yaml").read_text(encoding="utf-8").replace(old, new, 1)
    with pytest.raises(ManifestError, match=message):
        load_manifest(text, "wild.yaml")


def test_a_manifest_that_uses_none_of_the_modes_keeps_its_digest() -> None:
    text = (FOLDER / "ffhq.yaml").read_text(encoding="utf-8")
    assert "archives" not in load_manifest(text, "ffhq")._content()
    spelled = load_manifest(text.replace("  - id:", "  - faces: detect\n    turn: 0\n    id:") + "\narchives: []\n", "ffhq")
    assert spelled.digest == load_manifest(text, "ffhq").digest


@pytest.mark.parametrize("turn", [90, 180, 270, "find"])
def test_a_rule_may_say_how_its_media_are_turned(turn: int | str) -> None:
    text = (FOLDER / "ffhq.yaml").read_text(encoding="utf-8")
    turned = load_manifest(text.replace("  - id:", f"  - turn: {turn}\n    id:", 1), "ffhq")
    assert turned.layout.rules[0].turn == turn
    assert turned.digest != load_manifest(text, "ffhq").digest
