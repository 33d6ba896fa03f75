"""Which indexed media a recipe takes: its compression, splits, methods, subset and caps; never what was taken down.

What is not taken gets a reason, so that every medium is accounted for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.curation.splits import STRICTEST_FIRST
from mmidd.engine.tables import light_rows
from mmidd.errors import RecipeError
from mmidd.extraction.masks import pointers
from mmidd.flow import takedowns
from mmidd.flow.placing import Dataset, Placed
from mmidd.flow.setup import Setup
from mmidd.manifest import names_a_folder
from mmidd.media import Name
from mmidd.recipe import DatasetEntry
from mmidd.stages.extract import Selected
from mmidd.takedown import Cover, Exclusions

_SELECTED_BY = (
    "dataset", "media", "kind", "rule", "label", "method", "compression", "target_id", "source_id", "pair_dataset",
    "pair_media", "aligned", "pair_candidates", "mask", "split",
)  # fmt: skip


class Chosen(NamedTuple):
    """The media that are taken, with where their bytes lie; why the others are not; and why some were taken down."""

    selected: dict[Name, Selected]
    dropped: dict[Name, str]
    covered: dict[Name, Cover]


def select(
    setup: Setup, datasets: Sequence[Dataset], parts: Sequence[pa.Table], taken: Mapping[str, str | None], *, keep: bool
) -> Chosen:
    """Which media are taken.

    `parts` are the indexes of the datasets, their pairs settled; `taken` is the compression that is taken of each. `keep`
    lets the work folder keep for good who was taken down; their files are read for that.
    """
    selected: dict[Name, Selected] = {}
    dropped: dict[Name, str] = {}
    columns = {*_SELECTED_BY, *(takedowns.NAMED_BY if setup.excluded != Exclusions() else ())}
    found = [light_rows(part.filter(pc.equal(part["status"], "media")), sorted(columns)) for part in parts]
    places = {
        dataset.manifest.name: Placed.of(dataset, _folders(rows), part["media"])
        for dataset, rows, part in zip(datasets, found, parts, strict=True)
    }

    def sha256(name: Name) -> str | None:
        stat = places[name[0]].stats[name[1]]
        return setup.digests.fresh(*name, stat.bytes, stat.mtime_ns)

    everything = [row for rows in found for row in rows] if setup.excluded != Exclusions() else []
    excluded = takedowns.covered(setup, everything, sha256)
    if keep and excluded:
        down = [row for row in everything if (row["dataset"], row["media"]) in excluded]
        takedowns.keep(setup, excluded, [places[row["dataset"]].selected(row) for row in down], {})
        excluded = takedowns.covered(setup, everything, sha256)  # what their bytes are is known now
    usable = (row for rows in found for row in rows if (row["dataset"], row["media"]) not in excluded)
    pointing = pointers(usable) if setup.recipe.crop.choice != "all" else {}
    made_from = _made_from(datasets, found, taken, setup.recipe.seed)
    for dataset, rows in zip(datasets, found, strict=True):
        placed = places[dataset.manifest.name]
        reasons = drops(rows, dataset.entry, taken[dataset.manifest.name], setup.recipe.seed, made_from)
        for row in rows:
            name = (row["dataset"], row["media"])
            reason = "excluded" if name in excluded else reasons.get(row["media"])
            if reason:
                dropped[name] = reason
            else:
                where = (name[0], row["mask"]) if row["mask"] else pointing.get(name)
                mask = places[where[0]].mask(where[1], own=bool(row["mask"])) if where else None
                selected[name] = placed.selected(row, mask)
    return Chosen(selected, dropped, excluded)


def _folders(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """The folders of numbered images that media and masks are."""
    masks = {row["mask"] for row in rows if row["mask"]}
    return {row["media"] for row in rows if row["kind"] == "frames"} | {mask for mask in masks if names_a_folder(mask)}


def compression_taken(entry: DatasetEntry, offered: Sequence[str], present: Iterable[str]) -> str | None:
    """Which of a dataset's compressions to take: the recipe's, else the manifest's first that is on disk."""
    here = set(present)
    if entry.compression is not None:
        if entry.compression not in offered:
            known = ", ".join(offered) or "none"
            raise RecipeError(f"{entry.name}: no compression {entry.compression!r}; the manifest offers: {known}")
        if here and entry.compression not in here:
            found = ", ".join(sorted(here))
            raise RecipeError(
                f"{entry.name}: compression {entry.compression} is not on disk, only {found}; set one of these in the "
                f"recipe, or: --set 'datasets=[{{name: {entry.name}, compression: {sorted(here)[0]}}}]'"
            )
        return entry.compression
    return next((name for name in offered if name in here), None)


def drops(
    rows: Sequence[Mapping[str, Any]],
    entry: DatasetEntry,
    compression: str | None,
    seed: int,
    made_from: Collection[Name] = (),
) -> dict[str, str]:
    """Media of one dataset that the recipe does not take, with the reason.

    Subsets and caps keep pairs together: a fake is taken or left with its real, and the real of every fake that is taken
    is taken, even where the reals' cap is full. `made_from` are reals that fakes of other datasets were made from, which are
    taken themselves.
    """
    dropped = {row["media"]: reason for row in rows if (reason := _left_out(row, entry, compression, seed))}
    if rows and all(dropped.get(row["media"]) == "other_media" for row in rows):
        raise RecipeError(f"{entry.name}: no medium fits {', '.join(entry.media or ())} (media); one is {rows[0]['media']}")
    kept = [row for row in rows if row["media"] not in dropped]
    if entry.methods is not None:
        own = {name for row in kept if (name := _real_of(row)) and name[0] == row["dataset"]}
        wanted = own | set(made_from) if own or not entry.methods else {(row["dataset"], row["media"]) for row in kept}
        others = [row for row in kept if row["label"] == "real" and (row["dataset"], row["media"]) not in wanted]
        dropped.update((row["media"], "other_method") for row in others)
        kept = [row for row in kept if row["media"] not in dropped]
    if entry.cap_per_method is not None:
        dropped.update((name, "over_cap") for name in _over_cap(kept, entry.cap_per_method, seed))
    return dropped


def _left_out(row: Mapping[str, Any], entry: DatasetEntry, compression: str | None, seed: int) -> str | None:
    """Why a medium is not taken, whatever others are; None if it may be."""
    if entry.media is not None and all(pattern.match(row["media"]) is None for pattern in entry.patterns):
        return "other_media"
    if row["compression"] is not None and compression is not None and row["compression"] != compression:
        return "other_compression"
    if entry.splits is not None and (row["split"] or "none") not in entry.splits:
        return "other_split"
    if entry.methods is not None and row["label"] == "fake" and row["method"] not in entry.methods:
        return "other_method"
    return "not_in_subset" if entry.subset < 1 and _lot(row, seed) >= entry.subset else None


def _real_of(row: Mapping[str, Any]) -> Name | None:
    return (row["pair_dataset"] or row["dataset"], row["pair_media"]) if row["pair_media"] else None


def _made_from(
    datasets: Sequence[Dataset],
    found: Sequence[Sequence[Mapping[str, Any]]],
    taken: Mapping[str, str | None],
    seed: int,
) -> set[Name]:
    """The reals of other datasets that fakes were made from which may be taken; nothing where no entry asks for methods."""
    if all(dataset.entry.methods is None for dataset in datasets):
        return set()
    abroad = (
        _real_of(row)
        for dataset, rows in zip(datasets, found, strict=True)
        for row in rows
        if row["pair_dataset"] not in (None, row["dataset"])
        and _left_out(row, dataset.entry, taken[dataset.manifest.name], seed) is None
    )
    return {name for name in abroad if name}


def as_taken(part: pa.Table, entry: DatasetEntry) -> pa.Table:
    """A dataset's index with the splits as `entry.splits` has them.

    A medium that is left out for its split keeps that where it is stricter than all that are taken (test, then validation,
    then train), so that nothing of its group is trained on; else it has none, and says nothing of its group."""
    if entry.splits is None:
        return part
    taken = {official: here for official, here in entry.splits.items() if here != "none"}
    first = min(map(STRICTEST_FIRST.index, taken.values()), default=len(STRICTEST_FIRST))
    kept = {name: name for name in STRICTEST_FIRST[:first]} | taken
    place, field = part.schema.get_field_index("split"), part.schema.field("split")
    splits = pa.array([kept.get(each) for each in part["split"].to_pylist()], field.type, size=part.num_rows)
    return part.set_column(place, field, splits)


def _over_cap(rows: Sequence[Mapping[str, Any]], cap: int, seed: int) -> set[str]:
    methods: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (_lot(row, seed), row["media"])):
        methods[row["method"] if row["label"] == "fake" else None].append(row)
    reals = methods.pop(None, [])
    taken = [row for members in methods.values() for row in members[:cap]]
    needed = {row["pair_media"] for row in taken if row["pair_dataset"] in (None, row["dataset"])}
    reals.sort(key=lambda row: row["media"] not in needed)
    taken += reals[: max(cap, sum(row["media"] in needed for row in reals))]
    return {row["media"] for row in rows} - {row["media"] for row in taken}


def _lot(row: Mapping[str, Any], seed: int) -> float:
    """A number in [0,1) that a pair draws together."""
    root = f"{row['pair_dataset'] or row['dataset']}\0{row['pair_media'] or row['media']}"
    return int(hashlib.sha256(f"{seed}\0{root}".encode()).hexdigest()[:13], 16) / 16**13
