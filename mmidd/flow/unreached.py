"""What a dataset's rules ask for and cannot be read: links that may not be followed, pointers, broken archives.

Each is told with its reason wherever the index is. A build stops before its work where it would make another corpus of
what is left: one of fakes alone, one without the official split, one without what another disk holds.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.errors import DataError
from mmidd.flow.indexing import Indexed
from mmidd.flow.placing import Dataset
from mmidd.flow.setup import Setup
from mmidd.manifest.accounting import Label, Layout, frame_number
from mmidd.manifest.layout import Pattern
from mmidd.raw.archives import is_archive
from mmidd.raw.junk import UNFINISHED, named, whole_name
from mmidd.show import printable, shell_word

_MOST_ROOTS = 4
_FEW = 4
"""So many files to a link, at least, and the link is one that went astray."""


def refuse_unreached(setup: Setup, indexed: Indexed) -> None:
    """Raise DataError where what was refused would have shaped the corpus; of an earlier build it is only told."""
    if setup.note is not None:
        return
    rows = list(_refused(indexed.table))
    for dataset in indexed.datasets:
        name = dataset.manifest.name
        reasons = {row["media"]: row["reason"] for row in rows if row["dataset"] == name}
        if reasons:
            asked = _Asked(dataset.manifest.layout)
            media = indexed.media.filter(pc.equal(indexed.media["dataset"], name))
            _refuse_links(dataset, asked, media)
            _refuse_lists(dataset, asked, reasons)
            _refuse_sides(dataset, asked, reasons, media)


def _refused(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of what was refused, and of downloads that did not end."""
    odd = table.filter(pc.is_in(table["status"], pa.array(["refused", "unmatched"])))
    for row in odd.select(["dataset", "media", "status", "reason"]).to_pylist():
        if row["status"] == "refused":
            yield row
        elif named(row["media"]) == "unfinished":
            yield {**row, "reason": UNFINISHED}


@dataclass(frozen=True)
class _Asked:
    """What the rules of a layout ask for, by path."""

    layout: Layout

    def sides(self, path: str) -> frozenset[Label]:
        """What a file would be, if it could be read: real, fake, either, or nothing that a rule takes."""
        name = whole_name(path) if named(path) == "unfinished" else path
        if any(pattern.match(name) for pattern in self.layout.ignore):
            return frozenset()
        if is_archive(name):
            return frozenset(rule.label for rule in self.layout.rules)
        numbered = frame_number(name.rpartition("/")[2]) is not None
        rules = (rule for rule in self.layout.rules if numbered or rule.kind != "frames")
        return frozenset(rule.label for rule in rules if any(pattern.match(name) for pattern in rule.paths))

    def is_list(self, path: str) -> bool:
        """Is it a label file?"""
        return any(pattern.match(path) for spec in self.layout.tables for pattern in spec.files)

    def below(self, folder: str) -> bool:
        """May anything lie below a folder that a rule, a table or an archive's pattern looks for?"""
        head = folder.partition("/")[0].lower()
        return any(pattern.heads is None or head in pattern.heads for pattern in self._patterns())

    def _patterns(self) -> Iterable[Pattern]:
        for rule in self.layout.rules:
            yield from rule.paths
        for spec in self.layout.tables:
            yield from spec.files
        yield from self.layout.archives


def _refuse_links(dataset: Dataset, asked: _Asked, media: pa.Table) -> None:
    """A folder's link stops a build, and links that are many beside the files of their side; one among many files is a
    medium that was refused, as others are."""
    links = dataset.listing.links
    folders = {path for path, target in links.items() if Path(target).is_dir() and asked.below(path)}
    files: dict[str, list[str]] = defaultdict(list)
    for path in links.keys() - folders:
        for side in asked.sides(path):
            files[side].append(path)
    there = Counter(media["label"].to_pylist())
    many = {path for side, paths in files.items() if len(paths) * _FEW > there[side] for path in paths}
    wanted = sorted(folders | many | {path for path in links if asked.is_list(path)})
    if not wanted:
        return
    roots = " ".join(f"--follow-links {shell_word(root)}" for root in _roots(links[path] for path in wanted))
    raise DataError(
        f"{dataset.manifest.name}: {len(wanted)} links in {printable(str(dataset.root))} lead to other places, such as "
        f"{printable(wanted[0])} -> {printable(links[wanted[0]])}, and no link is followed that nobody allowed. To read "
        f"what they lead to, add {roots}; or put the files there for the links, or remove them."
    )


def _roots(targets: Iterable[str]) -> list[str]:
    """The folders that a person has to allow for these targets: as few and as deep as may be."""
    folders = sorted({each if Path(each).is_dir() else str(PurePath(each).parent) for each in targets})
    tops: dict[tuple[str, ...], list[str]] = {}
    for folder in folders:
        tops.setdefault(PurePath(folder).parts[:2], []).append(folder)
    deep = [os.path.commonpath(each) for each in tops.values()]
    return deep[:_MOST_ROOTS]


def _refuse_lists(dataset: Dataset, asked: _Asked, reasons: Mapping[str, str]) -> None:
    for path, reason in sorted(reasons.items()):
        if asked.is_list(path):
            raise DataError(
                f"{dataset.manifest.name}: its label file {printable(path)} cannot be read: {reason}. Without it labels or "
                "the official split would be lost; mend it, or remove it if that is what you want."
            )


def _refuse_sides(dataset: Dataset, asked: _Asked, reasons: Mapping[str, Any], media: pa.Table) -> None:
    name = dataset.manifest.name
    there = set(pc.unique(media["label"]).to_pylist())
    for side in sorted({rule.label for rule in dataset.manifest.layout.rules} - there):
        lost = sorted(path for path in reasons if side in asked.sides(path))
        if lost:
            raise DataError(
                f"{name} would have no {side} medium: {len(lost)} files that its rules ask for cannot be read, such as "
                f"{printable(lost[0])} ({reasons[lost[0]]}). `mmidd index --check` lists them; mend them, or leave {name} "
                "out with --only."
            )
