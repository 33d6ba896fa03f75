"""Frames of clips: some of each, spread over it, as single rows; or several together as one item, for video detectors."""

from __future__ import annotations

from typing import Any, Literal, Unpack

import numpy as np

from mmidd.errors import UsageError
from mmidd.training.epochs import Base, EpochSampler, HasRows, Order, shares, shuffled
from mmidd.training.rows import Numbers, Rows
from mmidd.training.samplers import counted

Spread = Literal["random", "even"]


class _OfClips(EpochSampler):
    """The rows clip by clip in the order of frames. With spread "random" (training) what is taken of a clip is by chance and
    shuffled; with "even" (evaluation) it is the middle of each part, clip by clip. `shuffle` says otherwise."""

    def __init__(
        self, data: HasRows | Rows, batch_size: int, frames: int, spread: Spread, shuffle: bool | None, **base: Unpack[Base]
    ) -> None:
        super().__init__(data, batch_size, **base)
        if frames < 1 or spread not in ("random", "even"):
            raise UsageError(f"frames={frames!r}, spread={spread!r}: frames are from 1, spread is 'random' or 'even'")
        self.frames, self.spread = frames, spread
        self.shuffle = spread == "random" if shuffle is None else shuffle
        clip = self.rows.clip
        self._sorted = np.lexsort((self.rows.frame, clip))
        self._of = clip[self._sorted]
        self._starts = np.flatnonzero(np.diff(self._of, prepend=-1))
        self._lengths = np.diff(self._starts, append=len(self._of))

    def options(self) -> dict[str, Any]:
        return {"frames": self.frames, "spread": self.spread, "shuffle": self.shuffle}

    def counts(self) -> dict[str, Any]:
        short = int((self._lengths < self.frames).sum())
        return super().counts() | {"clips": len(self._starts), "clips of fewer frames": short}

    def _parts(self, epoch: int, clips: Numbers, parts: Numbers) -> Numbers:
        """Of each of these clips so many rows, one of each of its equal parts: places in the sorted rows."""
        ends = np.cumsum(parts)
        of = np.repeat(clips, parts)
        number = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - parts, parts)
        length, several = self._lengths[of], np.repeat(parts, parts)
        low, high = number * length // several, (number + 1) * length // several
        return self._starts[of] + low + self._within(epoch, high - low)

    def _within(self, epoch: int, sizes: Numbers) -> Numbers:
        """A number under each size: by chance, or the middle."""
        if self.spread == "even":
            return (sizes - 1) // 2
        found: Numbers = (shares(len(sizes), self.seed, epoch, 2) * sizes).astype(np.int64)
        return found

    def _ordered(self, epoch: int, rows: Numbers) -> Order:
        return Order(rows[shuffled(len(rows), self.seed, epoch)] if self.shuffle else rows)


class FrameSampler(_OfClips):
    """`frames` rows of each clip: its rows, by frame, are cut into so many equal parts, and each gives one. A clip of fewer
    gives what it has (`counts` says how many these are)."""

    def __init__(
        self,
        data: HasRows | Rows,
        batch_size: int,
        *,
        frames: int = 8,
        spread: Spread = "random",
        shuffle: bool | None = None,
        **base: Unpack[Base],
    ) -> None:
        super().__init__(data, batch_size, frames, spread, shuffle, **base)
        self._taken = np.minimum(self._lengths, frames)
        self.slots = int(self._taken.sum())
        self._check_units()

    def order(self, epoch: int) -> Order:
        places = self._parts(epoch, np.arange(len(self._starts)), self._taken)
        return self._ordered(epoch, self.rows.numbers[self._sorted[places]][:, None])


class ClipSampler(_OfClips):
    """One item of each clip: `frames` of its rows together, in the order of frames.

    `consecutive`: frame numbers that follow each other by one step, the smallest between frames of that clip; where that is
    over 1, a step may be one longer (frames spread evenly over a clip are rounded). Which of such runs is by chance with
    spread "random", the middle one with "even". Otherwise one row of each of so many equal parts of the clip. Clips with too
    few are left out and counted.
    """

    def __init__(
        self,
        data: HasRows | Rows,
        batch_size: int,
        *,
        frames: int = 8,
        consecutive: bool = True,
        spread: Spread = "random",
        shuffle: bool | None = None,
        **base: Unpack[Base],
    ) -> None:
        super().__init__(data, batch_size, frames, spread, shuffle, **base)
        self.consecutive = consecutive
        self._begins = self._runs() if consecutive else np.arange(len(self._of))[self._length_of >= frames]
        having = np.unique(self._of[self._begins])
        self._clips = np.searchsorted(self._of[self._starts], having)
        fewer, without = self._lengths < frames, np.ones(len(self._lengths), np.bool_)
        without[self._clips] = False
        self.left_out = counted(
            {
                f"rows of clips of fewer than {frames} frames": int(self._lengths[fewer].sum()),
                f"rows of clips without {frames} frames in a row": int(self._lengths[without & ~fewer].sum()),
            }
        )
        self.slots = len(self._clips)
        self._check_units(f"clips with {frames} frames" + (" in a row" if consecutive else ""))

    @property
    def _length_of(self) -> Numbers:
        return np.repeat(self._lengths, self._lengths)

    def _runs(self) -> Numbers:
        """Where, in the sorted rows, so many frames in a row begin."""
        count, frame = len(self._of), self.rows.frame[self._sorted].astype(np.int64)
        same = self._of[1:] == self._of[:-1]
        steps = np.append(np.where(same, np.diff(frame), np.iinfo(np.int64).max), np.iinfo(np.int64).max)
        least = np.repeat(np.minimum.reduceat(steps, self._starts), self._lengths)
        follows = np.concatenate([[0], np.cumsum(np.append(same, False) & (steps - least <= (least > 1)))])
        begins = np.arange(max(0, count - self.frames + 1))
        found: Numbers = begins[follows[begins + self.frames - 1] - follows[begins] == self.frames - 1]
        return found

    def options(self) -> dict[str, Any]:
        return super().options() | {"consecutive": self.consecutive}

    def counts(self) -> dict[str, Any]:
        return super().counts() | {"clips drawn": self.slots}

    def order(self, epoch: int) -> Order:
        if self.consecutive:
            first = np.searchsorted(self._of[self._begins], self._of[self._starts[self._clips]])
            sizes = np.diff(first, append=len(self._begins))
            places = self._begins[first + self._within(epoch, sizes)][:, None] + np.arange(self.frames)
        else:
            several = np.full(len(self._clips), self.frames)
            places = self._parts(epoch, self._clips, several).reshape(-1, self.frames)
        return self._ordered(epoch, self.rows.numbers[self._sorted[places]][:, None, :])
