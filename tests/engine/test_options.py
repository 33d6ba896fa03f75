"""Which engine the command line's words choose, and what it refuses to choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmidd.engine.local import Inline, Local
from mmidd.engine.options import RayOptions, SlurmOptions, make_engine, parse
from mmidd.engine.ray import Ray
from mmidd.engine.slurm import Slurm
from mmidd.engine.units import Resources
from mmidd.errors import UsageError


@pytest.mark.parametrize(
    ("kind", "words", "match"),
    [
        ("local", ["gpus=1"], "--engine local takes no --engine-set"),
        ("ray", ["adress=auto"], "takes address=..., gpus=..."),
        ("ray", ["gpus"], "takes address="),
        ("ray", ["gpus=-1"], "--engine-set gpus=-1: Input should be greater than or equal to 0"),
        ("ray", ["gpus=nan"], "--engine-set gpus=nan"),
        ("ray", ["address="], "--engine-set address="),
        ("slurm", ["jobs=0"], "greater than or equal to 1"),
        ("slurm", ["jobs=1001"], "less than or equal to 1000"),
        ("slurm", ["partition=a b"], "--engine-set partition=a b"),
        ("slurm", ["kind=ray"], "takes cluster="),
    ],
)
def test_words_that_cannot_be_meant_are_refused_by_name(kind: str, words: list[str], match: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(kind, words)
    assert match in str(caught.value)


def test_options_are_read_and_can_be_said_again() -> None:
    words = ["gpus=0.25", "address=10.0.0.1:6379"]
    options = parse("ray", words)
    assert options == RayOptions(address="10.0.0.1:6379", gpus=0.25) and options.has_gpus
    assert parse("ray", options.words()) == options
    jobs = parse("slurm", ["jobs=4", "partition=gpu", "minutes=60", "memory_gb=12.5", "gpus=1"])
    assert isinstance(jobs, SlurmOptions) and jobs.at_once == 4 and parse("slurm", jobs.words()) == jobs
    asked = {"timeout_min": 60, "gpus_per_node": 1, "mem_gb": 12.5, "slurm_partition": "gpu"}
    assert jobs.settings().parameters == asked


@pytest.mark.parametrize(
    ("kind", "workers", "expected"),
    [("local", 0, Inline), ("local", 2, Local), ("local", None, Local), ("ray", None, Ray), ("slurm", 4, Slurm)],
)
def test_an_engine_is_made_and_nothing_started(kind: str, workers: int | None, expected: type) -> None:
    engine = make_engine(parse(kind), workers, 2, Resources(), [Path()], None)
    assert type(engine) is expected
    engine.close()


@pytest.mark.parametrize("kind", ["ray", "slurm"])
def test_no_workers_and_a_cluster_contradict_each_other(kind: str) -> None:
    with pytest.raises(UsageError, match="--workers 0 is this process alone"):
        make_engine(parse(kind), 0, 2, Resources(), [], None)
