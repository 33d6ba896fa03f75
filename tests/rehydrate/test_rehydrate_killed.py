"""A rehydration that is killed at any step and run again ends in the same corpus, byte for byte."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.conftest import Commands
from place import Place, digests

REAL = "original_sequences/youtube/c23/videos/000.mp4"


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    served = Commands({})
    yield served
    served.close()


def words(where: Path, data: Path, out: Path) -> list[str]:
    return ["rehydrate", str(where), "--data", str(data), "--out", str(out), "--workers", "0"]


KILLS = [
    *((point, number, "kill") for point in ("cutting", "shard_written", "shard_renamed", "shard_noted", "written", "renamed")
      for number in (1, 2)),
    ("corpus_written", 1, "kill"), ("before_swap", 1, "kill"), ("shard_written", 2, "tear"), ("written", 1, "tear"),
]  # fmt: skip


@pytest.mark.parametrize(("point", "number", "action"), KILLS)
def test_a_killed_rehydration_goes_on_to_the_same_corpus(
    point: str, number: int, action: str, commands: Commands, small: Place, labels: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "out", tmp_path / "log.txt"
    asked = words(labels, small.data, out)
    assert commands.run(asked, log, f"{point}:{number}:{action}:{tmp_path / 'tally'}") == -9, log.read_text()
    assert not out.exists()
    assert commands.run(asked, log) == 0, log.read_text()
    assert digests(out) == small.digests()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "out", "tally"]


@pytest.mark.parametrize("point", ["swapped", "carried", "old_stays", "shard_renamed", "before_swap"])
def test_a_partial_corpus_that_is_killed_while_it_grows_is_never_half(
    point: str, commands: Commands, small: Place, labels: Path, data: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "out", tmp_path / "log.txt"
    path = data / "FaceForensics++" / REAL
    kept = shutil.move(path, tmp_path / "kept.mp4")
    assert commands.run(words(labels, data, out), log) == 3, log.read_text()
    (out / "mine.txt").write_text("mine")
    before = digests(out)
    shutil.move(kept, path)
    asked = words(labels, data, out)
    assert commands.run(asked, log, f"{point}:1:kill:{tmp_path / 'tally'}") == -9, log.read_text()
    there = digests(out)
    whole = small.digests()
    assert there == before or {name: each for name, each in there.items() if name != "mine.txt"} == whole
    assert commands.run(asked, log) == 0, log.read_text()
    assert digests(out) == {**whole, "mine.txt": before["mine.txt"]}


def test_a_run_that_goes_on_cuts_only_the_shards_that_are_not_there(
    commands: Commands, small: Place, labels: Path, tmp_path: Path
) -> None:
    out, log, tally = tmp_path / "out", tmp_path / "log.txt", tmp_path / "tally"
    asked = words(labels, small.data, out)
    assert commands.run(asked, log, f"shard_noted:2:kill:{tally}") == -9
    counted = tmp_path / "cut"
    assert commands.run(asked, log, f"cutting:1000:kill:{counted}") == 0, log.read_text()
    total = tmp_path / "all"
    shutil.rmtree(out)
    assert commands.run(asked, log, f"cutting:1000:kill:{total}") == 0
    assert 0 < counted.stat().st_size < total.stat().st_size


def test_a_disk_that_is_full_stops_it_and_charges_no_medium(
    commands: Commands, small: Place, labels: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "out", tmp_path / "log.txt"
    asked = words(labels, small.data, out)
    assert commands.run(asked, log, "shard_written:1:ENOSPC:" + str(tmp_path / "tally")) == 1
    assert "the disk is full" in log.read_text() and not out.exists()
    assert commands.run(asked, log) == 0 and digests(out) == small.digests()
