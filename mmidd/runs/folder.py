"""The folder of a run, and of each of its seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmidd.engine.files import disk_errors, write_text
from mmidd.runs import checkpoint
from mmidd.runs.checkpoint import Checkpoint


@dataclass(frozen=True)
class SeedFolder:
    """RUN/seed-N."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def result(self) -> dict[str, Any] | None:
        """What came of it, None where it is not finished."""
        place = self.path / "result.json"
        found: dict[str, Any] | None = json.loads(place.read_text()) if place.is_file() else None
        return found

    def finish(self, result: dict[str, Any]) -> None:
        write_text(self.path / "result.json", json.dumps(result, indent=1) + "\n", scratch=self.path)

    def log(self, record: dict[str, Any]) -> None:
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def cut_back(self, step: int) -> None:
        """Forget what was logged after a step."""
        place = self.path / "metrics.jsonl"
        if place.is_file():
            lines = [line for line in place.read_text().splitlines() if json.loads(line)["step"] <= step]
            write_text(place, "".join(f"{line}\n" for line in lines), scratch=self.path)

    def save(self, found: Checkpoint) -> None:
        checkpoint.write(self.checkpoints, found)

    def best(self, found: Checkpoint) -> None:
        checkpoint.write_best(self.path, found)
