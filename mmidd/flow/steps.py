"""The steps of a build over all datasets: index, extract (reals first), caption, curate. `assemble` ends it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.cli.progress import Silent
from mmidd.engine import tables
from mmidd.engine.digests import UNREAD, DigestCache, Known
from mmidd.engine.faults import fault
from mmidd.engine.files import digest
from mmidd.engine.local import Inline
from mmidd.engine.run import Stage, run_units, survey
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Outcome, Resources, Result, Unit
from mmidd.errors import DataError, MediaError, WorkError
from mmidd.extraction.masks import MaskFile, pointers
from mmidd.flow import pairs
from mmidd.flow.captioning import by_model, config_of, engine_of
from mmidd.flow.select import Exclusions, Selected, compression_taken, drops, idle_lines, taken_down
from mmidd.manifest import Manifest, archive_paths, clip_frames, find_manifest, kind_of
from mmidd.media import FaceMode, Kind, Name
from mmidd.project import Site, remember
from mmidd.raw import listing
from mmidd.raw.bytes import Archive, FilePart, MediaFile, open_all
from mmidd.raw.path import Place
from mmidd.recipe import DatasetEntry, Recipe
from mmidd.stages import caption, curate, extract, index

RATES = "rates.json"
_SELECTED_BY = (
    "dataset", "media", "kind", "rule", "label", "method", "compression", "target_id", "source_id", "pair_dataset",
    "pair_media", "aligned", "pair_candidates", "mask",
)  # fmt: skip
_EXCLUDED_BY = ("dataset", "media", "target_id", "source_id", "pair_dataset", "pair_media", "pair_candidates")
ARCHIVES = "archives"
FIRST, PAIRED = "extract", "extract (fakes, as their reals)"


@dataclass(frozen=True)
class Dataset:
    """One dataset of the recipe that was found on disk."""

    entry: DatasetEntry
    manifest: Manifest
    root: Place
    listing: listing.Listing


@dataclass(frozen=True)
class Indexed:
    """All files that were found (`table`), the media that are taken (`selected`), those that are not, and why."""

    datasets: tuple[Dataset, ...]
    absent: tuple[str, ...]
    table: pa.Table
    selected: Mapping[Name, Selected]
    dropped: Mapping[Name, str]
    facts: Mapping[str, Mapping[str, Any]]
    keys: Mapping[str, str]
    fresh: tuple[str, ...]

    def of_status(self, *statuses: str) -> list[dict[str, Any]]:
        """The indexed files of these statuses, as rows."""
        wanted = pc.is_in(self.table["status"], pa.array(statuses, pa.string()))
        return list(self.table.filter(wanted).to_pylist())


@dataclass(frozen=True)
class Extracted:
    """The committed units of crops and the outcome of every selected medium."""

    units: tuple[Unit, ...]
    records: Mapping[str, Record]
    outcomes: Mapping[Name, Outcome]


def locate(site: Site, *, keep: bool = True) -> tuple[list[Dataset], list[str]]:
    """Find and list the recipe's datasets under the data root. Raises DataError if none (or not all, if required).

    What is found in archives is kept in the work folder, unless `keep` is false.
    """
    if not site.data.is_dir():
        raise DataError(f"the data root {site.data} is not a folder; give the folder that holds the datasets' folders")
    found, absent = [], []
    under = listing.entries(site.data)
    for entry in site.entries:
        manifest = find_manifest(entry.name)
        root = listing.locate(manifest.name, manifest.folders, site.data, under)
        if root is None:
            absent.append(manifest.name)
        else:
            files = listing.walk(root)
            members = archive_paths(manifest, files.files)
            files = listing.open_archives(manifest.name, members, root, files, site.store.root / ARCHIVES, keep=keep)
            found.append(Dataset(entry, manifest, root, files))
    if absent and (site.require_all or not found):
        what = "none of the recipe's datasets is" if not found else "not all of the recipe's datasets are"
        names = ", ".join(f"{name} ({find_manifest(name).folders[0]}/)" for name in absent)
        here = [name for name in absent if _is_folder_of(find_manifest(name), site.data)]
        hint = f" {site.data} looks like {here[0]} itself: give the folder above it." if here else ""
        raise DataError(f"{what} under {site.data}; missing: {names}. `mmidd datasets NAME` says how to get one.{hint}")
    for dataset in found:
        if not dataset.listing.files and not dataset.listing.refused:
            raise DataError(f"{dataset.root} is empty; put {dataset.manifest.name} there or leave it out with --only")
    return found, absent


def _is_folder_of(manifest: Manifest, folder: Place) -> bool:
    """Does the folder bear one of the dataset's accepted names?"""
    return folder.name.casefold() in {name.casefold() for name in manifest.folders}


def index_all(site: Site, *, run: bool = True) -> Indexed:
    """Index every dataset that is there, and decide which media the recipe takes. `run=False` commits nothing."""
    datasets, absent = locate(site, keep=run)
    parts: list[pa.Table] = []
    facts: dict[str, Mapping[str, Any]] = {}
    keys: dict[str, str] = {}
    units = {d.manifest.name: index.plan(d.manifest, d.root, d.listing, site.digests, keep=run) for d in datasets}
    bases = {d.manifest.name: index.ingredients(d.manifest) for d in datasets}
    fresh = [name for name, unit in units.items() if survey(index.STAGE, bases[name], [unit], site.store).missing]
    site.progress.begin("index", len(units), len(units) - len(fresh))
    for name, unit in units.items():
        if name in fresh and not run:
            result = index.run(unit.tasks[0], None, Resources())
            rows, (outcome,) = result.rows, result.outcomes
        else:
            options: dict[str, Any] = {"store": site.store, "engine": Inline(), "progress": Silent()}
            record = run_units(index.STAGE, bases[name], [unit], None, **options)[unit.name]
            rows, (outcome,) = tables.read_rows(site.store, record), tables.read_outcomes(site.store, record)
            keys[name] = record.key
        parts.append(rows)
        facts[name] = outcome.facts
        site.progress.advance([outcome] if name in fresh else [])
    site.progress.end()
    if run:
        remember(site, keys)
        fault("index_done")
    taken = {d.manifest.name: _compression(d, part) for d, part in zip(datasets, parts, strict=True)}
    parts, lost = pairs.settle(parts, taken)
    for name, count in lost.items():
        facts[name] = {**facts[name], "missing_pairs": facts[name]["missing_pairs"] + count}
    selected, dropped = _select(site, datasets, parts, taken)
    table = pa.concat_tables(parts)
    return Indexed(tuple(datasets), tuple(absent), table, selected, dropped, facts, keys, tuple(fresh))


def bring(
    site: Site, stage: Stage, base: dict[str, Any], units: Sequence[Unit], config: Any, *, run: bool, **options: Any
) -> dict[str, Record]:
    """Bring the units of a stage up to date; with `run=False` insist that they are. Raises WorkError if not."""
    if run:
        return run_units(
            stage, base, units, config, store=site.store,
            **{"engine": site.engine, "progress": site.progress, "time_limit": site.recipe.time_limit, **options},
        )  # fmt: skip
    found = survey(stage, base, units, site.store)
    if found.missing:
        left = sum(1 for unit in found.missing for _ in unit.items)
        raise WorkError(f"{stage.name} is not up to date ({left} media to do): run `mmidd {stage.name}`, or `mmidd build`")
    return found.done


def _select(
    site: Site, datasets: Sequence[Dataset], parts: Sequence[pa.Table], taken: Mapping[str, str | None]
) -> tuple[dict[Name, Selected], dict[Name, str]]:
    selected: dict[Name, Selected] = {}
    dropped: dict[Name, str] = {}
    found = [tables.light_rows(part.filter(pc.equal(part["status"], "media")), _SELECTED_BY) for part in parts]
    clips = {
        dataset.manifest.name: _clips(dataset, {row["media"] for row in rows if row["kind"] == "frames"}, part["media"])
        for dataset, rows, part in zip(datasets, found, parts, strict=True)
    }
    files = {d.manifest.name: {**d.listing.files, **_clip_stats(clips[d.manifest.name])} for d in datasets}

    def sha256(name: Name) -> str | None:
        stat = files[name[0]][name[1]]
        return site.digests.fresh(*name, stat.bytes, stat.mtime_ns)

    excluded = taken_down([row for rows in found for row in rows], sha256, site.excluded)
    places = {d.manifest.name: _Placed(d, clips[d.manifest.name], files[d.manifest.name]) for d in datasets}
    usable = (row for rows in found for row in rows if (row["dataset"], row["media"]) not in excluded)
    pointing = pointers(usable) if site.recipe.crop.choice != "all" else {}
    for dataset, rows in zip(datasets, found, strict=True):
        placed = places[dataset.manifest.name]
        reasons = drops(rows, dataset.entry, taken[dataset.manifest.name], site.recipe.seed)
        for row in rows:
            name = (row["dataset"], row["media"])
            reason = "excluded" if name in excluded else reasons.get(row["media"])
            if reason:
                dropped[name] = reason
            else:
                where = (name[0], row["mask"]) if row["mask"] else pointing.get(name)
                mask = places[where[0]].mask(where[1], own=bool(row["mask"])) if where else None
                selected[name] = placed.selected(row, mask)
    return selected, dropped


def _compression(dataset: Dataset, part: pa.Table) -> str | None:
    present = pc.unique(part["compression"].drop_null()).to_pylist()
    return compression_taken(dataset.entry, dataset.manifest.compressions, present)


Clips = Mapping[str, Mapping[int, tuple[str, listing.Stat]]]


def _clips(dataset: Dataset, folders: set[str], indexed: pa.ChunkedArray) -> Clips:
    """The frames of these folders: number -> path and stat. A file that is in the index by its own name is none."""
    inside: dict[str, list[str]] = defaultdict(list)
    others = frozenset(indexed.to_pylist() if folders else ())
    for path in dataset.listing.files if folders else ():
        folder = path.rpartition("/")[0]
        if folder in folders and path not in others:
            inside[folder].append(path)
    files = dataset.listing.files
    return {
        folder: {number: (path, files[path]) for number, path in clip_frames(paths).items()}
        for folder, paths in inside.items()
    }


def _clip_stats(clips: Clips) -> dict[str, listing.Stat]:
    return {folder: listing.clip_stat(dict(frames.values())) for folder, frames in clips.items()}


@dataclass(frozen=True)
class _Placed:
    """Says where the media of one dataset lie."""

    dataset: Dataset
    clips: Clips
    stats: Mapping[str, listing.Stat]

    @cached_property
    def _faces(self) -> dict[str, FaceMode]:
        """What each rule says of its media's faces."""
        return {rule.id: rule.faces for rule in self.dataset.manifest.rules}

    def mask(self, path: str, *, own: bool) -> MaskFile:
        """The mask at this path."""
        stat = self.stats[path]
        return MaskFile(self.dataset.manifest.name, path, self._file(path, kind_of(path), stat), own)

    def selected(self, row: Mapping[str, Any], mask: MaskFile | None = None) -> Selected:
        """A row of the index with the place of its bytes."""
        media, stat = row["media"], self.stats[row["media"]]
        return Selected(
            row["dataset"], media, self._file(media, row["kind"], stat), row["label"], row["method"], row["pair_dataset"],
            row["pair_media"], bool(row["aligned"]), self._faces[row["rule"]], mask,
        )  # fmt: skip

    def _file(self, path: str, kind: Kind, stat: listing.Stat) -> MediaFile:
        return MediaFile(
            self.dataset.root, stat.archive or path, kind, stat.bytes, stat.mtime_ns,
            self._archive(stat), self._parts(path, stat),
        )  # fmt: skip

    def _archive(self, stat: listing.Stat) -> Archive | None:
        if stat.archive is None:
            return None
        about = self.dataset.listing.archives[stat.archive]
        return Archive(stat.archive, about.bytes, about.mtime_ns)

    def _parts(self, media: str, stat: listing.Stat) -> tuple[FilePart, ...]:
        frames = self.clips.get(media) or ({0: (media, stat)} if stat.archive else {})
        cut = len(stat.archive if stat.archive else media) + 1
        return tuple(
            FilePart(number, path[cut:], about.bytes, about.mtime_ns, about.offset)
            for number, (path, about) in frames.items()
        )


def extract_all(site: Site, indexed: Indexed, *, run: bool = True) -> Extracted:
    """Extract the reals and all that follows nobody; then the fakes that take their real's geometry."""
    digests = site.digests
    rehash(digests, indexed.selected.values())
    pairs = pair_levels(site.recipe, indexed.selected)
    first = [medium for medium in indexed.selected.values() if medium.name not in pairs]
    paired = [medium for medium in indexed.selected.values() if medium.name in pairs]
    done = _extract_level(site, indexed, FIRST, extract.plan(first, site.recipe, digests, {}, {}), run)
    reals = track_records(site.store, done, set(pairs.values()))
    later = _extract_level(site, indexed, PAIRED, extract.plan(paired, site.recipe, digests, reals, pairs), run)
    return Extracted((*done.units, *later.units), {**done.records, **later.records}, {**done.outcomes, **later.outcomes})


def rehash(digests: DigestCache, media: Collection[Selected]) -> None:
    """Read again what was known and has another size or time now: equal bytes keep their work. And what the system did not
    let us read: permission may have come without a change of either."""
    masks = {(mask.dataset, mask.media): mask for mask in (medium.mask for medium in media) if mask is not None}
    places: dict[Place, list[tuple[Selected | MaskFile, MediaFile]]] = defaultdict(list)
    each: Selected | MaskFile
    for each in chain[Selected | MaskFile](media, masks.values()):
        name, file = (each.dataset, each.media), each.file
        known = digests.fresh(*name, file.bytes, file.mtime_ns)
        if digests.last(*name) and (known is None or (known == UNREAD and not file.archive)):
            places[file.path].append((each, file))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(_digests, places.values()):
            for medium, sha256 in found:
                digests.put(medium.dataset, [(medium.media, Known(medium.file.bytes, medium.file.mtime_ns, sha256))])


def _digests(media: Iterable[tuple[Selected | MaskFile, MediaFile]]) -> list[tuple[Selected | MaskFile, str]]:
    found = []
    for medium, source in open_all(media, lambda medium: frozenset()):
        with suppress(OSError, MediaError):  # extraction meets the same error and records it with its reason
            found.append((medium, source.sha256()))
    return found


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


def _extract_level(site: Site, indexed: Indexed, title: str, units: Sequence[Unit], run: bool) -> Extracted:
    if not units:
        return Extracted((), {}, {})
    base = extract.ingredients(site.recipe, site.device)
    config = extract.config(site.recipe)
    landed = _Landed(site, indexed)
    limit = site.recipe.time_limit + max(extract.fetching(task) for unit in units for task in unit.tasks)
    options: dict[str, Any] = {"title": title, "landed": landed, "retry": site.retry, "time_limit": limit}
    records = bring(site, extract.STAGE, base, units, config, run=run, **options)
    landed.note_rate()
    outcomes = {
        (outcome.dataset, outcome.media): outcome
        for unit in units
        for outcome in tables.read_outcomes(site.store, records[unit.name])
    }
    return Extracted(tuple(units), records, outcomes)


class _Landed:
    """Sees each fresh result: remembers the media's digests, and how long a frame took, for `plan`."""

    def __init__(self, site: Site, indexed: Indexed) -> None:
        self._site, self._indexed = site, indexed
        self._started = time.monotonic()
        self._frames = 0

    def __call__(self, result: Result) -> None:
        taken: dict[str, list[tuple[str, Known]]] = defaultdict(list)
        for outcome in result.outcomes:
            self._frames += outcome.planned
            medium = self._indexed.selected[outcome.dataset, outcome.media]
            for each, fact in ((medium, "sha256"), (medium.mask, "mask_sha256")):
                if each is not None:
                    taken[each.dataset] += self._taken(each, outcome.facts.get(fact))
        for dataset, entries in taken.items():
            self._site.digests.put(dataset, entries)

    def _taken(self, medium: Selected | MaskFile, sha256: str | None) -> Iterator[tuple[str, Known]]:
        """A digest that was just taken; of a file that could not be read, that."""
        file = medium.file
        if sha256 or not self._site.digests.fresh(medium.dataset, medium.media, file.bytes, file.mtime_ns):
            yield medium.media, Known(file.bytes, file.mtime_ns, sha256 or UNREAD)

    def note_rate(self) -> None:
        if self._frames:
            rates = self._site.store.note(RATES) or {}
            seconds = (time.monotonic() - self._started) * max(1, self._site.workers)
            rates[rate_key(self._site)] = {"frames": self._frames, "worker_seconds": round(seconds, 3)}
            self._site.store.touch(RATES, rates)


def rate_key(site: Site) -> str:
    """What a measured rate holds for."""
    return f"{site.recipe.detector.kind}/{site.recipe.detector.size}/{site.device}"


def caption_all(site: Site, extracted: Extracted, *, run: bool = True) -> dict[str, Record]:
    """Caption every unit of crops; nothing where the recipe wants no captions."""
    if site.recipe.captioner.kind == "none":
        return {}
    base = caption.ingredients(site.recipe, site.device)
    units, config = caption_units(site, extracted), config_of(site)
    if not by_model(config):
        return bring(site, caption.STAGE, base, units, config, run=run, retry=site.retry)
    with engine_of(site, config) as engine:  # a model takes the time it takes, and a request has a limit of its own
        options: dict[str, Any] = {"engine": engine, "time_limit": None, "retry": site.retry}
        return bring(site, caption.STAGE, base, units, config, run=run, **options)


def caption_units(site: Site, extracted: Extracted) -> list[Unit]:
    """The units of captioning over committed crops."""
    crops = []
    for unit in extracted.units:
        record = extracted.records[unit.name]
        members = tuple(tuple(extracted.outcomes[item.name] for item in task.items) for task in unit.tasks)
        rows, blobs = site.store.path(record, tables.ROWS), site.store.path(record, tables.BLOBS)
        crops.append(caption.CropUnit(unit.name, rows, blobs, members))
    return caption.plan(crops)


def curate_all(site: Site, indexed: Indexed, extracted: Extracted, *, run: bool = True) -> Record:
    """Judge everything at once, over columns."""
    unit = curate_unit(site, indexed, extracted)
    base, config = curate.ingredients(site.recipe), curate.config(site.recipe)
    here = {"engine": Inline(), "progress": Silent()} if run else {}
    return bring(site, curate.STAGE, base, [unit], config, run=run, **here)[unit.name]


def curate_unit(site: Site, indexed: Indexed, extracted: Extracted) -> Unit:
    """The one unit of curation. Its inputs: every committed row, every label, every medium that was taken down."""
    media = indexed.table.filter(pc.equal(indexed.table["status"], "media"))

    def sha256(name: Name) -> str | None:
        known = site.digests.last(*name)
        return known.sha256 if known else None

    excluded = dict.fromkeys(sorted(taken_down(_named(site, media), sha256, site.excluded)), "excluded")
    records = [extracted.records[unit.name] for unit in extracted.units]
    rows = tuple(site.store.path(record, tables.ROWS) for record in records)
    inputs = (
        digest(sorted(record.files[tables.ROWS]["sha256"] for record in records)),
        tables.content_digest(media),
        digest(sorted(excluded)),
    )
    return curate.plan(inputs, curate.CuratePayload(rows, media, excluded))


def idle_takedowns(site: Site, indexed: Indexed) -> list[str]:
    """The lines of the takedown list that hit no medium, by what is known of the media's bytes now."""

    def sha256(name: Name) -> str | None:
        known = site.digests.last(*name)
        return known.sha256 if known else None

    media = indexed.table.filter(pc.equal(indexed.table["status"], "media"))
    return idle_lines(_named(site, media), sha256, site.excluded)


def _named(site: Site, media: pa.Table) -> list[tables.LightRow]:
    """The media by what a takedown list may name; none where there is no list."""
    return tables.light_rows(media, _EXCLUDED_BY) if site.excluded != Exclusions() else []
