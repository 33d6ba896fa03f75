"""Presentation attacks at a threshold, as arithmetic on counts: attacks taken for live, live taken for an attack.

The attack is the positive: what scores at or above a threshold is called one. Classes are live, and then each instrument
(what an attack is made with).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmidd.statistics.ranking import Counts
from mmidd.statistics.values import Floats, share

ATTACK_RATES = ("acer", "apcer", "bpcer", "hter", "far")


@dataclass(frozen=True, eq=False)
class Mistakes:
    """Counts (..., 1 + instruments), live first: how many rows of each class there are, and how many are `wrong`. Figures
    are shares (...), NaN where a class that they need has no row."""

    wrong: Floats
    rows: Floats

    @property
    def shares(self) -> Floats:
        """(..., 1 + instruments): of each class."""
        return share(self.wrong, self.rows)

    def rates(self) -> dict[str, Floats]:
        """ATTACK_RATES. `apcer`: of the instrument that is worst told (ISO/IEC 30107-3; OULU-NPU's competition); `bpcer`;
        `acer`, the mean of both; `far`: of all attacks pooled; `hter`, the mean of that and of `bpcer`."""
        shares = self.shares
        bpcer, each = shares[..., 0], shares[..., 1:]
        apcer = each.max(axis=-1) if each.shape[-1] else np.full(bpcer.shape, np.nan)
        far = share(self.wrong[..., 1:].sum(axis=-1), self.rows[..., 1:].sum(axis=-1))
        return dict(zip(ATTACK_RATES, ((apcer + bpcer) / 2, apcer, bpcer, (far + bpcer) / 2, far), strict=True))


def mistakes_at_equal_error(spread: Floats) -> Floats:
    """(..., classes): how many of each class are wrong at the threshold of these very scores at which the share of attacks
    that is missed and that of live that is taken for one differ least; of several equal ones at that with the smallest mean
    of both, of these at the lowest. `spread` (..., classes, scores): how many have each score, the lowest first. NaN where
    there is no live row, or no attack."""
    under = np.concatenate([np.zeros((*spread.shape[:-1], 1)), np.cumsum(spread, axis=-1)], axis=-1)
    rows = under[..., -1]
    missed = share(under[..., 1:, :].sum(axis=-2), rows[..., 1:].sum(axis=-1)[..., None])
    taken = share(rows[..., :1] - under[..., 0, :], rows[..., :1])
    apart, mean = np.abs(missed - taken).round(12), ((missed + taken) / 2).round(12)
    place = np.where(apart == apart.min(axis=-1, keepdims=True), mean, np.inf).argmin(axis=-1)
    below: npt.NDArray[np.float64] = np.take_along_axis(under, place[..., None, None], axis=-1)[..., 0]
    wrong = np.concatenate([rows[..., :1] - below[..., :1], below[..., 1:]], axis=-1)
    return np.where(np.isnan(mean[..., :1]), np.nan, wrong)


def live_accepted_at(counts: Counts, apcer: float) -> Floats:
    """The largest share of live that is accepted at any threshold that takes at most `apcer` of the attacks, pooled, for
    live: papers' TPR at an FPR whose positive is live."""
    return Counts(counts.down[..., ::-1], counts.up[..., ::-1]).tpr_at(apcer)
