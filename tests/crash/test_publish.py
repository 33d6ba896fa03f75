"""Publishing that is killed anywhere, or meets a Hub that fails anywhere, ends with the same repository; main has complete
versions only, all the while; nothing is sent before it is private and gated; the token is told nobody."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hub.git import Blob
from hub.server import Hub
from hub.watch import watched

from .conftest import LONG, Commands, Ground

REPO = "lab/faces"
EMPTY = {".gitattributes"}
POINTS = (
    "publish_staged", "publish_created", "publish_gated", "publish_pull_request", "publish_uploaded", "publish_committed",
    "publish_sent", "publish_checked", "publish_verified", "publish_opened", "publish_merged", "publish_tagged",
    "publish_read_back", "publish_public",
)  # fmt: skip
SENDS = ("preupload", "xet-write", "xet-xorb", "xet-shard", "commit", "lfs-batch", "lfs-put")


@dataclass(frozen=True)
class Desk:
    """Where one publishes from: a corpus of the test's own, and the Hub it goes to."""

    root: Path
    hub: Hub
    commands: Commands

    @property
    def log(self) -> Path:
        return self.root / "log.txt"

    def told(self) -> str:
        """What was said since the last run began."""
        return self.log.read_text() if self.log.exists() else ""

    def start(self, order: str | None = None, *more: str, xet: bool = True) -> int:
        """Begin to publish; gives the process."""
        self.log.unlink(missing_ok=True)
        words = ["publish", str(self.root / "corpus"), REPO, "--public", "--commit-bytes", "40000", *more]
        return self.commands.start(words, self.log, order, False, **self.hub.env(self.root / "home", xet=xet))

    def run(self, order: str | None = None, *more: str, xet: bool = True) -> int:
        """Publish; gives the exit code."""
        self.start(order, *more, xet=xet)
        code = self.commands.end()
        self.check_words()
        return code

    def check_words(self) -> None:
        """Nothing secret and no traceback was said."""
        told = self.told()
        assert "Traceback" not in told, told
        secret = (self.hub.token, "Signature=", *self.hub.xet.tokens)
        assert not [each for each in secret if each in told], told

    def settle(self, digest: str, *, again: bool = True) -> None:
        """The next run ends as it should, and one more (`again`) finds nothing to do."""
        self.hub.faults.clear()
        assert self.run() == 0, self.told()
        assert self.hub.digest(REPO) == self.hub.digest(REPO, "v1") == digest
        repo = self.hub.repos[REPO]
        assert (repo.private, repo.gated) == (False, "manual")
        assert len(self.hub.states(REPO)) == 2, "more than one commit on main"
        assert [each.status for each in repo.discussions if each.status not in ("closed", "merged")] == []
        self.check_order()
        if not again:
            return
        done = len(self.hub.log)
        assert self.run() == 0, self.told()
        assert [each for each in self.hub.log[done:] if each.method in ("POST", "PUT", "DELETE")] == []

    def check_order(self) -> None:
        """Whatever was sent went to a repository that was private and gated."""
        sent = [each for each in self.hub.log if each.route in SENDS and each.repo]
        assert all(each.private and each.gated for each in sent), sent


def whole(digest: str) -> Callable[[Mapping[str, Blob]], str | None]:
    """Has a state of main all of the publication, or nothing?"""
    import hashlib

    def look(tree: Mapping[str, Blob]) -> str | None:
        files = sorted((path, blob.sha256) for path, blob in tree.items())
        found = hashlib.sha256(repr(files).encode()).hexdigest()
        return None if {*tree} == EMPTY or found == digest else f"a part of it: {sorted(tree)}"

    return look


@pytest.fixture
def desk(hub: Hub, ground: Ground, commands: Commands, tmp_path: Path) -> Desk:
    shutil.copytree(ground.finished.out, tmp_path / "corpus")
    hub.page = 5
    return Desk(tmp_path, hub, commands)


@dataclass(frozen=True)
class Straight:
    """What a run that nothing disturbs gives: the digest of the files, its requests by route, and how long it took."""

    digest: str
    routes: tuple[str, ...]
    seconds: float


@pytest.fixture(scope="module")
def straight(ground: Ground, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Straight]:
    root = tmp_path_factory.mktemp("straight")
    shutil.copytree(ground.finished.out, root / "corpus")
    hub = Hub(root / "hub")
    hub.page = 5
    desk, began = Desk(root, hub, commands), time.monotonic()
    assert desk.run() == 0, desk.told()
    yield Straight(hub.digest(REPO), tuple(each.route for each in hub.log), time.monotonic() - began)
    hub.close()
    assert not hub.wrong


def test_a_run_without_a_break(desk: Desk, straight: Straight) -> None:
    with watched(desk.hub, REPO, whole(straight.digest)) as seen:
        desk.settle(straight.digest)
    assert set(seen) <= set(desk.hub.states(REPO))
    assert len(desk.hub.asked("commit")) > 2, "it should have gone in several commits"


def test_large_files_by_lfs(desk: Desk, straight: Straight) -> None:
    assert desk.run(xet=False) == 0, desk.told()
    assert desk.hub.digest(REPO) == straight.digest and desk.hub.asked("lfs-put") and not desk.hub.asked("xet-write")


@pytest.mark.parametrize("point", POINTS if LONG else ("publish_uploaded", "publish_merged"))
def test_killed_at_a_fault_point(point: str, desk: Desk, straight: Straight) -> None:
    tally = desk.root / "tally"
    with watched(desk.hub, REPO, whole(straight.digest)):
        code = desk.run(f"{point}:1:kill:{tally}")
        assert tally.exists() and code == -signal.SIGKILL, desk.told()
        desk.settle(straight.digest)


MOMENTS = ("before", "after")
"""A client is killed when its request comes, before anything is done; or when it is done, before the answer."""


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("part", range(24 if LONG else 1))
def test_killed_at_any_request(part: int, moment: str, desk: Desk, straight: Straight) -> None:
    parts = 24 if LONG else 1
    number = random.Random(f"{part} {moment}").randrange(
        part * len(straight.routes) // parts, max(1, (part + 1) * len(straight.routes) // parts)
    )
    pids: list[int] = []

    def kill() -> None:
        os.kill(pids[0], signal.SIGKILL)

    with watched(desk.hub, REPO, whole(straight.digest)):
        fault = desk.hub.fault("*", skip=number, **{moment: kill})
        pids.append(desk.start())
        code = desk.commands.end()
        desk.check_words()
        assert code == -signal.SIGKILL or not fault.met, desk.told()
        desk.settle(straight.digest)


@pytest.mark.parametrize("seed", range(20 if LONG else 1))
def test_killed_at_a_random_moment(seed: int, desk: Desk, straight: Straight) -> None:
    with watched(desk.hub, REPO, whole(straight.digest)):
        pid = desk.start()
        time.sleep(random.Random(seed).uniform(0, straight.seconds))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            assert straight.seconds > 0  # it was done by then
        desk.commands.end()
        desk.check_words()
        desk.settle(straight.digest)


HOW: tuple[dict[str, Any], ...] = (
    {"status": 429, "retry_after": 0, "times": 2},
    {"status": 500},
    {"drop": "before"},
    {"drop": "reading"},
    {"drop": "after"},
    {"drop": "middle"},
    {"wrong": True},
    {"slow": 1.0},
    {"status": 403, "times": 99},
    {"wrong": True, "times": 99},
)
ROUTES = (
    "whoami", "info", "create", "settings", "tree", "refs", "discussions", "discussion-create", "discussion", "status",
    "validate-yaml", "preupload", "xet-write", "xet-chunk", "xet-grant", "xet-xorb", "xet-shard", "commit", "resolve",
    "store", "merge", "tag-create",
)  # fmt: skip
SHORT_CELLS = (("xet-xorb", 1), ("commit", 4), ("store", 6))


def cells() -> Iterator[Any]:
    """Every fault at every route."""
    for route in ROUTES:
        for number, how in enumerate(HOW):
            if LONG or (route, number) in SHORT_CELLS:
                name = "-".join(f"{key}={value}" for key, value in how.items())
                yield pytest.param(route, how, id=f"{route}-{name}")


@pytest.mark.parametrize(("route", "how"), list(cells()))
def test_a_hub_that_fails(route: str, how: dict[str, Any], desk: Desk, straight: Straight) -> None:
    with watched(desk.hub, REPO, whole(straight.digest)):
        fault = desk.hub.fault(route, **how)
        code = desk.run()
        assert fault.met, f"{route} was not asked"
        if code:
            assert re.search(r"^mmidd: \S", desk.told(), re.MULTILINE), desk.told()
        else:
            assert desk.hub.digest(REPO) == straight.digest
        desk.settle(straight.digest, again=False)


def test_two_at_once_from_two_machines(desk: Desk, straight: Straight, ground: Ground) -> None:
    """One of them may be refused; what is published is whole."""
    other = Desk(desk.root / "other", desk.hub, Commands(desk.commands.environment))
    shutil.copytree(ground.finished.out, other.root / "corpus")
    try:
        with watched(desk.hub, REPO, whole(straight.digest)):
            other.start()
            desk.start()
            codes = desk.commands.end(), other.commands.end()
            desk.check_words()
            other.check_words()
            assert 0 in codes, (desk.told(), other.told())
            assert desk.run() == 0, desk.told()
            assert desk.hub.digest(REPO) == desk.hub.digest(REPO, "v1") == straight.digest
    finally:
        other.commands.close()
