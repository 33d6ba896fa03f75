"""Where the same crops lie in every format, and what is known of them. Of libraries numpy alone, as every loader's own
environment has it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BATCH = 64
SEED = 7
WINDOW = 1000
"""Samples of the buffer of those that shuffle within one."""


@dataclass(frozen=True)
class Place:
    """A folder of crops: `corpus`, and the same JPEG bytes as tars, MDS, PNG and JPEG files."""

    root: Path

    @property
    def corpus(self) -> Path:
        return self.root / "corpus"

    @property
    def shards(self) -> list[str]:
        return [str(path) for path in sorted((self.corpus / "data").glob("*.parquet"))]

    @property
    def tars(self) -> list[str]:
        return [str(path) for path in sorted((self.root / "tars").glob("*.tar"))]

    @property
    def mds(self) -> Path:
        return self.root / "mds"

    @property
    def png(self) -> Path:
        return self.root / "png"

    @property
    def jpeg(self) -> Path:
        return self.root / "jpeg"

    @property
    def arrow(self) -> Path:
        """The cache of `datasets`."""
        return self.root / "arrow"

    @property
    def cold(self) -> Path:
        """Another cache of `datasets`, removed after every measure."""
        return self.root / "cold"

    @cached_property
    def _known(self) -> dict[str, npt.NDArray[Any]]:
        with np.load(self.root / "known.npz") as file:
            return dict(file)

    @property
    def ids(self) -> list[str]:
        """Of every row, in the order of the corpus."""
        return [name.decode() for name in self._known["ids"].tolist()]

    @property
    def labels(self) -> list[int]:
        found: list[int] = self._known["labels"].tolist()
        return found

    @property
    def sources(self) -> list[int]:
        """Which of the distinct crops a row shows."""
        found: list[int] = self._known["sources"].tolist()
        return found

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The distinct crops as simplejpeg decodes them: (crops, height, width, 3)."""
        found: npt.NDArray[np.uint8] = np.load(self.root / "pixels.npy", mmap_mode="r")
        return found

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return int(self.pixels.shape[1])
