"""What extraction keeps of the frame around a face: one context a clip, whatever its length; no crop of nothing."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mmidd.extraction import people
from mmidd.extraction.medium import Way, frames_crops, still_crops
from mmidd.extraction.sample import Fix, cut
from mmidd.faces.choose import make_detector
from mmidd.recipe import read
from mmidd.stages import extract
from mmidd.video import Frame, Pixels


@pytest.fixture(scope="module")
def way() -> Way:
    chosen = replace(extract.config(read("sample")), choice="central")
    return Way(chosen, make_detector(chosen.detector, "cpu"))


def shown(face: npt.NDArray[np.uint8], left: int) -> bytes:
    """A frame with a face at some place of it."""
    frame = np.full((160, 400, 3), 120, np.uint8)
    frame[32:128, max(left, 0) : left + 96] = face[:, max(-left, 0) :]
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("held", [people.MOST_HELD, 1], ids=["held", "let go"])
def test_a_clip_has_one_context_also_where_its_first_frames_show_somebody_else(
    held: int, way: Way, face: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MOST_HELD", held)
    frames = [shown(face, left) for left in (0, 152, 152, 152, 152)]
    crops = frames_crops(range(5), frames.__getitem__, 5, way)
    assert len(crops.samples) >= 3 and crops.reasons, "the person in the middle, who is not there from the first frame on"
    assert [sample.context is not None for sample in crops.samples] == [True] + [False] * (len(crops.samples) - 1)


def test_an_image_has_a_context_and_the_share_of_its_padding(way: Way, face: npt.NDArray[np.uint8]) -> None:
    (sample,) = still_crops(shown(face, -24), way).samples
    assert sample.context is not None and 0.02 < sample.padding < 0.5
    (sample,) = still_crops(shown(face, 152), way).samples
    assert sample.context is not None and sample.padding == 0


@pytest.mark.parametrize("border", ["black", "replicate", "reflect"])
def test_a_crop_that_shows_nothing_of_its_frame_is_no_sample(border: str, way: Way) -> None:
    picture = Pixels(np.full((64, 64, 3), 200, np.uint8))
    config = replace(way.config, border=border)  # type: ignore[arg-type]
    fix = Fix(64, 64, (0, 0, 9, 9), ((0, 0),) * 5, (1, 0, 5000, 0, 1, 0), 0)
    with pytest.raises(ValueError, match="wholly outside"):
        cut(Frame(0, None, picture), picture, fix, config, None, "own")
