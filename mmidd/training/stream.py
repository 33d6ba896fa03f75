"""The same batches as an iterable dataset, for frameworks that want one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from mmidd.errors import CorpusError
from mmidd.training.epochs import EpochSampler
from mmidd.training.loader import Batch, collate_of, items_of


class CorpusStream(IterableDataset[Batch]):  # type: ignore[misc]  # torch is not looked into
    """Iterates the batches of an epoch; for `DataLoader(stream, batch_size=None, num_workers=...)`.

    Worker w of W gives the batches w, w + W, ..., which torch puts back in their order: the same for any number of workers.
    With torchdata's StatefulDataLoader it resumes to the next batch, with as many workers as before. `set_epoch` before each
    epoch. Rows that were skipped stay in the batch's "skipped".
    """

    def __init__(self, data: Any, sampler: EpochSampler) -> None:
        self.data, self.sampler = data, sampler
        self._done: int | None = None
        """Batches of this worker that were handed out."""
        self._resume = 0
        self._epoch = torch.tensor(-1).share_memory_()
        """The epoch that was set, which workers that persist see too; -1 before."""

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration gives."""
        self.sampler.set_epoch(epoch)
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[Batch]:
        worker, workers = _worker()
        if (epoch := int(self._epoch)) >= 0:
            self.sampler.set_epoch(epoch)
        self._done, self._resume = self._resume, 0
        collate = collate_of(self.data)
        for number, draws in enumerate(self.sampler.batches(self.sampler.epoch, self._done * workers)):
            if number % workers == worker:
                self._done += 1
                yield collate(items_of(self.data, draws))

    def state_dict(self) -> dict[str, Any]:
        """Where this worker is, JSON-able."""
        found = self.sampler.state(self.sampler.epoch, 0)
        return found | {"batches": self._resume if self._done is None else self._done, "workers": _worker()[1]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the batches of that state. Raises CorpusError where it has other settings or workers."""
        epoch, _ = self.sampler.place_of(state)
        if state.get("workers") != _worker()[1]:
            raise CorpusError(f"cannot go on with {_worker()[1]} workers: the epoch began with {state.get('workers')}")
        self.set_epoch(epoch)
        self._resume, self._done = int(state["batches"]), None


def _worker() -> tuple[int, int]:
    found = get_worker_info()
    return (0, 1) if found is None else (found.id, found.num_workers)
