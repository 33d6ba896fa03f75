"""How often a model errs at its threshold: chosen and measured on validation, or measured on test. No verdict without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmidd.errors import ScoreError
from mmidd.evaluation.items import Items
from mmidd.evaluation.operating import Operating, Rule, operating, rate
from mmidd.scores.file import ScoreFile, read

Word = Literal["fake", "real"]
BEST = Path("best") / "scores.parquet"
"""Where a seed's folder has its validation scores."""


@dataclass(frozen=True)
class Share:
    """A measured rate with its 95% interval over groups (None where there are too few)."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        between = "" if self.low is None or self.high is None else f" [{self.low:.0%}, {self.high:.0%}]"
        return f"{self.value:.0%}{between}"


@dataclass(frozen=True)
class Rates:
    """A clip is called fake where its score is `threshold` or more. `false_positive`: of reals, `true_positive`: of fakes;
    measured on so many `clips` by label, of so many `groups`, of the `split` of a `corpus`."""

    threshold: float
    rule: str
    false_positive: Share
    true_positive: Share
    clips: Mapping[str, int]
    groups: int
    split: str
    corpus: str

    def word(self, score: float) -> Word:
        return "fake" if score >= self.threshold else "real"

    def short(self) -> str:
        """What goes with every verdict."""
        few = "" if self.sure else f", measured on {' and '.join(self._clips())} alone"
        return f"errs on {self.false_positive.value:.0%} of reals, finds {self.true_positive.value:.0%} of fakes{few}"

    @property
    def sure(self) -> bool:
        """Do intervals say how sure the rates are?"""
        return self.false_positive.low is not None and self.true_positive.low is not None

    def _clips(self) -> list[str]:
        return [f"{count:,} {label}" for label, count in sorted(self.clips.items(), reverse=True)]

    def expected(self, tracks: int) -> float:
        """The false positive rate of the most suspicious of so many tracks, were they independent."""
        return 1.0 - (1.0 - self.false_positive.value) ** tracks

    def __str__(self) -> str:
        few = "" if self.sure else ". That is too few to say how sure these rates are: they can be far off"
        clips = " and ".join(self._clips())
        return (
            f"fake from a score of {self.threshold:.4f} on (rule {self.rule}). Measured there on {clips} {self.split} clips "
            f"of {self.corpus} ({self.groups:,} groups): {self.false_positive} of the reals are called fake, "
            f"{self.true_positive} of the fakes are found{few}. On media of other sources the rates are others, and unknown"
        )

    def document(self) -> dict[str, Any]:
        """JSON."""
        shares = {name: vars(getattr(self, name)) for name in ("false_positive", "true_positive")}
        return {**vars(self), "clips": dict(self.clips), **shares}


@dataclass(frozen=True)
class Unmeasured:
    """There are no rates, and why: so there is no verdict."""

    why: str

    def __str__(self) -> str:
        return f"no verdict: {self.why}"


def rates(model: str, about: Mapping[str, Any], given: str | Path | None, rule: str | Rule = "eer") -> Rates | Unmeasured:
    """The rates of a model (`about`: as `scores.file.About.model`). The threshold is chosen on the validation clips of the
    score file that is `given`, else of the run; it is measured on the test clips of `given` where it has any, else there.

    Raises ScoreError for a file that is given and cannot be used.
    """
    chosen = Rule.parse(rule)
    if given is not None:
        file = read(given)
        _check(file, about, str(given))
        if not _chooses(file) and not _clips(file, "test"):
            raise ScoreError(
                f"{given} has neither validation nor test clips, but those of {', '.join(file.about.splits) or 'no split'}: "
                "rates are measured on clips that the model was not trained on"
            )
        at = operating(file, chosen) if _chooses(file) else _of_run(model, about, chosen)
        if isinstance(at, Unmeasured):
            raise ScoreError(f"{given} has no validation clips to choose a threshold on, and {at.why}")
        return _on_test(file, at) if _clips(file, "test") else _measured(at)
    found = _of_run(model, about, chosen)
    return found if isinstance(found, Unmeasured) else _measured(found)


def _of_run(model: str, about: Mapping[str, Any], rule: Rule) -> Operating | Unmeasured:
    way_out = f"write some with: mmidd score {model} CORPUS --split validation --out FILE, and give --rates FILE"
    folder = Path(model)
    seeds = [folder] if (folder / BEST).is_file() else sorted(folder.glob("seed-*")) if folder.is_dir() else []
    if len(seeds) != 1 or not (seeds[0] / BEST).is_file():
        return Unmeasured(f"{model} has no validation scores; {way_out}")
    try:
        file = read(seeds[0] / BEST)
        _check(file, about, str(seeds[0] / BEST))
        return operating(file, rule)
    except ScoreError as error:
        return Unmeasured(f"the validation scores of {model} cannot be used ({error}); {way_out}")


def _check(file: ScoreFile, about: Mapping[str, Any], where: str) -> None:
    """Raises ScoreError for the scores of another model, and for those of changed images."""
    theirs, ours = file.about.model.get("digest"), about.get("digest")
    if theirs is None and ours is not None:
        raise ScoreError(f"{where} does not say whose scores it holds (no digest of a model): rates are one model's own")
    if ours is not None and theirs != ours:
        raise ScoreError(
            f"{where} holds the scores of another model ({file.about.model.get('name')}): rates are one model's own"
        )
    if file.about.degradation is not None:
        raise ScoreError(f"{where} holds scores of images that were changed first ({file.about.degradation}): score without")


def _chooses(file: ScoreFile) -> bool:
    return bool(_clips(file, "validation") or ("restricted" in file.about.corpus and _clips(file, "train")))


def _clips(file: ScoreFile, split: str) -> int:
    return len(file.level("clip", split))


def _measured(at: Operating) -> Rates:
    return Rates(
        at.threshold, at.rule, _share(at.false_positive_rate), _share(at.true_positive_rate), dict(at.clips), at.groups,
        at.split, str(at.corpus.get("name", "its corpus")),
    )  # fmt: skip


def _on_test(file: ScoreFile, at: Operating) -> Rates:
    every = Items.of(file.level("clip", "test"))
    kept = every.where(every.has)
    labels = {"real": ~kept.fake, "fake": kept.fake}
    counts = {label: int(mask.sum()) for label, mask in labels.items()}
    if not all(counts.values()):
        raise ScoreError(f"the test clips have no {' or '.join(label for label, count in counts.items() if not count)} one")
    false, true = (_share(rate(kept, mask, at.threshold, 0, 1000)) for mask in labels.values())
    name = str(file.about.corpus.get("name", "its corpus"))
    return Rates(at.threshold, at.rule, false, true, counts, kept.groups, "test", name)


def _share(figure: Any) -> Share:
    return Share(figure.value, figure.low, figure.high)
