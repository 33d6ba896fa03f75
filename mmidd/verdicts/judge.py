"""Paths in, verdicts out: media are read in workers, crops of several media are scored together, each medium is done with,
and its pixels are let go of, before many more are read."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmidd.engine.local import Inline, Local, usable_cores
from mmidd.engine.units import Resources
from mmidd.scoring.crops import scores_of
from mmidd.scoring.model import Found, Model
from mmidd.verdicts.explained import Explained, explained
from mmidd.verdicts.faces import Crop, Faces, faces_of
from mmidd.verdicts.named import AllNamed, Named
from mmidd.verdicts.pages import Pages
from mmidd.verdicts.rates import Rates, Unmeasured
from mmidd.verdicts.region import Region, region
from mmidd.verdicts.result import Detected, Rows, Speed
from mmidd.verdicts.taking import Taking
from mmidd.verdicts.verdict import NO_FACE, Look, Track, Verdict, counted
from mmidd.watch import NOBODY, Watch

AT_ONCE = 256
"""Crops that are waited for before they are scored; a medium with more is scored at once."""
MOST_REGIONS = 3
"""Tracks of a medium of which the region is looked for, the most suspicious ones."""


@dataclass(frozen=True)
class Way:
    """With what is judged, how, and what is written. `out`: a folder of pages; `csv`: a file of rows; `region`: is it looked
    for what mattered? `asking`: the model, opened to explain, where it is asked for reasons."""

    model: Model
    named_model: str
    taking: Taking
    rates: Rates | Unmeasured
    out: Path | None = None
    csv: Path | None = None
    region: bool = False
    asking: Model | None = None
    workers: int | None = None


def judged(named: AllNamed, way: Way, watch: Watch = NOBODY) -> Detected:
    """Judge all media. Raises UsageError where `out` or `csv` is there already, WorkError, and what the model raises."""
    begun = time.monotonic()
    verdicts: dict[int, Verdict] = {}
    with ExitStack() as stack:
        pages = Pages.begin(way.out, way.named_model, way.rates) if way.out else None
        rows = stack.enter_context(Rows.begin(way.csv, way.rates)) if way.csv else None
        engine = _engine(way.workers, len(named.media))
        stack.callback(engine.close)
        watch.begin("detect", len(named.media), 0, "media")
        stack.callback(watch.end)
        skipped = [Verdict(each.shown, "unknown", "skipped", each.reason) for each in named.passed]
        for each in skipped if rows else ():
            rows.add(each)  # type: ignore[union-attr]
        for number, verdict in _verdicts(named.media, way, engine, pages):
            verdicts[number] = verdict
            if rows is not None:
                rows.add(verdict)
            watch.at(len(verdicts), verdict.state)
        ordered = (*(verdicts[number] for number in range(len(named.media))), *skipped)
        speed = Speed(
            time.monotonic() - begun, len(verdicts), sum(v.planned for v in ordered), sum(v.faces for v in ordered)
        )
        found = Detected(
            way.named_model, dict(way.model.about), way.rates, way.taking, ordered, dict(named.others), named.litter,
            named.twice, speed, way.out, way.csv,
        )  # fmt: skip
        if pages is not None:
            pages.index(found)
    return found


def _engine(workers: int | None, media: int) -> Local | Inline:
    several = min(usable_cores(), media) if workers is None else workers
    return Local(several, Resources()) if several else Inline()


@dataclass
class _Waiting:
    """Media whose crops are read and not yet scored."""

    media: list[Faces] = field(default_factory=list)
    crops: int = 0

    def add(self, found: Faces) -> bool:
        """Is it time to score them?"""
        self.media.append(found)
        self.crops += len(found.crops)
        return self.crops >= AT_ONCE

    def taken(self) -> list[Faces]:
        found, self.media, self.crops = self.media, [], 0
        return found


def _verdicts(
    media: Sequence[Named], way: Way, engine: Local | Inline, pages: Pages | None
) -> Iterator[tuple[int, Verdict]]:
    waiting = _Waiting()
    for found in faces_of(media, way.taking, engine):
        if not found.crops:
            yield found.number, _done(media[found.number], found, way, pages, (), (), ())
        elif waiting.add(found):
            yield from _scored(media, waiting.taken(), way, pages)
    yield from _scored(media, waiting.taken(), way, pages)


def _scored(
    media: Sequence[Named], several: Sequence[Faces], way: Way, pages: Pages | None
) -> Iterator[tuple[int, Verdict]]:
    crops = [(found.number, crop) for found in several for crop in found.crops]
    if not crops:
        return
    scores = scores_of(
        way.model, [crop.image for _, crop in crops], [(number, crop.track) for number, crop in crops],
        [crop.frame for _, crop in crops],
    )  # fmt: skip
    start = 0
    for found in several:
        mine = slice(start, start + len(found.crops))
        start = mine.stop
        types = None if scores.types is None else scores.types[mine]
        tracks = _tracks(found.crops, Found(scores.fake[mine], types))
        regions = _regions(way.model, found.crops, tracks) if way.region else ()
        said = _explained(way, found.crops, tracks) if way.asking is not None else ()
        yield found.number, _done(media[found.number], found, way, pages, tracks, regions, said)


def _tracks(crops: Sequence[Crop], found: Found) -> tuple[Track, ...]:
    looks: dict[int, list[Look]] = {}
    for place, crop in enumerate(crops):
        score = float(found.fake[place])
        known = math.isfinite(score)
        types = tuple(found.types[place].tolist()) if known and found.types is not None else None
        looks.setdefault(crop.track, []).append(Look(crop.frame, crop.timestamp, crop.box, score if known else None, types))
    return tuple(Track(number, tuple(sorted(each, key=lambda look: look.frame))) for number, each in sorted(looks.items()))


def _regions(model: Model, crops: Sequence[Crop], tracks: Sequence[Track]) -> tuple[Region, ...]:
    """Of the most suspicious tracks, the frame with the highest score; of a model of clips with those around it."""
    found = []
    for track in _suspicious(tracks):
        images = [crop.image for crop in crops if crop.track == track.number]
        best = max(range(len(images)), key=lambda at: _or_none(track.looks[at].score))
        size = model.look.frames
        first = max(0, min(best - size // 2, len(images) - size))
        found.append(region(model, images[first : first + size], track.number, track.looks[best].frame))
    return tuple(found)


def _explained(way: Way, crops: Sequence[Crop], tracks: Sequence[Track]) -> tuple[Explained, ...]:
    """Of the most suspicious tracks, what the model says of the frame with the highest score."""
    found = []
    for track in _suspicious(tracks):
        best = max(track.looks, key=lambda look: _or_none(look.score))
        crop = next(each for each in crops if (each.track, each.frame) == (track.number, best.frame))
        assert way.asking is not None
        found.append(explained(way.model, way.asking, crop, best.frame))
    return tuple(found)


def _suspicious(tracks: Sequence[Track]) -> list[Track]:
    scored = (each for each in tracks if each.score is not None)
    return sorted(scored, key=lambda each: -(each.score or 0.0))[:MOST_REGIONS]


def _or_none(score: float | None) -> float:
    return -1.0 if score is None else score


def _done(
    medium: Named,
    found: Faces,
    way: Way,
    pages: Pages | None,
    tracks: tuple[Track, ...],
    regions: tuple[Region, ...],
    said: tuple[Explained, ...],
) -> Verdict:
    unscored = sum(track.score is None for track in tracks)
    verdict = Verdict(
        medium.shown, medium.file.kind, "judged", None, tracks, found.planned, counted(found.reasons), found.sha256,
        found.crops[0].size if found.crops else None, found.fps, found.codec, _notes(medium, found, way, unscored),
        tuple(each.document() for each in regions), said,
    )  # fmt: skip
    if found.error is not None:
        verdict = replace(verdict, state="failed", reason=found.error)
    elif not tracks:
        lost = [why for _, status, why in found.reasons if status == "failed"]
        every = bool(lost) and len(lost) == found.planned
        verdict = replace(
            verdict, state="failed" if every else "no face", reason="no planned frame can be decoded" if every else NO_FACE
        )
    elif unscored == len(tracks):
        why = f"no track has {way.model.look.frames} frames in a row, which this model takes: nothing was judged"
        verdict = replace(verdict, state="failed", reason=why)
    return pages.add(verdict, found.crops, regions) if pages is not None else verdict


def _notes(medium: Named, found: Faces, way: Way, unscored: int) -> tuple[str, ...]:
    facts: dict[str, Any] = found.facts
    notes = list(medium.notes)
    if frames := facts.get("animated_frames"):
        notes.append(f"animated: the first of its {frames:,} pictures was judged, as a corpus takes it")
    if small := facts.get("small_tracks"):
        notes.append(f"{small:,} faces smaller than {way.taking.config.least_face} pixels were not judged, as in the corpus")
    for why, count in (facts.get("faces_lost") or {}).items():
        notes.append(f"{count:,} faces were not cut: {why.replace('_', ' ')}")
    for name, told in (
        ("bad_packets", "damaged packets"),
        ("frames_cut_off", "frames cut off"),
        ("missing_bytes", "bytes missing"),
    ):
        if facts.get(name):
            notes.append(f"{facts[name]:,} {told}")
    if unscored:
        notes.append(
            f"{unscored:,} faces are not in {way.model.look.frames} frames in a row, which this model takes: not judged"
        )
    return tuple(notes)
