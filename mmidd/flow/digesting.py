"""Digests of the media's bytes: taken again where a file changed, remembered as results come in; and how fast that went."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from mmidd.engine.digests import UNREAD, UNSTEADY, DigestCache, Known
from mmidd.engine.units import Result
from mmidd.errors import ChangedMedia, MediaError
from mmidd.extraction.masks import MaskFile
from mmidd.flow.notes import RATES, note_rate
from mmidd.flow.setup import Setup
from mmidd.media import Name
from mmidd.raw.bytes import MediaFile, open_all
from mmidd.raw.path import Place
from mmidd.stages.extract import Selected


def rehash(digests: DigestCache, media: Collection[Selected]) -> None:
    """Read again what was known and has another size or time now, also of change alone: equal bytes keep their work. And
    what the system did not let us read: permission may have come without a change of any.

    What cannot be read now is not known any more: extraction meets the same error, and records it with its reason.
    """
    changed: list[Selected | MaskFile] = []
    for each in _with_masks(media):
        known = _fresh(digests, each)
        if digests.last(each.dataset, each.media) and (known is None or (known == UNREAD and not each.file.archive)):
            changed.append(each)
    _read(digests, changed)


def learn(digests: DigestCache, media: Iterable[Selected]) -> None:
    """Read what is not known as it is now."""
    _read(digests, [each for each in media if _fresh(digests, each) is None])


def _read(digests: DigestCache, media: Iterable[Selected | MaskFile]) -> None:
    places: dict[Place, list[tuple[Selected | MaskFile, MediaFile]]] = defaultdict(list)
    for each in media:
        places[each.file.path].append((each, each.file))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(_digests, places.values()):
            for medium, sha256 in found:
                trusted = _trusted(digests, medium)
                if sha256 or trusted == UNREAD:
                    digests.put(medium.dataset, [(medium.media, _known(medium.file, sha256 or UNREAD))])
                elif trusted is not None:
                    digests.put(medium.dataset, [(medium.media, UNSTEADY)])


def reread(digests: DigestCache, media: Collection[Selected]) -> int:
    """How many files a build would read again though neither size nor time tells of a change: they were copied or moved
    here, or others took their place."""
    return sum(
        _fresh(digests, each) is None and _trusted(digests, each) not in (None, UNREAD) for each in _with_masks(media)
    )


def _fresh(digests: DigestCache, medium: Selected | MaskFile) -> str | None:
    """The digest, where nothing tells of a change."""
    file = medium.file
    return digests.fresh(medium.dataset, medium.media, file.bytes, file.mtime_ns, file.ctime_ns)


def _trusted(digests: DigestCache, medium: Selected | MaskFile) -> str | None:
    """The digest that extraction is planned by: where size and time tell of no change."""
    return digests.fresh(medium.dataset, medium.media, medium.file.bytes, medium.file.mtime_ns)


def _with_masks(media: Collection[Selected]) -> Iterator[Selected | MaskFile]:
    """The media, and each of their masks once."""
    masks = {(mask.dataset, mask.media): mask for mask in (medium.mask for medium in media) if mask is not None}
    return chain[Selected | MaskFile](media, masks.values())


def _digests(media: Iterable[tuple[Selected | MaskFile, MediaFile]]) -> list[tuple[Selected | MaskFile, str | None]]:
    found: list[tuple[Selected | MaskFile, str | None]] = []
    for medium, source in open_all(media, lambda medium: frozenset()):
        try:
            sha256: str | None = source.sha256()
            source.check()
        except (OSError, MediaError):
            sha256 = None
        found.append((medium, sha256))
    return found


def _known(file: MediaFile, sha256: str) -> Known:
    return Known(file.bytes, file.mtime_ns, sha256, file.ctime_ns)


class Landed:
    """Sees each fresh result of extraction: remembers the media's digests, and how long a frame took, for `plan`."""

    def __init__(self, setup: Setup, selected: Mapping[Name, Selected]) -> None:
        self._setup, self._selected = setup, selected
        self._started = time.monotonic()
        self._frames = 0

    def __call__(self, result: Result) -> None:
        taken: dict[str, list[tuple[str, Known]]] = defaultdict(list)
        for outcome in result.outcomes:
            self._frames += outcome.planned
            medium = self._selected[outcome.dataset, outcome.media]
            for each, fact in ((medium, "sha256"), (medium.mask, "mask_sha256")):
                if each is not None:
                    taken[each.dataset] += self._taken(each, outcome.facts.get(fact), outcome.error)
        for dataset, entries in taken.items():
            self._setup.digests.put(dataset, entries)

    def _taken(self, medium: Selected | MaskFile, sha256: str | None, error: str | None) -> Iterator[tuple[str, Known]]:
        """A digest that was just taken; of a file that could not be read, or changed meanwhile, that."""
        if sha256 is None and error == ChangedMedia.__name__:
            yield medium.media, UNSTEADY
        elif sha256 or not _trusted(self._setup.digests, medium):
            yield medium.media, _known(medium.file, sha256 or UNREAD)

    def note_rate(self) -> None:
        """Keep how long a frame took, if there was one."""
        if self._frames:
            seconds = (time.monotonic() - self._started) * max(1, self._setup.workers)
            rate = {"frames": self._frames, "worker_seconds": round(seconds, 3)}
            note_rate(self._setup.store, RATES, rate_key(self._setup), rate)


def rate_key(setup: Setup) -> str:
    """What a measured rate holds for."""
    detector = setup.recipe.detector
    runtime = "" if detector.runtime == "auto" else f"/{detector.runtime}"
    return f"{detector.kind}/{detector.size}/{setup.device}{runtime}"
