"""All targets by name."""

from __future__ import annotations

from . import files, imports, networks, publications, texts, verdicts

TARGETS = {
    target.name: target
    for target in (
        *texts.TARGETS,
        *files.TARGETS,
        *networks.TARGETS,
        *imports.TARGETS,
        *verdicts.TARGETS,
        *publications.TARGETS,
    )
}
