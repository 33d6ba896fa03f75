"""All chance of a run as a function of where it is: nothing of a random generator has to be stored to go on exactly."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch

from mmidd.training.draws import mixed


class For(IntEnum):
    """What a number is for: each has numbers of its own."""

    building = 1
    features = 2
    losses = 3
    beginning = 4


def seed_torch(seed: int, what: For, *, step: int = 0, part: int = 0) -> None:
    """Seed torch, on every device, by the run's seed, the step (from 0) and the part of its batch, counted over all
    processes: so chance is the same for any number of them, where parts are of one size."""
    place = (int(what) << 48) | part
    torch.manual_seed(int(mixed(seed, step, np.array([place], np.int64))[0]))
