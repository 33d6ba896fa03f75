from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmidd.training.augment import PLATFORMS, Augment, Encoding, Jpeg, Video, WebP, chance_of, codecs, platforms
from mmidd.training.augment.base import Pixels
from mmidd.training.augment.codecs import AsJpeg, AsVideo, Encode, h264
from training.pictures import picture


def _pixels(height: int = 96, width: int = 96) -> Pixels:
    return np.ascontiguousarray(picture(height, width).permute(1, 2, 0).numpy())


def _error(one: Pixels, other: Pixels) -> float:
    return float(np.sqrt(np.mean((one.astype(np.float64) - other) ** 2)))


def test_jpeg_is_what_libjpeg_makes_of_that_quality_and_subsampling() -> None:
    for quality in (20, 75, 100):
        for name, pillow in (("444", 0), ("422", 1), ("420", 2)):
            stored = io.BytesIO()
            Image.fromarray(_pixels()).save(stored, "JPEG", quality=quality, subsampling=pillow)
            expected = np.asarray(Image.open(stored))
            found = AsJpeg(quality, name).still(_pixels())  # type: ignore[arg-type]
            assert np.array_equal(found, expected), (quality, name)


def test_a_lower_quality_quantises_more(monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[bytes] = []
    real = codecs.simplejpeg.decode_jpeg  # type: ignore[attr-defined]

    def watched(encoded: Any, **how: Any) -> Any:
        stored.append(bytes(encoded))
        return real(encoded, **how)

    monkeypatch.setattr("mmidd.training.augment.codecs.simplejpeg.decode_jpeg", watched)
    errors = []
    for quality in (90, 50, 10):
        found = Augment([Jpeg(quality=(quality, quality))]).image(picture(), 0)
        errors.append(_error(found.permute(1, 2, 0).numpy(), _pixels()))
    steps = [sum(Image.open(io.BytesIO(each)).quantization[0]) for each in stored]  # type: ignore[attr-defined]
    assert steps[0] < steps[1] < steps[2] and errors[0] < errors[1] < errors[2]
    assert len(stored[0]) > len(stored[1]) > len(stored[2])


def test_qualities_reach_both_ends_of_their_range() -> None:
    for augmentation in (Jpeg(quality=(60, 63)), WebP(quality=(60, 63))):
        drawn = {augmentation.draw(chance_of(seed), (8, 8)).quality for seed in range(60)}  # type: ignore[attr-defined]
        assert drawn == {60, 61, 62, 63}


def test_webp_is_lossy_by_its_quality() -> None:
    good, bad = (Augment([WebP(quality=(q, q))]).image(picture(), 0).permute(1, 2, 0).numpy() for q in (95, 10))
    assert 0 < _error(good, _pixels()) < _error(bad, _pixels())


@pytest.mark.parametrize("size", [(96, 96), (97, 63), (16, 16), (17, 31)])
def test_a_clip_comes_back_from_h264_frame_by_frame_at_its_size(size: tuple[int, int]) -> None:
    clip = [np.roll(_pixels(*size), 3 * i, 1) for i in range(5)]
    found = h264(clip, crf=20)
    assert [each.shape for each in found.frames] == [(*size, 3)] * 5
    assert all(np.argmin([_error(back, each) for each in clip]) == i for i, back in enumerate(found.frames))


def test_worse_rates_are_smaller_and_further_off_and_the_same_twice() -> None:
    clip = [np.roll(_pixels(), i, 1) for i in range(4)]
    for rates in ([{"crf": each} for each in (10.0, 25.0, 45.0)], [{"bits": each} for each in (3.0, 0.5, 0.05)]):
        found = [h264(clip, **each) for each in rates]
        sizes, errors = [each.size for each in found], [_error(each.frames[-1], clip[-1]) for each in found]
        assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors) and len(set(sizes)) == 3
        again = [h264(clip, **each) for each in rates]
        assert all(np.array_equal(x.frames, y.frames) and x.size == y.size for x, y in zip(found, again, strict=True))


def test_a_still_is_predicted_from_moving_frames_and_comes_back_where_it_was() -> None:
    image = _pixels()[None]
    for drift in ((0, 0), (2, -1), (-2, 2)):
        found = AsVideo((Encode(1, 12, None),), 4, drift).frames(image)
        errors = {(x, y): _error(np.roll(found[0], (y, x), (0, 1)), image[0]) for x in (-1, 0, 1) for y in (-1, 0, 1)}
        assert min(errors, key=lambda shift: errors[shift]) == (0, 0)
    alone = AsVideo((Encode(1, 30, None),), 1, (0, 0)).frames(image)
    moved = AsVideo((Encode(1, 30, None),), 4, (2, 1)).frames(image)
    assert not np.array_equal(alone, moved)  # an I frame and a P frame


def test_a_chain_goes_through_every_one_of_its_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[int, ...], int]] = []
    real = codecs.h264

    def watched(frames: list[Pixels], **rate: float | None) -> codecs.Encoded:
        found = real(frames, **rate)
        seen.append((frames[0].shape[:2], len(frames)))
        return found

    monkeypatch.setattr(codecs, "h264", watched)
    twice = Video(chains=((Encoding(crf=(20, 20)), Encoding(scale=(0.5, 0.5), bits=(0.1, 0.1))),), still_frames=2)
    one = Augment([twice]).image(picture(), 0)
    assert seen == [((96, 96), 2), ((48, 48), 2)] and one.shape == (3, 96, 96)
    Augment([twice]).image(torch.stack([picture()] * 5), 0)
    assert seen[2:] == [((96, 96), 5), ((48, 48), 5)]  # a clip is encoded as the sequence it is


def test_platforms_are_drawn_by_name() -> None:
    assert platforms("messenger") == (PLATFORMS["messenger"],) and len(platforms()) == len(PLATFORMS)
    rounds = {len(Video(chains=platforms()).draw(chance_of(i), (96, 96)).rounds) for i in range(30)}  # type: ignore[attr-defined]
    assert rounds == {1, 2}
