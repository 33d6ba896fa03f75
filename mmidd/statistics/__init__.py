"""Every figure that mmidd prints, as pure arithmetic on numbers: no state, no files, no words of faces.

`counts`: exact tests, intervals of a share, many tests. `ranking`: figures without a threshold. `curves`. `rates`: figures
at a threshold, and of several classes. `calibration` and `tempering`: probabilities. `delong`: the error of an AUROC.
`resampling`: intervals and differences of any figure, by whole groups. A figure that is not defined is None, never NaN.
"""

from mmidd.statistics.calibration import (
    Bin,
    BrierParts,
    brier,
    brier_of,
    brier_parts,
    expected_calibration_error,
    expected_calibration_error_of,
    negative_log_likelihood,
    negative_log_likelihood_of,
    reliability,
)
from mmidd.statistics.counts import benjamini_hochberg, fisher, holm, matched, wilson
from mmidd.statistics.curves import Curve, precision_recall, roc
from mmidd.statistics.delong import Delong, auroc_error, auroc_logit_interval, delong, delong_clustered
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
from mmidd.statistics.rates import (
    Outcomes,
    accuracy,
    accuracy_of,
    balanced_accuracy,
    balanced_accuracy_of,
    class_accuracy,
    class_recalls,
    confusion,
    false_positive_rate,
    false_positive_rate_of,
    macro_f1,
    mean_of,
    true_positive_rate,
    true_positive_rate_of,
)
from mmidd.statistics.resampling import LEAST_GROUPS, Difference, Interval, Resamples, auroc_interval
from mmidd.statistics.tempering import temperature, tempered
from mmidd.statistics.values import Figure

__all__ = [
    "LEAST_GROUPS",
    "Bin",
    "BrierParts",
    "Counts",
    "Curve",
    "Delong",
    "Difference",
    "Figure",
    "Interval",
    "Outcomes",
    "Ranking",
    "Resamples",
    "accuracy",
    "accuracy_of",
    "auroc",
    "auroc_error",
    "auroc_interval",
    "auroc_logit_interval",
    "average_precision",
    "balanced_accuracy",
    "balanced_accuracy_of",
    "benjamini_hochberg",
    "brier",
    "brier_of",
    "brier_parts",
    "class_accuracy",
    "class_recalls",
    "confusion",
    "delong",
    "delong_clustered",
    "equal_error_rate",
    "expected_calibration_error",
    "expected_calibration_error_of",
    "false_positive_rate",
    "false_positive_rate_of",
    "fisher",
    "holm",
    "lacking",
    "macro_f1",
    "matched",
    "mean_of",
    "negative_log_likelihood",
    "negative_log_likelihood_of",
    "partial_auroc",
    "precision_recall",
    "reliability",
    "roc",
    "temperature",
    "tempered",
    "tpr_at",
    "true_positive_rate",
    "true_positive_rate_of",
    "wilson",
]
