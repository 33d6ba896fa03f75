"""Extract: decode, choose frames, detect, choose the faces, align, encode. Frames never touch the disk.

Reals come first and leave a track record: their rows. A fake whose paired real has one takes its frames and its
geometry, if its own pixels do not deny it, so neither the detector nor its failures can tell real from fake. This stage
never sees a label; a manipulation mask is pixels: it says whom a fake and its real are about, and is cut with the fake.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import cv2
import numpy as np
import pyarrow as pa

from mmidd.engine.digests import UNREAD, DigestCache
from mmidd.engine.faults import fault
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.units import TASK_ITEMS, Item, Outcome, Resources, Result, Task, Unit, bucket, order_key
from mmidd.errors import ChangedMedia, EmptyMedia, MediaError, MmiddError, UnreadableMedia, check_memory
from mmidd.extraction.masks import MaskFile, MaskSource
from mmidd.extraction.medium import Way, medium_crops, planned_numbers
from mmidd.extraction.proof import Search
from mmidd.extraction.records import SCHEMA, Real, failure_of, outcome_of, row_of, track_of
from mmidd.extraction.sample import ExtractConfig, TrackRecord
from mmidd.faces.choose import detector_identity, make_detector
from mmidd.faces.detector import Detector, DetectorConfig, Device
from mmidd.faces.encode import ImageConfig
from mmidd.media import Name, SampleFacts
from mmidd.raw.archives import is_sequential
from mmidd.raw.bytes import MediaBytes, MediaFile, lies_instead, open_all, open_one
from mmidd.raw.path import Place, RemotePath
from mmidd.raw.store import PATIENCE_S
from mmidd.video import backend_identity, still_identity

if TYPE_CHECKING:  # workers start without the manifests' and recipes' code
    from mmidd.media import FaceMode, Kind, Turn
    from mmidd.recipe import Recipe

STAGE_VERSION = 4
WHOLE = ("keep", "whole")
SEQUENTIAL_CLIPS = 16
"""Clips of one compressed tar that a task takes: they share one pass over it."""
_SLOWEST = 1e6
"""Bytes a second of a slow object store."""


def config(recipe: Recipe, models: Mapping[str, str] | None = None) -> ExtractConfig:
    """Take from the recipe what this stage reads, and nothing else. `models` are the weights that its ingredients name: the
    detector is made of no others.

    Only the largest face may be looked for in a smaller working frame: other policies have to see the others too.
    """
    detector = replace(recipe.detector.config(), pinned=tuple(sorted((models or {}).items())))
    return ExtractConfig(
        recipe.frames.spacing,
        recipe.crop.size,
        recipe.crop.margin,
        recipe.crop.template,
        recipe.crop.border,
        recipe.crop.choice,
        recipe.crop.least_face,
        ImageConfig(**recipe.image.model_dump()),
        detector if recipe.crop.choice == "largest" else replace(detector, enough=0),
        recipe.decoder,
    )


def ingredients(recipe: Recipe, device: Device) -> dict[str, Any]:
    """What shapes the bytes of every crop, the media aside."""
    part = recipe.model_dump(mode="json", include={"crop", "image", "detector", "decoder", "frames"})
    part["frames"].pop("count")  # how many is an input of each medium: a dataset may set its own
    part["crop"].pop("pairs")  # likewise: whose geometry a medium takes is among its inputs
    for name in ("pack", "runtime"):  # where its models lie and what computes them; both are in the identity
        part["detector"].pop(name, None)
    chosen = config(recipe)
    identity = detector_identity(chosen.detector, device)
    libraries = {
        **identity.libraries,
        **backend_identity(recipe.decoder),
        **still_identity(),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }
    return _ingredients(STAGE, part, libraries=libraries, models=dict(identity.weights), device=device)


def licence_note(recipe: Recipe) -> str | None:
    """What users are to be told of the licence of the detector's weights."""
    return detector_identity(config(recipe).detector).licence_note


@dataclass(frozen=True, slots=True)
class Selected:
    """A medium that will be extracted, with what the later stages need of it.

    `mask` says whom it is about: its own, or that of a fake of it. `turn`: what its rule says of how it lies.
    """

    dataset: str
    media: str
    file: MediaFile
    label: Literal["real", "fake"]
    method: str | None
    pair_dataset: str | None
    pair_media: str | None
    aligned: bool
    faces: FaceMode = "detect"
    mask: MaskFile | None = None
    turn: Turn = 0

    @property
    def name(self) -> Name:
        return self.dataset, self.media

    @property
    def kind(self) -> Kind:
        return self.file.kind

    @property
    def pair_name(self) -> Name:
        """The medium it was made from; itself where there is none."""
        return (self.pair_dataset or self.dataset, self.pair_media) if self.pair_media else self.name


class Followed(NamedTuple):
    """A real that fakes follow: where its rows and their blobs lie, and how it ended."""

    rows: Path
    blobs: Path
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ExtractPayload:
    """What extracting one medium needs. `basis` names whose geometry it takes: its own, or a track record's digest. `led`:
    others are checked against it. `shared`: where there is a real, the medium takes its geometry.
    """

    file: MediaFile
    frames: int
    real: Real | None
    basis: str
    faces: FaceMode = "detect"
    mask: MaskFile | None = None
    led: bool = False
    shared: bool = True
    turn: Turn = 0

    def inputs(self, sha256: str, mask_sha256: str = UNREAD) -> tuple[str, ...]:
        mode = () if self.faces == "detect" else (f"faces: {self.faces}",)
        inside = self.file.inside
        where = () if inside is None else (f"{inside.axes} in {inside.path}",)
        role = "mask" if self.mask and self.mask.own else "mask of a fake"
        if self.mask and self.mask.file.archive and is_sequential(self.mask.file.archive.name):
            role += ", out of its tar"  # whose masks were lost before: what was extracted without them is not up to date
        mask = () if self.mask is None else (f"{role}: {mask_sha256}",)
        led = (("followed",) if self.led else ()) + (() if self.shared else ("own geometry",))
        turn = (f"turn: {self.turn}",) if self.turn else ()
        return sha256, f"{self.frames} frames", self.basis, *mode, *where, *mask, *led, *turn


def follows(medium: Selected, selected: Mapping[Name, Selected], recipe: Recipe) -> Name | None:
    """The real that a medium is checked against, and whose geometry it takes unless the recipe has every clip take its own:
    its pair, if they are aligned and the pair is extracted too."""
    pair = medium.pair_name
    if medium.label == "real" or not medium.aligned or pair not in selected:
        return None
    real = selected[pair]
    alike = real.kind == medium.kind and (real.faces in WHOLE) == (medium.faces in WHOLE)
    return pair if real.label == "real" and alike else None


def plan(
    media: Iterable[Selected],
    recipe: Recipe,
    digests: DigestCache,
    reals: Mapping[Name, Followed],
    pairs: Mapping[Name, Name],
    led: Collection[Name] = (),
) -> list[Unit]:
    """The units of one level. `pairs` names the real that a medium follows; `reals` says where its rows lie; `led` are the
    media that others follow.

    Fakes lie in the order of their reals: a worker then reads the rows of few units of reals, and not of one a fake.
    """
    own = {entry.name: entry.frames for entry in recipe.datasets}
    groups: dict[tuple[str, str, str, str], list[Item]] = {}
    for medium in media:
        frames = (own.get(medium.dataset) or recipe.frames.count) if medium.kind != "image" else 1
        level = "paired" if medium.name in pairs else "first"
        real = reals.get(pairs.get(medium.name, medium.name))
        item = _item(medium, frames, digests, real, medium.name in led, recipe.crop.pairs == "shared")
        archive = medium.file.archive
        tar = archive.name if archive and is_sequential(archive.name) else ""
        groups.setdefault((medium.dataset, level, medium.kind, tar), []).append(item)
    units = []
    for (dataset, level, kind, tar), items in sorted(groups.items()):
        place = f"-{order_key(dataset, tar)}" if tar else ""
        per_task = TASK_ITEMS if kind == "image" else SEQUENTIAL_CLIPS if tar else 1
        units += bucket(f"{dataset}/{level}-{kind}{place}", items, per_task=per_task, together=bool(tar), beside=pairs)
    return units


def _item(medium: Selected, frames: int, digests: DigestCache, real: Followed | None, led: bool, shared: bool) -> Item:
    followed, basis = None, "own"
    if real is not None and real.outcome.ok:
        outcome = real.outcome
        followed = Real(
            real.rows, real.blobs, outcome.dataset, outcome.media, tuple(cast(SampleFacts, outcome.facts)["frames"])
        )
        basis = outcome.rows_digest
    file = medium.file
    alike = shared or followed is None
    payload = ExtractPayload(file, frames, followed, basis, medium.faces, medium.mask, led, alike, medium.turn)
    sha256 = digests.fresh(medium.dataset, medium.media, file.bytes, file.mtime_ns)
    mask, marked = medium.mask, UNREAD
    if mask is not None:
        marked = digests.fresh(mask.dataset, mask.media, mask.file.bytes, mask.file.mtime_ns) or ""
    inputs = payload.inputs(sha256, marked) if sha256 and marked else None
    return Item(medium.dataset, medium.media, inputs, payload, file.bytes)


def fetching(task: Task) -> float:
    """Seconds that an object store is given to hand out a task's media, beside the time that its work may take: that a
    store is slow, or hangs, is no medium's fault."""
    media: list[MediaFile] = [item.payload.file for item in task.items if isinstance(item.payload.file.root, RemotePath)]
    if not media:
        return 0.0
    objects = sum(max(1, len(medium.parts)) for medium in media)
    tars = {medium.archive.name: medium.archive.bytes for medium in media if medium.archive}
    passed = sum(size for name, size in tars.items() if is_sequential(name))
    return PATIENCE_S + objects + (passed + sum(medium.bytes for medium in media)) / _SLOWEST


def identify(item: Item) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Inputs and facts of a medium that nobody could process: its digest, taken here."""
    try:
        ((_, source),) = open_all([(item, item.payload.file)], lambda item: frozenset())
        sha256 = source.sha256()
        marked = _mask(item.payload)[1]
    except (OSError, MediaError):
        return item.payload.inputs(UNREAD), {}
    return item.payload.inputs(sha256, marked), _digests(sha256, marked)


def _mask(payload: ExtractPayload) -> tuple[MaskSource | None, str]:
    """The medium's mask and its digest; a mask that cannot be read costs the medium its mask, not its samples. Raises
    ChangedMedia."""
    if payload.mask is None:
        return None, UNREAD
    mask, source = payload.mask, open_one(payload.mask.file)
    try:
        return MaskSource(mask, source), source.sha256()
    except ChangedMedia:
        raise
    except MediaError:
        return MaskSource(mask, None), UNREAD


def _digests(sha256: str, mask_sha256: str) -> dict[str, Any]:
    """The digests that were taken, as facts."""
    taken = {"sha256": sha256, "mask_sha256": mask_sha256}
    return {name: value for name, value in taken.items() if value != UNREAD}


def run(task: Task, config: ExtractConfig, resources: Resources) -> Result:
    """Turn each medium of the task into crops. A medium that cannot be used is a failed outcome with its reason."""
    made: dict[Name, tuple[list[dict[str, Any]], Outcome]] = {}
    media = [(item, item.payload.file) for item in task.items]
    for item, source in open_all(media, lambda item: _needed(item.payload, config)):
        made[item.name] = _extract(item, source, config, _looking(item.payload, config, resources.device))
    rows = [row for item in task.items for row in made[item.name][0]]
    return Result(pa.Table.from_pylist(rows, SCHEMA), tuple(made[item.name][1] for item in task.items))


def _needed(payload: ExtractPayload, config: ExtractConfig) -> frozenset[int] | None:
    """The frames of a clip that may be asked for: its real's, and its own if it does not fit its real."""
    if payload.file.kind != "frames":
        return None
    numbers = payload.file.numbers
    real = payload.real.planned if payload.real else ()
    return frozenset((*real, *planned_numbers(numbers, payload.frames, config, None)))


def _followed(payload: ExtractPayload) -> TrackRecord | None:
    return track_of(payload.real) if payload.real else None


def _looking(payload: ExtractPayload, config: ExtractConfig, device: Device) -> Detector:
    """The detector of a medium: whom a mask points at may be smaller than a large face that would be enough."""
    return _detector(config.detector if payload.mask is None else replace(config.detector, enough=0), device)


@lru_cache(maxsize=2)
def _detector(config: DetectorConfig, device: Device) -> Detector:
    return make_detector(config, device)


def _extract(
    item: Item, source: MediaBytes, config: ExtractConfig, detector: Detector
) -> tuple[list[dict[str, Any]], Outcome]:
    payload: ExtractPayload = item.payload
    sha256 = marked = UNREAD
    mask = None
    try:
        sha256 = source.sha256()
        if payload.file.bytes == 0:
            raise EmptyMedia("the file has no bytes")
        mask, marked = _mask(payload)
        fault("decode", item.media)
        real = _followed(payload)
        track, search = (real, None) if payload.shared or real is None else (None, Search(real, "unchecked"))
        way = Way(config, detector, payload.faces, track, mask, payload.led, search, payload.turn)
        crops = medium_crops(payload.file, source, payload.frames, way)
        if (_steady(source, sha256), _steady(mask, marked)) != (sha256, marked):
            raise ChangedMedia
    except (MmiddError, MemoryError):
        raise
    except Exception as error:  # recorded: one medium's fault must not take its neighbours along
        check_memory(error)
        _check_root(payload.file.path)
        why, still = error, (_steady(source, sha256), _steady(mask, marked))
        if still != (sha256, marked):  # whatever came of it, that is why
            why, (sha256, marked) = ChangedMedia(), still
        elif isinstance(why, ChangedMedia):  # it was noticed by the bytes
            sha256 = UNREAD
        elif type(why) is UnreadableMedia:
            why = UnreadableMedia(lies_instead(payload.file, source) or str(why))
        return [], failure_of(item, payload.inputs(sha256, marked), _digests(sha256, marked), why)
    rows = [row_of(item, sha256, sample, crops) for sample in crops.samples]
    return rows, outcome_of(item, payload.inputs(sha256, marked), crops, rows, _digests(sha256, marked))


def _steady(source: MediaBytes | MaskSource | None, sha256: str) -> str:
    """The digest, where that is still what lies there; UNREAD where that changed."""
    try:
        if source is not None:
            source.check()
    except ChangedMedia:
        return UNREAD
    return sha256


def _check_root(path: Place) -> None:
    """A disk that went away is nobody's medium's fault. (An object store that does has raised MmiddError already.)"""
    if isinstance(path, RemotePath):
        return
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if folder != path.parent and not os.access(path.parent, os.F_OK):
        raise MmiddError(f"{path.parent} is gone; is the disk still mounted? Run the same command to go on.")


STAGE = Stage("extract", STAGE_VERSION, run, SCHEMA, blobs=("image", "context", "mask", "view"), identify=identify)
