"""The corpus schema, once: every column with its Arrow type, its unit and its meaning.

Everything else reads it from here: the stages build their tables with these types, the writer puts the Hugging Face
features beside them, `docs/schema.md` and the dataset card print the same sentences.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

SCHEMA_VERSION = 1

LABELS = ("real", "fake")
FORGERY_TYPES = ("REAL", "FS", "FR", "EFS", "FE")
FORGERY_NAMES = {
    "REAL": "real",
    "FS": "face swapping",
    "FR": "face reenactment",
    "EFS": "entire face synthesis",
    "FE": "face editing",
}
ATTACK_NAMES = {
    "print": "a printed picture",
    "replay": "a picture or video on a screen",
    "mask2d": "a flat or folded mask",
    "mask3d": "a mask or head in three dimensions",
    "makeup": "makeup",
    "partial": "a part of the face covered or changed",
    "other": "another instrument",
}
ATTACKS = tuple(ATTACK_NAMES)
"""Families of presentation attacks. Such a fake has one in place of a forgery type; its method is the instrument."""
KINDS = (*FORGERY_TYPES, *ATTACKS, "unknown")
"""What rows are counted by: the forgery type, else the family of attacks, else unknown."""
SPLITS = ("train", "validation", "test")

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
BOX = pa.list_(pa.float32(), 4)
LANDMARKS = pa.list_(pa.list_(pa.float32(), 2), 5)
TRANSFORM = pa.list_(pa.float32(), 6)
_FLOATS = {pa.float32(): "float32", pa.float64(): "float64"}

Origin = Literal["pixels", "labels", "captions", "curation"]

Tells = Literal["nothing", "value", "label"]
"""What a column tells of the label within a pair. `nothing`: neither its being null nor its values tell fake from real.
`value`: it is measured on the sample's own pixels or file, so its values may differ; its being null does not. `label`: it
says the label, or what only fakes (or only reals) have."""

TELLS: dict[str, Tells] = {
    **dict.fromkeys(
        (
            "label", "forgery_type", "method", "media", "source_id", "pair_media", "pair", "mask", "geometry", "attack",
        ),
        "label",
    ),
    **dict.fromkeys(
        (
            "image", "sharpness", "brightness", "phash", "face_caption", "environment_caption", "timestamp", "width",
            "height", "fps", "codec", "jpeg_quality",
        ),
        "value",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One column of a corpus. `origin` says which stage alone may fill it: pixels never see labels. `tells`: may a fake be
    told from its real by it?"""

    name: str
    type: pa.DataType
    origin: Origin
    unit: str
    meaning: str
    classes: tuple[str, ...] = ()

    @property
    def tells(self) -> Tells:
        return "nothing" if self is NO_ATTACK else TELLS.get(self.name, "nothing")


def _columns() -> tuple[Column, ...]:
    text, i32, f32, f64 = pa.string(), pa.int32(), pa.float32(), pa.float64()
    return (
        Column("id", text, "pixels", "24 hex digits", "sample id: a hash of dataset, media, frame and face"),
        Column("image", IMAGE, "pixels", "encoded image", "aligned face crop, or the whole image where geometry is whole"),
        Column("label", pa.int64(), "labels", "class", "real or fake", LABELS),
        Column(
            "forgery_type",
            pa.int64(),
            "labels",
            "class",
            "type of manipulation; null where unknown",
            FORGERY_TYPES,
        ),
        Column("method", text, "labels", "", "generator that made the fake; null for reals, unknown if unpublished"),
        Column("dataset", text, "labels", "", "published origin collection"),
        Column(
            "media",
            text,
            "labels",
            "POSIX path",
            "video, image, or frames (a folder of numbered images) relative to the dataset's root",
        ),
        Column("media_sha256", text, "pixels", "64 hex digits", "digest of the medium's bytes"),
        Column("frame", i32, "pixels", "index from 0", "frame in display order; 0 for images"),
        Column("timestamp", f64, "pixels", "seconds", "presentation time of the frame; null for images"),
        Column("face", i32, "pixels", "index from 0", "which of the medium's kept faces; 0 with one face a clip"),
        Column("box", BOX, "pixels", "xyxy pixels", "face box in the upright frame; null for whole images"),
        Column(
            "landmarks",
            LANDMARKS,
            "pixels",
            "xy pixels",
            "eyes, nose, mouth corners (image left first), upright frame",
        ),
        Column("transform", TRANSFORM, "pixels", "2x3 row-major", "affine map, frame pixels to crop pixels"),
        Column(
            "detection_score", f32, "pixels", "0..1", "confidence of the detection that box comes from; null where box is"
        ),
        Column("width", i32, "pixels", "pixels", "width of the upright frame"),
        Column("height", i32, "pixels", "pixels", "height of the upright frame"),
        Column("fps", f64, "pixels", "frames a second", "average frame rate; null for images"),
        Column("codec", text, "pixels", "", "codec of the medium"),
        Column("target_id", text, "labels", "", "identity that is shown: the person of a real, who receives in a fake"),
        Column("source_id", text, "labels", "", "identity that donates; null for reals and where unpublished"),
        Column(
            "pair_media",
            text,
            "labels",
            "POSIX path",
            "medium a fake was made from (DATASET:path if of another dataset)",
        ),
        Column("pair", text, "curation", "24 hex digits", "id of the paired real sample at the same frame, if any"),
        Column(
            "group",
            text,
            "curation",
            "DATASET/path",
            "what stays on one side of a split, named by its smallest medium",
        ),
        Column(
            "sharpness", f32, "pixels", "grey levels^2", "variance of the Laplacian of the crop's luma, padding left out"
        ),
        Column("brightness", f32, "pixels", "0..255", "mean luma of the crop, padding left out"),
        Column("face_size", f32, "pixels", "pixels", "geometric mean of the face box's sides in the frame"),
        Column("jpeg_quality", i32, "pixels", "1..100", "estimated quality of the source image; null for video"),
        Column("phash", text, "pixels", "16 hex digits", "64-bit DCT perceptual hash of the crop"),
        Column("face_caption", text, "captions", "", "label-blind description of the face"),
        Column("environment_caption", text, "captions", "", "label-blind description of the surroundings"),
        Column("captioner", text, "captions", "", "who described, with version"),
        Column("license", text, "labels", "", "licence of the medium's dataset"),
        Column(
            "mask",
            IMAGE,
            "pixels",
            "encoded image",
            "a fake's manipulation mask under the same transform, grey; null where there is none",
        ),
        Column("track", i32, "pixels", "index from 0", "which tracked person of the clip was taken"),
        Column("faces_found", i32, "pixels", "count", "faces that detection found in the frame; null where box is"),
        Column("runner_up", f32, "pixels", "0..1", "area of the largest other face over the chosen one's; null if none"),
        Column(
            "geometry",
            text,
            "pixels",
            "own|shared|whole",
            "box from an own detection, from that of the paired real, or none",
        ),
        Column("split_basis", text, "curation", "official|partial|group|hash", "where the split comes from"),
        Column(
            "caption_status",
            text,
            "captions",
            "",
            "ok, shared (described from another frame), or why there are none; null if none ran",
        ),
        Column("attack", text, "labels", "|".join(ATTACKS), "family of a presentation attack; null for all else"),
        Column("padding", f32, "pixels", "0..1", "share of the crop that lies outside the frame; 0 for whole images"),
    )


COLUMNS = _columns()
NO_ATTACK = Column("attack", pa.string(), "labels", "", "presentation attack; null until a dataset has any")
"""The same column in the words of a corpus without any, whose card so stays what it was."""
BY_NAME = {column.name: column for column in COLUMNS}
ADDED = ("padding", "pair_check")
"""Last columns of shards and of the media table that the first corpora of this version lack; readers take them for null."""
IF_ANY = ("turn", "attack")
"""Columns of the media table that are written only where a medium has a value; readers take them for null."""


def columns_of(kinds: Iterable[str]) -> tuple[Column, ...]:
    """The columns in the words of a corpus with rows of these kinds."""
    return COLUMNS if {*kinds} & {*ATTACKS} else tuple(NO_ATTACK if each.name == "attack" else each for each in COLUMNS)


def kind_words(kind: str) -> str:
    """One of KINDS as a card names it."""
    if kind in ATTACK_NAMES:
        return f"attack: {kind} ({ATTACK_NAMES[kind]})"
    return f"{kind} ({FORGERY_NAMES[kind]})" if kind in FORGERY_NAMES else "fake, type unknown"


def of_origin(*origins: Origin) -> tuple[Column, ...]:
    """The columns that the given origins fill, in the order of the corpus."""
    return tuple(column for column in COLUMNS if column.origin in origins)


def _feature(kind: pa.DataType, classes: tuple[str, ...]) -> dict[str, Any]:
    if classes:
        return {"names": list(classes), "_type": "ClassLabel"}
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type, ()), "length": kind.list_size, "_type": "List"}
    return {"dtype": _FLOATS.get(kind, str(kind)), "_type": "Value"}


def features(without: Sequence[str] = ()) -> dict[str, Any]:
    """The columns as Hugging Face `Features`, in their JSON form."""
    return {column.name: _feature(column.type, column.classes) for column in COLUMNS if column.name not in without}


def arrow_schema(without: Sequence[str] = ()) -> pa.Schema:
    """The schema of every shard, with the metadata that makes `datasets` see images and class labels. `without`: as shards
    were written before these columns were added."""
    hugging_face = json.dumps({"info": {"features": features(without)}})
    return pa.schema(
        [pa.field(column.name, column.type) for column in COLUMNS if column.name not in without],
        metadata={"huggingface": hugging_face, "mmidd.schema_version": str(SCHEMA_VERSION)},
    )


def _media_columns() -> tuple[tuple[str, pa.DataType, str], ...]:
    text, i32, i64 = pa.string(), pa.int32(), pa.int64()
    return (
        ("dataset", text, "published origin collection"),
        ("media", text, "video or image relative to the dataset's root"),
        ("kind", text, "video, image, frames (a folder of numbered images) or hdf5"),
        ("media_sha256", text, "digest of the medium's bytes; null if it was not read"),
        ("bytes", i64, "size of the medium"),
        ("label", text, "real or fake"),
        ("forgery_type", text, "REAL, FS, FR, EFS or FE; null if unknown, or an attack"),
        ("method", text, "what made the fake: a generator, or an attack's instrument; null for reals"),
        ("compression", text, "which of the dataset's compressions it is; null where it has one"),
        ("target_id", text, "identity that is shown"),
        ("source_id", text, "identity that donates"),
        ("pair_media", text, "medium a fake was made from (DATASET:path if of another dataset)"),
        ("group", text, "what stays on one side of a split, named by its smallest medium (DATASET/path)"),
        ("split", text, "train, validation or test; null where it is left out of all"),
        ("split_basis", text, "official, partial (by a list that may not be the whole official one), group or hash"),
        ("license", text, "licence of the medium's dataset"),
        ("outcome", text, "ok, dropped or failed"),
        ("reason", text, "why it was dropped"),
        ("error", text, "class of its failure"),
        ("message", text, "text of its failure, without paths"),
        ("geometry", text, "own, shared or whole; several where its frames differ"),
        ("frames_planned", i32, "frames that were to become samples; the next three add up to it"),
        ("frames_ok", i32, "frames that were extracted"),
        ("frames_dropped", i32, "frames that were dropped in extraction"),
        ("frames_failed", i32, "frames that failed in extraction"),
        ("samples", i32, "rows of the corpus that come from it"),
        ("frame_reasons", pa.list_(pa.struct([("reason", text), ("count", i32)])), "why frames became no sample, counted"),
        ("pair_check", text, "what a fake's own pixels say of its pair (docs/recipes.md); null where none was checked"),
        (
            "turn",
            i32,
            "degrees clockwise by which its frames were turned beyond what its file says; null where nobody asked for it. "
            "Only there where a medium was turned",
        ),
        ("attack", text, "family of a presentation attack; null for all else. No column where no medium has any"),
    )


MEDIA_COLUMNS = _media_columns()


def media_schema() -> pa.Schema:
    """The schema of `media.parquet`: one row per medium found at indexing, with its outcome."""
    fields = [(name, kind) for name, kind, _ in MEDIA_COLUMNS]
    return pa.schema(fields, metadata={"mmidd.schema_version": str(SCHEMA_VERSION)})


def written_media(table: pa.Table) -> pa.Table:
    """The media table as it is written: without the columns that say something of no medium."""
    return table.drop_columns([name for name in IF_ANY if not any(table[name].unique().to_pylist())])


def sample_id(dataset: str, media: str, frame: int, face: int) -> str:
    """The stable id of a sample: 24 hex digits over what names it, so that anybody can compute it again."""
    return hashlib.sha256(f"{dataset}\0{media}\0{frame}\0{face}".encode()).hexdigest()[:24]


_PAGE = """\
# The corpus schema, version {version}

Written by `python -m mmidd.schema > docs/schema.md` from `mmidd/schema.py`. Columns are only ever added, at the end, and
all may be null; the names of classes never change. `filled from` says which stage alone may fill it: pixels see no labels.

## Rows: `data/{{split}}-{{dataset}}-*.parquet`

{columns}
`box` and `landmarks` are in pixels of the upright frame, whose size is `width` and `height`; `box`, `landmarks` and
`transform` are null for whole images. With `geometry` shared, `box`, `landmarks`, `transform`, `detection_score`,
`faces_found`, `runner_up` and `track` are those of the paired real, so that no filter on them keeps one side of a pair
alone. `id` is the first 24 hex digits of the sha256 of dataset, media, frame and face, with
a zero byte between them.

What a column tells of the label within a pair: nothing; its value, which is measured on the sample's own pixels or file
(its being null tells nothing); or the label, which it says or which only one side has.

## Forgery types

{types}
## Presentation attacks

A face that is shown to a camera on paper, on a screen or as a mask is a fake of label `fake`, without a forgery type:
`attack` says its family, `method` the instrument. A person before the camera is `real`, as everywhere.

{attacks}
## Media: `media.parquet`

{media}"""


def markdown() -> str:
    """The page `docs/schema.md`."""
    columns = (
        (c.name, _plain(c.type), " or ".join(c.classes) if c.classes else c.unit, c.meaning, c.origin, c.tells)
        for c in COLUMNS
    )
    return _PAGE.format(
        version=SCHEMA_VERSION,
        columns=_table(("column", "type", "unit", "meaning", "filled from", "tells of the label"), columns),
        types=_table(("name", "meaning"), FORGERY_NAMES.items()),
        attacks=_table(("name", "meaning"), ATTACK_NAMES.items()),
        media=_table(("column", "type", "meaning"), ((name, _plain(kind), text) for name, kind, text in MEDIA_COLUMNS)),
    )


def _plain(kind: pa.DataType) -> str:
    """A type without the names that Arrow gives to a list's items."""
    if kind == IMAGE:
        return "image"
    if pa.types.is_list(kind):
        return f"{_plain(kind.value_type)}[]"
    if pa.types.is_fixed_size_list(kind):
        inner, _, rest = _plain(kind.value_type).partition("[")
        return f"{inner}[{kind.list_size}{', ' + rest if rest else ']'}"
    return _FLOATS.get(kind, str(kind))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
