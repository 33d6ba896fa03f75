"""Every figure that mmidd prints, as pure arithmetic on numbers: no state, no files, no words of faces.

`counts`: exact tests, intervals of a share, many tests. `ranking`: figures without a threshold. `curves`. `rates`: figures
at a threshold, and of several classes; `attacks`: of presentation attacks, by instrument. `calibration` and `tempering`:
probabilities. `delong`: the error of an AUROC. `resampling`: intervals and differences of any figure of sums, by whole
groups. A figure of rows that is not defined is None; one of counts, which may be those of many resamples, is NaN there.
"""

from mmidd.statistics.attacks import ATTACK_RATES, Mistakes, live_accepted_at, mistakes_at_equal_error
from mmidd.statistics.calibration import (
    BINS,
    Bin,
    brier,
    expected_calibration_error,
    losses,
    negative_log_likelihood,
    reliability,
)
from mmidd.statistics.counts import fisher, holm, matched, wilson
from mmidd.statistics.curves import Curve, precision_recall, roc
from mmidd.statistics.delong import Delong, auroc_error, delong, delong_clustered
from mmidd.statistics.ranking import (
    Counts,
    Ranking,
    auroc,
    average_precision,
    equal_error_rate,
    lacking,
    partial_auroc,
    tpr_at,
)
from mmidd.statistics.rates import RATES, class_accuracy, macro_f1, outcomes, rates
from mmidd.statistics.resampling import EXACT, LEAST_GROUPS, Draws, Interval, Measure, auroc_interval, bins, interval, p_of
from mmidd.statistics.tempering import temperature, tempered

__all__ = [
    "ATTACK_RATES",
    "BINS",
    "EXACT",
    "LEAST_GROUPS",
    "RATES",
    "Bin",
    "Counts",
    "Curve",
    "Delong",
    "Draws",
    "Interval",
    "Measure",
    "Mistakes",
    "Ranking",
    "auroc",
    "auroc_error",
    "auroc_interval",
    "average_precision",
    "bins",
    "brier",
    "class_accuracy",
    "delong",
    "delong_clustered",
    "equal_error_rate",
    "expected_calibration_error",
    "fisher",
    "holm",
    "interval",
    "lacking",
    "live_accepted_at",
    "losses",
    "macro_f1",
    "matched",
    "mistakes_at_equal_error",
    "negative_log_likelihood",
    "outcomes",
    "p_of",
    "partial_auroc",
    "precision_recall",
    "rates",
    "reliability",
    "roc",
    "temperature",
    "tempered",
    "tpr_at",
    "wilson",
]
