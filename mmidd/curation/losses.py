"""What extraction lost, by class, method and dataset; and whether it lost fakes otherwise than reals.

A sample that is missing tells real from fake as well as a crop does. The unit of every test is the medium: frames of one
medium are not independent, nor are the fakes of one real.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

from mmidd.curation.claims import Claims
from mmidd.curation.one_sided import Sides
from mmidd.media import Name
from mmidd.show import shell_word
from mmidd.statistics import fisher, holm, matched, wilson

SIGNIFICANCE = 0.01
"""A difference is flagged only if its p, after Holm's correction over all comparisons, is below this."""

LEAST_DIFFERENCE = 0.01
"""... and if the two shares of media are at least this far apart: one percentage point."""

Threshold = Literal["any", "half", "all"]
_SHARES: dict[Threshold, float] = {"any": 1e-9, "half": 0.5, "all": 1.0}
_WORDS: dict[Threshold, str] = {"any": "lost a frame", "half": "lost half of their frames", "all": "gave nothing"}
_DETECTION = frozenset({"no_face", "track_absent", "crowd", "degenerate_face", "small_face"})
_ADVICE = {
    "pair_short": "the fakes are shorter than their reals: look for an incomplete download (mmidd index --check), or say "
    "`aligned: false` in the manifest",
    "pair_no_sample": "the reals that these fakes follow lost the same frames: look at what those reals lost",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loss:
    """What one medium lost in extraction: planned = ok + dropped + failed frames, and why.

    `kind` is its forgery type, family of attacks or unknown, `method` None for reals, `pair` the medium it was made from. A
    medium that failed before any frame was planned has `error`, the class of its failure, and lost everything.
    """

    dataset: str
    media: str
    label: str
    kind: str
    method: str | None
    pair: Name | None
    planned: int
    dropped: int
    failed: int
    reasons: Mapping[str, int]
    error: str | None = None

    @property
    def name(self) -> Name:
        return self.dataset, self.media

    @property
    def share(self) -> float:
        """Lost frames over planned ones, 0..1; 1 where none was planned."""
        return (self.dropped + self.failed) / self.planned if self.planned else 1.0

    @property
    def reason(self) -> str:
        """Why most of it was lost."""
        most = max(sorted(self.reasons), key=self.reasons.__getitem__) if self.reasons else None
        return most or self.error or "unknown"


@dataclass(frozen=True)
class Rate:
    """What a group of media lost: `media_any` of them at least a frame, `media_half` at least half, `media_all` all.

    `reasons` counts frames, `errors` media of which no frame was planned. Under `pairs` a real counts once for each of
    its fakes. `dataset` is None where the group goes over all datasets.
    """

    by: Literal["class", "method", "dataset", "label", "pairs"]
    dataset: str | None
    group: str
    media: int
    media_any: int
    media_half: int
    media_all: int
    planned: int
    dropped: int
    failed: int
    reasons: Mapping[str, int]
    errors: Mapping[str, int]

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% Wilson interval of the share of media that lost a frame; None of pairs, where reals count repeatedly."""
        return None if self.by == "pairs" else wilson(self.media_any, self.media)

    @property
    def share(self) -> str:
        """Of the media those that lost a frame, in words: the share and its interval."""
        interval = f" ({self.interval[0]:.1%} to {self.interval[1]:.1%})" if self.interval else ""
        return f"{self.media_any / self.media:.1%}{interval}"


@dataclass(frozen=True)
class Comparison:
    """Real against fake: media of one dataset, or (`paired`) the fakes of a dataset with the reals they were made from.

    Counted are media that lost a share of their frames (`threshold`); paired, both counts go over pairs. `p` is exact,
    `adjusted` is p after Holm's correction. `method` None: all of the dataset's fakes. `reason` is the most frequent one
    of the side that lost more.
    """

    dataset: str
    method: str | None
    paired: bool
    threshold: Threshold
    reals: int
    reals_lost: int
    fakes: int
    fakes_lost: int
    reason: str
    p: float
    adjusted: float = 1.0

    @property
    def difference(self) -> float:
        """Share of fakes minus share of reals, -1..1."""
        return self.fakes_lost / self.fakes - self.reals_lost / self.reals

    @property
    def flagged(self) -> bool:
        return self.adjusted < SIGNIFICANCE and abs(self.difference) >= LEAST_DIFFERENCE

    def __str__(self) -> str:
        p = f"{self.adjusted:.1g}" if self.adjusted >= 1e-12 else "< 1e-12"
        reals = f"{self.reals_lost} of {self.reals} reals" + (" in their pairs" if self.paired else "")
        return (
            f"{self.dataset}, {self.method or 'all methods'}: {self.fakes_lost} of {self.fakes} fakes "
            f"({self.fakes_lost / self.fakes:.1%}) {_WORDS[self.threshold]}, {reals} ({self.reals_lost / self.reals:.1%}); "
            f"mostly {self.reason}; p {p}"
        )

    def advice(self, policy: str, work: str) -> str:
        """What to do about it; `policy` is the recipe's `crop.pairs`, `work` the work folder."""
        if self.reason in _DETECTION and policy == "independent":
            return "set crop.pairs: shared, so that a fake is cut where its real was, whatever a detector misses"
        if self.reason in _DETECTION:
            upright = "; where media lie on their side, say `turn: find` in the manifest's rules, of real and fake alike"
            return f"try another detector, or a smaller detector.min_face or crop.least_face{upright}"
        return _ADVICE.get(self.reason, f"`mmidd failures {shell_word(work)}` lists what failed; get these media again")


@dataclass(frozen=True)
class Losses:
    """All rates, all comparisons that had a loss to compare, and the datasets with reals or fakes alone."""

    rates: tuple[Rate, ...]
    comparisons: tuple[Comparison, ...]
    one_sided: tuple[str, ...]
    sides: Mapping[str, Sides] = field(default_factory=dict)
    """By the fakes' dataset: the frames that are samples of one side of a pair alone."""
    claims: Mapping[str, Claims] = field(default_factory=dict)
    """By the fakes' dataset: what their own pixels say of their pairs, and of whom they are about."""

    @property
    def flagged(self) -> tuple[Comparison, ...]:
        return tuple(comparison for comparison in self.comparisons if comparison.flagged)

    @property
    def findings(self) -> tuple[Comparison, ...]:
        """One flagged comparison for each dataset and method, the clearest; for all methods only where no one is."""
        best: dict[tuple[str, str | None], Comparison] = {}
        for each in sorted(self.flagged, key=lambda each: (each.adjusted, -abs(each.difference))):
            best.setdefault((each.dataset, each.method), each)
        named = {dataset for dataset, method in best if method is not None}
        kept = [each for each in best.values() if each.method is not None or each.dataset not in named]
        return tuple(sorted(kept, key=lambda each: (each.dataset, each.method or "")))

    def summary(self) -> dict[str, Any]:
        """The findings as JSON: what was compared and what is flagged. Rounded, so that no last bit changes it."""
        return {
            "significance": SIGNIFICANCE,
            "least_difference": LEAST_DIFFERENCE,
            "compared": len(self.comparisons),
            "flagged": [_rounded(each) for each in self.flagged],
            "one_sided": list(self.one_sided),
            "sides": {dataset: sides.counts for dataset, sides in self.sides.items()},
            "pair_checks": {dataset: claims.counts for dataset, claims in self.claims.items()},
        }

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        rates = [asdict(rate) | {"interval": [round(end, 6) for end in rate.interval or ()]} for rate in self.rates]
        sides = {dataset: sides.document() for dataset, sides in self.sides.items()}
        compared = [_rounded(each) for each in self.comparisons]
        return self.summary() | {"rates": rates, "comparisons": compared, "sides": sides}


def _rounded(comparison: Comparison) -> dict[str, Any]:
    found = asdict(comparison)
    return found | {name: float(f"{found[name]:.3g}") for name in ("p", "adjusted")}


LossPair = tuple[Loss, Loss]
"""A fake and the real it was made from."""


def measure(media: Iterable[Loss]) -> Losses:
    """The rates of all groups, and every comparison of real and fake within a dataset and within its pairs."""
    media = sorted(media, key=lambda loss: loss.name)
    reals = {loss.name: loss for loss in media if loss.label == "real"}
    pairs = [(loss, reals[loss.pair]) for loss in media if loss.label == "fake" and loss.pair in reals]
    labels: dict[str, set[str]] = defaultdict(set)
    for loss in media:
        labels[loss.dataset].add(loss.label)
    found = [*_in_datasets(media), *_in_pairs(pairs)]
    one_sided = tuple(sorted(dataset for dataset, both in labels.items() if len(both) < 2))
    return Losses(tuple(_rates(media, pairs)), tuple(_holm(found)), one_sided)


def _rates(media: Sequence[Loss], pairs: Sequence[LossPair]) -> Iterator[Rate]:
    groups: dict[tuple[Any, str | None, str], list[Loss]] = defaultdict(list)
    for loss in media:
        groups["class", None, loss.kind].append(loss)
        groups["dataset", loss.dataset, "all"].append(loss)
        groups["label", loss.dataset, loss.label].append(loss)
        if loss.method is not None:
            groups["method", None, loss.method].append(loss)
            groups["method", loss.dataset, loss.method].append(loss)
    for fake, real in pairs:
        groups["pairs", fake.dataset, "fake"].append(fake)
        groups["pairs", fake.dataset, "real"].append(real)
    for by, dataset, group in sorted(groups, key=lambda key: (key[0], key[1] or "", key[2])):
        yield _rate(by, dataset, group, groups[by, dataset, group])


def _rate(by: Any, dataset: str | None, group: str, media: Sequence[Loss]) -> Rate:
    reasons = Counter[str]()
    for loss in (loss for loss in media if loss.reasons):
        reasons.update(loss.reasons)
    errors = Counter(loss.reason for loss in media if not loss.planned)
    return Rate(
        by=by,
        dataset=dataset,
        group=group,
        media=len(media),
        media_any=_count(media, _SHARES["any"]),
        media_half=_count(media, _SHARES["half"]),
        media_all=_count(media, _SHARES["all"]),
        planned=sum(loss.planned for loss in media),
        dropped=sum(loss.dropped for loss in media),
        failed=sum(loss.failed for loss in media),
        reasons=dict(reasons.most_common()),
        errors=dict(errors.most_common()),
    )


def _count(media: Iterable[Loss], least: float) -> int:
    """Media that lost at least this share of their frames."""
    return sum(loss.share >= least for loss in media)


def _by_method(fakes: Iterable[tuple[Loss, T]]) -> dict[str | None, list[T]]:
    """What comes with the fakes by their method, and all together under None where there are several methods."""
    groups: dict[str | None, list[T]] = defaultdict(list)
    for fake, what in fakes:
        groups[fake.method or "unknown"].append(what)
    if len(groups) > 1:
        groups[None] = [fake for group in list(groups.values()) for fake in group]
    return groups


def _in_datasets(media: Sequence[Loss]) -> Iterator[Comparison]:
    datasets: dict[str, list[Loss]] = defaultdict(list)
    for loss in media:
        datasets[loss.dataset].append(loss)
    for dataset, members in datasets.items():
        reals = [loss for loss in members if loss.label == "real"]
        for method, fakes in _by_method((loss, loss) for loss in members if loss.label == "fake").items():
            thresholds = list(_each_threshold(reals, fakes))
            tested = _one_a_real(fakes) if thresholds else []
            for threshold, least in thresholds:
                p = fisher(_count(reals, least), len(reals), _count(tested, least), len(tested))
                yield _compared(dataset, method, False, threshold, reals, fakes, p)


def _one_a_real(fakes: Sequence[Loss]) -> list[Loss]:
    """Of the fakes of one real, the one whose name hashes lowest: a real that is hard to crop must not count tenfold."""
    lots = sorted(fakes, key=lambda fake: hashlib.sha256(f"{fake.dataset}\0{fake.media}".encode()).digest())
    return list({fake.pair or fake.name: fake for fake in reversed(lots)}.values())


def _in_pairs(pairs: Sequence[LossPair]) -> Iterator[Comparison]:
    datasets: dict[str, list[LossPair]] = defaultdict(list)
    for fake, real in pairs:
        datasets[fake.dataset].append((fake, real))
    for dataset, members in datasets.items():
        for method, mine in _by_method((pair[0], pair) for pair in members).items():
            fakes, reals = [fake for fake, _ in mine], [real for _, real in mine]
            for threshold, least in _each_threshold(reals, fakes):
                families: dict[Name, list[bool]] = {}
                for fake, real in mine:
                    families.setdefault(real.name, [real.share >= least]).append(fake.share >= least)
                yield _compared(dataset, method, True, threshold, reals, fakes, matched(families.values()))


def _each_threshold(reals: Sequence[Loss], fakes: Sequence[Loss]) -> Iterator[tuple[Threshold, float]]:
    """The thresholds that part the media differently, of those that any medium reaches: each is one comparison. Of equal
    ones the highest tells most."""
    seen: set[tuple[int, int]] = {(0, 0)}
    if reals and fakes:
        for threshold, least in reversed(_SHARES.items()):
            lost = _count(reals, least), _count(fakes, least)
            if lost not in seen:
                seen.add(lost)
                yield threshold, least


def _compared(
    dataset: str,
    method: str | None,
    paired: bool,
    threshold: Threshold,
    reals: Sequence[Loss],
    fakes: Sequence[Loss],
    p: float,
) -> Comparison:
    real, fake = ([m.reason for m in side if m.share >= _SHARES[threshold]] for side in (reals, fakes))
    worse = Counter(fake if len(fake) * len(reals) >= len(real) * len(fakes) else real)
    reason = max(sorted(worse), key=worse.__getitem__)
    return Comparison(dataset, method, paired, threshold, len(reals), len(real), len(fakes), len(fake), reason, p)


def _holm(found: Sequence[Comparison]) -> list[Comparison]:
    adjusted = holm([each.p for each in found])
    return [replace(each, adjusted=p) for each, p in zip(found, adjusted, strict=True)]
