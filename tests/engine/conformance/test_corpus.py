"""A whole build on a cluster, whose driver is killed on the way: the corpus is the one that this process makes alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Place

from mmidd import cli
from mmidd.engine.files import sha256_file

from .conftest import Engines

WAIT_S = 200.0


def digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def settings(name: str, request: pytest.FixtureRequest) -> list[str]:
    if name == "slurm":
        return ["cluster=local", "jobs=1"]
    return [f"address={request.getfixturevalue('cluster').address}"]


def kill_once_something_is_committed(words: list[str], work: Path, log: Path) -> None:
    with log.open("w") as out:
        driver = subprocess.Popen([sys.executable, "-m", "mmidd", *words], stdout=out, stderr=out, env=dict(os.environ))
    deadline = time.monotonic() + WAIT_S
    while not any(work.glob("records/extract/*/*.json")):
        assert driver.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    driver.kill()
    driver.wait()


@pytest.mark.parametrize("name", ["ray", "slurm"])
def test_a_build_whose_driver_was_killed_ends_with_the_very_bytes_of_a_small_one(
    name: str, engines: Engines, small: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engines.make(name).close()  # skips where its package is not installed; the build needs the CPUs
    out, work = tmp_path / "corpus", tmp_path / "corpus.work"
    words = ["build", str(small.recipe), "--data", str(small.data), "--out", str(out), "--workers", "2"]
    words += ["--engine", name, *(word for pair in settings(name, request) for word in ("--engine-set", pair))]
    kill_once_something_is_committed(words, work, tmp_path / "log.txt")
    assert not out.exists()
    assert cli.run(words) == 0
    assert digests(out) == digests(small.out)
