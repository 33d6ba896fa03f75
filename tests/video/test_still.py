from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mmidd.errors import EmptyMedia, MediaError, TooLargeMedia, UnreadableMedia
from mmidd.video import read_still, still_identity

Pixels = npt.NDArray[np.uint8]


def scene(height: int = 48, width: int = 64) -> Pixels:
    """Smooth and different in every corner and channel."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 2 % 256], axis=2).astype(np.uint8)


def encoded(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=fmt, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(scene()).convert(mode)


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_pixel(fmt: str) -> None:
    still = read_still(encoded(picture(), fmt, **({"lossless": True} if fmt == "WEBP" else {})))
    np.testing.assert_array_equal(still.image, scene())
    assert (still.codec, still.jpeg_quality, still.frames) == (fmt.lower(), None, 1)
    assert still.image.flags.c_contiguous


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(picture("L"), "PNG"), np.repeat(np.asarray(picture("L"))[:, :, None], 3, axis=2)),
        (encoded(picture("1"), "PNG"), np.repeat(np.asarray(picture("1").convert("L"))[:, :, None], 3, axis=2)),
        (encoded(picture("P"), "PNG"), np.asarray(picture("P").convert("RGB"))),
        (encoded(picture("P"), "GIF"), np.asarray(picture("P").convert("RGB"))),
        (encoded(picture("LA"), "PNG"), np.repeat(np.asarray(picture("L"))[:, :, None], 3, axis=2)),
    ],
    ids=["grey", "bilevel", "palette", "gif", "grey with alpha"],
)
def test_every_mode_becomes_rgb(data: bytes, expected: Pixels) -> None:
    np.testing.assert_array_equal(read_still(data).image, expected)


def test_transparency_is_dropped_not_blended() -> None:
    pixels = np.dstack([scene(), np.linspace(0, 255, 64, dtype=np.uint8)[None].repeat(48, axis=0)])
    np.testing.assert_array_equal(read_still(encoded(Image.fromarray(pixels), "PNG")).image, scene())


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(fmt: str) -> None:
    grey = np.linspace(0, 65535, 48 * 64).astype(np.uint16).reshape(48, 64)
    image = read_still(encoded(Image.fromarray(grey), fmt)).image
    np.testing.assert_array_equal(image, np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2))


def test_sixteen_bit_colour_keeps_its_high_bytes() -> None:
    deep = scene().astype(np.uint16) * 257
    done, data = cv2.imencode(".png", deep[:, :, ::-1])
    assert done
    np.testing.assert_array_equal(read_still(data.tobytes()).image, scene())


@pytest.mark.parametrize("channels", [3, 4], ids=["colour", "with alpha"])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_every_sixteen_bit_layout_keeps_its_high_bytes_or_is_refused(suffix: str, channels: int) -> None:
    deep = np.dstack([scene()[:, :, ::-1], np.full((48, 64, channels - 3), 200, np.uint8)]).astype(np.uint16) * 257
    done, data = cv2.imencode(suffix, deep)
    assert done
    np.testing.assert_array_equal(read_still(data.tobytes()).image, scene())


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    image = picture("P")
    np.testing.assert_array_equal(read_still(encoded(image, "PNG", transparency=0)).image, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_samples_without_a_range_are_refused(mode: str) -> None:
    with pytest.raises(UnreadableMedia, match="32-bit"):
        read_still(encoded(picture("L").convert(mode), "TIFF"))


def test_a_cmyk_jpeg_has_the_colours_that_were_saved() -> None:
    still = read_still(encoded(picture("CMYK"), "JPEG", quality=100, subsampling=0))
    assert np.abs(still.image.astype(int) - scene()).mean() < 3
    assert still.codec == "jpeg"


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_exif_orientation_is_undone(fmt: str, tag: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    ways: dict[str, dict[str, Any]] = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    options = ways.get(fmt, {})
    data = encoded(picture(), fmt, exif=exif, **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert expected.size == ((64, 48) if tag < 5 else (48, 64))
    np.testing.assert_array_equal(read_still(data).image, np.asarray(expected))


@pytest.mark.parametrize("tag", [0, 9, 77])
def test_an_impossible_orientation_means_upright(tag: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    np.testing.assert_array_equal(read_still(encoded(picture(), "PNG", exif=exif)).image, scene())


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM"])
def test_a_broken_exif_block_costs_no_image(exif: bytes) -> None:
    assert read_still(encoded(picture(), "JPEG", exif=exif)).image.shape == (48, 64, 3)


def test_a_phones_multi_picture_file_is_a_jpeg() -> None:
    still = read_still(encoded(picture(), "MPO", save_all=True, append_images=[picture("L")], quality=90))
    assert (still.codec, still.jpeg_quality, still.frames) == ("jpeg", 90, 2)


@pytest.mark.parametrize(("fmt", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})])
def test_of_an_animation_the_first_frame_is_taken_and_the_count_told(fmt: str, options: dict[str, object]) -> None:
    frames = [Image.fromarray(np.roll(scene(), 9 * k, axis=1)).quantize(64).convert("RGB") for k in range(5)]
    still = read_still(encoded(frames[0], fmt, save_all=True, append_images=frames[1:], **options))
    assert still.frames == 5
    assert np.abs(still.image.astype(int) - np.asarray(frames[0])).max() <= 3


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 90, 95, 98, 100])
@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_quality_of_pillows_jpegs_is_found(quality: int, subsampling: int, mode: str) -> None:
    data = encoded(picture(mode), "JPEG", quality=quality, subsampling=subsampling, optimize=True)
    assert read_still(data).jpeg_quality == quality


@pytest.mark.parametrize("quality", [75, 90, 95])
def test_the_quality_of_opencvs_jpegs_is_found(quality: int) -> None:
    done, data = cv2.imencode(".jpg", scene(), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    assert read_still(data.tobytes()).jpeg_quality == quality


def test_tables_of_another_encoder_get_the_nearest_quality() -> None:
    like_90 = [[max(1, value + (-1) ** i) for i, value in enumerate(table)] for table in tables(90)]
    assert abs((read_still(encoded(picture(), "JPEG", qtables=like_90)).jpeg_quality or 0) - 90) <= 1


def tables(quality: int) -> list[list[int]]:
    with Image.open(io.BytesIO(encoded(picture(), "JPEG", quality=quality))) as image:
        return [list(table) for table in image.quantization.values()]  # type: ignore[attr-defined]


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(picture(), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(picture("P"), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(picture(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def webp_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(picture("RGBA"), "WEBP", lossless=False, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"))
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


@pytest.mark.parametrize("size", [(9000, 9000), (60000, 60000)])
@pytest.mark.parametrize("make", [png_header, jpeg_header, gif_header, bmp_header])
def test_a_bomb_is_refused_by_its_header(make, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TooLargeMedia, match="limit"):
        read_still(make(*size))


def test_a_webp_bomb_is_refused() -> None:
    with pytest.raises(TooLargeMedia, match="limit"):
        read_still(webp_header(16000, 16000))


def test_the_limit_is_inclusive() -> None:
    data = encoded(picture(), "PNG")
    assert read_still(data, max_pixels=64 * 48).image.shape == (48, 64, 3)
    with pytest.raises(TooLargeMedia, match="64x48"):
        read_still(data, max_pixels=64 * 48 - 1)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_image_is_unreadable(fmt: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), fmt)
    with pytest.raises(UnreadableMedia):
        read_still(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyMedia),
        (b"no image at all" * 50, UnreadableMedia),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnreadableMedia),
        (encoded(picture(), "PPM"), UnreadableMedia),
        (encoded(picture(), "ICO"), UnreadableMedia),
        (encoded(picture("L"), "EPS"), UnreadableMedia),
    ],
    ids=["empty", "text", "svg", "ppm", "ico", "eps"],
)
def test_other_bytes_are_refused_with_a_stable_message(data: bytes, error: type[MediaError]) -> None:
    messages = set()
    for _ in range(2):
        with pytest.raises(error) as caught:
            read_still(data)
        messages.add(str(caught.value))
    assert len(messages) == 1 and "0x" not in messages.pop()


WHOLE = [encoded(picture("P" if fmt == "GIF" else "RGB"), fmt) for fmt in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")]


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_bytes_are_an_image_or_a_media_error(data: bytes, changes: list[tuple[float, int]]) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    try:
        still = read_still(bytes(damaged), max_pixels=1 << 20)
    except MediaError:
        return
    assert still.image.dtype == np.uint8 and still.image.ndim == 3 and still.image.shape[2] == 3


def test_the_identity_names_the_libraries_that_shape_pixels() -> None:
    identity = still_identity()
    assert set(identity) == {"pillow", "simplejpeg", "libjpeg_turbo", "zlib", "webp", "libtiff"}
    assert all(identity.values())
