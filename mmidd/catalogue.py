"""What the manifests say, for people: the table of datasets, and the page of one."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from mmidd.errors import DataError
from mmidd.manifest import Manifest, bundled, find_manifest
from mmidd.stages.index import locate


def rows(data: Path | None) -> list[dict[str, Any]]:
    """One row a dataset; `found` is its folder under the data root, null if it is not there or none was given."""
    if data is not None and not data.is_dir():
        raise DataError(f"the data root {data} is not a folder")
    return [_row(manifest, data) for manifest in bundled().values()]


def _row(manifest: Manifest, data: Path | None) -> dict[str, Any]:
    root = locate(manifest, data) if data is not None else None
    return {
        "name": manifest.name,
        "slug": manifest.slug,
        "year": manifest.year,
        "real": _expected(manifest, "real"),
        "fake": _expected(manifest, "fake"),
        "types": list(manifest.types),
        "licence": manifest.licence.name,
        "redistributable": manifest.licence.redistributable,
        "verified": manifest.verified,
        "found": root.name if root else None,
    }


def _expected(manifest: Manifest, label: str) -> int | None:
    """How many media of a label the official release has (in one compression), by the manifest's counts."""
    rules = {rule.id: rule.label for rule in manifest.rules}
    mine = [
        entry
        for entry in manifest.expected
        if label == (entry.label or (rules[entry.rule] if entry.rule else "fake" if entry.method else None))
    ]
    whole = [entry.count for entry in mine if entry.split is None] or [entry.count for entry in mine]
    return sum(whole) if whole else None


def describe(name: str) -> dict[str, Any]:
    """All that a person needs to put a dataset in its place."""
    manifest = find_manifest(name)
    return {**_row(manifest, None), "access": manifest.access, "citation": manifest.citation, "text": _page(manifest)}


def _page(manifest: Manifest) -> str:
    paths = [f"  {manifest.folders[0]}/{path}" for rule in manifest.rules for path in rule.path[:1]]
    labels = [f"  {manifest.folders[0]}/{path}" for table in manifest.tables.values() for path in table.files[:1]]
    parts = [
        f"{manifest.name} ({manifest.year}): {manifest.summary}",
        "layout, under the data root (folder also accepted as: " + ", ".join(manifest.folders[1:] or ("-",)) + ")",
        *dict.fromkeys(paths),
        *(["label files", *dict.fromkeys(labels)] if labels else []),
        f"licence: {manifest.licence.name} ({manifest.licence.url}); crops may be redistributed: "
        + ("yes" if manifest.licence.redistributable else "no"),
        textwrap.fill(f"access: {' '.join(manifest.access.split())}", 100, subsequent_indent="  "),
        textwrap.fill(f"citation: {' '.join(manifest.citation.split())}", 100, subsequent_indent="  "),
    ]
    if not manifest.verified:
        parts.append(textwrap.fill(f"not verified: {manifest.verified_note}", 100, subsequent_indent="  "))
    parts += [textwrap.fill(f"known defect: {defect}", 100, subsequent_indent="  ") for defect in manifest.known_defects]
    return "\n".join(parts)
