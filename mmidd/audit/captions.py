"""The audit of captions: do they leak, repeat, agree with what is measured, and fit their images?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmidd.audit.agreement import MEASURES, with_celeba, with_measures
from mmidd.audit.attributes import read_list
from mmidd.audit.census import Census, distinctness, planted, presence, take_census
from mmidd.audit.features import require
from mmidd.audit.leak import Sampled, leak_test
from mmidd.audit.rank import load, rank_test
from mmidd.audit.results import Audit, CheckPart
from mmidd.audit.review import choose, page
from mmidd.audit.rows import CAPTIONS, FIELDS, LONGEST, Bools, Coded, Ints, Rows, code, first_of, spread
from mmidd.corpus.read import Corpus

SAMPLE = 20_000
"""Rows that the leak test and the agreement look at; a larger corpus is sampled, evenly over datasets and types."""
RANKED = 500
"""Images that CLIP sees."""


@dataclass(frozen=True)
class AuditOptions:
    """What the command line may add: a CLIP model, CelebA's attribute list, and whether a review page is wanted."""

    clip: str | None = None
    attributes: Path | None = None
    review: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Audited:
    """The audit, and the review page where one was asked for."""

    audit: Audit
    page: str | None


def audit_captions(corpus: Corpus, options: AuditOptions) -> Audited:
    """Audit the captions of a corpus. Raises CorpusError, DataError, MissingExtra, MissingWeights."""
    require()
    listed = read_list(options.attributes) if options.attributes is not None else None
    embed = load(options.clip) if options.clip is not None else None
    rows = code(corpus)
    census = take_census(rows)
    captioned = np.zeros(len(rows), dtype=np.bool_)
    for name in FIELDS:
        captioned[census.rows[name]] = True

    chosen = spread(rows, (rows.dataset, rows.kind), SAMPLE, options.seed)
    found = _columns(corpus, chosen, ("media", *MEASURES, *CAPTIONS))
    texts = {name: [_cut(text) for text in found[column]] for name, column in zip(FIELDS, CAPTIONS, strict=True)}
    parts = [presence(census), planted(census), leak_test(_sampled(rows, chosen, texts), options.seed)]
    parts.append(distinctness(census, rows, _once_a_group(rows, chosen, texts)))
    parts += _agreement(rows, chosen, found, texts["face"], listed)
    if embed is not None and options.clip is not None:
        few = spread(rows, (rows.dataset,), RANKED, options.seed, captioned)
        seen = _columns(corpus, few, ("image", *CAPTIONS))
        described = {name: [_cut(text) for text in seen[column]] for name, column in zip(FIELDS, CAPTIONS, strict=True)}
        images = [(image or {}).get("bytes") or b"" for image in seen["image"]]
        groups, datasets = rows.group.codes[few], rows.dataset.codes[few]
        parts.append(rank_test(Path(options.clip).name, embed, images, described, datasets, groups, options.seed))
    parts[0] = _with_sample(parts[0], census, len(chosen))
    written = page(choose(rows, captioned, options.seed)) if options.review else None
    return Audited(Audit("captions", tuple(parts)), written)


def _columns(corpus: Corpus, chosen: Ints, columns: Sequence[str]) -> dict[str, list[Any]]:
    found = corpus.take(chosen, columns)
    return {name: found[name].to_pylist() for name in columns}


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:LONGEST]


def _of(column: Coded, chosen: Ints) -> Coded:
    return Coded(column.codes[chosen], column.names)


def _sampled(rows: Rows, chosen: Ints, texts: dict[str, list[str | None]]) -> Sampled:
    dataset, label, kind, group = (_of(column, chosen) for column in (rows.dataset, rows.label, rows.kind, rows.group))
    return Sampled(dataset, label, kind, group, texts)


def _once_a_group(rows: Rows, chosen: Ints, texts: dict[str, list[str | None]]) -> dict[str, list[str]]:
    """Of each group of the sample one text a field."""
    kept: dict[str, list[str]] = {}
    for name, column in texts.items():
        here = np.flatnonzero(_present(column))
        first = here[first_of(rows.group.codes[chosen[here]])]
        kept[name] = [column[place] or "" for place in first]
    return kept


def _present(column: list[str | None]) -> Bools:
    return np.array([text is not None for text in column], dtype=np.bool_)


def _agreement(
    rows: Rows, chosen: Ints, found: dict[str, list[Any]], faces: list[str | None], listed: dict[str, frozenset[str]] | None
) -> list[CheckPart]:
    """One face caption of each medium against what was measured, and against CelebA's list."""
    here = np.flatnonzero(_present(faces))
    places = here[first_of(rows.medium.codes[chosen[here]])].tolist()
    captions = [faces[place] or "" for place in places]
    parts = [with_measures(captions, [{name: found[name][place] for name in MEASURES} for place in places])]
    if listed is not None:
        names = [(rows.dataset.of(chosen[place]), str(found["media"][place])) for place in places]
        parts.append(with_celeba(captions, names, listed))
    return parts


def _with_sample(part: CheckPart, census: Census, size: int) -> CheckPart:
    line = f"{size} of {census.total} rows sampled for the leak test, openings and agreement"
    return CheckPart(part.name, (*part.lines, line), {**part.figures, "sampled": size}, part.findings, part.untested)
