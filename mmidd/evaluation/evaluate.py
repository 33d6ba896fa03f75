"""`mmidd evaluate`: every figure of score files, under both policies, with what leaks beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmidd.corpus.attacks import Instruments, instruments
from mmidd.corpus.read import Corpus
from mmidd.errors import UsageError
from mmidd.evaluation.aligned import same_rows
from mmidd.evaluation.attributes import values_of
from mmidd.evaluation.families import Degraded, Seeds, robustness, seeds
from mmidd.evaluation.figures import Figure, counted
from mmidd.evaluation.files import Chosen, Given, Named, chosen_for, opened
from mmidd.evaluation.items import Items, Policy
from mmidd.evaluation.leaks import NOT_ASKED, Coverage, Leaks, coverage_of, leaks_of
from mmidd.evaluation.matrix import Matrix, over_datasets
from mmidd.evaluation.measures import KINDS, Setting, measured, told_types
from mmidd.evaluation.operating import Rule
from mmidd.evaluation.presented import attack_figures, presented
from mmidd.evaluation.resampled import check_asked, resamples_for
from mmidd.evaluation.subgroups import Gap, gaps
from mmidd.evaluation.subsets import ALL, subsets
from mmidd.results import Result
from mmidd.statistics import reliability

if TYPE_CHECKING:
    from rich.console import Console

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One figure: of which rows, under which policy (`counted`, `scored`), by which name."""

    level: str
    policy: Policy
    subset: str
    metric: str
    figure: Figure


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What one file comes to. `resamples`: by level. `confusion`: by level (5, 6): row the type that a row of known type
    has, column the one it is told to have, the last for none; None from a detector that tells none. `reliability`: by
    level. `instruments`: of presentation attacks, the family of each by its subset."""

    named: Named
    chosen: Chosen
    lines: tuple[Line, ...]
    coverage: tuple[Coverage, ...]
    leaks: Leaks
    matrices: Mapping[str, tuple[Matrix, ...]]
    confusion: Mapping[str, list[list[int]] | None]
    reliability: Mapping[str, list[dict[str, Any]]]
    gaps: tuple[Gap, ...]
    resamples: Mapping[str, int]
    instruments: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.named.name

    def figures(self, level: str, policy: Policy, subset: str = ALL) -> dict[str, Figure]:
        """By metric. Where nothing is missing, those of `scored` are those of `counted`."""
        there = {line.policy for line in self.lines if (line.level, line.subset) == (level, subset)}
        policy = policy if policy in there else "counted"
        return {
            line.metric: line.figure
            for line in self.lines
            if (line.level, line.policy, line.subset) == (level, policy, subset)
        }

    def subsets(self) -> list[str]:
        return list(dict.fromkeys(line.subset for line in self.lines))

    def document(self) -> dict[str, Any]:
        """JSON."""
        operating = self.chosen.operating
        return {
            "file": self.name,
            "split": self.named.split,
            "scores": self.named.file.about.document(),
            "operating": None if operating is None else operating.document(),
            "operating_by": self.chosen.by or None,
            "no_operating": self.chosen.without or None,
            "coverage": [each.document() for each in self.coverage],
            "leaks": self.leaks.document(),
            "figures": [
                {name: getattr(line, name) for name in ("level", "policy", "subset", "metric")} | line.figure.document()
                for line in self.lines
            ],
            "matrices": {level: [each.document() for each in found] for level, found in self.matrices.items()},
            "confusion": dict(self.confusion),
            "reliability": dict(self.reliability),
            "gaps": [each.document() for each in self.gaps],
            "resamples": dict(self.resamples),
            "instruments": dict(self.instruments),
        }


@dataclass(frozen=True, repr=False, eq=False)
class Evaluation(Result):
    """All files, what tables over several show, and the classes whose coverage is under what was asked for."""

    files: tuple[Evaluated, ...]
    robustness: tuple[Degraded, ...]
    seeds: tuple[Seeds, ...]
    notes: tuple[str, ...]
    asked_coverage: float
    seed: int

    @property
    def under(self) -> tuple[tuple[str, str, float], ...]:
        """File, class and coverage of clips, where it is under what was asked for."""
        found = []
        for each in self.files:
            whole = next(one for one in each.coverage if (one.level, one.subset) == ("clip", ALL))
            for label in ("real", "fake"):
                share = whole.share(label)
                if share is not None and share < self.asked_coverage:
                    found.append((each.name, label, share))
        return tuple(found)

    def document(self) -> dict[str, Any]:
        return {
            "format": "mmidd evaluation 1",
            "files": [each.document() for each in self.files],
            "robustness": [each.document() for each in self.robustness],
            "seeds": [each.document() for each in self.seeds],
            "notes": list(self.notes),
            "asked_coverage": self.asked_coverage,
            "under_coverage": [{"file": a, "label": b, "share": c} for a, b, c in self.under],
            "seed": self.seed,
        }

    def headline(self) -> str:
        """The clip AUROC of each file."""
        told = (f"{each.name} {each.figures('clip', 'counted')['auroc']}" for each in self.files)
        return f"clip AUROC, all count: {', '.join(told)}"

    def tell(self, console: Console) -> None:
        from mmidd.evaluation.words import evaluated

        evaluated(console, self)

    def write(self, folder: str | Path, *, charts: bool = True) -> Path:
        """All formats and the charts into a new folder. Raises WorkError where it is there and holds anything else."""
        from mmidd.evaluation.writing import write

        return write(Path(folder), self, charts=charts)


def evaluate(
    files: Sequence[Given] | Given,
    *,
    validation: Sequence[Given] | Given = (),
    corpus: str | Path | Corpus | None = None,
    by: Sequence[str] = (),
    attributes: str | Path | None = None,
    rule: str | Rule = "eer",
    coverage: float = 0.99,
    seed: int = 0,
    resamples: int = 1000,
    tell: Tell | None = None,
) -> Evaluation:
    """Every figure of these score files (paths, or what `mmidd.score` gives): `mmidd evaluate`.

    `validation`: score files whose validation rows choose threshold and temperature. `corpus`: the one that was scored, for
    what its columns leak, for its presentation attacks, and for `by`: columns to look for gaps by; `attributes`: a CSV of
    more. `coverage`: the least share of clips of each class that has a score. Raises ScoreError and UsageError.
    """
    if not 0 <= coverage <= 1:
        raise UsageError(f"--coverage {coverage}: a share from 0 to 1")
    check_asked(resamples, seed)
    named = opened(files)
    if not named:
        raise UsageError("no score file is given: mmidd score writes one")
    chosen = chosen_for(named, opened(validation), Rule.parse(rule), seed=seed, resamples=resamples)
    source = corpus if corpus is None or isinstance(corpus, Corpus) else Corpus(corpus)
    listed = None if attributes is None else Path(attributes)
    attacks = {} if source is None else instruments(source)
    found = []
    for each in named:
        if tell is not None and len(named) > 1:
            tell(f"{each.name}: {len(each.clips):,} clips, {len(each.frames):,} frames")
        mine = chosen[each.name]
        setting = Setting(mine.operating, mine.without, seed, resamples)
        values = values_of(each, by, source, listed) if by or listed is not None else {}
        leaks = leaks_of(each, source, setting)
        found.append(_evaluated(each, mine, setting, leaks, gaps(each.clips, values, setting), attacks))
    notes = _notes(found, source is not None)
    free = Setting(None, "", seed, resamples)
    degraded = robustness(named, free, notes)
    told = seeds(named, {each.name: each.figures("clip", "counted") for each in found})
    return Evaluation(tuple(found), tuple(degraded), tuple(told), tuple(notes), coverage, seed)


def _evaluated(
    named: Named, chosen: Chosen, setting: Setting, leaks: Leaks, found_gaps: Sequence[Gap], attacks: Instruments
) -> Evaluated:
    lines: list[Line] = []
    matrices, confusion, bins, resamples, coverage = {}, {}, {}, {}, []
    for level in reversed(named.file.levels):
        items = named.items(level)
        lines += _lines(items, level, setting)
        over = {policy: over_datasets(items, policy, setting) for policy in items.policies()}
        for policy, each in over.items():
            lines += [Line(level, policy, "mean over datasets", name, figure) for name, figure in each.means.items()]
            if each.matrix is not None:
                lines.append(Line(level, policy, "matrix, mean off the diagonal", "auroc", each.matrix.off))
        matrices[level] = tuple(each.matrix for each in over.values() if each.matrix is not None)
        confusion[level] = _confusion(items)
        scored = items.under("scored")
        bins[level] = [dict(vars(each)) for each in reliability(scored.score, scored.fake)] if len(scored) else []
        resamples[level] = resamples_for(len(items), setting.resamples)
        coverage += coverage_of(items, level)
    families = dict[str, str]()
    for scope in presented(named.clips, attacks):
        lines += [Line("clip", *told) for told in attack_figures(scope, setting)]
        families |= scope.subsets()
    return Evaluated(
        named,
        chosen,
        tuple(lines),
        tuple(coverage),
        leaks,
        matrices,
        confusion,
        bins,
        tuple(found_gaps),
        resamples,
        families,
    )


def _lines(items: Items, level: str, setting: Setting) -> list[Line]:
    """Subsets of the very same rows are measured once."""
    found: list[Line] = []
    known: dict[bytes, dict[Policy, dict[str, Figure]]] = {}
    for subset, mask in subsets(items):
        key = np.packbits(mask).tobytes()
        if key not in known:
            mine = items.where(mask)
            whole = subset == ALL or subset.startswith("dataset ")
            known[key] = {policy: measured(mine, policy, setting, whole=whole) for policy in mine.policies()}
        for policy, figures in known[key].items():
            found += [Line(level, policy, subset, metric, figure) for metric, figure in figures.items()]
    return found


def _confusion(items: Items) -> list[list[int]] | None:
    found = told_types(items)
    if found is None:
        return None
    table: list[list[int]] = np.bincount(found[1], minlength=KINDS * (KINDS + 1)).reshape(KINDS, KINDS + 1).tolist()
    return table


def _weak(each: Evaluated) -> list[str]:
    """Is it shown that the detector sees a forgery?"""
    area, alone = each.figures("clip", "scored")["auroc"], each.leaks.clip.value  # of the same clips
    if area.value is None:
        return []
    if alone is not None and area.value <= alone:
        return [f"{each.name} is no better than the corpus's columns without a pixel: its figure says nothing of forgeries"]
    if alone is not None and area.low is not None and area.low <= alone:
        return [f"{each.name}: its interval reaches down to the columns alone: it is not shown that it sees a forgery"]
    if area.low is not None and area.low <= 0.5 <= (area.high or 1.0):
        return [f"{each.name}: chance lies in its interval"]
    return []


def _notes(files: Sequence[Evaluated], corpus: bool) -> list[str]:
    """What is to be known of the files, in sentences."""
    notes = []
    for each in files:
        if each.named.split != "test":
            notes.append(
                f"{each.name} has no test clips: it is told of {each.named.split}, on which choices may have been made"
            )
        elif trained := len(each.named.table("clip", "train")):
            notes.append(f"{each.name} has {counted(trained, 'clip')} of train as well, not told of")
        if each.leaks.shared:
            names = ", ".join(each.leaks.shared_names)
            notes.append(
                f"{each.name}: {each.leaks.shared} groups are in train as well ({names}): it is tested on what it saw"
            )
        notes += _weak(each)
        if "frame" not in each.named.file.levels:
            notes.append(f"{each.name}: clips alone were scored, so nothing is told of frames")
        if each.leaks.why and corpus and each.leaks.why != NOT_ASKED:
            notes.append(f"{each.name}: {each.leaks.why}")
    apart = [each.name for each in files[1:] if not same_rows(files[0].named, each.named)]
    if apart:
        notes.append(f"{', '.join(apart)}: of other rows than {files[0].name}, so their figures cannot be compared with its")
    return notes
