"""Curate: over columns, never over pixels: duplicates out, groups together, splits without a leak, pairs linked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.curation.duplicates import Duplicates, exact_duplicates
from mmidd.curation.groups import join
from mmidd.curation.same_face import real_faces
from mmidd.curation.splits import assign_splits
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.tables import find, key_of, read_sound, shared
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit
from mmidd.errors import WorkError
from mmidd.extraction.records import SCHEMA as extracted
from mmidd.media import Name
from mmidd.recipe import Recipe
from mmidd.schema import LABELS, sample_id

STAGE_VERSION = 3
EVERYTHING = "*"
EQUALS_REAL = "equals_real"
"""Why a fake's sample is dropped that is, bit for bit, one of the real it was made from: nobody changed it."""
OTHER_PERSON = "other_person"
"""Why a real's sample is dropped that shows somebody whom none of its fakes is about."""
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

# Of equal samples the one in the strictest official split stays, so that a test set keeps what it published.
_STRICTEST = ("test", "validation", "train")


@dataclass(frozen=True)
class CurateConfig:
    """The part of a recipe that curation reads."""

    exact_duplicates: bool
    splits: Mapping[str, float]
    seed: int
    one_person: bool


@dataclass(frozen=True)
class CuratePayload:
    """All rows that were extracted, all media that were indexed, the media that no sample may come from, and the fakes
    whose own pixels deny the pair that is claimed for them.

    `partial`: (dataset, rule) of media whose split is the word of a list that is not known to be the whole official one."""

    rows: tuple[Path, ...]
    media: pa.Table
    excluded: Mapping[Name, str]
    unpaired: frozenset[Name] = frozenset()
    partial: tuple[tuple[str, str], ...] = ()


def config(recipe: Recipe) -> CurateConfig:
    """Take from the recipe what this stage reads."""
    curation = recipe.curation
    return CurateConfig(curation.exact_duplicates, curation.splits.model_dump(), recipe.seed, recipe.crop.choice != "all")


def ingredients(recipe: Recipe) -> dict[str, Any]:
    """What shapes the verdicts, the rows and the index aside."""
    part = recipe.model_dump(mode="json", include={"curation", "seed"})
    return _ingredients(STAGE, {**part, "one_person": config(recipe).one_person})


def plan(inputs: tuple[str, ...], payload: CuratePayload) -> Unit:
    """One unit over everything; `inputs` are the digests of all it reads."""
    return Unit(f"{EVERYTHING}/curate", (Task((Item(EVERYTHING, ".", inputs, payload),)),))


def run(task: Task, config: CurateConfig, resources: Resources) -> Result:
    """Judge every sample and every medium. A row of Python's each would take gigabytes of a million of them: columns."""
    (item,) = task.items
    payload: CuratePayload = item.payload
    media = _media(payload)
    samples = _samples(payload, media)
    others = _others(samples) if config.one_person else pa.nulls(samples.num_rows, pa.string())
    duplicates, same, twice = _duplicates(samples, others, media, config)
    anchors = join(media["medium"].combine_chunks(), *_ends(media, same))
    splits = assign_splits(shared(anchors), shared(media["split"]), config.splits, config.seed, _partial(payload, media))
    drops = pc.coalesce(media["excluded"], pa.array([verdict.drop for verdict in splits], pa.string()))
    verdicts = {
        "drop": drops,
        "group": anchors,
        "split": pa.array([verdict.split for verdict in splits], pa.string()),
        "split_basis": pa.array([verdict.basis for verdict in splits], pa.string()),
    }
    of_media = {"dataset": media["dataset"], "media": media["media"]} | verdicts
    of_samples = {name: column.take(samples["owner"]) for name, column in verdicts.items()}
    of_samples |= {name: samples[name] for name in ("dataset", "media", "frame", "face", "id")}
    of_samples["drop"] = pc.coalesce(of_samples["drop"], others, duplicates)
    of_samples["pair"] = _pairs(samples, of_samples["drop"])
    judged = pa.concat_tables([_rows(of_media, media.num_rows), _rows(of_samples, samples.num_rows)]).combine_chunks()
    facts = {"two_methods": twice} if twice else {}
    return Result(judged, (Outcome(item.dataset, item.media, "ok", item.inputs or (), facts=facts),))


def _rows(columns: Mapping[str, pa.ChunkedArray], count: int) -> pa.Table:
    """The columns as rows of SCHEMA; those that are not there are null."""
    return pa.table([columns.get(field.name, pa.nulls(count)).cast(field.type) for field in SCHEMA], SCHEMA)


def _member(dataset: pa.ChunkedArray, media: pa.ChunkedArray) -> pa.ChunkedArray:
    """One text for each medium that names it among all datasets; null where one of the two is."""
    wide = pa.large_string()
    return pc.binary_join_element_wise(dataset.cast(wide), media.cast(wide), pa.scalar("/", wide))


def _media(payload: CuratePayload) -> pa.Table:
    """The media, with their name among all datasets, that of the real they were made from, and why they were taken down."""
    media = payload.media.combine_chunks()
    pair = pc.if_else(pc.not_equal(media["pair_media"], ""), media["pair_media"], None)
    excluded = [f"{dataset}/{name}" for dataset, name in payload.excluded]
    medium = _member(media["dataset"], media["media"])
    reasons = pa.array(payload.excluded.values(), pa.string())
    media = media.append_column("medium", medium)
    media = media.append_column("real", _member(pc.coalesce(media["pair_dataset"], media["dataset"]), pair))
    return media.append_column("excluded", reasons.take(pc.index_in(medium, value_set=pa.array(excluded, medium.type))))


def _partial(payload: CuratePayload, media: pa.Table) -> list[bool] | None:
    """Of each medium: is its split the word of a partial list? None where there is none."""
    if not payload.partial:
        return None
    partial = frozenset(payload.partial)
    return [place in partial for place in zip(shared(media["dataset"]), shared(media["rule"]), strict=True)]


def _samples(payload: CuratePayload, media: pa.Table) -> pa.Table:
    """The samples, with their ids, the place of their medium among the media (`owner`) and what that says of it."""
    columns = ["dataset", "media", "frame", "face", "image_sha256", "geometry", "width", "height", "box"]
    empty = pa.schema([extracted.field(name) for name in columns]).empty_table()
    # One piece a column: to take rows by numbers in pieces copies all that they are taken from, once for each piece.
    samples = pa.concat_tables([empty, *(read_sound(path, columns) for path in payload.rows)]).combine_chunks()
    samples = samples.append_column("medium", _member(samples["dataset"], samples["media"]))
    owner = find(samples, media, ["medium"])
    if owner.null_count:
        raise WorkError(
            f"extraction has {owner.null_count} samples of media that the index has not; run the same command again"
        )
    places = (samples[name].to_pylist() for name in ("dataset", "media", "frame", "face"))
    ids = pa.array((sample_id(*place) for place in zip(*places, strict=True)), pa.string(), size=samples.num_rows)
    samples = samples.append_column("id", ids).append_column("owner", owner)
    for name in ("real", "aligned", "excluded", "label"):
        samples = samples.append_column(name, media[name].take(owner))
    unpaired = pa.array([f"{dataset}/{name}" for dataset, name in payload.unpaired], pa.large_string())
    real = pc.if_else(pc.is_in(samples["medium"], value_set=unpaired), None, samples["real"])
    samples = samples.set_column(samples.schema.get_field_index("real"), "real", real)
    return samples.append_column("real_face", real_faces(samples))


def _others(samples: pa.Table) -> pa.Array:
    """Per sample why it is dropped, if it shows somebody whom its clip is not about.

    Of a real that fakes follow extraction keeps several people, the policy's choice as face 0. Those stay whom fakes are
    about; where none is about anybody, the first. Every other medium has one person.
    """
    here = pc.is_null(samples["excluded"])
    mine = key_of(samples["medium"], samples["face"])
    of_fakes = pc.and_(here, pc.fill_null(samples["aligned"], False))
    about = key_of(samples["real"], samples["real_face"]).filter(of_fakes).drop_null()
    followed = pc.is_in(mine, value_set=pc.unique(about))
    led = pc.is_in(samples["medium"], value_set=pc.unique(samples["medium"].filter(followed)))
    firsts = samples.group_by("medium").aggregate([("face", "min")])
    first = pc.is_in(mine, value_set=key_of(firsts["medium"], firsts["face_min"]).combine_chunks())
    stays = pc.if_else(led, followed, first)
    return pc.if_else(pc.and_(here, pc.invert(stays)), OTHER_PERSON, pa.scalar(None, pa.string())).combine_chunks()


def _unchanged(samples: pa.Table) -> pa.Array:
    """Which samples of fakes are, bit for bit, samples of the real they were made from: a label cannot tell them apart."""
    pictures = key_of(samples["medium"], samples["image_sha256"])
    wanted = key_of(samples["real"], samples["image_sha256"])
    same = pc.is_in(wanted, value_set=pc.unique(pictures), skip_nulls=True)
    return pc.and_(same, pc.equal(samples["label"], "fake")).combine_chunks()


def _duplicates(
    samples: pa.Table, others: pa.Array, media: pa.Table, config: CurateConfig
) -> tuple[pa.Array, list[tuple[str, str]], list[list[Any]]]:
    """Per sample why it is dropped as a duplicate, if it is; the media that hold equal samples; and those of two methods.
    `others` are samples that are dropped already."""
    here = pc.and_(pc.is_null(samples["excluded"]), pc.is_null(others)).combine_chunks()
    none = pa.nulls(samples.num_rows, pa.string())
    if not config.exact_duplicates or not pc.any(here).as_py():
        return none, [], []
    unchanged = pc.and_(here, pc.fill_null(_unchanged(samples), False))
    none = pc.if_else(unchanged, EQUALS_REAL, none)
    here = pc.and_(here, pc.invert(unchanged))
    judged = samples.filter(here)
    strictness = pc.fill_null(pc.index_in(media["split"], value_set=pa.array(_STRICTEST), skip_nulls=True), len(_STRICTEST))
    places = [strictness.take(judged["owner"]), judged["dataset"], judged["media"]]
    places += [pc.utf8_lpad(judged[name].cast(pa.string()), 10, "0") for name in ("frame", "face")]
    labels = pc.index_in(media["label"], value_set=pa.array(LABELS)).take(judged["owner"])
    found = exact_duplicates(judged["image_sha256"], labels, key_of(*places))
    methods = media["method"].take(judged["owner"])
    twice = _two_methods(judged, methods, found)
    return pc.replace_with_mask(none, here, found.reasons()), found.links(judged["medium"]), twice


def _two_methods(judged: pa.Table, methods: pa.ChunkedArray, found: Duplicates) -> list[list[Any]]:
    """Equal samples that two methods are said to have made (`CurateFacts`): one of them is not what its folder says."""
    rows = found.doubles
    firsts = found.first[rows]
    pairs = zip(*(pc.fill_null(methods.take(at), "").to_pylist() for at in (firsts, rows)), strict=True)
    counted, shown = Counter[tuple[str, str]](), dict[tuple[str, str], int]()
    for place, pair in enumerate(pairs):
        if pair[0] != pair[1]:
            counted[pair] += 1
            shown.setdefault(pair, place)
    media = judged["medium"]
    at = {pair: (media[int(firsts[place])].as_py(), media[int(rows[place])].as_py()) for pair, place in shown.items()}
    return [[*pair, count, *at[pair]] for pair, count in sorted(counted.items())]


def _ends(media: pa.Table, same: Sequence[tuple[str, str]]) -> tuple[pa.Array, pa.Array]:
    """What belongs together, by two names each: a medium and its pair, the group keys that it shares with others, and media
    of which samples are equal."""
    made = media.filter(pc.is_valid(media["real"]))
    keys = media["group_keys"].combine_chunks()
    flat = pc.binary_join_element_wise(pa.scalar(""), keys.flatten(), "\0").cast(pa.large_string())
    members = media["medium"].combine_chunks()
    ends = [
        (made["medium"].combine_chunks(), made["real"].combine_chunks()),
        (members.take(pc.list_parent_indices(keys)), flat),
        tuple(pa.array([pair[end] for pair in same], pa.large_string()) for end in (0, 1)),
    ]
    left, right = (pa.concat_arrays([each[end] for each in ends]) for end in (0, 1))
    return left, right


def _pairs(samples: pa.Table, drops: pa.ChunkedArray) -> pa.ChunkedArray:
    """Of each fake sample the id of its real's same face at the same frame, where that one is in the corpus."""
    kept = samples.filter(pc.is_null(drops))
    places = key_of(kept["medium"], kept["frame"], kept["face"]).combine_chunks()
    wanted = key_of(samples["real"], samples["frame"], samples["real_face"])
    return kept["id"].take(pc.index_in(wanted, value_set=places, skip_nulls=True))


STAGE = Stage("curate", STAGE_VERSION, run, SCHEMA, row_order=())
