"""Which captioner a recipe names, what it needs, and what shapes its words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from mmidd.captions import attributes, checkpoint, leaks, prompts, tokens
from mmidd.captions.journal import Journal
from mmidd.captions.protocol import Captioner
from mmidd.captions.vision import VERSION, Vision
from mmidd.errors import MissingExtra, UsageError

CaptionerKind = Literal["attributes", "transformers", "openai", "none"]
SERVED_BATCH = 16
"""Requests of one task that are prepared together; what is asked at once is `concurrency`."""

_READS = "2609f1652f679ed332bf024a32764ab66e832e5900c4d4cfa4768c9e2a8a8016"
"""How a reply becomes a caption (lint, leaks, reply, tokens, vision). Change it where the same reply gives another one:
tests/captions/test_versions.py notices. It was once a digest of the code's text; another value would make older captions
stale."""


@dataclass(frozen=True)
class CaptionerConfig:
    """Which captioner describes, and how. docs/captions.md tells what each option means and which kinds read it.

    `journal`: the folder that keeps models' replies; None keeps none. `again`: ask anew where replies were of no use.
    """

    kind: CaptionerKind = "attributes"
    every: int = 1
    model: str | None = None
    revision: str | None = None
    prompt: str = prompts.DEFAULT
    max_tokens: int = 200
    base_url: str | None = None
    concurrency: int = 32
    timeout: float = 120.0
    temperature: float = 0.0
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch: int = 8
    journal: Path | None = None
    again: bool = False


_ALWAYS = {"kind", "journal", "again"}
_MODEL = {"every", "model", "revision", "prompt", "max_tokens"}
READ_BY: dict[str, set[str]] = {
    "none": _ALWAYS,
    "attributes": _ALWAYS,
    "openai": _ALWAYS | _MODEL | {"base_url", "concurrency", "timeout", "temperature"},
    "transformers": _ALWAYS | _MODEL | {"dtype", "device", "batch"},
}


def make_captioner(config: CaptionerConfig) -> Captioner | None:
    """The captioner that the configuration names; None for `none`.

    Raises UsageError, RecipeError, MissingExtra, MissingWeights or WrongWeights for one that is not at hand.
    """
    identity = captioner_identity(config)
    if config.kind == "none":
        return None
    if config.kind == "attributes":
        return attributes.Attributes()
    journal = Journal(config.journal) if config.journal is not None else None
    prompt, asked = prompts.load(config.prompt), {key: identity[key] for key in sorted(identity) if key not in _READ_ONLY}
    if config.kind == "openai":
        from mmidd.captions.served import Served
        from mmidd.llm.backoff import Patience

        limits = Patience(concurrency=config.concurrency, timeout=config.timeout)
        served = Served(
            str(config.base_url), str(config.model), config.revision, max_tokens=config.max_tokens,
            temperature=config.temperature, limits=limits,
        )  # fmt: skip
        return Vision(served, prompt, asked, journal, batch=SERVED_BATCH, again=config.again)
    from mmidd.captions.local import LocalModel

    found, device = checkpoint.find(str(config.model), config.revision), device_of(config)
    local = LocalModel(found, dtype=config.dtype, device=device, batch=config.batch, max_tokens=config.max_tokens)
    return Vision(local, prompt, asked, journal, batch=config.batch, again=config.again)


def captioner_identity(config: CaptionerConfig) -> dict[str, str]:
    """Everything that shapes the captions' text, for cache keys. Raises as `make_captioner` does, but loads no model."""
    _check(config)
    if config.kind == "none":
        return {"captioner": "none"}
    if config.kind == "attributes":
        return attributes.identity()
    tokens.check()
    prompt = prompts.load(config.prompt)
    shared = {"max_tokens": str(config.max_tokens), "prompt": prompt.digest, "vision": VERSION, **_read_by_code()}
    if config.kind == "openai":
        return {
            "captioner": "openai", "model": str(config.model), "revision": config.revision or "unstated",
            "temperature": f"{config.temperature:g}", **shared,
        }  # fmt: skip
    found = checkpoint.find(str(config.model), config.revision)
    libraries = {name: _version(name) for name in ("transformers", "torch", "pillow")}
    return {
        "captioner": "transformers", "model": found.name, "content": found.content, "dtype": config.dtype,
        "device": device_of(config), "batch": str(config.batch), **libraries, **shared,
    }  # fmt: skip


_READ_ONLY = ("code", "leaks", "prompt")
"""What shapes how a reply is read, not what is asked: a change costs no new request. (The prompt has its own place.)"""


@cache
def _read_by_code() -> dict[str, str]:
    words = hashlib.sha256("\0".join(pattern.pattern for pattern in leaks.patterns()).encode())
    return {"code": _READS, "leaks": words.hexdigest()}


def device_of(config: CaptionerConfig) -> Literal["cpu", "cuda"]:
    """Where a `transformers` model runs: `auto` is a GPU where there is one. Raises UsageError for one that is not there."""
    if config.device == "cpu" or (config.device == "auto" and not any(Path("/dev").glob("nvidia[0-9]*"))):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if config.device == "cuda":
        raise UsageError("captioner.device is cuda, but torch sees no CUDA device here; use --set captioner.device=cpu")
    return "cpu"


def gpus() -> int:
    """How many GPUs torch sees."""
    import torch

    return int(torch.cuda.device_count())


def _check(config: CaptionerConfig) -> None:
    if config.kind not in READ_BY:
        raise UsageError(f"no captioner {config.kind!r}; choose one of {', '.join(sorted(READ_BY))}")
    default = CaptionerConfig()
    changed = [each.name for each in fields(config) if getattr(config, each.name) != getattr(default, each.name)]
    if ignored := [name for name in changed if name not in READ_BY[config.kind]]:
        raise UsageError(f"captioner {config.kind!r} takes no {' and no '.join(ignored)}; leave it out of the recipe")
    if config.kind in ("openai", "transformers") and not config.model:
        raise UsageError(f"captioner {config.kind!r} needs a model: --set captioner.model=NAME")
    if config.kind == "openai":
        if not config.base_url:
            raise UsageError(
                "captioner 'openai' needs the server's address: --set captioner.base_url=http://localhost:8000/v1"
            )
        from mmidd.llm.client import check_address

        check_address(config.base_url)
    if config.kind == "transformers":
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise MissingExtra("caption", "captioner 'transformers'")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError as error:
        raise MissingExtra("caption", "captioner 'transformers'") from error
