"""Rows that lie in memory, and a dataset over them whose pixels are made of a draw: where files are not the point."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError
from mmidd.training.draws import Draw
from mmidd.training.rows import Codes, Rows


def rows_of(count: int, columns: Mapping[str, Sequence[Any]] | None = None, **held: Any) -> Rows:
    """Rows 10, 11, ... with these columns. `held` are the arrays that else are computed: pair, row_groups, slugs."""
    found: dict[str, Any] = {"corpus": "made", "digest": f"made{count}"}
    found |= {name: codes_of(values) for name, values in (columns or {}).items()}
    if "pair" in held:
        found["pairs"] = np.asarray(held["pair"], np.int64)
    if "row_groups" in held:
        found["row_groups"] = np.asarray(held["row_groups"], np.int32)
        found["slugs"] = np.asarray(held.get("slugs", [0] * count), np.int32)
    return Rows(np.arange(10, 10 + count, dtype=np.int64), cast(Corpus, None), found)


def codes_of(values: Sequence[Any]) -> Codes:
    """A column as codes, as Rows has them."""
    known = sorted(set(values), key=lambda value: (value is None, value))
    return Codes(tuple(known), np.array([known.index(value) for value in values], np.int32))


def clips_of(lengths: Sequence[int], step: int = 1) -> Rows:
    """Clips of so many frames, their rows in no order."""
    media = [f"clip{number:03}" for number, length in enumerate(lengths) for _ in range(length)]
    frames = [frame * step for length in lengths for frame in range(length)]
    order = np.random.default_rng(1).permutation(len(media)).tolist()
    return rows_of(
        len(media),
        {
            "dataset": ["A"] * len(media),
            "face": [0] * len(media),
            "media": [media[place] for place in order],
            "frame": [frames[place] for place in order],
        },
    )


class Pixels:
    """Gives for a draw its row, its seed, and pixels by chance from that seed; `broken` rows raise, `deadly` ones kill."""

    def __init__(self, rows: Rows, broken: Sequence[int] = (), deadly: Sequence[int] = ()) -> None:
        self.rows, self.broken, self.deadly = rows, broken, deadly
        self.read = 0

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        self.read += 1
        if draw.row in self.broken:
            raise CorpusError(f"row {draw.row} cannot be read")
        if draw.row in self.deadly:
            os.kill(os.getpid(), 9)
        chance = np.random.default_rng(draw.seed)
        return {
            "row": torch.tensor(draw.row),
            "image": torch.from_numpy(chance.integers(0, 256, (3, 2, 2), dtype=np.uint8)),
            "blend": draw.blend,
        }


def epoch_of(sampler: Any, epoch: int = 0, start: int = 0) -> list[list[Draw]]:
    """All batches of an epoch."""
    return list(sampler.batches(epoch, start))


def rows_in(batches: Sequence[Sequence[Draw]]) -> npt.NDArray[np.int64]:
    """The row numbers that batches draw, in their order."""
    return np.array([draw.row for batch in batches for draw in batch], np.int64)
