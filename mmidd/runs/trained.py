"""A trained detector out of its run folder: the network that was kept, checked to be of the same detector and backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from mmidd.errors import MissingWeights, RunError
from mmidd.registry import Registry
from mmidd.runs import checkpoint
from mmidd.runs.curves import RUN, seeds_of
from mmidd.runs.detector import Detector, Input, Network
from mmidd.runs.folder import RunFolder, SeedFolder, differences, known_by


@dataclass(frozen=True, eq=False)
class Opened:
    """`network` in eval mode, which sees `input`; kept after step `step` of the seed in `folder`. `about`: what `run.json`
    says of the run."""

    network: Network
    input: Input
    detector: str
    step: int
    folder: Path
    about: Mapping[str, Any]


def open_trained(
    folder: str | Path, detectors: Registry[Any], *, device: str | torch.device = "cpu", download: bool = False
) -> Opened:
    """The network of RUN/seed-N, or of RUN where it has one seed.

    A backbone is read from where the run had it, and has to have the same digests; it is got from the Hub only where
    `download` says so. Raises RunError and WorkError where the folder is no run, holds no network yet, is damaged, or does
    not fit the detector of that name; MissingWeights where the backbone's files are not at hand.
    """
    seed = _seed_of(Path(folder))
    run = RunFolder(seed.parent)
    about = run.about()
    name, detector, options = _detector(run.path, about, detectors)
    found = checkpoint.read_best(seed)
    network = _built(run.path, detector, options, download)
    if differ := differences(known_by(about.get("sources") or {}), known_by(network.sources())):
        raise RunError(f"{run.path} was trained with another backbone: {'; '.join(differ)}. Get its files back")
    checkpoint.restore(network, found.network)
    SeedFolder(seed).check(found)
    return Opened(network.to(device).eval(), network.input, name, found.step, seed, about)


def options_of_run(folder: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the seed that RUN or RUN/seed-N names, and its detector's options as they were. Raises RunError."""
    seed = _seed_of(Path(folder))
    asked = RunFolder(seed.parent).about()["asked"].get("detector")
    options = asked.get("options") if isinstance(asked, dict) else None
    if not isinstance(options, dict):
        raise RunError(f"{seed.parent / RUN} is damaged: it names no options")
    return seed, options


def _seed_of(folder: Path) -> Path:
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder: name the RUN of mmidd train, or RUN/seed-0 of it")
    if not (folder / RUN).exists():
        return folder
    seeds = [path.name for path in seeds_of(folder)]
    if len(seeds) != 1:
        which = (
            f"it has {', '.join(seeds)}: name one, such as {folder / seeds[0]}"
            if seeds
            else "it has no seed yet: its mmidd train was stopped before the first step; run that again"
        )
        raise RunError(f"{folder} does not say which network is meant: {which}")
    return folder / seeds[0]


def _detector(run: Path, about: Mapping[str, Any], detectors: Registry[Any]) -> tuple[str, Detector, Any]:
    asked = about["asked"].get("detector")
    name, options = (asked.get("name"), asked.get("options")) if isinstance(asked, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(options, dict):
        raise RunError(f"{run / RUN} is damaged: it names no detector with its options")
    if name not in detectors:
        raise RunError(
            f"{run} was trained with the detector {name[:60]!r}, which is not installed; there are "
            f"{', '.join(detectors.names())}. Install the package that it is from, or another version of mmidd"
        )
    detector = detectors.load(name, Detector)
    try:
        return name, detector, detector.options.model_validate(options)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise RunError(
            f"{run} was trained with another version of {name}, whose options were others ({told}); it began with mmidd "
            f"{_version(about)}: install that"
        ) from error


def _version(about: Mapping[str, Any]) -> str:
    surroundings = about.get("surroundings")
    versions = surroundings.get("versions") if isinstance(surroundings, dict) else None
    return str(versions.get("mmidd", "of an unknown version") if isinstance(versions, dict) else "of an unknown version")


_OPENING: ContextVar[Path | None] = ContextVar("_OPENING", default=None)


def run_named(text: str) -> Path:
    """The run that an option of another run names: from here, or, while that one is opened, from a folder that holds it: so
    it is found from wherever the command is given, and where both were moved together."""
    opening = _OPENING.get()
    if opening is None or Path(text).is_dir():
        return Path(text)
    return next((parent / text for parent in opening.resolve().parents if (parent / text).is_dir()), Path(text))


def _built(run: Path, detector: Detector, options: Any, download: bool) -> Network:
    """A network whose weights are about to be replaced; the chance of torch is not touched."""
    before = _OPENING.set(run)
    try:
        with torch.random.fork_rng(devices=[]):
            if download:
                return detector.build(options)
            with _offline():
                return detector.build(options)
    except MissingWeights as error:
        if download:
            raise
        raise MissingWeights(f"{error} (nothing is downloaded for {run}, unless download=True says so)") from error
    finally:
        _OPENING.reset(before)


@contextmanager
def _offline() -> Iterator[None]:
    """Nothing comes from the Hub meanwhile but what lies in its cache."""
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
