"""A crop's bytes: what goes in comes out, nothing else goes in."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from mmidd.errors import MmiddError, TooLargeMedia, UnreadableMedia
from mmidd.faces.encode import Format, ImageConfig, Subsampling, decode, encode

from .conftest import Image

FORMATS: tuple[Format, ...] = ("jpeg", "png", "webp")
MAGIC = {"jpeg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n", "webp": b"RIFF"}


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """(marker, payload) of each segment up to the scan."""
    segments, at = [], 2
    while data[at + 1] != 0xDA:
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        segments.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return segments


def png_chunks(data: bytes) -> set[bytes]:
    chunks, at = set(), 8
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        chunks.add(data[at + 4 : at + 8])
        at += 12 + length
    return chunks


@pytest.mark.parametrize("format", FORMATS)
def test_the_format_is_the_one_asked_for_and_repeats_to_the_byte(astronaut: Image, format: Format) -> None:
    data = encode(astronaut, ImageConfig(format))
    assert data.startswith(MAGIC[format])
    assert encode(astronaut.copy(), ImageConfig(format)) == data
    assert encode(np.ascontiguousarray(astronaut[:, ::-1])[:, ::-1], ImageConfig(format)) == data


@pytest.mark.parametrize("format", ["png", "webp"])
@pytest.mark.parametrize("shape", [(256, 256), (1, 1), (3, 7)])
def test_lossless_formats_return_every_pixel(format: Format, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert np.array_equal(decode(encode(image, ImageConfig(format))), image)


def test_jpeg_comes_close_in_the_right_channel_order(astronaut: Image) -> None:
    back = decode(encode(astronaut, ImageConfig()))
    assert back.shape == astronaut.shape
    error = np.mean((back.astype(float) - astronaut) ** 2)
    assert 10 * np.log10(255**2 / error) > 38
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    assert decode(encode(red, ImageConfig()))[8, 8, 0] > 240


@pytest.mark.parametrize(("subsampling", "luma"), [("444", 0x11), ("420", 0x22)])
def test_jpeg_has_the_chroma_sampling_asked_for(astronaut: Image, subsampling: Subsampling, luma: int) -> None:
    data = encode(astronaut, ImageConfig(subsampling=subsampling))
    ((_, frame),) = [segment for segment in jpeg_segments(data) if segment[0] == 0xC0]
    assert [frame[7 + 3 * component] for component in range(frame[5])] == [luma, 0x11, 0x11]


def test_a_higher_quality_takes_more_bytes(astronaut: Image) -> None:
    sizes = [len(encode(astronaut, ImageConfig(quality=quality))) for quality in (40, 75, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] * 2 < sizes[-1]


def test_nothing_but_pixels_is_stored(astronaut: Image) -> None:
    markers = {marker for marker, _ in jpeg_segments(encode(astronaut, ImageConfig()))}
    assert markers <= {0xE0, 0xDB, 0xC0, 0xC4}  # JFIF, tables, frame: no Exif, comment or profile
    assert png_chunks(encode(astronaut, ImageConfig("png"))) == {b"IHDR", b"IDAT", b"IEND"}
    assert encode(astronaut, ImageConfig("webp"))[8:16] == b"WEBPVP8L"


@pytest.mark.parametrize("data", [b"", b"not an image", b"GIF89a" + bytes(40)], ids=["empty", "text", "gif"])
def test_what_is_no_crop_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableMedia):
        decode(data)


def test_a_damaged_crop_is_unreadable(astronaut: Image) -> None:
    with pytest.raises(UnreadableMedia):
        decode(encode(astronaut, ImageConfig("png"))[:60])


def test_an_image_bomb_is_refused_before_it_is_unpacked() -> None:
    data = bytearray(encode(np.zeros((4, 4, 3), np.uint8), ImageConfig("jpeg")))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    with pytest.raises(TooLargeMedia):
        decode(bytes(data))


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_a_side_beyond_the_formats_limit_is_an_error(format: Format) -> None:
    with pytest.raises(MmiddError, match="70000x1"):
        encode(np.zeros((1, 70_000, 3), np.uint8), ImageConfig(format))


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(image: Image) -> None:
    with pytest.raises(ValueError, match="image must be"):
        encode(image, ImageConfig())


@pytest.mark.parametrize("change", [{"format": "gif"}, {"quality": 0}, {"quality": 101}, {"subsampling": "422"}])
def test_an_impossible_config_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        ImageConfig(**change)  # type: ignore[arg-type]
