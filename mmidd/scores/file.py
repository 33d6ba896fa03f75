"""The score file: one row a frame and one row a clip that the splits name, whatever became of it, and all it depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.errors import ScoreError
from mmidd.schema import FORGERY_TYPES

FORMAT = "mmidd scores 1"
LEVELS = ("frame", "clip")
STATUSES = ("ok", "missing", "error")
MEAN = "the mean of its frames that have a score"
TYPES_OFF = 1e-3
"""How far types may be from adding up to 1: half precision is."""
_KEY = b"mmidd.scores"

SCHEMA = pa.schema(
    [
        pa.field("level", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("media", pa.string(), nullable=False),
        pa.field("frame", pa.int32()),
        pa.field("face", pa.int32()),
        pa.field("id", pa.string()),
        pa.field("group", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("forgery_type", pa.string()),
        pa.field("method", pa.string()),
        pa.field("compression", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("types", pa.list_(pa.float64(), len(FORGERY_TYPES))),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("frames_named", pa.int32(), nullable=False),
    ]
)
"""`level`: frame or clip (of one medium; an image is a clip of one frame). `frame` and `id`: null for clips, and for frames
that are known only by their number lost. `face`: which kept face; null for clips, which take all. `status`: ok, missing (the
split names it, the corpus has no sample of it: `reason` says why), error (there is a sample, and no score). `score`: how
likely it is forged, 0..1; null unless ok. `types`: of FORGERY_TYPES, adding up to 1; null from a detector that knows none.
`frames`: how many scores it comes from (0 unless ok, 1 for frames); `frames_named`: of how many."""


@dataclass(frozen=True)
class About:
    """All that the scores depend on. `model`: JSON: kind (run, onnx, python, imported), name, digest, and more by kind.
    `corpus`: name, digest. `splits`, `only`: what was asked for. `named`: a digest of what these name (`named.digest`).
    `degradation`: what was done to the images first ("jpeg=40"), None for nothing. `clip`: how a clip's score is made.
    `versions`: of packages. `left_out`: what the splits do not name, by reason (`named.left_out`)."""

    model: Mapping[str, Any]
    corpus: Mapping[str, Any]
    splits: tuple[str, ...]
    only: tuple[str, ...]
    named: str
    degradation: str | None = None
    clip: str = MEAN
    versions: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """JSON."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """`table` has SCHEMA, frames first, each level in the order of split, dataset, media, frame (unknown last), face."""

    table: pa.Table
    about: About

    def level(self, level: str, split: str | None = None) -> pa.Table:
        """The rows of frames, or of clips; of one split."""
        found = self.table.filter(pc.equal(self.table["level"], level))
        return found if split is None else found.filter(pc.equal(found["split"], split))


def write(path: Path, scores: ScoreFile) -> None:
    """Write a new file. Raises FileExistsError; the caller puts it in place."""
    told = json.dumps(scores.about.document(), sort_keys=True, ensure_ascii=False)
    table = scores.table.cast(SCHEMA).replace_schema_metadata({_KEY: told.encode()})
    with path.open("xb") as file:  # not by its name: pyarrow takes none that is no Unicode
        pq.write_table(table, file, write_page_checksum=True, compression="zstd")


def read(path: str | Path) -> ScoreFile:
    """Raises ScoreError for what is no score file of this format."""
    try:
        with Path(path).open("rb") as file:
            table = pq.read_table(file, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise ScoreError(
            f"{path} cannot be read as a score file ({type(error).__name__}): mmidd score writes one"
        ) from error
    told = (table.schema.metadata or {}).get(_KEY)
    if told is None or not table.schema.remove_metadata().equals(SCHEMA):
        raise ScoreError(
            f"{path} is no score file: mmidd score writes one, mmidd score --import takes scores made elsewhere"
        )
    document = json.loads(told)
    document.pop("format")
    document |= {name: tuple(document[name]) for name in ("splits", "only")}
    return ScoreFile(table.replace_schema_metadata(None), About(**document))
