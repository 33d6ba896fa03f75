"""`mmidd gc` removes what no build reads, and never what one does."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from mmidd.engine.store import Store

from .conftest import STAGES, Commands, Ground, Site

MARGIN = ("--set", "crop.margin=1.5")
IMAGE = "CelebA/img_align_celeba/000001.jpg"


def collect(site: Site, commands: Commands, *words: str) -> dict[str, int]:
    """What a collection removed (or would), counted; its bytes are told to the byte."""
    before = _size(site.work)
    found = site.document(commands, "gc", str(site.work), *words)
    freed = before - _size(site.work)
    assert freed == (0 if "--dry-run" in words else found["bytes"])
    return {kind: count for kind, count in found["counts"].items() if count}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def build(site: Site, commands: Commands, *words: str) -> dict[str, int]:
    """Build; gives how many media were done in each stage."""
    before = _all_fresh(site)
    assert commands.run(site.building(0, *words), site.log) == 0, site.told()
    return {stage: count - before.get(stage, 0) for stage, count in _all_fresh(site).items() if count > before.get(stage, 0)}


def _all_fresh(site: Site) -> dict[str, int]:
    return site.fresh() if site.work.exists() else {}


@pytest.fixture
def site(ground: Ground, tmp_path: Path) -> Site:
    """A finished build on raw data of its own."""
    return ground.copy(tmp_path)


def _other(site: Site) -> Site:
    """A second corpus that shares the work folder."""

    class Other(Site):
        @property
        def out(self) -> Path:
            return self.root / "other"

        def building(self, workers: int, *more: str) -> list[str]:
            return [*super().building(workers, *more), "--work", str(self.work)]

    return Other(site.root, site.data)


def test_after_a_build_there_is_nothing_to_remove(site: Site, commands: Commands) -> None:
    collect(site, commands)  # lists of digests are rewritten without their gaps
    assert collect(site, commands) == {}
    assert build(site, commands) == {}


def test_two_corpora_keep_what_each_of_them_reads(site: Site, commands: Commands) -> None:
    other = _other(site)
    assert build(other, commands, *MARGIN)["extract"] == 11
    assert collect(site, commands).keys() <= {"lists of digests"}
    assert build(site, commands) == {} and build(other, commands, *MARGIN) == {}


def test_a_named_recipe_alone_is_kept(site: Site, commands: Commands) -> None:
    other = _other(site)
    build(other, commands, *MARGIN)
    told = collect(site, commands, str(site.recipe), "--dry-run")
    assert told["records"] >= 3 and told["data files"] >= 9
    assert collect(site, commands, str(site.recipe)) == told
    assert build(site, commands) == {}
    assert build(other, commands, *MARGIN)["extract"] == 11


def test_a_rebuild_with_other_settings_frees_what_the_first_made(site: Site, commands: Commands) -> None:
    units = len(list(Store(site.work).records("extract")))
    build(site, commands, *MARGIN)
    assert collect(site, commands)["records"] >= 3
    assert len(list(Store(site.work).records("extract"))) == units and build(site, commands, *MARGIN) == {}


def test_what_a_build_would_take_over_stays_while_it_is_not_up_to_date(site: Site, commands: Commands) -> None:
    shutil.copy(site.data / IMAGE, site.data / IMAGE.replace("000001", "000099"))
    found = site.document(commands, "gc", str(site.work))
    assert found["behind"] == {} and found["counts"]["records"] == 0  # no build has seen the new picture yet
    assert commands.run(site.words("index"), site.log) == 0
    found = site.document(commands, "gc", str(site.work))
    assert found["behind"] == {"": ["extract", "caption", "curate"]}
    assert found["counts"]["records"] == 0  # the corpus's own build reads the old index
    done = build(site, commands)
    assert (done["extract"], done["caption"]) == (1, 1)


def test_a_dataset_that_is_not_there_today_keeps_everything(site: Site, commands: Commands) -> None:
    (site.data / "CelebA").rename(site.root / "away")
    collect(site, commands)
    (site.root / "away").rename(site.data / "CelebA")
    done = build(site, commands)
    assert "extract" not in done and "caption" not in done


def test_a_data_root_that_is_not_there_costs_nothing(site: Site, commands: Commands) -> None:
    site.data.rename(site.root / "away")
    collect(site, commands)
    (site.root / "away").rename(site.data)
    assert build(site, commands) == {}


def test_left_overs_go_and_what_may_be_under_way_stays(site: Site, commands: Commands) -> None:
    collect(site, commands)
    tmp, data = site.work / "tmp", site.work / "data" / "extract" / "00"
    data.mkdir(exist_ok=True)
    old, now = time.time() - 3 * 86400, time.time()
    files = {
        tmp / f"{'0' * 12}-1-{'0' * 32}.tmp": old, tmp / f"{'0' * 12}-1-{'1' * 32}.tmp": now,
        tmp / "odd.tmp": old, data / "orphan.rows.parquet": old, data / "young.rows.parquet": now,
    }  # fmt: skip
    for path, when in files.items():
        path.write_text("left")
        os.utime(path, (when, when))
    found = site.document(commands, "gc", str(site.work))
    assert {path.name for path in files if path.exists()} == {f"{'0' * 12}-1-{'1' * 32}.tmp", "young.rows.parquet"}
    assert (found["counts"]["temporaries"], found["counts"]["data files"], found["young"]) == (2, 1, 1)
    assert found["bytes"] == 12 and build(site, commands) == {}


def test_digests_of_files_that_are_gone_go(site: Site, commands: Commands) -> None:
    (site.data / IMAGE).unlink()
    build(site, commands)
    assert collect(site, commands)["lists of digests"] >= 1
    lines = [json.loads(line) for line in (site.work / "digests" / "CelebA.jsonl").read_text().splitlines()]
    assert sorted(line[0] for line in lines) == [f"img_align_celeba/{n:06d}.jpg" for n in range(2, 8)]
    assert build(site, commands) == {}


def test_torn_records_and_older_generations_go(site: Site, commands: Commands) -> None:
    for stage in STAGES:
        path = next((site.work / "records" / stage).glob("*/*.g0.json"))
        path.with_name(path.name.replace(".g0.", ".g1.")).write_bytes(path.read_bytes()[:-9])
    assert collect(site, commands)["records"] == len(STAGES)
    assert build(site, commands) == {}


def test_a_collection_that_is_killed_leaves_a_sound_work_folder(site: Site, commands: Commands, tmp_path: Path) -> None:
    build(site, commands, *MARGIN)
    words = ["gc", str(site.work)]
    for number in (1, 5, 9):
        assert commands.run(words, site.log, f"collect:{number}:kill:{tmp_path / f'tally{number}'}") == -9
    assert commands.run(words, site.log) == 0 and build(site, commands, *MARGIN) == {}


def test_nothing_is_removed_while_a_build_runs(site: Site, commands: Commands) -> None:
    with Store(site.work).held(lambda line: None):
        assert commands.run(["gc", str(site.work)], site.log) == 1
    assert f"another mmidd command is writing {site.work}: process {os.getpid()} on " in site.told()


def test_without_locks_nothing_is_removed_where_something_was_just_written(site: Site, commands: Commands) -> None:
    assert commands.run(["gc", str(site.work)], site.log, "lock:*:ENOLCK") == 1
    assert "has no locks" in site.told() and "a build may be running. Nothing was removed." in site.told()
    past = time.time() - 2 * 86400
    for path in site.work.rglob("*"):
        os.utime(path, (past, past))
    assert commands.run(["gc", str(site.work)], site.log, "lock:*:ENOLCK") == 0, site.told()
