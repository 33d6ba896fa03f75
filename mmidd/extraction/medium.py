"""One medium to its samples: decode, plan the frames, and account for each. No engine, no labels.

`people` finds and chooses the faces, `follow` cuts a fake as its real, `sample` makes samples, `masks` brings the masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mmidd.errors import EmptyMedia
from mmidd.extraction import follow, people
from mmidd.extraction.masks import Masks, MaskSource
from mmidd.extraction.numbered import closed, numbered
from mmidd.extraction.proof import GeometryDiffers, Search
from mmidd.extraction.sample import ClipSamples, ExtractConfig, Sample, TrackRecord
from mmidd.extraction.turning import LOOKED_AT, turn_of
from mmidd.faces.detector import Detector, Faces
from mmidd.video import (
    Clip,
    CountMismatch,
    Frame,
    Picture,
    Pixels,
    Still,
    VideoReader,
    frame_plan,
    open_hdf5,
    open_video,
    read_still,
)
from mmidd.video.turned import turned_frames

if TYPE_CHECKING:  # workers start without the manifests' and recipes' code
    from mmidd.media import FaceMode as Mode
    from mmidd.media import Inside, Turn
    from mmidd.raw.bytes import MediaBytes, MediaFile

Give = Callable[[int], tuple[Frame, Still | None]]
"""A clip's frame by its number, and of an image file what was read of it."""


@dataclass(frozen=True)
class MediumSamples:
    """What a medium gave. Every planned frame has samples or a reason: (frame, dropped or failed, reason)."""

    planned: tuple[int, ...]
    samples: tuple[Sample, ...]
    reasons: tuple[tuple[int, str, str], ...]
    fps: float | None = None
    codec: str | None = None
    jpeg_quality: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Way:
    """How one medium's faces are had: where they are looked for, by whom, whose track record is followed, what mask
    there is, and how its frames (and those of the mask) are turned. `led`: fakes follow it, so it leaves views, and
    everybody they may be about. `search`: it is a fake that does not fit its real's track record; what becomes of the pair
    is looked for while it is cut on its own."""

    config: ExtractConfig
    detector: Detector
    mode: Mode = "detect"
    track: TrackRecord | None = None
    mask: MaskSource | None = None
    led: bool = False
    search: Search | None = None
    turn: Turn = 0

    def masks(self, planned: Sequence[int], turn: int) -> AbstractContextManager[Masks]:
        """The masks of the planned frames, turned as these are, while the file is open."""
        return nullcontext(Masks()) if self.mask is None else self.mask.opened(planned, self.config.decoder, turn)

    def samples(
        self, frames: Callable[[Sequence[int]], Iterable[Frame]], planned: Sequence[int], *, upright: bool = False
    ) -> ClipSamples:
        """The samples of those of a clip's planned frames that are there, which `frames` gives, and the ones that gave none.
        `upright`: its file says how it lies, which was followed, so a stated turn is not for it. Raises GeometryDiffers."""
        turn, seen = (0, {"turn": 0}) if upright and self.turn not in (0, "find") else self._turned(frames, planned)
        with self.masks(planned, turn) as masks:
            found = self._samples(turned_frames(frames(planned), turn), masks)
            return found._replace(facts={**seen, **found.facts, **masks.counts})

    def _turned(
        self, frames: Callable[[Sequence[int]], Iterable[Frame]], planned: Sequence[int]
    ) -> tuple[int, dict[str, Any]]:
        """By how much the frames are turned, and what is to be told of that."""
        if self.turn != "find":
            return self.turn, {"turn": self.turn} if self.turn else {}
        few = [planned[place] for place in frame_plan(len(planned), LOOKED_AT, "even")]
        turn, seen = turn_of(frames(few), self.look)
        return turn, {"turn": turn, **seen}

    def _samples(self, frames: Iterable[Frame], masks: Masks) -> ClipSamples:
        if self.mode in ("keep", "whole"):
            return follow.taken_whole(frames, self.track, self.config, masks)
        if self.track:
            return follow.shared(frames, self.track, self.config, self.look, masks)
        if self.search is not None and not masks.present:
            masks = self.search.masks
        return people.own(frames, self.config, self.look, masks, led=self.led, search=self.search)

    def look(self, pictures: list[Picture]) -> list[Faces]:
        """The faces of pictures."""
        return people.detected(self.detector, pictures, padded=self.mode == "padded")


def medium_crops(file: MediaFile, source: MediaBytes, count: int, way: Way) -> MediumSamples:
    """The samples of a medium of any kind; of a clip `count` frames. Raises MediaError where nothing of it can be used."""
    if file.kind == "image":
        return still_crops(source.still(), way)
    if file.kind == "frames":
        return frames_crops(file.numbers, source.frame, count, way)
    with closed(source.video()) as video:
        return hdf5_crops(video, file.inside, count, way) if file.kind == "hdf5" else video_crops(video, count, way)


def video_crops(path: Path | BinaryIO, count: int, way: Way) -> MediumSamples:
    """The samples of a video. Raises MediaError where nothing of it can be used."""
    return _alone_if_it_differs(lambda way: _recounting(path, count, way), way)


def frames_crops(numbers: Sequence[int], read: Callable[[int], bytes], count: int, way: Way) -> MediumSamples:
    """The samples of a clip of numbered images, ascending; `read` gives an image's bytes. A frame is its number.

    Raises MediaError where nothing of it can be used.
    """
    return _alone_if_it_differs(lambda way: _frames(numbers, partial(numbered, read=read), count, way), way)


def hdf5_crops(file: Path | BinaryIO, inside: Inside | None, count: int, way: Way) -> MediumSamples:
    """The samples of a clip whose frames are arrays in an HDF5 file: as of one of numbered images. Raises MediaError where
    nothing of it can be used."""
    with open_hdf5(file, inside) as arrays:
        return _alone_if_it_differs(
            lambda way: _frames(arrays.numbers, lambda number: (arrays.frame(number), None), count, way, "hdf5"), way
        )


def still_crops(data: bytes, way: Way) -> MediumSamples:
    """The samples of an image file's bytes. Raises MediaError where it cannot be decoded."""
    still = read_still(data)
    return _alone_if_it_differs(lambda way: _still(still, way), way)


def _alone_if_it_differs(make: Callable[[Way], MediumSamples], way: Way) -> MediumSamples:
    """Follow the real's track record; where that does not fit, take the medium's own geometry and say why."""
    try:
        crops = make(way)
        found = {"pair_check": way.search.found()} if way.search else {}
        return replace(crops, facts={**crops.facts, **found})
    except GeometryDiffers as error:
        search = Search(way.track or TrackRecord((), {}), error.check)
        crops = make(replace(way, track=None, search=search))
        return replace(crops, facts={**crops.facts, "pair_check": search.found(), "geometry_note": str(error)})


def _recounting(path: Path | BinaryIO, count: int, way: Way) -> MediumSamples:
    try:
        return _video(path, count, way, recount=False)
    except CountMismatch:
        return _video(path, count, way, recount=True)


def _video(path: Path | BinaryIO, count: int, way: Way, *, recount: bool) -> MediumSamples:
    config, track = way.config, way.track
    with open_video(path, config.decoder, recount=recount) as video:
        clip = video.clip
        if clip.frame_count == 0:
            raise EmptyMedia("the video has no frame")
        there = clip.frame_count + clip.cut_off
        planned = track.planned if track else frame_plan(there, count, config.spacing)

        def frames(indices: Sequence[int]) -> Iterator[Frame]:
            return video.frames([index for index in indices if index < clip.frame_count])

        found = way.samples(frames, planned, upright=clip.rotation != 0)
        reasons = list(found.reasons)
        reasons += [(index, "failed", "file_cut_off") for index in planned if clip.frame_count <= index < there]
        reasons += [(index, "dropped", "pair_short") for index in planned if index >= there]
        facts = {
            "frame_count": clip.frame_count,
            "recounted": clip.recounted,
            "rotation": clip.rotation,
            "sample_aspect_ratio": round(clip.sample_aspect_ratio, 6),
            **_damage(video, clip),
            **found.facts,
        }
        return MediumSamples(planned, tuple(found.samples), tuple(sorted(reasons)), clip.fps, clip.codec, None, facts)


def _damage(video: VideoReader, clip: Clip) -> dict[str, int]:
    """What was lost of a video, where something was, planned frames or not."""
    lost = {"bad_packets": video.bad_packets, "frames_cut_off": clip.cut_off, "missing_bytes": clip.missing_bytes}
    return {name: number for name, number in lost.items() if number}


def planned_numbers(numbers: Sequence[int], count: int, config: ExtractConfig, track: TrackRecord | None) -> tuple[int, ...]:
    """Which frames of a clip of numbered images are taken: its real's, or a plan over those that are there."""
    if track is not None:
        return track.planned
    return tuple(numbers[place] for place in frame_plan(len(numbers), count, config.spacing))


def _frames(numbers: Sequence[int], give: Give, count: int, way: Way, codec: str | None = None) -> MediumSamples:
    planned = planned_numbers(numbers, count, way.config, way.track)
    there = frozenset(numbers)
    stills: dict[int, Still] = {}
    found = way.samples(lambda indices: _numbered(indices, there, give, stills), planned)
    reasons = [*found.reasons, *((number, "dropped", "pair_short") for number in planned if number not in there)]
    codecs = sorted({still.codec for still in stills.values()})
    qualities = {still.jpeg_quality for still in stills.values()}
    return MediumSamples(
        planned, tuple(found.samples), tuple(sorted(reasons)), None, "+".join(codecs) or codec,
        qualities.pop() if len(qualities) == 1 else None, {"frame_count": len(numbers), **found.facts},
    )  # fmt: skip


def _numbered(planned: Iterable[int], there: frozenset[int], give: Give, stills: dict[int, Still]) -> Iterator[Frame]:
    """The planned frames that are there; what is told of each image file goes to `stills`, without the pixels."""
    for number in planned:
        if number in there:
            frame, still = give(number)
            if still is not None:
                stills[number] = replace(still, image=still.image[:0])
            yield frame


def _still(still: Still, way: Way) -> MediumSamples:
    found = way.samples(lambda _: [Frame(0, None, Pixels(still.image))], (0,))
    facts = {"frame_count": 1, **({"animated_frames": still.frames} if still.frames > 1 else {}), **found.facts}
    return MediumSamples((0,), tuple(found.samples), tuple(found.reasons), None, still.codec, still.jpeg_quality, facts)
