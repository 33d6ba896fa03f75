"""Files in no rule, and what was refused: by kinds, with what a person would notice in their paths, what matters first."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from posixpath import splitext
from typing import Any

from mmidd.manifest import Manifest
from mmidd.manifest.accounting import SUFFIXES
from mmidd.manifest.check import one_kind
from mmidd.manifest.strays import PLAIN, Strays
from mmidd.raw.archives import NESTED

_DIGIT = re.compile(r"[0-9]")


@dataclass(frozen=True)
class Group:
    """The files of a dataset that are odd for one reason, sorted."""

    dataset: str
    status: str
    reason: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        more = f" and {len(self.files) - 1} more such" if len(self.files) > 1 else ""
        return f"{self.dataset}/{self.files[0]}{more}: {self.reason}"


def strange(manifests: Iterable[Manifest], rows: Iterable[Mapping[str, Any]]) -> list[Group]:
    """The odd rows of an index by kinds: first what was refused, then what has a reason, then media and archives, then the
    rest (notes, licences); of each sort the largest kind first."""
    strays = {manifest.name: Strays(manifest) for manifest in manifests}
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    known: dict[tuple[str, str], str] = {}
    for row in rows:
        reason = row["reason"] or PLAIN
        if row["status"] == "unmatched" and reason == PLAIN:
            shape = row["dataset"], _DIGIT.sub("0", row["media"])  # of a million frames few differ in more than a number
            if shape not in known:
                known[shape] = strays[row["dataset"]].reason(row["media"])
            reason = known[shape]
        found[row["dataset"], row["status"], one_kind(reason)].append(row["media"])
    groups = [Group(*key, tuple(sorted(files, key=_media_first))) for key, files in found.items()]
    return sorted(groups, key=lambda group: (_weight(group), -len(group.files), str(group)))


def _media_first(path: str) -> tuple[bool, str]:
    return splitext(path)[1].lower() not in SUFFIXES.keys() | set(NESTED), path


def _weight(group: Group) -> int:
    if group.status == "refused":
        return 0
    if group.reason != PLAIN:
        return 1
    endings = {splitext(path)[1].lower() for path in group.files}
    return 2 if endings & (SUFFIXES.keys() | set(NESTED)) else 3
