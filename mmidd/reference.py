"""The reference detectors by name: what the command line, `mmidd.train` and `mmidd.validate` call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.errors import MissingExtra, is_memory

if TYPE_CHECKING:
    from mmidd.corpus.read import Corpus
    from mmidd.runs.train import Trained
    from mmidd.runs.trained import Opened
    from mmidd.studies.forecast import Forecast
    from mmidd.studies.study import Study


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
    from mmidd.detectors.registry import REFERENCE_DETECTORS, reference_detector

    found = reference_detector(detector)
    from mmidd.runs.data import Selection
    from mmidd.runs.train import train as run

    selection = Selection(tuple(only), dict(where or {}), fraction, paired, holdout)

    def trained() -> Trained | BaseException:
        try:
            return run(found, detector, corpus, out, selection=selection, **more)
        except Exception as error:  # no fault of a package's code: it goes on as it is
            if isinstance(error, OSError) or is_memory(error):
                return error
            raise

    result: Trained | BaseException = REFERENCE_DETECTORS.ask(detector, trained)
    if isinstance(result, BaseException):
        raise result
    return result


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


def validate(
    corpus: str | Path | Corpus,
    out: str | Path,
    *,
    detectors: tuple[str, ...] | list[str] = (),
    preset: str | None = None,
    dry_run: bool = False,
    tell: Callable[[str], None] = print,
    **asked: Any,
) -> Study | Forecast:
    """Train, score and evaluate reference detectors on a corpus in the study folder `out`, or go on with it: `mmidd validate`.

    `detectors`: () takes those that run here in minutes, and tells why not the others. `studies`, `tests` (corpora), `seeds`,
    `settings`, `holdout`, `workers`, `device`, `watch` and `tell` as on the command line.
    """
    from mmidd.corpus.read import Corpus
    from mmidd.detectors.registry import REFERENCE_DETECTORS, reference_detector
    from mmidd.studies.choice import PRESET
    from mmidd.studies.study import validate as study

    found = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    named, chosen = tuple(detectors) or _chosen(found, tell), preset or PRESET
    every = {*named, *(("sd2",) if "sd2" in (asked.get("studies") or ()) else ())}
    for name in sorted(every):  # all mistakes before anything is trained
        from mmidd.runs.asked import options_of

        options_of(reference_detector(name), name, chosen, tuple(asked.get("settings") or ()))
    return study(
        found, out, detectors=named, train=train, registry=REFERENCE_DETECTORS, preset=chosen, dry_run=dry_run, tell=tell,
        **asked,
    )  # fmt: skip


def _chosen(corpus: Corpus, tell: Callable[[str], None]) -> tuple[str, ...]:
    """The detectors of a study for which none are named."""
    from mmidd.detectors.registry import REFERENCE_DETECTORS, Facts
    from mmidd.errors import UsageError
    from mmidd.studies.choice import choice
    from mmidd.studies.facts import facts_of

    needs, lacking = dict[str, tuple[str, ...]](), dict[str, str]()
    for name in REFERENCE_DETECTORS.names():
        row = REFERENCE_DETECTORS.own(name)
        needs[name] = row.facts.needs if row is not None and isinstance(row.facts, Facts) else ()
        if row is not None and not row.installed:
            lacking[name] = f"what it needs is not installed: pip install 'mmidd[{row.extra}]'"
    found = choice(facts_of(corpus), needs, lacking)
    if not found.detectors:
        why = "; ".join(f"{name}: {each}" for name, each in found.why_not.items())
        raise UsageError(f"no detector runs here in minutes ({why}): name some with --detectors")
    tell(f"detectors: {', '.join(found.detectors)} (one of a kind that runs here in minutes; --detectors names others)")
    for name, each in found.why_not.items():
        tell(f"  not {name}: {each}")
    return found.detectors
