"""Workers of a cluster fetch for themselves: the corpus is the one that this process makes of a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import Place

from .conftest import S3, digests

SETTINGS = {"ray": ["address=local"], "slurm": ["cluster=local", "jobs=1"]}
MODULES = {"ray": "ray", "slurm": "submitit"}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_cluster_makes_the_same_bytes_of_an_object_store(name: str, small: Place, s3: S3, tmp_path: Path) -> None:
    if find_spec(MODULES[name]) is None:
        pytest.skip(f"{MODULES[name]} is not installed")
    out, address = tmp_path / "corpus", s3.upload(small.data, "same")
    words = ["build", str(small.recipe), "--data", address, "--out", str(out), "--workers", "2"]
    words += ["--engine", name, *(word for setting in SETTINGS[name] for word in ("--engine-set", setting))]
    done = subprocess.run([sys.executable, "-m", "mmidd", *words], env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert digests(out) == digests(small.out)
    (kept,) = (tmp_path / "corpus.work" / "remote").iterdir()
    assert list(kept.glob("tmp/*")) == []
