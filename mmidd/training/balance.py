"""Stated shares of labels, types, datasets, methods or groups in every batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Unpack

import numpy as np
import numpy.typing as npt

from mmidd.corpus.where import unknown
from mmidd.errors import CorpusError, UsageError
from mmidd.training.draws import mixed
from mmidd.training.epochs import PURPOSE, Base, EpochSampler, HasRows, Order
from mmidd.training.rows import Numbers, Rows

_MOST_NAMED = 32
"""Classes that a state lists with their weights; of more it has a digest."""
Weights = Mapping[str | None, float] | Literal["natural"] | None


class BalancedSampler(EpochSampler):
    """Classes of the column `by` in stated shares, which every batch meets as evenly as whole draws can.

    `weights`: None for equal shares, "natural" for those of the rows, or a number for each class; a class without one is
    left out, and counted. Null is a class of its own (None), with nulls="leave" left out. A class is gone through in an
    order by chance, over the ends of epochs too, before any row of it comes again. An epoch has `length` draws over all
    ranks; without it as many as there are rows, made full global batches. `at_least` so many draws of each class are in
    every batch of every rank, which goes before the shares. `counts` says how often a row of each class comes.
    """

    def __init__(
        self,
        data: HasRows | Rows,
        batch_size: int,
        *,
        by: str = "label",
        weights: Weights = None,
        at_least: int = 0,
        length: int | None = None,
        nulls: Literal["class", "leave"] = "class",
        **base: Unpack[Base],
    ) -> None:
        super().__init__(data, batch_size, **base)
        if nulls not in ("class", "leave") or at_least < 0 or (length is not None and length < 1):
            raise UsageError(
                f"nulls={nulls!r}, at_least={at_least!r}, length={length!r}: nulls is 'class' or 'leave', at_least from 0, "
                "length from 1"
            )
        self.by, self.weights, self.at_least, self.nulls = by, weights, at_least, nulls
        self.any_ranks = not at_least
        found, named = self.rows.codes(by), _weights(by, self.rows.codes(by).counts, weights, nulls)
        every = np.bincount(found.codes, minlength=len(found.values))
        kept = [place for place, name in enumerate(found.values) if named.get(name, 0) > 0]
        self.classes = tuple(found.values[place] for place in kept)
        out = sorted({*range(len(found.values))} - {*kept})
        self.left_out = {f"{by} {_told(found.values[place])}": int(every[place]) for place in out}
        self._sizes = every[kept].astype(np.int64)
        order = np.argsort(found.codes, kind="stable")
        ends = np.cumsum(every)
        self._rows = np.concatenate([np.zeros(0, np.int64), *(order[ends[p] - every[p] : ends[p]] for p in kept)])
        self.slots = self._length(length)
        self._check_units(f"rows with a {by} to balance by")
        self._weights = np.array([named[name] for name in self.classes], np.float64)
        self._shares = self._counts()

    def _length(self, length: int | None) -> int:
        whole = self.batch_size * self.ranks
        if self.at_least * len(self.classes) > self.batch_size:
            raise UsageError(
                f"batch_size={self.batch_size} cannot hold at_least={self.at_least} of each of {len(self.classes)} classes "
                f"of {self.by!r}: it takes {self.at_least * len(self.classes)}"
            )
        if length is None:
            return -(-len(self._rows) // whole) * whole
        if not self.classes:
            return 0
        if self.at_least and length % whole:
            near = max(1, round(length / whole)) * whole
            raise UsageError(f"length={length}: with at_least it is a multiple of {whole}, a global batch, such as {near}")
        return length

    def _counts(self) -> Numbers:
        """The draws of each class in an epoch; with `at_least` those of every batch go before."""
        least = self.at_least * self.slots // self.batch_size
        found, free = np.full(len(self.classes), least, np.int64), np.ones(len(self.classes), np.bool_)
        while True:  # who would get less than the least gets that, and the others share what is left
            left = self.slots - least * int((~free).sum())
            wanted = self._weights * free * (left / max(self._weights[free].sum(), 1e-300))
            if not least or not (short := free & (wanted < least)).any() or not (free & ~short).any():
                break
            free &= ~short
        found[free] = _apportioned(wanted[free], left)
        return found

    def options(self) -> dict[str, Any]:
        named: Any = [[name, float(weight)] for name, weight in zip(self.classes, self._weights, strict=True)]
        if len(named) > _MOST_NAMED:
            named = hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]
        found = {"by": self.by, "weights": named, "at_least": self.at_least, "length": self.slots}
        return found | ({"batch_size": self.batch_size} if self.at_least else {})

    def counts(self) -> dict[str, Any]:
        told = {
            name: {"rows": rows, "draws": draws, "draws of a row": round(draws / rows, 3)}
            for name, rows, draws in zip(self.classes, self._sizes.tolist(), self._shares.tolist(), strict=True)
        }
        return super().counts() | {"classes": told}

    def order(self, epoch: int) -> Order:
        classes = self._classes()
        place = np.empty(self.slots, np.int64)  # which draw of its class in this epoch
        by_class = np.argsort(classes, kind="stable")
        place[by_class] = np.arange(self.slots) - np.repeat(np.cumsum(self._shares) - self._shares, self._shares)
        return Order(self.rows.numbers[self._drawn(classes, epoch * self._shares[classes] + place, epoch)][:, None])

    def _classes(self) -> Numbers:
        """The class of each draw: draw j of n of a class stands about j / n into the epoch, and so evenly. What must be
        in every batch stands at its head, and the rest is dealt among them."""
        batches = self.slots // self.batch_size
        least = self.at_least * batches
        rest = _evenly(self._shares - least)
        if not least:
            return rest
        head = np.tile(np.arange(len(self.classes)), (batches, self.at_least))
        return np.concatenate([head, rest.reshape(batches, -1)], axis=1).ravel()

    def _drawn(self, classes: Numbers, draws: Numbers, epoch: int) -> Numbers:
        """The row of each draw of a class, numbered over all epochs: pass by pass through the class, each in its order."""
        first = epoch * self._shares // self._sizes
        passes = -(-(epoch + 1) * self._shares // self._sizes) - first
        of = np.repeat(np.arange(len(passes)), passes)  # a block for each pass of a class
        number = np.arange(len(of)) - np.repeat(np.cumsum(passes) - passes, passes)
        sizes = self._sizes[of]
        begins = np.cumsum(sizes) - sizes
        block = np.repeat(np.arange(len(of)), sizes)
        within = np.arange(len(block)) - begins[block]
        starts = np.cumsum(self._sizes) - self._sizes
        rows = self._rows[(starts[of])[block] + within]
        apart = mixed(self.seed, 0, of + (2 << PURPOSE)).view(np.int64)
        seeds = mixed(0, 0, apart ^ (first[of] + number))
        bits = max(1, len(of).bit_length())
        keys = mixed(0, 0, (seeds[block] ^ within.astype(np.uint64)).view(np.int64))
        keys = (block.astype(np.uint64) << np.uint64(64 - bits)) | (keys >> np.uint64(bits))
        rows = rows[np.argsort(keys, kind="stable")]
        head = np.append(begins, 0)[np.cumsum(passes) - passes]  # the first block of each class
        found: Numbers = rows[head[classes] + draws - first[classes] * self._sizes[classes]]
        return found


def _evenly(counts: Numbers) -> Numbers:
    """So many of each class in one row, every stretch of it near their shares. Classes of one count take turns."""
    kinds, of = np.unique(counts, return_inverse=True)
    alike = np.bincount(of, minlength=len(kinds))
    turn = np.empty(len(counts), np.int64)
    turn[np.argsort(of, kind="stable")] = np.arange(len(counts)) - np.repeat(np.cumsum(alike) - alike, alike)
    classes = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = (number + ((turn + 0.5) / alike[of])[classes]) / counts[classes]
    found: Numbers = classes[np.argsort(place, kind="stable")]
    return found


def _apportioned(wanted: npt.NDArray[np.float64], total: int) -> Numbers:
    """Whole numbers that add up to the total, each the one below or above what is wanted: the largest remainders go up."""
    found = np.floor(wanted).astype(np.int64)
    up = np.argsort(found - wanted, kind="stable")[: total - int(found.sum())]
    found[up] += 1
    return found


def _weights(by: str, counts: Mapping[Any, int], weights: Weights, nulls: str) -> dict[Any, float]:
    """The weight of each class."""
    if isinstance(weights, Mapping):
        for name, weight in weights.items():
            if name not in counts:
                raise CorpusError(f"weights: {unknown(by, str(name), [_told(each) for each in counts])}")
            if not 0 <= weight < float("inf"):
                raise UsageError(f"weights: {name!r} has {weight!r}; a weight is a number from 0")
        found = dict(weights)
    elif weights in (None, "natural"):
        found = {name: float(count) if weights else 1.0 for name, count in counts.items()}
    else:
        raise UsageError(f"weights={weights!r}: a number for each class, 'natural', or None for equal shares")
    return {name: weight for name, weight in found.items() if name is not None or nulls == "class"}


def _told(name: Any) -> str:
    return "null" if name is None else str(name)
