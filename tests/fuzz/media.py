"""What fuzzing of files begins with: images, clips, archives and a corpus, all made here and tiny."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mmidd.corpus.shards import ShardLimits, write_shard
from mmidd.corpus.target import manifest_bytes
from mmidd.schema import IMAGE, SCHEMA_VERSION, arrow_schema, media_schema, sample_id

from .guard import canary


def _picture(width: int, height: int) -> np.ndarray[Any, Any]:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x * 7 % 256, y * 5 % 256, (x + y) * 3 % 256], axis=2).astype(np.uint8)


@cache
def stills() -> Mapping[str, bytes]:
    """Every format and most modes that `read_still` takes, with EXIF, several frames, odd depths."""
    rgb = Image.fromarray(_picture(24, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "jpeg": (rgb, "JPEG", {"quality": 90, "exif": exif}),
        "progressive": (rgb, "JPEG", {"quality": 40, "progressive": True, "subsampling": 2}),
        "cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "grey": (rgb.convert("L"), "JPEG", {}),
        "mpo": (rgb, "MPO", {"save_all": True, "append_images": [rgb]}),
        "png": (rgb, "PNG", {"exif": exif}),
        "rgba": (rgb.convert("RGBA"), "PNG", {"interlace": 1}),
        "palette": (rgb.quantize(16), "PNG", {"transparency": 1}),
        "bits": (rgb.convert("1"), "PNG", {}),
        "deep": (Image.fromarray(_picture(24, 16)[:, :, 0].astype(np.uint16) * 257), "PNG", {}),
        "apng": (rgb, "PNG", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "webp": (rgb, "WEBP", {"quality": 50, "exif": exif}),
        "lossless": (rgb.convert("RGBA"), "WEBP", {"lossless": True}),
        "animated": (rgb, "WEBP", {"save_all": True, "append_images": [rgb.rotate(180)]}),
        "bmp": (rgb, "BMP", {}),
        "bmp8": (rgb.quantize(8), "BMP", {}),
        "tiff": (rgb, "TIFF", {}),
        "lzw": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "tiff-jpeg": (rgb, "TIFF", {"compression": "jpeg"}),
        "deflate": (rgb.convert("L"), "TIFF", {"compression": "tiff_adobe_deflate"}),
        "group4": (rgb.convert("1"), "TIFF", {"compression": "group4"}),
        "float": (rgb.convert("F"), "TIFF", {}),
        "gif": (rgb, "GIF", {"save_all": True, "append_images": [rgb.rotate(90)]}),
    }
    return {name: _saved(*kind) for name, kind in kinds.items()} | {"empty": b"", "text": b"text"}


def _saved(image: Image.Image, form: str, options: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


CONTAINERS = {
    "mp4": ("mp4", "libx264"), "mp4v": ("mp4", "mpeg4"), "mov": ("mov", "mjpeg"), "mkv": ("matroska", "libx264"),
    "hevc": ("matroska", "libx265"), "webm": ("webm", "libvpx"), "vp9": ("webm", "libvpx-vp9"), "avi": ("avi", "mpeg4"),
    "avi-mjpeg": ("avi", "mjpeg"), "ts": ("mpegts", "mpeg2video"), "flv": ("flv", "flv1"), "gif": ("gif", "gif"),
    "h264": ("h264", "libx264"), "mpeg": ("mpeg", "mpeg1video"), "nut": ("nut", "ffv1"), "asf": ("asf", "msmpeg4v3"),
}  # fmt: skip


@cache
def clips() -> Mapping[str, bytes]:
    """Six frames of 64x48 in every container, and texts that a careless demuxer would follow to another file."""
    secret = canary().file
    lists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=x:{secret}\n",
        "mpd": f'<?xml version="1.0"?><MPD><Period><BaseURL>file://{secret}</BaseURL></Period></MPD>',
    }
    return {name: _clip(*form) for name, form in CONTAINERS.items()} | {name: text.encode() for name, text in lists.items()}


def _clip(form: str, codec: str) -> bytes:
    out = io.BytesIO()
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        stream.codec_context.thread_count = 1
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(np.roll(_picture(64, 48), number * 4, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


_FILES = {
    "a/1.jpg": b"one" * 40,
    "a/2.jpg": b"two" * 200,
    "b.mp4": bytes(range(256)),
    "./c d.txt": b"",
    "ü/\u202e.png": b"x",
}


@cache
def archives() -> Mapping[str, bytes]:
    """A zip and tars, the first byte saying which; with links, devices, absolute names, long names, an inner archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for number, (name, data) in enumerate(_FILES.items()):
            made.writestr(name, data, zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED)
        made.writestr("../out.txt", b"x")
        made.writestr("inner.zip", b"PK")
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("device")
    device.type = tarfile.CHRTYPE
    absolute = tarfile.TarInfo("/etc/passwd")
    forms = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}
    tars = {name: _tar("w", form, link, device, absolute) for name, form in forms.items()}
    return {
        "zip": b"\0" + packed.getvalue(),
        **{name: b"\1" + data for name, data in tars.items()},
        "tgz": b"\2" + _tar("w:gz", tarfile.PAX_FORMAT, link),
    }


def _tar(mode: Any, form: int, *odd: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as tar:
        for name, data in (
            {**_FILES, "long/" * 12 + "name" * 20: b"y"}.items() if form != tarfile.USTAR_FORMAT else _FILES.items()
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in odd:
            tar.addfile(info)
    return out.getvalue()


SHARD, MEDIA, CARD, ABOUT = "data/train-celeba-00000-of-00001.parquet", "media.parquet", "README.md", "mmidd.json"


@cache
def corpus(folder: Path) -> Mapping[str, bytes]:
    """The files of a sound corpus of three rows, written through the real writer."""
    samples, media = [], []
    for number in range(3):
        name = f"img/{number}.jpg"
        key = ("CelebA", name, 0, 0)
        samples.append({"id": sample_id(*key), "dataset": "CelebA", "media": name, "frame": 0, "face": 0, "label": 0})
        counts = {"frames_planned": 1, "frames_ok": 1, "frames_dropped": 0, "frames_failed": 0, "samples": 1}
        media.append({"dataset": "CelebA", "media": name, "outcome": "ok", "label": "real", **counts})
    (folder / "data").mkdir(parents=True, exist_ok=True)
    light = pa.schema([field for field in arrow_schema() if field.type != IMAGE])
    table = pa.Table.from_pylist(samples, schema=light)
    pictures = iter([(stills()["jpeg"], None)] * len(samples))
    write_shard(folder / SHARD, {name: table[name] for name in light.names}, pictures, ShardLimits(10**6, 2, 10**6))
    pq.write_table(pa.Table.from_pylist(media, schema=media_schema()), folder / MEDIA)
    (folder / CARD).write_text("# card\n")
    return sign({name: (folder / name).read_bytes() for name in (SHARD, MEDIA, CARD)})


def sign(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """The files with the `mmidd.json` that states their sizes and checksums, as a forger would write it."""
    entries = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    entries[SHARD]["rows"] = 3
    return {**files, ABOUT: manifest_bytes({"schema_version": SCHEMA_VERSION, "files": entries})}
