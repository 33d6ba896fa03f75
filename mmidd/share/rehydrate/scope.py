"""What is to be rehydrated: the shards that are asked for, the media that they need, and where those are looked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from mmidd.corpus.about import Shard
from mmidd.errors import UsageError
from mmidd.options import words_of
from mmidd.raw.cache import Cache
from mmidd.raw.path import Place, root_of
from mmidd.share.publication.format import data_name
from mmidd.share.rehydrate.fetched import Fetched, fetched
from mmidd.share.rehydrate.finding import Found, find
from mmidd.share.rehydrate.found import Wanted
from mmidd.share.rehydrate.rows import check_ids
from mmidd.share.rehydrate.wanted import OF_ROWS, wanted_media
from mmidd.watch import Watch


@dataclass(frozen=True)
class Scope:
    """What is to be rehydrated: the shards that are asked for and the `others`, the media they need, where those are."""

    source: Fetched
    shards: Sequence[Shard]
    others: Sequence[Shard]
    wanted: Sequence[Wanted]
    data: Place
    work: Path
    follow: Sequence[Path]

    @property
    def built_with(self) -> dict[str, str]:
        """The digests of the manifests that the corpus was built with, by dataset."""
        known = self.source.opened.corpus.content.get("manifests")
        return {str(name): str(each) for name, each in known.items()} if isinstance(known, dict) else {}

    def find(self, watch: Watch) -> Found:
        """Find the media."""
        return find(self.wanted, self.data, self.work, built_with=self.built_with, follow=self.follow, watch=watch)


def scope_of(
    where: str | Path, data: str | Path, work: Path, only: str | Sequence[str], manifests: str | Sequence[str],
    follow: str | Path | Sequence[str | Path], watch: Watch,
) -> Scope:  # fmt: skip
    """What `rehydrate` and `check` were asked for. Raises UsageError, ShareError and CorpusError as they do."""
    only, manifests, follow = words_of(only), words_of(manifests), words_of(follow)
    if manifests:
        from mmidd.recipe import know_manifests

        know_manifests(manifests)
    source = fetched(where, work, watch)
    if source.hub is None and work.resolve().is_relative_to(source.folder.resolve()):
        raise UsageError(f"--out lies in the publication's folder {source.folder}; choose another place for the corpus")
    if not source.opened.complete:
        check_ids(source.opened)
    shards, others = _chosen(source, only)
    opened = source.opened
    pixels = {each.dataset for each in opened.about.terms if each.pixels}
    names = [each for each in OF_ROWS if each in opened.schema.names]
    labels = columns(source, [each for each in shards if data_name(each.name) not in opened.pixels], names)
    wanted = wanted_media(labels, opened.media, pixels)
    return Scope(source, shards, others, wanted, root_of(data, Cache.of(work)), work, tuple(map(Path, follow)))


def _chosen(source: Fetched, only: Sequence[str]) -> tuple[list[Shard], list[Shard]]:
    """The shards of the datasets that are asked for, by name or slug; and the others."""
    slugs = {each.dataset: each.slug for each in source.opened.about.terms}
    known = {*slugs, *slugs.values()}
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f"--only {unknown[0]}: the publication has {', '.join(sorted(slugs))}")
    wanted = {slugs.get(name, name) for name in only} or set(slugs.values())
    shards = source.opened.shards
    return [each for each in shards if each.dataset in wanted], [each for each in shards if each.dataset not in wanted]


def columns(source: Fetched, shards: Sequence[Shard], names: Sequence[str]) -> Iterator[pa.Table]:
    """These columns of shards, one after the other."""
    opened = source.opened
    schema = pa.schema([opened.schema.field(each) for each in names])
    return (pa.Table.from_batches(list(opened.batches(shard, names)), schema) for shard in shards)
