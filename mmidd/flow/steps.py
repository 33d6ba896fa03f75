"""The steps of the flow: what each stage has to do, planned from what those before reached. Nothing else plans units.

A step asks its walker to bring its work as far as it means to. Under a look a stage may be incomplete; what can only be
planned once it is complete is then None.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.target import Target
from mmidd.engine import tables
from mmidd.engine.files import digest
from mmidd.engine.local import Inline
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Item, Outcome, Unit
from mmidd.errors import CorpusError
from mmidd.faces.detector import Device
from mmidd.flow.captioning import by_model, config_of, engine_of
from mmidd.flow.digesting import Landed, rehash
from mmidd.flow.indexing import Indexed, index_media
from mmidd.flow.pair_checks import pair_checks
from mmidd.flow.removals import refuse
from mmidd.flow.setup import Setup
from mmidd.flow.takedowns import covered, keep, last_sha256, named
from mmidd.flow.walkers import Reached, Walker, Work
from mmidd.media import DENIED, Name
from mmidd.networks.choose import is_served, runtime_of
from mmidd.networks.client import WAITS_S
from mmidd.recipe import Recipe
from mmidd.stages import caption, curate, extract, shard
from mmidd.stages.extract import Selected
from mmidd.video.hdf5 import needs_h5py

__all__ = ["Extracted", "Sharded", "caption_samples", "curate_samples", "extract_samples", "index_media", "write_shards"]

FIRST, PAIRED = "extract", "extract (fakes, as their reals)"
Outcomes = Mapping[Name, Outcome]


@dataclass(frozen=True)
class Extracted:
    """The committed units of crops, and the outcome of every selected medium that has one.

    `to_do` are the media that are to be extracted; `waiting` those of them whose real is to be extracted first. Where
    it is not `complete` a unit has no commit yet, even if a build would only take its media over from older ones.
    """

    units: tuple[Unit, ...]
    records: Mapping[str, Record]
    outcomes: Outcomes
    to_do: tuple[Item, ...] = ()
    waiting: frozenset[Name] = frozenset()
    complete: bool = True


def extract_samples(setup: Setup, indexed: Indexed, walker: Walker) -> Extracted:
    """Extract the reals and all that follows nobody; then the fakes that take their real's geometry."""
    selected = indexed.selected
    if walker.reads:
        rehash(setup.digests, selected.values())
    pairs = pair_levels(setup.recipe, selected)
    plan = partial(extract.plan, recipe=setup.recipe, digests=setup.digests)
    first = [medium for name, medium in selected.items() if name not in pairs]
    units = plan(first, reals={}, pairs={}, led=frozenset(pairs.values()))
    done = walker.bring(setup, _level(setup, selected, FIRST, units, walker))
    outcomes = _outcomes(setup.store, done)
    reals = _track_records(setup.store, done, outcomes, set(pairs.values()))
    paired = [medium for name, medium in selected.items() if name in pairs]
    later = walker.bring(setup, _level(setup, selected, PAIRED, plan(paired, reals=reals, pairs=pairs), walker))
    waiting = frozenset(name for name, real in pairs.items() if real not in reals)
    to_do = [item for each in (done, later) for item in each.to_do if item.name not in waiting]
    to_do += [item for unit in later.work.units for item in unit.items if item.name in waiting] if waiting else []
    return Extracted(
        (*done.units, *later.units),
        {**done.records, **later.records},
        {**outcomes, **_outcomes(setup.store, later)},
        tuple(to_do),
        waiting,
        done.complete and later.complete,
    )


def pair_levels(recipe: Recipe, selected: Mapping[Name, Selected]) -> dict[Name, Name]:
    """The real that each fake follows, for those that follow one."""
    followed = {name: extract.follows(medium, selected, recipe) for name, medium in selected.items()}
    return {name: real for name, real in followed.items() if real is not None}


def _level(setup: Setup, selected: Mapping[Name, Selected], title: str, units: Sequence[Unit], walker: Walker) -> Work:
    """One of the two levels of extraction."""
    base = setup.bases[extract.STAGE.name]
    config = extract.config(setup.recipe, base.get("models"))
    work = Work(extract.STAGE, base, units, config, title, retry=setup.retry)
    if not (units and walker.runs(extract.STAGE.name)):
        return work
    if any(medium.kind == "hdf5" for medium in selected.values()):
        needs_h5py()  # before hours of other media
    landed = Landed(setup, selected)
    limit = time_limit(setup.recipe, setup.device) + max(extract.fetching(task) for unit in units for task in unit.tasks)
    return replace(work, landed=landed, ended=landed.note_rate, time_limit=limit)


def time_limit(recipe: Recipe, device: Device) -> float:
    """Of a task of extraction, in seconds. A device process that hangs is told before a medium is charged for it."""
    served = is_served(device, runtime_of(recipe.detector.runtime, device))
    return recipe.time_limit + (WAITS_S if served else 0.0)


def _outcomes(store: Store, reached: Reached) -> dict[Name, Outcome]:
    """How the media ended, also those that a run would only take over."""
    found = {name: outcome for name, (_, outcome) in reached.taken_over.items()}
    for record in reached.records.values():
        found.update({(each.dataset, each.media): each for each in tables.read_outcomes(store, record)})
    return found


def _track_records(
    store: Store, reached: Reached, outcomes: Outcomes, wanted: Collection[Name]
) -> dict[Name, extract.Followed]:
    """Where the rows of the reals lie that fakes follow."""
    over = ((name, record) for name, (record, _) in reached.taken_over.items())
    here = ((item.name, reached.records[unit.name]) for unit in reached.units for item in unit.items)
    return {
        name: extract.Followed(store.path(record, tables.ROWS), store.path(record, tables.BLOBS), outcomes[name])
        for place in (over, here)
        for name, record in place
        if name in wanted
    }


def caption_samples(setup: Setup, extracted: Extracted, walker: Walker) -> Reached | None:
    """Caption every unit of crops; None where the recipe wants no captions."""
    if setup.recipe.captioner.kind == "none":
        return None
    crops = []
    for unit in extracted.units:
        record = extracted.records[unit.name]
        members = tuple(tuple(extracted.outcomes[item.name] for item in task.items) for task in unit.tasks)
        rows, blobs = setup.store.path(record, tables.ROWS), setup.store.path(record, tables.BLOBS)
        crops.append(caption.CropUnit(unit.name, rows, blobs, members))
    config = config_of(setup)
    model = by_model(config)  # a model takes the time it takes, and a request has a limit of its own
    engine = partial(engine_of, setup, config) if model else None
    limit = None if model else setup.recipe.time_limit
    base = setup.bases[caption.STAGE.name]
    work = Work(
        caption.STAGE, base, caption.plan(crops, together=model), config, engine=engine, time_limit=limit, retry=setup.retry
    )
    return walker.bring(setup, work)


def curate_samples(setup: Setup, indexed: Indexed, extracted: Extracted, walker: Walker) -> Reached | None:
    """Judge everything at once, over columns. None while extraction is not complete.

    The one unit's inputs: every committed row, every label, every medium that was taken down, every pair that was denied,
    and by which rules no split is official, if there are any.
    """
    if not extracted.complete:
        return None
    media = indexed.judged
    found = covered(setup, named(setup, media), last_sha256(setup), extracted.outcomes)
    if walker.runs(curate.STAGE.name) and found:
        keep(setup, found, (), extracted.outcomes)
    excluded = dict.fromkeys(sorted(found), "excluded")
    records = [extracted.records[unit.name] for unit in extracted.units]
    rows = tuple(setup.store.path(record, tables.ROWS) for record in records)
    denied = frozenset(name for name, check in pair_checks(indexed.selected, extracted.outcomes).items() if check in DENIED)
    inputs: tuple[str, ...] = (
        digest(sorted(record.files[tables.ROWS]["sha256"] for record in records)),
        tables.content_digest(media),
        digest(sorted(excluded)),
        digest(sorted(denied)),
    )
    partial = indexed.partial
    inputs += (digest(partial),) * bool(partial)
    unit = curate.plan(inputs, curate.CuratePayload(rows, media, excluded, denied, partial))
    base, config = setup.bases[curate.STAGE.name], curate.config(setup.recipe)
    limit = setup.recipe.time_limit
    return walker.bring(setup, Work(curate.STAGE, base, [unit], config, engine=_inline, time_limit=limit, quiet=True))


def _inline() -> nullcontext[Inline]:
    return nullcontext(Inline())


@dataclass(frozen=True)
class Sharded:
    """The shards of the corpus that is written to `target`, and the verdicts that they follow.

    `refused`: what a build would end with before it wrote one.
    """

    reached: Reached
    judged: pa.Table
    target: Target
    refused: str | None = None

    @property
    def kept(self) -> pa.Table:
        """The verdicts of the samples that are in the corpus."""
        return kept_of(self.judged)


def kept_of(judged: pa.Table) -> pa.Table:
    """The verdicts of samples (not of media) that drop nothing."""
    return judged.filter(pc.and_(pc.is_valid(judged["frame"]), pc.is_null(judged["drop"])))


def write_shards(
    setup: Setup,
    indexed: Indexed,
    extracted: Extracted,
    captions: Reached | None,
    verdicts: Reached | None,
    walker: Walker,
) -> Sharded | None:
    """Write the shards of every dataset beside the corpus. None while something before is to do, or no corpus is named.

    Raises CorpusError before any row would be lost; under a look that is only told.
    """
    if setup.out is None or verdicts is None or not verdicts.complete or (captions is not None and not captions.complete):
        return None
    (record,) = verdicts.records.values()
    judged, target = tables.read_rows(setup.store, record, curate.SCHEMA.names), Target(setup.out.resolve())
    refused = None
    try:
        refuse(setup, judged, extracted.outcomes.values(), target.out)
    except CorpusError as error:
        if walker.runs(shard.STAGE.name):
            raise
        refused = str(error)
    units = _shard_units(setup, indexed, extracted, captions, judged, target)
    usable = partial(_whole if walker.runs(shard.STAGE.name) else _there, setup.store, target)
    base, config = setup.bases[shard.STAGE.name], shard.config(setup.recipe)
    return Sharded(walker.bring(setup, Work(shard.STAGE, base, units, config, usable=usable)), judged, target, refused)


def _shard_units(
    setup: Setup,
    indexed: Indexed,
    extracted: Extracted,
    captions: Reached | None,
    judged: pa.Table,
    target: Target,
) -> list[Unit]:
    media = indexed.labelled.filter(pc.equal(indexed.table["status"], "media")).select(shard.LABELLED_BY)
    judged = judged.select(shard.JUDGED_BY)
    described: Mapping[str, Record] = captions.records if captions is not None else {}
    units: list[Unit] = []
    for dataset in indexed.datasets:
        name = dataset.manifest.name
        files = [
            _unit_files(setup.store, extracted.records[unit.name], described.get(unit.name))
            for unit in extracted.units
            if unit.dataset == name
        ]
        labels = media.filter(pc.equal(media["dataset"], name))
        verdicts = judged.filter(pc.and_(pc.equal(judged["dataset"], name), pc.is_valid(judged["frame"])))
        limits = shard.config(setup.recipe)
        units += shard.plan(name, dataset.manifest.slug, files, labels, verdicts, limits, target.building)
    return units


def _unit_files(store: Store, record: Record, captioned: Record | None) -> shard.UnitFiles:
    rows, blobs = store.path(record, tables.ROWS), store.path(record, tables.BLOBS)
    return shard.UnitFiles(rows, blobs, store.path(captioned, tables.ROWS) if captioned else None)


def _whole(store: Store, target: Target, unit: Unit, record: Record) -> bool:
    """A shard that was written before counts only while its file is still there, whole."""
    (row,) = tables.read_rows(store, record, shard.SCHEMA.names).to_pylist()
    return target.has(row["file"], row["bytes"], row["sha256"])


def _there(store: Store, target: Target, unit: Unit, record: Record) -> bool:
    """Is its file there with its size? A look reads no shard."""
    (row,) = tables.read_rows(store, record, shard.SCHEMA.names).to_pylist()
    return target.is_there(row["file"], row["bytes"])
