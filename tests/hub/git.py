"""What a Hub keeps: repositories of content-addressed commits, their refs and pull requests. No HTTP here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

MAIN = "refs/heads/main"
ATTRIBUTES = "".join(
    f"*.{end} filter=lfs diff=lfs merge=lfs -text\n" for end in ("parquet", "png", "jpg", "zip", "bin")
).encode()
LARGE_ENDS = (".parquet", ".png", ".jpg", ".zip", ".bin")
MOST_REGULAR = 10 << 20
"""Bytes of a file that the Hub takes as a regular one."""


class ApiError(Exception):
    """What the Hub answers instead: HTTP status, `X-Error-Code` (may be empty) and message."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass(frozen=True)
class Blob:
    """A file's content. `large`: kept by LFS or Xet (`xet` is its Xet hash, if it came that way)."""

    sha256: str
    size: int
    sha1: str
    large: bool = False
    xet: str | None = None

    @property
    def oid(self) -> str:
        """git's own name of it: of a large file that of the pointer."""
        return _git_oid(self.pointer) if self.large else self.sha1

    @property
    def pointer(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class Objects:
    """Contents by SHA-256, as files in a folder."""

    root: Path

    def put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        (self.root / sha256).write_bytes(data)
        return sha256

    def has(self, sha256: str) -> bool:
        return (self.root / sha256).exists()

    def read(self, sha256: str) -> bytes:
        return (self.root / sha256).read_bytes()

    def remove(self, sha256: str) -> None:
        (self.root / sha256).unlink(missing_ok=True)

    def blob(self, data: bytes, *, large: bool = False, xet: str | None = None) -> Blob:
        """Keep it, and say what it is."""
        return Blob(self.put(data), len(data), _git_oid(data), large, xet)


Tree = Mapping[str, Blob]


@dataclass(frozen=True)
class Commit:
    """A state of the files, and how it came."""

    tree: Tree
    parents: tuple[str, ...]
    title: str
    message: str
    author: str
    date: str
    number: int

    @property
    def oid(self) -> str:
        files = {path: blob.oid for path, blob in sorted(self.tree.items())}
        told = [files, self.parents, self.title, self.message, self.author, self.date, self.number]
        return hashlib.sha1(json.dumps(told).encode()).hexdigest()


Status = Literal["draft", "open", "closed", "merged"]


@dataclass
class Discussion:
    """A discussion or a pull request. `base`: where main was when it was opened."""

    num: int
    title: str
    author: str
    pull: bool
    status: Status
    base: str
    created: str
    merged: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Repo:
    """A dataset repository. `moves`: every state that every ref ever had, in order; `granted`: who was let in."""

    id: str
    private: bool
    gated: str | bool = False
    created: str = field(default_factory=now)
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    discussions: list[Discussion] = field(default_factory=list)
    granted: set[str] = field(default_factory=set)
    moves: list[tuple[str, str]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.id.partition("/")[0]

    def ref(self, revision: str) -> str | None:
        """The full name of a branch, a pull request or a tag."""
        names = (revision, f"refs/heads/{revision}", f"refs/tags/{revision}")
        return next((name for name in names if name in self.refs), None)

    def at(self, revision: str) -> tuple[str, Commit]:
        """Raises ApiError: 404 where there is no such ref, and no such commit that a ref still leads to."""
        ref = self.ref(revision)
        oid = self.refs[ref] if ref else revision
        if not ref and not (re.fullmatch("[0-9a-f]{40}", oid) and oid in set(self.reachable())):
            raise ApiError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return oid, self.commits[oid]

    def reachable(self) -> Iterator[str]:
        for ref in self.refs:
            yield from self.line(ref)

    def line(self, revision: str) -> list[str]:
        """The commits of a ref or commit, the newest first."""
        oid: str | None = self.refs.get(revision, revision)
        found = []
        while oid:
            found.append(oid)
            oid = next(iter(self.commits[oid].parents), None)
        return found

    def commit(
        self, ref: str, tree: Tree, title: str, *, message: str = "", author: str = "owner", parents: bool = True
    ) -> str:
        """Move a ref to a new commit, and give it."""
        before = (self.refs[ref],) if parents and ref in self.refs else ()
        made = Commit(dict(tree), before, title, message, author, now(), len(self.commits))
        self.commits[made.oid] = made
        self.move(ref, made.oid)
        return made.oid

    def move(self, ref: str, oid: str) -> None:
        self.refs[ref] = oid
        self.moves.append((ref, oid))

    def open(self, title: str, author: str, *, pull: bool, status: Status) -> Discussion:
        """Open a discussion; a pull request starts where main is."""
        made = Discussion(len(self.discussions) + 1, title, author, pull, status, self.refs[MAIN], now())
        self.discussions.append(made)
        if pull:
            self.move(f"refs/pr/{made.num}", made.base)
        return made

    def merged(self, pull: Discussion) -> tuple[dict[str, Blob], list[str]]:
        """The files that main has after a merge, and those that both sides changed in different ways."""
        base, theirs = self.commits[pull.base].tree, self.commits[self.refs[f"refs/pr/{pull.num}"]].tree
        ours = dict(self.commits[self.refs[MAIN]].tree)
        conflicts = []
        for path in sorted({*base, *theirs}):
            if base.get(path) == theirs.get(path):
                continue
            if ours.get(path) not in (base.get(path), theirs.get(path)):
                conflicts.append(path)
            if path in theirs:
                ours[path] = theirs[path]
            else:
                ours.pop(path, None)
        return ours, conflicts

    def without(self, shas: set[str]) -> None:
        """Write history again without some large files."""
        renamed: dict[str, str] = {}
        for oid, commit in list(self.commits.items()):  # parents come before their children
            tree = {path: blob for path, blob in commit.tree.items() if not (blob.large and blob.sha256 in shas)}
            parents = tuple(renamed.get(parent, parent) for parent in commit.parents)
            if tree != commit.tree or parents != commit.parents:
                made = replace(commit, tree=tree, parents=parents)
                self.commits[made.oid] = made
                renamed[oid] = made.oid
        for ref, oid in list(self.refs.items()):
            if oid in renamed:
                self.move(ref, renamed[oid])
