"""The score files of one evaluation: each with its name, the split that is told of, and the validation that may choose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmidd.errors import ScoreError
from mmidd.evaluation.items import Items
from mmidd.evaluation.operating import Operating, Rule, operating
from mmidd.scores.file import ScoreFile, read

Given = str | Path | ScoreFile
SPLITS = ("test", "validation", "train")
"""Which split is told of: the first that a file has."""


@dataclass(frozen=True, eq=False)
class Named:
    """A score file under a name that no other one of the evaluation has."""

    name: str
    file: ScoreFile
    path: Path | None = None
    """None of scores that are in memory."""

    @cached_property
    def split(self) -> str:
        """Raises ScoreError for a file without clips."""
        for split in SPLITS:
            if len(self.table("clip", split)):
                return split
        raise ScoreError(f"{self.name} has no clips")

    def table(self, level: str, split: str | None = None) -> pa.Table:
        return self.file.level(level, split or self.split)

    @cached_property
    def clips(self) -> Items:
        return Items.of(self.table("clip"))

    @cached_property
    def frames(self) -> Items:
        return Items.of(self.table("frame"))

    def items(self, level: str) -> Items:
        return self.clips if level == "clip" else self.frames

    @property
    def model(self) -> Mapping[str, Any]:
        return self.file.about.model

    @property
    def detector(self) -> str:
        """The detector, with its run and seed."""
        seed = f", seed {self.model['seed']}" if self.model.get("seed") is not None else ""
        run = f" ({self.model['run']})" if self.model.get("run") else ""
        return f"{self.model.get('name', '?')}{run}{seed}"

    @property
    def called(self) -> str:
        """The detector, and what was done to its images."""
        done = self.file.about.degradation
        return f"{self.detector}, {done}" if done else self.detector


def opened(given: Sequence[Given] | Given) -> list[Named]:
    """Read each. Raises ScoreError for what is none, and for one that is given twice."""
    files = [given] if isinstance(given, str | Path | ScoreFile) else list(given)
    seen: list[Any] = []
    for each in files:
        key = each if isinstance(each, ScoreFile) else Path(each).resolve()
        if any(key is other or (isinstance(key, Path) and key == other) for other in seen):
            what = "a score file" if isinstance(each, ScoreFile) else str(each)
            raise ScoreError(f"{what} is given twice: give each file once")
        seen.append(key)
    read_ones = [each if isinstance(each, ScoreFile) else read(each) for each in files]
    paths = [None if isinstance(each, ScoreFile) else Path(each) for each in files]
    return [Named(*each) for each in zip(_names(files, read_ones), read_ones, paths, strict=True)]


def _names(files: Sequence[Given], read_ones: Sequence[ScoreFile]) -> list[str]:
    """The files' stems, with their folders where these are equal, and numbered where those are."""
    plain = [
        str(file.about.model.get("name", "scores")) if isinstance(given, ScoreFile) else Path(given).stem
        for given, file in zip(files, read_ones, strict=True)
    ]
    counts = Counter(plain)
    longer = [
        f"{Path(given).resolve().parent.name}/{name}" if counts[name] > 1 and not isinstance(given, ScoreFile) else name
        for given, name in zip(files, plain, strict=True)
    ]
    counts, met, found = Counter(longer), Counter[str](), []
    for name in longer:
        met[name] += 1
        found.append(f"{name} #{met[name]}" if counts[name] > 1 else name)
    return found


def same_model(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Are these scores of one detector?"""
    if one.get("digest") and other.get("digest"):
        return bool(one["digest"] == other["digest"])
    return (one.get("kind"), one.get("name")) == (other.get("kind"), other.get("name"))


@dataclass(frozen=True)
class Chosen:
    """The operating point of a file; None, and `without` says why. `by`: whose validation clips chose it."""

    operating: Operating | None
    without: str = ""
    by: str = ""


def chosen_for(
    named: Sequence[Named], validation: Sequence[Named], rule: Rule, *, seed: int, resamples: int
) -> dict[str, Chosen]:
    """By file: what `validation` of the same detector chose, else the clean validation clips among `named`. Raises
    ScoreError for a validation file of no detector here, and for one that holds what is told of."""
    for each in validation:
        if not any(same_model(each.model, file.model) for file in named):
            told = f"{each.name} has scores of {each.called}, and no file here has: its threshold is of another detector"
            one = "; tables are told apart by their bytes: import one that has both splits (--split test --split validation)"
            raise ScoreError(told + one * (each.model.get("kind") == "imported"))
    made: dict[str, Chosen] = {}
    found = {}
    for file in named:
        source = _source(file, named, validation)
        if source is None:
            found[file.name] = Chosen(None, "no validation scores of this detector: give --validation FILE")
            continue
        if source.name not in made:
            try:
                made[source.name] = Chosen(
                    operating(source.file, rule, seed=seed, resamples=resamples), by=f"validation clips of {source.name}"
                )
            except ScoreError as error:
                made[source.name] = Chosen(None, str(error))
        chosen = made[source.name]
        _check_apart(file, source, chosen.operating)
        found[file.name] = chosen
    return found


def _source(file: Named, named: Sequence[Named], validation: Sequence[Named]) -> Named | None:
    mine = [each for each in validation if same_model(each.model, file.model)]
    mine = sorted(mine, key=lambda each: each.file.about.degradation is not None)
    if mine:
        return mine[0]
    for each in sorted(named, key=lambda each: (each.file.about.degradation is not None, each is not file)):
        inside = same_model(each.model, file.model) and file.split != "validation"
        if inside and each.split != "validation" and len(each.table("clip", "validation")):
            return each
    return None


def _check_apart(file: Named, source: Named, chosen: Operating | None) -> None:
    """Raises ScoreError where a threshold was chosen on clips that it is told of."""
    if chosen is None:
        return
    told, by = (_media(each) for each in (file.table("clip"), source.table("clip", chosen.split)))
    same = file.file.about.corpus.get("digest") == source.file.about.corpus.get("digest")
    both = len(told) if same and chosen.split == file.split else 0 if same else len(told & by)  # built anew, a clip may move
    if both:
        raise ScoreError(
            f"the threshold would be chosen on the {chosen.split} clips of {source.name}, and {file.name} is told of "
            f"{'these' if both == len(told) else f'{both:,} of them'}: a threshold is never chosen on what it is measured on"
        )


def _media(clips: pa.Table) -> set[tuple[str, str]]:
    return set(zip(clips["dataset"].to_pylist(), clips["media"].to_pylist(), strict=True))
