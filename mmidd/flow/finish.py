"""The end of a build: shards, `media.parquet`, card and `mmidd.json`, written beside the old corpus and swapped in."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd import __version__
from mmidd.corpus.card import DatasetFacts, ShardFacts, card
from mmidd.corpus.media import media_table
from mmidd.corpus.target import MANIFEST, Target, manifest_bytes
from mmidd.curation.losses import Losses
from mmidd.engine import tables
from mmidd.engine.files import digest, disk_errors
from mmidd.engine.run import run_units
from mmidd.engine.store import Record
from mmidd.engine.units import Outcome, Unit
from mmidd.errors import CorpusError
from mmidd.faces.choose import detector_identity
from mmidd.faces.detector import DetectorIdentity
from mmidd.flow.losses import losses
from mmidd.flow.select import Exclusions, taken_down
from mmidd.flow.steps import Extracted, Indexed
from mmidd.manifest import Manifest
from mmidd.media import Name
from mmidd.project import Site
from mmidd.schema import SCHEMA_VERSION
from mmidd.stages import caption, curate, extract, index, shard
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
    corpus: Target,
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
    media = media_table(indexed.table, indexed.dropped, extracted.outcomes, judged)
    shards = _write_shards(site, indexed, extracted, captions, judged, corpus)
    counts = _count(indexed, kept)
    lost = losses(indexed, _extracted(extracted, media))
    facts = [_dataset_facts(dataset.manifest) for dataset in indexed.datasets]
    identity = detector_identity(extract.config(site.recipe).detector)
    notes = {
        "media.parquet": _parquet(media),
        "README.md": card(
            site.recipe.name, site.recipe.description, facts, shards, counts, media, lost,
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
    paths = sorted(out.glob("data/*.parquet"))
    stays = pc.is_in(_before(paths, ["id"])["id"], kept["id"].combine_chunks())
    if pc.all(stays, min_count=0).as_py():
        return
    old = _before(paths, _FROM_ROWS)
    gone = old.filter(pc.invert(stays))
    datasets = set(pc.unique(old["dataset"]).to_pylist())
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


def _before(paths: Iterable[Path], columns: Sequence[str]) -> pa.Table:
    """These columns of the rows that a corpus has."""
    tables = [pa.table({name: pa.array([], pa.string()) for name in columns})]
    for path in paths:
        try:
            tables.append(pq.read_table(path, columns=list(columns)).replace_schema_metadata())
        except (OSError, pa.ArrowException) as error:
            raise CorpusError(
                f"{path} cannot be read, so nobody knows which rows this build would remove. Nothing was changed. "
                "Say --allow-removals to make the corpus anew, or choose another --out."
            ) from error
    return pa.concat_tables(tables)


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
    corpus: Target,
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


def _usable(site: Site, corpus: Target, unit: Unit, record: Record) -> bool:
    """A shard that was written before counts only while its file is still there, whole."""
    (row,) = tables.read_rows(site.store, record).to_pylist()
    return corpus.has(row["file"], row["bytes"], row["sha256"])


def shard_units(
    site: Site,
    indexed: Indexed,
    extracted: Extracted,
    captions: Mapping[str, Record],
    judged: pa.Table,
    corpus: Target,
) -> list[Unit]:
    """The shards of every dataset."""
    media = indexed.table.filter(pc.equal(indexed.table["status"], "media")).select(shard.LABELLED_BY)
    judged = judged.select(shard.JUDGED_BY)
    units: list[Unit] = []
    for dataset in indexed.datasets:
        name = dataset.manifest.name
        sources = [
            _source(site, extracted.records[unit.name], captions.get(unit.name))
            for unit in extracted.units
            if unit.name.partition("/")[0] == name
        ]
        labels = media.filter(pc.equal(media["dataset"], name))
        verdicts = judged.filter(pc.and_(pc.equal(judged["dataset"], name), pc.is_valid(judged["frame"])))
        limits = shard.config(site.recipe)
        units += shard.plan(name, dataset.manifest.slug, sources, labels, verdicts, limits, corpus.building)
    return units


def _source(site: Site, record: Record, captioned: Record | None) -> shard.UnitFiles:
    rows, blobs = site.store.path(record, tables.ROWS), site.store.path(record, tables.BLOBS)
    return shard.UnitFiles(rows, blobs, site.store.path(captioned, tables.ROWS) if captioned else None)


def _extracted(extracted: Extracted, media: pa.Table) -> dict[Name, Outcome]:
    """The outcomes in extraction, but of what was taken down."""
    taken = media.filter(pc.is_valid(media["frames_planned"])).select(["dataset", "media"])
    names = zip(taken["dataset"].to_pylist(), taken["media"].to_pylist(), strict=True)
    return {name: extracted.outcomes[name] for name in names}


def _count(indexed: Indexed, kept: pa.Table) -> dict[tuple[str, str, str], int]:
    """Samples by dataset, forgery type ("unknown" where there is none) and split."""
    media = indexed.table.filter(pc.equal(indexed.table["status"], "media"))
    types = tables.lookup(kept, media, ["dataset", "media"])["forgery_type"]
    typed = kept.select(["dataset", "split"]).append_column("type", pc.fill_null(types, "unknown"))
    counted = typed.group_by(["dataset", "type", "split"]).aggregate([([], "count_all")])
    return {(row["dataset"], row["type"], row["split"]): row["count_all"] for row in counted.to_pylist()}


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
    corpus: Target,
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
