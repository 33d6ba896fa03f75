"""The rows of a table that others made: what each says, where it stood, which clip it is of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.errors import ScoreError
from mmidd.scores.values import Values

SHOWN = 3
"""Rows that a message names."""
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a file that may be of the splits: what they say, their numbers in it, their scores, the clip that each
    is of (-1 none, -2 several), and how that was found."""

    path: str
    table: pa.Table
    lines: Places
    values: Values
    clip: Places
    how: str
    samples: Places | None

    def take(self, rows: npt.NDArray[np.bool_]) -> Rows:
        values = Values(self.values.score[rows], self.values.state[rows])
        samples = None if self.samples is None else self.samples[rows]
        table = self.table.filter(pa.array(rows))
        return Rows(self.path, table, self.lines[rows], values, self.clip[rows], self.how, samples)

    def told(self, rows: npt.NDArray[np.bool_]) -> str:
        """The first of these rows, in words."""
        name = "media" if "media" in self.table.column_names else "id"
        first = np.flatnonzero(rows)[:SHOWN].tolist()
        more = f" and {int(rows.sum()) - len(first):,} more" if rows.sum() > len(first) else ""
        return ", ".join(f"{str(self.table[name][at].as_py())[:120]!r} (row {self.lines[at]})" for at in first) + more


def whole(rows: Rows, name: str) -> Places:
    column = rows.table[name].combine_chunks()
    fit = mask(pc.match_substring_regex(column, r"^\d{1,9}(?:\.0+)?$"))
    if not fit.all():
        first = int(np.flatnonzero(~fit)[0])
        raise ScoreError(f"{rows.path}, row {rows.lines[first]}: {name} {column[first].as_py()!r} is no whole number from 0")
    return np.asarray(pc.cast(pc.cast(column, pa.float64()), pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def keys(rows: Rows) -> Places:
    """A number for each frame of a clip that rows are of."""
    if rows.samples is not None:
        return rows.samples
    key = rows.clip
    for name in numbered(rows):
        key = together(key, whole(rows, name))
    return key


def numbered(rows: Rows) -> list[str]:
    """The columns that tell the frames of a clip apart; one that is empty in all rows tells nothing."""
    held = rows.table
    return [name for name in ("frame", "face") if name in held.column_names and held[name].null_count < len(rows.lines)]


def together(key: Places, more: Places) -> Places:
    """One number for each pair of numbers, however large these are."""
    left, right = (np.unique(each, return_inverse=True)[1].astype(np.int64) for each in (key, more))
    return left * (int(right.max(initial=0)) + 1) + right


def once(rows: Rows, key: Places) -> None:
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    again = first[place] != np.arange(len(key))
    if again.any():
        at = int(np.flatnonzero(again)[0])
        raise ScoreError(
            f"{rows.path}: {int(again.sum()):,} rows are of what another row is of, as {rows.told(again)}, which is row "
            f"{rows.lines[first[place[at]]]} as well: one score each"
        )


def mask(found: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    values = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), bool)
