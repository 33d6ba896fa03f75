"""`mmidd gc`: removes from a work folder what no build reads any more, and tells how many bytes that frees.

Kept is what a build of the given recipes would read as the data lie now. While a stage is not up to date, everything that
was made with its settings stays, because a build would take rows over from it; so does everything of a dataset that is not
under the data root today. Copies of remote data go: what is committed needs them no more. Files of other programs, takedown
list, journals and notes are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mmidd.cli.progress import Silent
from mmidd.corpus.target import Target
from mmidd.engine import tables
from mmidd.engine.digests import DigestCache
from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors, write_text
from mmidd.engine.run import Stage, survey
from mmidd.engine.store import Record, Store
from mmidd.engine.temporary import OLD_S, clock, left_over
from mmidd.engine.units import Unit
from mmidd.errors import WorkError
from mmidd.flow.finish import shard_units
from mmidd.flow.plan import committed
from mmidd.flow.steps import ARCHIVES, Indexed, caption_units, curate_unit, index_all
from mmidd.project import Site, builds, check_models, site_of
from mmidd.raw.cache import Cache
from mmidd.recipe import read
from mmidd.stages import caption, curate, extract, index, shard

STAGES = (index.STAGE, extract.STAGE, caption.STAGE, curate.STAGE, shard.STAGE)
ORPHAN_S = 3600.0
"""A data file without a record may belong to a commit under way; one as old as this does not."""


@dataclass(frozen=True)
class Reads:
    """What a build reads: records by (stage, key); all records of some ingredients, and all of some datasets; which files
    and archives are there. `behind` are the stages that are not up to date."""

    keys: frozenset[tuple[str, str]]
    ingredients: frozenset[str]
    absent: frozenset[str]
    files: Mapping[str, frozenset[str]]
    archives: frozenset[str]
    behind: tuple[str, ...]

    def record(self, record: Record) -> bool:
        """Would the build read this one?"""
        return (
            (record.stage, record.key) in self.keys
            or digest(record.ingredients) in self.ingredients
            or record.unit.split("/")[0] in self.absent
        )


@dataclass(frozen=True)
class Garbage:
    """What can go: paths by what they are, and lists of digests with the lines that stay."""

    paths: Mapping[str, tuple[Path, ...]]
    digests: Mapping[Path, str] = field(default_factory=dict)
    bytes: int = 0
    young: int = 0
    behind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return {**{kind: len(paths) for kind, paths in self.paths.items()}, "lists of digests": len(self.digests)}


def collect(site: Site, recipes: Sequence[str], *, dry_run: bool, locks: bool) -> Garbage:
    """Remove what none of these recipes reads, or, without any, none of the builds that the work folder remembers.

    `site` is that of the last build: it says where the data lie. The caller holds the work folder's lock, if it has any.
    """
    if not (locks or dry_run):
        check_idle(site.store)
    if recipes:
        sites = {name: replace(site, recipe=read(name), only=()) for name in recipes}
    else:
        notes = builds(site.store).items()
        sites = {out: site_of(note, site.store.root, progress=Silent(), read_only=True) for out, note in notes}
    for each in sites.values():
        check_models(each)
    found = garbage(site.store, {name: reads(each) for name, each in sites.items()})
    if not dry_run:
        remove(site.store, found)
    return found


def reads(site: Site) -> Reads:
    """Look a whole build up, without doing any of it."""
    indexed = index_all(site, run=False)
    keys, settings, behind = _Keys(site.store), set[str](), list[str]()
    for each in indexed.datasets:
        unit = index.plan(each.manifest, each.root, each.listing, site.digests)
        keys.add(index.STAGE, index.ingredients(each.manifest), [unit])
    for stage, base, complete in _stages(site, indexed, keys):
        if not complete:
            settings.add(digest(base))
            behind.append(stage.name)
    return Reads(
        frozenset(keys.found),
        frozenset(settings),
        frozenset(indexed.absent),
        {each.manifest.name: _files(indexed, each.manifest.name) for each in indexed.datasets},
        frozenset(digest(each.manifest.name, path) for each in indexed.datasets for path in each.listing.archives),
        tuple(behind),
    )


def _files(indexed: Indexed, dataset: str) -> frozenset[str]:
    """Everything of a dataset that may have a digest: its files, and its clips, which are folders."""
    (listing,) = (each.listing for each in indexed.datasets if each.manifest.name == dataset)
    clips = (name for owner, name in indexed.selected if owner == dataset)
    return frozenset([*listing.files, *clips])


@dataclass
class _Keys:
    store: Store
    found: set[tuple[str, str]] = field(default_factory=set)

    def add(self, stage: Stage, base: dict[str, Any], units: Sequence[Unit]) -> dict[str, Record] | None:
        """Keep the records of these units; give them if none is missing."""
        looked = survey(stage, base, units, self.store)
        self.found |= {(stage.name, record.key) for record in looked.done.values()}
        return None if looked.missing else looked.done


def _stages(site: Site, indexed: Indexed, keys: _Keys) -> Iterator[tuple[Stage, dict[str, Any], bool]]:
    """Each stage after the index with its ingredients, and whether it is up to date; none is after one that is not."""
    extracted = committed(site, indexed)
    keys.found |= {(extract.STAGE.name, record.key) for record in extracted.records.values()}
    complete = {item.name for unit in extracted.units for item in unit.items} == set(indexed.selected)
    yield extract.STAGE, extract.ingredients(site.recipe, site.device), complete
    captions: dict[str, Record] | None = {}
    if site.recipe.captioner.kind != "none":
        base = caption.ingredients(site.recipe, site.device)
        captions = keys.add(caption.STAGE, base, caption_units(site, extracted)) if complete else None
        yield caption.STAGE, base, captions is not None
    base = curate.ingredients(site.recipe)
    curated = keys.add(curate.STAGE, base, [curate_unit(site, indexed, extracted)]) if complete else None
    yield curate.STAGE, base, curated is not None
    base = shard.ingredients(site.recipe)
    if captions is not None and curated:
        (verdicts,) = curated.values()
        judged = tables.read_rows(site.store, verdicts)
        corpus = Target(site.out or site.store.root)
        keys.add(shard.STAGE, base, shard_units(site, indexed, extracted, captions, judged, corpus))
    yield shard.STAGE, base, captions is not None and curated is not None


def garbage(store: Store, builds: Mapping[str, Reads]) -> Garbage:
    """What none of the builds (by a name to tell) reads."""
    paths: dict[str, list[Path]] = {"records": [], "data files": [], "temporaries": [], "archive listings": []}
    live: set[Path] = set()
    for stage in STAGES:
        kept, gone = _records(store, stage.name, list(builds.values()))
        paths["records"] += gone
        live |= {store.root / str(entry["path"]) for record in kept for entry in record.files.values()}
    referred = {path for stage in STAGES for path in _referred(store, stage.name)}
    now, young = clock(store.scratch), 0
    for path in (path for stage in STAGES for path in sorted((store.root / "data" / stage.name).glob("*/*"))):
        if path in live:
            continue
        if path in referred or (now or 0.0) - path.stat().st_mtime > ORPHAN_S:
            paths["data files"].append(path)
        else:
            young += 1
    for folder in (store.scratch, store.root / ARCHIVES):
        paths["temporaries"] += left_over(folder).paths
    if not any(build.absent for build in builds.values()):
        wanted = {name for build in builds.values() for name in build.archives}
        paths["archive listings"] = [p for p in sorted((store.root / ARCHIVES).glob("*.json")) if p.stem not in wanted]
    paths["copies of remote data"] = Cache.of(store.root).unused()
    digests = _digests(store, list(builds.values()))
    size = sum(path.stat().st_size for found in paths.values() for path in found)
    size += sum(path.stat().st_size - len(text.encode()) for path, text in digests.items())
    behind = {name: build.behind for name, build in builds.items() if build.behind}
    return Garbage({kind: tuple(found) for kind, found in paths.items()}, digests, size, young, behind)


def _records(store: Store, stage: str, builds: Sequence[Reads]) -> tuple[list[Record], list[Path]]:
    """The newest records of the keys that somebody reads; and the paths of all others, older generations and torn ones."""
    kept = [record for record in store.records(stage) if any(build.record(record) for build in builds)]
    stay = {store.record_path(record.stage, record.key, record.generation) for record in kept}
    return kept, [path for path in sorted((store.root / "records" / stage).glob("*/*.json")) if path not in stay]


def _referred(store: Store, stage: str) -> Iterator[Path]:
    """The files that some record names, whether anybody reads it or not."""
    for record in store.records(stage):
        yield from (store.root / str(entry["path"]) for entry in record.files.values())


def _digests(store: Store, builds: Sequence[Reads]) -> dict[Path, str]:
    """The lists of digests that hold files that are gone, as they should be; a dataset that is absent keeps its list."""
    cache = DigestCache(store.root / "digests")
    found = {}
    for path in sorted(cache.folder.glob("*.jsonl")):
        dataset = unquote(path.stem)
        if any(dataset in build.absent for build in builds):
            continue
        here = frozenset[str]().union(*(build.files.get(dataset, frozenset()) for build in builds))
        text = cache.text(dataset, here)
        if len(text.encode()) < path.stat().st_size:
            found[path] = text
    return found


def check_idle(store: Store) -> None:
    """Where no lock tells whether a build is running: raises WorkError if anything was written within a day."""
    now = clock(store.scratch)
    places = [path for kind in ("records", "data", "tmp") for path in (store.root / kind).rglob("*")]
    newest = max((path.stat().st_mtime for path in places), default=0.0)
    if now is None or now - newest < OLD_S:
        raise WorkError(
            f"{store.root}: this file system has no locks, and something was written there within a day: a build may be "
            "running. Nothing was removed. Try again later, or with --dry-run."
        )


def remove(store: Store, found: Garbage) -> None:
    """Remove it: records before the files they name, so that nobody is led to a file that is gone."""
    with disk_errors(store.root):
        for path in (path for kind in found.paths for path in found.paths[kind]):
            path.unlink(missing_ok=True)
            fault("collect", path)
        for path, text in found.digests.items():
            write_text(path, text, scratch=store.scratch)
            if not text:
                path.unlink()
        for folder in _folders(store.root):
            if not any(folder.iterdir()):
                folder.rmdir()


def _folders(root: Path) -> Iterable[Path]:
    return (path for kind in ("records", "data") for path in sorted((root / kind).glob("*/*")) if path.is_dir())
