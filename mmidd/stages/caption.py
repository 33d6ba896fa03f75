"""Caption: describe the face and its surroundings from pixels alone, knowing neither label nor name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa

from mmidd.captions.choose import CaptionerConfig, captioner_identity, make_captioner
from mmidd.captions.protocol import OK, SHARED, Asked, Caption, Captioner, CaptionRequest
from mmidd.captions.registry import CAPTIONERS, CaptionerFacts
from mmidd.engine.faults import fault
from mmidd.engine.run import Stage
from mmidd.engine.run import ingredients as _ingredients
from mmidd.engine.tables import BlobReader, read_sound, sound
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit
from mmidd.faces.align import apply, padded
from mmidd.faces.encode import decode
from mmidd.media import Name
from mmidd.recipe import Recipe

STAGE_VERSION = 3
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("media", pa.string()),
        ("frame", pa.int32()),
        ("face", pa.int32()),
        ("face_caption", pa.string()),
        ("environment_caption", pa.string()),
        ("captioner", pa.string()),
        ("caption_status", pa.string()),
    ]
)
_READ = (
    "dataset", "media", "frame", "face", "box", "landmarks", "transform", "width", "height", "padding",
    "image_at", "image_bytes", "context_at", "context_bytes",
)  # fmt: skip


@dataclass(frozen=True)
class CaptionPayload:
    """Where a medium's committed crops lie."""

    rows: Path
    blobs: Path


@dataclass(frozen=True)
class CropUnit:
    """A committed unit of extraction, as captioning sees it: its files, its tasks' media, and their rows' digests."""

    unit: str
    rows: Path
    blobs: Path
    tasks: tuple[tuple[Outcome, ...], ...]


def config(recipe: Recipe) -> CaptionerConfig:
    """Take from the recipe what this stage reads."""
    return CaptionerConfig(**recipe.captioner.model_dump())


def ingredients(recipe: Recipe, device: str) -> dict[str, Any]:
    """What shapes the text of every caption, the crops aside; not where a server is, nor how much it is asked at once."""
    part = {key: value for key, value in recipe.published()["captioner"].items() if key not in _NOT_IN_WORDS}
    return _ingredients(STAGE, {"captioner": part}, libraries=captioner_identity(config(recipe)), device=device)


_NOT_IN_WORDS = ("concurrency", "timeout", "device")


def facts_of(kind: str) -> CaptionerFacts:
    """What is to be known of a captioner."""
    row = CAPTIONERS.own(kind)
    return row.facts if row is not None else CaptionerFacts()


def plan(extracted: Iterable[CropUnit], *, together: bool = False) -> list[Unit]:
    """One unit for each unit of crops, with the same tasks; media without a sample have nothing to describe.

    A model is given tasks as they are (`together`): it fills its batches, and its journal keeps what it said.
    """
    units = []
    for crops in extracted:
        payload = CaptionPayload(crops.rows, crops.blobs)
        items = [
            tuple(Item(done.dataset, done.media, (done.rows_digest,), payload) for done in task if done.ok)
            for task in crops.tasks
        ]
        tasks = tuple(Task(task, together) for task in items if task)
        if tasks:
            units.append(Unit(crops.unit, tasks))
    return units


def run(task: Task, config: CaptionerConfig, resources: Resources) -> Result:
    """Describe the samples of the task's media. Captions that do not come out are null with their status."""
    captioner = _captioner(config)
    samples = [
        sample
        for item in task.items
        for sample in _samples(item.payload, _rows(item.payload.rows).get(item.name, ()), config)
    ]
    fault("caption")
    asked = [sample for sample in samples if sample.asked]
    captions: dict[SampleName, Caption] = {}
    for start in range(0, len(asked), captioner.batch):
        chunk = asked[start : start + captioner.batch]
        described = captioner.caption([sample.request() for sample in chunk])
        captions |= {sample.place: caption for sample, caption in zip(chunk, described, strict=True)}
    rows = [_caption_row(sample, captions, captioner.name) for sample in samples]
    return Result(pa.Table.from_pylist(rows, SCHEMA), tuple(_outcome(item, rows, captions) for item in task.items))


_held: dict[CaptionerConfig, Captioner] = {}
_lock = Lock()


def _captioner(config: CaptionerConfig) -> Captioner:
    """One captioner a process, whatever the threads; it stays until `release`."""
    with _lock:
        if config not in _held:
            _release()
            captioner = make_captioner(config)
            if captioner is None:
                raise ValueError("captioner 'none' has no work; its stage is not run")
            _held[config] = captioner
        return _held[config]


def release() -> None:
    """Let go of this process's captioner: its model, connections and journal."""
    with _lock:
        _release()


def _release() -> None:
    while _held:
        _held.popitem()[1].close()


SampleName = tuple[str, str, int, int]


@dataclass(frozen=True)
class _Sample:
    """A row to describe. `context`: the row of its clip that has one, and the box of its face there. `face_of` and
    `environment_of` say, in order, whose captions may serve."""

    row: Mapping[str, Any]
    blobs: Path
    context: Mapping[str, Any] | None
    context_box: Sequence[float] | None
    face_of: SampleName
    environment_of: tuple[SampleName, ...]

    @property
    def place(self) -> SampleName:
        return _place(self.row)

    @property
    def asked(self) -> bool:
        return self.face_of == self.place

    def request(self) -> CaptionRequest:
        return _request(self, _blobs(self.blobs))


def _place(row: Mapping[str, Any]) -> SampleName:
    return row["dataset"], row["media"], row["frame"], row["face"]


def _samples(payload: CaptionPayload, rows: Sequence[Mapping[str, Any]], config: CaptionerConfig) -> Iterator[_Sample]:
    """A medium's samples. Of each face every n-th frame is described; the frames up to the next take its face caption,
    and the whole clip the first environment caption that came out. The clip's one context is shown with every frame: else
    the frame that has it would be described unlike the others, and clips unlike images."""
    shown = next((row for row in rows if row["context_at"] is not None), None)
    boxes = {row["face"]: row["box"] for row in rows if shown is not None and row["frame"] == shown["frame"]}
    faces: dict[int, list[SampleName]] = {}
    for place in sorted(map(_place, rows)):
        faces.setdefault(place[3], []).append(place)
    numbers = {place: number for clip in faces.values() for number, place in enumerate(clip)}
    for row in rows:
        clip, number = faces[row["face"]], numbers[_place(row)]
        of = clip[number - number % config.every]
        environments = tuple(clip[:: config.every]) if config.every > 1 else (of,)
        yield _Sample(row, payload.blobs, shown, boxes.get(row["face"]), of, environments)


def _rows(path: Path) -> Mapping[Name, list[dict[str, Any]]]:
    with _lock:  # threads wait for the one that reads
        return _read_rows(path)


@lru_cache(maxsize=4)
def _read_rows(path: Path) -> Mapping[Name, list[dict[str, Any]]]:
    found: dict[Name, list[dict[str, Any]]] = {}
    for row in read_sound(path, list(_READ)).to_pylist():
        found.setdefault((row["dataset"], row["media"]), []).append(row)
    return found


def _blobs(path: Path) -> BlobReader:
    with _lock:
        return _open_blobs(path)


@lru_cache(maxsize=4)
def _open_blobs(path: Path) -> BlobReader:
    return BlobReader(sound(path))


def _request(sample: _Sample, blobs: BlobReader) -> CaptionRequest:
    row, shown = sample.row, sample.context
    crop = decode(blobs.read(row["image_at"], row["image_bytes"]) or b"")
    landmarks = padding = context = context_box = None
    if row["landmarks"] is not None:
        transform = np.array(row["transform"], np.float32).reshape(2, 3)
        landmarks = apply(transform, row["landmarks"]).astype(np.float32)
        padding = padded(transform, row["width"], row["height"], size=len(crop)) if row["padding"] else None
    if shown is not None:
        context = decode(blobs.read(shown["context_at"], shown["context_bytes"]) or b"")
        if sample.context_box is not None:
            scale = np.array(context.shape[1::-1]) / (shown["width"], shown["height"])
            context_box = (np.array(sample.context_box) * np.tile(scale, 2)).astype(np.float32)
    box = np.array(row["box"], np.float32) if row["box"] is not None else None
    return CaptionRequest(crop, context, landmarks, box, (row["width"], row["height"]), context_box, padding)


def _caption_row(sample: _Sample, captions: Mapping[SampleName, Caption], name: str) -> dict[str, Any]:
    row, face = sample.row, captions[sample.face_of]
    environment = next((text for of in sample.environment_of if (text := captions[of].environment) is not None), None)
    status = SHARED if face.status == OK and not sample.asked else face.status
    return {
        **{key: row[key] for key in ("dataset", "media", "frame", "face")},
        "face_caption": face.face,
        "environment_caption": environment if face.status == OK else None,
        "captioner": name,
        "caption_status": status,
    }


def _outcome(item: Item, rows: Iterable[Mapping[str, Any]], captions: Mapping[SampleName, Caption]) -> Outcome:
    mine = [row for row in rows if (row["dataset"], row["media"]) == item.name]
    missed = tuple(
        (row["frame"], "failed", row["caption_status"]) for row in mine if row["caption_status"] not in (OK, SHARED)
    )
    return Outcome(
        item.dataset,
        item.media,
        "failed" if missed else "ok",
        item.inputs or (),
        error="CaptionFailed" if missed else None,
        message=f"{len(missed)} of {len(mine)} captions did not come out" if missed else None,
        planned=len(mine),
        ok=len(mine) - len(missed),
        failed=len(missed),
        reasons=missed,
        facts=_facts([caption.asked for place, caption in captions.items() if place[:2] == item.name]),
    )


def _facts(asked: Sequence[Asked]) -> dict[str, Any]:
    """What the captions took, if a model gave them: replies, tokens, and faults of replies, counted."""
    replies = sum(each.replies for each in asked)
    if not replies:
        return {}
    return {
        "replies": replies,
        "prompt_tokens": sum(each.prompt_tokens for each in asked),
        "completion_tokens": sum(each.completion_tokens for each in asked),
        "faults": dict(Counter(fault for each in asked for fault in each.faults)),
    }


STAGE = Stage("caption", STAGE_VERSION, run, SCHEMA)
