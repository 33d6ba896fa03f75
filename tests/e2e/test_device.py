"""Builds whose faces are found by a device process: the way of a GPU, on torch's CPU device."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Place

from mmidd.networks import meeting

TORCH = ("--set", "detector.runtime=torch")
ENGINES = {
    "ray": ["--engine", "ray", "--engine-set", "address=local"],
    "slurm": ["--engine", "slurm", "--engine-set", "cluster=local", "--engine-set", "jobs=2"],
}
MODULES = {"ray": "ray", "slurm": "submitit"}

pytest.importorskip("torch")


@pytest.fixture
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Device processes of these tests meet nobody else's."""
    monkeypatch.setenv("CUDA_DEVICE_ORDER", f"TEST_{os.getpid()}")


def built(place: Place, root: Path, workers: int, *more: str) -> Place:
    """The same data, built by a device process in a folder of its own."""
    mine = Place(root, place.data)
    root.mkdir()
    command = [sys.executable, "-m", "mmidd", *mine.building(workers, *TORCH, *more)]
    with mine.log.open("w") as log:
        assert subprocess.run(command, stdout=log, stderr=log).returncode == 0, mine.told()
    return mine


def test_the_corpus_is_the_same_with_any_number_of_workers_and_finds_what_onnxruntime_finds(
    small: Place, tmp_path: Path, runtime_folder: None
) -> None:
    one, two = (built(small, tmp_path / str(workers), workers) for workers in (0, 2))
    assert one.digests() == two.digests()
    rows = {place: pq.read_table(place.out / "data").sort_by([("media", "ascending"), ("frame", "ascending")])
            for place in (small, one)}  # fmt: skip
    here, there = rows[small], rows[one]
    assert here.num_rows == there.num_rows > 8
    assert all(here[name].equals(there[name]) for name in ("media", "frame", "label", "faces_found", "pair"))
    faces = [(a, b) for a, b in zip(here["box"].to_pylist(), there["box"].to_pylist(), strict=True) if a is not None]
    assert faces and all(np.abs(np.subtract(a, b)).max() < 1e-2 for a, b in faces)
    told = json.loads((one.out / "mmidd.json").read_text())
    assert "torch" in told["libraries"] and "onnxruntime" not in told["libraries"]


def test_a_build_whose_device_process_is_killed_charges_no_medium_and_goes_on(
    small: Place, tmp_path: Path, runtime_folder: None
) -> None:
    mine = Place(tmp_path / "killed", small.data)
    mine.root.mkdir()
    command = [sys.executable, "-m", "mmidd", *mine.building(2, *TORCH)]
    with mine.log.open("w") as log:
        build = subprocess.Popen(command, stdout=log, stderr=log)
        killed = 0
        while build.poll() is None:
            if any(mine.work.glob("records/extract/*/*")):
                for process in processes():
                    os.kill(process, signal.SIGKILL)
                    killed += 1
            time.sleep(0.01)
    assert killed and build.returncode == 1 and "device process" in mine.told() and "run the same command" in mine.told()
    straight = built(small, tmp_path / "straight", 2)
    with mine.log.open("w") as log:
        assert subprocess.run(command, stdout=log, stderr=log).returncode == 0, mine.told()
    assert mine.digests() == straight.digests()


def processes() -> list[int]:
    """The device processes that this test's builds have started."""
    mine = f"CUDA_DEVICE_ORDER={os.environ['CUDA_DEVICE_ORDER']}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
        except OSError:
            continue
        if b"mmidd.networks.process" in words and mine in environment.split(b"\0"):
            found.append(int(path.name))
    return found


@pytest.mark.skipif(not os.environ.get("MMIDD_CLUSTER"), reason="make cluster")
@pytest.mark.parametrize("name", ENGINES)
def test_a_cluster_makes_the_same_bytes(name: str, small: Place, tmp_path: Path, runtime_folder: None) -> None:
    if find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed")
    assert built(small, tmp_path / "far", 2, *ENGINES[name]).digests() == built(small, tmp_path / "here", 0).digests()


def test_the_folder_where_they_meet_is_this_users_alone() -> None:
    place = meeting.folder()
    try:
        assert place.path.stat().st_mode & 0o777 == 0o700 and place.path.stat().st_uid == os.getuid()
    finally:
        place.close()
