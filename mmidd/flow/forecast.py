"""What a build will take: samples, disk, hours. Measured in this work folder where it can be, else assumed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmidd.engine import tables
from mmidd.engine.units import Item
from mmidd.faces.registry import DETECTORS
from mmidd.flow.digesting import rate_key
from mmidd.flow.notes import RATES, measured
from mmidd.flow.setup import Setup
from mmidd.flow.steps import Extracted
from mmidd.flow.walk import Walked

# Bytes that a pixel of a crop takes, and seconds that a core takes: assumed (from docs/performance.md's figures) until
# the work folder holds measurements of its own.
_BYTES_A_PIXEL = {"jpeg": 0.3, "png": 1.25, "webp": 0.8}
_CONTEXT_BYTES = 25_000
_ROW_BYTES = 600
_DECODE_SECONDS, _CUT_SECONDS = 0.6, 0.002
_DETECT_SECONDS = 0.03  # of a detector whose row does not say it
_CAPTION_SECONDS = 0.01


@dataclass(frozen=True)
class Space:
    """What a place will need and has, in bytes."""

    place: str
    needs: int
    free: int

    @property
    def fits(self) -> bool:
        return self.needs <= self.free


@dataclass(frozen=True)
class Forecast:
    """About how many samples there will be, what they take in the work folder and in the corpus, how many hours are to go,
    and where the hours' rate comes from."""

    samples: int
    work: Space
    corpus: Space
    hours: float
    basis: str


def forecast(setup: Setup, walked: Walked, crops: Extracted) -> Forecast:
    """Of everything that is to do."""
    selected, to_do = walked.index.selected, crops.to_do
    frames = sum(frames_of(setup, medium.dataset, medium.kind) for medium in selected.values())
    samples = round(frames * _faces_a_frame(crops))
    images, contexts = _sizes(setup, crops, samples, len(selected))
    fresh = sum(frames_of(setup, item.dataset, item.payload.file.kind) for item in to_do)
    share = fresh / frames if frames else 0.0
    seconds, basis = _seconds(setup, to_do)
    root, out = setup.store.root, setup.out or setup.store.root
    return Forecast(
        samples,
        Space(str(root), round((images + contexts) * share), _free(root)),
        Space(str(out), images + samples * _ROW_BYTES, _free(out)),
        seconds / 3600,
        basis,
    )


def frames_of(setup: Setup, dataset: str, kind: str) -> int:
    own = {entry.name: entry.frames for entry in setup.entries}
    return (own.get(dataset) or setup.recipe.frames.count) if kind != "image" else 1


def _faces_a_frame(extracted: Extracted) -> float:
    """Samples that a frame gave so far; 1 before anything was extracted."""
    rows = sum(record.counts.get("rows", 0) for record in extracted.records.values())
    frames = sum(extracted.outcomes[item.name].ok for unit in extracted.units for item in unit.items)
    return rows / frames if frames else 1.0


def _sizes(setup: Setup, extracted: Extracted, samples: int, media: int) -> tuple[int, int]:
    """Bytes of all crops and of all contexts: by what the committed units took, or else by the table above."""
    rows = sum(record.counts.get("rows", 0) for record in extracted.records.values())
    blobs = sum(record.files[tables.BLOBS]["bytes"] for record in extracted.records.values())
    if rows:
        contexts = min(blobs // 2, len(extracted.outcomes) * _CONTEXT_BYTES)
        return round((blobs - contexts) / rows * samples), round(contexts / rows * samples)
    pixels = setup.recipe.crop.size**2
    return round(samples * pixels * _BYTES_A_PIXEL[setup.recipe.image.format]), media * _CONTEXT_BYTES


def _seconds(setup: Setup, to_do: Sequence[Item]) -> tuple[float, str]:
    """Wall time of extraction and captioning, and where the figure comes from."""
    workers = max(1, setup.workers)
    frames = sum(frames_of(setup, item.dataset, item.payload.file.kind) for item in to_do)
    captions = _CAPTION_SECONDS * frames if setup.recipe.captioner.kind == "attributes" else 0.0
    rate = measured(setup.store, RATES, rate_key(setup), "worker_seconds", "frames")
    if rate is not None:
        seconds = rate[0] / rate[1] * frames
        return (seconds + captions) / workers, f"measured here over {rate[1]:.0f} frames"
    videos = sum(1 for item in to_do if item.payload.file.kind == "video")
    detector = DETECTORS.own(setup.recipe.detector.kind)
    per_frame = (detector.facts.seconds if detector else _DETECT_SECONDS) + _CUT_SECONDS
    seconds = videos * _DECODE_SECONDS + frames * per_frame
    return (seconds + captions) / workers, "assumed rates; a first build measures them"


def _free(place: Path) -> int:
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
