"""Orders of single rows: as they lie, by chance, by chance but near each other; and reals beside their blends."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from mmidd.errors import CorpusError, UsageError
from mmidd.training.epochs import Base, EpochSampler, HasRows, Order, shares, shuffled
from mmidd.training.rows import Numbers, Rows


class SequentialSampler(EpochSampler):
    """All rows in the order of the corpus: for evaluation. None is padded, none comes twice."""

    def __init__(self, data: HasRows | Rows, batch_size: int, **base: Unpack[Base]) -> None:
        super().__init__(data, batch_size, **base)
        self.slots = len(self.rows)
        self._check_units()

    def order(self, epoch: int) -> Order:
        return Order(self.rows.numbers[:, None])


class ShuffleSampler(SequentialSampler):
    """All rows in an order by chance, another one in each epoch."""

    def order(self, epoch: int) -> Order:
        return Order(self.rows.numbers[shuffled(self.slots, self.seed, epoch)][:, None])


class StreamSampler(EpochSampler):
    """All rows, each once, in an order by chance that reads the files in long pieces: row groups are shuffled so that every
    stretch has each dataset's share of them, then each row moves by chance within `window` rows.

    The stream of row groups is cut into `lanes` for each rank (halved until each has at least `window` rows, for a batch is
    mixed from what lies within a window), and batch i of a rank comes from its lane i mod lanes. As torch gives batch i to
    worker i mod workers, a row group is read by one worker (but for those that lie across a cut) wherever the number of
    workers divides the lanes; the order is the same for any number of them. The images of about `window` rows for each lane
    of a worker are what `cache_bytes` of the dataset should hold from hf://. The order depends on `ranks`.
    """

    any_ranks = False

    def __init__(
        self, data: HasRows | Rows, batch_size: int, *, window: int = 8192, lanes: int = 4, **base: Unpack[Base]
    ) -> None:
        super().__init__(data, batch_size, **base)
        if window < 1 or lanes < 1:
            raise UsageError(f"window={window}, lanes={lanes}: both are whole numbers from 1")
        self.window, self.slots = window, len(self.rows)
        while lanes > 1 and self.slots < lanes * self.ranks * window:
            lanes //= 2
        self.lanes = lanes
        self._check_units()
        self._bounds = np.flatnonzero(np.diff(self.rows.row_groups, prepend=-1))
        if len(self._bounds) < self.ranks:
            raise CorpusError(
                f"{self.ranks} ranks, but the rows lie in {len(self._bounds)} row groups, so that several would "
                "read the same ones: use ShuffleSampler, or fewer ranks"
            )

    def options(self) -> dict[str, Any]:
        return {"window": self.window, "lanes": self.lanes}

    def order(self, epoch: int) -> Order:
        stream, (places, piece) = self._stream(epoch), self._deal()
        counts = np.bincount(piece)
        count, start = counts[piece], (np.cumsum(counts) - counts)[piece]
        window = np.minimum(self.window, count)
        # Held off its ends by half a window, a piece begins and ends as mixed as it is in its midst.
        middle = np.clip(np.arange(self.slots) - start, window / 2, count - window / 2)
        keys = start + middle + window * (shares(self.slots, self.seed, epoch, 3) - 0.5)
        stream = stream[np.argsort(keys, kind="stable")]
        found = np.empty(self.slots, np.int64)
        found[places] = stream
        return Order(self.rows.numbers[found][:, None])

    def _stream(self, epoch: int) -> Numbers:
        """Positions of rows, row group by row group: those of a dataset in an order by chance, and evenly spread."""
        sizes = np.diff(self._bounds, append=self.slots)
        kinds, several = self.rows.slugs[self._bounds], np.bincount(self.rows.slugs[self._bounds])
        order = shuffled(len(sizes), self.seed, epoch, 2)
        order = order[np.argsort(kinds[order], kind="stable")]
        number = np.arange(len(order)) - (np.cumsum(several) - several)[kinds[order]]
        place = (number + shares(len(order), self.seed, epoch, 4)) / several[kinds[order]]
        order = order[np.argsort(place, kind="stable")]
        ends = np.cumsum(sizes[order])
        found: Numbers = np.arange(self.slots) + np.repeat(self._bounds[order] - (ends - sizes[order]), sizes[order])
        return found

    def _deal(self) -> tuple[Numbers, Numbers]:
        """For each place of the stream its place in the epoch, and which piece (lane of a rank, or the rest) it is of."""
        size, ranks = self.batch_size, self.ranks
        full = self.slots // (size * ranks)
        batches, rank = np.divmod(np.arange(full * ranks), ranks)
        piece = rank * self.lanes + batches % self.lanes
        order = np.lexsort((batches, piece))
        places = (order[:, None] * size + np.arange(size)).ravel()
        rest = np.arange(full * ranks * size, self.slots)
        last = np.full(len(rest), ranks * self.lanes)
        return np.concatenate([places, rest]), np.concatenate([np.repeat(piece[order], size), last])


class BlendSampler(EpochSampler):
    """Reals alone, each twice in one batch, side by side and with one seed: as it is, and to be blended with itself into a
    fake. Whole images have no landmarks to blend by: they are left out."""

    width = 2

    def __init__(self, data: HasRows | Rows, batch_size: int, **base: Unpack[Base]) -> None:
        super().__init__(data, batch_size, **base)
        self.rows.load("label", "geometry")
        real, whole = (
            np.array([each == value for each in found.values], np.bool_)[found.codes]
            for found, value in ((self.rows.codes("label"), "real"), (self.rows.codes("geometry"), "whole"))
        )
        self._numbers = self.rows.numbers[real & ~whole]
        self.left_out = counted({"no reals": int((~real).sum()), "whole images": int((real & whole).sum())})
        self.slots = len(self._numbers)
        self._check_units("reals with landmarks")

    def order(self, epoch: int) -> Order:
        order = shuffled(self.slots, self.seed, epoch)
        return Order(np.repeat(self._numbers[order][:, None], 2, axis=1), one_seed=True, blend=(1,))


def counted(found: dict[str, int]) -> dict[str, int]:
    """The entries that are not 0."""
    return {name: count for name, count in found.items() if count}
