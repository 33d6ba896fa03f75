"""Published figures beside a study's, and what of them is comparable: computed from what both were measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

SOURCES = {
    "paper": "the paper",
    "readme": "a repository's table",
    "readme-figure": "a picture in a repository",
    "second-hand": "second-hand",
}


@dataclass(frozen=True)
class Protocol:
    """What a published figure was measured on. `train` is empty where that is not stated."""

    name: str
    paper: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    metric: str
    level: str
    source: str
    rows: str = ""
    note: str = ""
    verified: bool = True


@dataclass(frozen=True)
class Published:
    """A figure, as a share of one. `detector`: ours of that name; `settings`: with these options of it."""

    protocol: Protocol
    detector: str | None
    title: str
    value: float
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ours:
    """What a line of a study was measured on: names of datasets as in the catalogue. `words`: the options that its study
    sets apart; `given`: what was set for all runs; `rows`: of train; `random`: its network began with random weights;
    `whole`: it is trained on all rows of train that these datasets have."""

    line: int
    detector: str
    preset: str
    words: tuple[str, ...]
    train: frozenset[str]
    test: frozenset[str]
    rows: int
    random: bool
    whole: bool
    given: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beside:
    """A published figure, the lines of the study that are nearest to it (by number; none where there is none), what both
    have in common, and what keeps them from being compared."""

    published: Published
    lines: tuple[int, ...]
    same: tuple[str, ...]
    differs: tuple[str, ...]

    @property
    def verdict(self) -> str:
        if not self.lines:
            return "nothing here to put beside it"
        return "not comparable" if self.differs else "of one protocol, as far as the facts here tell"

    def document(self) -> dict[str, Any]:
        """JSON."""
        protocol = self.published.protocol
        return {
            "paper": protocol.paper, "method": self.published.title, "value": self.published.value,
            "metric": protocol.metric, "level": protocol.level, "source": SOURCES[protocol.source],
            "verified": protocol.verified, "train": list(protocol.train), "rows": protocol.rows,
            "test": list(protocol.test), "note": protocol.note, "lines": list(self.lines), "verdict": self.verdict,
            "same": list(self.same), "differs": list(self.differs),
        }  # fmt: skip


@cache
def published() -> tuple[Published, ...]:
    """All of `published.yaml`."""
    found = yaml.safe_load(files("mmidd.studies").joinpath("published.yaml").read_text(encoding="utf-8"))
    plain: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda held: {  # noqa: E731
        key: tuple(each) if isinstance(each, list) else each for key, each in held.items()
    }
    protocols = {name: Protocol(name, **plain(held)) for name, held in found["protocols"].items()}
    return tuple(
        Published(protocols[name], detector, title, value, tuple(more[0]) if more else ())
        for name, detector, title, value, *more in found["figures"]
    )


def beside(every: Sequence[Published], ours: Sequence[Ours]) -> tuple[Beside, ...]:
    """Each published figure with the lines of the study that come nearest to its protocol."""
    return tuple(_beside(each, ours) for each in every)


def _beside(each: Published, ours: Sequence[Ours]) -> Beside:
    mine = [line for line in ours if line.detector == each.detector]
    if not mine:
        why = f"{each.detector} is not in this study" if each.detector else "mmidd has no reference detector of that name"
        return Beside(each, (), (), (why,))
    near = [line for line in mine if line.test & set(each.protocol.test)]
    if not near:
        return Beside(each, (), (), (f"this study does not test on {_names(each.protocol.test)}",))
    best = min(_distance(each, line) for line in near)
    nearest = [line for line in near if _distance(each, line) == best]
    same, differs = _compared(each, nearest[0])
    return Beside(each, tuple(line.line for line in nearest), tuple(same), tuple(differs))


def _distance(each: Published, line: Ours) -> tuple[int, int]:
    """How far a line is from a figure's protocol: differences, then datasets that only one of both has."""
    sets = ((each.protocol.test, line.test), (each.protocol.train, line.train))
    return len(_compared(each, line)[1]), sum(len(set(theirs) ^ ours) for theirs, ours in sets)


def _compared(each: Published, line: Ours) -> tuple[list[str], list[str]]:
    """What is the same, and what is not, of a published figure and a line, in words."""
    protocol = each.protocol
    facts: list[tuple[bool, str, str]] = [
        (not _lacks(protocol.train, line.train), "training datasets", _sets("trained on", protocol.train, line.train)),
        (not _lacks(protocol.test, line.test), "test datasets", _sets("tested on", protocol.test, line.test)),
        (line.whole, "all training rows of its corpus", "trained on a part of train (a fraction, pairs)"),
        (
            "mean AUROC" in protocol.metric or protocol.metric == "AUROC", "AUROC",
            f"the published figure is {protocol.metric}, ours an AUROC",
        ),
        (protocol.level == "clip", "scored by clip", _level(protocol.level)),
        (line.preset == "paper", "preset paper", f"preset {line.preset} here: another network, other settings than theirs"),
        (not line.random, "pretrained weights", "the network here began with random weights"),
        (
            set(each.settings) == set(line.words), "options",
            f"options differ: theirs {_words(each.settings)}, here {_words(line.words)}",
        ),
    ]  # fmt: skip
    differs = [other for same, _, other in facts if not same]
    if line.given:
        differs.append(f"every run here has {_words(line.given)}")
    if not protocol.verified:
        differs.append("the published figure is second-hand and unverified")
    if "images" in protocol.rows:
        differs.append(f"trained there on {protocol.rows}, here on {line.rows:,} rows")
    elif protocol.rows:
        differs.append(f"theirs was trained on {protocol.rows}: whether this one was is not looked at")
    if protocol.note:
        differs.append(protocol.note)
    return [name for same, name, _ in facts if same], differs


def _lacks(theirs: Sequence[str], here: frozenset[str]) -> bool:
    return not theirs or set(theirs) != here


def _sets(what: str, theirs: Sequence[str], here: frozenset[str]) -> str:
    if not theirs:
        return f"what theirs was {what} is not stated where we have the figure"
    lacking, more = sorted(set(theirs) - here), sorted(here - set(theirs))
    told = [f"{what} other datasets:"]
    told += [f"here without {_names(lacking)}"] if lacking else []
    told += [f"here also {_names(more)}"] if more else []
    return told[0] + " " + "; ".join(told[1:])


def _level(level: str) -> str:
    said = {"frame": "single frames", "image": "single images", "unknown": "a level that is not stated"}
    return f"theirs is of {said.get(level, level)}, ours of clips (one score each, the mean of its frames)"


def _words(words: Sequence[str]) -> str:
    return ", ".join(words) or "none"


def _names(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(list(names)[:most]) + more
