"""Batches of an epoch, from worker processes or this one; they can be stopped anywhere and go on from there."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader

from mmidd.errors import CorpusError, MmiddError, UsageError
from mmidd.training.batch import collate
from mmidd.training.draws import Draw
from mmidd.training.epochs import EpochSampler, checked, refuse_other

Batch = dict[str, Any]
_MOST_LISTED = 1000


@dataclass
class Skips:
    """Rows that could not be read and were left out, since the loader was made: how many, and the first thousand."""

    count: int = 0
    listed: list[Any] = field(default_factory=list)

    def add(self, found: Sequence[Any]) -> None:
        self.count += len(found)
        self.listed += found[: max(0, _MOST_LISTED - len(self.listed))]


class Loader:
    """Iterates the batches of one epoch of `sampler` over `data`; when it is through, the epoch number goes up.

    `workers` processes decode (0: this one), each `prefetch` batches ahead, and stay for the next epoch. The batches are the
    same for any number of them. `state_dict` counts what was handed out, whatever was fetched ahead; after `load_state_dict`
    the next iteration gives the very next batch, and decodes nothing of what lies before. An iteration that was broken off
    begins the same epoch anew when it is iterated again (as with torch; one whose last batch was handed out is through): to
    go on instead, load the state; for other batches, `set_epoch`, here or of the sampler. `timeout` are seconds that a batch
    may take, 0 for ever. Torch's own chance is not touched.

    What a worker raises of ours arrives as it was; CorpusError too for a worker that was killed and for a batch of which no
    row can be read. `skipped` counts and lists the rows that were left out.
    """

    def __init__(
        self,
        data: Any,
        sampler: EpochSampler,
        *,
        workers: int = 0,
        pin_memory: bool = False,
        prefetch: int = 2,
        timeout: float = 0,
        start_method: str | None = None,
    ) -> None:
        if not isinstance(sampler, EpochSampler):
            raise UsageError(f"sampler: one of mmidd.training's is asked for, not {type(sampler).__name__}")
        if workers < 0 or prefetch < 1 or timeout < 0:
            raise UsageError(f"workers={workers}, prefetch={prefetch}, timeout={timeout}: from 0, from 1, and from 0")
        if (rows := getattr(data, "rows", sampler.rows)).digest != sampler.rows.digest:
            raise UsageError(
                f"the sampler is over {len(sampler.rows):,} rows, the data over {len(rows):,}, and not the same: make the "
                "sampler of this data"
            )
        self.data, self.sampler, self.workers = data, sampler, workers
        self.skipped = Skips()
        self._epoch, self._done, self._resume = sampler.epoch, 0, 0
        self._heard = sampler.epoch
        self._order, self._turn = _FromHere(sampler), object()
        in_workers: dict[str, Any] = {
            "num_workers": workers,
            "prefetch_factor": prefetch,
            "timeout": timeout,
            "multiprocessing_context": start_method,
            "persistent_workers": True,
        }
        self._torch = DataLoader(
            _Guarded(data, collate_of(data)),
            batch_sampler=self._order,
            collate_fn=_as_it_is,
            pin_memory=pin_memory,
            worker_init_fn=_alone,
            generator=torch.Generator().manual_seed(0),  # or each epoch would draw from the trainer's own
            **(in_workers if workers else {}),
        )

    @property
    def epoch(self) -> int:
        """The epoch that is under way, or comes next."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration gives. The one that it is in already changes nothing, not even after a resume."""
        if checked(epoch) != self._epoch or self._done == len(self):
            self._epoch, self._done, self._resume = epoch, 0, 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        if self.sampler.epoch != self._heard:  # Lightning, and who is used to torch's samplers, tell it the sampler
            self._heard = self.sampler.epoch
            self.set_epoch(self._heard)
        if self._done == len(self):  # by next(), as transformers' Trainer does: the end was never asked for
            self.set_epoch(self._epoch + 1)
        self._done, self._resume = self._resume, 0
        self._turn = turn = object()
        self._order.epoch, self._order.start = self._epoch, self._done
        for batch in self._fetched():
            if turn is not self._turn:
                raise UsageError("another iteration over this loader has begun: make a second loader for two at once")
            found = self._checked(batch)
            self._done += 1
            if found is not None:
                yield found
        self._epoch, self._done = self._epoch + 1, 0

    def _fetched(self) -> Iterator[Any]:
        try:
            yield from self._torch
        except GeneratorExit:
            raise  # broken off by who iterates: the workers are used again
        except BaseException as error:
            clear = _clear(error, getattr(self._torch._iterator, "_workers", ()))
            self.close()
            if clear is not None:
                raise clear from None
            raise

    def _checked(self, batch: Any) -> Batch | None:
        if isinstance(batch, _Failed):
            self.close()
            raise batch.error
        if not isinstance(batch, dict) or "skipped" not in batch:
            found: Batch = batch
            return found
        skipped = batch.pop("skipped")
        self.skipped.add(skipped)
        if batch:
            return batch
        if self.sampler.ranks > 1:
            raise CorpusError(
                f"no row of batch {self._done} of epoch {self._epoch} can be read, and other ranks would wait for it: "
                f"{skipped[0] if skipped else 'it is empty'}"
            )
        return None

    def close(self) -> None:
        """End the workers; the next iteration starts new ones."""
        iterator, self._torch._iterator = self._torch._iterator, None
        if iterator is not None:
            workers = list(getattr(iterator, "_workers", ()))
            with suppress(RuntimeError):  # torch tells here too of a worker that was killed; it ends the others all the same
                iterator._shutdown_workers()
            for each in workers:
                if each.is_alive():  # torch's last word is SIGTERM, which they do not hear
                    each.kill()

    def state_dict(self) -> dict[str, Any]:
        """Where it is, JSON-able: the epoch, the batches that were handed out, and the settings that they depend on."""
        return {**self.sampler.state(self._epoch, self._resume or self._done), "data": self._settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the batches of that state; where they were the whole epoch, with the next one. Raises CorpusError
        where seed, sampler, batches, rows or corpus are other ones, or size and transform of the data, and names them."""
        epoch, done = self.sampler.place_of(state)
        refuse_other(state.get("data", self._settings()), self._settings())
        self._epoch, self._resume = (epoch, done) if done < len(self) else (epoch + 1, 0)
        self._done = self._resume

    def _settings(self) -> Any:
        """Of the dataset, where it tells."""
        found: Callable[[], Any] | None = getattr(self.data, "settings", None)
        return None if found is None else found()

    def __repr__(self) -> str:
        told = f"epoch {self._epoch}, {self._done:,} of {len(self):,} batches, {self.workers} workers"
        skipped = f", {self.skipped.count:,} rows skipped" if self.skipped.count else ""
        return f"<Loader: {told}{skipped}; {self.sampler!r}>"


class _FromHere:
    """The batches of an epoch from one on, as torch asks for them."""

    def __init__(self, sampler: EpochSampler) -> None:
        self.sampler, self.epoch, self.start = sampler, 0, 0

    def __iter__(self) -> Iterator[list[Draw]]:
        return self.sampler.batches(self.epoch, self.start)

    def __len__(self) -> int:
        return len(self.sampler)


@dataclass(frozen=True)
class _Failed:
    """An error of ours on its way out of a worker: torch would make a traceback of it."""

    error: MmiddError


@dataclass(frozen=True)
class _Guarded:
    """The dataset, a whole batch at a time."""

    data: Any
    collate: Callable[[list[Any]], Any]

    def __getitem__(self, draw: Draw) -> Any:
        return self.data[draw]

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, draws: list[Draw]) -> Any:
        try:
            return self.collate(items_of(self.data, draws))
        except MmiddError as error:
            return _Failed(error)


def items_of(data: Any, draws: list[Draw]) -> list[Any]:
    """What a dataset gives for the draws of a batch: all at once where it can."""
    at_once: Callable[[list[Draw]], list[Any]] | None = getattr(data, "__getitems__", None)
    return [data[draw] for draw in draws] if at_once is None else at_once(draws)


def collate_of(data: Any) -> Callable[[list[Any]], Any]:
    """How the items of a dataset become a batch: its own way, or ours."""
    found: Callable[[list[Any]], Any] = getattr(data, "collate", None) or collate
    return found


def _as_it_is(batch: Any) -> Any:
    return batch


def _alone(worker: int) -> None:
    """What a worker does first: it computes on one thread, and leaves Ctrl-C and SIGTERM to its parent, which may hear them
    with its whole group (`timeout`, Slurm) and has to end in its own way: its workers end with it."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _clear(error: BaseException, workers: Sequence[Any]) -> CorpusError | None:
    """What to say where a worker died or took too long. A dead one shows as torch's RuntimeError, or as a connection that
    breaks while its tensors are fetched."""
    if isinstance(error, RuntimeError) and "DataLoader timed out after" in str(error):
        return CorpusError(f"the loader got no batch in time ({error}): a larger timeout, or 0 to wait for ever")
    if not isinstance(error, RuntimeError | OSError | EOFError):
        return None
    for _ in range(10 if isinstance(error, OSError | EOFError) else 2):  # its end may come a moment after its connection's
        with suppress(RuntimeError):  # torch's word of it, which it says in the midst of whatever runs
            if lost := next((each for each in workers if each.exitcode), None):
                return _died(lost.exitcode, lost.pid)
            time.sleep(0.1)
    return None


def _died(code: int, pid: int) -> CorpusError:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return CorpusError(
        f"a worker of the loader {how} (pid {pid}): most often the machine ran out of memory, or of shared memory "
        "(/dev/shm); use fewer workers, a smaller prefetch or batch_size, and go on from the last state"
    )
