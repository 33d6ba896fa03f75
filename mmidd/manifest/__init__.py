"""Dataset manifests: one YAML file says where a dataset's media lie and what is known of each (docs/manifests.md)."""

from __future__ import annotations

from mmidd.manifest.accounting import Accounting, Medium
from mmidd.manifest.format import Manifest, bundled, describe, find_manifest, label_paths, load_manifest, shipped

__all__ = [
    "Accounting",
    "Manifest",
    "Medium",
    "bundled",
    "describe",
    "find_manifest",
    "label_paths",
    "load_manifest",
    "shipped",
]
