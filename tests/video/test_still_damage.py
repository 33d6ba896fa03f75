"""Damaged stills are refused and odd ones lose nothing. docs/video.md has what was measured on some thousand files."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, PngImagePlugin

from mmidd.errors import UnreadableMedia
from mmidd.video import read_still

Pixels = npt.NDArray[np.uint8]
END = b"\xff\xd9"


def photo(height: int = 203, width: int = 317) -> Image.Image:
    """Smooth, with grain: no block is flat."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 200 / width, y * 200 / height, (x + y) / 3 % 200], axis=2)
    return Image.fromarray((smooth + np.random.default_rng(3).normal(20, 6, smooth.shape)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def pillow(data: bytes) -> Pixels:
    """What is drawn by somebody who forgives everything."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


JPEGS = {
    "4:2:0": encoded(photo(), "JPEG", quality=90),
    "4:4:4": encoded(photo(), "JPEG", quality=95, subsampling=0),
    "4:2:2, odd size": encoded(photo(101, 99), "JPEG", quality=75, subsampling=1),
    "restart markers": encoded(photo(), "JPEG", quality=90, restart_marker_rows=1),
    "optimised": encoded(photo(), "JPEG", quality=90, optimize=True),
    "progressive": encoded(photo(), "JPEG", quality=90, progressive=True),
    "grey": encoded(photo().convert("L"), "JPEG", quality=90),
    "CMYK": encoded(photo().convert("CMYK"), "JPEG", quality=90),
    "RGB": encoded(photo(), "JPEG", quality=90, keep_rgb=True),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_the_pixels_of_a_jpeg_are_those_of_every_viewer(kind: str) -> None:
    np.testing.assert_array_equal(read_still(JPEGS[kind]).image, pillow(JPEGS[kind]))


def scan(data: bytes) -> int:
    """Where the first scan's data begins."""
    at = 2
    while data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


DAMAGES: dict[str, Callable[[bytes, int, int], bytes]] = {
    "hole of zeros": lambda data, at, size: data[:at] + bytes(size) + data[at + size :],
    "noise": lambda data, at, size: data[:at] + random.Random(at).randbytes(size) + data[at + size :],
    "block cut out": lambda data, at, size: data[:at] + data[at + size :],
    "block twice": lambda data, at, size: data[: at + size] + data[at:],
    "tail lost": lambda data, at, size: data[:at],
    "tail lost, end marker": lambda data, at, size: data[:at] + END,
    "tail lost, zeros and end marker": lambda data, at, size: data[:at] + bytes(4000) + END,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", [kind for kind in JPEGS if kind != "progressive"])
def test_a_damaged_jpeg_is_refused(kind: str, damage: str) -> None:
    data = JPEGS[kind]
    begin = scan(data)
    for share in (0.1, 0.35, 0.6, 0.8):
        damaged = DAMAGES[damage](data, begin + int((len(data) - begin) * share), min(700, len(data) // 10))
        with pytest.raises(UnreadableMedia):
            read_still(damaged)


FLAT = encoded(Image.new("RGB", (1500, 1500), "white"), "JPEG", quality=90, optimize=True)


@pytest.mark.parametrize(
    "odd",
    [
        JPEGS["4:2:0"] + b"trailing bytes" * 99,
        JPEGS["4:2:0"] + bytes(5000),
        JPEGS["4:2:0"] + JPEGS["grey"],
        JPEGS["4:2:0"][:-2],
        JPEGS["restart markers"][:-2],
        JPEGS["4:2:0"][:-2] + b"\xff\xff" + END,
        JPEGS["4:2:0"][:-2] + bytes(64) + END,
        JPEGS["4:2:0"][:2] + b"".join(b"\xff\xfe\xff\xff" + b"c" * 65533 for _ in range(40)) + JPEGS["4:2:0"][2:],
        JPEGS["4:2:0"][:2] + b"\xff" * 7 + JPEGS["4:2:0"][2:],
        encoded(photo(), "JPEG", icc_profile=b"p" * 900_000),
        FLAT,
        encoded(Image.new("RGB", (1500, 1500), (40, 90, 200)), "JPEG", progressive=True),
    ],
    ids=[
        "trailing bytes", "trailing zeros", "two pictures", "no end marker", "restart, no end marker",
        "filled before the end", "zeros before the end", "2.6 MB of comments", "filled before a marker", "a large profile",
        "flat", "flat, progressive",
    ],
)  # fmt: skip
def test_an_odd_but_whole_jpeg_loses_nothing(odd: bytes) -> None:
    image = read_still(odd).image
    np.testing.assert_array_equal(image, pillow(odd if odd.rstrip(b"\0")[-2:] == END else odd + END))


def chunk(kind: bytes, body: bytes, *, crc: int | None = None) -> bytes:
    check = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


PNG = encoded(photo(), "PNG")
BOMB = zlib.compress(bytes(200_000_000))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"zTXt", b"prompt\0\0" + zlib.compress(random.Random(1).randbytes(3_000_000).hex().encode())),
        chunk(b"zTXt", b"prompt\0\0" + BOMB),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + BOMB),
        chunk(b"iTXt", b"workflow\0\x01\0\0\0" + BOMB),
        chunk(b"iTXt", b"workflow\0\0\0\0\0" + b"w" * 5_000_000),
        b"".join(chunk(b"tEXt", b"key%d\0" % number + b"v" * 900_000) for number in range(80)),
        chunk(b"tEXt", b"key\0value", crc=7),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(random.Random(1).randbytes(3_000_000))),
        chunk(b"iCCP", b"no profile at all"),
        chunk(b"eXIf", b"II*\0\xff\xff\xff\x7f"),
        chunk(b"prIv", bytes(100)) + chunk(b"caBX", b"c2pa" * 400_000),
    ],
    ids=[
        "6 MB of text", "text bomb", "EXIF bomb", "workflow bomb", "long workflow", "72 MB of text", "bad checksum of text",
        "profile of 3 MB", "no profile", "no EXIF", "private and C2PA",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["before", "after"])
def test_metadata_of_any_size_and_kind_cost_no_png(extra: bytes, where: str) -> None:
    at = 33 if where == "before" else len(PNG) - 12
    np.testing.assert_array_equal(read_still(PNG[:at] + extra + PNG[at:]).image, np.asarray(photo()))


def test_exif_in_text_still_turns_a_png() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    text = f"\nexif\n   {len(exif.tobytes())}\n{exif.tobytes().hex()}\n"
    for packed in (False, True):
        info = PngImagePlugin.PngInfo()
        info.add_text("Raw profile type exif", text, zip=packed)
        assert read_still(encoded(photo(), "PNG", pnginfo=info)).image.shape[:2] == (317, 203)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_damaged_png_is_refused(damage: str, share: float) -> None:
    with pytest.raises(UnreadableMedia):
        read_still(DAMAGES[damage](PNG, int(len(PNG) * share), 700))


@pytest.mark.parametrize(
    "odd",
    [
        PNG + b"trailing",
        PNG[:-12],
        encoded(photo().convert("P"), "PNG"),
        encoded(photo(), "PNG", save_all=True, append_images=[photo()]),
    ],
    ids=["trailing bytes", "no IEND", "palette", "animated"],
)  # fmt: skip
def test_an_odd_but_whole_png_loses_nothing(odd: bytes) -> None:
    np.testing.assert_array_equal(read_still(odd).image, pillow(odd))


@pytest.mark.parametrize("fmt, options", [("WEBP", {"quality": 90}), ("WEBP", {"lossless": True}), ("GIF", {}), ("PNG", {})])
@pytest.mark.parametrize("colour", ["white", "black", (40, 90, 200)])
def test_a_flat_picture_is_no_hole(fmt: str, options: dict[str, object], colour: str | tuple[int, int, int]) -> None:
    flat = encoded(Image.new("RGB", (3000, 2000), colour), fmt, **options)
    np.testing.assert_array_equal(read_still(flat).image, pillow(flat))


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_turns_no_picture(fmt: str) -> None:
    if fmt == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        data = encoded(photo(), fmt, pnginfo=info)
    else:
        data = encoded(photo(), fmt, **({"tiffinfo": {700: XMP}} if fmt == "TIFF" else {"xmp": XMP}))
    assert b"tiff:Orientation" in data
    assert read_still(data).image.shape[:2] == (203, 317)
