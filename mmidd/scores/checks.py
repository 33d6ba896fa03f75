"""Is a table of scores sound? Every fault says what, how many rows, and which is the first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.engine.tables import find, key_of
from mmidd.errors import ScoreError
from mmidd.schema import FORGERY_TYPES, LABELS, SPLITS
from mmidd.scores.columns import LEVELS, MEAN, SCHEMA, STATUSES, TYPES_OFF
from mmidd.scores.joined import CLIP, clips_of
from mmidd.scores.named import OF_MEDIA, digest

_WORDS = {"level": LEVELS, "split": SPLITS, "label": LABELS, "forgery_type": FORGERY_TYPES, "status": STATUSES}
_NEAR = 1e-9
_Where = npt.NDArray[np.bool_]


def check(table: pa.Table, clip: str, splits: Sequence[str], named: str) -> None:
    """Raises ScoreError for a table (SCHEMA) that contradicts itself, or what is said of it: how clips are made, its splits,
    the digest of what it names."""
    for field in SCHEMA:
        if not field.nullable:
            _refuse(_mask(pc.is_null(table[field.name])), table, f"have no {field.name}")
    for name, words in _WORDS.items():
        known = pc.or_(pc.is_null(table[name]), pc.is_in(table[name], pa.array(words)))
        _refuse(~_mask(known), table, f"have a {name} that is none of {', '.join(words)}", name)
    _refuse(~_mask(pc.is_in(table["split"], pa.array(splits, pa.string()))), table, "are of a split that was not asked for")
    _shares(table)
    is_clip = _mask(pc.equal(table["level"], "clip"))
    _states(table, is_clip, clip)
    _once(table, is_clip)
    _agree(table, clip)
    if digest(table) != named:
        raise ScoreError("its rows are not what it says that its splits name")


def _shares(table: pa.Table) -> None:
    scores = table["score"].combine_chunks()
    value = pc.fill_null(scores, 0.5).to_numpy(zero_copy_only=False)
    _refuse(~np.isfinite(value), table, "have a score that is no finite number", "score")
    _refuse((value < 0) | (value > 1), table, "have a score that is not from 0 to 1", "score")
    held = table["types"].combine_chunks()
    types = pc.list_flatten(held)
    if not len(types):
        return
    shares = pc.fill_null(types, np.nan).to_numpy(zero_copy_only=False).reshape(-1, len(FORGERY_TYPES))
    wrong = ~(np.isfinite(shares).all(1) & (shares >= 0).all(1) & (np.abs(shares.sum(1) - 1) <= TYPES_OFF))
    where = np.zeros(table.num_rows, bool)
    where[np.flatnonzero(_mask(pc.is_valid(held)))[wrong]] = True
    _refuse(where, table, "have types that are no shares of one whole", "types")


def _states(table: pa.Table, is_clip: _Where, clip: str) -> None:
    """Status, score, reason and counts say the same."""
    ok, scored = _mask(pc.equal(table["status"], "ok")), _mask(pc.is_valid(table["score"]))
    _refuse(ok & ~scored, table, "are ok and have no score")
    _refuse(~ok & scored, table, "have a score and are not ok")
    _refuse(~ok & _mask(pc.is_valid(table["types"])), table, "have types and are not ok")
    _refuse(ok == _mask(pc.is_valid(table["reason"])), table, "have a reason and are ok, or are neither")
    frames, named = (table[name].to_numpy() for name in ("frames", "frames_named"))
    several = is_clip & (clip == MEAN)
    _refuse(ok & ((frames < 1) | (~several & (frames > 1)) | (frames > named)), table, "are of no such number of frames")
    _refuse((~ok & (frames != 0)) | (named < 1) | (~is_clip & (named != 1)), table, "are of no such number of frames")
    for name in ("frame", "face", "id"):
        _refuse(is_clip & _mask(pc.is_valid(table[name])), table, f"are clips and have a {name}")
    one = _mask(pc.is_valid(table["id"]))
    for name in ("frame", "face"):
        _refuse(~is_clip & (one != _mask(pc.is_valid(table[name]))), table, f"are frames with an id or a {name} alone")
    _refuse(~is_clip & ok & ~one, table, "are frames with a score and no number")
    for name in ("frame", "face"):
        _refuse(_mask(pc.less(pc.fill_null(table[name], 0), 0)), table, f"have a {name} below 0")


def _once(table: pa.Table, is_clip: _Where) -> None:
    for what, where, by in (("frame", ~is_clip, (*CLIP, "frame", "face")), ("clip", is_clip, CLIP)):
        rows = table.filter(pa.array(where))
        keys = key_of(*(rows[name] for name in by)).combine_chunks().dictionary_encode()
        seen = pc.fill_null(keys.indices, -1).to_numpy(zero_copy_only=False)  # of a lost frame nobody knows the number
        first = np.zeros(len(seen), bool)
        first[np.unique(seen, return_index=True)[1]] = True
        _refuse(~first & (seen >= 0), rows, f"are of a {what} that was there before")


def _agree(table: pa.Table, clip: str) -> None:
    """Clips and their frames say the same of their medium, and a clip's score is made of its frames'."""
    frames, clips = (table.filter(pc.equal(table["level"], level)) for level in ("frame", "clip"))
    mine = find(frames, clips, CLIP)
    _refuse(_mask(mine.is_null()), frames, "are frames of a clip that is not there")
    for name in OF_MEDIA:
        here, there = (pc.fill_null(each, "") for each in (frames[name], clips[name].combine_chunks().take(mine)))
        _refuse(_mask(pc.not_equal(here, there)), frames, f"are frames with another {name} than their clip")
    counted = np.bincount(mine.to_numpy(), minlength=clips.num_rows)
    _refuse(counted != clips["frames_named"].to_numpy(), clips, "are clips that name more or fewer frames than there are")
    if clip != MEAN:
        _refuse(_mask(pc.is_valid(frames["score"])), frames, "are frames with a score, where clips alone have one")
        return
    made = clips_of(frames.combine_chunks(), clips)
    _refuse(_mask(pc.not_equal(made["status"], clips["status"])), clips, "are clips with another status than their frames")
    _refuse(made["frames"].to_numpy() != clips["frames"].to_numpy(), clips, "are clips of other frames than have a score")
    here, there = (pc.fill_null(each["score"], 0.0).to_numpy() for each in (made, clips))
    _refuse(np.abs(here - there) > _NEAR, clips, "are clips whose score is not the mean of their frames", "score")
    here, there = (np.nan_to_num(_wide(each["types"])) for each in (made, clips))
    off = here.shape != there.shape or np.abs(here - there).max(initial=0) > _NEAR
    if off or not made["types"].is_valid().equals(clips["types"].is_valid()):
        raise ScoreError("the types of clips are not the mean of their frames'")


def _wide(types: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(pc.list_flatten(types.combine_chunks()).to_numpy(zero_copy_only=False), np.float64)


def _mask(found: pa.Array | pa.ChunkedArray) -> _Where:
    values = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return np.asarray(values.to_numpy(zero_copy_only=False), bool)


def _refuse(wrong: _Where, rows: pa.Table, what: str, shown: str | None = None) -> None:
    if not wrong.any():
        return
    first = rows.slice(int(np.flatnonzero(wrong)[0]), 1).to_pylist()[0]
    told = ", ".join(f"{name} {first[name]!r}" for name in (*CLIP, "frame") if first[name] is not None)
    value = f" ({first[shown]!r})" if shown else ""
    raise ScoreError(f"{int(wrong.sum()):,} rows {what}{value}, first the {first['level']} of {told}")
