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

from mmidd.engine.files import digest
from mmidd.engine.tables import content_digest
from mmidd.errors import ScoreError
from mmidd.scores.checks import check
from mmidd.scores.columns import LEVELS as LEVELS
from mmidd.scores.columns import MEAN as MEAN
from mmidd.scores.columns import ONE_A_CLIP as ONE_A_CLIP
from mmidd.scores.columns import SCHEMA as SCHEMA
from mmidd.scores.columns import STATUSES as STATUSES
from mmidd.scores.foreign import parquet

_NAME = "mmidd scores"
FORMAT = f"{_NAME} 1"
_KEY, _BESIDE = b"mmidd.scores", b"mmidd.explanations"
_ROWS = "rows"
_TOLD = "told"
"""The key of a digest of all that the file says besides its rows: a footer of Parquet has no checksum."""
_GROUP = 1 << 17
"""Rows of a row group."""
_FEW_VALUES = [each for each in SCHEMA.names if each not in ("media", "id", "group", "score", "types")]
"""Columns written as a dictionary. A large one would be read by a few rows at a time: each could be the longest of it."""


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

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that are scored: frames are not, where others scored clips alone."""
        return LEVELS if self.about.clip == MEAN else ("clip",)

    def level(self, level: str, split: str | None = None) -> pa.Table:
        """The rows of frames, or of clips; of one split."""
        found = self.table.filter(pc.equal(self.table["level"], level))
        return found if split is None else found.filter(pc.equal(found["split"], split))


def write(path: Path, scores: ScoreFile) -> None:
    """Write a new file: the same scores, the same bytes. The caller puts it in place. Raises FileExistsError, and ScoreError
    for scores that `read` would refuse."""
    table = scores.table.cast(SCHEMA).combine_chunks()
    check(table, scores.about.clip, scores.about.splits, scores.about.named)
    told = scores.about.document() | {_ROWS: content_digest(table), _TOLD: _digest(scores.about)}
    table = table.replace_schema_metadata({_KEY: json.dumps(told, sort_keys=True, ensure_ascii=True).encode()})
    with path.open("xb") as file:  # not by its name: pyarrow takes none that is no Unicode
        pq.write_table(
            table, file, write_page_checksum=True, compression="zstd", row_group_size=_GROUP, use_dictionary=_FEW_VALUES
        )


def read(path: str | Path) -> ScoreFile:
    """Raises ScoreError for what is no score file of this format, was changed since, or contradicts itself."""
    where = f"{str(path)!r}"
    with parquet(path, "a score file: mmidd score writes one") as file:
        held = file.schema.metadata or {}
        about, rows = _about(held.get(_KEY), where, beside=_BESIDE in held)
        if not file.schema.remove_metadata().equals(SCHEMA):
            raise ScoreError(f"{where} has other columns or types than a score file: write it again with mmidd score")
        table = file.table(SCHEMA)
    try:
        check(table, about.clip, about.splits, about.named)
        if rows != content_digest(table):
            raise ScoreError("its rows are not those that were written: it was changed since, or is damaged")
    except ScoreError as error:
        raise ScoreError(f"{where} cannot be used: {error}; write it again with mmidd score") from error
    return ScoreFile(table, about)


def _about(told: bytes | None, where: str, *, beside: bool = False) -> tuple[About, str]:
    """What a file says that its scores depend on, and the digest of its rows."""
    if told is None and beside:
        raise ScoreError(f"{where} holds explanations: name the score file that it lies beside")
    if told is None:
        raise ScoreError(
            f"{where} is no score file: mmidd score writes one, mmidd score --import takes scores made elsewhere"
        )
    try:
        document = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise ScoreError(f"{where} does not say what its scores depend on: write it again with mmidd score") from error
    form = document.pop("format", None) if isinstance(document, dict) else None
    if form != FORMAT:
        newer = isinstance(form, str) and form.startswith(f"{_NAME} ")
        way_out = "read it with the mmidd that wrote it" if newer else "write it again with mmidd score"
        raise ScoreError(f"{where} has the format {form!r}, this mmidd reads {FORMAT!r}: {way_out}")
    rows, told_digest = (document.pop(name, None) for name in (_ROWS, _TOLD))
    for name, kind in _KINDS.items():
        if (name not in document and name not in _OPTIONAL) or not isinstance(document.get(name, kind()), kind):
            raise ScoreError(f"{where} says no {name!r} that its scores depend on: write it again with mmidd score")
    if strange := sorted({*document} - {*_KINDS, "degradation"}):
        raise ScoreError(f"{where} depends on {strange[0]!r}, which this mmidd does not know: read it with a newer one")
    lists = {name: tuple(document[name]) for name in ("splits", "only")}
    texts = [*lists["splits"], *lists["only"], "" if document.get("degradation") is None else document["degradation"]]
    if not isinstance(rows, str) or not all(isinstance(each, str) for each in texts):
        raise ScoreError(f"{where} does not say what its scores depend on: write it again with mmidd score")
    about = About(**(document | lists))
    if told_digest is not None and told_digest != _digest(about):  # a file of before has none
        raise ScoreError(
            f"{where}: what it says of its scores was changed since, or is damaged: write it again with mmidd score"
        )
    return about, rows


def _digest(about: About) -> str:
    return digest(json.dumps(about.document(), sort_keys=True, ensure_ascii=True))[:16]


_KINDS: Mapping[str, type] = {
    "model": dict, "corpus": dict, "splits": list, "only": list, "named": str, "clip": str, "versions": dict,
    "left_out": dict,
}  # fmt: skip
_OPTIONAL = ("clip", "versions", "left_out")
