"""What is Slurm's own: jobs that are lost again and again, drivers that are gone, jobs that overlap."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mmidd.engine.run import Order
from mmidd.engine.slurm import JOBS, NOTES
from mmidd.errors import UsageError, WorkError

from ..toy import BASE, STAGE, Bench, item, unit
from .conftest import Engines

submitit = pytest.importorskip("submitit", reason="submitit is not installed")


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """submitit gives a network disk 15 s to show the result of a job that was killed."""
    monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 0)


def test_a_job_that_is_lost_too_often_stops_the_build_once_its_neighbours_are_committed(
    engines: Engines, bench: Bench
) -> None:
    units = [unit(item("a"), name="set/0"), unit(item("bad", "orphan"), name="set/1"), unit(item("c"), name="set/2")]
    engine = engines.make("slurm", attempts=2, jobs=2)
    with pytest.raises(WorkError, match=r"ended 2 times in a row without a result: 1 units, log .*_log\.err"):
        bench.run(*units, engine=engine)
    assert bench.calls().count("bad") == 2
    assert {record.unit for record in bench.store.records("toy")} == {"set/0", "set/2"}
    bench.config.cure.touch()
    found = bench.run(*units, engine=engine)
    assert len(found) == 3 and bench.calls() == ["bad"]


def test_what_jobs_commit_after_their_driver_is_gone_is_found_by_the_next(engines: Engines, bench: Bench) -> None:
    """The content of the medium is not known beforehand: without the job's note its work could not be recognised."""
    units = [unit(item("a", known=False), name="set/0"), unit(item("b", known=False), name="set/1")]
    engine = engines.make("slurm")
    order = Order(STAGE, BASE, bench.config, bench.store.root, {}, False, None)
    driver = engine.bring(order, units)
    next(driver)  # and here it is gone: nothing was told to anybody, no note was taken away
    notes = bench.store.root / JOBS / NOTES
    while len(list(notes.iterdir())) < 2:
        time.sleep(0.02)
    records = bench.run(*units, engine=engines.make("slurm"))
    assert sorted(bench.calls()) == ["a", "b"]
    assert {record.generation for record in records.values()} == {0}
    assert list(notes.iterdir()) == []
    driver.close()


def test_jobs_that_overlap_do_no_harm(engines: Engines, bench: Bench) -> None:
    units = [unit(item("a"), item("b"), name="set/0")]
    order = Order(STAGE, BASE, bench.config, bench.store.root, {}, False, None)
    first, second = (engines.make("slurm").bring(order, units) for _ in range(2))
    (one,), (two,) = [list(first)], [list(second)]
    assert [record.key for _, record in one] == [record.key for _, record in two]
    assert bench.store.latest("toy", one[0][1].key) is not None


def test_a_folder_of_jobs_goes_when_its_round_is_done(engines: Engines, bench: Bench) -> None:
    bench.run(unit(item("a")), engine=engines.make("slurm"))
    left = [path for path in Path(bench.store.root / JOBS).rglob("*") if path.is_file()]
    assert left == []


def test_slurm_where_there_is_none_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmidd.engine.needs import Needs
    from mmidd.engine.slurm import Settings, Slurm
    from mmidd.engine.units import Resources

    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="no Slurm here"):
        bench.run(unit(item("a")), engine=Slurm(Settings("slurm"), 1, Needs.here(Resources(), [])))
