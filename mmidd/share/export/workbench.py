"""Score files of Deepfake Workbench (dfwb), one for each split of each dataset, with nothing scored yet.

    DATASET-SPLIT.scores.csv  DATASET-SPLIT.scores.meta.json

Its contract C5 (github.com/dfwb-research/deepfake-workbench, MIT: docs/concepts/score-files.md and
src/dfwb/core/records/scores.py, read 2026-11-27): one row for each video that the split names, never fewer; `label` 0 real,
1 fake; `score` is the probability of fake, always; `status` ok, missing or error, a score only with ok; columns of one's own
begin with x_; a split's digest is that of its sorted lines key, compression, split. So every row is `missing` here, which
is a valid file, until somebody fills in `score` and writes `ok`.

Ours, not theirs: the key is the medium's path, `label_key` its forgery type, and what a file must say and nothing here
decides (detector, time) says that nobody scored, in 1970: the same corpus gives the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.engine.files import digest
from mmidd.errors import CorpusError
from mmidd.schema import FORGERY_TYPES, LABELS
from mmidd.share.export.protocol import Exporter, Sink
from mmidd.share.export.rows import class_of, compressions, label_of

_COLUMNS = ("dataset", "key", "compression", "label", "score", "status", "label_key", "method", "n_frames")
_OURS = ("target_id", "source_id", "pair_media", "group")
_SPLITS = {"validation": "val"}
_NOBODY = {"name": "unscored", "version": "0", "source": "mmidd:unscored", "contract_version": [1, 0]}
_WRITTEN = (*_OURS, "dataset", "media", "label", "forgery_type", "method")


@dataclass(slots=True)
class _Video:
    """A medium: what its line says, and its frames in the corpus."""

    about: dict[str, Any]
    frames: int

    @property
    def name(self) -> tuple[str, str]:
        return self.about["dataset"], self.about["media"]


def layout(corpus: Corpus, sink: Sink) -> tuple[str, ...]:
    """A file for each split of each dataset. Columns of single frames are left out."""
    packed = compressions(corpus)
    found = {
        slug: {split: _videos(corpus, slug, split) for split in corpus.part(dataset=slug).splits} for slug in corpus.datasets
    }
    for slug, splits in found.items():
        lines = sorted(
            f"{video.about['media']}\t{packed.get(video.name, '')}\t{_word(split)}\n"
            for split, videos in splits.items()
            for video in videos
        )
        scheme = hashlib.sha256("".join(lines).encode()).hexdigest()
        for split, videos in splits.items():
            name = f"{slug}-{_word(split)}.scores"
            sink.put(f"{name}.csv", _csv(slug, videos, packed))
            sink.put(f"{name}.meta.json", _meta(corpus, slug, split, scheme, len(videos)))
    told = {"media", "dataset", "label", "forgery_type", "method", *_OURS}
    return tuple(name for name in corpus.columns if name not in told)


def _videos(corpus: Corpus, slug: str, split: str) -> list[_Video]:
    """The media of a split, by key: those of the rows, and those that were looked at and became none."""
    found: dict[str, _Video] = {}
    for _, batch in corpus.part(split, slug).batches([*_WRITTEN, "id"]):
        for row in batch.to_pylist():
            if row["media"] not in found:
                label_of(corpus, row)
                found[row["media"]] = _Video(row | {"type": class_of(row, "forgery_type")}, 0)
            elif found[row["media"]].about["label"] != row["label"]:
                raise CorpusError(f"{corpus.place.path('')}: {row['media']!r} is real and fake; see `mmidd verify`")
            found[row["media"]].frames += 1
    for row in _lost(corpus, slug, split):
        found.setdefault(row["media"], _Video(row, 0))
    return [found[key] for key in sorted(found)]


def _lost(corpus: Corpus, slug: str, split: str) -> Iterable[dict[str, Any]]:
    """Media of which frames were planned and none is in the corpus."""
    names = [name for name, indexed in corpus.about.datasets.items() if indexed.slug == slug]
    table = corpus.media
    here = pc.and_(pc.equal(table["split"], split), pc.greater(table["frames_planned"], 0))
    for row in table.filter(pc.and_(here, pc.equal(table["samples"], 0))).to_pylist():
        if row["dataset"] in names and row["label"] in LABELS:
            known = row["forgery_type"] if row["forgery_type"] in FORGERY_TYPES else None
            yield {name: row[name] for name in _WRITTEN} | {"label": LABELS.index(row["label"]), "type": known}


def _csv(slug: str, videos: Iterable[_Video], packed: Mapping[tuple[str, str], str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"x_{name}" for name in _OURS)])
    for video in videos:
        about = video.about
        writer.writerow(
            [
                _id(slug), about["media"], packed.get(video.name), about["label"], "", "missing", about["type"],
                about["method"], video.frames, *(about[name] for name in _OURS),
            ]
        )  # fmt: skip
    return text.getvalue().encode()


def _meta(corpus: Corpus, slug: str, split: str, scheme: str, count: int) -> bytes:
    content = digest(corpus.about.content)
    protocol = {"id": f"{_id(slug)}/mmidd", "split": _word(split), "where": {}, "pack": "mmidd", "pack_version": content}
    about = {
        "schema": "dfwb.scores/1",
        "detector": _NOBODY,
        "protocol": {**protocol, "scheme_sha256": scheme},
        "labels": "binary",
        "coverage": {"expected": count, "ok": 0, "missing": count, "error": 0},
        "env": {"mmidd": corpus.about.version, "mmidd_corpus": content},
        "created": "1970-01-01T00:00:00Z",
    }
    return json.dumps(about, indent=2).encode() + b"\n"


def _id(slug: str) -> str:
    """A dataset as dfwb names it: lower case, words joined by dashes."""
    return slug.lower().replace("_", "-")


def _word(split: str) -> str:
    return _SPLITS.get(split, split)


EXPORTER = Exporter(layout, pictures=False)
