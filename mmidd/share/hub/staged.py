"""A publication as it lies on this machine, whole, before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmidd.corpus.about import Listed
from mmidd.engine.files import sha256_file
from mmidd.share.publication.format import PUBLICATION, Publication


@dataclass(frozen=True)
class Staged:
    """A publication's folder."""

    folder: Path
    publication: Publication

    @cached_property
    def files(self) -> Mapping[str, Listed]:
        """All its files, `publication.json` too."""
        path = self.folder / PUBLICATION
        return {**self.publication.files, PUBLICATION: Listed(path.stat().st_size, sha256_file(path))}

    @property
    def digest(self) -> str:
        """Of `publication.json`, and so of every file."""
        return self.files[PUBLICATION].sha256

    @property
    def tag(self) -> str:
        """What the Hub calls this version."""
        return f"v{self.publication.version}"

    @property
    def title(self) -> str:
        """Of its commits."""
        return f"{self.publication.name} {self.tag}"

    @property
    def notes(self) -> Path:
        """Where it is kept which files were seen as served: beside the folder, which holds the publication alone."""
        return self.folder.with_name(f".{self.folder.name}.served")
