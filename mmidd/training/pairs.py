"""Pairs: a fake and the real it was made from, at the same frame, in one batch."""

from __future__ import annotations

from typing import Any, Literal, Unpack

import numpy as np

from mmidd.errors import UsageError
from mmidd.training.epochs import Base, EpochSampler, HasRows, Order, chances, shuffled
from mmidd.training.rows import Numbers, Rows
from mmidd.training.samplers import counted


class PairSampler(EpochSampler):
    """A fake and its real side by side in one batch, `first` the one or the other, pairs in an order by chance.

    Each pair once an epoch, so that a real with several fakes comes as often as it has some; with `one_fake_each` each such
    real once, with one of its fakes, another one in each epoch. `same_augmentation` gives both one seed. Rows without a pair
    are left out, and counted by reason; with unpaired="singles" they come alone, two where a pair would stand.
    """

    width = 2

    def __init__(
        self,
        data: HasRows | Rows,
        batch_size: int,
        *,
        first: Literal["fake", "real"] = "fake",
        same_augmentation: bool = False,
        one_fake_each: bool = False,
        unpaired: Literal["leave", "singles"] = "leave",
        **base: Unpack[Base],
    ) -> None:
        super().__init__(data, batch_size, **base)
        if first not in ("fake", "real") or unpaired not in ("leave", "singles"):
            raise UsageError(f"first={first!r}, unpaired={unpaired!r}: 'fake' or 'real', and 'leave' or 'singles'")
        self.first, self.same_augmentation = first, same_augmentation
        self.one_fake_each, self.unpaired = one_fake_each, unpaired
        self.fakes = np.flatnonzero(self.rows.pair >= 0)
        self.fakes = self.fakes[np.argsort(self.rows.pair[self.fakes], kind="stable")]
        self.reals, self._starts, self._fakes_each = np.unique(
            self.rows.pair[self.fakes], return_index=True, return_counts=True
        )
        self._singles = self._apart()
        self._pairs = len(self.reals) if one_fake_each else len(self.fakes)
        self.slots = self._pairs + -(-len(self._singles) // 2)
        self._check_units("pairs")

    def _apart(self) -> Numbers:
        """The positions that come alone; who is left out is counted."""
        pair, label = self.rows.pair, self.rows.codes("label")
        alone = pair < 0
        alone[self.reals] = False
        if self.unpaired == "singles":
            return np.flatnonzero(alone)
        fake = np.array([each == "fake" for each in label.values], np.bool_)[label.codes]
        self.left_out = counted(
            {
                "fakes that name no real": int((alone & fake & (pair == -1)).sum()),
                "fakes whose real is not selected": int((alone & (pair == -2)).sum()),
                "reals that no selected fake was made from": int((alone & ~fake & (pair == -1)).sum()),
            }
        )
        return np.zeros(0, np.int64)

    def options(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "same_augmentation": self.same_augmentation,
            "one_fake_each": self.one_fake_each,
            "unpaired": self.unpaired,
        }

    def counts(self) -> dict[str, Any]:
        most = 1 if self.one_fake_each else int(self._fakes_each.max(initial=0))
        told = {
            "pairs": self._pairs,
            "singles": len(self._singles),
            "reals": len(self.reals),
            "draws of a real at most": most,
        }
        return super().counts() | told | {"draws": super().counts()["draws"] - len(self._singles) % 2}

    def order(self, epoch: int) -> Order:
        fakes = self._one_each(epoch) if self.one_fake_each else self.fakes
        sides = (fakes, self.rows.pair[fakes])
        found = np.full((self.slots, 2), -1, np.int64)
        found[: self._pairs] = self.rows.numbers[np.stack(sides if self.first == "fake" else sides[::-1], axis=1)]
        alone = self.rows.numbers[self._singles[shuffled(len(self._singles), self.seed, epoch, 2)]]
        found[self._pairs :].reshape(-1)[: len(alone)] = alone
        order = shuffled(self.slots, self.seed, epoch)
        return Order(found[order], together=order < self._pairs, one_seed=self.same_augmentation)

    def _one_each(self, epoch: int) -> Numbers:
        """Of each real's fakes one: they are gone through in an order by chance, the same in all epochs."""
        of = np.repeat(np.arange(len(self.reals)), self._fakes_each)
        order = np.lexsort((chances(len(self.fakes), self.seed, 0, 3), of))
        chosen: Numbers = self.fakes[order[self._starts + epoch % self._fakes_each]]
        return chosen
