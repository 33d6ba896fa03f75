"""The folder of a run and of each of its seeds: what was asked for, what was seen and measured, and who writes there now.

RUN/run.json, index.html, seed-N/{metrics.jsonl, tensorboard/, checkpoints/, best/, result.json}
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from mmidd.engine.differences import differences as differences
from mmidd.engine.files import digest, disk_errors, sha256_file, write_text
from mmidd.engine.lock import held
from mmidd.errors import RunError, without_secrets
from mmidd.runs import checkpoint, page
from mmidd.runs.board import Board
from mmidd.runs.checkpoint import Checkpoint
from mmidd.runs.columns_alone import alone
from mmidd.runs.curves import METRICS, RESULT, RUN, lines, number, read_json
from mmidd.runs.data import Seen, Selection
from mmidd.runs.detector import DetectorOptions, Network
from mmidd.runs.kept_scores import score_file
from mmidd.runs.measures import Validation
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings
from mmidd.scores.file import write
from mmidd.training.rows import Rows

FORMAT = "mmidd run 1"
LOCK = ".lock"
SCORES = "scores.parquet"
_OBJECTS = ("detector", "corpus", "rows", "surroundings", "sources", "network")
_TOLD = {"seed": int, "steps": int, "best": dict, "left out by terms": dict, "rows skipped": int, "stopped early": bool}
"""Of a result what is told of it, with its kind; `minutes` and `waiting for data` are numbers."""
_PACKAGES = (
    "mmidd", "torch", "torchvision", "transformers", "timm", "peft", "accelerate", "safetensors", "scikit-learn", "numpy",
    "pyarrow", "pillow", "opencv-python-headless",
)  # fmt: skip


def asked_for(
    name: str, options: DetectorOptions, settings: Settings, selection: Selection, seen: Seen
) -> dict[str, dict[str, Any]]:
    """All that decides what a seed comes to, JSON: a run of another is another run."""
    return {
        "detector": {"name": name, "options": options.model_dump(mode="json")},
        "settings": settings.model_dump(mode="json"),
        "selection": selection.document(),
        "data": seen.data(),
    }


def surroundings(at: Here) -> dict[str, Any]:
    """Where and by what a run was begun, JSON."""
    return {
        "command": without_secrets(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "begun": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "device": torch.cuda.get_device_name(at.device) if at.device.type == "cuda" else platform.machine() + " CPU",
        "processes": at.ranks,
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": versions(),
    }


@contextmanager
def opened(
    path: Path,
    asked: Mapping[str, Any],
    about: Mapping[str, Any],
    at: Here,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[RunFolder]:
    """The folder of the run that is asked for (`asked_for`), made where there is none; nobody else writes it meanwhile. Of
    several processes the first one alone does this.

    `about` is what else `run.json` is to say; of a run that is there already it is not taken, but another version of a
    library is told. A run that ended before it trained (no weights, say) is taken for none. Raises RunError where the folder
    holds something else, a run of other settings (every difference is named), or is being written by another process;
    WorkError as the disk does.
    """

    if not at.first:
        yield RunFolder(path)
        return

    def busy(holder: str) -> RunError:
        return RunError(f"another training writes {path} ({holder}); wait until it has ended, or choose another --out")

    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        _refuse_others(path)
    with held(path / LOCK, busy, tell):
        run = RunFolder(path)
        if run.begun():
            run.check(asked)
            _tell_versions(run.about(), about, tell)
        else:
            run.write({"format": FORMAT, "asked": dict(asked), **about})
        yield run


class RunFolder:
    """RUN. `add` and `page` are for who holds it (`opened`)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def about(self) -> dict[str, Any]:
        """What `run.json` says. Raises RunError where there is none of ours."""
        found = read_json(self.path / RUN)
        if found is None:
            raise RunError(f"{self.path} is no run of mmidd train: it has no {RUN}")
        sound = isinstance(found.get("asked"), dict) and all(isinstance(found.get(key, {}), dict) for key in _OBJECTS)
        if found.get("format") != FORMAT or not sound:
            raise RunError(
                f"{self.path / RUN} is damaged, or of another version of mmidd ({str(found.get('format'))[:40]!r}; this one "
                f"writes {FORMAT!r})"
            )
        return found

    def begun(self) -> bool:
        """Has a seed trained here? Raises RunError where `run.json` is there and not ours."""
        return (self.path / RUN).exists() and bool(self.about()) and any(self.path.glob("seed-*"))

    def write(self, about: Mapping[str, Any]) -> None:
        told = json.dumps(number(about), indent=1, ensure_ascii=False) + "\n"
        told = told.encode("utf-8", "backslashreplace").decode()  # of a path that is no Unicode: an escape in JSON as well
        write_text(self.path / RUN, told, scratch=self.path)

    def check(self, asked: Mapping[str, Any]) -> None:
        """Raises RunError that names everything in which this run is another than the one that is asked for."""
        if differ := differences(self.about()["asked"], number(asked)):
            raise RunError(
                f"{self.path} holds a run of other settings: {'; '.join(differ)}. Set them back to go on with it, or choose "
                "another --out"
            )

    def add(self, key: str, found: Any) -> None:
        """What is only known later, such as where backbones are from. What it says already is kept."""
        about = self.about()
        if key not in about:
            self.write(about | {key: found})

    def seed(self, seed: int) -> SeedFolder:
        return SeedFolder(self.path / f"seed-{seed}")

    def page(self) -> None:
        """Write `index.html` anew."""
        write_text(self.path / page.NAME, page.page(self.path), scratch=self.path)


class SeedFolder:
    """RUN/seed-N."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._board: Board | None = None
        self._from = 0

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def result(self) -> dict[str, Any] | None:
        """What came of it, None where it is not finished. Raises RunError for what is none."""
        found = read_json(self.path / RESULT)
        if found is None:
            return None
        best = found.get("best")
        numbers = [
            found.get("minutes"),
            found.get("waiting for data"),
            best.get("value") if isinstance(best, dict) else None,
        ]
        kinds = all(isinstance(found.get(key), kind) for key, kind in _TOLD.items())
        if (
            not kinds
            or not all(isinstance(each, int | float) for each in numbers)
            or f"seed-{found['seed']}" != self.path.name
        ):
            raise RunError(
                f"{self.path / RESULT} is damaged, or of another seed: get a copy of it, or remove it to finish anew"
            )
        return found

    def begin(self, network: Network, seen: Seen, settings: Settings) -> None:
        """Say of the run what its network is, and what the columns alone are worth on the rows it is validated on. Raises
        RunError where its backbones are not those that the run began with."""
        run, parameters = RunFolder(self.path.parent), list(network.parameters())
        sources = network.sources()
        if differ := differences(known_by(run.about().get("sources", sources)), known_by(number(sources))):
            raise RunError(
                f"{run.path} cannot go on, for it began with another backbone: {'; '.join(differ)}. Get that one's files "
                "back, or choose another --out"
            )
        run.add("sources", sources)
        trained = sum(each.numel() for each in parameters if each.requires_grad)
        size = {"parameters": sum(each.numel() for each in parameters), "trained": trained}
        run.add("network", size | {"input": vars(network.input)})
        if "columns_alone" not in run.about():
            found = alone(seen.train, seen.validation, settings, network.input.frames)
            run.add("columns_alone", None if found is None else found.document())

    def finish(self, result: Mapping[str, Any]) -> None:
        """It is trained to its end."""
        self._close()
        write_text(self.path / RESULT, json.dumps(number(result), indent=1) + "\n", scratch=self.path)
        RunFolder(self.path.parent).page()

    def log(self, record: Mapping[str, Any]) -> None:
        """One line of `metrics.jsonl`, and the same for TensorBoard: `kind` step or validation, `step`, and what was
        measured. What is no number is null."""
        told = number(record)
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")
                if told["kind"] == "validation":
                    file.flush()
                    os.fsync(file.fileno())
            self._scalars(told)
        if told["kind"] == "validation":
            RunFolder(self.path.parent).page()

    def cut_back(self, step: int) -> None:
        """Forget what was logged after a step: it is done again."""
        place = self.path / METRICS
        self._close()
        self._from = step + 1
        if place.is_file():
            kept = [json.dumps(line) for line in lines(place) if line["step"] <= step]
            write_text(place, "".join(f"{line}\n" for line in kept), scratch=self.path)

    def save(self, found: Checkpoint) -> None:
        """What was logged up to a checkpoint is on the disk before it is."""
        with disk_errors(self.path):
            if (self.path / METRICS).exists():
                with (self.path / METRICS).open("rb") as file:
                    os.fsync(file.fileno())
        checkpoint.write(self.checkpoints, replace(found, state={**found.state, "of": self._of()}))

    def best(self, found: Checkpoint, validation: Validation, rows: Rows) -> None:
        """Keep the network of this validation as the best, with a score file of its rows."""
        run = RunFolder(self.path.parent).about()

        def write_scores(path: Path) -> None:
            model = known_as(run, self.path, found.step, sha256_file(path.parent / checkpoint.MODEL))
            write(path, score_file(validation, rows, model, run["asked"], versions()))

        scores = {SCORES: write_scores}
        checkpoint.write_best(self.path, replace(found, state={**found.state, "of": self._of()}), beside=scores)

    def check(self, found: Checkpoint) -> None:
        """Raises RunError for a checkpoint that was copied here from another run or seed."""
        if found.state.get("of") != self._of():
            raise RunError(
                f"the checkpoint after step {found.step:,} in {self.path} is of another run or seed (other settings, "
                "options, rows or corpus); get this one's own back, or train into another folder"
            )

    def _of(self) -> str:
        """What this seed is, in a word: what was asked for, and the seed."""
        return digest([RunFolder(self.path.parent).about()["asked"], self.path.name])

    def _scalars(self, told: Mapping[str, Any]) -> None:
        if self._board is None:
            self._board = Board(self.path / "tensorboard", self._from)
        flat = {
            **told,
            **{f"term {name}": value for name, value in (told.get("terms") or {}).items()},
            **(told.get("told") or {}),
        }
        values = {
            f"{told['kind']}/{name}": float(value)
            for name, value in flat.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and name != "step"
        }
        self._board.add(told["step"], values)

    def _close(self) -> None:
        if self._board is not None:
            board, self._board = self._board, None
            with disk_errors(self.path):
                board.close()


def known_as(about: Mapping[str, Any], seed: Path, step: int, sha256: str) -> dict[str, Any]:
    """What a score file says of the network with this sha256 of the seed in this folder; `about` is the run's `run.json`.
    No path: the names of RUN and of the seed tell people which it was."""
    asked, place = about["asked"], seed.resolve()
    number = place.name.rpartition("-")[2]
    return {
        "kind": "run",
        "name": asked["detector"]["name"],
        "run": place.parent.name,
        "seed": int(number) if number.isdecimal() else None,
        "step": step,
        "preset": about.get("preset"),
        "digest": digest(sha256, asked, known_by(about.get("sources") or {}))[:16],
        "asked": digest(asked)[:16],
        "trained_on": asked.get("data"),
        **_within(about.get("sources") or {}),
        "precision": asked["settings"].get("precision"),
    }


def _within(sources: Mapping[str, Any]) -> dict[str, Any]:
    """What the runs that a network holds, such as a specialist, were trained on."""
    held = [each["trained_on"] for each in sources.values() if isinstance(each, Mapping) and each.get("trained_on")]
    return {"within_trained_on": held} if held else {}


def known_by(sources: Mapping[str, Any]) -> dict[str, Any]:
    """Of `Network.sources` what tells one backbone from another: how it was had, its files' digests, wherever they lie."""
    kept = ("weights", "files")
    return {
        place: {key: source[key] for key in kept if key in source} if isinstance(source, Mapping) else source
        for place, source in sources.items()
    }


def _refuse_others(path: Path) -> None:
    """Raises RunError where a folder holds anything but a run, or what a run that was killed at once left."""
    if (path / RUN).exists():
        return
    if other := sorted(each.name for each in path.iterdir() if each.name != LOCK and each.suffix != ".tmp"):
        raise RunError(f"{path} holds something else ({other[0][:60]!r}, no {RUN}): choose another --out")


def _tell_versions(then: Mapping[str, Any], now: Mapping[str, Any], tell: Callable[[str], None]) -> None:
    before, after = (each.get("surroundings", {}).get("versions", {}) for each in (then, now))
    if differ := differences(before, after):
        tell(f"note: this run began with other versions ({'; '.join(differ)}): it goes on, but not to the same bits")


def versions() -> dict[str, str]:
    """Of the packages that a run depends on."""
    return {name: version for name in _PACKAGES if (version := _version(name)) is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
