"""A medium to the crops of all its faces, by the same extraction as a build's; in worker processes. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mmidd.engine.apart import each_of
from mmidd.engine.local import Inline, Local
from mmidd.engine.units import Crash, Item, Resources, Task
from mmidd.errors import ChangedMedia, EmptyMedia, MmiddError, check_memory, told
from mmidd.explanations.regions import points_of
from mmidd.extraction.medium import Way, medium_crops, planned_numbers
from mmidd.extraction.sample import ExtractConfig, Fix
from mmidd.faces.detector import DetectorConfig
from mmidd.raw.archives import is_sequential
from mmidd.raw.bytes import MediaBytes, MediaFile, lies_instead, open_all
from mmidd.verdicts.every import EveryFace

if TYPE_CHECKING:  # workers start without the manifests' and recipes' code
    from mmidd.verdicts.named import Named
    from mmidd.verdicts.taking import Taking

TASK_IMAGES, SEQUENTIAL = 16, 16
"""Images that a task takes; media of one compressed tar, which share a pass over it."""


@dataclass(frozen=True)
class Crop:
    """One face of one frame, encoded as a corpus's row is. `track`: which face of the medium, the largest is 0. `timestamp`:
    seconds, of a video. `context`: the whole frame, small, with the first crop of each track.
    `points`: eyes, nose and mouth corners in shares of the crop; None of a whole picture."""

    frame: int
    timestamp: float | None
    track: int
    box: tuple[float, ...]
    size: tuple[int, int]
    image: bytes
    context: bytes | None = None
    points: tuple[tuple[float, ...], ...] | None = None


@dataclass(frozen=True)
class Faces:
    """What a medium gave: crops by track and frame. Every planned frame has some or a reason. `error`: why nothing of it
    could be used."""

    number: int
    crops: tuple[Crop, ...] = ()
    planned: int = 0
    reasons: tuple[tuple[int, str, str], ...] = ()
    sha256: str | None = None
    error: str | None = None
    fps: float | None = None
    codec: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Asked:
    config: ExtractConfig
    frames: int


def faces_of(media: Sequence[Named], taking: Taking, engine: Local | Inline) -> Iterator[Faces]:
    """The faces of each medium, in the order in which they are done; few are under way at once. A worker that dies or hangs
    costs its medium alone."""
    asked = _Asked(replace(taking.config, choice="all"), taking.frames)
    largest = max((each.file.bytes for each in media), default=0)
    for task, found in each_of(engine, taken, _tasks(media), asked, largest):
        yield from [_crashed(task, found)] if isinstance(found, Crash) else found


def _crashed(task: Task, crash: Crash) -> Faces:
    return Faces(int(task.items[0].media), error=f"{crash.error}: {crash.message}")


def _tasks(media: Sequence[Named]) -> Iterator[Task]:
    """One video, a few images, or some media of a compressed tar. In the order of the media."""
    held: list[Item] = []
    kept: tuple[object, int] = (None, 0)
    for number, each in enumerate(media):
        sequential = each.file.archive is not None and is_sequential(each.file.archive.name)
        kind: tuple[object, int] = (
            (each.file.path, SEQUENTIAL)
            if sequential
            else ("image", TASK_IMAGES)
            if each.file.kind == "image"
            else (number, 1)
        )
        if held and (kind != kept or len(held) == kept[1]):
            yield Task(tuple(held), together=True)
            held = []
        held.append(Item("", str(number), None, each.file))
        kept = kind
    if held:
        yield Task(tuple(held), together=True)


def taken(task: Task, asked: _Asked, resources: Resources) -> list[Faces]:
    """The faces of a task's media."""
    detector = _detector(asked.config.detector)

    def needed(item: Item) -> frozenset[int] | None:
        file: MediaFile = item.payload
        return frozenset(planned_numbers(file.numbers, asked.frames, asked.config, None)) if file.kind == "frames" else None

    opened = open_all([(item, item.payload) for item in task.items], needed)
    return [_faces(int(item.media), item.payload, source, asked, detector) for item, source in opened]


def _points(fix: Fix | None, size: int) -> tuple[tuple[float, ...], ...] | None:
    found = None if fix is None else points_of(fix.landmarks, fix.transform, size)
    return None if found is None else tuple(tuple(each) for each in found.tolist())


@lru_cache(maxsize=1)
def _detector(config: DetectorConfig) -> EveryFace:
    return EveryFace.of(config)


def _faces(number: int, file: MediaFile, source: MediaBytes, asked: _Asked, detector: EveryFace) -> Faces:
    sha256 = None
    try:
        sha256 = source.sha256()
        if file.bytes == 0:
            raise EmptyMedia("the file has no bytes")
        found = medium_crops(file, source, asked.frames, Way(asked.config, detector))
        source.check()
    except (MmiddError, MemoryError):
        raise
    except ChangedMedia:
        return Faces(number, error="the file changed while it was read: run it again")
    except Exception as error:  # one medium's fault must not take its neighbours along
        check_memory(error)
        return Faces(number, sha256=sha256, error=lies_instead(file, source) or told(error))
    samples = sorted(found.samples, key=lambda each: (each.face, each.frame))
    crops = tuple(
        Crop(
            each.frame, each.timestamp, each.face, each.fix.box if each.fix else (0.0, 0.0, each.width, each.height),
            (each.width, each.height), each.image, each.context, _points(each.fix, asked.config.size),
        )
        for each in samples
    )  # fmt: skip
    return Faces(number, crops, len(found.planned), found.reasons, sha256, None, found.fps, found.codec, found.facts)
