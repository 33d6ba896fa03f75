"""What older revisions still hold that a publication has no more: which ones, how many rows, and what of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from mmidd.corpus.about import MEDIA
from mmidd.corpus.parquet import open_parquet
from mmidd.corpus.place import Folder, Place
from mmidd.corpus.place import Hub as Remote
from mmidd.errors import CorpusError, MmiddError, ShareError
from mmidd.share.card.picture import SAMPLES
from mmidd.share.hub.client import Hub, patiently
from mmidd.share.hub.repository import DATASET, Entry, stored, tree
from mmidd.share.hub.staged import Staged
from mmidd.share.publication.format import DATA, LABELS, PUBLICATION, Publication
from mmidd.share.publication.opened import open_publication

_ID = pa.schema([pa.field("id", pa.string())])


@dataclass(frozen=True)
class Holder:
    """A tag, branch or pull request that still holds rows which this version has no more (None: they cannot be read), or
    `also` what it withholds of the rows that it has: pixels, captions, what was redacted."""

    ref: str
    commit: str
    rows: int | None
    also: tuple[str, ...] = ()


def refs(hub: Hub) -> dict[str, str]:
    """The commits of all that can be read: branches, tags, pull requests."""
    found = patiently(
        hub,
        "list the branches and tags",
        lambda: hub.api.list_repo_refs(hub.repo, repo_type=DATASET, include_pull_requests=True),
    )
    kinds = (found.branches, found.tags, found.pull_requests or ())
    return {each.name if kind < 2 else each.ref: each.target_commit for kind, some in enumerate(kinds) for each in some}


def holders(hub: Hub, staged: Staged, main: str) -> list[Holder]:
    """Which revisions hold what this version has no more: rows, by the ids in their shards, each shard read once; and what
    their `publication.json` lets go and this one does not."""
    now = {each.sha256 for each in staged.files.values()}
    ids: frozenset[str] | None = None
    read: dict[str, frozenset[str]] = {}
    found = []
    for ref, commit in refs(hub).items():
        if ref == "main" or commit == main:
            continue
        there = tree(hub, commit)
        old = {name: each for name, each in there.items() if _is_told(name) and each.sha256 not in now}
        if not old:
            continue
        ids = _ids_of(Folder(staged.folder), staged.files, {}) if ids is None else ids
        try:
            gone: int | None = len(_ids_of(remote(hub, commit), old, read) - ids)
        except (CorpusError, ShareError):
            gone = None
        also = _withheld_now(remote(hub, commit), there, staged.publication)
        if gone == 0 and not also:
            continue
        if (gone is None or not any(map(_is_shard, old))) and not _are_stored(hub, old.values()):
            continue  # a squash has deleted them; names are left
        found.append(Holder(ref, commit, gone, also))
    return found


def _withheld_now(place: Place, files: Mapping[str, Entry], now: Publication) -> tuple[str, ...]:
    """What a revision shows of the datasets that this version has too, and this version does not."""
    if PUBLICATION not in files:
        return ("files of a version that was not finished",)
    try:
        then = open_publication(place).about
    except MmiddError:
        return ("files of a version that cannot be read",)
    here = {each.dataset: each for each in now.terms}
    both = [(each, here[each.dataset]) for each in then.terms if each.dataset in here]
    pixels = [old.dataset for old, new in both if old.pixels and not new.pixels]
    told = [f"pixels of {name}" for name in pixels]
    if "captions" not in (*then.redacted, *now.redacted):
        told += [f"captions of {old.dataset}" for old, new in both if old.captions and not new.captions]
    return (*told, *(each for each in now.redacted if each not in then.redacted))


def _are_stored(hub: Hub, files: Iterable[Entry]) -> bool:
    """Is any of them still in the large storage, or none of its files?"""
    there = {each.file_oid for each in stored(hub)}
    return any(each.sha256 is None or each.sha256 in there for each in files)


def remote(hub: Hub, commit: str) -> Place:
    """The repository at a commit, to be read in place."""
    from huggingface_hub import HfFileSystem

    address = f"hf://datasets/{hub.repo}@{commit}"
    return Remote(address, hub.repo, commit, HfFileSystem(endpoint=hub.api.endpoint))


def _is_told(name: str) -> bool:
    return _is_shard(name) or name in (MEDIA, SAMPLES)


def _is_shard(name: str) -> bool:
    return name.startswith((f"{DATA}/", f"{LABELS}/")) and name.endswith(".parquet")


def _ids_of(place: Place, files: Mapping[str, object], read: dict[str, frozenset[str]]) -> frozenset[str]:
    """The ids of the rows of shards; `read` holds those of shards by digest, read before."""
    found: set[str] = set()
    for name, each in files.items():
        if not _is_shard(name):
            continue
        key = each.sha256 if isinstance(each, Entry) and each.sha256 else name
        if key not in read:
            with open_parquet(place, name) as file:
                read[key] = frozenset(file.table(_ID)["id"].to_pylist())
        found |= read[key]
    return frozenset(found)
