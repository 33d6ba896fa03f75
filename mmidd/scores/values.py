"""What a column of scores that others made says: shares of one, none, or that there was an error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.errors import ScoreError
from mmidd.scores.columns import STATUSES
from mmidd.scores.tables import LOGITS, OF_REAL, Given

OK, MISSING, ERROR = 0, 1, 2
_NONE = ("none", "null", "na", "n/a", "-")
"""What an empty field is called as well."""
_NO_NUMBER = ("nan", "+nan", "-nan", "inf", "+inf", "-inf", "infinity", "-infinity")


@dataclass(frozen=True, eq=False)
class Values:
    """One each a row: `score`, how likely it is forged (0 unless ok); `state`: OK, MISSING, ERROR."""

    score: npt.NDArray[np.float64]
    state: npt.NDArray[np.int64]


def values(path: str, table: Given, rows: pa.Table, lines: npt.NDArray[np.int64], *, logit: bool, real_high: bool) -> Values:
    """Read the column `score` of rows, and `status` where it is there. `lines` number them for messages. Raises
    ScoreError."""
    name = table.names["score"]
    word = name.strip().casefold()
    if word in LOGITS and not logit:
        raise ScoreError(f"{path}: {name!r} reads like log odds, not like shares from 0 to 1: say that it is, with --logit")
    if word in OF_REAL and not real_high:
        raise ScoreError(
            f"{path}: {name!r} reads like the share of real, a score is that of fake: say that it is, with --real-high"
        )
    given, state = _numbers(path, name, rows["score"].combine_chunks(), lines)
    if "status" in rows.column_names:
        state = _by_status(path, rows["status"].combine_chunks(), state, lines)
    number = np.where(state == OK, given, 0.0)
    if logit:
        half = 0.5 * np.tanh(0.5 * number)  # no power of e is too large
        number = np.where(state == OK, 0.5 + half, 0.0)
    else:
        hint = "log odds are read with --logit; divide per cent by 100"
        _refuse(path, (number < 0) | (number > 1), lines, given, f"are not from 0 to 1 ({hint})")
    return Values(np.where(state == OK, 1 - number, 0.0) if real_high else number, state)


def _numbers(
    path: str, name: str, column: pa.Array, lines: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The numbers (0 where there is none), and whether there is one."""
    if pa.types.is_floating(column.type):
        found = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(np.float64)
        absent, broken = _mask(column.is_null()), ~np.isfinite(found)
    else:
        lower = pc.utf8_lower(column)
        absent = _mask(pc.or_kleene(column.is_null(), pc.is_in(lower, pa.array(_NONE))))
        broken = _mask(pc.is_in(lower, pa.array(_NO_NUMBER)))
        text = pc.if_else(pa.array(absent | broken), "0", column)
        fit = _mask(pc.match_substring_regex(text, r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"))
        if not fit.all():
            first = int(np.flatnonzero(~fit)[0])
            comma = ": write a point for a decimal comma" if "," in str(column[first].as_py()) else ""
            raise ScoreError(
                f"{path}, row {lines[first]}: {name} {str(column[first].as_py())[:60]!r} is no number "
                f"({int((~fit).sum()):,} rows of {len(fit):,}){comma}"
            )
        found = pc.cast(pc.replace_substring_regex(text, r"^\+", ""), pa.float64()).to_numpy(zero_copy_only=False)
        broken = broken | ~np.isfinite(found)
    return np.where(absent | broken, 0.0, found), np.where(absent, MISSING, np.where(broken, ERROR, OK))


def _by_status(
    path: str, status: pa.Array, state: npt.NDArray[np.int64], lines: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The state as the status says it. An empty status says nothing."""
    told = pc.fill_null(pc.index_in(pc.utf8_lower(status), pa.array(STATUSES), skip_nulls=True), -1).to_numpy()
    _refuse(
        path, (told < 0) & _mask(status.is_valid()), lines, status, f"have a status that is none of {', '.join(STATUSES)}"
    )
    _refuse(path, (told == OK) & (state == MISSING), lines, status, "are ok and have no score")
    _refuse(path, (told > OK) & (state == OK), lines, status, "have a score and are not ok")
    found: npt.NDArray[np.int64] = np.where(told > OK, told, state)
    return found


def _refuse(
    path: str,
    wrong: npt.NDArray[np.bool_],
    lines: npt.NDArray[np.int64],
    shown: npt.NDArray[np.float64] | pa.Array,
    what: str,
) -> None:
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        value = shown[first].as_py() if isinstance(shown, pa.Array) else float(shown[first])
        raise ScoreError(f"{path}: {int(wrong.sum()):,} rows {what}, the first is row {lines[first]}: {value!r}")


def _mask(found: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), bool)
