"""What a study will take: runs, hours, memory, disk. From runs that are done in its folder where there are some, else from
a few steps of each kind of run, done now in a temporary folder. What presets say is in the detectors' modules, so this
imports torch."""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mmidd.errors import MmiddError, is_memory, sanitised, told
from mmidd.results import Result
from mmidd.show import duration, plain, size
from mmidd.studies.grid import Chosen, Grid, Test, Trial
from mmidd.studies.table import NARROW
from mmidd.studies.trial import Bench, covering, done, selected

if TYPE_CHECKING:
    from mmidd.runs.settings import Settings

STEPS, PART = 3, 8
"""A measurement: so many steps, of parts of so many rows at most."""
Key = tuple[str, str, tuple[str, ...]]
"""A kind of run: its detector, preset and settings, with the names of the options that name another run."""


@dataclass(frozen=True)
class Rate:
    """`row`: seconds of training for a row; `scored`: for a row that is validated or scored, all else that a run does
    included; `items`: rows (or clips) that an epoch has for each row of train; `disk` in bytes, of a run."""

    row: float
    scored: float
    items: float
    disk: int
    basis: str


@dataclass(frozen=True)
class Kind:
    """All runs of one detector and its settings: how many are to do, their hours and disk together. `basis`: where the rates
    are from; `why`: without one, why there is none."""

    detector: str
    settings: tuple[str, ...]
    runs: int
    hours: float | None
    disk: int | None
    basis: str
    part: int
    why: str = ""


@dataclass(frozen=True, repr=False)
class Forecast(Result):
    """`trials`, of which `done`; `fails`: trials that cannot be, as the columns already tell, with the reason. `memory` in
    bytes: the most that this process and its workers held while they measured; None where nothing was measured."""

    study: Path
    trials: int
    done: int
    lines: int
    kinds: tuple[Kind, ...]
    fails: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    memory: int | None
    free: int
    took: float

    @property
    def hours(self) -> float:
        """Of what could be measured."""
        return sum(each.hours or 0 for each in self.kinds)

    @property
    def disk(self) -> int:
        return sum(each.disk or 0 for each in self.kinds)

    @property
    def fits(self) -> bool:
        return self.disk <= self.free

    def document(self) -> dict[str, Any]:
        return {
            **asdict(self), "study": str(self.study), "hours": self.hours, "disk": self.disk, "fits": self.fits,
        }  # fmt: skip

    def tell(self, console: Console) -> None:
        console.print(
            f"{self.trials:,} runs for {self.lines:,} lines of the table, {self.done:,} of them done; to do: "
            f"{self.trials - self.done:,}, about {duration(self.hours)}"
        )
        _tell_kinds(console, self.kinds)
        console.print(f"disk: about {size(self.disk)}, {size(self.free)} free" + ("" if self.fits else ": it does not fit"))
        if self.memory is not None:
            console.print(f"memory: {size(self.memory)} at most while this was measured, workers included")
        if large := [each for each in self.kinds if each.part > PART and not each.why]:
            names = ", ".join(dict.fromkeys(f"{each.detector} {each.part}" for each in large))
            console.print(f"  measured with parts of {PART} rows; runs compute more at once ({plain(names)}) and hold more")
        for each in self.kinds:
            if each.why:
                console.print(plain(f"no figure for {each.detector}: {each.why}"), style="yellow")
        for name, why in self.fails:
            console.print(plain(f"would fail: {name}: {why}"), style="yellow")
        for why in self.left_out:
            console.print(plain(f"left out: {why}"))
        console.print(f"nothing was written; the forecast took {self.took:.0f} s")


def _tell_kinds(console: Console, kinds: tuple[Kind, ...]) -> None:
    rows = [
        (
            each.detector, " ".join(each.settings) or "-", f"{each.runs:,}",
            "?" if each.hours is None else duration(each.hours), "?" if each.disk is None else size(each.disk), each.basis,
        )
        for each in kinds
    ]  # fmt: skip
    heads = ("detector", "settings", "runs to do", "time", "disk", "it rests on")
    if console.width < NARROW:
        for row in rows:
            console.print(plain("  " + "; ".join(f"{head} {cell}" for head, cell in zip(heads, row, strict=True))))
        return
    table = Table(box=None)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    console.print(table)


def forecast(bench: Bench, grid: Grid) -> Forecast:
    """Of all that is to do in a grid."""
    begun = time.monotonic()
    finished = {trial.name for trial in grid.trials if done(bench, trial) is not None}
    kinds: dict[Key, list[Trial]] = {}
    for trial in grid.trials:
        words = (*trial.settings, *(f"{option}=RUN" for option, _ in trial.after))
        kinds.setdefault((trial.detector, trial.preset, words), []).append(trial)
    found, fails, measured = [], list[tuple[str, str]](), False
    rows: dict[tuple[Chosen, str], tuple[int, int] | str] = {}
    for (detector, preset, words), trials in kinds.items():
        words = (preset, *words) if len({trial.preset for trial in grid.trials}) > 1 else words
        todo = [trial for trial in trials if trial.name not in finished]
        how = _settings(bench, trials[0])
        able = []
        for trial in todo:
            key = (trial.chosen, canonical_of(how))
            if key not in rows:
                rows[key] = _rows(bench, trial.chosen, how)
            held = rows[key]
            if isinstance(held, str):
                fails.append((trial.name, held))
            else:
                able.append((trial, held))
        part = min(how.micro or how.batch, how.batch)
        rate: Rate | str
        if not able:
            rate = Rate(0, 0, 1, 0, "nothing to do") if not todo else "none of its runs can be"
        elif (known := _known(bench, trials, finished)) is not None:
            rate = known
        else:
            if not measured:
                _measured(bench, able[0][0], how, able[0][1], grid)  # the first imports what all the others have then
            rate, measured = _measured(bench, able[0][0], how, able[0][1], grid), True
        if isinstance(rate, str):
            found.append(Kind(detector, words, len(todo), None, None, "-", part, rate))
            continue
        seconds = sum(_seconds(bench, trial, how, held, rate) for trial, held in able)
        found.append(Kind(detector, words, len(todo), seconds / 3600, rate.disk * len(able), rate.basis, part))
    memory = 1024 * sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Forecast(
        bench.folder, len(grid.trials), len(finished), len(grid.lines), tuple(found), tuple(fails), grid.left_out,
        memory if measured else None, _free(bench.folder), round(time.monotonic() - begun, 1),
    )  # fmt: skip


def canonical_of(how: Settings) -> str:
    """What of the settings decides which rows a run has."""
    return f"{how.order} {how.frames}"


def _settings(bench: Bench, trial: Trial) -> Settings:
    from mmidd.runs.asked import options_of
    from mmidd.runs.detector import Detector

    return options_of(bench.detectors.load(trial.detector, Detector), trial.detector, trial.preset, trial.settings)[1]


def _rows(bench: Bench, chosen: Chosen, how: Settings) -> tuple[int, int] | str:
    """Rows of train and of validation; or why there are none."""
    from mmidd.runs.data import Selection, seen

    try:
        found = seen(bench.corpus, Selection(**selected(chosen, bench.facts)), how)
    except MmiddError as error:
        return sanitised(str(error), 300)
    return len(found.train), len(found.validation)


def _seconds(bench: Bench, trial: Trial, how: Settings, rows: tuple[int, int], rate: Rate) -> float:
    per_epoch = max(1, int(rows[0] * rate.items) // how.batch)
    steps = how.steps or how.epochs * per_epoch
    validations = ceil(steps / max(1, round(how.validate_every * per_epoch)))
    files = dict.fromkeys(covering(test, trial.tests) for test in trial.tests)
    tested = sum(_tested(bench, test) for test in files)
    return steps * how.batch * rate.row + (validations * rows[1] + tested) * rate.scored


def _tested(bench: Bench, test: Test) -> int:
    """Rows of a test."""
    if test.corpus:
        return bench.tests[test.corpus].splits["test"]
    mine = [each for each in bench.facts.rows if each.split in test.splits and (not test.only or each.dataset in test.only)]
    return sum(each.real + each.fake for each in mine)


def _known(bench: Bench, trials: list[Trial], finished: set[str]) -> Rate | None:
    """The rate of the runs of a kind that are done here."""
    found = [rate for trial in trials if trial.name in finished and (rate := _of_run(bench, trial)) is not None]
    if not found:
        return None
    row, scored, items, disk = (
        sum(getattr(each, name) for each in found) / len(found) for name in ("row", "scored", "items", "disk")
    )
    return Rate(row, scored, items, round(disk), f"{len(found)} of these runs, done here")


def _of_run(bench: Bench, trial: Trial) -> Rate | None:
    folder = bench.run(trial) / f"seed-{trial.seed}"
    try:
        times = json.loads(bench.times(trial).read_bytes())
        about = json.loads((bench.run(trial) / "run.json").read_bytes())
        rest = max(0.0, times["all"] - times["training"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    tested = sum(_tested(bench, test) for test in dict.fromkeys(covering(each, trial.tests) for each in trial.tests))
    return _rate(folder, about, tested, rest, "")


def _rate(folder: Path, about: Mapping[str, Any], tested: int, rest: float, basis: str) -> Rate | None:
    """By a seed's curves: its steps (but the first, which warms up), and `rest` seconds for all else."""
    from mmidd.runs.curves import METRICS, lines

    logged = lines(folder / METRICS)
    steps = [each for each in logged if each["kind"] == "step"]
    warm = steps[1:] or steps
    done_rows = sum(each["rows"] for each in warm)
    if not done_rows:
        return None
    validations = sum(each["kind"] == "validation" for each in logged)
    scored = max(1, validations * about["rows"]["validation"]["rows"] + tested)
    last = steps[-1]
    items = last["step"] / last["epoch"] * last["rows"] / about["rows"]["train"]["rows"] if last.get("epoch") else 1.0
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Rate(sum(each["seconds"] for each in warm) / done_rows, rest / scored, items, disk, basis)


def _measured(bench: Bench, trial: Trial, how: Settings, rows: tuple[int, int], grid: Grid) -> Rate | str:
    """The rate of a few steps, done now; or why there is none."""
    batch = min(how.batch, how.micro or how.batch, PART, max(1, rows[0]))
    try:
        with tempfile.TemporaryDirectory(prefix="mmidd-forecast-") as place:
            made: dict[str, Path] = {}
            before = {option: _few_steps(bench, grid, name, batch, Path(place), made) for option, name in trial.after}
            begun = time.monotonic()
            run = _trained(bench, trial, batch, Path(place) / "run", before)
            about = json.loads((Path(place) / "run" / "run.json").read_bytes())
            rest = time.monotonic() - begun - 60 * float(run.seeds[0]["minutes"])
            basis = f"{STEPS} steps of {batch} rows, measured now"
            found = _rate(Path(place) / "run" / f"seed-{trial.seed}", about, 0, rest, basis)
    except MmiddError as error:
        return sanitised(str(error), 300)
    except Exception as error:
        return "there was not enough memory" if is_memory(error) else told(error)
    return found or "no step could be measured"


def _trained(bench: Bench, trial: Trial, batch: int, folder: Path, before: Mapping[str, Path]) -> Any:
    """A few steps; `before`: the runs that it begins with, of which no reply has the form that reinforcing asks for."""
    from mmidd.runs.asked import pairs_of

    words: dict[str, Any] = {
        **dict(pairs_of(trial.settings, [])), "batch": batch, "micro": None, "steps": STEPS, "validate_every": 1e6,
        **{option: str(run) for option, run in before.items()}, **({"least_format": 0.0} if "start" in before else {}),
    }  # fmt: skip
    return bench.train(
        trial.detector, bench.corpus, folder, preset=trial.preset, settings=words, seeds=(trial.seed,),
        workers=bench.workers, device=bench.device, tell=lambda line: None, **selected(trial.chosen, bench.facts),
    )  # fmt: skip


def _few_steps(bench: Bench, grid: Grid, name: str, batch: int, place: Path, made: dict[str, Path]) -> Path:
    """The folder of a few steps of another trial, which others begin with too."""
    if name not in made:
        trial = grid.trial(name)
        before = {option: _few_steps(bench, grid, other, batch, place, made) for option, other in trial.after}
        folder = place / f"before-{len(made)}"
        _trained(bench, trial, batch, folder, before)
        made[name] = folder / f"seed-{trial.seed}"
    return made[name]


def _free(place: Path) -> int:
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
