"""Where the selected media lie: a row of the index to a medium that can be read, with its mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from mmidd.extraction.masks import MaskFile
from mmidd.manifest import Manifest, kind_of, names_a_folder
from mmidd.manifest.accounting import Rule
from mmidd.manifest.files import Files
from mmidd.raw.listing import Listing, Stat
from mmidd.raw.path import Place
from mmidd.recipe import DatasetEntry
from mmidd.stages.extract import Selected


@dataclass(frozen=True)
class Dataset:
    """One dataset of the recipe that was found on disk."""

    entry: DatasetEntry
    manifest: Manifest
    root: Place
    listing: Listing


@dataclass(frozen=True)
class Placed:
    """Says where the media of one dataset lie."""

    dataset: Dataset
    files: Files

    @classmethod
    def of(cls, dataset: Dataset, folders: set[str], indexed: pa.ChunkedArray) -> Placed:
        """Those of a dataset whose index has the media and files `indexed`; `folders` are its folders of frames. A file that
        is in the index by its own name is no frame."""
        others = frozenset(indexed.to_pylist() if folders else ())
        return cls(dataset, Files.of(dataset.root, dataset.listing, folders, others))

    @property
    def stats(self) -> Mapping[str, Stat]:
        """Size and time of every file, and of every folder of frames."""
        return self.files.stats

    @cached_property
    def _rules(self) -> dict[str, Rule]:
        """The rules by their names: they say how media are looked at."""
        return {rule.id: rule for rule in self.dataset.manifest.layout.rules}

    def mask(self, path: str, *, own: bool) -> MaskFile:
        """The mask at this path."""
        file = self.files.file(path, "frames" if names_a_folder(path) else kind_of(path))
        return MaskFile(self.dataset.manifest.name, path, file, own)

    def selected(self, row: Mapping[str, Any], mask: MaskFile | None = None) -> Selected:
        """A row of the index with the place of its bytes."""
        media, rule = row["media"], self._rules.get(row["rule"])
        file = self.files.file(media, row["kind"], rule.inside if rule else None)
        return Selected(
            row["dataset"], media, file, row["label"], row["method"], row["pair_dataset"], row["pair_media"],
            bool(row["aligned"]), rule.faces if rule else "detect", mask, rule.turn if rule else 0,
        )  # fmt: skip
