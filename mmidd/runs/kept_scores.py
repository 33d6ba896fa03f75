"""The scores of a run's best validation as a score file of the rows that it asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.engine.tables import find
from mmidd.runs.measures import Validation
from mmidd.schema import FORGERY_TYPES, LABELS
from mmidd.scores.columns import MEAN
from mmidd.scores.file import About, ScoreFile
from mmidd.scores.joined import joined
from mmidd.scores.named import NAMED, ORDER, digest
from mmidd.training.rows import Numbers, Rows, starts

UNREADABLE = "its image cannot be read, or that of a frame in its window"
_CLIP = ("split", "dataset", "media")


def score_file(
    validation: Validation, rows: Rows, model: Mapping[str, Any], asked: Mapping[str, Any], versions: Mapping[str, str]
) -> ScoreFile:
    """Of each row that the validation asked for, and of their media. What it left out (further frames of a clip, rows of
    another selection, media without a sample) is not named, and so neither missing nor in error: `About.corpus` says so."""
    numbers, first = np.unique(validation.asked), validation.asked[:, 0]
    item = np.searchsorted(validation.scored.rows, first)
    item = np.minimum(item, len(validation.scored.rows) - 1)
    have = validation.scored.rows[item] == first
    row = validation.asked[have].ravel()
    of = np.repeat(item[have], validation.asked.shape[1])
    types = None if validation.scored.types is None else validation.scored.types[of]
    table = named_rows(rows.corpus, numbers)
    errors = {int(each): UNREADABLE for each in np.setdiff1d(numbers, row)}
    several = asked["settings"].get("validation_frames")
    frames = "all frames" if several is None else f"at most {several} frames of each clip's face, evenly spread"
    if validation.asked.shape[1] > 1:
        frames = f"one window of {validation.asked.shape[1]} frames of each clip's face"
    about = About(
        model=model,
        corpus={
            "name": rows.corpus.name,
            "digest": rows.corpus_digest,
            "rows": rows.digest,
            "restricted": f"to rows that the run validated on: {frames}; media without a sample are not named",
        },
        splits=tuple(dict.fromkeys(table["split"].to_pylist())),
        only=tuple(asked["selection"].get("only") or ()),
        named=digest(table),
        clip=MEAN,
        versions=versions,
    )
    return ScoreFile(joined(table, row, validation.scored.fake[of], types, errors), about)


def named_rows(corpus: Corpus, numbers: Numbers) -> pa.Table:
    """These rows and their media, and nothing else, as `scores.named.NAMED` (without compression, which only the media table
    knows)."""
    told = corpus.take(numbers, ["dataset", "media", "frame", "face", "id", "group", "label", "forgery_type", "method"])
    for name, words in (("label", LABELS), ("forgery_type", FORGERY_TYPES)):
        code = told[name].combine_chunks().cast(pa.int64())
        code = pc.if_else(pc.greater_equal(code, 0), code, None)
        told = told.set_column(told.schema.get_field_index(name), name, pa.array(words).take(code))
    group = pc.coalesce(told["group"], pc.binary_join_element_wise(told["dataset"], told["media"], "/"))
    told = told.set_column(told.schema.get_field_index("group"), "group", group)
    splits = [(start, shard.split) for start, shard in starts(corpus) if shard.rows]
    place = np.searchsorted([start for start, _ in splits], numbers, side="right") - 1
    told = told.append_column("split", pa.array([splits[each][1] for each in place.tolist()], pa.string()))
    keys = told.group_by(_CLIP, use_threads=False).aggregate([])
    media = find(told, keys, _CLIP).to_numpy()
    first = np.unique(media, return_index=True)[1]
    clips = told.take(pa.array(first))
    frames = _as_named(told, {"level": "frame", "row": pa.array(numbers), "frames_named": 1})
    many = pa.array(np.bincount(media), pa.int32())
    of_clips = _as_named(clips, {"level": "clip", "frames_named": many, "frame": None, "face": None, "id": None})
    order = [(name, "descending" if name == "level" else "ascending") for name in ORDER]
    return pa.concat_tables([frames, of_clips]).sort_by(order).combine_chunks()


def _as_named(told: pa.Table, own: Mapping[str, Any]) -> pa.Table:
    columns, count = [], told.num_rows
    for field in NAMED:
        value = "ok" if field.name == "status" else own.get(field.name)
        if field.name in told.column_names and field.name not in own:
            value = told[field.name]
        if not isinstance(value, pa.Array | pa.ChunkedArray):
            value = pa.nulls(count, field.type) if value is None else pa.repeat(pa.scalar(value, field.type), count)
        columns.append(value.cast(field.type))
    return pa.table(columns, NAMED)
