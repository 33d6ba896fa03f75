"""Which fakes could be cut where their reals were, which could not and why; and which may show the wrong person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmidd.media import DENIED, STANDS, Name, PairCheck

COMMON = 0.1
"""Of a method's fakes: if more of them do not fit their reals, or may show the wrong person, that is told as a finding."""

_WORDS: Mapping[PairCheck, str] = {
    "proved": "prove to be cut where their reals were",
    "unseen": "show the picture of their reals, and no face where one was looked for",
    "unchecked": "have none of the frames at which they would be checked",
    "face_elsewhere": "have their face elsewhere than their reals",
    "person_elsewhere": "differ from their reals elsewhere than in the reals' faces",
    "other_picture": "show another picture than their reals (another clip, or zoomed, cropped, mirrored)",
    "other_time": "show their reals' pictures at another time",
    "other_size": "have frames of another size than their reals",
    "mask_elsewhere": "have their mask elsewhere than in their reals' faces",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One fake: what was found of its pair (None: none was checked), and whether it shows several people of whom nothing
    told which was manipulated."""

    name: Name
    method: str
    check: PairCheck | None
    unsure: bool


@dataclass(frozen=True)
class Finding:
    """Fakes of one method, `count` of `fakes`, that do not fit their reals (`check`) or may show the wrong person (None)."""

    dataset: str
    method: str
    check: PairCheck | None
    count: int
    fakes: int

    def __str__(self) -> str:
        share = f"{self.dataset}, {self.method}: {self.count} of {self.fakes} fakes ({self.count / self.fakes:.1%})"
        if self.check is None:
            return f"{share} show several people, and nothing tells which of them was manipulated"
        return f"{share} {_WORDS[self.check]}"

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.check is None:
            return "get the dataset's masks, or its reals: either says whom a fake is about (docs/recipes.md, Whose face)"
        if self.check in DENIED:
            return "look whether the dataset's table of pairs is right, or say `aligned: false` in the manifest"
        return "these have their own geometry; say `aligned: false` in the manifest if it is all of them"


@dataclass(frozen=True)
class Claims:
    """The fakes of one dataset: how many have a pair that was checked, what was found of them, how many may show the wrong
    person, and what of it is common."""

    checked: int
    checks: Mapping[PairCheck, int]
    unsure: int
    findings: tuple[Finding, ...]

    @property
    def lines(self) -> list[str]:
        """What is to be told: everything but that pairs are proved."""
        lines = [f"{n:,} of {self.checked:,} checked fakes {_WORDS[check]}" for check, n in self.checks.items()]
        told = [line for line, check in zip(lines, self.checks, strict=True) if check != "proved"]
        unsure = f"{self.unsure:,} fakes show several people, and nothing tells which of them was manipulated"
        return [*told, unsure] if self.unsure else told

    @property
    def counts(self) -> dict[str, Any]:
        """The numbers."""
        return {
            "checked": self.checked,
            **dict(self.checks.items()),
            "unsure_person": self.unsure,
            "flagged": len(self.findings),
        }


def weigh(claims: Iterable[Claim]) -> dict[str, Claims]:
    """The fakes by dataset, sorted."""
    datasets: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        datasets[claim.name[0]].append(claim)
    weighed = {name: _weigh(name, datasets[name]) for name in sorted(datasets)}
    return {name: found for name, found in weighed.items() if found.checked or found.unsure}


def _weigh(dataset: str, claims: list[Claim]) -> Claims:
    checks = Counter(claim.check for claim in claims if claim.check is not None)
    order = {check: checks[check] for check in _WORDS if checks[check]}
    return Claims(sum(checks.values()), order, sum(claim.unsure for claim in claims), tuple(_findings(dataset, claims)))


def _findings(dataset: str, claims: list[Claim]) -> Iterator[Finding]:
    methods: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims:
        methods[claim.method].append(claim)
    for method, mine in sorted(methods.items()):
        checks = Counter(claim.check for claim in mine if claim.check is not None and claim.check not in STANDS)
        found = [(check, checks[check]) for check in _WORDS if checks[check]]
        for check, count in [*found, (None, sum(claim.unsure for claim in mine))]:
            if count > COMMON * len(mine):
                yield Finding(dataset, method, check, count, len(mine))
