"""Odd but sound media through extraction: a crowd, nobody at all, and frames that change their size on the way."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from mmidd.extraction.medium import Way, still_crops, video_crops
from mmidd.faces.choose import make_detector
from mmidd.recipe import Recipe, read
from mmidd.stages import extract


@pytest.fixture(scope="module")
def way() -> Way:
    """As the sample recipe has it: the detector that ships with its weights."""
    recipe: Recipe = read("sample")
    chosen = extract.config(recipe)
    return Way(chosen, make_detector(chosen.detector, "cpu"))


def png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (10, 20)], ids=["six", "two hundred"])
def test_a_crowd_gives_one_sample_or_a_reason(rows: int, columns: int, way: Way, face: npt.NDArray[np.uint8]) -> None:
    crops = still_crops(png(np.tile(face, (rows, columns, 1))), way)
    assert len(crops.samples) + len(crops.reasons) == 1
    if rows == 2:
        assert [sample.fix and sample.fix.found for sample in crops.samples] == [6]


def test_a_picture_of_nobody_is_dropped_with_its_reason(way: Way) -> None:
    crops = still_crops(png(np.full((128, 128, 3), 90, np.uint8)), way)
    assert (crops.samples, crops.reasons) == ((), ((0, "dropped", "no_face"),))


def test_frames_that_change_their_size_are_samples_or_have_a_reason(
    way: Way, face: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "growing.mkv"
    with av.open(str(path), "w") as container:
        stream = None
        for part, scale in enumerate((2, 3, 2)):
            piece = tmp_path / f"{part}.mkv"
            with av.open(str(piece), "w") as one:
                coded = one.add_stream("mjpeg", rate=25)
                coded.height, coded.width = face.shape[0] * scale, face.shape[1] * scale
                coded.pix_fmt = "yuvj420p"
                large = np.asarray(Image.fromarray(face).resize((coded.width, coded.height)), np.uint8)
                for _ in range(2):
                    one.mux(coded.encode(av.VideoFrame.from_ndarray(large)))
                one.mux(coded.encode(None))
            with av.open(str(piece)) as one:
                stream = stream or container.add_stream_from_template(one.streams.video[0])
                for packet in one.demux():
                    if packet.size:
                        packet.pts = packet.dts = (packet.pts or 0) + part * 80
                        packet.stream = stream
                        container.mux(packet)
    crops = video_crops(path, 6, way)
    assert (len(crops.samples), crops.reasons) == (6, ())
    assert [sample.width for sample in crops.samples] == [192, 192, 288, 288, 192, 192]
