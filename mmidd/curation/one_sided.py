"""What pairs lost on one side: frames that are samples of the real and not of its fake, and the reverse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mmidd.media import Name


@dataclass(frozen=True)
class Uneven:
    """A pair that has frames on one side alone, and how many on each."""

    fake: Name
    real: Name
    only_real: int
    only_fake: int


class PairFrames(NamedTuple):
    """A fake and its real, with the frames of each that gave a sample."""

    fake: Name
    real: Name
    fakes: frozenset[int]
    reals: frozenset[int]


@dataclass(frozen=True)
class Sides:
    """The pairs of one dataset of fakes: how many there are, and those that are uneven."""

    pairs: int
    uneven: tuple[Uneven, ...]

    @property
    def only_real(self) -> int:
        """Frames that only the real has, over all pairs."""
        return sum(each.only_real for each in self.uneven)

    @property
    def only_fake(self) -> int:
        """Frames that only the fake has, over all pairs."""
        return sum(each.only_fake for each in self.uneven)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers alone."""
        totals = {"only_real": self.only_real, "only_fake": self.only_fake}
        return {"pairs": self.pairs, "uneven": len(self.uneven), **totals}

    def __str__(self) -> str:
        return (
            f"{len(self.uneven):,} of {self.pairs:,} pairs have frames on one side alone ({self.only_real:,} of the real, "
            f"{self.only_fake:,} of the fake)"
        )

    def document(self) -> dict[str, Any]:
        """The numbers, and every uneven pair."""
        listed = [
            {
                "fake": "/".join(each.fake),
                "real": "/".join(each.real),
                "only_real": each.only_real,
                "only_fake": each.only_fake,
            }
            for each in self.uneven
        ]
        return {**self.counts, "each": listed}


def compare(pairs: Iterable[PairFrames]) -> dict[str, Sides]:
    """The pairs by the fake's dataset, sorted."""
    count: dict[str, int] = {}
    uneven: dict[str, list[Uneven]] = {}
    for pair in pairs:
        dataset = pair.fake[0]
        count[dataset] = count.get(dataset, 0) + 1
        if pair.fakes != pair.reals:
            sides = len(pair.reals - pair.fakes), len(pair.fakes - pair.reals)
            uneven.setdefault(dataset, []).append(Uneven(pair.fake, pair.real, *sides))
    worst: Mapping[str, list[Uneven]] = {
        name: sorted(each, key=lambda pair: (-pair.only_real - pair.only_fake, pair.fake)) for name, each in uneven.items()
    }
    return {name: Sides(count[name], tuple(worst.get(name, ()))) for name in sorted(count)}
