"""The base of all samplers: an epoch is an order of row numbers, known up front, cut into batches for ranks.

An order is a pure function of (seed, epoch), and so is the seed of every draw in it: nothing depends on the number of
workers, and a place in the epoch is all that a resume needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import torch.distributed
from torch.utils.data import Sampler

from mmidd.errors import CorpusError, UsageError
from mmidd.training.cuts import Cuts
from mmidd.training.draws import Draw, mixed
from mmidd.training.rows import Numbers, Rows

PURPOSE = 48
"""Bits that places of an epoch take; above them stands what a number is for, 0 for the seeds of draws."""

_MOST_EPOCHS = 1 << 62


class HasRows(Protocol):
    """A dataset over selected rows."""

    @property
    def rows(self) -> Rows: ...


class Base(TypedDict, total=False):
    """What every sampler takes."""

    seed: int
    rank: int | None
    ranks: int | None
    drop_last: bool


@dataclass(frozen=True)
class Order:
    """An epoch, slot by slot; a slot is never split between batches or ranks.

    `rows` are row numbers, (slots, width) or, where a draw is of several rows, (slots, width, frames); -1 is an empty place.
    The draws of a slot are one unit where `together` says so, and get one seed with `one_seed`. `blend` are the columns that
    are to be blended.
    """

    rows: Numbers
    together: bool | npt.NDArray[np.bool_] = True
    one_seed: bool = False
    blend: tuple[int, ...] = ()


class EpochSampler(Sampler[list[Draw]]):  # type: ignore[misc]  # torch is not looked into
    """Iterates the batches of one epoch, lists of draws, for this rank; torch takes it as `batch_sampler`.

    Of each global batch of `ranks` x `batch_size` draws a rank gets its slice, so that 2 ranks of 32 see the global batches
    of 1 rank of 64. All ranks have the same number of batches and every unit is drawn exactly once: the last global batch,
    where it holds fewer units than there are ranks the last two, are shared out evenly (with one unit a batch the last may
    hold two). With `drop_last` a global batch that is not full is left out, and `dropped` says how many units that is.
    Without `rank` and `ranks`, those of torch.distributed where it runs. Raises UsageError for impossible settings and
    where WORLD_SIZE says that it should run, CorpusError where there are fewer units than ranks.
    """

    width = 1
    """Draws of a slot."""
    slots = 0
    """Slots of an epoch, the same in every one."""
    any_ranks = True
    """Is the order the same for any number of ranks with the same global batch?"""

    def __init__(
        self,
        data: HasRows | Rows,
        batch_size: int,
        *,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self.rows = data if isinstance(data, Rows) else data.rows
        self.rank, self.ranks = _ranks(rank, ranks)
        self.batch_size, self.seed, self.drop_last = batch_size, seed, drop_last
        if not _is_count(batch_size, 1) or batch_size % self.width:
            what = "a whole number from 1" if self.width == 1 else f"a multiple of {self.width}, for what belongs together"
            raise UsageError(f"batch_size={batch_size!r}: it is {what}")
        if not _is_count(seed, 0) or seed >= 1 << 63:
            raise UsageError(f"seed={seed!r}: it is a whole number from 0, under 2 to the 63")
        self.epoch = 0
        self._done, self._resume = 0, 0
        self.left_out: dict[str, int] = {}
        """Rows that are in no epoch, by reason."""

    def order(self, epoch: int) -> Order:
        """The order of an epoch, over all ranks."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """What else the order depends on, JSON-able."""
        return {}

    def counts(self) -> dict[str, Any]:
        """What an epoch gives over all ranks, and what it leaves out."""
        return {
            "rows": len(self.rows),
            "draws": (self.slots - self._cuts.dropped) * self.width,
            "batches": len(self),
            "dropped": self.dropped,
            "left_out": dict(self.left_out),
        }

    @property
    def dropped(self) -> int:
        """Units that `drop_last` leaves out of every epoch; others in each, where the order is by chance."""
        return self._cuts.dropped

    @property
    def _cuts(self) -> Cuts:
        return Cuts(self.slots, self.batch_size // self.width, self.ranks, self.drop_last)

    def __len__(self) -> int:
        return len(self._cuts)

    def __iter__(self) -> Iterator[list[Draw]]:
        self._done, self._resume = self._resume, 0
        for batch in self.batches(self.epoch, self._done):
            self._done += 1
            yield batch

    def batches(self, epoch: int, start: int = 0) -> Iterator[list[Draw]]:
        """The batches of an epoch for this rank, from number `start` on."""
        cuts = self._cuts
        if start >= len(cuts):
            return
        order = self.order(epoch)
        for number in range(start, len(cuts)):
            yield self._draws(order, epoch, *cuts.part(number, self.rank))

    def _draws(self, order: Order, epoch: int, start: int, stop: int) -> list[Draw]:
        rows = order.rows[start:stop]
        places = np.arange(start * self.width, stop * self.width, dtype=np.int64).reshape(rows.shape[:2])
        first = np.broadcast_to(places[:, :1], places.shape)
        together = order.together if isinstance(order.together, bool) else order.together[start:stop, None]
        units = np.where(together, first, places)
        seeds = mixed(self.seed, epoch, np.where(together & order.one_seed, first, places))
        blend = np.zeros(places.shape, np.bool_)
        blend[:, list(order.blend)] = True
        there = (rows if rows.ndim == 2 else rows[..., 0]) >= 0
        numbers = rows[there].tolist()
        return [
            Draw(tuple(row) if isinstance(row, list) else row, seed, unit, blended)
            for row, seed, unit, blended in zip(
                numbers, seeds[there].tolist(), units[there].tolist(), blend[there].tolist(), strict=True
            )
        ]

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration gives. The one it is in already changes nothing, not even after a resume."""
        if checked(epoch) != self.epoch:
            self.epoch, self._done, self._resume = epoch, 0, 0

    def settings(self) -> dict[str, Any]:
        """All that the order depends on but the epoch, JSON-able; a state of other settings is not taken."""
        found = {
            "sampler": type(self).__name__,
            "seed": self.seed,
            "global batch": self.batch_size * self.ranks,
            "drop_last": self.drop_last,
            **self.options(),
            "corpus": self.rows.corpus_digest,
            "selection": self.rows.digest,
        }
        return found if self.any_ranks else found | {"ranks": self.ranks}

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, JSON-able: the batches that were handed out. (Who fetches ahead counts himself: `Loader`
        and StatefulDataLoader do.)"""
        return self.state(self.epoch, self._done)

    def state(self, epoch: int, batches: int) -> dict[str, Any]:
        """The state after so many batches of an epoch."""
        return {"epoch": epoch, "batches": batches, "slots": self._cuts.seen(batches), "settings": self.settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next iteration goes on after the batches of that state. Raises CorpusError where it has other settings, and
        names them."""
        self.epoch, self._resume = self.place_of(state)
        self._done = self._resume

    def place_of(self, state: Mapping[str, Any]) -> tuple[int, int]:
        """Epoch and number of the next batch by a state. Raises CorpusError."""
        try:
            epoch, slots, then = state["epoch"], state["slots"], dict(state["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorpusError(
                "this is no state of a sampler or loader of mmidd: it has no epoch, slots or settings"
            ) from error
        if not _is_count(epoch, 0) or not _is_count(slots, 0) or epoch >= _MOST_EPOCHS:
            raise CorpusError(f"this is no state of mmidd, or was changed: epoch {epoch!r}, {slots!r} units done")
        refuse_other(then, self.settings())
        batches = self._cuts.number(slots)
        if batches is None:
            raise CorpusError(
                f"cannot go on after {slots} of {self.slots} units with {self.ranks} ranks: the last batches are cut "
                "otherwise for them. Go on with as many ranks as before until the epoch ends"
            )
        return int(epoch), batches

    def __repr__(self) -> str:
        counts = self.counts()
        out = {**self.left_out, **({"the last batch, not full": self.dropped * self.width} if self.dropped else {})}
        told = "; left out: " + ", ".join(f"{count:,} ({why})" for why, count in out.items()) if out else ""
        of = f", rank {self.rank} of {self.ranks}" if self.ranks > 1 else ""
        return (
            f"<{type(self).__name__}: {counts['draws']:,} draws an epoch from {len(self.rows):,} rows in {len(self):,} "
            f"batches of {self.batch_size}{told}; seed {self.seed}{of}>"
        )

    def _check_units(self, what: str = "rows") -> None:
        """To be called when `slots` is known."""
        if not self.slots:
            raise CorpusError(f"{type(self).__name__}: no {what} among the {len(self.rows):,} rows{self._why()}")
        if not len(self):
            if self.drop_last:
                raise CorpusError(
                    f"{type(self).__name__}: {self.slots} {what} fill no batch of {self.batch_size} for {self.ranks} ranks; "
                    "choose a smaller batch_size, or drop_last=False"
                )
            raise CorpusError(
                f"{type(self).__name__}: {self.ranks} ranks, but only {self.slots} {what}: use as many ranks at most"
            )

    def _why(self) -> str:
        return ": " + ", ".join(f"{count:,} ({why})" for why, count in self.left_out.items()) if self.left_out else ""


def refuse_other(then: Any, now: Any) -> None:
    """Raises CorpusError where the settings of a state are not those of now, and names what differs."""
    then, now = (dict(each) if isinstance(each, Mapping) else {} for each in (then, now))
    if differ := [name for name in {**then, **now} if then.get(name) != now.get(name)]:
        told = "; ".join(f"{name} was {then.get(name)!r}, is {now.get(name)!r}" for name in differ)
        raise CorpusError(
            f"cannot go on with other settings than the epoch began with: {told}. Set them back, or begin anew"
        )


def checked(epoch: int) -> int:
    """An epoch's number. Raises UsageError for what is none."""
    if not _is_count(epoch, 0) or epoch >= _MOST_EPOCHS:
        raise UsageError(f"epoch={epoch!r}: epochs are numbered from 0")
    return epoch


def shuffled(count: int, seed: int, epoch: int, purpose: int = 1) -> Numbers:
    """The numbers under `count` in an order by chance; the same for ever, whatever the version of numpy."""
    return np.argsort(chances(count, seed, epoch, purpose), kind="stable")


def chances(count: int, seed: int, epoch: int, purpose: int) -> npt.NDArray[np.uint64]:
    """Numbers by chance, 64 bits each; other ones for each purpose."""
    return mixed(seed, epoch, np.arange(count, dtype=np.int64) + (purpose << PURPOSE))


def shares(count: int, seed: int, epoch: int, purpose: int) -> npt.NDArray[np.float64]:
    """Numbers by chance from 0 to under 1."""
    return (chances(count, seed, epoch, purpose) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _ranks(rank: int | None, ranks: int | None) -> tuple[int, int]:
    if (rank is None) != (ranks is None):
        raise UsageError("rank and ranks go together: give both, or neither for those of torch.distributed")
    if rank is None or ranks is None:
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            if (world := os.environ.get("WORLD_SIZE", "1")) not in ("", "0", "1"):
                raise UsageError(
                    f"WORLD_SIZE={world} says that there are several ranks, but torch.distributed does not run yet, so that "
                    "each would see every row: call init_process_group before, or give rank= and ranks= (0, 1: all rows)"
                )
            return 0, 1
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    if not _is_count(ranks, 1) or not _is_count(rank, 0) or rank >= ranks:
        raise UsageError(f"rank={rank!r}, ranks={ranks!r}: ranks are numbered from 0")
    return rank, ranks


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)
