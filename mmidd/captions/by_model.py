"""What captioners by model have in common: the options they read, how they are named, and how one is put together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache

from mmidd.captions import leaks, prompts, tokens
from mmidd.captions.journal import Journal
from mmidd.captions.protocol import CaptionerConfig
from mmidd.captions.vision import VERSION, Answerer, Vision
from mmidd.errors import UsageError, WrongWeights

READS = frozenset({"every", "model", "revision", "prompt", "max_tokens"})
"""The options that every captioner by model reads."""

FROM_FILES = {
    "prompt": "captioner's prompt",
    "content": "captioner's checkpoint",
    "leaks": "list of methods (methods.yaml), whose names no caption may hold,",
}
"""What of an identity tells what files hold, and what these are called."""

_READS = "2609f1652f679ed332bf024a32764ab66e832e5900c4d4cfa4768c9e2a8a8016"
"""How a reply becomes a caption (lint, leaks, reply, tokens, vision). Change it where the same reply gives another one:
tests/captions/test_versions.py notices. It was once a digest of the code's text; another value would make older captions
stale."""
_READ_ONLY = ("code", "leaks", "prompt")
"""What shapes how a reply is read, not what is asked: a change costs no new request. (The prompt has its own place.)"""


def check_model(config: CaptionerConfig) -> None:
    """Raises UsageError where no model is named."""
    if not config.model:
        raise UsageError(f"captioner {config.kind!r} needs a model: --set captioner.model=NAME")


def shared_identity(config: CaptionerConfig) -> dict[str, str]:
    """What shapes every model's captions: prompt, length, and how replies are read. Raises MissingExtra, RecipeError."""
    tokens.check()
    prompt = prompts.load(config.prompt)
    return {"max_tokens": str(config.max_tokens), "prompt": prompt.digest, "vision": VERSION, **_read_by_code()}


def captioner(answerer: Answerer, config: CaptionerConfig, identity: Mapping[str, str], *, batch: int) -> Vision:
    """The captioner whose replies `answerer` gives; `identity` is its whole one, `batch` how many it prepares together.

    Raises WrongWeights where what files hold is not what keys name.
    """
    prompt = prompts.load(config.prompt)
    found = {**identity, "prompt": prompt.digest}
    for name, value in {"prompt": identity.get("prompt", prompt.digest), **dict(config.pinned)}.items():
        if found.get(name) != value:
            answerer.close()
            raise WrongWeights(f"the {FROM_FILES[name]} changed while the build was under way; run it again")
    journal = Journal(config.journal) if config.journal is not None else None
    asked = {key: identity[key] for key in sorted(identity) if key not in _READ_ONLY}
    return Vision(answerer, prompt, asked, journal, batch=batch, again=config.again)


@cache
def _read_by_code() -> dict[str, str]:
    words = hashlib.sha256("\0".join(pattern.pattern for pattern in leaks.patterns()).encode())
    return {"code": _READS, "leaks": words.hexdigest()}
