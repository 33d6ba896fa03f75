"""What a real build lost is named by the split: black clips, one that is cut off, one that is no video, copies."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import models_here
from once import Once
from PIL import Image

from mmidd import cli
from mmidd.corpus.read import Corpus
from mmidd.sampledata.media import write_video
from mmidd.scores.named import left_out, named

FRAMES = 4
RECIPE = f"""\
name: lossy
datasets: [FaceForensics++]
frames: {{count: {FRAMES}}}
detector: {{kind: {"yunet" if models_here() else "mtcnn"}, size: 128}}
captioner: none
crop: {{pairs: independent}}
curation: {{splits: {{train: 0, validation: 0, test: 1}}}}
"""


def _lay(videos: Callable[[str], Path], face: npt.NDArray[np.uint8]) -> None:
    black = np.zeros_like(face)
    shown = {"000": [face] * 8, "001": [black] * 8, "002": [face, face, black, black] * 2}
    for name, pictures in shown.items():
        videos(name).parent.mkdir(parents=True, exist_ok=True)
        write_video(videos(name), [np.roll(picture, at, axis=1) for at, picture in enumerate(pictures)], fps=25)
    shutil.copy(videos("000"), videos("003"))
    videos("004").write_bytes(b"no video at all" * 100)
    videos("005").write_bytes(videos("000").read_bytes()[:400])
    other = videos("000").parents[2] / "c40" / "videos" / "000.mp4"
    other.parent.mkdir(parents=True)
    shutil.copy(videos("000"), other)


@pytest.fixture(scope="module")
def corpus(sample_data: Path, once: Once) -> Corpus:
    def make(folder: Path) -> None:
        with Image.open(min((sample_data / "DFFD").rglob("*.png"))) as opened:
            face = np.asarray(opened.convert("RGB").resize((160, 160)))
        root = folder / "data/FaceForensics++/original_sequences/youtube/c23/videos"
        _lay(lambda name: root / f"{name}.mp4", face)
        (folder / "recipe.yaml").write_text(RECIPE)
        words = ["build", str(folder / "recipe.yaml"), "--data", str(folder / "data"), "--out", str(folder / "corpus")]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in models_here().items():
                patch.setenv(name, value)
            assert cli.run([*words, "--workers", "0"]) in (0, 3)

    return Corpus(once("scores-lost-media", make) / "corpus")


def test_every_medium_that_was_lost_is_a_missing_clip_and_every_frame_a_missing_frame(corpus: Corpus) -> None:
    found = named(corpus, ["test"]).to_pylist()
    clips = {Path(row["media"]).stem: row for row in found if row["level"] == "clip"}
    frames = Counter((Path(row["media"]).stem, row["reason"]) for row in found if row["level"] == "frame")
    assert {name: (row["status"], row["reason"], row["frames_named"]) for name, row in clips.items()} == {
        "000": ("ok", None, FRAMES),
        "001": ("missing", "no_face", FRAMES),
        "002": ("ok", None, FRAMES),
        "004": ("missing", "UnreadableMedia", 1),
        "005": ("missing", "UnreadableMedia", 1),
    }
    assert frames == {
        ("000", None): FRAMES, ("001", "no_face"): FRAMES, ("002", None): FRAMES // 2, ("002", "no_face"): FRAMES // 2,
        ("004", "UnreadableMedia"): 1, ("005", "UnreadableMedia"): 1,
    }  # fmt: skip


def test_a_copy_and_another_compression_were_left_out_by_decision(corpus: Corpus) -> None:
    assert left_out(corpus, ["test"]) == {"exact_duplicate, samples": FRAMES, "other_compression": 1}
