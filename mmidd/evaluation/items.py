"""The rows of one level of a score file as arrays, and the coverage policy: what counts for a row without a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.schema import FORGERY_TYPES

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Policy = Literal["counted", "scored"]
POLICIES: tuple[Policy, ...] = ("counted", "scored")
MISSED, TAKEN = -1.0, 2.0
"""Where a fake and a real without a score rank: below and above every score, so both are wrong at every threshold."""
COLUMNS = ("dataset", "method", "forgery_type", "compression", "split", "status", "reason")
KEY = ("split", "dataset", "media", "frame", "face")


@dataclass(frozen=True, eq=False)
class Coded:
    """A column (n): codes into `names`; -1 for null."""

    codes: Ints
    names: tuple[str, ...]

    def of(self, name: str) -> Bools:
        """Which rows have this value."""
        found: Bools = self.codes == (self.names.index(name) if name in self.names else -2)
        return found

    def present(self) -> list[str]:
        """The values that occur, sorted."""
        return sorted(self.names[code] for code in np.unique(self.codes).tolist() if code >= 0)


def coded(column: pa.ChunkedArray) -> Coded:
    """A column of strings."""
    held = pc.fill_null(column.cast(pa.string()), "\0").combine_chunks()
    held = (held.combine_chunks() if isinstance(held, pa.ChunkedArray) else held).dictionary_encode()
    names = held.dictionary.to_pylist()
    codes = held.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    if "\0" not in names:
        return Coded(codes, tuple(names))
    null = names.index("\0")
    codes = np.where(codes == null, -1, codes - (codes > null))
    return Coded(codes, tuple(name for name in names if name != "\0"))


@dataclass(frozen=True, eq=False)
class Items:
    """Clips, or frames (n). `score`: NaN where there is none. `types` (n, 5): None where no row has any. `kind`: the forgery
    type's place in FORGERY_TYPES, -1 unknown. `group`: codes."""

    fake: Bools
    score: Floats
    types: Floats | None
    kind: Ints
    group: Ints
    columns: Mapping[str, Coded]

    @classmethod
    def of(cls, table: pa.Table) -> Items:
        """Rows of `scores.file.SCHEMA`."""
        score = table["score"].to_numpy().astype(np.float64)
        types: Floats | None = None
        if table["types"].null_count < len(table):
            nothing = pa.scalar([float("nan")] * len(FORGERY_TYPES), table["types"].type)
            held = pc.if_else(table["types"].is_valid(), table["types"], nothing)
            flat = pa.concat_arrays([chunk.flatten() for chunk in held.chunks])
            types = flat.to_numpy(zero_copy_only=False).astype(np.float64).reshape(-1, len(FORGERY_TYPES))
        columns = {name: coded(table[name]) for name in COLUMNS}
        kind = columns["forgery_type"]
        place = np.array([*(FORGERY_TYPES.index(name) for name in kind.names), -1], np.int64)
        fake = pc.equal(table["label"], "fake").to_numpy(zero_copy_only=False).astype(np.bool_)
        return cls(fake, score, types, place[kind.codes], coded(table["group"]).codes, columns)

    def __len__(self) -> int:
        return len(self.fake)

    def where(self, mask: Bools) -> Items:
        """These rows alone."""
        columns = {name: Coded(each.codes[mask], each.names) for name, each in self.columns.items()}
        types = None if self.types is None else self.types[mask]
        return Items(self.fake[mask], self.score[mask], types, self.kind[mask], self.group[mask], columns)

    @property
    def has(self) -> Bools:
        """Which rows have a score."""
        return ~np.isnan(self.score)

    @property
    def missing(self) -> int:
        return int((~self.has).sum())

    @property
    def groups(self) -> int:
        return len(np.unique(self.group))

    def under(self, policy: Policy) -> Items:
        """`scored`: the rows with a score. `counted`: all, those without one wrong at every threshold."""
        has = self.has
        if has.all():
            return self
        if policy == "scored":
            return self.where(has)
        score = np.where(has, self.score, np.where(self.fake, MISSED, TAKEN))
        return Items(self.fake, score, self.types, self.kind, self.group, self.columns)

    def policies(self) -> Sequence[Policy]:
        """Those under which the figures differ."""
        return POLICIES if self.missing else POLICIES[:1]
