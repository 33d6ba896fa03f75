"""The end of a build: `media.parquet`, card and `mmidd.json` beside the shards, swapped in as the next version."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd import __version__
from mmidd.corpus.about import MANIFEST
from mmidd.corpus.card import DatasetFacts, ShardFacts, card
from mmidd.corpus.media import media_table
from mmidd.corpus.target import manifest_bytes
from mmidd.curation.losses import Losses
from mmidd.engine import tables
from mmidd.engine.files import digest
from mmidd.engine.store import Store
from mmidd.engine.units import Outcome
from mmidd.faces.choose import detector_identity
from mmidd.faces.detector import DetectorIdentity
from mmidd.flow.indexing import Indexed
from mmidd.flow.losses import losses
from mmidd.flow.setup import Setup
from mmidd.flow.steps import Sharded
from mmidd.flow.walk import Walked
from mmidd.manifest import Manifest
from mmidd.media import Name
from mmidd.schema import SCHEMA_VERSION, written_media
from mmidd.stages import caption, curate, extract, index, shard
from mmidd.video import backend_identity


@dataclass(frozen=True)
class Built:
    """What a build gave: the corpus, how many media ended how, how many samples it has, what extraction lost of real and
    fake, and whether the corpus changed. `counts` are samples by (dataset, kind, split),
    `dropped` those that curation dropped by (reason, dataset)."""

    out: Path
    media: Mapping[str, int]
    samples: int
    counts: Mapping[tuple[str, str, str], int]
    dropped: Mapping[tuple[str, str], int]
    frames: Mapping[str, int]
    losses: Losses
    changed: bool

    @property
    def drops(self) -> dict[str, int]:
        """The samples that curation dropped, by reason."""
        found = Counter[str]()
        for (reason, _), count in self.dropped.items():
            found[reason] += count
        return dict(found)


@dataclass(frozen=True)
class _Version:
    """The next version of a corpus: its files beside the shards, and what they count."""

    files: Mapping[str, bytes]
    shards: tuple[str, ...]
    built: Built


def finish(setup: Setup, walked: Walked) -> Built:
    """Write the files beside the shards and put the next version in its place. The walk has written every shard."""
    shards = _written(walked)
    version = _version(setup, walked, shards)
    target = shards.target
    if target.holds(version.files, version.shards):
        target.discard()
        return version.built
    target.write(version.files, version.shards)
    target.swap()
    return replace(version.built, changed=True)


def is_current(setup: Setup, walked: Walked) -> bool:
    """Would a build leave the corpus as it is? Compares what lies beside the shards, byte by byte; reads no shard."""
    if walked.shards is None or walked.shards.reached.to_do or walked.shards.refused:
        return False
    version = _version(setup, walked, walked.shards)
    target, sizes = walked.shards.target, {each.file: each.bytes for each in _shard_facts(setup.store, walked.shards)}
    there = all((target.out / name).is_file() and (target.out / name).stat().st_size == sizes[name] for name in sizes)
    return there and target.has_notes(version.files)


def _written(walked: Walked) -> Sharded:
    if walked.shards is None:
        raise ValueError("the walk did not come to the shards")
    return walked.shards


def _version(setup: Setup, walked: Walked, shards: Sharded) -> _Version:
    """The next version, as far as it is no shard."""
    indexed, outcomes, kept = walked.index, _crops(walked), shards.kept
    labelled = indexed.labelled
    media = media_table(labelled, indexed.dropped, outcomes, shards.judged)
    facts = list(_shard_facts(setup.store, shards))
    counts = _count(labelled, kept)
    lost = losses(indexed.selected, labelled, _read(outcomes, media))
    giving = {dataset for dataset, _, _ in counts}
    datasets = [_dataset_facts(d.manifest) for d in indexed.datasets if d.manifest.name in giving]
    identity = detector_identity(extract.config(setup.recipe).detector, setup.device)
    identity = replace(identity, weights=setup.bases[extract.STAGE.name].get("models", {}))  # those that were computed with
    notes = {
        "media.parquet": _parquet(written_media(media)),
        "README.md": card(
            setup.recipe.name, setup.recipe.description, datasets, facts, counts, media, lost,
            {"kind": identity.kind, "licence": identity.licence}, indexed.lists,
        ).encode(),
    }  # fmt: skip
    about = _about(setup, indexed, facts, notes, identity) | {"losses": lost.summary()}
    gone = shards.judged.filter(pc.and_(pc.is_valid(shards.judged["frame"]), pc.is_valid(shards.judged["drop"])))
    drops = Counter(zip(gone["drop"].to_pylist(), gone["dataset"].to_pylist(), strict=True))
    frames = {name: pc.sum(media[f"frames_{name}"]).as_py() or 0 for name in ("planned", "ok", "dropped", "failed")}
    ends = Counter(media["outcome"].to_pylist())
    built = Built(shards.target.out, ends, kept.num_rows, counts, drops, frames, lost, changed=False)
    return _Version({**notes, MANIFEST: manifest_bytes(about)}, tuple(each.file for each in facts), built)


def _crops(walked: Walked) -> Mapping[Name, Outcome]:
    return walked.crops.outcomes if walked.crops is not None else {}


def _shard_facts(store: Store, shards: Sharded) -> Iterator[ShardFacts]:
    for unit in shards.reached.units:
        (row,) = tables.read_rows(store, shards.reached.records[unit.name], shard.SCHEMA.names).to_pylist()
        yield ShardFacts(row["file"], row["bytes"], row["sha256"], row["rows"], row["dataset"])


def _read(outcomes: Mapping[Name, Outcome], media: pa.Table) -> dict[Name, Outcome]:
    """The outcomes in extraction, but of what was taken down."""
    taken = media.filter(pc.is_valid(media["frames_planned"])).select(["dataset", "media"])
    names = zip(taken["dataset"].to_pylist(), taken["media"].to_pylist(), strict=True)
    return {name: outcomes[name] for name in names}


def _count(labelled: pa.Table, kept: pa.Table) -> dict[tuple[str, str, str], int]:
    """Samples by dataset, forgery type (or family of attacks, or "unknown") and split."""
    told = tables.lookup(kept, labelled, ["dataset", "media"])
    kinds = pc.coalesce(told["forgery_type"], told["attack"], "unknown")
    typed = kept.select(["dataset", "split"]).append_column("type", kinds)
    counted = typed.group_by(["dataset", "type", "split"]).aggregate([([], "count_all")])
    return {(row["dataset"], row["type"], row["split"]): row["count_all"] for row in counted.to_pylist()}


def _dataset_facts(manifest: Manifest) -> DatasetFacts:
    licence = manifest.licence
    return DatasetFacts(
        manifest.name, manifest.slug, manifest.year, manifest.citation, licence.name, licence.url,
        licence.redistributable,
    )  # fmt: skip


def _about(
    setup: Setup,
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
        "recipe": setup.recipe.published(),
        "only": sorted(setup.options.only),
        "manifests": manifests,
        "stages": {
            stage.name: stage.version for stage in (index.STAGE, extract.STAGE, caption.STAGE, curate.STAGE, shard.STAGE)
        },
        "libraries": {**identity.libraries, **backend_identity(setup.recipe.decoder), "pyarrow": pa.__version__},
        "models": dict(identity.weights),
        "detector_licence": identity.licence,
        "device": setup.device,
        "excluded": digest(setup.excluded.lines()) if setup.excluded.lines() else None,
        "index": {dataset.manifest.name: _found(indexed, dataset.manifest) for dataset in indexed.datasets},
        "files": files,
    }


def _found(indexed: Indexed, manifest: Manifest) -> dict[str, Any]:
    """How a dataset's files were sorted (each medium, and each that is refused or unlabelled, has a row in `media.parquet`),
    its slug, and what came of its label files."""
    mine = indexed.table.filter(pc.equal(indexed.table["dataset"], manifest.name))["status"].to_pylist()
    names = {"label_files": "label file"} | {name: name for name in ("media", "refused", "unlabelled", "unmatched")}
    facts, counts = indexed.facts[manifest.name], Counter(mine)
    known = {name: counts[status] for name, status in names.items()}
    lists = [asdict(each) for each in indexed.lists[manifest.name]]
    ignored = sum(facts["ignored"].values())
    return {"slug": manifest.slug, **known, "ignored": ignored, "files": facts["files"], "lists": lists}


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
