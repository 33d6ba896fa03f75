"""What a build would do, before any work: what is up to date, stale and why, missing; what disk and time it takes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmidd.corpus.target import read_manifest
from mmidd.curation.losses import Losses
from mmidd.engine import tables
from mmidd.engine.run import Previous, Stage, survey
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Item, Outcome, Unit
from mmidd.errors import WorkError
from mmidd.faces.registry import DETECTORS
from mmidd.flow.captioning import Estimate, estimate
from mmidd.flow.losses import losses
from mmidd.flow.steps import (
    RATES,
    Extracted,
    Indexed,
    caption_units,
    curate_unit,
    index_all,
    pair_levels,
    rate_key,
    track_records,
)
from mmidd.project import Site
from mmidd.raw.path import RemotePath
from mmidd.stages import caption, curate, extract

# Bytes that a pixel of a crop takes, and seconds that a core takes: assumed (from docs/performance.md's figures) until
# the work folder holds measurements of its own.
_BYTES_A_PIXEL = {"jpeg": 0.3, "png": 1.25, "webp": 0.8}
_CONTEXT_BYTES = 25_000
_DECODE_SECONDS, _CUT_SECONDS = 0.6, 0.002
_DETECT_SECONDS = 0.03  # of a detector whose row does not say it
_CAPTION_SECONDS = 0.01


@dataclass(frozen=True)
class StagePlan:
    """One stage: how many of its items (media; datasets for index) are up to date, and why the others are not."""

    stage: str
    up_to_date: int
    to_do: int
    why: Mapping[str, int] = field(default_factory=dict)
    waits_for: str | None = None


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
class Plan:
    """What a build would do."""

    stages: tuple[StagePlan, ...]
    absent: tuple[str, ...]
    not_taken: Mapping[str, int]
    samples: int
    work: Space
    corpus: Space
    hours: float
    basis: str
    captions: Estimate | None = None
    to_fetch: int = 0
    """Bytes of the media that would be extracted, where they lie in an object store; of archives their members'."""

    @property
    def complete(self) -> bool:
        return not any(stage.to_do or stage.waits_for for stage in self.stages)


def plan(site: Site, indexed: Indexed, out: Path) -> Plan:
    """Look at everything, change nothing. `indexed` comes from `index_all(run=False)`."""
    extraction, extracted, to_do = _plan_extract(site, indexed)
    later, undescribed = _plan_later(site, indexed, extracted) if not to_do else _waiting(site, indexed)
    frames = sum(_frames(site, medium.dataset, medium.kind) for medium in indexed.selected.values())
    samples = round(frames * _faces_a_frame(extracted))
    images, contexts = _sizes(site, extracted, samples, len(indexed.selected))
    fresh = sum(_frames(site, item.dataset, item.payload.file.kind) for item in to_do)
    share = fresh / frames if frames else 0.0
    seconds, basis = _seconds(site, to_do)
    return Plan(
        (_plan_index(indexed), extraction, *later),
        indexed.absent,
        dict(Counter(indexed.dropped.values())),
        samples,
        Space(str(site.store.root), round((images + contexts) * share), _free(site.store.root)),
        Space(str(out), images + samples * 600, _free(out)),
        seconds / 3600,
        basis,
        estimate(site, undescribed),
        sum(item.payload.file.bytes for item in to_do) if isinstance(site.data, RemotePath) else 0,
    )


@dataclass(frozen=True)
class Status:
    """How far the last build is, how the media ended that are committed, and what extraction lost of real and fake."""

    plan: Plan
    media: Mapping[str, int]
    reasons: Mapping[str, int]
    losses: Losses
    pairs: str
    corpus: str
    samples: int | None


def status(site: Site) -> Status:
    """Look at the work folder and the corpus as they are now."""
    out = site.out or site.store.root
    indexed = index_all(site, run=False)
    extracted = _plan_extract(site, indexed)[1]
    media = Counter[str](outcome.status for outcome in extracted.outcomes.values())
    reasons = Counter(o.reason or o.error or "" for o in extracted.outcomes.values() if o.status != "ok")
    about = read_manifest(out)
    samples = sum(file.get("rows", 0) for file in about["files"].values()) if about else None
    lost = losses(indexed, extracted.outcomes)
    return Status(plan(site, indexed, out), dict(media), dict(reasons), lost, site.recipe.crop.pairs, str(out), samples)


@dataclass(frozen=True)
class Failure:
    """One thing that failed: which file, in which stage, how."""

    stage: str
    dataset: str
    media: str
    error: str
    message: str
    attempts: int


def failures(site: Site) -> list[Failure]:
    """Everything that failed in the last build, and every file that no rule covers."""
    indexed = index_all(site, run=False)
    found = [
        Failure("index", row["dataset"], row["media"], row["status"].capitalize(), row["reason"] or "", 1)
        for row in indexed.of_status("unmatched", "refused")
    ]
    extracted = _plan_extract(site, indexed)[1]
    outcomes = [("extract", outcome) for outcome in extracted.outcomes.values()]
    if site.recipe.captioner.kind != "none":
        base = caption.ingredients(site.recipe, site.device)
        done = survey(caption.STAGE, base, caption_units(site, extracted), site.store).done
        outcomes += [("caption", o) for record in done.values() for o in tables.read_outcomes(site.store, record)]
    for stage, outcome in outcomes:
        if outcome.status == "failed" or outcome.failed:
            kinds = sorted({reason for _, status, reason in outcome.reasons if status == "failed"})
            lost = f"{outcome.failed} of {outcome.planned} frames: {', '.join(kinds)}"
            found.append(
                Failure(
                    stage, outcome.dataset, outcome.media, outcome.error or "LostFrames", outcome.message or lost,
                    outcome.attempts,
                )
            )  # fmt: skip
    return sorted(found, key=lambda failure: (failure.stage, failure.dataset, failure.media))


def committed(site: Site, indexed: Indexed) -> Extracted:
    """The units of extraction that are up to date."""
    return _plan_extract(site, indexed)[1]


def check_retry(site: Site) -> list[Failure]:
    """What a retry will do again. Raises WorkError if a build would do anything beside: a retry does nothing else."""
    indexed = index_all(site, run=False)
    found = [failure for failure in failures(site) if failure.stage != "index"]
    failed = {(failure.dataset, failure.media) for failure in found} | _failed_once(site.store)
    pairs = pair_levels(site.recipe, indexed.selected)
    _, extracted, waiting = _plan_extract(site, indexed)
    others = {"extract": sum(item.name not in failed and pairs.get(item.name) not in failed for item in waiting)}
    if not waiting:
        later, _ = _plan_later(site, indexed, extracted)
        others |= {stage.stage: stage.to_do for stage in later if stage.stage == "caption"}
    told = ", ".join(f"{count} media to {stage}" for stage, count in others.items() if count)
    if told:
        raise WorkError(f"the work folder is not up to date ({told}): run the build first; --retry does failed media only")
    return found


def _failed_once(store: Store) -> set[tuple[str, str]]:
    """The media that some extraction failed on, whatever their files are now: mended ones are not in today's failures."""
    records = store.records(extract.STAGE.name)
    outcomes = (outcome for record in records for outcome in tables.read_outcomes(store, record))
    return {(outcome.dataset, outcome.media) for outcome in outcomes if outcome.status == "failed"}


def _plan_index(indexed: Indexed) -> StagePlan:
    fresh = len(indexed.fresh)
    why = {"new, or its files or label files changed": fresh} if fresh else {}
    return StagePlan("index", len(indexed.datasets) - fresh, fresh, why)


def _plan_extract(site: Site, indexed: Indexed) -> tuple[StagePlan, Extracted, list[Item]]:
    """Both levels. A fake whose real is yet to be extracted is to do as well: it waits for its geometry."""
    base = extract.ingredients(site.recipe, site.device)
    pairs = pair_levels(site.recipe, indexed.selected)
    first = [medium for medium in indexed.selected.values() if medium.name not in pairs]
    units = extract.plan(first, site.recipe, site.digests, {}, {})
    found = survey(extract.STAGE, base, units, site.store)
    done = _committed(site.store, units, found.done)
    before = Previous.load(extract.STAGE, base, site.store, found.missing, found)
    reals = track_records(site.store, done, set(pairs.values())) | _unmoved(site.store, before, found.missing)
    paired = [medium for medium in indexed.selected.values() if medium.name in pairs]
    later = extract.plan(paired, site.recipe, site.digests, reals, pairs)
    more = survey(extract.STAGE, base, later, site.store)
    missing = [*found.missing, *more.missing]
    done_later = _committed(site.store, later, more.done)
    previous = Previous.load(extract.STAGE, base, site.store, missing, found, more)
    to_do = [item for unit in missing for item in unit.items if previous.find(item) is None]
    to_do += [item for unit in later if unit not in more.missing for item in unit.items if pairs[item.name] not in reals]
    changes = _all_changes(site.store, extract.STAGE, base, to_do)
    why = Counter(_why(site, changes[item.dataset], item, pairs, reals) for item in to_do)
    extracted = Extracted(
        (*done.units, *done_later.units),
        {**done.records, **done_later.records},
        {**_remembered(previous, missing), **done.outcomes, **done_later.outcomes},
    )
    return StagePlan("extract", len(indexed.selected) - len(to_do), len(to_do), dict(why)), extracted, to_do


def _unmoved(store: Store, previous: Previous, missing: Iterable[Unit]) -> dict[tuple[str, str], tuple[Path, Outcome]]:
    """The track records of media whose unit is to do only because of a neighbour: a build takes them over as they are."""
    places = {item.name: previous.find(item) for unit in missing for item in unit.items}
    return {name: (store.path(place[0], tables.ROWS), place[1]) for name, place in places.items() if place is not None}


def _committed(store: Store, units: Sequence[Unit], records: Mapping[str, Record]) -> Extracted:
    kept = tuple(unit for unit in units if unit.name in records)
    outcomes: dict[tuple[str, str], Outcome] = {}
    for unit in kept:
        outcomes.update({(o.dataset, o.media): o for o in tables.read_outcomes(store, records[unit.name])})
    return Extracted(kept, records, outcomes)


def _remembered(previous: Previous, missing: Iterable[Unit]) -> dict[tuple[str, str], Outcome]:
    """How media ended whose unit is to do only because of a neighbour."""
    places = {item.name: previous.find(item) for unit in missing for item in unit.items}
    return {name: place[1] for name, place in places.items() if place is not None}


def _why(site: Site, changes: str | None, item: Item, pairs: Mapping[Any, Any], reals: Any) -> str:
    if changes:
        return f"stale: {changes}"
    known = site.digests.last(*item.name)
    if known is None:
        return "missing: never extracted"
    if item.inputs is None:
        return "stale: the file changed (or was touched)"
    if item.name in pairs and pairs[item.name] not in reals:
        return "stale: its real is to be extracted first"
    return "missing: its last extraction was not committed, or its content, frames or real changed"


def _all_changes(store: Store, stage: Stage, base: dict[str, Any], items: Iterable[Item]) -> dict[str, str | None]:
    """`_changes` of each dataset that has items: all records are read for one."""
    return {dataset: _changes(store, stage, base, dataset) for dataset in {item.dataset for item in items}}


def _changes(store: Store, stage: Stage, base: dict[str, Any], dataset: str) -> str | None:
    """How the ingredients differ from those of the dataset's newest units, if none was made with these."""
    nearest: list[str] | None = None
    for record in store.records(stage.name):
        if record.unit.split("/")[0] != dataset:
            continue
        differences = list(differing(record.ingredients, base))
        if not differences:
            return None
        if nearest is None or len(differences) < len(nearest):
            nearest = differences
    return "; ".join(nearest[:4]) if nearest else None


def differing(before: Any, after: Any, path: str = "") -> Iterable[str]:
    """The leaves in which two trees of ingredients differ, as `crop.margin 1.3 -> 1.2`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            place = f"{path}.{key}" if path and path != "recipe" else key
            yield from differing(before.get(key), after.get(key), place)
    elif before != after:
        yield f"{path} {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


def _plan_later(site: Site, indexed: Indexed, extracted: Extracted) -> tuple[tuple[StagePlan, ...], list[int]]:
    """The stages after extraction, and how many samples each medium has that is to be described."""
    plans, undescribed = [], []
    if site.recipe.captioner.kind != "none":
        base = caption.ingredients(site.recipe, site.device)
        units = caption_units(site, extracted)
        found = survey(caption.STAGE, base, units, site.store)
        previous = Previous.load(caption.STAGE, base, site.store, found.missing, found)
        to_do = [item for unit in found.missing for item in unit.items if previous.find(item) is None]
        total = sum(1 for unit in units for _ in unit.items)
        changes = _all_changes(site.store, caption.STAGE, base, to_do)
        why = Counter(f"stale: {changes[i.dataset]}" if changes[i.dataset] else "missing: not captioned" for i in to_do)
        plans.append(StagePlan("caption", total - len(to_do), len(to_do), dict(why)))
        undescribed = [extracted.outcomes[item.name].ok for item in to_do]
    unit = curate_unit(site, indexed, extracted)
    curation = survey(curate.STAGE, curate.ingredients(site.recipe), [unit], site.store)
    stale = {"stale: rows, labels, or curation settings changed": 1} if curation.missing else {}
    plans.append(StagePlan("curate", 0 if curation.missing else 1, 1 if curation.missing else 0, stale))
    return tuple(plans), undescribed


def _waiting(site: Site, indexed: Indexed) -> tuple[tuple[StagePlan, ...], list[int]]:
    """The same before extraction: every planned frame may become a sample."""
    names = ["curate"] if site.recipe.captioner.kind == "none" else ["caption", "curate"]
    plans = tuple(StagePlan(name, 0, 0, {}, "extract") for name in names)
    return plans, [_frames(site, medium.dataset, medium.kind) for medium in indexed.selected.values()]


def _frames(site: Site, dataset: str, kind: str) -> int:
    own = {entry.name: entry.frames for entry in site.entries}
    return (own.get(dataset) or site.recipe.frames.count) if kind != "image" else 1


def _faces_a_frame(extracted: Extracted) -> float:
    """Samples that a frame gave so far; 1 before anything was extracted."""
    rows = sum(record.counts.get("rows", 0) for record in extracted.records.values())
    frames = sum(extracted.outcomes[item.name].ok for unit in extracted.units for item in unit.items)
    return rows / frames if frames else 1.0


def _sizes(site: Site, extracted: Extracted, samples: int, media: int) -> tuple[int, int]:
    """Bytes of all crops and of all contexts: by what the committed units took, or else by the table above."""
    rows = sum(record.counts.get("rows", 0) for record in extracted.records.values())
    blobs = sum(record.files[tables.BLOBS]["bytes"] for record in extracted.records.values())
    if rows:
        contexts = min(blobs // 2, len(extracted.outcomes) * _CONTEXT_BYTES)
        return round((blobs - contexts) / rows * samples), round(contexts / rows * samples)
    pixels = site.recipe.crop.size**2
    return round(samples * pixels * _BYTES_A_PIXEL[site.recipe.image.format]), media * _CONTEXT_BYTES


def _seconds(site: Site, to_do: Sequence[Item]) -> tuple[float, str]:
    """Wall time of extraction and captioning, and where the figure comes from."""
    workers = max(1, site.workers)
    frames = sum(_frames(site, item.dataset, item.payload.file.kind) for item in to_do)
    captions = _CAPTION_SECONDS * frames if site.recipe.captioner.kind == "attributes" else 0.0
    measured = (site.store.note(RATES) or {}).get(rate_key(site))
    if measured:
        seconds = measured["worker_seconds"] / measured["frames"] * frames
        return (seconds + captions) / workers, f"measured here over {measured['frames']} frames"
    videos = sum(1 for item in to_do if item.payload.file.kind == "video")
    detector = DETECTORS.own(site.recipe.detector.kind)
    per_frame = (detector.facts.seconds if detector else _DETECT_SECONDS) + _CUT_SECONDS
    seconds = videos * _DECODE_SECONDS + frames * per_frame
    return (seconds + captions) / workers, "assumed rates; a first build measures them"


def _free(place: Path) -> int:
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
