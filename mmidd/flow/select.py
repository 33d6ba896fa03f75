"""Which indexed media a recipe takes: its compression, its subset and caps, and never what was taken down.

What is not taken gets a reason, so that every medium is accounted for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

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
    "pair_media", "aligned", "pair_candidates", "mask",
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
    for dataset, rows in zip(datasets, found, strict=True):
        placed = places[dataset.manifest.name]
        reasons = drops(rows, dataset.entry, taken[dataset.manifest.name], setup.recipe.seed)
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


def drops(rows: Sequence[Mapping[str, Any]], entry: DatasetEntry, compression: str | None, seed: int) -> dict[str, str]:
    """Media of one dataset that the recipe does not take, with the reason.

    Subsets and caps keep pairs together: a fake is taken or left with its real, and the real of every fake that is taken
    is taken, even where the reals' cap is full.
    """
    dropped: dict[str, str] = {}
    kept: list[Mapping[str, Any]] = []
    for row in rows:
        if row["compression"] is not None and compression is not None and row["compression"] != compression:
            dropped[row["media"]] = "other_compression"
        elif entry.subset < 1 and _lot(row, seed) >= entry.subset:
            dropped[row["media"]] = "not_in_subset"
        else:
            kept.append(row)
    if entry.cap_per_method is not None:
        dropped.update((name, "over_cap") for name in _over_cap(kept, entry.cap_per_method, seed))
    return dropped


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
