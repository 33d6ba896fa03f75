"""What captioning by a model takes beside the stage itself: who runs it, what it will take, and what it took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from mmidd.captions.by_model import FROM_FILES
from mmidd.captions.choose import CaptionerConfig, device_of, gpus
from mmidd.captions.vision import TYPICAL_COMPLETION_TOKENS, TYPICAL_PROMPT_TOKENS
from mmidd.engine import tables
from mmidd.engine.local import Local
from mmidd.engine.run import UnitEngine
from mmidd.engine.store import Record, Store
from mmidd.engine.threads import Threads
from mmidd.engine.units import Engine, Resources
from mmidd.flow.notes import CAPTION_RATES, measured, note_rate
from mmidd.flow.setup import Setup
from mmidd.media import CaptionFacts
from mmidd.stages import caption

JOURNAL = "journal"
_MOST_THREADS = 64
# Assumed until a build has measured: seconds for one reply of a server at work, images a second of one GPU, of one core.
_SERVER_SECONDS, _GPU_RATE, _CORE_RATE = 5.0, 2.0, 0.02


def config_of(setup: Setup) -> CaptionerConfig:
    """The captioner's configuration, with the place of the journal where a model answers."""
    config = caption.config(setup.recipe)
    if not by_model(config):
        return config
    named = setup.bases[caption.STAGE.name].get("libraries", {})
    pinned = tuple((name, named[name]) for name in FROM_FILES if name in named)
    return replace(config, journal=setup.store.root / JOURNAL, again=setup.retry, pinned=pinned)


def by_model(config: CaptionerConfig) -> bool:
    """Whether a vision-language model answers."""
    return caption.facts_of(config.kind).model


@contextmanager
def engine_of(setup: Setup, config: CaptionerConfig) -> Iterator[Engine | UnitEngine]:
    """Who runs the stage: for a server threads that share one client, for GPUs a worker each, else the setup's engine.

    At the end models and connections are let go of, and the rate is noted.
    """
    engine = _engine(setup, config)
    before, started = _files(config), time.monotonic()
    try:
        yield engine
    finally:
        caption.release()
        if engine is not setup.engine:
            engine.close()
            caption.release()  # what a thread made that had just begun
        fresh = sum(_lines(path) for path in _files(config) - before)
        if fresh and not (setup.retry or config.journal is None):
            rate = {"replies": fresh, "seconds": round(time.monotonic() - started, 3)}
            note_rate(setup.store, CAPTION_RATES, _rate_key(config), rate)


def _engine(setup: Setup, config: CaptionerConfig) -> Engine | UnitEngine:
    if caption.facts_of(config.kind).served:
        return Threads(min(config.concurrency, _MOST_THREADS))
    if config.kind == "transformers" and isinstance(setup.engine, Local) and device_of(config) == "cuda":
        return Local(gpus(), Resources("cuda"))
    return setup.engine


@dataclass(frozen=True)
class Usage:
    """What the captions of a corpus took. `faults` counts replies that were of no use, also where the second one was."""

    ok: int
    null: Mapping[str, int]
    replies: int
    prompt_tokens: int
    completion_tokens: int
    faults: Mapping[str, int]


def usage(store: Store, records: Iterable[Record]) -> Usage | None:
    """Add up what committed captions took; None where no model answered."""
    total, null, faults = Counter[str](), Counter[str](), Counter[str]()
    for record in records:
        for outcome in tables.read_outcomes(store, record):
            total.update({"ok": outcome.ok})
            null.update(reason for _, _, reason in outcome.reasons)
            took = cast(CaptionFacts, outcome.facts)
            faults.update(took.get("faults", {}))
            total.update(replies=took.get("replies", 0), prompt_tokens=took.get("prompt_tokens", 0))
            total.update(completion_tokens=took.get("completion_tokens", 0))
    if not total["replies"] and not null:
        return None
    return Usage(total["ok"], dict(null), total["replies"], total["prompt_tokens"], total["completion_tokens"], dict(faults))


@dataclass(frozen=True)
class Estimate:
    """What captions by a model will take at most: a reply that is of no use is asked for once more."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    hours: float
    basis: str


def estimate(setup: Setup, samples: Iterable[int]) -> Estimate | None:
    """Requests, tokens and hours for media of so many samples each; None where no model answers, or only looked back."""
    config = caption.config(setup.recipe)
    if not by_model(config) or setup.note is not None:
        return None
    requests = sum(-(-count // config.every) for count in samples)
    prompt, completion, told = _tokens(setup, config)
    rate, basis = _rate(setup, config)
    return Estimate(
        requests, round(requests * prompt), round(requests * completion), requests / rate / 3600, f"{told}; {basis}"
    )


def _tokens(setup: Setup, config: CaptionerConfig) -> tuple[float, float, str]:
    """Tokens of a request and of its reply."""
    name = _model(setup.bases[caption.STAGE.name])
    records = [r for r in setup.store.records(caption.STAGE.name) if _model(r.ingredients) == name]
    took = usage(setup.store, records)
    if took is not None and took.replies and took.prompt_tokens:
        each = took.prompt_tokens / took.replies, took.completion_tokens / took.replies
        return *each, f"tokens measured here over {took.replies} replies"
    return TYPICAL_PROMPT_TOKENS, min(TYPICAL_COMPLETION_TOKENS, config.max_tokens), "tokens assumed"


def _rate(setup: Setup, config: CaptionerConfig) -> tuple[float, str]:
    """Replies a second."""
    rate = measured(setup.store, CAPTION_RATES, _rate_key(config), "replies", "seconds")
    if rate is not None:
        return rate[0] / max(rate[1], 1e-3), f"rate measured here over {rate[0]:.0f} replies"
    if config.kind == "openai":
        return (
            config.concurrency / _SERVER_SECONDS,
            f"rate assumed: {_SERVER_SECONDS:g} s a reply, {config.concurrency} at once",
        )
    if device_of(config) == "cuda":
        return _GPU_RATE * max(1, gpus()), f"rate assumed: {_GPU_RATE:g} images a second and GPU"
    return _CORE_RATE * max(1, setup.workers), f"rate assumed: {1 / _CORE_RATE:g} s an image and core"


def _rate_key(config: CaptionerConfig) -> str:
    return f"{config.kind}/{config.model}/{config.concurrency if config.kind == 'openai' else config.batch}"


def _model(ingredients: Mapping[str, Any]) -> Any:
    return ingredients.get("libraries", {}).get("model")


def _files(config: CaptionerConfig) -> set[Path]:
    return set(config.journal.glob("*.log")) if config.journal is not None and config.journal.is_dir() else set()


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
