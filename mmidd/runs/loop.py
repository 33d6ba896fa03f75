"""The training loop of one seed: steps, validations, checkpoints; killed anywhere it goes on to the same weights."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import torch

from mmidd.errors import CorpusError, RunError, is_memory
from mmidd.runs import checkpoint, optim
from mmidd.runs.chance import For, seed_torch
from mmidd.runs.checkpoint import Checkpoint
from mmidd.runs.data import Seen, dataset, loader, sampler
from mmidd.runs.detector import Detector, DetectorOptions, Input, Network
from mmidd.runs.folder import SeedFolder
from mmidd.runs.measures import Validation
from mmidd.runs.parts import check_sizes, flat, moved, ready
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings
from mmidd.runs.step import Step, Told
from mmidd.runs.stopping import Asked, stopping
from mmidd.runs.validation import order_of, validate
from mmidd.training import Loader
from mmidd.watch import Watch

_LINES = 1000
"""Lines of a run's curve at most; each is of one step."""


@dataclass(frozen=True)
class Task:
    """One seed of a run. `folder` is the seed's own."""

    detector: Detector
    options: DetectorOptions
    settings: Settings
    seen: Seen
    seed: int
    at: Here
    workers: int
    folder: SeedFolder
    watch: Watch
    tell: Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """What a run knows of itself after a step, beside weights; JSON in a checkpoint. `worse`: validations since the best;
    `skipped`: rows that no process could read; `recent`: what the last steps told, as many as the network looks back."""

    step: int = 0
    best: Mapping[str, Any] | None = None
    worse: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    waited: float = 0.0
    skipped: int = 0
    recent: tuple[Mapping[str, float], ...] = ()

    def state(self, load: Loader) -> dict[str, Any]:
        return {
            "best": self.best,
            "worse": self.worse,
            "counts": dict(self.counts),
            "seconds": round(self.seconds, 3),
            "waited": round(self.waited, 3),
            "skipped": self.skipped,
            "recent": [dict(each) for each in self.recent],
            "loader": load.state_dict(),
        }


@dataclass(frozen=True)
class Made:
    """What a seed is trained with."""

    network: Network
    step: Step
    load: Loader
    validated: Any
    per_epoch: int
    total: int
    every: int


Steps = Callable[[Task, Made, Progress, Asked], Progress]
"""Takes the steps of a seed that are left; what it came to."""


def built(detector: Detector, options: DetectorOptions, settings: Settings, seed: int) -> Network:
    """A network whose random parts are the seed's. Raises RunError where there is too little memory for it."""
    seed_torch(seed, For.building)
    try:
        network = detector.build(options)
    except (RuntimeError, MemoryError) as error:
        if is_memory(error):
            raise RunError("there is not enough memory to hold the network: choose a smaller backbone") from error
        raise
    if not isinstance(network, Network) or not isinstance(getattr(network, "input", None), Input):
        raise RunError(f"the detector's build() gives a {type(network).__name__}, no Network with an input: mend its code")
    if settings.checkpointing:
        network.checkpointing()
    if not optim.trained(network):
        raise RunError("nothing of this network is trained: its options freeze every parameter")
    return network


def train_seed(task: Task, steps: Steps | None = None) -> dict[str, Any]:
    """Train one seed to its end, or further from its last checkpoint; what came of it, as in `result.json`. `steps`: who
    takes its steps in our place, with `stepped` and `checked` after each.

    Raises KeyboardInterrupt where it was asked to stop, once a checkpoint is written.
    """
    if (done := task.folder.result()) is not None:
        return done
    devices = [task.at.device] if task.at.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        made = _made(task)
        if task.at.first:
            for why, count in made.load.sampler.left_out.items():
                task.tell(f"note: {count:,} of {len(task.seen.train):,} rows of train are in no batch: {why}")
            task.folder.begin(made.network, task.seen, task.settings)
        progress = _gone_on(task, made)
        task.at.summed([0.0])  # nobody writes before all have read
        try:
            _halted(task, made, progress)  # where it stopped at a checkpoint, it is no better for being asked again
            with stopping() as asked:
                task.watch.begin(f"seed {task.seed}", made.total, progress.step)
                made.network.train()
                progress = (steps or _run)(task, made, progress, asked)
                if task.at.summed([float(asked.stop)])[0]:  # while the last checkpoint was written: no other seed begins
                    raise KeyboardInterrupt
        finally:
            made.load.close()
            task.watch.end()
    result = _result(task, made, progress)
    if task.at.first:
        task.folder.finish(result)
    task.at.summed([0.0])
    return result


def _made(task: Task) -> Made:
    own = check_sizes(task.settings, task.at.ranks)
    network = built(task.detector, task.options, task.settings, task.seed).to(task.at.device)
    task.at.same(checkpoint.stored(network).values())
    look = network.input
    order = sampler(task.seen.train, task.settings, look.frames, task.seed, own, task.at)
    load = loader(dataset(task.seen.train, look, task.settings.augment), order, task.workers, task.at)
    parameters = optim.trained(network)
    step = Step(network, optim.optimiser(task.settings, parameters), parameters, task.settings, task.seed, task.at)
    total = task.settings.steps or task.settings.epochs * len(order)
    every = max(1, round(task.settings.validate_every * len(order)))
    return Made(network, step, load, dataset(task.seen.validation, look), len(order), total, every)


def _gone_on(task: Task, made: Made) -> Progress:
    """From the last checkpoint, or from the start."""
    found = checkpoint.latest(task.folder.checkpoints, task.tell if task.at.first else lambda line: None)
    if found is None:
        task.folder.cut_back(0) if task.at.first else None
        _begin(task, made)
        return Progress()
    checkpoint.restore(made.network, found.network)
    task.folder.check(found)
    optim.restore(made.step.optimiser, made.step.trained, dict(found.optimiser))
    made.load.load_state_dict(found.state["loader"])
    if task.at.first:
        task.folder.cut_back(found.step)
        task.tell(f"seed {task.seed}: goes on after step {found.step:,} of {made.total:,}")
    known = {name: found.state[name] for name in ("best", "worse", "counts", "seconds", "waited", "skipped")}
    return Progress(found.step, **known, recent=tuple(found.state.get("recent", ())))


def _begin(task: Task, made: Made) -> None:
    """The network's own beginning, the same in every process."""
    network, look = made.network, made.network.input
    load = Loader(made.validated, order_of(task.seen.validation, task.settings, look.frames), workers=0)
    seed_torch(task.seed, For.beginning)
    try:
        notes = network.begin(
            (ready(moved(flat(each, look.frames), task.at.device), look) for each in load), task.seen.data()
        )
    finally:
        load.close()
    for note in notes if task.at.first else ():
        task.tell(f"note: {note}")
    task.at.same(checkpoint.stored(network).values())


def over(task: Task, made: Made, progress: Progress) -> bool:
    """Is there no step left to take?"""
    patience = task.settings.patience
    return (
        progress.step >= made.total
        or (patience is not None and progress.worse >= patience)
        or made.network.learnt(progress.recent) is not None
    )


def _run(task: Task, made: Made, progress: Progress, asked: Asked) -> Progress:
    empty = skipped = 0
    while not over(task, made, progress):
        before = progress.step
        begun = time.perf_counter()
        for batch in made.load:
            waited = time.perf_counter() - begun
            rate = optim.rate(task.settings, progress.step, made.total, made.per_epoch)
            told = made.step.take(flat(batch, made.network.input.frames), progress.step, rate)
            progress = stepped(task, made, progress, told, rate, (time.perf_counter() - begun, waited))
            progress, skipped = checked(task, made, progress, asked, skipped)
            if over(task, made, progress):
                break
            begun = time.perf_counter()
        empty = 0 if progress.step > before else empty + 1
        check_fed(empty)
    return progress


def check_fed(empty: int) -> None:
    """Raises CorpusError after epochs without a batch."""
    if empty > 1:  # the first may have been the end of an epoch that a checkpoint lies in
        raise CorpusError("an epoch gave no batch at all: none of its rows can be read")


def stepped(task: Task, made: Made, progress: Progress, told: Told, rate: float, took: tuple[float, float]) -> Progress:
    """A step that was taken, told and counted. `took`: its seconds, and those of them until its batch was there."""
    counts = Counter(progress.counts)
    counts.update(told.counts)
    progress = replace(
        progress,
        step=progress.step + 1,
        counts=dict(counts),
        seconds=progress.seconds + took[0],
        waited=progress.waited + took[1],
        recent=_recent(made.network.looks_back, progress.recent, told.told),
    )
    if task.at.first:
        if progress.step % max(1, made.total // _LINES) == 0 or progress.step == made.total:
            task.folder.log(_line(made, progress, told, rate, took))
        speed = f"{told.rows / max(took[0], 1e-9):.1f} rows/s"
        task.watch.at(progress.step, f"loss {told.loss:.4f}, rate {rate:.1e}, {speed}")
    return progress


def checked(task: Task, made: Made, progress: Progress, asked: Asked, skipped: int) -> tuple[Progress, int]:
    """What follows a step: a validation and a checkpoint where they are due. `skipped`: rows that this process could not
    read before it; gives that number after it.

    Raises KeyboardInterrupt where somebody asked for an end, for which a checkpoint is written before; RunError where the
    network says that training must end, for which none is: the last one stays.
    """
    learnt = made.network.learnt(progress.recent)
    validated = progress.step % made.every == 0 or progress.step == made.total or learnt is not None
    if validated:
        progress = _validated(task, made, progress)
    now = made.load.skipped.count
    stop, lost = task.at.summed([float(asked.stop), now - skipped])
    progress = replace(progress, skipped=progress.skipped + int(lost))
    if validated or stop or progress.step % task.settings.save_every == 0:
        _save(task, made, progress)
    if stop:
        raise KeyboardInterrupt
    _halted(task, made, progress)
    if learnt and task.at.first:
        task.tell(f"note: seed {task.seed} ends after step {progress.step:,}: {learnt}")
    return progress, now


def _halted(task: Task, made: Made, progress: Progress) -> None:
    if why := made.network.halt(progress.recent):
        raise RunError(f"seed {task.seed} stopped after step {progress.step:,}: {why}. Its curves say how it came")


def _recent(
    back: int, before: tuple[Mapping[str, float], ...], told: Mapping[str, float]
) -> tuple[Mapping[str, float], ...]:
    return (*before, told)[-back:] if back else ()


def _line(made: Made, progress: Progress, told: Told, rate: float, took: tuple[float, float]) -> dict[str, Any]:
    """`took`: seconds of the step, and of those until its batch was there."""
    return {
        "kind": "step",
        "step": progress.step,
        "epoch": round(progress.step / made.per_epoch, 4),
        "loss": told.loss,
        "terms": dict(told.terms),
        **({"told": dict(told.told)} if told.told else {}),
        "rate": rate,
        "norm": told.norm,
        "rows": told.rows,
        "counts": dict(told.counts),
        "seconds": round(took[0], 4),
        "waited": round(took[1], 4),
    }


def _validated(task: Task, made: Made, progress: Progress) -> Progress:
    """All processes validate together; the first keeps what is the best so far."""
    found = validate(made.network, made.validated, task.settings, task.at, workers=task.workers)
    value = _value(found, task.settings)
    before = progress.best
    better = before is None or (value < before["value"] if task.settings.select == "loss" else value > before["value"])
    if better:
        best = {"step": progress.step, "by": task.settings.select, "value": value, "validation": found.document()}
        progress = replace(progress, best=best, worse=0)
    else:
        progress = replace(progress, worse=progress.worse + 1)
    if task.at.first:
        if better:
            state = {"select": task.settings.select, "value": value}
            kept = Checkpoint(progress.step, checkpoint.stored(made.network), state=state)
            task.folder.best(kept, found, task.seen.validation)
        task.folder.log({"kind": "validation", "step": progress.step, "best": better, **found.document()})
    return replace(progress, **task.at.told({"best": progress.best, "worse": progress.worse}))


def _value(found: Validation, settings: Settings) -> float:
    value = float(getattr(found, settings.select))
    if not isfinite(value):
        raise RunError(
            f"select={settings.select}: on the validation rows that is no finite number, which no best can be chosen by "
            f"(terms: {', '.join(f'{name} {term:g}' for name, term in found.terms.items())}); the last checkpoint is kept. "
            "Choose select=video_auroc, or a smaller lr, in a new folder"
        )
    return value


def _save(task: Task, made: Made, progress: Progress) -> None:
    if task.at.first:
        state = optim.state_of(made.step.optimiser, made.step.trained)
        task.folder.save(Checkpoint(progress.step, checkpoint.stored(made.network), state, progress.state(made.load)))


def _result(task: Task, made: Made, progress: Progress) -> dict[str, Any]:
    return {
        "seed": task.seed,
        "steps": progress.step,
        "epochs": round(progress.step / made.per_epoch, 3),
        "stopped early": progress.step < made.total,
        "best": progress.best,
        "left out by terms": dict(progress.counts),
        "rows skipped": progress.skipped,
        "left out by the order": dict(made.load.sampler.left_out),
        "minutes": round(progress.seconds / 60, 3),
        "waiting for data": round(progress.waited / max(progress.seconds, 1e-9), 4),
        "parameters": sum(each.numel() for each in made.network.parameters()),
        "trained": sum(each.numel() for each in made.step.trained.values()),
    }
