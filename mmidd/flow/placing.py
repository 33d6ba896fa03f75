"""Where the selected media lie: a row of the index and what the listing says of its files, to a medium that can be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from mmidd.extraction.masks import MaskFile
from mmidd.manifest import Manifest, clip_frames, kind_of, names_a_folder
from mmidd.media import FaceMode, Kind
from mmidd.raw.bytes import Archive, FilePart, MediaFile
from mmidd.raw.listing import Listing, Stat, clip_stat
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


Clips = Mapping[str, Mapping[int, tuple[str, Stat]]]


def _clips(dataset: Dataset, folders: set[str], indexed: pa.ChunkedArray) -> Clips:
    """The frames of these folders: number -> path and stat. A file that is in the index by its own name is none."""
    inside: dict[str, list[str]] = defaultdict(list)
    others = frozenset(indexed.to_pylist() if folders else ())
    for path in dataset.listing.files if folders else ():
        folder = path.rpartition("/")[0]
        if folder in folders and path not in others:
            inside[folder].append(path)
    files = dataset.listing.files
    return {
        folder: {number: (path, files[path]) for number, path in clip_frames(paths).items()}
        for folder, paths in inside.items()
    }


@dataclass(frozen=True)
class Placed:
    """Says where the media of one dataset lie: `clips` are the folders of frames, `stats` says of every file, and of every
    such folder, its size and time."""

    dataset: Dataset
    clips: Clips
    stats: Mapping[str, Stat]

    @classmethod
    def of(cls, dataset: Dataset, folders: set[str], indexed: pa.ChunkedArray) -> Placed:
        """Those of a dataset whose index has the media and files `indexed`; `folders` are its folders of frames."""
        clips = _clips(dataset, folders, indexed)
        stats = {folder: clip_stat(dict(frames.values())) for folder, frames in clips.items()}
        return cls(dataset, clips, {**dataset.listing.files, **stats})

    @cached_property
    def _faces(self) -> dict[str, FaceMode]:
        """What each rule says of its media's faces."""
        return {rule.id: rule.faces for rule in self.dataset.manifest.rules}

    def mask(self, path: str, *, own: bool) -> MaskFile:
        """The mask at this path."""
        stat = self.stats[path]
        return MaskFile(
            self.dataset.manifest.name,
            path,
            self._file(path, "frames" if names_a_folder(path) else kind_of(path), stat),
            own,
        )

    def selected(self, row: Mapping[str, Any], mask: MaskFile | None = None) -> Selected:
        """A row of the index with the place of its bytes."""
        media, stat = row["media"], self.stats[row["media"]]
        return Selected(
            row["dataset"], media, self._file(media, row["kind"], stat), row["label"], row["method"], row["pair_dataset"],
            row["pair_media"], bool(row["aligned"]), self._faces.get(row["rule"], "detect"), mask,
        )  # fmt: skip

    def _file(self, path: str, kind: Kind, stat: Stat) -> MediaFile:
        return MediaFile(
            self.dataset.root, self._lies(stat.archive or path), kind, stat.bytes, stat.mtime_ns,
            self._archive(stat), self._parts(path, stat), stat.ctime_ns,
        )  # fmt: skip

    def _archive(self, stat: Stat) -> Archive | None:
        if stat.archive is None:
            return None
        about = self.dataset.listing.archives[stat.archive]
        return Archive(stat.archive, about.bytes, about.mtime_ns)

    def _parts(self, media: str, stat: Stat) -> tuple[FilePart, ...]:
        frames = self.clips.get(media) or ({0: (media, stat)} if stat.archive else {})
        where = self.dataset.listing.where
        cut = len(stat.archive or where(media)) + 1
        return tuple(
            FilePart(number, where(path)[cut:], about.bytes, about.mtime_ns, about.offset, self._apart(media, path, about))
            for number, (path, about) in frames.items()
        )

    def _lies(self, path: str) -> str:
        return self.dataset.listing.disk(path)

    def _apart(self, media: str, path: str, about: Stat) -> str | None:
        """Where a frame lies, if not under its name in its folder: as the disk spells it, or where a link leads."""
        if about.archive:
            return None
        place, where = self._lies(path).removeprefix(f"{self._lies(media)}/"), self.dataset.listing.where
        return None if place == where(path)[len(where(media)) + 1 :] else place
