"""Dataset manifests: one YAML file says where a dataset's media lie and what is known of each (docs/manifests.md)."""

from __future__ import annotations

from mmidd.manifest.accounting import Accounting, Medium, clip_frames, kind_of, names_a_folder
from mmidd.manifest.format import (
    Manifest,
    archive_paths,
    bundled,
    describe,
    find_manifest,
    label_paths,
    load_manifest,
    shipped,
    standing,
    taken,
)

__all__ = [
    "Accounting",
    "Manifest",
    "Medium",
    "archive_paths",
    "bundled",
    "clip_frames",
    "describe",
    "find_manifest",
    "kind_of",
    "label_paths",
    "load_manifest",
    "names_a_folder",
    "shipped",
    "standing",
    "taken",
]
