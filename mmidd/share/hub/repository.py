"""The repository: what is in it and whose it is; made private, gated, and looked at again before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmidd.corpus.about import Listed
from mmidd.engine.faults import fault
from mmidd.errors import ShareError
from mmidd.share.hub.client import Hub, Moved, brought_about, patiently

Gate = Literal["auto", "manual"]
DATASET = "dataset"
MADE = ".gitattributes"
"""The file that the Hub itself puts into a new repository: it says which files lie in its large storage."""
CARD = "README.md"
_STUB = 4096


@dataclass(frozen=True)
class Entry:
    """A file of a commit: bytes, git's own digest of it, and the sha256 if it lies in the large storage."""

    size: int
    oid: str
    sha256: str | None

    def same(self, listed: Listed, path: Path) -> bool:
        """Are its bytes those listed? The sha256 says it; of a small file git's digest, taken of the local `path`."""
        if self.size != listed.bytes:
            return False
        return self.sha256 == listed.sha256 if self.sha256 else self.oid == git_oid(path)


@dataclass(frozen=True)
class State:
    """A repository as it is now: main's commit and files, and who may see it."""

    commit: str
    private: bool
    gated: str | bool
    files: Mapping[str, Entry]


def git_oid(path: Path) -> str:
    """Git's digest of a file."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def head(hub: Hub, revision: str) -> str:
    """The commit of a branch, tag or pull request."""
    return str(patiently(hub, f"find {revision}", lambda: hub.api.dataset_info(hub.repo, revision=revision).sha))


def tree(hub: Hub, revision: str) -> dict[str, Entry]:
    """The files of a revision."""

    def listed() -> dict[str, Entry]:
        found = hub.api.list_repo_tree(hub.repo, recursive=True, revision=revision, repo_type=DATASET)
        return {each.path: _entry(each) for each in found if hasattr(each, "blob_id")}

    return patiently(hub, "list the repository's files", listed)


def stored(hub: Hub) -> list[Any]:
    """The files in the large storage, of whatever version: `file_oid` is the sha256."""
    return patiently(hub, "list the large files", lambda: list(hub.api.list_lfs_files(hub.repo, repo_type=DATASET)))


def _entry(found: Any) -> Entry:
    return Entry(found.size, found.blob_id, None if found.lfs is None else found.lfs.sha256)


def state(hub: Hub) -> State | None:
    """The repository; None where there is none that this token may see. Raises ShareError if it has another name now."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    def look() -> Any:
        try:
            return hub.api.dataset_info(hub.repo)
        except GatedRepoError:
            raise
        except RepositoryNotFoundError:
            return None

    info = patiently(hub, "look at the repository", look)
    if info is None:
        return None
    if info.id != hub.repo:
        raise ShareError(f"the Hub calls {hub.repo} {info.id} now; publish to that name")
    return State(str(info.sha), bool(info.private), info.gated or False, tree(hub, str(info.sha)))


def user(hub: Hub) -> str:
    """Who the token is of. Raises ShareError for one that may only read."""
    found = patiently(hub, "ask whose token this is", hub.api.whoami)
    role = ((found.get("auth") or {}).get("accessToken") or {}).get("role")
    if role == "read":
        raise ShareError(
            "the token of the Hub may only read: make one that may write at https://huggingface.co/settings/tokens, "
            "then `hf auth login`, or set HF_TOKEN"
        )
    return str(found["name"])


def may_write(hub: Hub) -> None:
    """Raises ShareError for a token that may not write to the repository."""
    patiently(hub, f"write to {hub.repo}", lambda: hub.api.auth_check(hub.repo, repo_type=DATASET, write=True))


def ready(hub: Hub, found: State | None, private: bool | None, gate: Gate | None) -> State:
    """The repository, made if it is not there: private, and gated before it has a byte of a corpus; both read back.

    One that is there stays as visible as it is, unless `private`; an ungated one is gated.
    """
    if found is None:
        found = brought_about(hub, f"create {hub.repo}", lambda: state(hub), lambda: _create(hub))
        if found.files.keys() - {MADE, CARD}:
            raise ShareError(f"{hub.repo} was made by somebody else just now; run the same command again")
        private = True
    fault("publish_created", hub.repo)
    wanted = gate or (found.gated if found.gated in ("auto", "manual") else "manual")
    found = seen_by(hub, found, True if private else found.private, wanted)
    fault("publish_gated", hub.repo)
    return found


def _create(hub: Hub) -> None:
    hub.api.create_repo(hub.repo, repo_type=DATASET, private=True)


def seen_by(hub: Hub, found: State, private: bool, gate: str | bool) -> State:
    """Set who may see the repository, in one request, and read it back. Raises ShareError where the Hub did not take it."""
    if (found.private, found.gated) == (private, gate):
        return found
    wanted: Any = gate
    try:
        patiently(
            hub,
            "set who may see the repository",
            lambda: hub.api.update_repo_settings(hub.repo, gated=wanted, private=private, repo_type=DATASET),
        )
    except Moved as error:
        raise ShareError(f"the Hub did not take the settings of {hub.repo} ({error}); run the same command again") from None
    now = state(hub)
    if now is None or (now.private, now.gated) != (private, gate):
        told = "gone" if now is None else f"private: {now.private}, gated: {now.gated or 'no'}"
        raise ShareError(
            f"{hub.repo} is not as it was set (wanted private: {private}, gated: {gate}; it is {told}). Set "
            f"it at {hub.address}/settings, then run the same command again"
        )
    return now


def is_stub(card: bytes) -> bool:
    """Is this README.md what the Hub's form for a new dataset writes: front matter, and headings at most?"""
    text = card.decode("utf-8", "replace").replace("\r\n", "\n")
    if text.startswith("---\n"):
        _, _, text = text[4:].partition("\n---")
    return len(card) < _STUB and all(not line.strip() or line.startswith("#") for line in text.split("\n"))
