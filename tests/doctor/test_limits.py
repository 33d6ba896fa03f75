"""Limits of a process: real ones, set in a process of the test's, and control groups of plain files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mmidd.doctor import limits
from mmidd.doctor.limits import Cgroup

from .conftest import by_name

NONE = Cgroup([])


def test_every_limit_is_told() -> None:
    names = {"open files", "processes", "cores", "memory", "/dev/shm", "OMP_NUM_THREADS"}
    assert set(by_name(limits.limits())) == names


@pytest.mark.parametrize(
    ("limit", "count", "name", "state"),
    [
        ("NOFILE", 200, "open files", "warning"),
        ("NOFILE", 2000, "open files", "ok"),
        ("NPROC", 300, "processes", "warning"),
    ],
)
def test_a_low_limit_of_the_system_is_a_warning(limit: str, count: int, name: str, state: str) -> None:
    code = (
        f"import resource, json; resource.setrlimit(resource.RLIMIT_{limit}, ({count}, {count}))\n"
        "from mmidd.doctor.limits import limits\n"
        "print(json.dumps({c.name: [c.state, c.found] for c in limits()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout)[name]
    assert found[0] == state and f"{count:,}" in found[1]


def _group(tmp_path: Path, files: Mapping[str, str], line: str = "0::/a/b") -> Cgroup:
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text)
    (tmp_path / "self").write_text(f"{line}\n")
    return Cgroup.here(tmp_path / "self", tmp_path / "cgroup")


def test_the_lowest_limit_of_a_control_group_and_those_above_counts(tmp_path: Path) -> None:
    group = _group(
        tmp_path,
        {"a/b/memory.max": "max\n", "a/memory.max": "2000000000\n", "memory.max": "3000000000", "a/b/cpu.max": "max 9"},
    )
    assert (group.least("memory.max"), group.least("pids.max"), group.cores()) == (2_000_000_000, None, None)


def test_control_groups_of_version_1_are_read(tmp_path: Path) -> None:
    files = {
        "memory/x/memory.limit_in_bytes": "1000000000", "cpu,cpuacct/x/cpu.cfs_quota_us": "150000",
        "cpu,cpuacct/x/cpu.cfs_period_us": "100000", "memory/memory.limit_in_bytes": "9223372036854771712",
    }  # fmt: skip
    group = _group(tmp_path, files, "4:memory:/x\n3:cpu,cpuacct:/x\nbroken")
    assert (group.least("memory.limit_in_bytes"), group.cores()) == (1_000_000_000, 1.5)


def test_no_control_group_is_no_limit(tmp_path: Path) -> None:
    group = Cgroup.here(tmp_path / "absent", tmp_path)
    assert (group.least("memory.max"), group.cores()) == (None, None)


def test_less_time_of_cores_than_cores_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "usable_cores", lambda: 8)
    (few,) = limits._cores(_group(tmp_path, {"a/b/cpu.max": "250000 100000"}))
    assert few.state == "warning" and "the time of 2.5" in few.found and (few.advice or "").startswith("--workers 2:")
    (well,) = limits._cores(NONE)
    assert well.state == "ok" and well.found.startswith("8 of")


@pytest.mark.parametrize(
    ("free", "most", "state", "told"),
    [
        (16_000_000, None, "ok", "16.4 GB of it free"),
        (1_000_000, None, "warning", "1.0 GB of it free"),
        (16_000_000, 500_000_000, "warning", "at most 0.5 GB here"),
        (16_000_000, 10**15, "ok", "GB of it free"),
    ],
)
def test_memory_for_every_worker(
    free: int, most: int | None, state: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "usable_cores", lambda: 8)
    (tmp_path / "meminfo").write_text(f"MemTotal: 32000000 kB\nMemAvailable: {free} kB\n")
    group = _group(tmp_path, {"a/b/memory.max": str(most)}) if most else NONE
    (found,) = limits._memory(group, tmp_path / "meminfo")
    assert found.state == state and told in found.found
    assert state == "ok" or (found.advice or "").startswith("--workers ")


def test_few_processes_of_a_container_are_a_warning(tmp_path: Path) -> None:
    (found,) = limits._processes(_group(tmp_path, {"a/pids.max": "100"}))
    assert found.state == "warning" and found.found.startswith("100 ")


def test_shared_memory_is_for_training_alone(tmp_path: Path) -> None:
    (absent,) = limits._shared(tmp_path / "absent")
    (small,) = limits._shared(tmp_path, little=2**62)
    (well,) = limits._shared(tmp_path, little=0)
    assert (absent.state, small.state, well.state) == ("note", "note", "ok") and "--shm-size" in (small.advice or "")


@pytest.mark.parametrize(
    ("value", "state"), [(None, "ok"), ("4", "ok"), ("0", "warning"), ("many", "warning"), ("", "warning")]
)
def test_threads_are_a_number(value: str | None, state: str) -> None:
    (found,) = limits._threads({} if value is None else {"OMP_NUM_THREADS": value})
    assert found.state == state


def test_what_cannot_be_read_is_a_problem_and_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1 / 0)
    found = by_name(limits.limits())
    assert found["cores"].state == "problem" and "ZeroDivisionError" in found["cores"].found and len(found) == 6
