"""What older revisions still hold of rows that a publication has no more: which ones, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from mmidd.corpus.parquet import open_parquet
from mmidd.corpus.place import Folder, Place
from mmidd.corpus.place import Hub as Remote
from mmidd.errors import CorpusError, ShareError
from mmidd.share.hub.client import Hub, patiently
from mmidd.share.hub.repository import DATASET, Entry, tree
from mmidd.share.hub.staged import Staged
from mmidd.share.publication.format import DATA, LABELS

_ID = pa.schema([pa.field("id", pa.string())])


@dataclass(frozen=True)
class Holder:
    """A tag, branch or pull request that still holds rows which this version has no more; None: they cannot be read."""

    ref: str
    commit: str
    rows: int | None


def refs(hub: Hub) -> dict[str, str]:
    """The commits of all that can be read: branches, tags, pull requests."""
    found = patiently(
        "list the branches and tags",
        lambda: hub.api.list_repo_refs(hub.repo, repo_type=DATASET, include_pull_requests=True),
    )
    kinds = (found.branches, found.tags, found.pull_requests or ())
    return {each.name if kind < 2 else each.ref: each.target_commit for kind, some in enumerate(kinds) for each in some}


def holders(hub: Hub, staged: Staged, main: str) -> list[Holder]:
    """Which revisions hold rows that this version has no more: by the ids in their shards, each shard read once."""
    now = {each.sha256 for each in staged.files.values()}
    ids: frozenset[str] | None = None
    read: dict[str, frozenset[str]] = {}
    found = []
    for ref, commit in refs(hub).items():
        if ref == "main" or commit == main:
            continue
        old = {name: each for name, each in tree(hub, commit).items() if _is_shard(name) and each.sha256 not in now}
        if not old:
            continue
        ids = _ids_of(Folder(staged.folder), staged.files, {}) if ids is None else ids
        try:
            gone: int | None = len(_ids_of(remote(hub, commit), old, read) - ids)
        except (CorpusError, ShareError):
            gone = None
        if gone != 0:
            found.append(Holder(ref, commit, gone))
    return found


def remote(hub: Hub, commit: str) -> Place:
    """The repository at a commit, to be read in place."""
    from huggingface_hub import HfFileSystem

    address = f"hf://datasets/{hub.repo}@{commit}"
    return Remote(address, hub.repo, commit, HfFileSystem(endpoint=hub.api.endpoint))


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
