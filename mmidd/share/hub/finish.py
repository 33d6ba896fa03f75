"""A checked pull request into main, main looked at again, and its version tagged."""

from __future__ import annotations

from mmidd.engine.faults import fault
from mmidd.errors import ShareError
from mmidd.share.hub.client import Hub, brought_about, patiently
from mmidd.share.hub.pull import Pull, is_merged, status
from mmidd.share.hub.repository import DATASET, head, tree
from mmidd.share.hub.served import digest
from mmidd.share.hub.staged import Staged
from mmidd.share.hub.upload import Change, is_there, missing
from mmidd.share.publication.format import PUBLICATION


def merge(hub: Hub, author: str, pull: Pull, staged: Staged, base: str, checked: str) -> str:
    """Merge the pull request, whose commit was `checked`, if main is still at `base`; gives main's commit.

    The Hub merges whatever is there: so it is looked at before, and main after. Raises ShareError for what moved meanwhile.
    """

    def act() -> None:
        now = hub.api.dataset_info(hub.repo)
        if not now.gated:
            raise ShareError(
                f"somebody took the gate of {hub.repo} away meanwhile; nothing of this publication is on main. Run the same "
                "command again: it sets the gate anew"
            )
        if now.sha != base:
            raise ShareError(
                f"main of {hub.repo} was changed by somebody else meanwhile; nothing of this publication is on it. Run the "
                "same command again: it begins on main as it is now"
            )
        if hub.api.dataset_info(hub.repo, revision=pull.revision).sha != checked:
            raise ShareError(
                f"pull request {pull.number} of {hub.repo} was changed by somebody else after it was checked; main was not "
                "touched. Run the same command again"
            )
        hub.api.merge_pull_request(hub.repo, pull.number, repo_type=DATASET)

    if pull.status == "draft":  # a draft cannot be merged, and what a program opens is one
        status(hub, author, pull.number, "open")
        fault("publish_opened", pull.number)
    brought_about(
        hub,
        f"merge pull request {pull.number}",
        lambda: is_merged(hub, author, pull.number),
        act,
    )
    fault("publish_merged", pull.number)
    commit = head(hub, "main")
    if (left := missing(tree(hub, commit), staged)) != Change(()):
        raise ShareError(
            f"main of {hub.repo} got other files while it was merged, such as {(left.adds + left.deletes)[0]}: it "
            f"is not the publication that was checked. Look at {hub.address}/commits/main; undo what is not yours, and "
            "run it again"
        )
    return commit


def tag(hub: Hub, name: str, commit: str, told: str) -> bool:
    """Tag a commit; False if there is such a tag already."""

    def look() -> bool | None:
        return True if name in tags(hub) else None

    if look():
        return False
    brought_about(
        hub,
        f"create the tag {name}",
        look,
        lambda: hub.api.create_tag(hub.repo, tag=name, tag_message=told, revision=commit, repo_type=DATASET),
    )
    fault("publish_tagged", name)
    return True


def check_tag(hub: Hub, staged: Staged) -> None:
    """Raises ShareError where the tag of this version is of another publication."""
    if not is_there(tree(hub, head(hub, staged.tag)), staged, PUBLICATION, staged.files[PUBLICATION]):
        raise ShareError(
            f"{hub.repo} has a tag {staged.tag} already, of something else. Delete it if it is not needed, then run the "
            "same command again"
        )


def tags(hub: Hub) -> dict[str, str]:
    """The commits of the tags."""
    found = patiently(hub, "list the tags", lambda: hub.api.list_repo_refs(hub.repo, repo_type=DATASET))
    return {each.name: each.target_commit for each in found.tags}


def read_back(hub: Hub, staged: Staged) -> str:
    """The commit of main, whose `publication.json` is fetched as any reader gets it. Raises ShareError if it is another."""
    commit, listed = head(hub, "main"), staged.files[PUBLICATION]
    if digest(hub, commit, PUBLICATION, listed) != (listed.bytes, listed.sha256):
        raise ShareError(
            f"main of {hub.repo} serves another {PUBLICATION} than was merged; look at {hub.address}/commits/main"
        )
    fault("publish_read_back", commit)
    return commit
