"""Every caption of a corpus, read once: how many there are, words that must not be in them, how often they repeat."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmidd.audit.results import CheckPart, Untested, finding
from mmidd.audit.rows import CAPTIONS, FIELDS, LONGEST, Ints, Rows
from mmidd.captions.leaks import leaks
from mmidd.captions.tokens import CONTENT_TOKENS, clip_tokens
from mmidd.errors import MissingExtra
from mmidd.findings import Finding
from mmidd.statistics import wilson

REPEATED = 0.5
"""Of the captions, counted once a group: the share that also stands in another group. More is a finding."""
FREQUENT = 0.05
"""The share of groups that one and the same caption may stand in."""
LEAST_REPEATED = 20
"""Groups with captions, below which repetition is told but is no finding."""
OPENING = 5
_BIN = 5
_EXAMPLES = 10


@dataclass
class _Field:
    """One field's counts while the corpus is read."""

    null: int = 0
    cut: int = 0
    rows: list[Ints] = field(default_factory=list)
    digests: list[Any] = field(default_factory=list)
    lengths: Counter[int] = field(default_factory=Counter)
    planted: Counter[str] = field(default_factory=Counter)
    carriers: int = 0


@dataclass(frozen=True, eq=False)
class Census:
    """What was counted over all rows; `digests` name the texts of `rows`, a field each."""

    total: int
    null: Mapping[str, int]
    cut: Mapping[str, int]
    rows: Mapping[str, Ints]
    digests: Mapping[str, Any]
    lengths: Mapping[str, Counter[int]]
    planted: Mapping[str, Counter[str]]
    carriers: Mapping[str, int]


def take_census(rows: Rows) -> Census:
    """Read all captions, batch by batch; of each only its digest, length and words of the leak list are kept."""
    kept = {name: _Field() for name in FIELDS}
    for start, batch in rows.corpus.batches(CAPTIONS):
        for name, column in zip(FIELDS, batch.columns, strict=True):
            _count(kept[name], start, column.to_pylist())
    none = np.zeros(0, dtype=np.int64)
    return Census(
        total=len(rows),
        null={name: found.null for name, found in kept.items()},
        cut={name: found.cut for name, found in kept.items()},
        rows={name: np.concatenate([none, *found.rows]) for name, found in kept.items()},
        digests={name: np.concatenate([none.astype(np.uint64), *found.digests]) for name, found in kept.items()},
        lengths={name: found.lengths for name, found in kept.items()},
        planted={name: found.planted for name, found in kept.items()},
        carriers={name: found.carriers for name, found in kept.items()},
    )


def _count(kept: _Field, start: int, column: Sequence[str | None]) -> None:
    times = Counter(column)
    kept.null += times.pop(None, 0)
    named: dict[str, int] = {}
    for text, count in times.items():
        if text is None:
            continue
        kept.cut += count * (len(text) > LONGEST)
        short = text[:LONGEST]
        kept.lengths[len(short.split())] += count
        words = sorted({word.casefold() for word in leaks(short)})
        kept.carriers += count * bool(words)
        for word in words:
            kept.planted[word] += count
        named[text] = int.from_bytes(hashlib.blake2b(_plain(text).encode(), digest_size=8).digest())
    here = [place for place, text in enumerate(column) if text is not None]
    kept.rows.append(np.array(here, dtype=np.int64) + start)
    kept.digests.append(np.array([named[column[place] or ""] for place in here], dtype=np.uint64))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def presence(census: Census) -> CheckPart:
    """How many captions there are, and those that were cut to be read."""
    figures = {"rows": census.total, "null": dict(census.null), f"over_{LONGEST}_characters": dict(census.cut)}
    lines = [f"{name}: {census.total - census.null[name]} captions, {census.null[name]} null" for name in FIELDS]
    advice = "captions hold a sentence or two; look at these"
    findings = [
        finding("length", f"{cut} {name} captions have more than {LONGEST} characters; only their start was read", advice)
        for name, cut in census.cut.items()
        if cut
    ]
    empty = [Untested(f"all checks of {name}", "no row has such a caption") for name in FIELDS if not len(census.rows[name])]
    return CheckPart("captions", tuple(lines), figures, tuple(findings), tuple(empty))


def planted(census: Census) -> CheckPart:
    """Words of the leak list that stand in captions: each is a finding."""
    findings, figures = [], {}
    for name in FIELDS:
        most = sorted(census.planted[name].items(), key=lambda item: (-item[1], item[0]))
        figures[name] = {"captions": census.carriers[name], "words": dict(most)}
        if most:
            told = ", ".join(f"{word!r} {count}" for word, count in most[:_EXAMPLES])
            what = f"{census.carriers[name]} {name} captions hold words of the leak list: {told}"
            findings.append(
                finding("leak list", what, "caption these samples again; mmidd's own captioners refuse such text")
            )
    line = "leak list: " + ", ".join(f"{census.carriers[name]} {name} captions hold a word of it" for name in FIELDS)
    return CheckPart("leak_list", (line,), figures, tuple(findings))


def distinctness(census: Census, rows: Rows, sample: Mapping[str, Sequence[str]]) -> CheckPart:
    """How often captions repeat, over all of them; openings, distinct-n and CLIP tokens over the sampled texts."""
    lines: list[str] = []
    findings: list[Finding] = []
    figures: dict[str, Any] = {}
    untested: list[Untested] = []
    for name in FIELDS:
        if not len(census.rows[name]):
            continue
        repeats = _repeats(census, rows, name)
        words = {str(low): count for low, count in _histogram(census.lengths[name]).items()}
        figures[name] = {**repeats, "words": words, **_of_sample(sample[name])}
        lines.append(_line(name, figures[name]))
        findings += _repetition(name, figures[name])
        try:
            tokens = Counter(clip_tokens(text) for text in sample[name])
        except MissingExtra as error:
            untested.append(Untested(f"CLIP tokens of {name}", str(error)))
            continue
        long = sum(count for length, count in tokens.items() if length > CONTENT_TOKENS)
        histogram = {str(low): count for low, count in _histogram(tokens).items()}
        figures[name] |= {"clip_tokens": histogram, f"over_{CONTENT_TOKENS}_tokens": long}
        if long:
            what = f"{long} of {len(sample[name])} sampled {name} captions have more than {CONTENT_TOKENS} CLIP tokens"
            findings.append(finding("length", what, "CLIP never sees their end: ask for shorter ones"))
    return CheckPart("distinctness", tuple(lines), figures, tuple(findings), tuple(untested))


def _repeats(census: Census, rows: Rows, name: str) -> dict[str, Any]:
    """Distinct captions; and, a caption counted once a group, how many stand in several groups."""
    digests, groups = census.digests[name], rows.group.codes[census.rows[name]]
    text = np.unique(digests, return_inverse=True)[1]
    pairs = np.unique(text * len(rows.group.names) + groups)
    owners = np.bincount(pairs // len(rows.group.names))
    captioned = len(np.unique(groups))
    return {
        "captions": len(digests),
        "distinct": len(owners),
        "groups": captioned,
        "once_a_group": len(pairs),
        "in_several_groups": int(owners[owners > 1].sum()),
        "most_groups_of_one": int(owners.max()),
        "example_row": int(census.rows[name][np.flatnonzero(text == owners.argmax())[0]]),
    }


def _of_sample(sample: Sequence[str]) -> dict[str, Any]:
    openings = Counter(" ".join(_words(text)[:OPENING]) for text in sample)
    ratio: dict[str, float] = {}
    for n in (1, 2, 3):
        seen: set[tuple[str, ...]] = set()
        total = 0
        for text in sample:
            grams = list(zip(*(_words(text)[offset:] for offset in range(n)), strict=False))
            total += len(grams)
            seen.update(grams)
        ratio[str(n)] = round(len(seen) / total, 4) if total else 0.0
    return {"sampled": len(sample), "openings": dict(openings.most_common(_EXAMPLES)), "distinct_n": ratio}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _histogram(lengths: Counter[int]) -> dict[int, int]:
    bins: dict[int, int] = defaultdict(int)
    for length, count in lengths.items():
        bins[length // _BIN * _BIN] += count
    return dict(sorted(bins.items()))


def _line(name: str, figures: Mapping[str, Any]) -> str:
    opening, times = next(iter(figures["openings"].items()), ("", 0))
    ratio = figures["distinct_n"]
    return (
        f"{name}: {figures['distinct']} distinct of {figures['captions']}; {figures['in_several_groups']} of "
        f"{figures['once_a_group']} (once a group) stand in several groups, one in {figures['most_groups_of_one']} of "
        f"{figures['groups']}; {times} of {figures['sampled']} sampled open with {opening!r}; "
        f"distinct-1 {ratio['1']:.3f}, distinct-2 {ratio['2']:.3f}"
    )


def _repetition(name: str, figures: Mapping[str, Any]) -> Iterator[Finding]:
    advice = "such captions do not describe their image: vary the prompt, or take a captioner that says more"
    if figures["groups"] < LEAST_REPEATED:
        return
    several, once = figures["in_several_groups"], figures["once_a_group"]
    low, high = wilson(several, once)
    if low > REPEATED:
        what = f"{several} of {once} {name} captions ({several / once:.1%}, {low:.1%} to {high:.1%}) stand in several groups"
        yield finding("repetition", what, advice)
    most, groups = figures["most_groups_of_one"], figures["groups"]
    low, high = wilson(most, groups)
    if low > FREQUENT:
        what = f"one {name} caption stands in {most} of {groups} groups ({most / groups:.1%}, {low:.1%} to {high:.1%})"
        yield finding("repetition", f"{what}: row {figures['example_row']} holds it", advice)
