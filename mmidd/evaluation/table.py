"""A table of words, and the names of figures for people."""

from __future__ import annotations

from dataclasses import dataclass

WORDS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "eer": "equal error rate",
    "tpr_at_fpr_0.01": "TPR at 1% FPR",
    "tpr_at_fpr_0.05": "TPR at 5% FPR",
    "partial_auroc_0.1": "partial AUROC to 10%",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "false_positive_rate": "false positive rate",
    "true_positive_rate": "true positive rate",
    "type_accuracy": "five-way type accuracy",
    "type_macro_f1": "five-way macro F1",
    "ece": "calibration (ECE)",
    "brier": "Brier score",
    "nll": "log loss",
    "acer": "ACER: mean of APCER and BPCER",
    "apcer": "APCER: attacks taken for live, worst instrument",
    "acer_by_family": "ACER, of the worst family",
    "apcer_by_family": "APCER, worst family",
    "bpcer": "BPCER: live taken for an attack",
    "hter": "HTER: mean of FAR and BPCER",
    "far": "FAR: attacks taken for live, all pooled",
    "live_accepted_at_far_0.01": "live accepted at 1% FAR",
}


@dataclass(frozen=True)
class Table:
    """`rows`: as many cells as `heads`. `notes`: below it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def word(metric: str) -> str:
    """A metric's name for people."""
    name, _, at = metric.partition("@")
    if name.endswith("_tempered"):
        return f"{WORDS[name.removesuffix('_tempered')]}, tempered"
    told = WORDS.get(name, name)
    return f"{told} ({'threshold' if at == 'validation' else at})" if at else told
