"""What a sampler asks a dataset for: which rows, and the seed of all that is left to chance about them.

Every random choice of an epoch is a function of (seed, epoch, place in the epoch): so it is the same whatever the number of
workers, and after a resume.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Draw(NamedTuple):
    """One item of a batch.

    `row` is a row number of the corpus that the dataset reads, or several: the frames of a clip, which become one item.
    Augmentations are drawn from `seed`; two draws with one seed get the same ones. Draws of one `unit` (a pair, a real and
    its blend) stay in one batch, and where one of them cannot be read, none is used. With `blend` a real is to become a
    self-blended image.
    """

    row: int | tuple[int, ...]
    seed: int
    unit: int = 0
    blend: bool = False


def chance_of(seed: int) -> np.random.Generator:
    """The generator that belongs to a draw's seed, given as uint64 or, as batches hold it, as int64."""
    return np.random.default_rng(int(seed) % 2**64)


def mixed(seed: int, epoch: int, places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """A seed for each place of an epoch: splitmix64 (Steele et al., 2014) over the three numbers."""
    with np.errstate(over="ignore"):
        start = _mix(_mix(np.array([seed], np.uint64)) + np.uint64(epoch))
        found: npt.NDArray[np.uint64] = _mix(start + places.astype(np.uint64))
        return found


def _mix(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    found = numbers + np.uint64(0x9E3779B97F4A7C15)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return found ^ (found >> np.uint64(31))
