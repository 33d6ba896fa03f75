"""What the crash tests share: builds that start fast, and the corpus that one without interruption gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from conftest import Ground as Shared
from conftest import models_here
from place import Place, moved

from mmidd.engine.faults import VARIABLE
from mmidd.engine.store import Store

HERE = Path(__file__).parent
LONG = bool(os.environ.get("MMIDD_CRASH"))
"""The long form: `make crash`."""
STAGES = ("index", "extract", "caption", "curate", "shard")


class Commands:
    """Runs mmidd commands through the server, one at a time."""

    def __init__(self, environment: Mapping[str, str], *more: str) -> None:
        self.environment = environment
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
        )  # fmt: skip

    def start(
        self, words: Sequence[str], log: Path, fault: str | None = None, powerless: bool = False, **environment: str
    ) -> int:
        """Begin a command; gives its pid."""
        job = {
            "words": list(words),
            "env": {**({VARIABLE: fault} if fault else {}), **environment},
            "log": str(log),
            "powerless": powerless,
        }
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def end(self) -> int:
        """The exit code of the command that was begun; negative for a signal."""
        assert self._server.stdout
        return int(self._server.stdout.readline())

    def run(
        self, words: Sequence[str], log: Path, fault: str | None = None, powerless: bool = False, **environment: str
    ) -> int:
        """The exit code of a command, `powerless` as one who may not all; `environment` is laid over the server's."""
        self.start(words, log, fault, powerless, **environment)
        return self.end()

    def close(self) -> None:
        self._server.kill()
        self._server.wait()


@dataclass(frozen=True)
class Site(Place):
    """A place, and what commands through the server find there."""

    def document(self, commands: Commands, *words: str) -> Any:
        """The JSON document that a command gives."""
        log = self.root / "document.json"
        log.unlink(missing_ok=True)
        assert commands.run([*words, "--json"], log) in (0, 3), log.read_text()
        return json.loads(log.read_text())

    def plan(self, commands: Commands, *more: str) -> dict[str, int]:
        """What a build has to do in each stage, where there is anything."""
        words = ["plan", str(self.recipe), "--data", str(self.data), "--out", str(self.out), "--workers", "0", *more]
        return {each["stage"]: each["to_do"] for each in self.document(commands, *words)["stages"] if each["to_do"]}

    def fresh(self) -> dict[str, int]:
        """How many media were done, not taken over, over all commits, stage by stage."""
        store = Store(self.work)
        return {stage: sum(_fresh(path) for path in store.root.glob(f"records/{stage}/*/*.json")) for stage in STAGES}


def _fresh(path: Path) -> int:
    return int(json.loads(path.read_text())["record"]["counts"]["fresh"])


@dataclass(frozen=True)
class Ground(Shared):
    """Gives sites on the shared ground."""

    @cached_property
    def straight(self) -> dict[str, str]:
        """The files of a corpus that was built without interruption."""
        return self.finished.digests()

    @property
    def recipe(self) -> Path:
        return self.finished.recipe

    def place(self, root: Path, *, older: bool) -> Site:
        """A place of the test's own, with nothing in it or with the older corpus."""
        if older:
            return Site(moved(self.older.root, root), self.data)
        root.mkdir(exist_ok=True)
        return Site(root, self.data)

    def copy(self, root: Path) -> Site:
        """The finished place, with raw data and recipe of the test's own."""
        shutil.copytree(self.data, root / "data")
        shutil.copy(self.recipe, root)
        site = Site(moved(self.finished.root, root / "place"), root / "data")
        for note in site.work.glob("build*.json"):
            note.write_text(note.read_text().replace(str(self.data), str(site.data)))
        return site


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    environment = models_here()
    server = Commands(environment, *([] if environment else ["torch"]))
    yield server
    server.close()


@pytest.fixture(scope="session")
def ground(ground: Shared) -> Ground:
    return Ground(ground.root)


SHORT = (
    "test_points.py", "test_a_worker_that_is_killed", "[an image more]", "[another real]", "[a label file]",
    "test_captions_alone", "test_two_corpora", "test_a_named_recipe_alone", "test_what_a_build_would_take_over",
    "test_nothing_is_removed_while", "test_a_disk_that_is_full", "test_a_second_build", "test_a_file_that_vanishes",
    "test_half_written", "test_a_work_folder_without_hard_links", "test_publish.py",
)  # fmt: skip
"""What `make test` runs of it, for time is short there; `make crash` runs all."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long ones to `make crash`."""
    if LONG:
        return
    left = [item for item in items if item.path.parent == HERE and not any(name in item.nodeid for name in SHORT)]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)
