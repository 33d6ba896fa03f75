"""The reference detectors by name: what the command line and `mmidd.train` call."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from mmidd.corpus.read import Corpus
    from mmidd.runs.detector import Detector
    from mmidd.runs.train import Trained
    from mmidd.runs.trained import Opened


def detector_of(name: str) -> Detector:
    """The detector of that name, ours or another package's. Raises UsageError for an unknown one, MissingExtra without
    torch, PluginError."""
    from mmidd.detectors.registry import REFERENCE_DETECTORS

    known = REFERENCE_DETECTORS.names()
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise UsageError(f"no detector {name!r}; {hint}")
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtra("train", "training a detector") from error
    from mmidd.runs.detector import Detector

    found: Detector = REFERENCE_DETECTORS.load(name, Detector)
    return found


def train(
    detector: str,
    corpus: str | Path | Corpus,
    out: str | Path,
    *,
    only: tuple[str, ...] | list[str] = (),
    where: dict[str, Any] | None = None,
    fraction: float = 1.0,
    paired: bool | None = None,
    holdout: float | None = None,
    **more: Any,
) -> Trained:
    """Train the detector of that name on a corpus into the run folder `out`, or go on with it: `mmidd train`.

    `preset`, `settings` (`key=value` words or a mapping), `seeds`, `workers`, `device`, `watch` and `tell` are those of
    `mmidd.runs.train.train`, the others of `mmidd.runs.data.Selection`.
    """
    found = detector_of(detector)
    from mmidd.runs.data import Selection
    from mmidd.runs.train import train as run

    selection = Selection(tuple(only), dict(where or {}), fraction, paired, holdout)
    return run(found, detector, corpus, out, selection=selection, **more)


def open_trained(folder: str | Path, *, download: bool = False) -> Opened:
    """The network that a run kept, in eval mode, with what it sees: of RUN/seed-N, or of RUN where it has one seed. Its
    backbone is downloaded only where `download` says so.

    Raises RunError and WorkError for what is no whole run, MissingWeights without the backbone's files.
    """
    try:
        from mmidd.runs.trained import open_trained as opened
    except ImportError as error:
        raise MissingExtra("train", "a trained detector") from error
    from mmidd.detectors.registry import REFERENCE_DETECTORS

    return opened(folder, REFERENCE_DETECTORS, download=download)
