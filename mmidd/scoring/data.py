"""Which rows are scored in which order, frame by frame or in windows of a clip's frames, and what is read of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from mmidd.corpus.read import Corpus
from mmidd.scoring.degrade import PIECE, Degradation, Pixels
from mmidd.scoring.model import Look
from mmidd.training import CorpusDataset
from mmidd.training.batch import Skipped
from mmidd.training.dataset import clip_of
from mmidd.training.draws import Draw
from mmidd.training.epochs import EpochSampler, Order
from mmidd.training.images import Sizing, UnreadableRow, decoded, tensor
from mmidd.training.rows import Numbers, Rows

BATCH = 32
"""Images that a model is given at once (of clips: as many as hold so many frames, one at least). It is no option, so that
scores do not depend on it: another number changes them in their last bits."""


def clip_order(rows: Rows) -> npt.NDArray[np.int64]:
    """Places of the rows, clip by clip (one face of a medium) as these first come in the corpus, frames in order."""
    clip = rows.clip
    first = np.unique(clip, return_index=True)[1]
    return np.lexsort((rows.frame, first[clip])).astype(np.int64)


def windows(clip: npt.NDArray[Any], frame: npt.NDArray[Any], size: int) -> npt.NDArray[np.int64]:
    """Places (n, size) of frames in a row, of frames that lie clip by clip in order: each stretch of frames that follow each
    other is cut into windows, the last one moved back to its end, so that every frame is in one at least. A stretch of
    fewer frames is in none.

    Frames follow each other as `training.ClipSampler` has it: by the smallest step of that clip, where that is over 1 a step
    may be one longer.
    """
    found: list[int] = []
    if not len(clip):
        return np.zeros((0, size), np.int64)
    starts = np.flatnonzero(np.diff(clip, prepend=clip[:1] - 1))
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(clip)], strict=True):
        steps = np.diff(frame[begin:end].astype(np.int64))
        least = int(steps.min()) if len(steps) else 0
        breaks = (np.flatnonzero(steps - least > int(least > 1)) + 1 + begin).tolist()
        for first, last in zip([begin, *breaks], [*breaks, end], strict=True):
            if last - first >= size:
                found += [*range(first, last - size, size), last - size]
    return np.array(found, np.int64)[:, None] + np.arange(size)


def items(rows: Rows, frames: int) -> Numbers:
    """Row numbers (n, frames) of what is scored, item by item."""
    order = clip_order(rows)
    if frames == 1:
        return rows.numbers[order][:, None]
    return rows.numbers[order[windows(rows.clip[order], rows.frame[order], frames)]]


class Given(EpochSampler):
    """Items in an order that is given: (n, frames) row numbers."""

    def __init__(self, rows: Rows, found: Numbers, batch: int) -> None:
        super().__init__(rows, batch, rank=0, ranks=1)
        self.items, self.slots = found, len(found)

    def order(self, epoch: int) -> Order:
        return Order(self.items if self.items.shape[1] == 1 else self.items[:, None, :])


def dataset(corpus: Corpus, rows: Rows, look: Look, degradation: Degradation | None) -> Any:
    """The rows as a model sees them, with `id`, `row` and the columns that it wants; what cannot be read is skipped. Neither
    label nor type is there: no score can come from them."""
    columns = tuple(dict.fromkeys(("id", "row", *look.columns)))
    if degradation is not None and not degradation.is_nothing:
        return Degraded(corpus, rows, Sizing(look.side, look.fit), columns, degradation)
    data = CorpusDataset(corpus, size=look.side, fit=look.fit, columns=columns, on_error="skip")
    data.rows = rows
    return data


class Degraded(Dataset):  # type: ignore[misc]
    """As `CorpusDataset`, but each stored image is decoded whole, degraded, and then fitted. (An undegraded JPEG twice as
    large as is wanted is decoded at a half.) Frames of a clip are degraded in pieces of `degrade.PIECE`."""

    def __init__(self, corpus: Corpus, rows: Rows, sizing: Sizing, columns: Sequence[str], degradation: Degradation) -> None:
        self._stored = CorpusDataset(corpus, image="encoded", columns=columns, on_error="skip")
        self._stored.rows = self.rows = rows
        self.sizing, self.degradation = sizing, degradation
        self._pieces = _Pieces(rows) if degradation.of_clips else None
        self._held: OrderedDict[int, dict[int, Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, draws: Sequence[Draw]) -> list[Any]:
        return [self._item(draw) for draw in draws]

    def _item(self, draw: Draw) -> Any:
        if not isinstance(draw.row, tuple):
            found = self._one(draw.row)
            return found._replace(unit=draw.unit) if isinstance(found, Skipped) else found
        frames = [self._one(row) for row in draw.row]
        if lost := next((each for each in frames if isinstance(each, Skipped)), None):
            return lost._replace(unit=draw.unit)
        return clip_of(frames)

    def _one(self, row: int) -> Any:
        """Its sample, or a Skipped."""
        if self._pieces is None:
            return self._degraded([row])[row]
        number, rows = self._pieces.of(row)
        if number not in self._held:
            self._held[number] = self._degraded(rows)
            if len(self._held) > 2:  # batches lie clip by clip
                self._held.popitem(last=False)
        return self._held[number][row]

    def _degraded(self, rows: Sequence[int]) -> dict[int, Any]:
        found = {row: self._read(row) for row in rows}
        whole = {row: each for row, each in found.items() if not isinstance(each, Skipped)}
        frames = self.degradation.applied([each.pop("image") for each in whole.values()], [e["id"] for e in whole.values()])
        for sample, pixels in zip(whole.values(), frames, strict=True):
            sample["image"] = tensor(self.sizing.fitted(pixels))
        return found

    def _read(self, row: int) -> Any:
        sample = self._stored[Draw(row, 0)]
        if isinstance(sample, Skipped):
            return sample
        read: dict[str, Any] = dict(sample)
        try:
            pixels: Pixels = decoded(read.pop("encoded"), f"row {row}")[0]
        except UnreadableRow as error:
            return Skipped(0, row, read["id"], str(error))
        return read | {"image": pixels}


class _Pieces:
    """Of each row the piece of its clip that it lies in."""

    def __init__(self, rows: Rows) -> None:
        order = clip_order(rows)
        clip = rows.clip[order]
        start = np.flatnonzero(np.diff(clip, prepend=clip[:1] - 1))
        within = np.arange(len(order)) - np.repeat(start, np.diff(start, append=len(order)))
        self._numbers, self._sorted = rows.numbers, rows.numbers[order]
        self._starts = np.append(np.flatnonzero(within % PIECE == 0), len(order))
        self._place = np.empty(len(order), np.int64)
        self._place[order] = np.arange(len(order))

    def of(self, row: int) -> tuple[int, list[int]]:
        place = self._place[np.searchsorted(self._numbers, row)]
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        return number, self._sorted[self._starts[number] : self._starts[number + 1]].tolist()
