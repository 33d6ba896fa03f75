"""A corpus made from a corpus: some of its datasets, or without what names people or files. It passes `mmidd verify`.

Paths become `m/` and the first 32 digits of a medium's digest, so that whoever has the medium finds it again; where its
digest is not known (nothing of it is in the corpus) they become the hash of its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmidd.corpus.about import MANIFEST, MEDIA, Listed, Shard
from mmidd.corpus.card import partial
from mmidd.corpus.place import read_bytes
from mmidd.corpus.read import Corpus
from mmidd.corpus.shards import write_shard
from mmidd.corpus.target import link_or_copy, manifest_bytes
from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors
from mmidd.media import Name
from mmidd.schema import COLUMNS, arrow_schema, media_schema, sample_id, written_media
from mmidd.share.publication.format import PIXELS, Redaction
from mmidd.share.publication.labels import listed
from mmidd.watch import NOBODY, Watch

WITHHELD = "withheld"
"""The `caption_status` of rows whose captions are not published."""
_CAPTIONS = ("face_caption", "environment_caption", "captioner")
_LIGHT = pa.schema([arrow_schema().field(column.name) for column in COLUMNS if column.name not in PIXELS])
_AT_ONCE = 64
_README = "README.md"
_MOST_README = 16 << 20


@dataclass(frozen=True)
class Wish:
    """What is made of a corpus: `only` these datasets (none: all), what is redacted, and the datasets without captions."""

    only: tuple[str, ...] = ()
    redact: tuple[Redaction, ...] = ()
    silent: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Does the corpus stay as it is?"""
        return not (self.only or self.redact or self.silent)


def redacted(corpus: Corpus, wish: Wish, folder: Path, watch: Watch = NOBODY) -> Corpus:
    """Make that corpus in a folder; shards that are there already stay: a shard is there as a whole or not at all. Files
    that stay as they are get a second name."""
    renamed = _Renamed.of(corpus, wish)
    slugs = {found.slug: name for name, found in corpus.about.datasets.items()}
    kept = [shard for shard in corpus.shards if not wish.only or slugs.get(shard.dataset) in wish.only]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        watch.begin("only and redact", len(kept), 0, "shards")
        for number, shard in enumerate(kept, 1):
            target = folder / shard.name
            if not target.is_file():
                if wish.redact or renamed.cuts(corpus, shard) or slugs.get(shard.dataset) in wish.silent:
                    _write(corpus, shard, renamed, target)
                else:
                    link_or_copy(_local(corpus, shard.name), target)
            watch.at(number, shard.name)
        watch.end()
        files = {shard.name: listed(folder / shard.name, shard.rows) for shard in kept}
        pq.write_table(written_media(renamed.media(corpus.media)), folder / MEDIA, compression="zstd")
        files[MEDIA] = listed(folder / MEDIA)
        (folder / _README).write_text(_readme(corpus, wish, files), encoding="utf-8")
        files[_README] = listed(folder / _README)
        (folder / MANIFEST).write_bytes(manifest_bytes(_about(corpus, wish, files)))
    return Corpus(folder)


def _local(corpus: Corpus, name: str) -> Path:
    path = corpus.place.local(name)
    assert path is not None  # only corpora on this machine are published
    return path


@dataclass(frozen=True)
class _Renamed:
    """What becomes of media, ids and groups."""

    wish: Wish
    names: Mapping[Name, str]
    """New paths, where paths are redacted."""
    ids: Mapping[str, str]
    """New ids, of the rows that stay; old ones to themselves where names stay."""

    @classmethod
    def of(cls, corpus: Corpus, wish: Wish) -> _Renamed:
        names = _paths(corpus.media) if "paths" in wish.redact else {}
        ids: dict[str, str] = {}
        if names or wish.only:
            columns = ["id", "dataset", "media", "frame", "face"]
            for _, batch in corpus.batches(columns):
                for name, dataset, media, *at in zip(*(batch[each].to_pylist() for each in columns), strict=True):
                    if not wish.only or dataset in wish.only:
                        new = names.get((dataset, media)) if names else None
                        ids[name] = name if new is None else sample_id(dataset, new, *at)
        return cls(wish, names, ids)

    def cuts(self, corpus: Corpus, shard: Shard) -> bool:
        """Has a row of a shard its pair among the rows that go?"""
        if not self.wish.only:
            return False
        one = copy(corpus)
        one.shards = (shard,)
        return not all(each in self.ids for each in one.rows(["pair"])["pair"].drop_null().to_pylist())

    def path(self, dataset: str, media: str) -> str:
        """The new path of a medium; one that is in no table is named by the hash of its name."""
        if "paths" not in self.wish.redact:
            return media
        return self.names.get((dataset, media)) or f"m/{_hashed(dataset, media)[:32]}"

    def rows(self, table: pa.Table) -> pa.Table:
        """Columns of rows, or of the media table, as they are published."""
        rows = table.to_pylist()
        return pa.Table.from_pylist([self._row(row) for row in rows], table.schema)

    def media(self, table: pa.Table) -> pa.Table:
        """The media table."""
        if self.wish.only:
            table = table.filter(pc.is_in(table["dataset"], pa.array(self.wish.only)))
        if not self.wish.redact:
            return table
        found = self.rows(table).sort_by([("dataset", "ascending"), ("media", "ascending")])
        return found.cast(media_schema()).combine_chunks()

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        dataset = row["dataset"]
        if "identities" in self.wish.redact:
            row |= {"target_id": None, "source_id": None}
        silent = "captions" in self.wish.redact or dataset in self.wish.silent
        if silent and any(row.get(name) is not None for name in (*_CAPTIONS, "caption_status")):
            row |= dict.fromkeys(_CAPTIONS) | {"caption_status": WITHHELD}
        if "paths" in self.wish.redact:
            row["pair_media"] = row["pair_media"] and self._pair(dataset, row["pair_media"])
            row["group"] = row["group"] and self._group(row["group"])
            row["media"] = self.path(dataset, row["media"])
        if "id" in row and self.ids:
            row |= {"id": self.ids[row["id"]], "pair": self.ids.get(row["pair"])}
        return row

    def _pair(self, dataset: str, pair: str) -> str:
        other, colon, path = pair.partition(":")
        if colon and (dataset, pair) not in self.names and (other, path) in self.names:
            return f"{other}:{self.path(other, path)}"
        return self.path(dataset, pair)

    def _group(self, group: str) -> str:
        dataset, _, path = group.partition("/")
        return f"{dataset}/{self.path(dataset, path)}"


def _paths(media: pa.Table) -> dict[Name, str]:
    """New paths by medium. Copies of one medium are numbered, in the order of their names."""
    found: dict[Name, str] = {}
    taken: dict[tuple[str, str], int] = {}
    columns = (media[name].to_pylist() for name in ("dataset", "media", "media_sha256"))
    for dataset, path, sha256 in sorted(zip(*columns, strict=True), key=lambda row: row[:2]):
        new = f"m/{(sha256 or _hashed(dataset, path))[:32]}"
        number = taken[dataset, new] = taken.get((dataset, new), 0) + 1
        found[dataset, path] = new if number == 1 else f"{new}-{number}"
    return found


def _hashed(dataset: str, media: str) -> str:
    return hashlib.sha256(f"{dataset}\0{media}".encode()).hexdigest()


def _write(corpus: Corpus, shard: Shard, renamed: _Renamed, target: Path) -> None:
    one = copy(corpus)
    one.shards = (shard,)
    columns = renamed.rows(one.rows(_LIGHT.names))
    temporary = target.with_name(f"{target.name}.tmp")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_shard(temporary, columns, _pictures(one), [each for each in one.row_groups(shard) if each])
    fault("redacted_written", target, temporary)
    temporary.replace(target)


def _pictures(one: Corpus) -> Iterator[tuple[bytes, bytes | None]]:
    for _, batch in one.batches(PIXELS, _AT_ONCE):
        images, masks = (pc.struct_field(batch[name], "bytes").to_pylist() for name in PIXELS)
        yield from ((image or b"", mask) for image, mask in zip(images, masks, strict=True))


def _about(corpus: Corpus, wish: Wish, files: Mapping[str, Listed]) -> dict[str, Any]:
    """`mmidd.json`: that of the corpus, and what was left out."""
    said = dict(corpus.about.content)
    index = {name: dict(each) for name, each in said["index"].items() if not wish.only or name in wish.only}
    if "paths" in wish.redact:
        for each in index.values():
            if isinstance(each.get("lists"), list):
                each["lists"] = [
                    {key: value for key, value in found.items() if key not in ("path", "notes")}
                    for found in each["lists"]
                    if isinstance(found, dict)
                ]
    left = {"only": list(wish.only), "redacted": list(wish.redact), "without_captions": list(wish.silent)}
    told = {name: each.document() for name, each in files.items()}
    return {**said, "index": index, "files": told, "published": {key: value for key, value in left.items() if value}}


_LISTS = re.compile(r"^## Label files\n.*?(?=^## )", re.DOTALL | re.MULTILINE)


def _readme(corpus: Corpus, wish: Wish, files: Mapping[str, Listed]) -> str:
    """The corpus's README.md with the sizes of the new `files`, without the paths of label files, and with what was left
    out."""
    data = read_bytes(corpus.place, _README, _MOST_README) if _README in corpus.files else b""
    text = data.decode("utf-8", "replace")
    if "paths" in wish.redact:
        text = _LISTS.sub("", text)
    return partial(text, corpus.about, files, _left(wish))


def _left(wish: Wish) -> str:
    what = {"identities": "who is shown", "paths": "the names of files", "captions": "captions"}
    parts = [f"without {what[each]}" for each in wish.redact]
    parts += [f"without captions of {len(wish.silent)} datasets whose licences forbid derivatives"] if wish.silent else []
    parts += [f"of {len(wish.only)} datasets alone"] if wish.only else []
    return f"Made for publication from a larger corpus: {', '.join(parts)}. Tables below count what the build gave."
