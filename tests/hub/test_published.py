"""What `mmidd publish` has put on the Hub is read from there by what people use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Build
from place import moved

from .server import Hub
from .test_clients import run

LOAD = """
import json, sys
import duckdb
from datasets import load_dataset
from huggingface_hub import HfFileSystem
images = load_dataset("lab/faces", data_files={"rows": "data/*"}, split="rows", revision="v1")
sizes = sorted({image.size for image in images["image"]})
labels = load_dataset("lab/faces", data_files={"rows": "labels/*"}, split="rows", revision="v1")
connection = duckdb.connect()
connection.register_filesystem(HfFileSystem())
query = "SELECT count(*), count(DISTINCT id), count(pixels_sha256) FROM 'hf://datasets/lab/faces@v1/labels/*.parquet'"
print(json.dumps([len(images), sizes, len(labels), "image" in labels.features, connection.sql(query).fetchall()[0]]))
"""

DOWNLOAD = """
import json
from huggingface_hub import hf_hub_download
try:
    hf_hub_download("lab/faces", "publication.json", repo_type="dataset")
except Exception as error:
    print(json.dumps(type(error).__name__))
"""


def publish(hub: Hub, home: Path, corpus: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """`mmidd publish` to this Hub."""
    return subprocess.run(
        [sys.executable, "-m", "mmidd", "publish", str(corpus), "lab/faces", *more],
        env={**os.environ, **hub.env(home)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def faces(hub: Hub, built: Build, tmp_path: Path) -> Hub:
    """A Hub with a published corpus: labels of all datasets, pixels of one."""
    corpus = moved(built.out, tmp_path / "corpus")
    done = publish(hub, tmp_path / "home", corpus, "--json")
    assert done.returncode == 0, done.stderr
    assert hub.token not in done.stdout + done.stderr
    return hub


def test_it_is_read_by_datasets_and_duckdb_and_by_no_stranger(faces: Hub, built: Build, tmp_path: Path) -> None:
    images, sizes, labels, told, counts = run(faces, tmp_path / "reader", LOAD)
    assert 0 < images < built.samples == labels and sizes == [[256, 256]] and not told
    assert counts == [built.samples] * 3
    assert run(faces, tmp_path / "stranger", DOWNLOAD, token=faces.stranger) == "RepositoryNotFoundError"
    faces.repos["lab/faces"].private = False
    assert run(faces, tmp_path / "stranger", DOWNLOAD, token=faces.stranger) == "GatedRepoError"
