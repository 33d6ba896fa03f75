"""A turned picture is the picture turned, whatever of it is looked at."""

from __future__ import annotations

import numpy as np
import pytest

from mmidd.media import TURNS
from mmidd.video import Frame, Pixels
from mmidd.video.turned import turned, turned_frames

from .test_picture import decoded, noise


@pytest.mark.parametrize("degrees", TURNS)
@pytest.mark.parametrize("size", [(640, 360), (321, 240), (2, 2), (1, 1)], ids=str)
def test_it_is_turned_clockwise_whole_small_and_in_parts(size: tuple[int, int], degrees: int) -> None:
    for picture in (Pixels(noise(*size)), decoded(size, "yuv420p")):
        found = turned(picture, degrees)
        whole = np.rot90(picture.whole(), -degrees // 90)
        assert (found.height, found.width) == whole.shape[:2]
        assert np.array_equal(found.whole(), whole) and found.whole().flags.c_contiguous
        assert np.array_equal(found.small(100), np.rot90(picture.small(100), -degrees // 90))
        rng = np.random.default_rng(degrees)
        for _ in range(5):
            x0, y0 = int(rng.integers(0, found.width)), int(rng.integers(0, found.height))
            x1, y1 = int(rng.integers(x0, found.width)) + 1, int(rng.integers(y0, found.height)) + 1
            assert np.array_equal(found.part(x0, y0, x1, y1), whole[y0:y1, x0:x1])


def test_lost_frames_stay_lost_and_other_angles_are_refused() -> None:
    lost = Frame(3, 0.5, None, "corrupt_frame")
    assert list(turned_frames([lost], 90)) == [lost]
    with pytest.raises(ValueError, match="not 45"):
        turned(Pixels(noise(4, 4)), 45)
