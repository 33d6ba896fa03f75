"""What a model said of each frame, in a file beside the score file that it is of, and what that comes to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.engine.files import digest
from mmidd.engine.tables import content_digest
from mmidd.errors import ScoreError
from mmidd.explanations.flags import KINDS, flags, kinds
from mmidd.explanations.regions import mentions
from mmidd.explanations.reply import Said
from mmidd.schema import LABELS
from mmidd.scores.file import ScoreFile
from mmidd.scores.foreign import parquet

FORMAT = "mmidd explanations 1"
_KEY = b"mmidd.explanations"
UNANSWERED = "no answer in its reply: "
"""How the reason of such a row begins."""
COLUMNS = {
    "id": (pa.string(), "of the sample"),
    "split": (pa.string(), "as in the score file"),
    "dataset": (pa.string(), "as in the score file"),
    "media": (pa.string(), "as in the score file"),
    "frame": (pa.int32(), "as in the score file"),
    "face": (pa.int32(), "as in the score file"),
    "answer": (pa.string(), "real or fake, whatever words it was asked for; null where the reply has none"),
    "wrong": (pa.string(), "why there is no answer"),
    "chain": (pa.string(), "the reasons: what stands before the answer"),
    "reply": (pa.string(), "all that it said"),
    "tokens": (pa.int32(), "of the reply"),
    "cut": (pa.bool_(), "did the reply run into the limit?"),
    "direct": (pa.float64(), "the score without reasons"),
    "alone": (pa.float64(), "the score that the reasons give without the image; null where there are none"),
    "score": (pa.float64(), "the score behind the reasons, as in the score file; null without an answer"),
    "regions": (pa.list_(pa.string()), "parts of the face that the reasons name (explanations.regions)"),
    "denied": (pa.list_(pa.string()), "parts that they name only to say that nothing is wrong there"),
    "flags": (pa.list_(pa.string()), f"what the reply names of a person: {', '.join(KINDS)} (explanations.flags). No text "
              "of a row with a flag is to be shown without it"),
}  # fmt: skip
SCHEMA = pa.schema([pa.field(name, kind) for name, (kind, _) in COLUMNS.items()])
_PAIRS = {"score": "its score", "direct": "the score without reasons", "alone": "the score of the reasons alone"}


@dataclass(frozen=True, eq=False)
class Explanations:
    """`table` has SCHEMA, in the order of the score file's frames. `about`: JSON: the model, the corpus, what was done to
    the images, `scores`: which score file it is of (`identity`)."""

    table: pa.Table
    about: Mapping[str, Any]


def place_of(path: str | Path) -> Path:
    """Where the explanations of a score file lie: FILE.explanations.parquet beside FILE.parquet."""
    return Path(path).with_name(f"{Path(path).stem}.explanations.parquet")


def identity(scores: ScoreFile) -> str:
    """Names the scores and all that they depend on."""
    return digest(content_digest(scores.table), json.loads(json.dumps(scores.about.document())))


def made(scores: ScoreFile, said: Mapping[str, Said]) -> Explanations:
    """Of what was said of the samples of these ids."""
    frames = scores.level("frame")
    frames = frames.filter(pc.is_in(frames["id"], pa.array(list(said), pa.string()))).to_pylist()
    rows = [_row(frame, said[frame["id"]]) for frame in frames]
    about = scores.about
    told = {
        "format": FORMAT, "scores": identity(scores), "model": dict(about.model), "corpus": dict(about.corpus),
        "degradation": about.degradation, "columns": {name: meaning for name, (_, meaning) in COLUMNS.items()},
    }  # fmt: skip
    return Explanations(pa.Table.from_pylist(rows, SCHEMA), told)


def _row(frame: Mapping[str, Any], said: Said) -> dict[str, Any]:
    found = mentions(said.chain)
    return {
        **{name: frame[name] for name in ("id", "split", "dataset", "media", "frame", "face", "score")},
        **{name: getattr(said, name) for name in ("wrong", "chain", "reply", "tokens", "cut", "direct", "alone")},
        "answer": None if said.answer is None else LABELS[said.answer],
        "regions": [each.region for each in found if not each.denied],
        "denied": [each.region for each in found if each.denied],
        "flags": list(kinds(flags(said.reply))),
    }


def write(path: Path, found: Explanations) -> None:
    """Write a new file: the same explanations, the same bytes. The caller puts it in place."""
    table = found.table.cast(SCHEMA).combine_chunks()
    told = {**found.about, "rows": content_digest(table)}
    told["told"] = digest(told)
    table = table.replace_schema_metadata({_KEY: json.dumps(told, sort_keys=True, ensure_ascii=True).encode()})
    with path.open("xb") as file:
        pq.write_table(table, file, write_page_checksum=True, compression="zstd", row_group_size=1 << 14)


def read(path: str | Path) -> Explanations:
    """Raises ScoreError for what holds no explanations of this format, or was changed since."""
    where = f"{str(path)!r}"
    with parquet(path, "explanations: mmidd score --explain writes them") as file:
        about = _about((file.schema.metadata or {}).get(_KEY), where)
        if not file.schema.remove_metadata().equals(SCHEMA):
            raise ScoreError(f"{where} has other columns than explanations: write it again with mmidd score --explain")
        table = file.table(SCHEMA)
    if about.pop("rows", None) != content_digest(table):
        raise ScoreError(
            f"{where} was changed since it was written, or is damaged: write it again with mmidd score --explain"
        )
    return Explanations(table, about)


def _about(told: bytes | None, where: str) -> dict[str, Any]:
    if told is None:
        raise ScoreError(f"{where} holds no explanations: mmidd score --explain writes them beside a score file")
    try:
        found: Any = json.loads(told)
    except (ValueError, RecursionError) as error:
        raise ScoreError(f"{where} does not say what it is of: write it again with mmidd score --explain") from error
    form = found.get("format") if isinstance(found, dict) else None
    if form != FORMAT:
        raise ScoreError(f"{where} has the format {form!r}, this mmidd reads {FORMAT!r}: write it again with mmidd score")
    if found.pop("told", None) != digest(found):
        raise ScoreError(f"{where}: what it says of itself was changed since: write it again with mmidd score --explain")
    return dict(found)


def read_beside(path: str | Path, scores: ScoreFile) -> Explanations | None:
    """Those of a score file; None where none lie beside it. Raises ScoreError where what lies there is of other scores."""
    place = place_of(path)
    if not place.exists():
        return None
    found = read(place)
    if found.about.get("scores") != identity(scores):
        raise ScoreError(f"{place} holds what was said with other scores than those of {path}: it is of another scoring")
    return found


# What they come to.


def agrees(table: pa.Table, with_: str) -> pa.ChunkedArray:
    """Of each row: does the answer go with the score `with_` (score, direct, alone; fake from 0.5 on)? Null where there is
    no answer, or no such score."""
    return pc.equal(pc.equal(table["answer"], "fake"), pc.greater_equal(table[with_], 0.5))


def summary(found: Explanations) -> dict[str, Any]:
    """JSON: how many were asked, gave no answer by reason, name what is flagged by kind; how many answers go with each of
    the scores, of how many."""
    table = found.table
    agreement = {}
    for with_ in _PAIRS:
        held = agrees(table, with_).drop_null()
        agreement[with_] = {"agree": int(pc.sum(held).as_py() or 0), "of": len(held)}
    return {
        "asked": table.num_rows,
        "answered": table.num_rows - table["answer"].null_count,
        "no_answer": dict(Counter(table["wrong"].drop_null().to_pylist()).most_common()),
        "cut": int(pc.sum(table["cut"]).as_py() or 0),
        "no_reasons": int(pc.sum(pc.equal(table["chain"], "")).as_py() or 0),
        "flagged": {kind: sum(kind in each for each in table["flags"].to_pylist()) for kind in KINDS},
        "agreement": agreement,
        "tokens_mean": None if not table.num_rows else float(pc.mean(table["tokens"]).as_py()),
    }


def summary_lines(found: Mapping[str, Any]) -> list[str]:
    """The same in words."""
    asked, none = found["asked"], sum(found["no_answer"].values())
    lost = ", ".join(f"{count:,} {why}" for why, count in found["no_answer"].items())
    lines = [f"{asked:,} replies, {none:,} without an answer (errors){f': {lost}' if lost else ''}"]
    told = "; ".join(
        f"{each['agree']:,} of {each['of']:,} with {_PAIRS[with_]}" for with_, each in found["agreement"].items()
    )
    lines.append(f"answers that agree: {told}")
    flagged = ", ".join(f"{count:,} {kind}" for kind, count in found["flagged"].items() if count)
    lines.append(f"replies flagged for what they name of a person: {flagged or 'none'}")
    if found["no_reasons"]:
        lines.append(f"{found['no_reasons']:,} replies give no reasons")
    return lines
