"""What every stage promises: its schema, the same result twice and under every engine, resume, and no harm to neighbours."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import Build

from mmidd.engine import tables
from mmidd.engine.digests import UNREAD, DigestCache
from mmidd.engine.local import Inline, Local
from mmidd.engine.run import Silent, Stage, run_units
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Resources, Result, Task, Unit
from mmidd.errors import WorkError
from mmidd.extraction.records import SCHEMA as SAMPLES_SCHEMA
from mmidd.flow.indexing import Indexed
from mmidd.flow.setup import Setup, open_setup
from mmidd.flow.walk import STAGES, walk
from mmidd.flow.walkers import Build as Run
from mmidd.flow.walkers import Reached, Work
from mmidd.options import Options
from mmidd.raw import listing
from mmidd.raw.bytes import MediaFile
from mmidd.stages import caption, curate, extract, index, shard
from mmidd.stages.extract import Selected

DATASETS = ("CelebA", "DFDC")
"""Images and videos; a duplicate; reals, and fakes that follow them."""


@dataclass(frozen=True)
class Case:
    """A stage with real work for it: two datasets of the tiny sample."""

    stage: Stage
    base: dict[str, Any]
    units: tuple[Unit, ...]
    config: Any

    @property
    def tasks(self) -> list[Task]:
        return [task for unit in self.units for task in unit.tasks]

    def results(self) -> list[Result]:
        return [self.stage.function(task, self.config, Resources()) for task in self.tasks]

    def commit(self, store: Store, engine: Any) -> dict[str, Record]:
        return run_units(
            self.stage, self.base, self.units, self.config, store=store, engine=engine, progress=Silent(), time_limit=120
        )


@pytest.fixture(scope="module")
def work(built: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(built.work, tmp_path_factory.mktemp("contract") / "work")


@pytest.fixture(scope="module")
def cases(built: Build, work: Path) -> dict[str, Case]:
    setup = open_setup(Options(built.recipe, str(built.data), work.with_name("corpus"), work, only=DATASETS, workers=0))
    noting = Noting()
    walked = walk(setup, noting)
    return {"index": _index_case(walked.index), **{name: _case(works) for name, works in noting.works.items()}}


@dataclass(frozen=True)
class Noting(Run):
    """Walks as a build does, and notes what each step asked for."""

    works: dict[str, list[Work]] = field(default_factory=dict)

    def bring(self, setup: Setup, work: Work) -> Reached:
        self.works.setdefault(work.stage.name, []).append(work)
        return super().bring(setup, work)


def _case(works: list[Work]) -> Case:
    units = tuple(unit for work in works for unit in work.units)
    return Case(works[0].stage, works[0].base, units, works[0].config)


def _index_case(indexed: Indexed) -> Case:
    """Index two datasets under one key: the engine does not mind, and neither does the stage."""
    units = tuple(index.plan(found.manifest, found.root, found.listing) for found in indexed.datasets)
    return Case(index.STAGE, index.ingredients(indexed.datasets[0].manifest), units, None)


@pytest.fixture(params=STAGES)
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    return cases[request.param]


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    engine = Local(2, Resources())
    yield engine
    engine.close()


def contents(store: Store, records: dict[str, Record]) -> dict[str, dict[str, bytes]]:
    return {unit: {name: store.path(record, name).read_bytes() for name in record.files} for unit, record in records.items()}


def test_rows_have_the_stages_schema_and_outcomes_account_for_them_twice_the_same(case: Case) -> None:
    assert len(case.tasks) >= 1
    results, again = case.results(), case.results()
    assert results == again
    for task, result in zip(case.tasks, results, strict=True):
        assert result.rows.schema.equals(case.stage.schema, check_metadata=True)
        result.rows.validate(full=True)
        assert [(o.dataset, o.media) for o in result.outcomes] == [item.name for item in task.items]
        assert all(outcome.conserved() and outcome.status == "ok" for outcome in result.outcomes)
        assert [outcome.inputs for outcome in result.outcomes] == [item.inputs for item in task.items]
        rows = Counter(zip(result.rows["dataset"].to_pylist(), result.rows["media"].to_pylist(), strict=True))
        for outcome in result.outcomes:
            assert not outcome.planned or rows[outcome.dataset, outcome.media] >= outcome.ok
    assert sum(result.rows.num_rows for result in results) > 0


def test_workers_commit_the_bytes_that_this_process_commits_and_resuming_does_nothing(
    case: Case, local: Local, tmp_path: Path
) -> None:
    here, there = Store.open(tmp_path / "here"), Store.open(tmp_path / "there")
    inline, spawned = case.commit(here, Inline()), case.commit(there, local)
    assert contents(here, inline) == contents(there, spawned)
    assert {unit: record.key for unit, record in inline.items()} == {unit: record.key for unit, record in spawned.items()}

    idle = replace(case, stage=replace(case.stage, function=_never))
    assert idle.commit(here, Inline()) == inline


def _never(task: Task, config: Any, resources: Resources) -> Result:
    raise AssertionError("there is nothing left to do")


def test_no_units_are_no_work(case: Case, tmp_path: Path) -> None:
    assert replace(case, units=()).commit(Store.open(tmp_path / "work"), Inline()) == {}


LABELS, VERDICTS = index.LABELLED.empty_table(), curate.SCHEMA.empty_table()
EMPTY: dict[str, Callable[[Build, Path], list[Unit]]] = {
    "extract": lambda built, folder: extract.plan([], built.recipe, DigestCache(folder), {}, {}),
    "caption": lambda built, folder: caption.plan([caption.CropUnit("set/0", folder, folder, ((),))]),
    "shard": lambda built, folder: shard.plan("set", "set", [], LABELS, VERDICTS, shard.config(built.recipe), folder),
}


@pytest.mark.parametrize("stage", EMPTY)
def test_nothing_to_do_is_no_unit(built: Build, tmp_path: Path, stage: str) -> None:
    assert EMPTY[stage](built, tmp_path) == []


def test_an_index_of_nothing_and_verdicts_on_nothing_have_no_rows(cases: dict[str, Case], tmp_path: Path) -> None:
    (task,) = cases["index"].units[0].tasks
    (item,) = task.items
    payload = item.payload
    unit = index.plan(payload.manifest, tmp_path, listing.Listing({}))
    found = index.run(unit.tasks[0], None, Resources())
    assert found.rows.num_rows == 0 and found.rows.schema == index.SCHEMA
    judged = curate.run(
        curate.plan(("x",), curate.CuratePayload((), index.SCHEMA.empty_table(), {})).tasks[0],
        cases["curate"].config,
        Resources(),
    )
    assert judged.rows.num_rows == 0 and judged.rows.schema == curate.SCHEMA


@pytest.mark.parametrize("stage", ["caption", "curate", "shard"])
def test_a_damaged_input_stops_the_stage_and_nothing_of_it_is_committed(
    cases: dict[str, Case], work: Path, tmp_path: Path, stage: str
) -> None:
    copied = shutil.copytree(work, tmp_path / "work")
    case = _elsewhere(cases[stage], work, copied, tmp_path)
    for path in copied.glob("data/extract/*/*"):
        if path.name.endswith("rows.parquet" if stage == "curate" else "blobs.bin"):
            path.write_bytes(bytes(path.stat().st_size))
    store = Store.open(tmp_path / "store")
    with pytest.raises(WorkError, match="is damaged"):
        case.commit(store, Inline())
    assert list(store.records(stage)) == []


def _elsewhere(case: Case, old: Path, new: Path, folder: Path) -> Case:
    """The same work over a copy of the work folder."""

    def moved(value: Any) -> Any:
        if isinstance(value, Path):
            return new / value.relative_to(old) if value.is_relative_to(old) else folder / value.name
        if isinstance(value, tuple) and any(isinstance(part, Path) for part in value):
            return tuple(map(moved, value))
        if isinstance(value, shard.Images):
            return replace(value, files=moved(value.files))
        if isinstance(value, MediaFile):
            return replace(value, root=moved(value.root))
        return value

    def item(one: Any) -> Any:
        changed = {field.name: moved(getattr(one.payload, field.name)) for field in fields(one.payload)}
        return replace(one, payload=replace(one.payload, **changed))

    units = tuple(Unit(u.name, tuple(Task(tuple(map(item, task.items))) for task in u.tasks)) for u in case.units)
    return replace(case, units=units)


def selected(path: Path, name: str) -> Selected:
    about = path.stat()
    kind: Any = "video" if name.endswith(".mp4") else "image"
    file = MediaFile(path.parent, path.name, kind, about.st_size, about.st_mtime_ns)
    return Selected("set", name, file, "real", None, None, None, False)


BAD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "text.mp4": (lambda good: b"these are words, no video\n" * 40, "UnreadableMedia"),
    "empty.mp4": (lambda good: b"", "EmptyMedia"),
    "short.mp4": (lambda good: good[:200], "UnreadableMedia"),
    "zeros.mp4": (lambda good: bytes(len(good)), "UnreadableMedia"),
    "text.jpg": (lambda good: b"these are words, no image\n" * 40, "UnreadableMedia"),
    "empty.jpg": (lambda good: b"", "EmptyMedia"),
    "short.jpg": (lambda good: good[: len(good) // 3], "UnreadableMedia"),
    "bomb.jpg": (lambda good: _png_header(60_000, 60_000), "TooLargeMedia"),
}


def _png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = b"IEND"
    chunks = (struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (body, end))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_bad_media_are_recorded_with_their_reason_and_their_neighbours_come_out_the_same(
    built: Build, cases: dict[str, Case], tmp_path: Path
) -> None:
    goods = {"good.mp4": _first(built.data / "DFDC", "*.mp4"), "good.jpg": _first(built.data / "CelebA", "*.jpg")}
    for name, source in goods.items():
        shutil.copyfile(source, tmp_path / name)
    for name, (spoil, _) in BAD.items():
        (tmp_path / name).write_bytes(spoil(goods[f"good{Path(name).suffix}"].read_bytes()))
    case = cases["extract"]
    clean, mixed = (
        replace(case, units=tuple(extract.plan(
            [selected(tmp_path / name, name) for name in names], built.recipe, DigestCache(tmp_path / "none"), {}, {}
        )))
        for names in (goods, {**BAD, **goods})
    )  # fmt: skip
    store = Store.open(tmp_path / "store")
    found = mixed.commit(store, Inline())
    rows = pa.concat_tables([tables.read_inline(store, r, SAMPLES_SCHEMA, extract.STAGE.blobs, _all(store, r))
                             for r in found.values()])  # fmt: skip
    wanted = pa.concat_tables([result.rows for result in clean.results()])
    order = [("media", "ascending"), ("frame", "ascending")]
    assert rows.sort_by(order).equals(wanted.sort_by(order)) and rows.num_rows > 1
    outcomes = {outcome.media: outcome for record in found.values() for outcome in tables.read_outcomes(store, record)}
    assert {name: outcome.error for name, outcome in outcomes.items()} == {
        **{name: error for name, (_, error) in BAD.items()},
        **dict.fromkeys(goods),
    }
    for name in BAD:
        message = outcomes[name].message
        assert outcomes[name].status == "failed" and message and str(tmp_path) not in message
        assert len(outcomes[name].facts["sha256"]) == 64


def test_a_video_that_breaks_off_keeps_the_frames_before_and_accounts_for_those_after(
    built: Build, cases: dict[str, Case], tmp_path: Path
) -> None:
    good = _first(built.data / "DFDC", "*.mp4").read_bytes()
    (tmp_path / "torn.mp4").write_bytes(good[: len(good) // 2])
    media = [selected(tmp_path / "torn.mp4", "torn.mp4")]
    units = tuple(extract.plan(media, built.recipe, DigestCache(tmp_path / "none"), {}, {}))
    (result,) = replace(cases["extract"], units=units).results()
    (outcome,) = result.outcomes
    assert outcome.status == "ok" and 1 <= outcome.ok == result.rows.num_rows < outcome.planned == 8
    assert outcome.failed == len(outcome.reasons) == 8 - outcome.ok
    assert all(status == "failed" and reason for _, status, reason in outcome.reasons)


def _first(folder: Path, pattern: str) -> Path:
    return min(folder.rglob(pattern))


def _all(store: Store, record: Record) -> pa.Array:
    return pa.array([True] * tables.read_rows(store, record).num_rows, pa.bool_())


def test_odd_files_are_listed_by_the_index_and_change_nothing_for_the_others(
    cases: dict[str, Case], built: Build, tmp_path: Path
) -> None:
    item = cases["index"].units[0].tasks[0].items[0]
    payload = item.payload
    root = tmp_path / payload.root.name
    shutil.copytree(payload.root, root)
    (root / "what.xyz").write_text("?")
    (root / "out").symlink_to(tmp_path.parent)
    (root / "nowhere").symlink_to("gone")
    before = index.run(Task((item,)), None, Resources()).rows
    after = index.run(index.plan(payload.manifest, root, listing.walk(root)).tasks[0], None, Resources()).rows
    odd = {row["media"]: (row["status"], row["reason"]) for row in after.to_pylist() if row["media"] in _ODD}
    assert odd == _ODD
    assert [row for row in after.to_pylist() if row["media"] not in _ODD] == before.to_pylist()


_ODD = {
    "what.xyz": ("unmatched", "no rule"),
    "out": ("refused", "link that leaves the dataset's root"),
    "nowhere": ("refused", "link to nothing"),
}


def test_a_medium_that_vanished_while_its_worker_died_is_still_recorded(built: Build, tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").write_bytes(b"x")
    medium = selected(tmp_path / "gone.jpg", "gone.jpg")
    (unit,) = extract.plan([medium], built.recipe, DigestCache(tmp_path / "none"), {}, {})
    (item,) = unit.items
    assert extract.identify(item)[1] == {"sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}
    Path(str(medium.file.path)).unlink()
    inputs, facts = extract.identify(item)
    assert inputs == item.payload.inputs(UNREAD) and facts == {}
