"""How an epoch is cut into batches for ranks: none of them waits for another, and nothing is padded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cuts:
    """How the slots of an epoch are cut into batches of `size` slots for `ranks`."""

    slots: int
    size: int
    ranks: int
    drop_last: bool

    @property
    def dropped(self) -> int:
        """Slots in no batch."""
        return self.slots % (self.size * self.ranks) if self.drop_last else 0

    def _tail(self) -> tuple[int, int]:
        """Full global batches before those that are shared out, and how many those are."""
        full, rest = divmod(self.slots, self.size * self.ranks)
        if self.drop_last or not rest:
            return full, 0
        if rest >= self.ranks:
            return full, 1
        if not full:
            return 0, 0  # fewer slots than ranks: no batches at all
        return (full - 1, 2) if self.size > 1 else (full - 1, 1)

    def __len__(self) -> int:
        return sum(self._tail())

    def _bounds(self, number: int) -> tuple[int, int]:
        """The slots of a global batch."""
        full, shared = self._tail()
        start = full * self.size * self.ranks
        if number < full:
            return number * self.size * self.ranks, (number + 1) * self.size * self.ranks
        return _even(start, self.slots, number - full, shared)

    def part(self, number: int, rank: int) -> tuple[int, int]:
        """The slots of a batch of a rank."""
        return _even(*self._bounds(number), rank, self.ranks)

    def seen(self, batches: int) -> int:
        """The slots of so many batches of all ranks."""
        return self._bounds(batches - 1)[1] if batches else 0

    def number(self, seen: int) -> int | None:
        """How many batches have so many slots; None where none of them ends there."""
        near = min(seen // (self.size * self.ranks), len(self))
        return next((n for n in range(near, min(near + 2, len(self)) + 1) if self.seen(n) == seen), None)


def _even(start: int, stop: int, part: int, parts: int) -> tuple[int, int]:
    """A part of a range that is cut evenly, the first parts one longer where that does not go up."""
    each, more = divmod(stop - start, parts)
    begin = start + part * each + min(part, more)
    return begin, begin + each + (part < more)
