"""All targets by name."""

from __future__ import annotations

from . import files, networks, texts

TARGETS = {target.name: target for target in (*texts.TARGETS, *files.TARGETS, *networks.TARGETS)}
