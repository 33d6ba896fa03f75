"""Where the media of one dataset lie: a path as the rules see it, and what the listing says of its files, to bytes that can
be read. For builds, which ask for what the index names, and for rehydration, which asks for what a publication names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mmidd.manifest.accounting import clip_frames
from mmidd.media import Inside, Kind
from mmidd.raw.bytes import Archive, FilePart, MediaFile
from mmidd.raw.listing import Listing, Stat, clip_stat
from mmidd.raw.path import Place

Clips = Mapping[str, Mapping[int, tuple[str, Stat]]]


def _clips(listing: Listing, folders: Collection[str], others: Collection[str]) -> Clips:
    """The frames of these folders: number -> path and stat. A file among `others` is none."""
    inside: dict[str, list[str]] = defaultdict(list)
    for path in listing.files if folders else ():
        folder = path.rpartition("/")[0]
        if folder in folders and path not in others:
            inside[folder].append(path)
    return {
        folder: {number: (path, listing.files[path]) for number, path in clip_frames(paths).items()}
        for folder, paths in inside.items()
    }


@dataclass(frozen=True)
class Files:
    """The files of one dataset. `clips` are the folders of frames that were asked for, `stats` says of every file, and of
    every such folder, its size and time."""

    root: Place
    listing: Listing
    clips: Clips
    stats: Mapping[str, Stat]

    @classmethod
    def of(cls, root: Place, listing: Listing, folders: Collection[str], others: Collection[str] = frozenset()) -> Files:
        """`folders` are those of frames; `others` are files in them that are no frames (a set)."""
        clips = {folder: frames for folder, frames in _clips(listing, folders, others).items() if frames}
        stats = {folder: clip_stat(dict(frames.values())) for folder, frames in clips.items()}
        return cls(root, listing, clips, {**listing.files, **stats})

    def file(self, path: str, kind: Kind, inside: Inside | None = None) -> MediaFile:
        """What has to be known of a medium to read it. KeyError for a path that `stats` does not know."""
        stat = self.stats[path]
        return MediaFile(
            self.root, self.listing.disk(stat.archive or path), kind, stat.bytes, stat.mtime_ns,
            self._archive(stat), self._parts(path, stat), stat.ctime_ns, inside,
        )  # fmt: skip

    def _archive(self, stat: Stat) -> Archive | None:
        if stat.archive is None:
            return None
        about = self.listing.archives[stat.archive]
        return Archive(stat.archive, about.bytes, about.mtime_ns)

    def _parts(self, media: str, stat: Stat) -> tuple[FilePart, ...]:
        frames = self.clips.get(media) or ({0: (media, stat)} if stat.archive else {})
        where = self.listing.where
        cut = len(stat.archive or where(media)) + 1
        return tuple(
            FilePart(number, where(path)[cut:], about.bytes, about.mtime_ns, about.offset, self._apart(media, path, about))
            for number, (path, about) in frames.items()
        )

    def _apart(self, media: str, path: str, about: Stat) -> str | None:
        """Where a frame lies, if not under its name in its folder: as the disk spells it, or where a link leads."""
        if about.archive:
            return None
        disk, where = self.listing.disk, self.listing.where
        place = disk(path).removeprefix(f"{disk(media)}/")
        return None if place == where(path)[len(where(media)) + 1 :] else place
