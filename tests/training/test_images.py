"""Pixels are those of the corpus's reader; sizes, masks and landmarks move together; what is no image is a named error."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from mmidd.corpus import decoding, pictures
from mmidd.errors import CorpusError, UsageError
from mmidd.training import images
from mmidd.training.images import Fit, Sizing, UnreadableRow, decoded, tensor


def smooth(height: int, width: int, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def encoded(picture: Image.Image, kind: str, **how: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind", "how"),
    [
        ("RGB", "JPEG", {"quality": 95, "subsampling": 0}), ("RGB", "JPEG", {"quality": 60, "progressive": True}),
        ("L", "JPEG", {}), ("CMYK", "JPEG", {}), ("RGB", "PNG", {}), ("L", "PNG", {}), ("RGBA", "PNG", {}), ("P", "PNG", {}),
        ("1", "PNG", {}), ("RGB", "WEBP", {"quality": 80}), ("RGB", "WEBP", {"lossless": True, "method": 0}),
        ("RGBA", "WEBP", {"lossless": True}), ("RGBA", "WEBP", {"quality": 50}),
    ],
)  # fmt: skip
def test_pixels_are_those_of_the_corpus_reader(mode: str, kind: str, how: dict[str, Any]) -> None:
    for seed, (height, width) in enumerate([(48, 64), (1, 1), (33, 7)]):
        data = encoded(smooth(height, width, seed).convert(mode), kind, **how)
        found, shape = decoded(data, "x")
        assert shape == (height, width) and found.flags.writeable and found.flags.c_contiguous
        np.testing.assert_array_equal(found, pictures.decoded(data, "x"))


def test_an_orientation_that_a_file_tells_is_not_heeded() -> None:
    about = Image.Exif()
    about[0x0112] = 6
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(smooth(20, 40), kind, exif=about.tobytes())
        np.testing.assert_array_equal(decoded(data, "x")[0], pictures.decoded(data, "x"))


@pytest.mark.parametrize("kind", ("JPEG", "PNG", "WEBP"))
def test_what_is_cut_or_no_image_is_named(kind: str) -> None:
    data = encoded(smooth(40, 40), kind)
    for broken in (b"", b"x", data[:3], data[:20], data[:30], data[: len(data) // 2], b"GIF89a" + data):
        with pytest.raises(UnreadableRow, match=r"^row 7 cannot be decoded"):
            decoded(broken, "row 7")


def test_no_image_of_more_pixels_than_a_build_writes_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (images, decoding, pictures):
        monkeypatch.setattr(module, "MOST_PIXELS", 40 * 40 - 1)
    for kind, how in (("JPEG", {}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True})):
        with pytest.raises(UnreadableRow, match="row 7 has 40x40 pixels"):
            decoded(encoded(smooth(40, 40), kind, **how), "row 7")


def test_a_webp_says_its_size_before_it_is_decoded() -> None:
    for how in ({"quality": 50}, {"lossless": True}):
        assert decoding._webp_shape(encoded(smooth(300, 70), "WEBP", **how)) == (70, 300)


@pytest.mark.parametrize(
    ("size", "decodes_to"), [(256, 256), (200, 256), (129, 256), (128, 128), (100, 128), (60, 64), (30, 32)]
)
def test_a_jpeg_is_decoded_smaller_only_where_that_is_at_least_the_size(size: int, decodes_to: int) -> None:
    data = encoded(smooth(256, 256), "JPEG", quality=95, subsampling=0)
    found, shape = decoded(data, "x", size)
    assert found.shape[:2] == (decodes_to, decodes_to) and shape == (256, 256)
    sized = Sizing(size).image(data, "x")[0]
    plain = cv2.resize(simplejpeg.decode_jpeg(data), (size, size), interpolation=cv2.INTER_AREA)
    assert sized.shape == (size, size, 3) and np.abs(sized.astype(int) - plain).mean() < 1.5


@pytest.mark.parametrize("fit", ("crop", "pad", "stretch"))
@pytest.mark.parametrize("stored", [(60, 90), (90, 60), (64, 64), (200, 31), (40, 150)])
@pytest.mark.parametrize("kind", ("PNG", "JPEG"))
def test_images_masks_and_points_move_together(fit: Fit, stored: tuple[int, int], kind: str) -> None:
    """A bright spot of image and mask lies where its point is said to be."""
    height, width = stored
    spot = np.zeros((height, width, 3), np.uint8)
    at = (height // 2, width // 2 + (1 if width > 40 else 0))
    reach = max(1, min(stored) // 8)
    spot[max(0, at[0] - reach) : at[0] + reach + 1, max(0, at[1] - reach) : at[1] + reach + 1] = 255
    rows, columns = np.nonzero(spot[..., 0])
    middle = np.array([[columns.mean(), rows.mean()]], np.float32)
    sizing = Sizing(32, fit)
    data = encoded(Image.fromarray(spot), kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
    image, found = sizing.image(data, "x")
    mask = sizing.mask(encoded(Image.fromarray(spot[..., 0]), "PNG"), stored, "x")
    assert found == stored and image.shape == (32, 32, 3) and mask.shape == (32, 32) and image.flags.c_contiguous
    moved = sizing.points(middle, stored)[0]
    for picture in (image[..., 0], mask):
        weight = picture.astype(float) * (picture > 60)
        ys, xs = np.mgrid[:32, :32]
        seen = np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()
        assert np.abs(seen - moved).max() < 1.0, (seen, moved)


def test_a_very_long_image_takes_no_room() -> None:
    data = encoded(Image.new("RGB", (60_000, 1)), "PNG")
    for fit in ("crop", "pad", "stretch"):
        assert Sizing(64, fit).image(data, "x")[0].shape == (64, 64, 3)


def test_a_mask_of_another_size_than_its_image_is_told() -> None:
    with pytest.raises(UnreadableRow, match=r"mask has 10x20 pixels, its image 10x10"):
        Sizing().mask(encoded(Image.new("L", (10, 20)), "PNG"), (10, 10), "mask")


def test_a_tensor_is_a_view_of_the_pixels() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    found = tensor(pixels)
    assert tuple(found.shape) == (3, 2, 4) and found[1, 0, 2] == pixels[0, 2, 1] and found.data_ptr() == pixels.ctypes.data


@pytest.mark.parametrize(
    ("words", "message"), [({"size": 0}, "size=0"), ({"size": "x"}, "size='x'"), ({"fit": "cover"}, "fit='cover'")]
)
def test_a_size_that_is_none_is_told(words: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Sizing(**words)
    assert issubclass(UnreadableRow, CorpusError)
