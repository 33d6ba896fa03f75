"""Scores joined to what splits name: every row stays, those without a score say why, clips follow from their frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.engine.tables import find
from mmidd.errors import ScoreError, sanitised
from mmidd.schema import FORGERY_TYPES
from mmidd.scores.columns import SCHEMA, TYPES_OFF
from mmidd.scores.named import most

NOT_SCORED = "not scored"
CLIPS_ALONE = "only clips were scored"
Floats = npt.NDArray[np.float64]
CLIP = ("split", "dataset", "media")


def joined(
    named: pa.Table,
    row: npt.ArrayLike,
    fake: npt.ArrayLike,
    types: npt.ArrayLike | None = None,
    errors: Mapping[int, str] | None = None,
) -> pa.Table:
    """A table of `file.SCHEMA`: all that is `named`, with the scores of the samples of these numbers.

    `row` (n,): numbers of the corpus; `fake` (n,): 0..1; `types` (n, 5), adding up to 1; `errors`: why a row has no score.
    A sample of neither is an error ("not scored"). A clip's score is the mean over its frames that have one; it is missing
    where all its frames are, else an error where none has a score. Raises ScoreError for scores that are no shares of one,
    twice for one row, with an error as well, and of rows that are not named.
    """
    numbers, scores = _numbers(row), _floats(fake, "scores")
    kinds = None if types is None else _floats(types, "types")
    if scores.shape != numbers.shape or (kinds is not None and kinds.shape != (len(numbers), len(FORGERY_TYPES))):
        shape = None if kinds is None else kinds.shape
        raise ScoreError(f"{len(numbers)} rows, and scores of shape {scores.shape}, types of shape {shape}: one each a row")
    check_shares(scores, kinds, numbers)
    frames = named.filter(pc.equal(named["level"], "frame")).combine_chunks()
    place = _places(frames, numbers, "scores")
    why = dict(errors or {})
    failed = _places(frames, _numbers(list(why)), "errors")
    if len(both := np.intersect1d(place, failed)):
        raise ScoreError(f"{len(both):,} rows have a score and an error, the first is row {frames['row'][int(both[0])]}")
    told = np.full(frames.num_rows, -1, np.int64)  # the place of a reason
    words = sorted({sanitised(str(each)) or NOT_SCORED for each in why.values()} | {NOT_SCORED})
    at = {word: number for number, word in enumerate(words)}
    told[failed] = [at[sanitised(str(each)) or NOT_SCORED] for each in why.values()]
    reasons = pc.fill_null(pa.array(words).take(pa.array(told, mask=told < 0)), NOT_SCORED)
    return with_frames(named, place, scores, kinds, reasons, np.ones(frames.num_rows, bool))


def with_frames(
    named: pa.Table,
    place: npt.NDArray[np.int64],
    scores: Floats,
    kinds: Floats | None,
    why: pa.Array,
    failed: npt.NDArray[np.bool_],
) -> pa.Table:
    """The table where the frames of these places have scores. `why` others that have a sample have none, and whether that
    is an error, one each for every frame."""
    level = named["level"]
    frames, clips = (named.filter(pc.equal(level, each)).combine_chunks() for each in ("frame", "clip"))
    fake, has = np.full(frames.num_rows, np.nan), np.zeros(frames.num_rows, bool)
    fake[place], has[place] = scores, True
    sample = frames["row"].is_valid().to_numpy(zero_copy_only=False)
    status = np.where(has, "ok", np.where(sample & failed, "error", "missing"))
    reason = pc.if_else(pa.array(sample), why, frames["reason"])
    of_types = None
    if kinds is not None:
        of_types = np.full((frames.num_rows, len(FORGERY_TYPES)), np.nan)
        of_types[place] = kinds
    scored = _scored(frames, status, pc.if_else(pa.array(has), None, reason), fake, of_types, has.astype(np.int32))
    return pa.concat_tables([scored, clips_of(scored, clips)]).combine_chunks()


def with_clips(
    named: pa.Table, place: npt.NDArray[np.int64], scores: Floats, why: pa.Array, failed: npt.NDArray[np.bool_]
) -> pa.Table:
    """The table where the clips of these places have scores, and no frame has one. `why` and `failed` are one a clip."""
    level = named["level"]
    frames, clips = (named.filter(pc.equal(level, each)).combine_chunks() for each in ("frame", "clip"))
    fake, has = np.zeros(clips.num_rows), np.zeros(clips.num_rows, bool)
    fake[place], has[place] = scores, True
    status = np.where(has, "ok", np.where(failed, "error", "missing"))
    reason = pc.if_else(pa.array(has), None, pc.if_else(pa.array(failed), why, pc.coalesce(clips["reason"], why)))
    nothing = np.zeros(frames.num_rows, np.int32)
    lost = pc.coalesce(frames["reason"], pa.scalar(CLIPS_ALONE))
    without = _scored(frames, np.full(frames.num_rows, "missing"), lost, nothing.astype(np.float64), None, nothing)
    return pa.concat_tables([without, _scored(clips, status, reason, fake, None, has.astype(np.int32))]).combine_chunks()


def clips_of(frames: pa.Table, clips: pa.Table) -> pa.Table:
    """The clips as their frames say, which are of SCHEMA; of `clips` the columns of NAMED are read."""
    clip = find(frames, clips, CLIP).to_numpy()
    has = frames["score"].is_valid().to_numpy()
    count = np.bincount(clip, has, clips.num_rows).astype(np.int32)
    failed = np.bincount(clip, pc.equal(frames["status"], "error").to_numpy(), clips.num_rows) > 0
    status = np.where(count > 0, "ok", np.where(failed, "error", "missing"))
    deciding = pc.if_else(pc.equal(frames["status"], pa.array(status[clip])), frames["reason"], None)
    reason = pc.coalesce(clips["reason"], most(clip, deciding.combine_chunks(), clips.num_rows))
    reason = pc.if_else(pa.array(status == "ok"), None, reason)
    mean = _means(clip, frames["score"].combine_chunks(), count)
    if frames["types"].null_count == frames.num_rows:
        return _scored(clips, status, reason, mean, None, count)
    held = frames["types"].combine_chunks()
    kinds = [_means(clip, pc.list_element(held, kind), count) for kind in range(len(FORGERY_TYPES))]
    return _scored(clips, status, reason, mean, np.stack(kinds, 1), count)


def _means(clip: npt.NDArray[np.int64], values: pa.Array, count: npt.NDArray[np.int32]) -> Floats:
    """The mean of each clip's values; nulls are no values. Added up in the order of rows: the same each time."""
    total = np.bincount(clip, pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False), len(count))
    found: Floats = total / np.maximum(count, 1)
    return found


def _scored(
    rows: pa.Table,
    status: npt.NDArray[np.str_],
    reason: pa.Array | pa.ChunkedArray,
    fake: Floats,
    types: Floats | None,
    count: npt.NDArray[np.int32],
) -> pa.Table:
    """Rows of what is named with what became of them; scores and types of rows without a score are not looked at."""
    without = count == 0
    held = pa.nulls(len(count), SCHEMA.field("types").type)
    if types is not None:
        flat = pa.array(np.where(without[:, None], 0.0, types).ravel(), pa.float64())
        held = pa.FixedSizeListArray.from_arrays(flat, len(FORGERY_TYPES), mask=pa.array(without))
    told: dict[str, Any] = {"status": pa.array(status, pa.string()), "reason": reason, "types": held}
    told |= {"score": pa.array(fake, pa.float64(), mask=without), "frames": pa.array(count)}
    return pa.table([(told.get(field.name) if field.name in told else rows[field.name]) for field in SCHEMA], SCHEMA)


def check_shares(scores: Floats, types: Floats | None, rows: npt.NDArray[np.int64]) -> None:
    """Raises ScoreError for scores that are no numbers from 0 to 1, and types that are no shares of one whole."""
    _refuse(~np.isfinite(scores), rows, scores, "no finite number")
    _refuse((scores < 0) | (scores > 1), rows, scores, "not from 0 to 1")
    if types is not None:
        _refuse(np.asarray(~np.isfinite(types).all(1) | (types < 0).any(1)), rows, types, "no shares from 0 to 1")
        _refuse(np.abs(types.sum(1) - 1) > TYPES_OFF, rows, types, "types that do not add up to 1")


def _refuse(wrong: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64], values: Floats, what: str) -> None:
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        told = np.array2string(values[first], precision=6)
        raise ScoreError(f"{int(wrong.sum()):,} of {len(wrong):,} scores are {what}, the first {told} of row {rows[first]}")


def _places(frames: pa.Table, numbers: npt.NDArray[np.int64], what: str) -> npt.NDArray[np.int64]:
    """Which of the frames these rows are. Raises ScoreError for rows that are named not at all, or twice."""
    found = pc.index_in(pa.array(numbers), frames["row"].combine_chunks(), skip_nulls=True)
    strange = found.is_null().to_numpy(zero_copy_only=False)
    if strange.any():
        raise ScoreError(
            f"{int(strange.sum()):,} of {len(numbers):,} {what} are of rows that the splits do not name, "
            f"the first is row {numbers[strange][0]}"
        )
    each, count = np.unique(numbers, return_counts=True)
    if (count > 1).any():
        raise ScoreError(f"{int((count > 1).sum()):,} rows have {what} twice, the first is row {each[count > 1][0]}")
    place: npt.NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
    return place


def _numbers(rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
        raise ScoreError(f"rows are whole numbers from 0, one a score, not {numbers.dtype} of shape {numbers.shape}")
    return numbers.astype(np.int64)


def _floats(values: npt.ArrayLike, what: str) -> Floats:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ScoreError(f"{what} are no numbers ({type(error).__name__})") from error
