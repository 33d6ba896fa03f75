"""The steps of a build over all datasets: index, extract (reals first), caption, curate. `assemble` ends it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.engine import tables
from mmidd.engine.digests import DigestCache, Known
from mmidd.engine.files import digest, sha256_file
from mmidd.engine.local import Inline
from mmidd.engine.run import run_units
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Outcome, Result, Unit
from mmidd.errors import DataError
from mmidd.manifest import Manifest, find_manifest
from mmidd.progress import Silent
from mmidd.recipe import DatasetEntry, Recipe
from mmidd.site import Name, Site
from mmidd.stages import caption, curate, extract, index
from mmidd.stages.selection import Selected, compression_taken, drops


@dataclass(frozen=True)
class Dataset:
    """One dataset of the recipe that was found on disk."""

    entry: DatasetEntry
    manifest: Manifest
    root: Path
    listing: index.Listing


@dataclass(frozen=True)
class Indexed:
    """All files that were found (`table`), the media that are taken (`selected`), those that are not, and why."""

    datasets: tuple[Dataset, ...]
    absent: tuple[str, ...]
    table: pa.Table
    selected: Mapping[Name, Selected]
    dropped: Mapping[Name, str]
    ignored: Mapping[str, int]
    keys: Mapping[str, str]

    def of_status(self, *statuses: str) -> list[dict[str, Any]]:
        """The indexed files of these statuses, as rows."""
        return [row for row in self.table.to_pylist() if row["status"] in statuses]


@dataclass(frozen=True)
class Extracted:
    """The committed units of crops and the outcome of every selected medium."""

    units: tuple[Unit, ...]
    records: Mapping[str, Record]
    outcomes: Mapping[Name, Outcome]


def locate(site: Site) -> tuple[list[Dataset], list[str]]:
    """Find and list the recipe's datasets under the data root. Raises DataError if none (or not all, if required)."""
    if not site.data.is_dir():
        raise DataError(f"the data root {site.data} is not a folder; give the folder that holds the datasets' folders")
    found, absent = [], []
    for entry in site.entries:
        manifest = find_manifest(entry.name)
        root = index.locate(manifest, site.data)
        if root is None:
            absent.append(manifest.name)
        else:
            found.append(Dataset(entry, manifest, root, index.walk(root)))
    if absent and (site.require_all or not found):
        what = "none of the recipe's datasets is" if not found else "not all of the recipe's datasets are"
        names = ", ".join(f"{name} ({find_manifest(name).folders[0]}/)" for name in absent)
        raise DataError(f"{what} under {site.data}; missing: {names}. `mmidd datasets NAME` says how to get one.")
    for dataset in found:
        if not dataset.listing.files and not dataset.listing.refused:
            raise DataError(f"{dataset.root} is empty; put {dataset.manifest.name} there or leave it out with --only")
    return found, absent


def index_all(site: Site) -> Indexed:
    """Index every dataset that is there, and decide which media the recipe takes."""
    datasets, absent = locate(site)
    parts: list[pa.Table] = []
    ignored: Counter[str] = Counter()
    keys: dict[str, str] = {}
    for dataset in datasets:
        unit = index.plan(dataset.manifest, dataset.root, dataset.listing)
        base = index.ingredients(dataset.manifest)
        records = run_units(index.STAGE, base, [unit], None, store=site.store, engine=Inline(), progress=Silent())
        record = records[unit.name]
        parts.append(tables.read_rows(site.store, record))
        ignored.update(tables.read_outcomes(site.store, record)[0].facts["ignored"])
        keys[dataset.manifest.name] = record.key
    table = pa.concat_tables(parts)
    selected, dropped = _select(site, datasets, parts)
    return Indexed(tuple(datasets), tuple(absent), table, selected, dropped, ignored, keys)


def _select(
    site: Site, datasets: Sequence[Dataset], parts: Sequence[pa.Table]
) -> tuple[dict[Name, Selected], dict[Name, str]]:
    selected: dict[Name, Selected] = {}
    dropped: dict[Name, str] = {}
    digests = site.digests
    for dataset, part in zip(datasets, parts, strict=True):
        rows = [row for row in part.to_pylist() if row["status"] == "media"]
        taken = compression_taken(dataset.entry, dataset.manifest.compressions, _compressions(rows))
        reasons = drops(rows, dataset.entry, taken, site.recipe.seed)
        for row in rows:
            name = (row["dataset"], row["media"])
            stat = dataset.listing.files[row["media"]]
            sha256 = digests.fresh(*name, stat.bytes, stat.mtime_ns)
            reason = "excluded" if site.excluded.hits(row, sha256) else reasons.get(row["media"])
            if reason:
                dropped[name] = reason
            else:
                selected[name] = _selected(row, dataset.root, stat)
    return selected, dropped


def _compressions(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    return {row["compression"] for row in rows if row["compression"] is not None}


def _selected(row: Mapping[str, Any], root: Path, stat: index.Stat) -> Selected:
    return Selected(
        row["dataset"], row["media"], row["kind"], row["label"], row["method"], row["pair_dataset"],
        row["pair_media"], bool(row["aligned"]), root / row["media"], stat.bytes, stat.mtime_ns,
    )  # fmt: skip


def extract_all(site: Site, indexed: Indexed) -> Extracted:
    """Extract the reals and all that follows nobody; then the fakes that take their real's geometry."""
    digests = site.digests
    rehash(digests, indexed.selected.values())
    pairs = pair_levels(site.recipe, indexed.selected)
    first = [medium for medium in indexed.selected.values() if medium.name not in pairs]
    paired = [medium for medium in indexed.selected.values() if medium.name in pairs]
    done = _extract_level(site, indexed, extract.plan(first, site.recipe, digests, {}, {}), digests)
    reals = track_records(site.store, done, set(pairs.values()))
    later = _extract_level(site, indexed, extract.plan(paired, site.recipe, digests, reals, pairs), digests)
    return Extracted(
        (*done.units, *later.units), {**done.records, **later.records}, {**done.outcomes, **later.outcomes}
    )


def rehash(digests: DigestCache, media: Iterable[Selected]) -> None:
    """Read again what was known and has another size or time now: equal bytes keep their work."""
    changed = [
        medium
        for medium in media
        if digests.last(*medium.name) and not digests.fresh(*medium.name, medium.bytes, medium.mtime_ns)
    ]
    with ThreadPoolExecutor(4) as pool:
        for medium, sha256 in zip(changed, pool.map(_sha256_or_none, (m.path for m in changed)), strict=True):
            if sha256 is not None:
                digests.put(medium.dataset, [(medium.media, Known(medium.bytes, medium.mtime_ns, sha256))])


def _sha256_or_none(path: Path) -> str | None:
    try:
        return sha256_file(path)
    except OSError:
        return None  # extraction meets the same error and records it with its reason


def pair_levels(recipe: Recipe, selected: Mapping[Name, Selected]) -> dict[Name, Name]:
    """The real that each fake follows, for those that follow one."""
    followed = {name: extract.follows(medium, selected, recipe) for name, medium in selected.items()}
    return {name: real for name, real in followed.items() if real is not None}


def track_records(store: Store, done: Extracted, wanted: set[Name]) -> dict[Name, tuple[Path, Outcome]]:
    """Where the rows of the reals lie that fakes follow."""
    found = {}
    for unit in done.units:
        rows = store.path(done.records[unit.name], tables.ROWS)
        for item in unit.items:
            if item.name in wanted:
                found[item.name] = (rows, done.outcomes[item.name])
    return found


def _extract_level(site: Site, indexed: Indexed, units: Sequence[Unit], digests: DigestCache) -> Extracted:
    def remember(result: Result) -> None:
        for outcome in result.outcomes:
            sha256 = outcome.facts.get("sha256")
            medium = indexed.selected[outcome.dataset, outcome.media]
            if sha256:
                digests.put(medium.dataset, [(medium.media, Known(medium.bytes, medium.mtime_ns, sha256))])

    if not units:
        return Extracted((), {}, {})
    records = run_units(
        extract.STAGE,
        extract.ingredients(site.recipe, site.device),
        units,
        extract.config(site.recipe),
        store=site.store,
        engine=site.engine,
        progress=site.progress,
        landed=remember,
        retry=site.retry,
        time_limit=site.recipe.time_limit,
    )
    outcomes = {
        (outcome.dataset, outcome.media): outcome
        for unit in units
        for outcome in tables.read_outcomes(site.store, records[unit.name])
    }
    return Extracted(tuple(units), records, outcomes)


def caption_all(site: Site, extracted: Extracted) -> dict[str, Record]:
    """Caption every unit of crops; nothing where the recipe wants no captions."""
    if site.recipe.captioner.kind == "none":
        return {}
    return run_units(
        caption.STAGE,
        caption.ingredients(site.recipe, site.device),
        caption_units(site, extracted),
        caption.config(site.recipe),
        store=site.store,
        engine=site.engine,
        progress=site.progress,
        retry=site.retry,
        time_limit=site.recipe.time_limit,
    )


def caption_units(site: Site, extracted: Extracted) -> list[Unit]:
    """The units of captioning over committed crops."""
    crops = []
    for unit in extracted.units:
        record = extracted.records[unit.name]
        members = tuple(tuple(extracted.outcomes[item.name] for item in task.items) for task in unit.tasks)
        rows, blobs = site.store.path(record, tables.ROWS), site.store.path(record, tables.BLOBS)
        crops.append(caption.Crops(unit.name, rows, blobs, members))
    return caption.plan(crops)


def curate_all(site: Site, indexed: Indexed, extracted: Extracted) -> Record:
    """Judge everything at once, over columns."""
    unit = curate_unit(site, indexed, extracted)
    records = run_units(
        curate.STAGE,
        curate.ingredients(site.recipe),
        [unit],
        curate.config(site.recipe),
        store=site.store,
        engine=Inline(),
        progress=Silent(),
    )
    return records[unit.name]


def curate_unit(site: Site, indexed: Indexed, extracted: Extracted) -> Unit:
    """The one unit of curation. Its inputs: every committed row, every label, every medium that was taken down."""
    media = indexed.table.filter(pc.equal(indexed.table["status"], "media"))
    taken_down = {
        name: "excluded"
        for name, outcome in extracted.outcomes.items()
        if outcome.facts.get("sha256") in site.excluded.sha256
    }
    records = [extracted.records[unit.name] for unit in extracted.units]
    rows = tuple(site.store.path(record, tables.ROWS) for record in records)
    labels = hashlib.sha256(json.dumps(media.to_pylist(), sort_keys=True).encode()).hexdigest()
    inputs = (
        digest(sorted(record.files[tables.ROWS]["sha256"] for record in records)),
        labels,
        digest(sorted(taken_down)),
    )
    return curate.plan(inputs, curate.Payload(rows, media, taken_down))
