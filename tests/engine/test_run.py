"""What `run_units` promises: everything once, nothing twice, nothing lost, the same bytes whatever the order."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmidd.engine import tables
from mmidd.engine.local import Inline
from mmidd.engine.pace import FIRST_ITEMS, Pace
from mmidd.engine.run import survey
from mmidd.engine.store import Record, Store
from mmidd.engine.tables import read_outcomes, read_rows
from mmidd.engine.units import Crash, Outcome, Resources, Result, StageFunction, Task
from mmidd.errors import WorkError

from .toy import BASE, STAGE, Bench, item, run, unit

NAMES = ("b", "a", "d", "c")


class Shuffled(Inline):
    """Gives results in another order than the tasks'."""

    def map(
        self, function: StageFunction, tasks: Iterable[Task], config: Any, *, time_limit: float | None
    ) -> Iterator[tuple[Task, Result | Crash]]:
        found = list(super().map(function, tasks, config, time_limit=time_limit))
        random.Random(5).shuffle(found)
        yield from found


class Deadly(Inline):
    """Reports the death of the worker for tasks with a medium called `killer`, as `Local` would."""

    def map(
        self, function: StageFunction, tasks: Iterable[Task], config: Any, *, time_limit: float | None
    ) -> Iterator[tuple[Task, Result | Crash]]:
        for task in tasks:
            if any(one.media == "killer" for one in task.items):
                config.calls.open("a").write(f"{'+'.join(one.media for one in task.items)} 0\n")
                yield task, Crash("WorkerDied", "the worker process ended with signal SIGKILL")
            else:
                yield task, function(task, config, Resources())


def outcomes(bench: Bench, record: Any) -> dict[str, Outcome]:
    return {outcome.media: outcome for outcome in read_outcomes(bench.store, record)}


def test_a_second_run_does_nothing(bench: Bench, inline: Inline) -> None:
    units = [unit(*map(item, NAMES), name="set/0"), unit(item("e"), name="set/1")]
    first = bench.run(*units, engine=inline)
    assert sorted(bench.calls()) == ["a", "b", "c", "d", "e"]
    assert bench.run(*units, engine=inline) == first
    assert bench.calls() == []


def test_units_that_were_committed_before_an_interruption_are_not_done_again(bench: Bench) -> None:
    class Interrupted(Inline):
        def map(self, function: StageFunction, tasks: Iterable[Task], config: Any, **options: Any) -> Iterator[Any]:
            for number, found in enumerate(super().map(function, tasks, config, **options)):
                if number == 3:
                    raise KeyboardInterrupt
                yield found

    units = [unit(item(f"{number}x"), item(f"{number}y"), name=f"set/{number}") for number in range(3)]
    with pytest.raises(KeyboardInterrupt):
        bench.run(*units, engine=Interrupted())
    assert bench.calls() == ["0x", "0y", "1x", "1y"]
    bench.run(*units, engine=Inline())
    assert bench.calls() == ["1y", "2x", "2y"]  # of unit 1 only x had come back


@pytest.mark.parametrize("size", (1, 40, 700))
def test_a_kill_costs_seconds_of_work_whatever_the_size_of_a_unit(
    size: int, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]  # an item takes a second
    monkeypatch.setattr("mmidd.engine.run.time.monotonic", lambda: clock[0])
    moments = (3, 17, 30, 39, 150, 650)
    whole = unit(*(item(f"{number:03}") for number in range(size)), per_task=256)

    class Photographed(Inline):
        def map(self, function: StageFunction, tasks: Iterable[Task], config: Any, **options: Any) -> Iterator[Any]:
            done = 0
            for task, result in super().map(function, tasks, config, **options):
                done += len(task.items)
                clock[0] += len(task.items)
                for moment in moments:
                    if done - len(task.items) < moment <= done:  # what a kill leaves is what lies on the disk by now
                        shutil.copytree(bench.store.root, tmp_path / str(moment) / "work")
                yield task, result

    record = bench.run(whole, engine=Photographed())["set/0"]
    for moment in (each for each in moments if each <= size):
        killed = Bench(tmp_path / str(moment))
        again = killed.run(whole, engine=Inline())["set/0"]
        again_done = len(killed.calls()) - (size - moment)
        assert 0 <= again_done <= 15, "what came back is committed after 5 s, and as much may be under way"
        assert killed.files(again) == bench.files(record)
        assert [each.unit for each in killed.store.records("toy")] == ["set/0"], "the parts of a unit go with its commit"
        assert len(list(killed.store.root.glob("data/toy/*/*"))) == len(again.files)


def test_a_part_that_another_job_takes_away_is_no_loss(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmidd.engine.run.SAVE_S", 0)
    whole = unit(*map(item, NAMES))

    class Overtaken(Inline):
        """Another job commits the unit, and so removes the parts that this one has just taken over."""

        def map(self, function: StageFunction, tasks: Iterable[Task], config: Any, **options: Any) -> Iterator[Any]:
            for number, found in enumerate(super().map(function, tasks, config, **options)):
                if number == 3:
                    Bench(bench.store.root.parent).run(whole, engine=Inline())
                yield found

    record = bench.run(whole, engine=Overtaken())["set/0"]
    assert list(bench.store.records("toy")) == [record]
    assert len(read_outcomes(bench.store, record)) == len(NAMES)


def test_a_run_is_cut_by_how_fast_it_goes_unless_its_items_belong_together(bench: Bench, inline: Inline) -> None:
    items = tuple(item(str(number)) for number in range(100))
    pace, lengths = Pace(), []
    for task in pace.runs([Task(items), Task(items, together=True)]):
        lengths.append(len(task.items))
        pace.back(task)
    assert lengths[0] == FIRST_ITEMS and lengths[-1] == 100 and sum(lengths) == 200


def test_to_go_on_reads_no_outcome_of_a_unit_that_is_up_to_date(
    bench: Bench, inline: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, changed = unit(item("a"), item("b"), name="set/0"), unit(item("c"), item("d", content="new"), name="set/1")
    bench.run(done, unit(item("c"), item("d"), name="set/1"), engine=inline)
    read: list[str] = []

    def noting(store: Store, record: Record) -> list[Outcome]:
        read.append(record.unit)
        return read_outcomes(store, record)

    monkeypatch.setattr(tables, "read_outcomes", noting)
    bench.calls()
    bench.run(done, changed, engine=inline)
    assert (bench.calls(), read) == (["d"], ["set/1"])


@pytest.mark.parametrize("per_task", [1, 3])
def test_one_changed_input_costs_one_call_and_gives_the_bytes_of_a_clean_build(
    bench: Bench, inline: Inline, tmp_path: Any, per_task: int
) -> None:
    bench.run(unit(*map(item, NAMES), per_task=per_task), engine=inline)
    bench.calls()
    changed = unit(*(item(name, content="new" if name == "a" else "a") for name in NAMES), per_task=per_task)
    record = bench.run(changed, engine=inline)["set/0"]
    assert bench.calls() == ["a"]
    (tmp_path / "clean").mkdir()
    clean = Bench(tmp_path / "clean")
    assert bench.files(record) == clean.files(clean.run(changed, engine=inline)["set/0"])
    assert record.counts == {"media": 4, "rows": 12, "fresh": 1, "ok": 4}


def test_a_medium_that_goes_or_moves_to_another_unit_costs_nobody_a_call(bench: Bench, inline: Inline) -> None:
    bench.run(unit(*map(item, NAMES)), engine=inline)
    bench.calls()
    records = bench.run(unit(item("b"), item("a"), name="set/0"), unit(item("d"), name="set/1"), engine=inline)
    assert bench.calls() == []
    rows = read_rows(bench.store, records["set/1"])
    assert set(rows["media"].to_pylist()) == {"d"} and rows.num_rows == 3


def test_changed_ingredients_make_everything_stale(bench: Bench, inline: Inline) -> None:
    bench.run(unit(*map(item, NAMES)), engine=inline)
    bench.calls()
    bench.run(unit(*map(item, NAMES)), engine=inline, base={**BASE, "recipe": {"size": 2}})
    assert sorted(bench.calls()) == sorted(NAMES)


def test_a_record_that_is_of_no_use_any_more_is_made_again_and_not_taken_over(bench: Bench, inline: Inline) -> None:
    units = [unit(*map(item, NAMES), name="set/0"), unit(item("e"), name="set/1")]
    bench.run(*units, engine=inline)
    bench.calls()
    bench.run(*units, engine=inline, usable=lambda one, record: one.name != "set/1")
    assert bench.calls() == ["e"]


def test_an_item_of_unknown_content_runs_and_lands_under_the_key_of_what_was_found(bench: Bench, inline: Inline) -> None:
    seen: list[Result] = []
    unknown = unit(item("a", known=False), item("b"))
    assert survey(STAGE, BASE, [unknown], bench.store).missing == (unknown,)
    record = bench.run(unknown, engine=inline, landed=seen.append)
    assert [result.outcomes[0].media for result in seen] == ["a", "b"]
    assert survey(STAGE, BASE, [unit(item("a"), item("b"))], bench.store).done == record


def test_failed_media_stay_failed_until_a_retry_which_does_those_and_no_others(bench: Bench, inline: Inline) -> None:
    units = [unit(item("a"), item("bad", "fail"), name="set/0"), unit(item("c"), name="set/1")]
    first = bench.run(*units, engine=inline)
    assert first["set/0"].counts["failed"] == 1 and bench.calls() == ["a", "bad", "c"]
    assert bench.run(*units, engine=inline) == first and bench.calls() == []

    bench.config.cure.touch()
    again = bench.run(*units, engine=inline, retry=True)
    assert bench.calls() == ["bad"]
    assert again["set/1"] == first["set/1"]
    assert (again["set/0"].key, again["set/0"].generation) == (first["set/0"].key, 1)
    assert outcomes(bench, again["set/0"])["bad"].status == "ok"
    assert bench.run(*units, engine=inline) == again and bench.calls() == []


def test_a_retry_that_fails_again_keeps_the_neighbours(bench: Bench, inline: Inline) -> None:
    one = unit(item("a"), item("bad", "fail"))
    first = bench.run(one, engine=inline)["set/0"]
    again = bench.run(one, engine=inline, retry=True)["set/0"]
    assert again.generation == 1 and bench.calls() == ["a", "bad", "bad"]
    assert {name: outcome.attempts for name, outcome in outcomes(bench, again).items()} == {"a": 1, "bad": 2}
    assert read_rows(bench.store, again) == read_rows(bench.store, first)


def test_a_success_is_taken_over_rather_than_an_earlier_failure(bench: Bench, inline: Inline) -> None:
    for number in range(6):  # whichever of the two records comes first by its key
        bad = item(f"bad{number}", "fail")
        bench.config.cure.unlink(missing_ok=True)
        bench.run(unit(item("a"), bad), engine=inline)
        bench.config.cure.touch()
        bench.run(unit(item("c"), bad), engine=inline, retry=True)
        bench.calls()
        record = bench.run(unit(item("d"), bad), engine=inline)["set/0"]
        assert outcomes(bench, record)[bad.media].status == "ok" and bad.media not in bench.calls()


def test_any_order_of_results_and_any_engine_give_the_same_bytes(bench: Bench, inline: Inline, tmp_path: Any) -> None:
    units = [unit(*map(item, "hgfedcba"), per_task=3), unit(item("x", "drop"), item("y", "fail"), name="set/1")]
    straight = bench.run(*units, engine=inline)
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    shuffled = other.run(*units, engine=Shuffled())
    assert {name: bench.files(record) for name, record in straight.items()} == {
        name: other.files(record) for name, record in shuffled.items()
    }
    assert read_rows(bench.store, straight["set/0"])["media"].to_pylist()[::3] == list("hgfedcba")


@pytest.mark.parametrize("deed, told", [("leak", "lost a frame of set/odd"), ("rename", "lost or invented a medium")])
def test_a_stage_that_loses_a_frame_or_a_medium_is_stopped(bench: Bench, inline: Inline, deed: str, told: str) -> None:
    with pytest.raises(WorkError, match=told):
        bench.run(unit(item("a"), item("odd", deed)), engine=inline)
    (part,) = bench.store.records("toy")
    assert list(outcomes(bench, part)) == ["a"] and read_rows(bench.store, part).num_rows == 3


def test_rows_of_another_number_than_the_outcomes_say_are_stopped(bench: Bench) -> None:
    class Short(Inline):
        def map(self, function: StageFunction, tasks: Iterable[Task], config: Any, **options: Any) -> Iterator[Any]:
            for task, result in super().map(function, tasks, config, **options):
                assert isinstance(result, Result)
                yield task, replace(result, rows=result.rows.slice(1))

    with pytest.raises(WorkError, match="rows"):
        bench.run(unit(item("a")), engine=Short())


def test_a_dying_run_is_split_and_its_killer_alone_is_quarantined(bench: Bench) -> None:
    one = unit(item("a"), item("killer", known=False), item("b"), item("c"), per_task=3)
    record = bench.run(one, engine=Deadly())["set/0"]
    assert bench.calls() == ["a+killer+b", "c", "a", "killer", "b", "killer"]
    found = outcomes(bench, record)
    assert {name: outcome.status for name, outcome in found.items()} == {"a": "ok", "killer": "failed", "b": "ok", "c": "ok"}
    killer = found["killer"]
    assert (killer.error, killer.attempts, killer.facts) == ("WorkerDied", 2, {"sha256": "a"})
    assert killer.message == "the worker process ended with signal SIGKILL"


def test_a_quarantined_medium_is_not_run_again_even_though_it_was_never_read(bench: Bench) -> None:
    record = bench.run(unit(item("killer", known=False), item("b")), engine=Deadly())
    bench.calls()
    assert bench.run(unit(item("killer"), item("b")), engine=Deadly()) == record
    bench.run(unit(item("killer"), item("b"), item("c")), engine=Deadly())  # nor when its unit changes
    assert bench.calls() == ["c"]


def test_no_units_are_no_work(bench: Bench, inline: Inline) -> None:
    assert bench.run(engine=inline) == {}
    empty = STAGE.schema.empty_table()
    assert run(Task(()), bench.config, Resources()) == Result(empty, ())


def test_progress_counts_every_medium_once(bench: Bench, inline: Inline) -> None:
    class Counting:
        def __init__(self) -> None:
            self.begun: list[tuple[str, int, int]] = []
            self.seen: list[str] = []
            self.ended = 0

        def begin(self, stage: str, total: int, done: int) -> None:
            self.begun.append((stage, total, done))

        def advance(self, some: Any) -> None:
            self.seen += [outcome.media for outcome in some]

        def end(self) -> None:
            self.ended += 1

    watch = Counting()
    units = [unit(*map(item, NAMES), name="set/0"), unit(item("e"), name="set/1")]
    bench.run(units[1], engine=inline, progress=Counting())
    bench.run(*units, engine=inline, progress=watch)
    changed = unit(item("a", content="z"), item("b"), name="set/0")
    bench.run(changed, engine=inline, progress=watch)
    assert watch.begun == [("toy", 5, 1), ("toy", 2, 0)] and watch.ended == 2
    assert watch.seen == [*NAMES, "b", "a"]
