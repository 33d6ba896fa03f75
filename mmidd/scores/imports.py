"""Scores that other people's detectors gave, from their CSV or Parquet: matched to what splits name, dropping nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd import __version__
from mmidd.corpus.read import Corpus
from mmidd.engine.files import sha256_file
from mmidd.engine.tables import find
from mmidd.errors import ScoreError
from mmidd.schema import SPLITS
from mmidd.scores.columns import MEAN, ONE_A_CLIP
from mmidd.scores.file import About, ScoreFile
from mmidd.scores.joined import CLIP, with_clips, with_frames
from mmidd.scores.matching import match
from mmidd.scores.named import digest, left_out, named
from mmidd.scores.rows import SHOWN, Places, Rows, keys, mask, numbered, once, together, whole
from mmidd.scores.tables import Given, given
from mmidd.scores.values import ERROR, MISSING, OK, Values, values

NOT_THERE, NO_SCORE, NO_NUMBER = "not in the imported file", "no score in the imported file", "an error in the imported file"
MEAN_ELSEWHERE = "the mean of its frames that were scored elsewhere"
_SPLITS = {**{each: each for each in SPLITS}, "val": "validation", "valid": "validation", "dev": "validation"}
_LABELS = {"real": "real", "0": "real", "0.0": "real", "fake": "fake", "1": "fake", "1.0": "fake"}
Level = Literal["frame", "clip"]


@dataclass(frozen=True)
class Reading:
    """How others' scores are read. `logit`: they are log odds. `real_high`: they are high for reals. `columns`: what is
    called otherwise than usual ({"score": "pred"}; "" for a column that is to be left). `level`: frame, clip (of frames the
    mean), None for what the file tells. `ignore_strangers`: count what the splits do not name, instead of refusing it."""

    logit: bool = False
    real_high: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    level: Level | None = None
    ignore_strangers: bool = False


def imported(
    path: str | Path,
    corpus: Corpus,
    splits: Sequence[str] = ("test",),
    only: Sequence[str] = (),
    *,
    name: str,
    reading: Reading = Reading(),
) -> ScoreFile:
    """The scores of a detector called `name`. What the file says nothing of is missing; `About.model["imported"]` counts
    what matched, and how. Raises ScoreError."""
    file, what = Path(path), named(corpus, splits, only)
    table = given(file, reading.columns)
    frames, clips = (what.filter(pc.equal(what["level"], each)).combine_chunks() for each in ("frame", "clip"))
    counts: dict[str, Any] = {"rows": table.columns.num_rows, "columns": dict(table.names), "columns_left": list(table.left)}
    rows = _rows(repr(str(file)), table, corpus, frames, clips, splits, reading, counts)
    by_frame = rows.samples is not None or (
        "frame" in rows.table.column_names and rows.table["frame"].null_count < len(rows.lines)
    )
    level = reading.level or ("frame" if by_frame else "clip")
    place = _frames_of(rows, frames, clips, by_frame=by_frame) if level == "frame" else rows.clip
    rows, place = _without_strangers(rows, place, clips, level, reading, counts)
    _check_labels(rows, clips)
    if level == "frame":
        once(rows, place)
        table, how = _by_frame(what, frames.num_rows, place, rows.values), MEAN
    else:
        once(rows, keys(rows) if by_frame else place)
        table, how = _by_clip(what, clips.num_rows, place, rows.values), MEAN_ELSEWHERE if by_frame else ONE_A_CLIP
    mine = table.filter(pc.equal(table["level"], level))
    counts |= {"level": level, "matched_by": rows.how, "logit": reading.logit, "real_high": reading.real_high}
    counts |= {"matched": len(rows.lines), "scored": int((rows.values.state == OK).sum())}
    counts |= {"not_in_file": pc.sum(pc.fill_null(pc.equal(mine["reason"], NOT_THERE), False)).as_py() or 0}
    model = {"kind": "imported", "name": name, "digest": sha256_file(file)[:16], "imported": counts}
    about = About(
        model, {"name": corpus.name, "digest": corpus.digest}, tuple(each for each in SPLITS if each in splits), tuple(only),
        digest(what), clip=how, versions={"mmidd": __version__}, left_out=left_out(corpus, splits, only),
    )  # fmt: skip
    return ScoreFile(table, about)


def _rows(
    path: str, table: Given, corpus: Corpus, frames: pa.Table, clips: pa.Table, splits: Sequence[str], reading: Reading,
    counts: dict[str, Any],
) -> Rows:  # fmt: skip
    """The rows that may be of the splits, each with its score and its clip."""
    held = table.columns
    here = np.ones(held.num_rows, bool)
    if "level" in table.names:
        words = pc.fill_null(pc.utf8_lower(held["level"]), "")
        level = reading.level or ("frame" if pc.any(pc.equal(words, "frame")).as_py() else "clip")
        other = mask(pc.not_equal(words, level))
        counts["rows_of_another_level"], here = int(other.sum()), here & ~other
    if "split" in table.names:
        words = pc.index_in(pc.utf8_lower(held["split"]), pa.array(list(_SPLITS)), skip_nulls=True)
        told = pa.array(list(_SPLITS.values())).take(words.combine_chunks())
        other = mask(pc.invert(pc.is_in(told, pa.array(list(splits))))) & mask(pc.is_valid(held["split"]))
        counts["rows_of_other_splits"], here = int((other & here).sum()), here & ~other
    if not here.any():
        raise ScoreError(
            f"{path} has {len(here):,} rows, and none of {', '.join(splits)}: give other splits, or another file"
        )
    lines = np.flatnonzero(here) + table.first
    kept = held.filter(pa.array(here)).combine_chunks()
    found = values(path, table, kept, lines, logit=reading.logit, real_high=reading.real_high)
    if "frame" in table.names and kept["frame"].null_count < kept.num_rows:
        without = mask(kept["frame"].is_null()) & (found.state != OK)  # as our own files have the frames that were lost
        counts["rows_of_no_frame"] = int(without.sum())
        kept, lines = kept.filter(pa.array(~without)).combine_chunks(), lines[~without]
        found = Values(found.score[~without], found.state[~without])
    owner = find(frames, clips, CLIP).to_numpy()
    if "id" in table.names and _are_samples(kept["id"]):
        sample = pc.fill_null(pc.index_in(kept["id"], frames["id"].combine_chunks(), skip_nulls=True), -1)
        at = sample.combine_chunks().to_numpy().astype(np.int64)
        clip = np.where(at >= 0, owner[at], -1) if len(owner) else at
        return Rows(path, kept, lines, found, clip, "the sample's id", at)
    if {"id", "media"} <= {*table.names}:
        counts["columns_left"].append(counts["columns"].pop("id"))  # a number of somebody's
    names = kept["media" if "media" in table.names else "id"].combine_chunks()
    if names.null_count:
        first = lines[int(np.flatnonzero(mask(names.is_null()))[0])]
        raise ScoreError(f"{path}: {names.null_count:,} rows name no medium, the first is row {first}")
    datasets = kept["dataset"].combine_chunks() if "dataset" in table.names else None
    matched = match(names, datasets, clips, _words(corpus))
    return Rows(path, kept, lines, found, matched.place, matched.how, None)


def _are_samples(ids: pa.ChunkedArray) -> bool:
    return not ids.null_count and bool(pc.all(pc.match_substring_regex(ids, "^[0-9a-f]{24}$")).as_py())


def _words(corpus: Corpus) -> dict[str, str]:
    """How others may call a dataset: its name, its slug, its slug with dashes."""
    found: dict[str, str] = {}
    for name, about in corpus.about.datasets.items():
        slug = about.slug or name
        found |= {each.lower(): name for each in (slug.replace("_", "-"), slug, name)}
    return found


def _frames_of(rows: Rows, frames: pa.Table, clips: pa.Table, *, by_frame: bool) -> Places:
    """Which frame each row is of: -1 for none, -2 where its clip is not clear."""
    if rows.samples is not None:
        return rows.samples
    owner = find(frames, clips, CLIP).to_numpy().astype(np.int64)
    held = np.flatnonzero(mask(frames["row"].is_valid()))
    key = np.concatenate([owner[held], rows.clip])
    for name in numbered(rows) if by_frame else ():
        mine = frames[name].combine_chunks().to_numpy(zero_copy_only=False)[held].astype(np.int64)
        key = together(key, np.concatenate([mine, whole(rows, name)]))
    ours, theirs = np.split(key, [len(held)])
    several, first, count = np.unique(ours, return_index=True, return_counts=True)
    if not len(several):
        return np.minimum(rows.clip, -1)
    at = np.minimum(np.searchsorted(several, theirs), len(several) - 1)
    there = (rows.clip >= 0) & (several[at] == theirs)
    if (unclear := there & (count[at] > 1)).any():
        lack = "a column `face`, for these frames show several" if by_frame else "a column `frame`, or --level clip"
        raise ScoreError(
            f"{rows.path}: {int(unclear.sum()):,} rows may be of several frames, as {rows.told(unclear)}: give {lack}"
        )
    return np.where(there, held[first[at]], np.where(rows.clip == -2, -2, -1))


def _without_strangers(
    rows: Rows, place: Places, clips: pa.Table, level: Level, reading: Reading, counts: dict[str, Any]
) -> tuple[Rows, Places]:
    """The rows that the splits name. Raises ScoreError for others, unless they are to be counted alone."""
    if (unclear := rows.clip == -2).any():
        raise ScoreError(
            f"{rows.path}: {int(unclear.sum()):,} rows may each mean several media, as {rows.told(unclear)}: give a column "
            "`dataset`, or whole paths as the corpus has them"
        )
    strange = place < 0
    unknown = rows.clip < 0
    counts["strangers"] = int(strange.sum())
    ours = ", ".join(repr(each) for each in clips["media"].slice(0, SHOWN).to_pylist())
    if strange.all():
        what = "frame" if not unknown.all() else "medium"
        raise ScoreError(f"{rows.path}: none of its {len(strange):,} rows is of a {what} of the splits: it has "
                         f"{rows.told(strange)}, they name {ours}")  # fmt: skip
    if strange.any() and not reading.ignore_strangers:
        frames = strange & ~unknown
        if frames.any() and level == "frame":
            more = (
                f"; {int(frames.sum()):,} of these are other frames of media that are named: --level clip takes their mean"
            )
        else:
            more = ""
        raise ScoreError(
            f"{rows.path}: {int(strange.sum()):,} of {len(strange):,} rows are of what the splits do not name: "
            f"{rows.told(strange)}{more}. Give all splits that they are of, or --ignore-strangers to count them"
        )
    return rows.take(~strange), place[~strange]


def _check_labels(rows: Rows, clips: pa.Table) -> None:
    if "label" not in rows.table.column_names:
        return
    theirs = rows.table["label"].combine_chunks()
    known = pa.array(list(_LABELS.values())).take(
        pc.index_in(pc.utf8_lower(theirs), pa.array(list(_LABELS)), skip_nulls=True)
    )
    ours = clips["label"].combine_chunks().take(pa.array(rows.clip))
    wrong = mask(theirs.is_valid()) & ~mask(pc.equal(known, ours))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise ScoreError(
            f"{rows.path}: {int(wrong.sum()):,} of {len(wrong):,} rows have another label than the corpus, the first is row "
            f"{rows.lines[first]}: {theirs[first].as_py()!r}, not {ours[first].as_py()!r} (0 is real, 1 fake). Is it this "
            "corpus? --column label= leaves their labels out"
        )


def _by_frame(what: pa.Table, count: int, place: Places, found: Values) -> pa.Table:
    state = np.full(count, -1)
    state[place] = found.state
    ok = found.state == OK
    return with_frames(what, place[ok], found.score[ok], None, _why(state), state == ERROR)


def _by_clip(what: pa.Table, count: int, place: Places, found: Values) -> pa.Table:
    ok = found.state == OK
    scored = np.bincount(place[ok], minlength=count)
    mean = np.bincount(place[ok], found.score[ok], count) / np.maximum(scored, 1)
    state = np.full(count, -1)
    for each in (MISSING, ERROR, OK):
        state[place[found.state == each]] = each
    at = np.flatnonzero(scored)
    return with_clips(what, at, mean[at], _why(state), state == ERROR)


def _why(state: npt.NDArray[np.int64]) -> pa.Array:
    """Why each has no score: its state in the file, -1 where it is not in it."""
    return pa.array([NOT_THERE, NO_SCORE, NO_SCORE, NO_NUMBER]).take(pa.array(state + 1))
