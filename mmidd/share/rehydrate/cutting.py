"""Found media to the images of their rows, in worker processes: each is cut, compared and spooled; no torch, no pixels in
memory but those of a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from mmidd.engine.apart import each_of
from mmidd.engine.faults import fault
from mmidd.engine.local import Inline, Local
from mmidd.engine.temporary import temporary
from mmidd.engine.units import Crash, Item, Resources, Task
from mmidd.errors import ChangedMedia, MmiddError, check_memory, told
from mmidd.extraction.masks import MaskSource
from mmidd.extraction.replay import Cutting, Made, Miscounted, Stored, replay
from mmidd.raw.archives import is_sequential
from mmidd.raw.bytes import MediaBytes, lies_instead, open_all, open_one
from mmidd.share.rehydrate.compared import Compared, Likeness, Proofs, compared, is_accepted, medium_is
from mmidd.share.rehydrate.found import FoundMedium

TASK_IMAGES, SEQUENTIAL = 64, 256
"""Images that a task takes; media of one compressed tar, which share a pass over it."""
UNREADABLE, CRASHED, CHANGED = "unreadable", "worker_died", "changed"
PASSING = (CRASHED, CHANGED)
"""Why rows are missing that the next run tries once more."""

Number = tuple[int, int]
"""A row: the number of its shard, and of the row in that."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row to be made again."""

    number: Number
    stored: Stored
    proofs: Proofs


@dataclass(frozen=True, slots=True)
class Medium:
    """A medium that was found, and the rows that come from it."""

    found: FoundMedium
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Spooled:
    """What became of a row; its image and mask, as place and length in a spool."""

    number: Number
    compared: Compared
    image: tuple[int, int] | None = None
    mask: tuple[int, int] | None = None


@dataclass(frozen=True)
class Cut:
    """What a medium gave: its rows, in any order, and what it is. `frames`: pictures that were taken; `sha256`: of its
    bytes, where it was read for that."""

    medium: Medium
    spool: Path | None
    rows: tuple[Spooled, ...]
    kind: Likeness
    told: str
    frames: int = 0
    sha256: str | None = None


@dataclass(frozen=True)
class Asked:
    """How crops are cut, and the folder that spools go into."""

    cutting: Cutting
    folder: Path


def cut_media(media: Iterable[Sequence[Medium]], asked: Asked, engine: Local | Inline, largest: int) -> Iterator[Cut]:
    """What each medium gives, in the order in which they are done; few are under way at once. `media` come in runs, such as
    those of a shard; `largest`: bytes of the largest. A worker that dies or hangs costs its medium alone."""
    tasks = (task for run in media for task in _tasks(run))
    for task, found in each_of(engine, cut, tasks, asked, largest):
        yield from [_crashed(task, found)] if isinstance(found, Crash) else found


def _crashed(task: Task, crash: Crash) -> Cut:
    medium: Medium = task.items[0].payload
    return _lost(medium, CRASHED, f"{crash.error}: {crash.message}")


def _lost(medium: Medium, reason: str, why: str) -> Cut:
    rows = tuple(Spooled(row.number, Compared("missing", reason, why)) for row in medium.rows)
    return Cut(medium, None, rows, "unreadable", why)


def _tasks(media: Sequence[Medium]) -> Iterator[Task]:
    """One video, a few images, or the media of a compressed tar."""
    held: dict[object, list[Item]] = {}
    for number, medium in enumerate(media):
        file = medium.found.file
        item = Item(medium.found.wanted.name[0], medium.found.wanted.name[1], None, medium, file.bytes)
        kind: object = number
        most = 1
        if file.archive is not None and is_sequential(file.archive.name):
            kind, most = (str(file.path), "tar"), SEQUENTIAL
        elif file.kind == "image":
            kind, most = "images", TASK_IMAGES
        items = held.setdefault(kind, [])
        items.append(item)
        if len(items) == most:
            yield Task(tuple(held.pop(kind)), together=True)
    for items in held.values():
        yield Task(tuple(items), together=True)


def cut(task: Task, asked: Asked, resources: Resources) -> list[Cut]:
    """The rows of a task's media, their images in a spool of their own."""
    place = temporary(asked.folder)
    with place.open("wb") as spool:
        media = ((item.payload, item.payload.found.file) for item in task.items)
        return [_cut(medium, source, asked.cutting, spool, place) for medium, source in open_all(media, _needed)]


def _needed(medium: Medium) -> frozenset[int] | None:
    if medium.found.file.kind != "frames":
        return None
    return frozenset(row.stored.frame for row in medium.rows)


def _cut(medium: Medium, source: MediaBytes, cutting: Cutting, spool: BinaryIO, place: Path) -> Cut:
    sha256 = None
    try:
        fault("cutting", medium.found.wanted.name[1])
        rows, frames = _rows(medium, source, cutting, spool)
        same = medium.found.same
        if same is None and any(each.compared.status in ("differs", "missing") for each in rows):
            sha256 = source.sha256()
            same = sha256 == medium.found.wanted.sha256
            if same and medium.found.file.kind == "video":  # a build may have had to count its frames by decoding all
                again, _ = _rows(medium, source, cutting, spool, recount=True)
                rows = min(again, rows, key=_lacking)
        source.check()
    except (MmiddError, MemoryError):
        raise
    except ChangedMedia:
        return _lost(medium, CHANGED, "the file changed while it was read: run it again")
    except Exception as error:  # one medium's fault must not take its neighbours along
        check_memory(error)
        return _unreadable(medium, source, error)
    kind, words = medium_is((each.compared for each in rows), same)
    return Cut(medium, place, tuple(rows), kind, words, frames, sha256)


def _unreadable(medium: Medium, source: MediaBytes, error: Exception) -> Cut:
    """A medium that nobody can decode; its digest too, so that the next run looks for a sound copy."""
    lost = _lost(medium, UNREADABLE, lies_instead(medium.found.file, source) or told(error))
    if medium.found.same is None:
        with suppress(OSError, MmiddError):
            return replace(lost, sha256=source.sha256())
    return lost


def _lacking(rows: Sequence[Spooled]) -> int:
    return sum(not is_accepted(each.compared.status, "within-1") for each in rows)


def _rows(
    medium: Medium, source: MediaBytes, cutting: Cutting, spool: BinaryIO, *, recount: bool = False
) -> tuple[list[Spooled], int]:
    """Its rows, and how many frames they are of. A count that does not hold (Miscounted) has all frames counted anew, as a
    build does."""
    mask = _mask(medium)
    rows, found, frames = [(row.stored, row) for row in medium.rows], list[Spooled](), set[int]()
    try:
        turn = medium.found.wanted.turn
        for row, made in replay(medium.found.file, source, rows, cutting, mask, turn=turn, recount=recount):
            verdict = compared(made, row.proofs)
            image = marked = None
            if isinstance(made, Made):
                image, marked = _put(spool, made.image), _put(spool, made.mask)
                frames.add(row.stored.frame)
            found.append(Spooled(row.number, verdict, image, marked))
    except Miscounted:
        if recount:
            raise
        return _rows(medium, source, cutting, spool, recount=True)
    if mask is not None:
        mask.check()
    return found, len(frames)


def _put(spool: BinaryIO, data: bytes | None) -> tuple[int, int] | None:
    if data is None:
        return None
    at = spool.tell()
    spool.write(data)
    return at, len(data)


def _mask(medium: Medium) -> MaskSource | None:
    mask = medium.found.mask
    if mask is None or not any(row.stored.masked for row in medium.rows):
        return None
    return MaskSource(mask, open_one(mask.file))
