"""What older revisions still hold of rows and pixels that a publication has no more: which ones, and of how many rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa

from mmidd.corpus.parquet import open_parquet
from mmidd.corpus.place import Folder, Place
from mmidd.corpus.place import Hub as Remote
from mmidd.errors import CorpusError, ShareError
from mmidd.share.hub.client import Hub, patiently
from mmidd.share.hub.repository import DATASET, Entry, stored, tree
from mmidd.share.hub.served import fetched
from mmidd.share.hub.staged import Staged
from mmidd.share.publication.format import DATA, LABELS, MOST_BYTES, PUBLICATION
from mmidd.share.publication.written import parsed

_ID = pa.schema([pa.field("id", pa.string())])


@dataclass(frozen=True)
class Holder:
    """A tag, branch or pull request that still holds what this version has no more: so many rows, or their pixels, or what
    was redacted of them. None: they cannot be read."""

    ref: str
    commit: str
    rows: int | None


@dataclass(frozen=True)
class _Ids:
    """Of the rows of a revision, and of those that have their pixels."""

    rows: frozenset[str]
    pixels: frozenset[str]


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
    """Which revisions hold what this version has no more: rows and pixels, by the ids in their shards, each shard read once;
    and all rows of one that was less redacted."""
    now = {each.sha256 for each in staged.files.values()}
    ids: _Ids | None = None
    read: dict[str, frozenset[str]] = {}
    found = []
    for ref, commit in refs(hub).items():
        if ref == "main" or commit == main:
            continue
        every = tree(hub, commit)
        old = {name: each for name, each in every.items() if _is_shard(name) and each.sha256 not in now}
        if not old:
            continue
        ids = _ids_of(Folder(staged.folder), staged.files, {}) if ids is None else ids
        try:
            had = _ids_of(remote(hub, commit), old, read)
            is_bare = not _redacted(hub, commit, every, staged.publication.redacted)
            gone: int | None = len(had.rows if is_bare else (had.rows - ids.rows) | (had.pixels - ids.pixels))
        except (CorpusError, ShareError):
            if not {each.sha256 for each in old.values()} & {each.file_oid for each in stored(hub)}:
                continue  # a squash has deleted them; names are left
            gone = None
        if gone != 0:
            found.append(Holder(ref, commit, gone))
    return found


def _redacted(hub: Hub, commit: str, files: Mapping[str, Entry], what: Collection[str]) -> bool:
    """Was all this redacted of the publication at a commit? Where that cannot be read it was not."""
    try:
        size = min(files[PUBLICATION].size, MOST_BYTES) if what else 0
        return not what or {*what} <= {*parsed(fetched(hub, commit, PUBLICATION, size), hub.address).redacted}
    except (KeyError, ShareError):
        return False


def remote(hub: Hub, commit: str) -> Place:
    """The repository at a commit, to be read in place."""
    from huggingface_hub import HfFileSystem

    address = f"hf://datasets/{hub.repo}@{commit}"
    return Remote(address, hub.repo, commit, HfFileSystem(endpoint=hub.api.endpoint))


def _is_shard(name: str) -> bool:
    return name.startswith((f"{DATA}/", f"{LABELS}/")) and name.endswith(".parquet")


def _ids_of(place: Place, files: Mapping[str, object], read: dict[str, frozenset[str]]) -> _Ids:
    """The ids of the rows of shards; `read` holds those of shards by digest, read before."""
    rows, pixels = set[str](), set[str]()
    for name, each in files.items():
        if not _is_shard(name):
            continue
        key = each.sha256 if isinstance(each, Entry) and each.sha256 else name
        if key not in read:
            with open_parquet(place, name) as file:
                read[key] = frozenset(file.table(_ID)["id"].to_pylist())
        rows |= read[key]
        if name.startswith(f"{DATA}/"):
            pixels |= read[key]
    return _Ids(frozenset(rows), frozenset(pixels))
