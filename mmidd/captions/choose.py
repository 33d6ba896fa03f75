"""The captioner that a recipe names: made, and what shapes its words."""

from __future__ import annotations

from dataclasses import fields

from mmidd.captions.device import device_of, gpus
from mmidd.captions.protocol import Captioner, CaptionerConfig, CaptionerMaker
from mmidd.captions.registry import CAPTIONERS
from mmidd.errors import UsageError

__all__ = ["CaptionerConfig", "captioner_identity", "device_of", "gpus", "make_captioner"]

_ALWAYS = {"kind", "journal", "again", "pinned"}
"""What is no option of a recipe, and how a build is gone about."""


def make_captioner(config: CaptionerConfig) -> Captioner | None:
    """The captioner that the configuration names; None for `none`.

    Raises UsageError, RecipeError, MissingExtra, MissingWeights, WrongWeights or PluginError for one that is not at hand.
    """
    return CAPTIONERS.ask(config.kind, _maker(config).make, config)


def captioner_identity(config: CaptionerConfig) -> dict[str, str]:
    """Everything that shapes the captions' text, for cache keys; of a captioner from another package that package too.
    Raises as `make_captioner` does, but loads no model."""
    identity = CAPTIONERS.ask(config.kind, _maker(config).identity, config)
    plugin = CAPTIONERS.plugin(config.kind)
    return identity | {"plugin": plugin.source} if plugin else identity


def _maker(config: CaptionerConfig) -> CaptionerMaker:
    """What the captioner's file says of it. Raises UsageError for an unknown kind, and for options that it would ignore."""
    if config.kind not in CAPTIONERS:
        raise UsageError(f"no captioner {config.kind!r}; choose one of {', '.join(sorted(CAPTIONERS.names()))}")
    maker = CAPTIONERS.load(config.kind, CaptionerMaker)
    default = CaptionerConfig()
    changed = [each.name for each in fields(config) if getattr(config, each.name) != getattr(default, each.name)]
    if ignored := [name for name in changed if name not in maker.reads | _ALWAYS]:
        raise UsageError(f"captioner {config.kind!r} takes no {' and no '.join(ignored)}; leave it out of the recipe")
    return maker
