"""`mmidd gc`: removes from a work folder what no build reads any more, and tells how many bytes that frees.

Kept is what the last build of every corpus reads, by what that build found: nothing is asked of the raw data or of models.
While a stage of it is not up to date, everything that was made with its settings stays, because a build would take rows over
from it; so does everything of a dataset that was not under the data root then. Copies of remote data go: what is committed
needs them no more. Files of other programs, takedown list, journals and notes are never touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mmidd.engine.digests import DigestCache
from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors, write_text
from mmidd.engine.store import Record, Store
from mmidd.engine.temporary import OLD_S, clock, left_over
from mmidd.engine.units import dataset_of
from mmidd.errors import WorkError
from mmidd.flow.indexing import ARCHIVES
from mmidd.flow.kept import BUILDS
from mmidd.flow.notes import builds, served
from mmidd.flow.plan import look
from mmidd.flow.setup import Setup, recalled_setup
from mmidd.flow.walk import STAGES, Walked
from mmidd.options import LAST, is_whole
from mmidd.raw.cache import Cache
from mmidd.recipe import read
from mmidd.results import Result
from mmidd.show import plan as show

if TYPE_CHECKING:
    from rich.console import Console

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
            or dataset_of(record.unit) in self.absent
        )


@dataclass(frozen=True, repr=False)
class Garbage(Result):
    """What can go (or, unless `dry_run`, went): paths by what they are, and lists of digests with the lines that stay."""

    paths: Mapping[str, tuple[Path, ...]]
    digests: Mapping[Path, str] = field(default_factory=dict)
    bytes: int = 0
    young: int = 0
    behind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dry_run: bool = False

    def tell(self, console: Console) -> None:
        show.collected(console, self)

    def document(self) -> dict[str, Any]:
        about = {"dry_run": self.dry_run, "bytes": self.bytes, "counts": self.counts, "young": self.young}
        return {**about, "behind": dict(self.behind)}

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return {**{kind: len(paths) for kind, paths in self.paths.items()}, "lists of digests": len(self.digests)}


def collect(store: Store, recipes: Sequence[str], *, dry_run: bool, locks: bool) -> Garbage:
    """Remove what none of these recipes reads, or, without any, none of the builds that the work folder remembers.

    The caller holds the work folder's lock, if the file system has any. Raises WorkError where no build is remembered.
    """
    if not (locks or dry_run):
        check_idle(store)
    found = garbage(store, {name: reads(setup) for name, setup in _setups(store, recipes).items()})
    if not dry_run:
        remove(store, found)
    return replace(found, dry_run=dry_run)


def _setups(store: Store, recipes: Sequence[str]) -> dict[str, Setup]:
    """The builds whose work is kept, by a name to tell: the last one of every corpus, or those of the given recipes."""
    notes = builds(store)
    if not recipes and (forgotten := sorted(set(served(store)) - set(notes))):
        raise WorkError(
            f"{store.root / BUILDS} has lost the build of {forgotten[0] or 'stages that were run alone'}, which this folder "
            "served, so nobody knows what may go. Nothing was removed. Run that build again, or name the recipes to keep."
        )
    if not notes or not is_whole(note := store.note(LAST)):
        raise WorkError(f"{store.root} remembers no build whole, so nobody knows what may go. Nothing was removed.")
    if not recipes:
        return {out: recalled_setup(each, store.root) for out, each in notes.items()}
    indexes = dict(chain.from_iterable(each.get("index", {}).items() for each in notes.values()))
    found = {}
    for name in recipes:
        recipe = read(name)
        asked = {**note, "recipe": recipe.model_dump(mode="json"), "only": [], "index": indexes}
        asked.pop("ingredients", None)  # they are those of the recipe, here and now
        found[name] = recalled_setup(asked, store.root)
    return found


def reads(setup: Setup) -> Reads:
    """Look a whole build up, without doing any of it."""
    walked = look(setup)
    behind = tuple(_behind(setup, walked))
    return Reads(
        frozenset(_keys(walked)),
        frozenset(digest(setup.bases[stage]) for stage in behind),
        frozenset(walked.index.absent),
        {each.manifest.name: frozenset(each.listing.files) for each in walked.index.datasets},
        frozenset(digest(each.manifest.name, path) for each in walked.index.datasets for path in each.listing.archives),
        behind,
    )


def _keys(walked: Walked) -> Iterator[tuple[str, str]]:
    """The records that the build reads."""
    yield from (("index", key) for key in walked.index.keys.values())
    if walked.crops is not None:
        yield from (("extract", record.key) for record in walked.crops.records.values())
    reached = [walked.captions, walked.verdicts, walked.shards.reached if walked.shards is not None else None]
    for each in reached:
        if each is not None:
            name = each.work.stage.name
            yield from ((name, key) for key in each.spoiled.union(record.key for record in each.records.values()))


def _behind(setup: Setup, walked: Walked) -> Iterator[str]:
    """The stages of which a unit has no commit, those included that could not be looked up because of one: a build would
    take over what older units have of its media."""
    extracted = walked.crops is not None and walked.crops.complete
    if not extracted:
        yield "extract"
    if setup.recipe.captioner.kind != "none" and not (extracted and walked.captions and walked.captions.complete):
        yield "caption"
    if walked.verdicts is None or not walked.verdicts.complete:
        yield "curate"
    if walked.shards is None and setup.out is not None:
        yield "shard"


def garbage(store: Store, builds: Mapping[str, Reads]) -> Garbage:
    """What none of the builds (by a name to tell) reads."""
    paths: dict[str, list[Path]] = {"records": [], "data files": [], "temporaries": [], "archive listings": []}
    live: set[Path] = set()
    for stage in STAGES:
        kept, gone = _records(store, stage, list(builds.values()))
        paths["records"] += gone
        live |= {store.root / str(entry["path"]) for record in kept for entry in record.files.values()}
    referred = {path for stage in STAGES for path in _referred(store, stage)}
    now, young = clock(store.scratch), 0
    for path in (path for stage in STAGES for path in sorted((store.root / "data" / stage).glob("*/*"))):
        if path in live or not path.is_file():
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
