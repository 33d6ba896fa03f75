"""The first step: every dataset that is there is listed and described; which media are taken.

A setup of an earlier build has what that build found: its committed index, and the digests it took. Nothing of the raw data
is asked for, wherever they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.engine import tables
from mmidd.engine.faults import fault
from mmidd.engine.local import Inline
from mmidd.engine.run import Silent, run_units, survey
from mmidd.engine.units import Resources
from mmidd.errors import DataError, WorkError
from mmidd.flow import pairs
from mmidd.flow.notes import Note, remember
from mmidd.flow.placing import Dataset
from mmidd.flow.select import as_taken, compression_taken, select
from mmidd.flow.setup import Setup
from mmidd.flow.strange import Group, strange
from mmidd.flow.walkers import Walker
from mmidd.manifest import Manifest, bundled, find_manifest
from mmidd.manifest.accounting import unpacked
from mmidd.manifest.listed import listed
from mmidd.manifest.lists import Listed
from mmidd.manifest.methods import registry
from mmidd.manifest.places import LIES, summary
from mmidd.manifest.strays import near_folder
from mmidd.media import IndexFacts, Name
from mmidd.raw import listing
from mmidd.raw.archives import is_archive
from mmidd.raw.listing import Listing, Stat
from mmidd.raw.path import Place
from mmidd.results import Result
from mmidd.schema import SPLITS
from mmidd.show import build as show
from mmidd.show import printable
from mmidd.stages import index
from mmidd.stages.extract import Selected
from mmidd.takedown import Cover

if TYPE_CHECKING:
    from rich.console import Console

ARCHIVES = "archives"
ODD = ("unmatched", "unlabelled", "refused")
"""The statuses of files that are neither media nor known to be none."""
_TOLD = 3


@dataclass(frozen=True, repr=False)
class Indexed(Result):
    """All files that were found (`table`), the media that are taken (`selected`), those that are not, and why.

    `covered` are the media that were taken down, with why, by what was known before any was read.
    `fresh` are the datasets whose index was new or changed; `facts` what was learned of each dataset.
    """

    datasets: tuple[Dataset, ...]
    absent: tuple[str, ...]
    table: pa.Table
    selected: Mapping[Name, Selected]
    dropped: Mapping[Name, str]
    facts: Mapping[str, IndexFacts]
    keys: Mapping[str, str]
    fresh: tuple[str, ...]
    covered: Mapping[Name, Cover]
    loose: tuple[str, ...] = ()
    """Archives in the data root itself that bear the name of a dataset that is absent."""
    near: tuple[str, ...] = ()
    """Which folders under the data root may be meant for absent datasets."""

    def tell(self, console: Console) -> None:
        show.indexed(console, self)

    def document(self) -> dict[str, Any]:
        """How many files were found as what, by dataset, and what is in no rule or was refused."""
        counted = self.table.group_by(["dataset", "status", "label"]).aggregate([([], "count_all")]).to_pylist()
        odd = [{key: row[key] for key in ("dataset", "media", "status", "reason")} for row in self.of_status(*ODD)]
        return {
            "counts": [{**row, "files": row.pop("count_all")} for row in counted],
            "selected": len(self.selected),
            "not_taken": dict(Counter(self.dropped.values())),
            "absent": list(self.absent),
            "loose_archives": list(self.loose),
            "without_media": sorted(self._empty),
            "read_from": {name: [list(each) for each in told] for name, told in self.moved.items()},
            "lists": {name: [asdict(each) for each in lists] for name, lists in self.lists.items()},
            "litter": dict(self.litter),
            "odd": odd,
        }

    @property
    def barren(self) -> tuple[str, ...]:
        """The datasets whose folder is there and holds no medium, with what lies there instead."""
        return tuple(_barren(dataset, self) for dataset in self.datasets if dataset.manifest.name in self._empty)

    @cached_property
    def _empty(self) -> frozenset[str]:
        there = set(pc.unique(self.media["dataset"]).to_pylist())
        return frozenset(dataset.manifest.name for dataset in self.datasets) - there

    @property
    def moved(self) -> dict[str, list[tuple[str, str, int]]]:
        """By dataset, what is read from elsewhere than where its rules look (see `places.summary`)."""
        names = [dataset.manifest.name for dataset in self.datasets]
        tables = ((name, self.media.filter(pc.equal(self.media["dataset"], name))) for name in names)
        return {name: told for name, table in tables if (told := summary(lying(table)))}

    @property
    def lists(self) -> dict[str, tuple[Listed, ...]]:
        """What came of the label files of each dataset; nothing where an older mmidd indexed it."""
        return {name: tuple(map(Listed.of, facts.get("lists", ()))) for name, facts in self.facts.items()}

    @property
    def lists_missing(self) -> tuple[str, ...]:
        """The label files that are not there and could say something of media that are, by dataset and table."""
        return tuple(told for dataset in self.datasets for told in _lists_missing(dataset, self.facts))

    @property
    def partial(self) -> tuple[tuple[str, str], ...]:
        """The rules, by dataset, whose split is the word of a list that is not known to be the whole official one."""
        return tuple(sorted((name, rule) for name, facts in self.facts.items() for rule in facts.get("partial_rules", ())))

    @cached_property
    def strange(self) -> list[Group]:
        """What is no medium and not known to be none, by kinds, what matters first."""
        return strange((dataset.manifest for dataset in self.datasets), self.of_status(*ODD))

    @property
    def litter(self) -> dict[str, int]:
        """How many files of each dataset are what programs left behind: passed by, and not among the files."""
        return {dataset.manifest.name: dataset.listing.litter for dataset in self.datasets}

    @property
    def media(self) -> pa.Table:
        """The rows of the files that are media, taken or not."""
        return self.table.filter(pc.equal(self.table["status"], "media"))

    @property
    def labelled(self) -> pa.Table:
        """All files, with `attack`: the family of presentation attacks that the registry has of their method. The index
        does without, so that its key and those that hang on it are what they were."""
        coded = self.table["method"].combine_chunks().dictionary_encode()
        known = registry().by_id
        attacks = (known[name].attack if name in known else None for name in coded.dictionary.to_pylist())
        return self.table.append_column("attack", pa.array(attacks, pa.string()).take(coded.indices))

    @property
    def judged(self) -> pa.Table:
        """The same as curation judges them: with the splits that the recipe takes, as it takes them."""
        if all(dataset.entry.splits is None for dataset in self.datasets):
            return self.media
        mine = (
            (each.entry, self.media.filter(pc.equal(self.media["dataset"], each.manifest.name))) for each in self.datasets
        )
        return pa.concat_tables([as_taken(part, entry) for entry, part in mine])

    def of_status(self, *statuses: str) -> list[dict[str, Any]]:
        """The indexed files of these statuses, as rows."""
        wanted = pc.is_in(self.table["status"], pa.array(statuses, pa.string()))
        return list(self.table.filter(wanted).to_pylist())


@dataclass(frozen=True)
class _Read:
    """The index of every dataset, as it is committed or would be."""

    datasets: list[Dataset]
    absent: list[str]
    parts: list[pa.Table]
    facts: dict[str, IndexFacts]
    keys: dict[str, str]
    fresh: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


def index_media(setup: Setup, walker: Walker) -> Indexed:
    """Index every dataset that is there, and decide which media the recipe takes."""
    read = _read(setup, commit=walker.runs(index.STAGE.name)) if setup.note is None else _recalled(setup, setup.note)
    names = [dataset.manifest.name for dataset in read.datasets]
    taken = {
        name: compression_taken(dataset.entry, dataset.manifest.compressions, _compressions(part))
        for name, dataset, part in zip(names, read.datasets, read.parts, strict=True)
    }
    parts, lost = pairs.settle(read.parts, taken)
    facts = {name: _losing(read.facts[name], lost[name]) for name in names}
    chosen = select(setup, read.datasets, parts, taken, keep=walker.runs(index.STAGE.name))
    table = pa.concat_tables(parts) if parts else index.SCHEMA.empty_table()
    return Indexed(
        tuple(read.datasets), tuple(read.absent), table, chosen.selected, chosen.dropped, facts, read.keys, read.fresh,
        chosen.covered, read.loose, read.near,
    )  # fmt: skip


def _loose(absent: Collection[str], under: Iterable[Place]) -> Iterator[str]:
    """The archives beside the datasets' folders that bear a name of an absent dataset."""
    names = {name.casefold() for dataset in absent for name in find_manifest(dataset).folders}
    for entry in under:
        if is_archive(entry.name) and unpacked(entry.name).casefold() in names and entry.is_file():
            yield entry.name


def refuse_barren(setup: Setup, indexed: Indexed) -> None:
    """Raise DataError where a dataset's folder is there and holds no medium; not of an earlier build, which is told of."""
    if setup.note is None and indexed.barren:
        raise DataError(" ".join(indexed.barren))


def refuse_unlisted(setup: Setup, indexed: Indexed) -> None:
    """Raise DataError where a recipe takes some official splits of a dataset and what is in none, and the lists that tell
    these apart are missing: clips of the splits that it leaves out would be taken; not of an earlier build."""
    for dataset in indexed.datasets if setup.note is None else ():
        splits, missing = dataset.entry.splits, _missing_lists(dataset, indexed.facts)
        lists = ", ".join(path for table, paths in missing.items() if _tells_split(dataset, table) for path in paths)
        if lists and splits is not None and "none" in splits and not set(SPLITS) <= splits.keys():
            official = " and ".join(split for split in splits if split != "none")
            raise DataError(
                f"{dataset.manifest.name}: label files missing: {lists}. The recipe takes its official {official} split and "
                "what is in none, and without these files nobody knows which clips are of the others. Get "
                f"them (`mmidd datasets {dataset.manifest.slug}` says how), or leave it out with --only"
            )


def _barren(dataset: Dataset, indexed: Indexed) -> str:
    """What lies in a folder in which there is no medium, and what to do."""
    name, facts = dataset.manifest.name, indexed.facts[dataset.manifest.name]
    rows = [row for row in indexed.of_status("unmatched", "refused") if row["dataset"] == name]
    told = [f"{count} files under {pattern} (sidecars)" for pattern, count in sorted(facts["ignored"].items())]
    odd = Counter(row["reason"] or "" for row in rows)
    first = {row["reason"] or "": row["media"] for row in reversed(rows)}
    told += [f"{count} such as {first[reason]} ({reason})" for reason, count in odd.most_common(_TOLD)]
    told += [f"empty folders such as {facts['empty_folders'][0]}"] if facts["empty_folders"] else []
    return (
        f"{dataset.root} holds no medium of {name}; there are: {'; '.join(told) or 'label files alone'}. `mmidd datasets "
        f"{dataset.manifest.slug}` shows how it lies, `mmidd index --check` lists every file; mend it, or leave it out with "
        "--only."
    )


def _losing(facts: IndexFacts, pairs: int) -> IndexFacts:
    """The facts of a dataset of whose fakes so many more have lost their real."""
    return cast(IndexFacts, {**facts, "missing_pairs": facts["missing_pairs"] + pairs})


def _compressions(part: pa.Table) -> list[str]:
    return list(pc.unique(part["compression"].drop_null()).to_pylist())


def _read(setup: Setup, *, commit: bool) -> _Read:
    """The index of what lies under the data root now."""
    datasets, absent, loose = located(setup, keep=commit)
    found = _Read(datasets, absent, [], {}, {})
    units = {d.manifest.name: index.plan(d.manifest, d.root, d.listing, setup.digests, keep=commit) for d in datasets}
    bases = {d.manifest.name: index.ingredients(d.manifest) for d in datasets}
    fresh = tuple(name for name, unit in units.items() if survey(index.STAGE, bases[name], [unit], setup.store).missing)
    setup.progress.begin("index", len(units), len(units) - len(fresh))
    for name, unit in units.items():
        if name in fresh and not commit:
            result = index.run(unit.tasks[0], None, Resources())
            rows, (outcome,) = result.rows, result.outcomes
        else:
            options: dict[str, Any] = {"store": setup.store, "engine": Inline(), "progress": Silent()}
            record = run_units(index.STAGE, bases[name], [unit], None, **options)[unit.name]
            rows, (outcome,) = (
                tables.read_rows(setup.store, record, index.SCHEMA.names),
                tables.read_outcomes(setup.store, record),
            )
            found.keys[name] = record.key
        found.parts.append(rows)
        found.facts[name] = cast(IndexFacts, outcome.facts)
        setup.progress.advance([outcome] if name in fresh else [])
    setup.progress.end()
    if commit:
        remember(setup.store, setup.noted(found.keys))
        fault("index_done")
    local = bool(absent) and isinstance(setup.data, Path)  # a store is not listed twice for a hint
    near = tuple(_near(absent, listing.entries(setup.data))) if local else ()
    return _Read(found.datasets, found.absent, found.parts, found.facts, found.keys, fresh, loose, near)


def located(setup: Setup, *, keep: bool = True) -> tuple[list[Dataset], list[str], tuple[str, ...]]:
    """Find and list the recipe's datasets under the data root; those absent, and archives named as these.

    What is found in archives is kept in the work folder, unless `keep` is false. Raises DataError if no dataset is there (or
    not all, if required).
    """
    if not setup.data.is_dir():
        raise DataError(f"the data root {setup.data} is not a folder; give the folder that holds the datasets' folders")
    found, absent = [], []
    under = listing.entries(setup.data)
    for entry in setup.entries:
        manifest = find_manifest(entry.name)
        root = listing.locate(manifest.name, manifest.folders, setup.data, under)
        if root is None:
            absent.append(manifest.name)
        else:
            kept = setup.store.root / ARCHIVES
            found.append(Dataset(entry, manifest, root, listed(manifest, root, kept, setup.followed, keep=keep)))
    loose = tuple(_loose(absent, under))
    if absent and (setup.options.require_all or not found):
        what = "none of the recipe's datasets is" if not found else "not all of the recipe's datasets are"
        names = ", ".join(f"{name} ({find_manifest(name).folders[0]}/)" for name in absent)
        here = [name for name in absent if _is_folder_of(find_manifest(name), setup.data)]
        hint = f" Put {', '.join(loose)} into a folder of the dataset's name." if loose else ""
        hint += "".join(f" {line}." for line in _near(absent, under))
        hint += f" {setup.data} looks like {here[0]} itself: give the folder above it." if here else ""
        raise DataError(f"{what} under {setup.data}; missing: {names}. `mmidd datasets NAME` says how to get one.{hint}")
    for dataset in found:
        if not dataset.listing.files and not dataset.listing.refused:
            raise DataError(f"{dataset.root} is empty; put {dataset.manifest.name} there or leave it out with --only")
    return found, absent, loose


def _lists_missing(dataset: Dataset, facts: Mapping[str, IndexFacts]) -> Iterator[str]:
    """One line a table, with what comes of it."""
    name = dataset.manifest.name
    for table, paths in _missing_lists(dataset, facts).items():
        splits = _tells_split(dataset, table)
        without = "what they would name is split by hash" if splits else "what they would say stays unknown"
        if splits and dataset.entry.splits is not None and "none" not in dataset.entry.splits:
            without = "what they would name is not taken, for the recipe takes official splits alone"
        yield f"{name}: label files missing: {', '.join(paths)} (table '{table}'); without them {without}"


def _missing_lists(dataset: Dataset, facts: Mapping[str, IndexFacts]) -> dict[str, list[str]]:
    """The label files that are not there, by table."""
    tables: dict[str, list[str]] = {}
    for table, _, path in (each.partition(": ") for each in facts[dataset.manifest.name]["missing_label_files"]):
        tables.setdefault(table, []).append(path)
    return tables


def _tells_split(dataset: Dataset, table: str) -> bool:
    """Do rules take the official split out of it?"""
    rules = dataset.manifest.layout.rules
    return any(rule.split and table in {each.partition(".")[0] for each in rule.split.names} for rule in rules)


def _near(absent: Sequence[str], under: Sequence[Place]) -> Iterator[str]:
    """Which folders under the data root, that no dataset claims, may be meant for an absent one."""
    claimed = {name.casefold() for manifest in bundled().values() for name in manifest.folders}
    theirs = {name: dataset for dataset in absent for name in find_manifest(dataset).folders}
    for place in under:
        if place.name.casefold() in claimed or place.name.startswith(".") or not place.is_dir():
            continue
        if near := near_folder(place.name, theirs):
            wanted = find_manifest(theirs[near]).folders[0]
            yield f"is {printable(place.name)}/ meant for {theirs[near]}? Then it must be called {wanted}/"


def _is_folder_of(manifest: Manifest, folder: Place) -> bool:
    """Does the folder bear one of the dataset's accepted names?"""
    return folder.name.casefold() in {name.casefold() for name in manifest.folders}


def _recalled(setup: Setup, note: Note) -> _Read:
    """The index that an earlier build committed. Raises WorkError where it is not in the work folder any more."""
    found = _Read([], [], [], {}, {})
    for entry in setup.entries:
        manifest = find_manifest(entry.name)
        key = note.index.get(manifest.name)
        if key is None:
            found.absent.append(manifest.name)
            continue
        record = setup.store.latest(index.STAGE.name, key)
        if record is None:
            raise WorkError(
                f"{setup.store.root}: the index of {manifest.name} that the last build committed is not there any more "
                "(or is damaged); run `mmidd build` again, which makes what is missing"
            )
        rows, (outcome,) = (
            tables.read_rows(setup.store, record, index.SCHEMA.names),
            tables.read_outcomes(setup.store, record),
        )
        found.datasets.append(Dataset(entry, manifest, Path(), _recalled_listing(setup, manifest.name, rows)))
        found.parts.append(rows)
        found.facts[manifest.name] = cast(IndexFacts, outcome.facts)
        found.keys[manifest.name] = key
    return found


def _recalled_listing(setup: Setup, dataset: str, rows: pa.Table) -> Listing:
    """Every medium and mask of an index with the size and time that its digest was taken at (0 where it has none)."""
    files: dict[str, Stat] = {}
    archives: dict[str, Stat] = {}
    lies = lying(rows)
    for path in _paths(rows):
        known = setup.digests.last(dataset, path)
        archive = _archive_in(f"{lies[path]}/" if path in lies else path)
        files[path] = Stat(known.bytes if known else 0, known.mtime_ns if known else 0, archive)
        if archive is not None:
            archives[archive] = Stat(0, 0)
    return Listing(files, archives=archives, lies=lies)


def lying(rows: pa.Table) -> dict[str, str]:
    """The media of an index that lie beside their place, with where they lie."""
    moved = rows.filter(pc.and_(pc.equal(rows["status"], "media"), pc.is_valid(rows["reason"]))).select(["media", "reason"])
    return {row["media"]: row["reason"].removeprefix(LIES) for row in moved.to_pylist()}


def _paths(rows: pa.Table) -> Iterator[str]:
    yield from rows["media"].to_pylist()
    yield from pc.unique(rows["mask"].drop_null()).to_pylist()


def _archive_in(path: str) -> str | None:
    """The archive that a path leads into, by the names in it."""
    folders = path.split("/")[:-1]
    return next(("/".join(folders[: at + 1]) for at, name in enumerate(folders) if is_archive(name)), None)
