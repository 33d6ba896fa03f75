"""All targets by name."""

from __future__ import annotations

from . import files, texts

TARGETS = {target.name: target for target in (*texts.TARGETS, *files.TARGETS)}
