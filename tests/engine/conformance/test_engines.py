"""What every engine promises, with the same words for all: records, bytes, crashes, limits, interrupts, resumes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmidd.engine.needs import Needs
from mmidd.engine.run import Silent
from mmidd.engine.store import Record
from mmidd.engine.tables import read_outcomes
from mmidd.engine.units import Outcome, Resources, Unit
from mmidd.errors import MissingExtra, WorkError

from ..toy import Bench, item, unit
from .conftest import Engines

ALL = ("inline", "local", "ray", "slurm")
APART = ("local", "ray", "slurm")
FAR = ("ray", "slurm")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def other(tmp_path: Path) -> Bench:
    """A bench whose outcome others are compared with."""
    folder = tmp_path / "other"
    folder.mkdir()
    return Bench(folder)


def told(records: dict[str, Record]) -> dict[str, Record]:
    """Records without the time that was taken."""
    return {name: replace(record, seconds=0.0) for name, record in records.items()}


def bytes_of(bench: Bench, records: dict[str, Record]) -> dict[str, dict[str, bytes]]:
    return {name: bench.files(record) for name, record in sorted(records.items())}


def outcomes(bench: Bench, records: dict[str, Record]) -> dict[str, Outcome]:
    return {outcome.media: outcome for record in records.values() for outcome in read_outcomes(bench.store, record)}


def mixed() -> list[Unit]:
    """Three units: runs and singles; media that come out well, with a dropped frame, or not; contents known and not."""
    return [
        unit(*map(item, "abcde"), per_task=2, name="set/0"),
        unit(item("f", "drop"), item("g", known=False), item("h", "fail"), name="set/1"),
        unit(item("i", frames=0), name="set/2"),
    ]


@pytest.mark.parametrize("name", ALL)
def test_records_and_bytes_are_the_same_and_nothing_is_done_twice(
    name: str, engines: Engines, bench: Bench, tmp_path: Path
) -> None:
    reference = other(tmp_path)
    expected = reference.run(*mixed(), engine=engines.make("inline"))
    engine = engines.make(name)
    found = bench.run(*mixed(), engine=engine)
    assert told(found) == told(expected)
    assert bytes_of(bench, found) == bytes_of(reference, expected)
    assert sorted(bench.calls()) == list("abcdefghi")
    known = [unit(*map(item, "abcde"), per_task=2, name="set/0"), unit(item("i", frames=0), name="set/2")]
    again = bench.run(*known, engine=engine)
    assert again == {name: found[name] for name in ("set/0", "set/2")} and bench.calls() == []


@pytest.mark.parametrize("path", [None, "", ":"], ids=["plain", "empty", "two empty parts"])
@pytest.mark.parametrize("name", APART)
def test_no_worker_imports_from_the_current_folder(
    name: str, path: str | None, engines: Engines, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("selectors", "pickle", "struct", "pebble", "submitit", "multiprocessing", "usercustomize"):
        mark = f"open({str(tmp_path / 'ran')!r}, 'a').write('{module} '); raise SystemExit(3)"
        (tmp_path / f"{module}.py").write_text(mark)
    monkeypatch.chdir(tmp_path)
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}:{path}")
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    engine = engines.make("ray", workers=1) if name == "ray" else engines.make(name)  # not one that was connected before
    found = bench.run(unit(item("a")), engine=engine)
    assert outcomes(bench, found)["a"].status == "ok"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", APART)
def test_workers_that_die_or_hang_cost_their_medium_alone_and_leave_the_same_words(
    name: str, engines: Engines, bench: Bench, tmp_path: Path
) -> None:
    media = [item("a"), item("exit", "exit"), item("b"), item("abort", "abort"), item("hang", "hang"), item("d", "once")]
    records = bench.run(unit(*media, name="set/0"), engine=engines.make(name), time_limit=3)
    found = outcomes(bench, records)
    assert {media: (o.status, o.error, o.attempts) for media, o in found.items()} == {
        "a": ("ok", None, 1),
        "exit": ("failed", "WorkerDied", 2),
        "b": ("ok", None, 1),
        "abort": ("failed", "WorkerDied", 2),
        "hang": ("failed", "TimedOut", 2),
        "d": ("ok", None, 1),
    }
    assert found["exit"].message == "the worker process ended with exit code 7"
    assert found["abort"].message == "the worker process ended with signal SIGABRT"
    assert found["hang"].message == "no result within 3 s"


@pytest.mark.parametrize("name", ALL)
def test_an_error_that_a_task_raises_reaches_the_caller_as_it_was_and_the_engine_goes_on(
    name: str, engines: Engines, bench: Bench
) -> None:
    engine = engines.make(name)
    with pytest.raises(MissingExtra, match=r"mmidd\[faces\]"):
        bench.run(unit(item("a", "miss")), engine=engine)
    found = bench.run(unit(item("a")), engine=engine)
    assert outcomes(bench, found)["a"].status == "ok"


class Stops(Silent):
    """Ctrl-C, at the first progress."""

    def advance(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ALL)
def test_an_interrupt_leaves_the_engine_fit_and_the_next_run_ends_with_the_same_bytes(
    name: str, engines: Engines, bench: Bench, tmp_path: Path
) -> None:
    units = [unit(item(letter), name=f"set/{letter}") for letter in "abc"]
    engine = engines.make(name)
    with pytest.raises(KeyboardInterrupt):
        bench.run(*units, engine=engine, progress=Stops())
    found = bench.run(*units, engine=engine)
    reference = other(tmp_path)
    assert bytes_of(bench, found) == bytes_of(reference, reference.run(*units, engine=engines.make("inline")))


@pytest.mark.parametrize("name", ALL)
def test_only_failed_media_run_again_on_retry(name: str, engines: Engines, bench: Bench) -> None:
    units = [unit(item("a"), item("b", "fail"), name="set/0"), unit(item("c"), name="set/1")]
    engine = engines.make(name)
    bench.run(*units, engine=engine)
    bench.calls()
    bench.config.cure.touch()
    found = bench.run(*units, engine=engine, retry=True)
    assert bench.calls() == ["b"]
    assert {media: outcome.status for media, outcome in outcomes(bench, found).items()} == {"a": "ok", "b": "ok", "c": "ok"}
    assert {name: record.generation for name, record in found.items()} == {"set/0": 1, "set/1": 0}


@pytest.mark.parametrize("name", ALL)
def test_a_record_that_is_of_no_use_any_more_is_made_again(name: str, engines: Engines, bench: Bench) -> None:
    units = [unit(item("a"), name="set/0"), unit(item("b"), name="set/1")]
    engine = engines.make(name)
    first = bench.run(*units, engine=engine)
    bench.calls()
    usable: Any = lambda unit, record: unit.name != "set/1"  # noqa: E731
    found = bench.run(*units, engine=engine, usable=usable)
    assert bench.calls() == ["b"] and found["set/0"] == first["set/0"]
    assert (found["set/1"].generation, found["set/1"].files) == (1, first["set/1"].files)


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("amiss", ["path", "version"])
def test_a_machine_that_could_not_give_the_same_bytes_is_refused(
    name: str, amiss: str, engines: Engines, bench: Bench, tmp_path: Path
) -> None:
    needs = Needs.here(Resources(), [tmp_path / "data"] if amiss == "path" else [])
    if amiss == "version":
        needs = replace(needs, versions={**needs.versions, "numpy": "1.0"})
    match = "data is not there" if amiss == "path" else "numpy is .* there, and 1.0 here"
    with pytest.raises(WorkError, match=match):
        bench.run(unit(item("a")), engine=engines.make(name, needs))
    assert bench.calls() == []


@pytest.mark.parametrize("name", FAR)
def test_a_lost_machine_is_no_fault_of_the_medium(name: str, engines: Engines, bench: Bench) -> None:
    """The process that watches over the worker dies, so nobody saw the worker die."""
    media = [item("a"), item("b", "orphan once"), item("c")]
    found = outcomes(bench, bench.run(unit(*media), engine=engines.make(name)))
    assert {media: (o.status, o.attempts) for media, o in found.items()} == dict.fromkeys("abc", ("ok", 1))
    assert Counter(bench.calls())["b"] == 2
