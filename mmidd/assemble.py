"""The end of a build: shards, `media.parquet`, card and `mmidd.json`, written beside the old corpus and swapped in."""

from __future__ import annotations

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd import __version__
from mmidd.corpus.card import SHOWN_OF_MEDIA, DatasetFacts, ShardFacts, card
from mmidd.corpus.folder import MANIFEST, Corpus, manifest_bytes
from mmidd.curation.failures import Losses
from mmidd.engine import tables
from mmidd.engine.files import digest, disk_errors
from mmidd.engine.run import run_units
from mmidd.engine.store import Record
from mmidd.engine.units import Outcome, Unit
from mmidd.errors import CorpusError
from mmidd.faces.detector import DetectorIdentity, detector_identity
from mmidd.losses import losses
from mmidd.manifest import Manifest
from mmidd.schema import SCHEMA_VERSION, media_schema
from mmidd.site import Name, Site
from mmidd.stages import caption, curate, extract, index, shard
from mmidd.stages.selection import Exclusions, taken_down
from mmidd.steps import Extracted, Indexed
from mmidd.video import backend_identity

NOTES = ("README.md", "media.parquet", MANIFEST)


@dataclass(frozen=True)
class Built:
    """What a build gave: the corpus, how many media ended how, how many samples it has, what extraction lost of real and
    fake, and whether the corpus changed."""

    out: Path
    media: Mapping[str, int]
    samples: int
    counts: Mapping[tuple[str, str, str], int]
    drops: Mapping[str, int]
    frames: Mapping[str, int]
    losses: Losses
    changed: bool


def assemble(
    site: Site,
    indexed: Indexed,
    extracted: Extracted,
    captions: Mapping[str, Record],
    verdicts: Record,
    corpus: Corpus,
    *,
    allow_removals: bool,
) -> Built:
    """Write the next version of the corpus and put it in its place. CorpusError before any row would be lost."""
    judged = tables.read_rows(site.store, verdicts)
    kept = judged.filter(pc.and_(pc.is_valid(judged["frame"]), pc.is_null(judged["drop"])))
    if not kept.num_rows:
        raise CorpusError(f"no sample is left, so there is no corpus; {_why_nothing(extracted.outcomes.values())}")
    if not allow_removals:
        refuse_removals(corpus.out, kept, site.excluded)
    media = media_table(indexed, extracted, judged)
    shards = _write_shards(site, indexed, extracted, captions, judged, corpus)
    counts = _count(indexed, kept)
    lost = losses(indexed, _extracted(extracted, media))
    facts = [_dataset_facts(dataset.manifest) for dataset in indexed.datasets]
    identity = detector_identity(extract.config(site.recipe).detector)
    notes = {
        "media.parquet": _parquet(media),
        "README.md": card(
            site.recipe.name, site.recipe.description, facts, shards, counts, tables.light_rows(media, SHOWN_OF_MEDIA), lost,
            {"kind": identity.kind, "licence": identity.licence},
        ).encode(),
    }  # fmt: skip
    about = _about(site, indexed, shards, notes, identity) | {"losses": lost.summary()}
    files = {**notes, MANIFEST: manifest_bytes(about)}
    changed = not corpus.holds(files, [shard.file for shard in shards])
    if changed:
        for name, data in files.items():
            with disk_errors(corpus.building / name):
                (corpus.building / name).write_bytes(data)
        corpus.swap({*NOTES, *(shard.file for shard in shards)})
    else:
        corpus.discard()
    return _built(corpus, media, kept, counts, judged, lost, changed)


def refuse_removals(out: Path, kept: pa.Table, excluded: Exclusions) -> None:
    """Stop before rows of the existing corpus would go, unless their media were taken down: the old rows tell."""
    before = [_rows_before(path) for path in sorted(out.glob("data/*.parquet"))]
    if not before:
        return
    old = pa.concat_tables(before)
    gone = old.filter(pc.invert(pc.is_in(old["id"], kept["id"].combine_chunks())))
    datasets = set(old["dataset"].to_pylist())
    media = {(row["dataset"], row["media"]): row | _pair_of(row, datasets) for row in gone.to_pylist()}
    excused = taken_down(media.values(), lambda name: media[name]["media_sha256"], excluded)
    lost = Counter(zip(gone["dataset"].to_pylist(), gone["media"].to_pylist(), strict=True))
    lost = Counter({name: rows for name, rows in lost.items() if name not in excused})
    if lost:
        shown = "\n".join(f"  {dataset}/{media}: {rows} rows" for (dataset, media), rows in sorted(lost.items())[:10])
        more = f"\n  ... and {len(lost) - 10} more media" if len(lost) > 10 else ""
        raise CorpusError(
            f"this build would remove {sum(lost.values())} rows of {len(lost)} media from {out}:\n{shown}{more}\n"
            "Nothing was changed. If that is meant, say --allow-removals; else bring the media back or change --out."
        )


def _rows_before(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, columns=list(_FROM_ROWS))
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(
            f"{path} cannot be read, so nobody knows which rows this build would remove. Nothing was changed. "
            "Say --allow-removals to make the corpus anew, or choose another --out."
        ) from error


_FROM_ROWS = ("id", "dataset", "media", "media_sha256", "target_id", "source_id", "pair_media")


def _pair_of(row: Mapping[str, Any], datasets: set[str]) -> dict[str, str | None]:
    """The pair's dataset (null if the row's own) and path, from a corpus's `pair_media`."""
    dataset, colon, path = (row["pair_media"] or "").partition(":")
    other = bool(colon) and dataset in datasets
    return {"pair_dataset": dataset if other else None, "pair_media": path if other else row["pair_media"]}


def _why_nothing(outcomes: Iterable[Outcome]) -> str:
    reasons = Counter(outcome.reason or outcome.error or outcome.status for outcome in outcomes)
    told = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
    return f"media ended as: {told}. `mmidd failures WORK` lists them." if told else "no medium was selected."


def _write_shards(
    site: Site,
    indexed: Indexed,
    extracted: Extracted,
    captions: Mapping[str, Record],
    judged: pa.Table,
    corpus: Corpus,
) -> list[ShardFacts]:
    units = shard_units(site, indexed, extracted, captions, judged, corpus)
    records = run_units(
        shard.STAGE,
        shard.ingredients(site.recipe),
        units,
        shard.config(site.recipe),
        store=site.store,
        engine=site.engine,
        progress=site.progress,
        usable=partial(_usable, site, corpus),
    )
    found = []
    for unit in units:
        (row,) = tables.read_rows(site.store, records[unit.name]).to_pylist()
        found.append(ShardFacts(row["file"], row["bytes"], row["sha256"], row["rows"], row["dataset"]))
    return found


def _usable(site: Site, corpus: Corpus, unit: Unit, record: Record) -> bool:
    """A shard that was written before counts only while its file is still there, whole."""
    (row,) = tables.read_rows(site.store, record).to_pylist()
    return corpus.has(row["file"], row["bytes"], row["sha256"])


def shard_units(
    site: Site,
    indexed: Indexed,
    extracted: Extracted,
    captions: Mapping[str, Record],
    judged: pa.Table,
    corpus: Corpus,
) -> list[Unit]:
    """The shards of every dataset, one dataset in memory at a time."""
    media = indexed.table.filter(pc.equal(indexed.table["status"], "media"))
    labels = {(row["dataset"], row["media"]): row for row in tables.light_rows(media, shard.LABELLED_BY)}
    units: list[Unit] = []
    for dataset in indexed.datasets:
        name = dataset.manifest.name
        mine = judged.filter(pc.and_(pc.equal(judged["dataset"], name), pc.is_valid(judged["frame"])))
        rows = tables.light_rows(mine, shard.JUDGED_BY)
        verdicts = {(row["dataset"], row["media"], row["frame"], row["face"]): row for row in rows}
        sources = [
            _source(site, extracted.records[unit.name], captions.get(unit.name))
            for unit in extracted.units
            if unit.name.partition("/")[0] == name
        ]
        limits = shard.config(site.recipe)
        units += shard.plan(name, dataset.manifest.slug, sources, labels, verdicts, limits, corpus.building)
    return units


def _source(site: Site, record: Record, captioned: Record | None) -> shard.Source:
    rows, blobs = site.store.path(record, tables.ROWS), site.store.path(record, tables.BLOBS)
    return shard.Source(rows, blobs, site.store.path(captioned, tables.ROWS) if captioned else None)


def media_table(indexed: Indexed, extracted: Extracted, judged: pa.Table) -> pa.Table:
    """One row for every medium that was found, and for every file that was refused: `media.parquet`."""
    verdicts = tables.light_rows(judged.filter(pc.is_null(judged["frame"])), _VERDICT)
    of_media = {(row["dataset"], row["media"]): row for row in verdicts}
    samples = judged.filter(pc.is_valid(judged["frame"]))
    kept, lost = Counter[Name](), defaultdict[Name, Counter[str]](Counter)
    for dataset, media, drop in zip(*(samples[column].to_pylist() for column in ("dataset", "media", "drop")), strict=True):
        if drop is None:
            kept[dataset, media] += 1
        else:
            lost[dataset, media][drop] += 1
    listed = indexed.table.filter(pc.is_in(indexed.table["status"], pa.array(["media", "refused"])))
    pieces = [media_schema().empty_table()]
    for batch in listed.to_batches(max_chunksize=_AT_ONCE):  # a million rows as dicts would take gigabytes
        rows = [_media_row(row, indexed, extracted, of_media, kept, lost) for row in batch.to_pylist()]
        pieces.append(pa.Table.from_pylist(rows, media_schema()))
    return pa.concat_tables(pieces).sort_by([("dataset", "ascending"), ("media", "ascending")]).combine_chunks()


_AT_ONCE = 1 << 14
_VERDICT = ("dataset", "media", "drop", "group", "split", "split_basis")


def _media_row(
    row: Mapping[str, Any],
    indexed: Indexed,
    extracted: Extracted,
    of_media: Mapping[Name, Mapping[str, Any]],
    kept: Counter[Name],
    lost: Mapping[Name, Counter[str]],
) -> dict[str, Any]:
    name = (row["dataset"], row["media"])
    verdict = of_media.get(name, {})
    # What was taken down reads the same whether a build met it in the index or only by its bytes, once read.
    excluded = "excluded" in (verdict.get("drop"), indexed.dropped.get(name))
    outcome = None if excluded else extracted.outcomes.get(name)
    about = {key: row[key] for key in _FROM_INDEX} | {"pair_media": shard.pair_name(row), "group": verdict.get("group")}
    about |= {"split": verdict.get("split"), "split_basis": verdict.get("split_basis")}
    mine = Counter[str]() if excluded else lost.get(name, Counter[str]())
    judgement = verdict.get("drop") or (None if kept[name] or not mine else mine.most_common(1)[0][0])
    ending = _ending(row, outcome, "excluded" if excluded else indexed.dropped.get(name), judgement)
    return {**about, **ending, "samples": kept[name], "frame_reasons": _frame_reasons(outcome, mine)}


def _extracted(extracted: Extracted, media: pa.Table) -> dict[Name, Outcome]:
    """The outcomes in extraction, but of what was taken down."""
    taken = media.filter(pc.is_valid(media["frames_planned"])).select(["dataset", "media"])
    names = zip(taken["dataset"].to_pylist(), taken["media"].to_pylist(), strict=True)
    return {name: extracted.outcomes[name] for name in names}


_FROM_INDEX = (
    "dataset", "media", "kind", "bytes", "label", "forgery_type", "method", "compression", "target_id", "source_id",
    "license",
)  # fmt: skip


def _ending(row: Mapping[str, Any], outcome: Outcome | None, unselected: str | None, verdict: str | None) -> dict[str, Any]:
    """How a medium ended: refused, not taken, failed or dropped in extraction, dropped by curation, or ok."""
    if row["status"] == "refused":
        return {"outcome": "failed", "error": "Refused", "message": row["reason"]}
    if outcome is None:
        return {"outcome": "dropped", "reason": unselected or "not_selected"}
    ending = {
        "outcome": "dropped" if verdict and outcome.status == "ok" else outcome.status,
        "reason": verdict if outcome.status == "ok" else outcome.reason,
        "error": outcome.error,
        "message": outcome.message,
        "media_sha256": outcome.facts.get("sha256"),
        "geometry": outcome.facts.get("geometry"),
    }
    frames = {f"frames_{name}": getattr(outcome, name) for name in ("planned", "ok", "dropped", "failed")}
    return ending | frames


def _frame_reasons(outcome: Outcome | None, lost: Counter[str]) -> list[dict[str, Any]]:
    counted = Counter(reason for _, _, reason in outcome.reasons) if outcome else Counter[str]()
    return [{"reason": reason, "count": count} for reason, count in sorted((counted + lost).items())]


def _count(indexed: Indexed, kept: pa.Table) -> dict[tuple[str, str, str], int]:
    """Samples by dataset, forgery type ("unknown" where there is none) and split."""
    types = {(row["dataset"], row["media"]): row["forgery_type"] for row in indexed.of_status("media")}
    columns = (kept[name].to_pylist() for name in ("dataset", "media", "split"))
    return dict(
        Counter((dataset, types[dataset, media] or "unknown", split) for dataset, media, split in zip(*columns, strict=True))
    )


def _dataset_facts(manifest: Manifest) -> DatasetFacts:
    licence = manifest.licence
    return DatasetFacts(
        manifest.name, manifest.slug, manifest.year, manifest.citation, licence.name, licence.url,
        licence.redistributable,
    )  # fmt: skip


def _about(
    site: Site,
    indexed: Indexed,
    shards: Sequence[ShardFacts],
    notes: Mapping[str, bytes],
    identity: DetectorIdentity,
) -> dict[str, Any]:
    """`mmidd.json`: what this corpus was built from and by, and the digest of every file. No time, host or path."""
    files = {shard.file: {"bytes": shard.bytes, "sha256": shard.sha256, "rows": shard.rows} for shard in shards}
    files |= {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in notes.items()}
    manifests = {dataset.manifest.name: dataset.manifest.digest for dataset in indexed.datasets}
    return {
        "schema_version": SCHEMA_VERSION,
        "mmidd": __version__,
        "recipe": site.recipe.published(),
        "only": sorted(site.only),
        "manifests": manifests,
        "stages": {
            stage.name: stage.version for stage in (index.STAGE, extract.STAGE, caption.STAGE, curate.STAGE, shard.STAGE)
        },
        "libraries": {**identity.libraries, **backend_identity(site.recipe.decoder), "pyarrow": pa.__version__},
        "models": dict(identity.weights),
        "detector_licence": identity.licence,
        "device": site.device,
        "excluded": digest(site.excluded.lines()) if site.excluded.lines() else None,
        "index": {dataset.manifest.name: _found(indexed, dataset.manifest) for dataset in indexed.datasets},
        "files": files,
    }


def _found(indexed: Indexed, manifest: Manifest) -> dict[str, Any]:
    """How a dataset's files were sorted (each medium and each refused file has a row in `media.parquet`), and its slug."""
    mine = indexed.table.filter(pc.equal(indexed.table["dataset"], manifest.name))["status"].to_pylist()
    names = {"media": "media", "refused": "refused", "label_files": "label file", "unmatched": "unmatched"}
    facts, counts = indexed.facts[manifest.name], Counter(mine)
    known = {name: counts[status] for name, status in names.items()}
    return {"slug": manifest.slug, **known, "ignored": sum(facts["ignored"].values()), "files": facts["files"]}


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _built(
    corpus: Corpus,
    media: pa.Table,
    kept: pa.Table,
    counts: Mapping[Any, int],
    judged: pa.Table,
    lost: Losses,
    changed: bool,
) -> Built:
    drops = Counter(judged.filter(pc.is_valid(judged["frame"]))["drop"].drop_null().to_pylist())
    frames = {name: pc.sum(media[f"frames_{name}"]).as_py() or 0 for name in ("planned", "ok", "dropped", "failed")}
    return Built(corpus.out, Counter(media["outcome"].to_pylist()), kept.num_rows, counts, drops, frames, lost, changed)
