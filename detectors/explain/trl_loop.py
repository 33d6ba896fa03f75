"""Stage 2 by TRL: its `GRPOTrainer` samples, rewards and takes the steps of a run. The order of rows, validations,
checkpoints, figures and ends are those of `runs.loop`, asked by a callback after each step."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from math import isfinite
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from mmidd.errors import MissingExtra, RunError, UsageError, is_memory
from mmidd.runs import optim
from mmidd.runs.chance import For, seed_torch
from mmidd.runs.loop import Made, Progress, Task, check_fed, checked, over, stepped, train_seed
from mmidd.runs.parts import flat, normalised
from mmidd.runs.settings import Settings
from mmidd.runs.step import Told, no_memory
from mmidd.runs.stopping import Asked

from .objective import figures
from .prompted import pictures
from .replies import ends, silent
from .sampling import rewarded, scoring

if TYPE_CHECKING:
    from .rft_fas import RftFas, RftFasOptions

_FILLED = "a row again, in place of one that cannot be read"
_LOSSES = {"sequence": "grpo", "constant": "dr_grpo"}
"""TRL's names of what `normalise` means."""
_LOSS = {False: "policy", True: "policy + beta x kl"}
"""What TRL's one loss is of, without and with `beta`."""


def trainer(options: RftFasOptions) -> Callable[[Task], dict[str, Any]] | None:
    """Who trains stage reinforce; stage align is the loop's. Raises MissingExtra without TRL, UsageError without vLLM where
    that is asked for."""
    if options.stage != "reinforce":
        return None
    if find_spec("trl") is None:
        raise MissingExtra("rl", "stage=reinforce of this detector")
    if options.vllm and find_spec("vllm") is None:
        raise UsageError(
            "vllm=true: vLLM is not installed here (pip install vllm, on a machine with a GPU); or leave it out"
        )
    if options.vllm and options.weights == "random":
        raise UsageError("vllm=true: vLLM reads a backbone's files, and weights=random has none")
    return partial(train_seed, steps=steps)


def steps(task: Task, made: Made, progress: Progress, asked: Asked) -> Progress:
    """The steps that are left, by TRL. Raises what the loop does, and UsageError for a setting that TRL knows nothing of."""
    _check(task.settings)
    if over(task, made, progress):
        return progress
    run = _Run(task, made, progress, asked)
    with TemporaryDirectory(prefix="mmidd-trl-") as folder:  # it wants a place, and is told to save nothing
        trains = _grpo(run, folder)
        try:
            trains.train()
        except (RuntimeError, MemoryError) as error:
            if is_memory(error):
                raise RunError(no_memory(task.settings, task.at, run.progress.step)) from error
            raise
        finally:
            if "ref" in run.network.model.peft_config:
                run.network.model.delete_adapter("ref")
    return run.progress


def _check(settings: Settings) -> None:
    if settings.contrast != "micro":
        raise UsageError(f"contrast={settings.contrast}: TRL compares no rows; leave it out")


class _Run:
    """One seed while TRL trains it: what it is fed with, and what rewards and callback keep of the step under way."""

    def __init__(self, task: Task, made: Made, progress: Progress, asked: Asked) -> None:
        self.task, self.made, self.progress, self.asked = task, made, progress, asked
        self.network: RftFas = made.network
        self.options: RftFasOptions = self.network.options  # type: ignore[assignment]
        self.own = task.settings.batch // task.at.ranks
        self.parts = self.own // (task.settings.micro or self.own)
        self.skipped = 0
        self.values: dict[str, list[float]] = {}
        self.told: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        self.begun = self.waited = 0.0

    # What TRL is fed with.

    def __len__(self) -> int:
        return (self.made.total - self.progress.step) * self.parts

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        """For each step the rows of this process, G times each, and that once for each part: TRL samples from the first."""
        empty = 0
        while True:
            before = self.progress.step
            self.begun = time.perf_counter()
            for batch in self.made.load:
                self.waited = time.perf_counter() - self.begun
                rows = self._rows(flat(batch, self.network.input.frames))
                for _ in range(self.parts):
                    yield rows
                self.begun = time.perf_counter()
            empty = 0 if self.progress.step > before else empty + 1
            check_fed(empty)

    def _rows(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        shown = pictures(normalised(batch["image"], self.network.input))
        asks = [{"role": "user", "content": self.network.question}]
        found = [
            {"prompt": asks, "image": picture, "label": int(label)}
            for picture, label in zip(shown, batch["label"].tolist(), strict=True)
        ]
        short = self.own - len(found)
        if short:  # the loader left out what it could not read; TRL shares batches of one size
            self.counts[_FILLED] += short
            found += [found[place % len(found)] for place in range(short)]
        return [row for row in found for _ in range(self.options.samples)]

    # What TRL asks for.

    def rewards(self) -> list[Callable[..., list[float]]]:
        """TRL's reward functions, one a reward; the first of them looks at the replies for all."""
        return [self._reward(name, place == 0) for place, name in enumerate(self.options.rewards)]

    def _reward(self, name: str, first: bool) -> Callable[..., list[float]]:
        def reward(completion_ids: list[list[int]], label: list[int], **others: Any) -> list[float]:
            if first:
                self._look(completion_ids, label)
            return self.values[name]

        reward.__name__ = name
        return reward

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _look(self, ids: list[list[int]], labels: list[int]) -> None:
        """Read and reward replies; what is told of them, over all processes."""
        tokenizer, stops = self.network.processor.tokenizer, ends(self.network)
        cut = [not each or each[-1] not in stops for each in ids]
        said = [each if short else each[:-1] for each, short in zip(ids, cut, strict=True)]
        texts = [tokenizer.decode(each, skip_special_tokens=True) for each in said]
        with scoring(self.network):
            found = rewarded(self.network, texts, [len(each) for each in ids], cut, labels)
        self.values = {name: [float(each) for each in found[f"reward.{name}"]] for name in self.options.rewards}
        groups = (-1, self.options.samples)
        features = {name: torch.tensor(each, dtype=torch.float32).view(groups) for name, each in found.items()}
        label = torch.tensor(labels).view(groups)[:, 0]
        own = self.network.rows({"label": label})
        over_all = dict(zip(own, map(int, self.task.at.summed(list(own.values()))), strict=True))
        told = {name: float(each) for name, each in figures(features, label, over_all).items()}
        self.told = dict(zip(told, self.task.at.summed(list(told.values())), strict=True))

    # What follows a step.

    def seeded(self, optimiser: torch.optim.Optimizer) -> float:
        """Before a step: its chance, and its rate."""
        seed_torch(self.task.seed, For.features, step=self.progress.step, part=self.task.at.rank)
        rate = optim.rate(self.task.settings, self.progress.step, self.made.total, self.made.per_epoch)
        for group in optimiser.param_groups:
            group["lr"] = rate
        return rate

    def sound(self) -> None:
        """Before weights are changed. Raises RunError for a gradient that is no number."""
        gradients = [each.grad for each in self.made.step.trained.values() if each.grad is not None]
        if not isfinite(float(torch.nn.utils.get_total_norm(gradients))):
            raise RunError(
                f"step {self.progress.step + 1}: the gradient became no finite number; no weight was changed by it, and the "
                "last checkpoint is kept. Try a smaller lr, clip_norm=1, warmup=1 or precision=float32, in a new folder"
            )

    def ended(self, logs: Mapping[str, float], rate: float) -> bool:
        """After a step, of which TRL tells `logs`: is it the last one?"""
        told = dict(self.told)
        if self.options.beta:
            told["kl"] = float(logs["kl"])
        told["entropy"] = float(logs["entropy"])
        self.counts.update(self.network.noted)
        self.network.noted.clear()
        every: Counter[str] = Counter()
        for theirs in self.task.at.gathered(dict(self.counts)):
            every.update(theirs)
        self.counts.clear()
        told_all = Told(
            {_LOSS[self.options.beta > 0]: float(logs["loss"])},
            float(logs["grad_norm"]),
            dict(every),
            self.task.settings.batch,
            told,
        )
        took = (time.perf_counter() - self.begun, self.waited)
        self.progress = stepped(self.task, self.made, self.progress, told_all, rate, took)
        self.progress, self.skipped = checked(self.task, self.made, self.progress, self.asked, self.skipped)
        return over(self.task, self.made, self.progress)


def _grpo(run: _Run, folder: str) -> Any:
    """TRL's trainer of the network as it is now. `optimiser` is the run's own, with what it remembers."""
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    class Fed(GRPOTrainer):
        """With the rows as the run's loader gives them: read as they are needed, each process its own."""

        def get_train_dataloader(self) -> _Run:
            return run

    class After(TrainerCallback):  # type: ignore[misc]
        rate = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self.rate = run.seeded(run.made.step.optimiser)

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            run.sound()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
            if "loss" in logs:  # and not the summary at the end
                control.should_training_stop |= run.ended(logs, self.rate)

    asks = Dataset.from_dict({"prompt": [[{"role": "user", "content": run.network.question}]]})
    optimiser = run.made.step.optimiser
    still = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)  # `seeded` sets the rate
    with warnings.catch_warnings():  # TRL and transformers tell each other of names that they change
        warnings.simplefilter("ignore", FutureWarning)
        config = GRPOConfig(output_dir=folder, **_config(run))
    trains = Fed(
        model=run.network.model, reward_funcs=run.rewards(), args=config,
        train_dataset=asks, processing_class=run.network.processor, callbacks=[After()], optimizers=(optimiser, still),
    )  # fmt: skip
    trains.remove_callback(PrinterCallback)
    if run.network.reference is not None:
        _refer(run.network)
    return trains


def _config(run: _Run) -> dict[str, Any]:
    settings, options = run.task.settings, run.options
    silence = {} if options.vllm else {"generation_kwargs": {"suppress_tokens": silent(run.network)}}
    return {
        "per_device_train_batch_size": run.own // run.parts * options.samples,
        "gradient_accumulation_steps": run.parts,
        "num_generations": options.samples,
        "max_completion_length": options.reply_tokens,
        "temperature": options.temperature,
        "top_p": 1.0,
        "top_k": 0,
        **silence,
        "beta": options.beta,
        "loss_type": _LOSSES[options.normalise],
        "scale_rewards": "group",
        "reward_weights": list(options.rewards.values()),
        "max_steps": run.made.total - run.progress.step,
        "learning_rate": settings.lr,
        "max_grad_norm": settings.clip_norm or 0.0,
        "bf16": settings.precision == "bf16",
        "use_cpu": run.task.at.device.type == "cpu",
        "gradient_checkpointing": settings.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "use_vllm": options.vllm,
        "vllm_mode": "colocate",
        "seed": run.task.seed,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "log_multimodal": False,
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
        "eval_strategy": "no",
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def _refer(network: RftFas) -> None:
    """Put what the run started from into the copy of the adapters that TRL made: of a run that goes on it has copied what is
    trained now."""
    held = network.reference
    assert held is not None
    for name in held.names:
        network.get_parameter(name.replace(".default.", ".ref.")).copy_(held.held(name))
