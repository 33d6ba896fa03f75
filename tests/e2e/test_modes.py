"""Every mode of a manifest in one corpus: clips in tar.gz, folders of frames, zips, whole pictures, videos as reals."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Said
from PIL import Image

Run = Callable[..., Said]
RECIPE = """\
name: modes
datasets: [WildDeepfake, GenImage, DF40, DeepFakeFace, FaceForensics++]
frames: {count: 2}
detector: {kind: mtcnn, size: 128}
captioner: none
"""
BAD = "insight/02/1_1950-05-10_2000.jpg"
WHOLE = [
    ("train/ai/0_midjourney_1.png", "PNG", (256, 256)),
    ("train/nature/n01440764_1.JPEG", "JPEG", (320, 200)),
    ("val/ai/0_midjourney_2.png", "PNG", (256, 256)),
]
REAL = "original_sequences/youtube/c23/videos/000.mp4"


def picture(face: Path, step: int, size: tuple[int, int] = (224, 224), form: str = "PNG") -> bytes:
    """A face crop; each step shows it a little to the side."""
    with Image.open(face) as opened:
        width = min(opened.size) - 24
        moved = opened.convert("RGB").crop((3 * step, 12, 3 * step + width, 12 + width)).resize(size)
    data = io.BytesIO()
    moved.save(data, form)
    return data.getvalue()


def tar(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def make(data: Path, sample: Path) -> None:
    """The five datasets, in the forms in which they are distributed."""
    faces = sorted((sample / "DFFD").rglob("*.png"))
    wild = data / "WildDeepfake"
    real = [(f"./1/real/5/{number}.png", picture(faces[0], place)) for place, number in enumerate((10, 11, 40))]
    fake = [(f"./3/fake/7/{number}.png", picture(faces[4], place)) for place, number in enumerate((0, 1))]
    tar(wild / "real_train/1.tar.gz", real)
    tar(wild / "fake_test/3.tar.gz", [*fake, ("../../3/fake/7/2.png", fake[0][1])])
    for number in (2, 5, 9):
        put(data / f"DF40/simswap/ff/frames/000_003/{number:03d}.png", picture(faces[7], number))
    for face, (path, form, size) in enumerate(WHOLE, start=10):
        put(data / "GenImage/Midjourney" / path, picture(faces[face], 1, size, form))
    (data / "DeepFakeFace").mkdir(parents=True)
    for zipped in ("wiki", "insight"):
        with zipfile.ZipFile(data / f"DeepFakeFace/{zipped}.zip", "w") as archive:
            for image in sorted((sample / "DeepFakeFace" / zipped).rglob("*.jpg")):
                archive.write(image, image.relative_to(sample / "DeepFakeFace").as_posix())
            if zipped == "insight":
                archive.writestr(BAD, b"these bytes change")
    insight = data / "DeepFakeFace/insight.zip"
    insight.write_bytes(insight.read_bytes().replace(b"these bytes", b"other bytes"))
    (data / "FaceForensics++" / REAL).parent.mkdir(parents=True)
    shutil.copy(sample / "FaceForensics++" / REAL, data / "FaceForensics++" / REAL)


def samples(out: Path) -> list[dict[str, Any]]:
    """All rows, each with its split."""
    return [
        {**row, "split": shard.name.partition("-")[0]}
        for shard in sorted((out / "data").glob("*.parquet"))
        for row in pq.read_table(shard).to_pylist()
    ]


def facts(rows: list[dict[str, Any]], dataset: str, *names: str) -> list[tuple[object, ...]]:
    rows = sorted(rows, key=lambda row: (row["media"], row["frame"]))
    return [tuple(row[name] for name in names) for row in rows if row["dataset"] == dataset]


@pytest.fixture
def build(sample_data: Path, tmp_path: Path) -> list[str]:
    make(tmp_path / "data", sample_data)
    (tmp_path / "modes.yaml").write_text(RECIPE)
    places = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "corpus")]
    return ["build", str(tmp_path / "modes.yaml"), *places, "--workers", "0"]


def test_every_mode_becomes_samples_with_its_own_columns(build: list[str], tmp_path: Path, mmidd: Run) -> None:
    assert mmidd(*build).code == 3  # one member of a tar is refused, one of a zip has other bytes than it should
    out = tmp_path / "corpus"
    assert mmidd("verify", str(out)).code == 0
    rows = samples(out)

    clip = ("media", "frame", "label", "method", "split", "split_basis", "fps", "timestamp")
    assert facts(rows, "WildDeepfake", *clip) == [
        ("fake_test/3.tar.gz/3/fake/7", 0, 1, "unknown", "test", "official", None, None),
        ("fake_test/3.tar.gz/3/fake/7", 1, 1, "unknown", "test", "official", None, None),
        ("real_train/1.tar.gz/1/real/5", 10, 0, None, "train", "official", None, None),
        ("real_train/1.tar.gz/1/real/5", 40, 0, None, "train", "official", None, None),
    ]
    folder = "simswap/ff/frames/000_003"
    pair = f"FaceForensics++:{REAL}"
    assert facts(rows, "DF40", *clip[:5], "target_id", "source_id", "pair_media", "geometry") == [
        (folder, number, 1, "SimSwap", "test", "000", "003", pair, "own") for number in (2, 9)
    ]
    shape = ("media", "label", "method", "split", "geometry", "box", "landmarks", "transform")
    assert facts(rows, "GenImage", *shape) == [
        ("Midjourney/train/ai/0_midjourney_1.png", 1, "Midjourney", "train", "whole", None, None, None),
        ("Midjourney/train/nature/n01440764_1.JPEG", 0, None, "train", "whole", None, None, None),
        ("Midjourney/val/ai/0_midjourney_2.png", 1, "Midjourney", "validation", "whole", None, None, None),
    ]
    sizes = {row["media"]: Image.open(io.BytesIO(row["image"]["bytes"])).size for row in rows if row["geometry"] == "whole"}
    assert sizes["Midjourney/train/nature/n01440764_1.JPEG"] == (320, 200)
    zipped = facts(rows, "DeepFakeFace", "media", "method", "geometry")
    assert [media.split("/")[0] for media, _, _ in zipped] == ["insight.zip"] * 2 + ["wiki.zip"] * 2  # type: ignore[attr-defined]
    cut = [row for row in rows if row["geometry"] != "whole"]
    assert all(row["box"] and row["landmarks"] and row["transform"] for row in cut)
    assert facts(rows, "FaceForensics++", "media", "label")[0] == (REAL, 0)

    failures = mmidd("failures", str(tmp_path / "corpus.work"), "--json").document
    assert sorted((each["media"], each["error"], each["message"]) for each in failures) == [
        ("fake_test/3.tar.gz/../../3/fake/7/2.png", "Refused", "not a plain relative path"),
        (f"insight.zip/{BAD}", "UnreadableMedia", "the archive is damaged or of an unknown form (BadZipFile)"),
    ]

    files = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    again = mmidd(*build)
    assert again.code == 3 and "(unchanged)" in again.err
    assert {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()} == files
    assert not list(tmp_path.rglob("2.png"))
