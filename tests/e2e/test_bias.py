"""A method whose fakes lose their faces: told at the end of a build, on the card, in `mmidd.json` and by `status`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Said
from PIL import Image

from mmidd.sampledata.media import write_video
from mmidd.sampledata.warp import Pixels

Run = Callable[..., Said]
CLIPS = 12
ROOT = "FaceForensics++"
RECIPE = """\
name: biased
datasets: [FaceForensics++]
frames: {count: 2}
detector: {kind: mtcnn, size: 128}
captioner: none
"""


def write(path: Path, picture: Pixels) -> None:
    """A clip that shows one picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [picture] * 2, fps=25)


def pictures(sample_data: Path) -> list[Pixels]:
    """What each real shows."""
    with Image.open(min((sample_data / "DFFD").rglob("*.png"))) as opened:
        face = np.asarray(opened.convert("RGB").resize((160, 160)))
    return [np.roll(face, i, axis=1) for i in range(CLIPS)]


@pytest.fixture
def build(sample_data: Path, tmp_path: Path) -> list[str]:
    """Twelve reals, each with a Deepfakes fake (a little darker) and a FaceSwap fake that is black."""
    data = tmp_path / "data" / ROOT
    for i, shifted in enumerate(pictures(sample_data)):
        target, source = f"{i:03d}", f"{(i + 1) % CLIPS:03d}"
        write(data / f"original_sequences/youtube/c23/videos/{target}.mp4", shifted)
        fakes = data / "manipulated_sequences"
        write(fakes / f"Deepfakes/c23/videos/{target}_{source}.mp4", np.asarray(shifted * 0.9, np.uint8))
        write(fakes / f"FaceSwap/c23/videos/{target}_{source}.mp4", np.zeros_like(shifted))
    (tmp_path / "biased.yaml").write_text(RECIPE)
    places = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "corpus")]
    return ["build", str(tmp_path / "biased.yaml"), *places, "--workers", "0"]


def test_fakes_that_lose_their_faces_are_flagged_with_their_method_and_nothing_else_is(
    build: list[str], tmp_path: Path, mmidd: Run
) -> None:
    done = mmidd(*build, "--set", "crop.pairs=independent")
    assert done.code == 0  # drops do not change it, nor does the warning
    told = done.err[done.err.index("lost at different rates") :]
    assert f"{ROOT}, FaceSwap: {CLIPS} of {CLIPS} fakes (100.0%) gave nothing, 0 of {CLIPS} reals" in told
    assert f"{CLIPS} of {2 * CLIPS} pairs have frames on one side alone" in done.err
    assert "mostly no_face" in told and "crop.pairs: shared" in told and "Deepfakes" not in told

    card = (tmp_path / "corpus/README.md").read_text(encoding="utf-8")
    assert f"**Flagged:** {ROOT}, FaceSwap: {CLIPS} of {CLIPS} fakes" in card
    assert f"{CLIPS} of {2 * CLIPS} pairs have frames on one side alone" in card
    summary = json.loads((tmp_path / "corpus/mmidd.json").read_text())["losses"]
    assert {(each["method"], each["paired"]) for each in summary["flagged"]} >= {("FaceSwap", False), ("FaceSwap", True)}

    work = str(tmp_path / "corpus.work")
    losses = mmidd("status", work, "--json").document["losses"]
    names = summary.keys() - {"sides"}  # of which status lists every pair
    assert {name: losses[name] for name in names} == {name: summary[name] for name in names}
    (rate,) = (
        each for each in losses["rates"] if (each["by"], each["dataset"], each["group"]) == ("method", ROOT, "FaceSwap")
    )
    assert (rate["media"], rate["media_all"], rate["planned"], rate["dropped"]) == (CLIPS, CLIPS, 2 * CLIPS, 2 * CLIPS)
    assert rate["reasons"] == {"no_face": 2 * CLIPS}
    shown = mmidd("status", work)
    assert "FaceSwap" in shown.out and "-> set crop.pairs: shared" in shown.out

    again = mmidd(*build, "--set", "crop.pairs=independent")
    assert "(unchanged)" in again.err and "lost at different rates" in again.err


def test_fakes_that_are_cut_where_their_reals_were_lose_nothing(
    build: list[str], sample_data: Path, tmp_path: Path, mmidd: Run
) -> None:
    for fake in (tmp_path / "data" / ROOT).glob("manipulated_sequences/FaceSwap/c23/videos/*.mp4"):
        hidden = pictures(sample_data)[int(fake.name[:3])].copy()
        hidden[40:130, 45:115] = 128  # no face is seen in it, and all around it is its real's picture
        write(fake, hidden)
    done = mmidd(*build)
    assert done.code == 0 and "lost at different rates" not in done.err
    assert json.loads((tmp_path / "corpus/mmidd.json").read_text())["losses"]["flagged"] == []


def test_fakes_that_show_another_picture_than_their_reals_are_not_cut_there(
    build: list[str], tmp_path: Path, mmidd: Run
) -> None:
    done = mmidd(*build)
    assert f"{ROOT}, FaceSwap: {CLIPS} of {CLIPS} fakes (100.0%) gave nothing" in done.err
    checks = json.loads((tmp_path / "corpus/mmidd.json").read_text())["losses"]["pair_checks"]
    assert "other_picture" in json.dumps(checks)
