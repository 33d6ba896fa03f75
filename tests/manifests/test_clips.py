"""A takedown names one path of a clip: every other one that the rules have for it is the same clip, and no other clip is."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations

import pytest

from mmidd.manifest import find_manifest
from mmidd.takedown import Exclusions, taken_down

from .test_frames import CASES, FF
from .trees import account

C23 = "original_sequences/youtube/c23"
SAME = [
    *((dataset, video, frames, f"{frames}/0001.png") for dataset, frames, video, *_ in CASES),
    (FF, f"{C23}/videos/000.mp4", "FaceForensics++_C23/original/000.mp4", f"{C23.replace('c23', 'c40')}/frames/000"),
    ("DeepFakeFace", "wiki/00/1.jpg", "wiki/wiki/00/1.jpg", "wiki.zip/00/1.jpg", "wiki.zip/wiki/00/1.jpg"),
    ("VidTIMIT", "fadg0/video/sa1", "fadg0.zip/fadg0/video/sa1", "fadg0/sa1"),
    ("WildDeepfake", "real_train/12/real/5", "real_train/12.tar.gz/12/real/5", "deepfake_in_the_wild/real_train/12/real/5"),
    ("DF40", "blendface/ff/frames/000_003", "DF40/blendface/ff/frames/000_003"),
    ("DF40", "heygen/fake/v1.mp4", "heygen/fake/frames/v1", "DF40/heygen/heygen/fake/v1"),
]


@pytest.mark.parametrize(("dataset", "paths"), [(each[0], each[1:]) for each in SAME])
def test_all_paths_of_a_clip_have_one_name(dataset: str, paths: tuple[str, ...]) -> None:
    assert len({find_manifest(dataset).clip_of(path) for path in paths}) == 1


OTHER = [
    (FF, f"{C23}/videos/000.mp4", f"{C23}/videos/003.mp4", "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"),
    (FF, *(f"manipulated_sequences/{method}/c23/frames/000_003" for method in ("Deepfakes", "FaceSwap"))),
    ("DFDC", "test/frames/aaaaaaaaaa", "validation/frames/aaaaaaaaaa", "dfdc_train_part_0/frames/aaaaaaaaaa"),
    ("DeepFakeFace", "wiki.zip/00/1.jpg", "text2img.zip/00/1.jpg", "wiki.zip/01/1.jpg", "wiki.zip/00/1.png"),
    ("WildDeepfake", "real_train/12.tar.gz/12/real/5", "fake_train/12.tar.gz/12/fake/5", "real_test/12.tar.gz/12/real/5"),
    ("DF40", "blendface/ff/frames/000_003", "blendface/frames/000_003", "simswap/ff/frames/000_003"),
    ("KoDF", "1.Training/a/x.mp4", "1.Training/b/x.mp4", "2.Validation/a/x.mp4"),
    ("FFHQ", "images1024x1024/00000/00000.png", "images1024x1024/00000/00001.png"),
]


@pytest.mark.parametrize(("dataset", "paths"), [(each[0], each[1:]) for each in OTHER])
def test_other_clips_have_other_names(dataset: str, paths: tuple[str, ...]) -> None:
    assert len({find_manifest(dataset).clip_of(path) for path in paths}) == len(paths)


@pytest.mark.parametrize(("line", "there"), list(combinations((f"{C23}/videos/000.mp4", f"{C23}/frames/000"), 2)))
def test_a_line_that_names_a_video_covers_its_frames_and_the_fakes_of_these(line: str, there: str) -> None:
    fake, other = "manipulated_sequences/Deepfakes/c23/frames/000_003", f"{C23}/frames/003"
    media = account(FF, {f"{path}/0001.png": b"" for path in (there, fake, other)}).media
    rows = [asdict(each) for each in media]
    assert len(rows) == 3
    found = taken_down(rows, lambda name: None, Exclusions(media=frozenset({(FF, line)})))
    assert {name[1]: cover.how for name, cover in found.items()} == {there: "same clip", fake: "made from it"}
