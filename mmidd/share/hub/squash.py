"""The owner's act after a takedown: every version but this one is lost, its commits, tags and large files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmidd.engine.faults import fault
from mmidd.errors import ShareError
from mmidd.share.hub.client import Hub, brought_about, patiently
from mmidd.share.hub.finish import tag, tags
from mmidd.share.hub.pull import pulls, status
from mmidd.share.hub.repository import DATASET, head, stored, tree
from mmidd.share.hub.staged import Staged
from mmidd.share.hub.upload import Change, missing


@dataclass(frozen=True)
class Squash:
    """What is lost, or was: tags, commits before main's last, large files that main does not hold and their bytes."""

    tags: tuple[str, ...]
    commits: int
    files: int
    bytes: int

    def __bool__(self) -> bool:
        return bool(self.tags or self.commits or self.files)


def forecast(hub: Hub, kept: str) -> Squash:
    """What a squash would take away, of a repository whose last version has the tag `kept`."""
    stale = _stale(hub)
    old = tuple(sorted(tags(hub).keys() - {kept}))
    return Squash(old, _commits(hub) - 1, len(stale), sum(each.size or 0 for each in stale))


def squash(hub: Hub, author: str, staged: Staged) -> Squash:
    """Make main's last commit its only one, delete every other tag and every large file that main does not hold.

    Main must hold the publication. Killed, it goes on from where it was. Raises ShareError if main is another after it.
    """
    lost = forecast(hub, staged.tag)
    if not lost:
        return lost
    for each in pulls(hub, author):
        if each.status in ("open", "draft"):
            status(hub, author, each.number, "closed")
    _delete_tags(hub, tags(hub))  # this version's too: what it is on has the others before it
    fault("squash_tags")
    brought_about(
        hub,
        "squash main's history",
        lambda: True if _commits(hub) == 1 else None,
        lambda: hub.api.super_squash_history(
            hub.repo, branch="main", commit_message=staged.title, repo_type=DATASET,
        ),
    )  # fmt: skip
    fault("squash_squashed")
    brought_about(
        hub,
        "delete files of older versions",
        lambda: None if _stale(hub) else True,
        lambda: hub.api.permanently_delete_lfs_files(hub.repo, _stale(hub), repo_type=DATASET),
    )
    fault("squash_deleted")
    commit = head(hub, "main")
    if missing(tree(hub, commit), staged) != Change(()):
        raise ShareError(
            f"main of {hub.repo} is not the publication after its history was squashed; run the same command again"
        )
    tag(hub, staged.tag, commit, staged.title)
    return lost


def _delete_tags(hub: Hub, names: Iterable[str]) -> None:
    def gone(name: str) -> bool | None:
        return None if name in tags(hub) else True

    for name in names:
        delete = partial(hub.api.delete_tag, hub.repo, tag=name, repo_type=DATASET)
        brought_about(hub, f"delete the tag {name}", partial(gone, name), delete)


def _commits(hub: Hub) -> int:
    return len(patiently(hub, "list the commits", lambda: hub.api.list_repo_commits(hub.repo, repo_type=DATASET)))


def _stale(hub: Hub) -> list[Any]:
    """Files in the large storage that main does not hold."""
    held = {each.sha256 for each in tree(hub, head(hub, "main")).values()}
    return [each for each in stored(hub) if each.file_oid not in held]
