"""A publication's files to a pull request, in commits of bounded size, each on the one before; what is there is not sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmidd.corpus.about import Listed
from mmidd.engine.faults import fault
from mmidd.errors import ShareError
from mmidd.share.hub.client import Hub, brought_about
from mmidd.share.hub.repository import DATASET, MADE, Entry, head, tree
from mmidd.share.hub.staged import Staged
from mmidd.share.publication.format import PUBLICATION
from mmidd.watch import Watch

MOST_FILES = 100
"""Of one commit: the Hub advises fifty to a hundred."""
_PIECE = 1 << 29


@dataclass(frozen=True)
class Change:
    """What a commit does: files added or replaced, files deleted."""

    adds: tuple[str, ...]
    deletes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sent:
    """What was sent: files, their bytes, commits; and the commit that holds it all."""

    files: int
    bytes: int
    commits: int
    commit: str


def missing(files: Mapping[str, Entry], staged: Staged) -> Change:
    """What makes these files the publication. `.gitattributes` is the Hub's own."""
    adds = [name for name, each in staged.files.items() if not is_there(files, staged, name, each)]
    deletes = sorted(name for name in files if name not in staged.files and name != MADE)
    return Change(tuple(sorted(adds, key=_order)), tuple(deletes))


def is_there(files: Mapping[str, Entry], staged: Staged, name: str, listed: Listed) -> bool:
    """Is the file among these, with its bytes?"""
    return name in files and files[name].same(listed, staged.folder / name)


def _order(name: str) -> tuple[bool, bool, str]:
    """The card first, which the Hub may refuse; `publication.json` last."""
    return name == PUBLICATION, "/" in name, name


def batches(change: Change, files: Mapping[str, Listed], most: int) -> list[Change]:
    """Commits of at most so many bytes (a larger file is one of its own), and of a hundred files; the last one deletes."""
    found, held, size = [], list[str](), 0
    for name in change.adds:
        if held and (size + files[name].bytes > most or len(held) == MOST_FILES):
            found.append(Change(tuple(held)))
            held, size = [], 0
        held.append(name)
        size += files[name].bytes
    return [*found, Change(tuple(held), change.deletes)] if held or change.deletes else found


def upload(hub: Hub, revision: str, staged: Staged, most: int, watch: Watch) -> Sent:
    """Make the files of the pull request the publication's."""
    todo = batches(missing(tree(hub, head(hub, revision)), staged), staged.files, most)
    size = sum(staged.files[name].bytes for each in todo for name in each.adds)
    total = sum(each.bytes for each in staged.files.values())
    going = {name for each in todo for name in each.adds}

    def at(names: list[str]) -> None:
        going.difference_update(names)
        watch.at(total - sum(staged.files[name].bytes for name in going), names[-1])

    watch.begin("upload", total, total - size, "bytes")
    try:
        for number, each in enumerate(todo, 1):
            told = f"{staged.title} ({number} of {len(todo)})" if len(todo) > 1 else staged.title
            _commit(hub, revision, staged, each, told, at)
            fault("publish_committed", number)
    finally:
        watch.end()
    commit = head(hub, revision)
    if (left := missing(tree(hub, commit), staged)) != Change(()):
        raise ShareError(
            f"the pull request {revision} of {hub.repo} was changed while it was filled ({(left.adds + left.deletes)[0]}); "
            "main was not touched. Run the same command to go on"
        )
    fault("publish_sent", revision)
    return Sent(sum(len(each.adds) for each in todo), size, len(todo), commit)


def _commit(hub: Hub, revision: str, staged: Staged, change: Change, told: str, at: Callable[[list[str]], None]) -> None:
    """One commit on top of the pull request: looked for, made, looked for again."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    parent = ""

    def look() -> bool | None:
        nonlocal parent
        parent = head(hub, revision)
        files = tree(hub, parent)
        return (
            all(is_there(files, staged, name, staged.files[name]) for name in change.adds)
            and not any(name in files for name in change.deletes)
        ) or None

    def act() -> None:
        adds = [CommitOperationAdd(name, staged.folder / name) for name in change.adds]
        for piece in _pieces(adds, staged.files):
            hub.api.preupload_lfs_files(hub.repo, piece, repo_type=DATASET, revision=revision, free_memory=False)
            at([each.path_in_repo for each in piece])
        fault("publish_uploaded", told)
        deletes = [CommitOperationDelete(name, is_folder=False) for name in change.deletes]
        hub.api.create_commit(
            hub.repo, [*adds, *deletes], commit_message=told, repo_type=DATASET, revision=revision, parent_commit=parent,
        )  # fmt: skip

    brought_about(hub, f"send {len(change.adds)} files to {revision}", look, act)


def _pieces(adds: list[Any], files: Mapping[str, Listed]) -> Iterator[list[Any]]:
    """Some half a gigabyte at once, so that whoever watches sees it move."""
    held, size = list[Any](), 0
    for each in adds:
        held.append(each)
        size += files[each.path_in_repo].bytes
        if size >= _PIECE:
            yield held
            held, size = [], 0
    if held:
        yield held
