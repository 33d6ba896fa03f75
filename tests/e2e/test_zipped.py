"""A dataset in its zips, as it is downloaded, gives the corpus that it gives unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmidd.cli import run

PARTS = ("wiki", "text2img", "inpainting", "insight")


@pytest.fixture
def zipped(sample_data: Path, tmp_path: Path) -> Path:
    root = tmp_path / "zipped" / "DeepFakeFace"
    root.mkdir(parents=True)
    for part in PARTS:
        with zipfile.ZipFile(root / f"{part}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted((sample_data / "DeepFakeFace" / part).rglob("*.jpg")):
                archive.write(path, f"{part}/{path.relative_to(sample_data / 'DeepFakeFace' / part)}")
    return root.parent


def samples(data: Path, out: Path) -> list[tuple[object, ...]]:
    """What a build of DeepFakeFace alone holds, media by their place within their set."""
    arguments = ["build", "sample", "--data", str(data), "--out", str(out), "--only", "DeepFakeFace", "--workers", "0"]
    assert run([*arguments, "--set", "captioner=none"]) == 0
    rows = pq.read_table(out / "data").to_pylist()
    return sorted(
        (row["media"].replace(".zip/", "/", 1).split("/")[-2:], row["label"], row["method"], row["media_sha256"],
         row["geometry"], row["image"]["bytes"], row["pair"] is not None)
        for row in rows
    )  # fmt: skip


def test_zips_give_the_samples_of_the_unpacked_folders(sample_data: Path, zipped: Path, tmp_path: Path) -> None:
    unpacked = samples(sample_data, tmp_path / "unpacked")
    assert len(unpacked) >= 4
    assert samples(zipped, tmp_path / "out") == unpacked
    assert run(["verify", str(tmp_path / "out")]) == 0
