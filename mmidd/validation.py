"""`mmidd.validate`: a study of a corpus with the reference detectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.errors import UsageError
from mmidd.reference import train

if TYPE_CHECKING:
    from mmidd.corpus.read import Corpus
    from mmidd.studies.forecast import Forecast
    from mmidd.studies.study import Study


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
    """Train, score and evaluate reference detectors on a corpus in the study folder `out`, or go on with it: as `mmidd
    validate` does.

    `detectors`: () takes those that run here in minutes, and tells why not the others. `studies`, `tests` (corpora),
    `seeds`, `settings`, `holdout`, `workers`, `device`, `watch` and `tell` as on the command line.
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
