"""A small corpus by the command line: is it the same however many workers made it on the device, and is it the CPU's?"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu import nets
from benchmarks.gpu.context import Context
from benchmarks.gpu.dataset import laid, mmidd
from benchmarks.gpu.pictures import with_faces
from benchmarks.place import Bench
from benchmarks.processes import usable_cores
from mmidd.corpus.read import Corpus

_COLUMNS = ("id", "box", "landmarks", "detection_score", "image")
MOST_DIFFERING = 0.02
"""Share of rows that only one of two corpora may have."""


def run(context: Context) -> None:
    kinds = nets.with_weights(context)
    files = with_faces(context)
    few = files[:1] if context.toy else files[:12]
    with laid(context, few, repeat=1, frames=2 if context.toy else 16) as bench:
        last = 0.0
        for kind in kinds[:1] if context.toy else kinds:
            if (before := context.left) < 1.3 * last:
                context.note(kind, "not built: no time was left")
                continue
            with context.trying(kind), nets.resident(context, kind, context.device, "torch"):
                _kind(context, bench, kind)
            last = before - context.left


def _kind(context: Context, bench: Bench, kind: str) -> None:
    """Twice on the device with other numbers of workers, once on the CPU."""
    most = min(usable_cores(), 2 if context.toy else 16)
    made = {}
    for name, device, runtime, workers in (
        ("first", context.device, "torch", most),
        ("second", context.device, "torch", 0 if context.toy else 3),
        ("cpu", "cpu", "onnxruntime", most),
    ):
        out = context.scratch / f"{kind}-{name}"
        settings = (f"detector.kind={kind}", f"detector.runtime={runtime}")
        ended = mmidd(bench, "build", "--out", str(out), device=device, workers=workers, settings=settings)
        made[name] = out
        context.note(f"{kind}_{name}", {"workers": workers, "device": device, "runtime": runtime, **ended.cost.as_json()})
    digests = [_digests(made[name]) for name in ("first", "second")]
    differ = sorted(name for name in {*digests[0], *digests[1]} if digests[0].get(name) != digests[1].get(name))
    context.check(f"{kind}_same_bytes_with_other_workers", not differ, files=len(digests[0]), differ=differ[:5])
    apart = _apart(made["cpu"], made["first"])
    strange = apart["rows_only_on_cpu"] + apart["rows_only_on_device"]
    right = strange <= MOST_DIFFERING * max(apart["rows"], 1) and apart["box_pixels_p99"] < 1 and apart["rows"] > 0
    context.check(f"{kind}_corpus_of_device_against_cpu", right, **apart)


def _digests(folder: Path) -> dict[str, str]:
    """Of every file of a corpus."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _rows(folder: Path) -> dict[str, Any]:
    return {row["id"]: row for row in Corpus(folder).rows(_COLUMNS).to_pylist()}


def _apart(cpu: Path, device: Path) -> dict[str, Any]:
    """Rows by their ids, and of those that both have: boxes (pixels), points, scores, and whether the crops' bytes agree."""
    left, right = _rows(cpu), _rows(device)
    both = sorted(left.keys() & right.keys())
    boxes, points, scores = [], [], []
    for name in both:
        a, b = left[name], right[name]
        if a["box"] is not None and b["box"] is not None:
            boxes.append(_flat(a["box"]) - _flat(b["box"]))
            points.append(_flat(a["landmarks"]) - _flat(b["landmarks"]))
            scores.append(np.array([a["detection_score"] - b["detection_score"]]))
    equal = sum(left[name]["image"]["bytes"] == right[name]["image"]["bytes"] for name in both)
    return {
        "rows": len(left), "rows_only_on_cpu": len(left) - len(both), "rows_only_on_device": len(right) - len(both),
        "equal_crops": equal, "share_of_equal_crops": equal / max(len(both), 1),
        "box_pixels_p99": _high(boxes, 0.99), "box_pixels_max": _high(boxes, 1), "point_pixels_max": _high(points, 1),
        "score_max": _high(scores, 1),
    }  # fmt: skip


def _flat(value: Any) -> Any:
    """Numbers of nested lists or structs."""
    if isinstance(value, dict):
        return _flat(list(value.values()))
    return np.concatenate([_flat(each) for each in value]) if isinstance(value, list) else np.array([value], np.float64)


def _high(differences: list[Any], share: float) -> float:
    return float(np.quantile(np.abs(np.concatenate(differences)), share)) if differences else 0.0
