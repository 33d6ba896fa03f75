"""The reference detectors by name: what the command line and the functions of `mmidd` call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.errors import MissingExtra, ScoreError, UsageError, is_memory
from mmidd.watch import NOBODY, Watch

if TYPE_CHECKING:
    from mmidd.corpus.read import Corpus
    from mmidd.runs.train import Trained
    from mmidd.runs.trained import Opened
    from mmidd.scores.written import Scored
    from mmidd.scoring.model import Model
    from mmidd.studies.faithfulness import Explained
    from mmidd.studies.forecast import Forecast
    from mmidd.studies.study import Study
    from mmidd.verdicts.result import Detected


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


def open_model(
    spec: str | Path,
    *,
    device: str = "auto",
    download: bool = False,
    settings: Sequence[str] | Mapping[str, Any] = (),
) -> Model:
    """What can be scored with: a RUN, FILE.onnx, or `python:FILE.py:NAME`; see `mmidd.scoring.models.open_model`."""
    try:
        from mmidd.scoring.models import open_model as opened
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mmidd"):
            raise
        raise MissingExtra("train", "a detector") from error
    from mmidd.detectors.registry import REFERENCE_DETECTORS

    return opened(spec, REFERENCE_DETECTORS, device=device, download=download, settings=settings)


def score(
    model: str | Path | Model,
    corpus: str | Path | Corpus,
    out: str | Path,
    *,
    splits: tuple[str, ...] | list[str] = ("test",),
    only: tuple[str, ...] | list[str] = (),
    degrade: tuple[str, ...] | list[str] = (),
    device: str = "auto",
    settings: Sequence[str] | Mapping[str, Any] = (),
    explain: bool = False,
    workers: int | None = None,
    watch: Watch = NOBODY,
    tell: Callable[[str], None] = print,
) -> Scored:
    """Score all that the splits name into the score file `out`, or go on with it: `mmidd score`.

    `model`: as `open_model` takes it, or gives it; `degrade`: words such as `jpeg=40`, or `sweep`, each a file beside `out`;
    `explain`: score behind the reasons that the model gives, and keep these beside (`scores.explained`).
    """
    opened = open_model(model, device=device, settings=settings) if isinstance(model, str | Path) else model
    if explain:
        from mmidd.scoring.models import explaining

        opened = explaining(opened, str(model) if isinstance(model, str | Path) else None)
    from mmidd.scoring.degrade import asked
    from mmidd.scoring.files import score_files

    found = score_files(
        opened, corpus, out, tuple(splits), tuple(only), asked(tuple(degrade)), workers=workers, watch=watch, tell=tell
    )
    return replace(found, beside=_beside(opened, corpus))


def _beside(model: Model, corpus: str | Path | Corpus) -> tuple[str, ...]:
    """What `mmidd evaluate` takes beside the files: a run's validation scores (an older mmidd's are none), the corpus."""
    from mmidd.scores.file import read

    words: tuple[str, ...] = ()
    if (mine := getattr(model, "validation", None)) is not None:
        with suppress(ScoreError):
            read(mine)
            words = ("--validation", str(mine))
    return (*words, "--corpus", str(corpus)) if isinstance(corpus, str | Path) else words


def detect(
    paths: str | Path | Sequence[str | Path],
    model: str | Path | Model,
    *,
    corpus: str | Path | Corpus | None = None,
    rates: str | Path | None = None,
    rule: str = "eer",
    stills: bool = False,
    region: bool = False,
    explain: bool = False,
    out: str | Path | None = None,
    csv: str | Path | None = None,
    settings: Any = (),
    workers: int | None = None,
    device: str = "auto",
    download: bool = False,
    watch: Watch = NOBODY,
) -> Detected:
    """Judge images, videos, folders and archives with a trained detector: `mmidd detect`. `explain`: with its reasons.

    `model`: a run, an ONNX file, or what `mmidd.scoring` opened; faces are taken as its corpus took them, which its run
    or `corpus` says. Raises UsageError, RunError, ScoreError and WorkError; what is wrong with a medium is in its verdict.
    """
    opened = (
        open_model(model, device=device, download=download, settings=settings) if isinstance(model, str | Path) else model
    )
    asking = None
    if explain:
        from mmidd.scoring.models import explaining

        asking = explaining(opened, str(model) if isinstance(model, str | Path) else None)
    from mmidd.verdicts.judge import Way, judged
    from mmidd.verdicts.named import all_named
    from mmidd.verdicts.rates import rates as measured
    from mmidd.verdicts.taking import taking

    named = all_named([paths] if isinstance(paths, str | Path) else list(paths), stills=stills)
    spec = str(model) if isinstance(model, str | Path) else str(model.about.get("name", "a model"))
    way = Way(
        opened, spec, taking(spec, corpus), measured(spec, opened.about, rates, rule),
        None if out is None else Path(out), None if csv is None else Path(csv), region, asking, workers,
    )  # fmt: skip
    return judged(named, way, watch)


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


def ablate(
    name: str,
    corpus: str | Path | Corpus,
    out: str | Path,
    *,
    detector: str = "explain",
    specialist: str = "xception",
    preset: str = "tiny",
    seeds: Sequence[int] = (0, 1, 2),
    settings: Sequence[str] = (),
    strength: float | None = None,
    dry_run: bool = False,
    tell: Callable[[str], None] = print,
    **more: Any,
) -> Study | Forecast:
    """One ablation of an explaining detector in the study folder `out`, or go on with it: `mmidd ablate`.

    `name`: specialist, rl, chain, rewards or language; `specialist`: a detector, the folder of a run, or none; `settings`:
    KEY=VALUE words, with `specialist.`, `align.` or `rl.` before them for the runs of that kind alone; `strength`: of the
    pattern that `language` draws. `tests`, `holdout`, `workers`, `device` and `watch` as `validate` has them.
    """
    from mmidd.corpus.read import Corpus
    from mmidd.detectors.registry import REFERENCE_DETECTORS
    from mmidd.studies.ablations import ABLATIONS, SHORTCUT
    from mmidd.studies.shortcut import STRENGTH, shortcut
    from mmidd.studies.study import check_place
    from mmidd.studies.study import validate as study

    if name not in ABLATIONS:
        raise UsageError(f"ablation {name}: there are {', '.join(ABLATIONS)}")
    chosen = _specialist(specialist)
    _check_words(detector, chosen, preset, settings)
    found, tests = corpus if isinstance(corpus, Corpus) else Corpus(corpus), tuple(more.pop("tests", ()))
    if strength is not None and name != "language":
        raise UsageError(f"--strength is of the ablation language, not of {name}")
    if tests and name == "language":
        raise UsageError("language is tested on its own two corpora: take --test away")
    if name == "language" and not dry_run:
        check_place(Path(out))
        found, without = shortcut(found, Path(out) / SHORTCUT, STRENGTH if strength is None else strength, tell)
        tests = (without,)
    return study(
        found, out, detectors=(detector,), studies=(name,), specialist=chosen, tests=tests, preset=preset,
        seeds=tuple(seeds), settings=tuple(settings), train=train, registry=REFERENCE_DETECTORS, dry_run=dry_run,
        tell=tell, **more,
    )  # fmt: skip


def faithful(
    model: str | Path | Model,
    corpus: str | Path | Corpus,
    out: str | Path | None = None,
    *,
    device: str = "auto",
    **asked: Any,
) -> Explained:
    """What the reasons of an explaining run are worth: `mmidd faithful`. `split`, `rows`, `seed`, `resamples` and
    `watch` as `mmidd.studies.faithfulness.faithful` has them."""
    from mmidd.corpus.read import Corpus
    from mmidd.studies.faithfulness import faithful as looked

    found = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    opened = open_model(model, device=device) if isinstance(model, str | Path) else model
    from mmidd.scoring.models import explaining

    asked_why = explaining(opened, str(model) if isinstance(model, str | Path) else None)
    return looked(opened, asked_why, found, None if out is None else Path(out), **asked)


def _specialist(named: str) -> str:
    """A detector's name, none, or a run's folder as an absolute path."""
    from mmidd.detectors.registry import REFERENCE_DETECTORS
    from mmidd.studies.ablations import NONE

    if named == NONE or named in REFERENCE_DETECTORS:
        return named
    if Path(named).is_dir():
        return str(Path(named).absolute())
    there = ", ".join(REFERENCE_DETECTORS.names())
    raise UsageError(f"--specialist {named}: no folder of a run, and no detector; there are {there}, none")


def _check_words(detector: str, specialist: str, preset: str, settings: Sequence[str]) -> None:
    """All mistakes before anything is trained."""
    from mmidd.detectors.registry import REFERENCE_DETECTORS, reference_detector
    from mmidd.runs.asked import options_of
    from mmidd.studies.ablations import words_for

    explaining = reference_detector(detector)
    if f"{preset}-rl" not in explaining.presets:
        raise UsageError(f"{detector} has no preset {preset}-rl: an ablation takes a detector that explains")
    for role, name, loaded, at in (
        ("align", detector, explaining, preset),
        ("rl", detector, explaining, f"{preset}-rl"),
        *([("specialist", specialist, reference_detector(specialist), preset)] if specialist in REFERENCE_DETECTORS else []),
    ):
        options_of(loaded, name, at, words_for(settings, role))


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
