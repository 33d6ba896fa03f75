"""Curate: over columns, never over pixels: duplicates out, groups together, splits without a leak, pairs linked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmidd.curation.duplicates import REASONS, exact_duplicates
from mmidd.curation.groups import join
from mmidd.curation.splits import SplitVerdict, assign_splits
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.tables import light_rows, read_sound
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit
from mmidd.recipe import Recipe
from mmidd.schema import LABELS, sample_id
from mmidd.stages.links import Boxes, face_boxes, same_face
from mmidd.stages.rows import SCHEMA as extracted

STAGE_VERSION = 2
EVERYTHING = "*"
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("media", pa.string()),
        ("frame", pa.int32()),
        ("face", pa.int32()),
        ("id", pa.string()),
        ("drop", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
        ("split_basis", pa.string()),
        ("pair", pa.string()),
    ]
)
"""A row for each sample; and one for each medium, whose frame, face and id are null."""

_READ = ("dataset", "media", "label", "pair_dataset", "pair_media", "aligned", "group_keys", "split")
_AT_ONCE = 1 << 14

# Of equal samples the one in the strictest official split stays, so that a test set keeps what it published.
_STRICTEST = {"test": 0, "validation": 1, "train": 2, None: 3}

Name = tuple[str, str]


@dataclass(frozen=True)
class Config:
    """The part of a recipe that curation reads."""

    exact_duplicates: bool
    splits: Mapping[str, float]
    seed: int


@dataclass(frozen=True)
class Payload:
    """All rows that were extracted, all media that were indexed, and the media that no sample may come from."""

    rows: tuple[Path, ...]
    media: pa.Table
    excluded: Mapping[Name, str]


def config(recipe: Recipe) -> Config:
    """Take from the recipe what this stage reads."""
    return Config(recipe.curation.exact_duplicates, recipe.curation.splits.model_dump(), recipe.seed)


def ingredients(recipe: Recipe) -> dict[str, Any]:
    """What shapes the verdicts, the rows and the index aside."""
    return _ingredients(STAGE, recipe.model_dump(mode="json", include={"curation", "seed"}))


def plan(inputs: tuple[str, ...], payload: Payload) -> Unit:
    """One unit over everything; `inputs` are the digests of all it reads."""
    return Unit(f"{EVERYTHING}/curate", (Task((Item(EVERYTHING, ".", inputs, payload),)),))


def run(task: Task, config: Config, resources: Resources) -> Result:
    """Judge every sample and every medium."""
    (item,) = task.items
    payload: Payload = item.payload
    samples = _samples(payload)
    media = light_rows(payload.media, _READ)
    names = [(row["dataset"], row["media"]) for row in media]
    about = dict(zip(names, media, strict=True))
    duplicates, same = _duplicates(samples, about, payload, config)
    anchors = join([_member(*name) for name in names], [*_links(media), *same])
    verdicts = assign_splits(
        [anchors[_member(*name)] for name in names], [row["split"] for row in media], config.splits, config.seed
    )
    by_name = dict(zip(names, verdicts, strict=True))
    boxes, kept = face_boxes(samples, about), _kept(samples, duplicates, by_name, payload)
    rows = chain(_media_rows(names, anchors, by_name, payload), _sample_rows(samples, duplicates, by_name, anchors, payload))
    pieces = [SCHEMA.empty_table()]
    while piece := list(islice(rows, _AT_ONCE)):  # a million rows as dicts would take a gigabyte
        _link_pairs(piece, about, boxes, kept)
        pieces.append(pa.Table.from_pylist(piece, SCHEMA))
    judged = pa.concat_tables(pieces).combine_chunks()
    return Result(judged, (Outcome(item.dataset, item.media, "ok", item.inputs or ()),))


def _member(dataset: str, media: str) -> str:
    return f"{dataset}/{media}"


def _samples(payload: Payload) -> pa.Table:
    columns = ["dataset", "media", "frame", "face", "image_sha256", "geometry", "width", "height", "box"]
    empty = pa.schema([extracted.field(name) for name in columns]).empty_table()
    return pa.concat_tables([empty, *(read_sound(path, columns) for path in payload.rows)])


def _duplicates(
    samples: pa.Table, media: Mapping[Name, Mapping[str, Any]], payload: Payload, config: Config
) -> tuple[list[str | None], list[tuple[str, str]]]:
    """Per sample why it is dropped as a duplicate, if it is; and the media that hold equal samples."""
    reasons: list[str | None] = [None] * samples.num_rows
    names = list(zip(samples["dataset"].to_pylist(), samples["media"].to_pylist(), strict=True))
    judged = [row for row, name in enumerate(names) if name not in payload.excluded]
    if not config.exact_duplicates or not judged:
        return reasons, []
    frames, faces = samples["frame"].to_pylist(), samples["face"].to_pylist()
    order = [
        f"{_STRICTEST[media[names[row]]['split']]}\0{names[row][0]}\0{names[row][1]}\0{frames[row]:09d}\0{faces[row]:04d}"
        for row in judged
    ]
    labels = [LABELS.index(media[names[row]]["label"]) for row in judged]
    found = exact_duplicates(samples["image_sha256"].take(judged), labels, order)
    for row, code in zip(judged, found.reason.tolist(), strict=True):
        reasons[row] = REASONS[code]
    return reasons, found.links([_member(*names[row]) for row in judged])


def _links(media: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """What belongs together by name: a medium with its pair, and with all that share one of its group keys."""
    for row in media:
        member = _member(row["dataset"], row["media"])
        if row["pair_media"]:
            yield member, _member(row["pair_dataset"] or row["dataset"], row["pair_media"])
        for key in row["group_keys"] or ():
            yield member, f"\0{key}"


def _media_rows(
    names: Sequence[Name], anchors: Mapping[str, str], verdicts: Mapping[Name, SplitVerdict], payload: Payload
) -> Iterator[dict[str, Any]]:
    for name in names:
        verdict = verdicts[name]
        yield {
            "dataset": name[0],
            "media": name[1],
            "frame": None,
            "drop": payload.excluded.get(name) or verdict.drop,
            "group": anchors[_member(*name)],
            "split": verdict.split,
            "split_basis": verdict.basis,
        }


def _sample_rows(
    samples: pa.Table,
    duplicates: Sequence[str | None],
    verdicts: Mapping[Name, SplitVerdict],
    anchors: Mapping[str, str],
    payload: Payload,
) -> Iterator[dict[str, Any]]:
    columns = [samples[name].to_pylist() for name in ("dataset", "media", "frame", "face")]
    for dataset, media, frame, face, duplicate in zip(*columns, duplicates, strict=True):
        verdict = verdicts[dataset, media]
        yield {
            "dataset": dataset,
            "media": media,
            "frame": frame,
            "face": face,
            "id": sample_id(dataset, media, frame, face),
            "drop": _drop((dataset, media), duplicate, verdicts, payload),
            "group": anchors[_member(dataset, media)],
            "split": verdict.split,
            "split_basis": verdict.basis,
        }


def _kept(
    samples: pa.Table, duplicates: Sequence[str | None], verdicts: Mapping[Name, SplitVerdict], payload: Payload
) -> frozenset[str]:
    """The ids of the samples that are in the corpus."""
    places = zip(*(samples[name].to_pylist() for name in ("dataset", "media", "frame", "face")), strict=True)
    return frozenset(
        sample_id(*place)
        for place, duplicate in zip(places, duplicates, strict=True)
        if _drop(place[:2], duplicate, verdicts, payload) is None
    )


def _drop(name: Name, duplicate: str | None, verdicts: Mapping[Name, SplitVerdict], payload: Payload) -> str | None:
    """Why a sample is not in the corpus, if it is not."""
    return payload.excluded.get(name) or verdicts[name].drop or duplicate


def _link_pairs(
    rows: Sequence[dict[str, Any]], media: Mapping[Name, Mapping[str, Any]], boxes: Boxes, kept: frozenset[str]
) -> None:
    """Give each fake sample the id of its real's same face at the same frame, where that one is in the corpus."""
    for row in rows:
        about = media[row["dataset"], row["media"]]
        row["pair"] = None
        if row["frame"] is not None and about["pair_media"]:
            real = about["pair_dataset"] or row["dataset"], about["pair_media"]
            face = same_face((row["dataset"], row["media"]), real, row["frame"], row["face"], boxes)
            pair = sample_id(*real, row["frame"], face) if face is not None else None
            row["pair"] = pair if pair in kept else None


STAGE = Stage("curate", STAGE_VERSION, run, SCHEMA, row_order=())
