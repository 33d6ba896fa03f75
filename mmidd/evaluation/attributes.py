"""What tells clips apart beside their labels: columns of the scores, columns and captions of the corpus, a CSV of others."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError, UsageError
from mmidd.evaluation.files import Named
from mmidd.evaluation.items import Coded, coded
from mmidd.schema import BY_NAME

OF_SCORES = ("dataset", "method", "forgery_type", "compression")
CAPTIONS = ("face_caption", "environment_caption")
PARTS = 4
MOST_VALUES = 200
"""Of an attribute: each value is a test of its own, of which after Holm nothing is left, and a line of what is told."""
_MOST_BYTES = 256 << 20


def values_of(named: Named, by: Sequence[str], corpus: Corpus | None, attributes: Path | None) -> dict[str, Coded]:
    """For each asked column, and each one of the file of attributes, the value of every clip; -1 where it has none. `by`: a
    column of the scores or of the corpus, or `face_caption=WORD`. Raises UsageError and ScoreError."""
    found = {}
    for column in by:
        name, equals, word = column.partition("=")
        if name in OF_SCORES and not equals:
            found[column] = named.clips.columns[name]
        elif name not in BY_NAME or (equals and name not in CAPTIONS):
            raise UsageError(
                f"--by {column}: there are {', '.join(OF_SCORES)}, the columns of a corpus, and face_caption=WORD"
            )
        elif corpus is None:
            raise UsageError(f"--by {column} is a column of the corpus: give --corpus CORPUS")
        else:
            found[column] = _of_corpus(named, corpus, name, word)
    others = _of_file(named, attributes) if attributes is not None else {}
    if both := sorted(found.keys() & others.keys()):
        raise UsageError(f"--by {both[0]} is a column of {attributes} as well: which one is meant? Name one otherwise")
    found |= others
    for column, codes in found.items():
        if len(codes.present()) > MOST_VALUES:
            raise UsageError(
                f"{column} has {len(codes.present()):,} values among the clips of {named.name}: clips can be told apart by "
                f"{MOST_VALUES} at most; leave it out, or join values"
            )
    return found


def _of_corpus(named: Named, corpus: Corpus, name: str, word: str) -> Coded:
    """A clip has the value of its first frame; a caption has a word or not."""
    frames = named.table("frame")
    frames = frames.filter(frames["id"].is_valid())
    table = corpus.take(corpus.find(frames["id"].to_pylist()), [name])
    kind = table[name].type
    if not (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise UsageError(f"--by {name}: it holds no words and no numbers")
    keys, values = _keys(frames), table[name].to_pylist()
    first: dict[tuple[str, str], Any] = {}
    for key, value in zip(keys, values, strict=True):
        if first.get(key) is None:
            first[key] = value
    if word:
        asked = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
        texts = {key: None if value is None else "yes" if asked.search(value) else "no" for key, value in first.items()}
    elif BY_NAME[name].classes:
        texts = {key: None if value is None else BY_NAME[name].classes[value] for key, value in first.items()}
    elif pa.types.is_string(kind):
        texts = first
    else:
        texts = _parts(first)
    return coded(pa.chunked_array([pa.array([texts.get(key) for key in _keys(named.table("clip"))], pa.string())]))


def _parts(values: dict[tuple[str, str], Any]) -> dict[tuple[str, str], str | None]:
    """Numbers as PARTS ranges with about as many clips each; few different ones as they are."""
    known = np.array([value for value in values.values() if value is not None], np.float64)
    if len(np.unique(known)) <= 2 * PARTS:
        return {key: None if value is None else f"{value:g}" for key, value in values.items()}
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PARTS + 1)))
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges.tolist())]

    def part(value: float) -> str:
        return names[min(len(names) - 1, int(np.searchsorted(edges, value, side="right")) - 1)]

    return {key: None if value is None else part(value) for key, value in values.items()}


def _of_file(named: Named, path: Path) -> dict[str, Coded]:
    """A CSV with `media`, `dataset` where media of several have one name, and a column for each attribute."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ScoreError(f"{path} has more than 256 MiB: it is no table of attributes")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScoreError(
            f"{path} cannot be read as CSV ({type(error).__name__}): give columns media, dataset, ..."
        ) from error
    heads = list(rows[0]) if rows else []
    if "media" not in heads or None in heads or len(heads) < 2 + ("dataset" in heads):
        raise ScoreError(f"{path} has no column media with others beside it: give columns media, dataset, ATTRIBUTE ...")
    clips = _keys(named.table("clip"))
    told: dict[tuple[str, str], dict[str, str]] = {}
    for number, row in enumerate(rows, start=2):
        key = (row.get("dataset") or "", row["media"] or "")
        if None in row or None in row.values():
            raise ScoreError(f"{path}, line {number}: it has not as many fields as the first line")
        if told.setdefault(key, row) != row:
            raise ScoreError(f"{path}, line {number}: {key[1]} is there twice with other values")
    mine = [told.get(key) or told.get(("", key[1])) for key in clips]
    if not any(mine):
        raise ScoreError(f"{path} names none of the {len(clips):,} clips of {named.name}: media are paths in their dataset")
    return {
        name: coded(pa.chunked_array([pa.array([row[name] or None if row else None for row in mine], pa.string())]))
        for name in heads
        if name not in ("media", "dataset")
    }


def _keys(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["dataset"].to_pylist(), table["media"].to_pylist(), strict=True))
