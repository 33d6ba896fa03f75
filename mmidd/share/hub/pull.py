"""The pull request that a publication is sent on: one a publication and state of main, ours alone, resumed while open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmidd.engine.faults import fault
from mmidd.share.hub.client import Hub, brought_about, patiently
from mmidd.share.hub.repository import DATASET

_OURS = "mmidd publication "
_OPEN = ("open", "draft")


@dataclass(frozen=True)
class Pull:
    """A pull request: its number and status (draft, open, merged, closed)."""

    number: int
    status: str
    title: str

    @property
    def revision(self) -> str:
        """Its branch."""
        return f"refs/pr/{self.number}"


def title(version: int, digest: str, base: str) -> str:
    """Of the pull request of this version: by what is published, and on which commit of main."""
    return f"{_OURS}v{version} {digest[:16]} on {base[:12]}"


def pulls(hub: Hub, author: str) -> list[Pull]:
    """Our pull requests, the oldest first. One of somebody else is none of ours, whatever its title."""

    def listed() -> list[Any]:
        return list(hub.api.get_repo_discussions(hub.repo, discussion_type="pull_request", repo_type=DATASET))

    found = [each for each in patiently("list the pull requests", listed) if each.is_pull_request and each.author == author]
    return sorted((Pull(each.num, each.status, each.title) for each in found if each.title.startswith(_OURS)),
                  key=lambda each: each.number)  # fmt: skip


def opened(hub: Hub, author: str, name: str, base: str) -> tuple[Pull, bool]:
    """The open pull request of this title, and whether it was there before; those of ours on other commits of main are
    closed, for they can never be merged."""
    mine = pulls(hub, author)
    for each in mine:
        if each.status in _OPEN and not each.title.endswith(f" on {base[:12]}"):
            status(hub, author, each.number, "closed")
    was = _named(mine, name)
    describe = "Made by mmidd publish, which checks and merges it. Nothing else may be added to it."
    found = was or brought_about(
        "open a pull request",
        lambda: _named(pulls(hub, author), name),
        lambda: hub.api.create_pull_request(hub.repo, name, description=describe, repo_type=DATASET),
    )
    fault("publish_pull_request", found.number)
    return found, was is not None


def _named(found: list[Pull], name: str) -> Pull | None:
    return next((each for each in found if each.title == name and each.status in _OPEN), None)


def status(hub: Hub, author: str, number: int, wanted: Any) -> None:
    """Open a draft, or close a pull request."""

    def look() -> bool | None:
        return any(each.number == number and each.status == wanted for each in pulls(hub, author)) or None

    brought_about(
        f"make pull request {number} {wanted}",
        look,
        lambda: hub.api.change_discussion_status(hub.repo, number, wanted, repo_type=DATASET),
    )


def is_merged(hub: Hub, author: str, number: int) -> bool | None:
    """True, or None."""
    return any(each.number == number and each.status == "merged" for each in pulls(hub, author)) or None
