"""A staged publication to the Hub, step by step; each step looks what is so already, so a run that was killed goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mmidd.corpus.about import Listed
from mmidd.engine.faults import fault
from mmidd.errors import ShareError
from mmidd.share.hub.client import Hub
from mmidd.share.hub.finish import check_tag, merge, read_back, tag, tags
from mmidd.share.hub.pull import opened, title
from mmidd.share.hub.repository import CARD, MADE, Entry, Gate, State, is_stub, may_write, ready, seen_by, state, tree
from mmidd.share.hub.served import check_served, fetched
from mmidd.share.hub.staged import Staged
from mmidd.share.hub.upload import Change, Sent, missing, upload
from mmidd.share.publication.format import PUBLICATION, Publication

if TYPE_CHECKING:
    from mmidd.watch import Watch

Checked = Literal["served", "listed"]


@dataclass(frozen=True)
class Access:
    """Who may see the repository: `private` and `gated` None leave one that is there as it is."""

    private: bool | None
    gated: Gate | None


@dataclass(frozen=True)
class Released:
    """What came of sending: the commit of main and its tag, what was sent on which pull request (None: nothing was to be
    sent), how many files were fetched and hashed (0: the digests that the Hub lists were compared), and who may see it."""

    commit: str
    tag: str
    tagged: bool
    sent: Sent
    pull: int | None
    resumed: bool
    fetched: int
    private: bool
    gated: str


def check_ours(hub: Hub, found: State, held: Publication | None, name: str) -> None:
    """Raises ShareError for a repository with anything in it that a publication of this name did not put there. `held`: what
    its `publication.json` says."""
    listed = {MADE, *((PUBLICATION, *held.files) if held is not None else ())}
    others = sorted(found.files.keys() - listed)
    if held is None and others == [CARD] and is_stub(fetched(hub, found.commit, CARD, found.files[CARD].size)):
        return
    if held is not None and held.name != name:
        raise ShareError(f"{hub.repo} holds the publication of {held.name}, not of {name}; publish to another name")
    if others:
        told = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        raise ShareError(
            f"{hub.repo} holds files that no publication put there ({told}), so nothing is changed in it. Publish to "
            "another name, or remove them"
        )


@dataclass(frozen=True)
class Whole:
    """A version at its tag: the commit and its files."""

    commit: str
    files: Mapping[str, Entry]


def released_as(hub: Hub, found: State, held: Publication) -> Whole | None:
    """The version that main has, as it was tagged; None where no tag has it whole."""
    commit = tags(hub).get(f"v{held.version}")
    if commit is None:
        return None
    whole = Whole(commit, found.files if commit == found.commit else tree(hub, commit))
    is_whole = whole.files.get(PUBLICATION) == found.files[PUBLICATION] and not _others(whole.files, held)
    return whole if is_whole else None


def edited(found: State, held: Publication, whole: Whole | None) -> tuple[str, ...]:
    """Files of main that are not as its `publication.json` lists them, or not as they were tagged: they were edited or
    removed on the Hub. Without a tag an edit of a small file that kept its size is not seen."""
    other = _others(found.files, held)
    if whole is not None:
        other |= {name for name in held.files if found.files.get(name) != whole.files[name]}
    return tuple(sorted(other))


def _others(files: Mapping[str, Entry], held: Publication) -> set[str]:
    """Listed files that these are not, as far as a list of files tells."""

    def is_other(name: str, listed: Listed) -> bool:
        there = files.get(name)
        return there is None or there.size != listed.bytes or there.sha256 not in (None, listed.sha256)

    return {name for name, each in held.files.items() if is_other(name, each)}


def send(
    hub: Hub, author: str, found: State | None, previous: Publication | None, staged: Staged, access: Access, most: int,
    checked: Checked, watch: Watch,
) -> Released:  # fmt: skip
    """Publish: nothing is sent before the repository is private and gated, main gets all of it at once and only when the Hub
    serves what was staged. `found`: the repository as it was when `staged` was made on it (None: it was not there)."""
    if found is not None:
        may_write(hub)
    now = ready(hub, found, access.private, access.gated)
    if found is not None and now.commit != found.commit:
        raise ShareError(f"{hub.repo} was changed while the publication was made; run the same command again")
    there = tags(hub)
    commit = now.commit
    sent, number, resumed, read = Sent(0, 0, 0, commit), None, False, 0
    if missing(now.files, staged) != Change(()):
        if staged.tag in there:
            # Only of this very version, which main had and has no more as it was.
            check_tag(hub, staged)
        if previous is not None and previous.version < staged.publication.version and f"v{previous.version}" not in there:
            tag(hub, f"v{previous.version}", commit, f"{previous.name} v{previous.version}")
        pull, resumed = opened(hub, author, title(staged.publication.version, staged.digest, commit), commit)
        number = pull.number
        sent = upload(hub, pull.revision, staged, most, watch)
        if checked == "served":
            read = check_served(hub, sent.commit, staged.files, staged.notes, watch)
        fault("publish_verified", sent.commit)
        commit = merge(hub, author, pull, staged, now.commit, sent.commit)
    tagged = tag(hub, staged.tag, commit, staged.title)
    check_tag(hub, staged)
    commit = read_back(hub, staged)
    private, gated = _shown(hub, access)
    staged.notes.unlink(missing_ok=True)
    return Released(commit, staged.tag, tagged, sent, number, resumed, read, private, gated)


def _shown(hub: Hub, access: Access) -> tuple[bool, str]:
    """Make the repository visible if that was asked for, which is the last step; who may see it now."""
    now = state(hub)
    if now is None:
        raise ShareError(f"{hub.repo} is gone: somebody else removed it just now")
    if access.private is False:
        now = seen_by(hub, now, False, now.gated)
        fault("publish_public", hub.repo)
    return now.private, str(now.gated or "no")
