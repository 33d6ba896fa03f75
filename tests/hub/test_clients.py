"""The clients that people use find in the Hub on loopback what they look for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .server import Hub

UPLOAD = """
import json, sys
from huggingface_hub import HfApi, HfFileSystem, snapshot_download
api, name, source = HfApi(), "lab/x", sys.argv[1]
api.create_repo(name, repo_type="dataset", private=True)
api.update_repo_settings(name, repo_type="dataset", gated="manual")
about = api.dataset_info(name)
assert about.private and about.gated == "manual", about
first = api.upload_folder(repo_id=name, repo_type="dataset", folder_path=source)
again = api.upload_folder(repo_id=name, repo_type="dataset", folder_path=source)
assert first.oid == again.oid
snapshot_download(name, repo_type="dataset", local_dir=sys.argv[2])
files = HfFileSystem()
listed = sorted(files.find("datasets/lab/x"))
part = files.cat_file("datasets/lab/x/data/0.parquet", start=1000, end=1010)
print(json.dumps({"listed": listed, "part": list(part), "commit": first.oid}))
"""


def run(
    hub: Hub, home: Path, code: str, *words: object, token: str | None = None, xet: bool = True, python: str | None = None
) -> Any:
    """What a Python process whose Hub this is prints as its last line."""
    done = subprocess.run(
        [python or sys.executable, "-c", code, *map(str, words)],
        env={**os.environ, **hub.env(home, token=token, xet=xet)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def folder(root: Path) -> Path:
    """Files of every kind: regular, large, empty, and one that compresses."""
    (root / "data").mkdir(parents=True)
    (root / "README.md").write_text("what it is")
    (root / "empty.txt").touch()
    noise = np.random.default_rng(0)
    for number in range(3):
        (root / "data" / f"{number}.parquet").write_bytes(noise.bytes(60_000) + bytes(90_000) + noise.bytes(50_000))
    floats = np.linspace(0, 1, 40_000, dtype=np.float32)
    (root / "data" / "floats.bin").write_bytes(floats.tobytes())
    return root


@pytest.mark.parametrize("way", ("xet", "lfs", "lfs in parts"))
def test_a_folder_comes_back_as_it_was(way: str, hub: Hub, tmp_path: Path) -> None:
    source, back = folder(tmp_path / "source"), tmp_path / "back"
    hub.page = 2
    hub.lfs_part = 70_000 if way == "lfs in parts" else hub.lfs_part
    told = run(hub, tmp_path / "home", UPLOAD, source, back, xet=way == "xet")
    for path in (each for each in source.rglob("*") if each.is_file()):
        name = str(path.relative_to(source))
        assert (back / name).read_bytes() == path.read_bytes() == hub.read("lab/x", name), name
    assert told["listed"] == sorted(f"datasets/lab/x/{path}" for path in hub.tree("lab/x"))
    assert bytes(told["part"]) == hub.read("lab/x", "data/0.parquet")[1000:1010]
    assert told["commit"] == hub.states("lab/x")[-1] and len(hub.states("lab/x")) == 2
    asked = {each.route for each in hub.log}
    assert ("xet-xorb" in asked, "lfs-put" in asked) == (way == "xet", way != "xet")
    assert ("lfs-complete" in asked) == (way == "lfs in parts")
    sent = hub.asked("preupload", "commit", "lfs-put", "xet-xorb")
    assert sent and all(each.private in (True, None) and each.gated in ("manual", None) for each in sent)


LOAD = """
import json, sys
from datasets import Dataset, Features, Image, Value, load_dataset
import numpy as np
rows = [{"image": np.full((8, 8, 3), level, np.uint8), "level": level} for level in range(12)]
made = Dataset.from_list(rows, Features({"image": Image(), "level": Value("int64")}))
made.push_to_hub("lab/x", private=True)
made.select(range(5)).push_to_hub("lab/x", "other", split="test", private=True)
found = load_dataset("lab/x", split="train")
assert all(np.array(row["image"]).mean() == row["level"] and row["image"].size == (8, 8) for row in found)
other = load_dataset("lab/x", "other", split="test")
print(json.dumps([len(found), [row["level"] for row in other]]))
"""


def test_datasets_pushes_and_loads_images(hub: Hub, tmp_path: Path) -> None:
    assert run(hub, tmp_path / "home", LOAD) == [12, [0, 1, 2, 3, 4]]


def test_a_stranger_gets_no_byte(hub: Hub, tmp_path: Path) -> None:
    hub.create("lab/x", private=False, gated="manual")
    hub.write("lab/x", {"data/train.parquet": b"secret"})
    code = """
import json
from datasets import load_dataset
try:
    load_dataset("lab/x")
except Exception as error:
    print(json.dumps(str(error)))
"""
    assert "gated" in run(hub, tmp_path / "home", code, token=hub.stranger)
    assert hub.asked("store") == []
