"""One optimiser's step over a whole batch: its parts, their gradients added up, over all processes; checked before it is
taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import torch
from torch import nn

from mmidd.errors import RunError, UsageError, is_memory
from mmidd.runs.chance import For, seed_torch
from mmidd.runs.detector import Features, Loss, Network
from mmidd.runs.parts import cut, features_of, moved, ready
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings


@dataclass(frozen=True)
class Told:
    """What a step over a whole batch came to: its terms, the norm of its gradient before it was clipped, rows that terms
    left out by reason, rows of the batch over all processes, and figures that are only logged."""

    terms: Mapping[str, float]
    norm: float
    counts: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0
    told: Mapping[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        return sum(self.terms.values())


@dataclass(frozen=True)
class Step:
    """How steps are taken; `trained` are the parameters, by name."""

    network: Network
    optimiser: torch.optim.Optimizer
    trained: Mapping[str, nn.Parameter]
    settings: Settings
    seed: int
    at: Here

    def take(self, batch: Mapping[str, Any], number: int, rate: float) -> Told:
        """Take step `number` (from 0) on this process's batch as the loader gave it. Raises RunError for a loss or gradient
        that is no number, before a weight is changed, and for too little memory."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        try:
            found = self._gradients(batch, number)
        except (RuntimeError, MemoryError) as error:
            if is_memory(error):
                raise RunError(no_memory(self.settings, self.at, number)) from error
            raise
        self.optimiser.step()
        self.at.same_statistics(self.network)
        return found

    def _gradients(self, batch: Mapping[str, Any], number: int) -> Told:
        self.optimiser.zero_grad(set_to_none=True)
        over = self._over(batch)
        parts = cut(moved(batch, self.at.device), self.settings.micro)
        losses = self._whole(parts, over, number) if self.settings.contrast == "whole" else self._each(parts, over, number)
        for each in self.trained.values():  # one that no row touched counts as not changed by them, for any number of parts
            if each.grad is None:
                each.grad = torch.zeros_like(each)
        gradients = [each.grad for each in self.trained.values() if each.grad is not None]
        self.at.add(gradients)
        norm = torch.nn.utils.get_total_norm(gradients)
        told = self._told(losses, norm, over)
        _check(told, losses, parts, number, self.at)
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.trained.values(), self.settings.clip_norm, norm)
        return told

    def _over(self, batch: Mapping[str, Any]) -> dict[str, int]:
        """The rows of each kind of the whole batch, over all processes."""
        own = self.network.rows(batch)
        return dict(zip(own, map(int, self.at.summed(list(own.values()))), strict=True))

    def _place(self, part: int) -> int:
        """The number of a part among those of all processes."""
        own = self.settings.batch // self.at.ranks
        return self.at.rank * (own // (self.settings.micro or own)) + part

    def _features(self, part: Mapping[str, Any], number: int, place: int) -> Features:
        """Of one part, made ready, under mixed precision, as float32. The same again where it is asked again."""
        seed_torch(self.seed, For.features, step=number, part=self._place(place))
        return features_of(self.network, part, self.settings, self.at.device)

    def _losses(self, features: Features, part: Mapping[str, Any], over: Mapping[str, int]) -> Loss:
        with torch.autocast(self.at.device.type, enabled=False):
            found = self.network.losses(features, part, over)
        check_loss(found)
        return found

    def _each(self, parts: Sequence[Mapping[str, Any]], over: Mapping[str, int], number: int) -> list[Loss]:
        """Part by part; terms that compare rows see those of one part."""
        found = []
        for place, raw in enumerate(parts):
            part = ready(raw, self.network.input)
            features = self._features(part, number, place)
            seed_torch(self.seed, For.losses, step=number, part=self._place(place))
            loss = self._losses(features, part, over)
            _summed(loss).backward()
            found.append(_detached(loss))
        return found

    def _whole(self, parts: Sequence[Mapping[str, Any]], over: Mapping[str, int], number: int) -> list[Loss]:
        """GradCache (Gao et al., 2021): features of all parts without a graph, the loss of the whole batch of all processes
        on them, then each part again with the gradient that its features got. Dropout draws the same both times."""
        look, statistics = self.network.input, {name: each.clone() for name, each in self.network.named_buffers()}
        with torch.no_grad():
            held = [self._features(ready(part, look), number, place) for place, part in enumerate(parts)]
            for name, each in self.network.named_buffers():  # or batch norm would count each row twice
                each.copy_(statistics[name])
        own = {name: torch.cat([each[name] for each in held]) for name in held[0]}
        counts = self.at.gathered(sum(len(each["label"]) for each in parts))
        every = {name: self.at.rows_of_all(each, counts) for name, each in own.items()}
        for each in every.values():
            each.requires_grad_(each.is_floating_point())
        seed_torch(self.seed, For.losses, step=number)
        try:
            loss = self._losses(every, self._columns(parts, counts), over)
        except KeyError as error:
            raise UsageError(
                f"contrast=whole: a loss of this detector needs {error} of the batch, which is not held for all of it; use "
                "contrast=micro"
            ) from error
        _summed(loss).backward()
        for each in self.trained.values():
            if each.grad is not None:  # each process took the gradient of the whole loss, and they are added up
                each.grad.div_(self.at.ranks)
        start = sum(counts[: self.at.rank])
        for place, part in enumerate(parts):
            rows = slice(start, start + len(part["label"]))
            start = rows.stop
            features = self._features(ready(part, look), number, place)
            pairs = [
                (each, every[name].grad[rows])
                for name, each in features.items()
                if each.requires_grad and every[name].grad is not None
            ]
            if pairs:
                torch.autograd.backward([each for each, _ in pairs], [gradient for _, gradient in pairs])
        return [_detached(replace(loss, counts=_shared(loss, self.at)), self.at.ranks)]

    def _columns(self, parts: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> dict[str, Any]:
        """The batch of all processes without its images."""
        found: dict[str, Any] = {}
        for key, first in parts[0].items():
            held = [part[key] for part in parts]
            if key == "image":
                continue
            if isinstance(first, torch.Tensor):
                found[key] = self.at.rows_of_all(torch.cat(held), counts)
            else:
                found[key] = [
                    text for theirs in self.at.gathered([text for each in held for text in each]) for text in theirs
                ]
        return found

    def _told(self, losses: Sequence[Loss], norm: torch.Tensor, over: Mapping[str, int]) -> Told:
        names, figures = list(losses[0].terms), list(losses[0].told)
        counts: Counter[str] = Counter()
        for each in losses:
            counts.update(each.counts)
        sums = [sum(each.terms[name].double() for each in losses) for name in names]
        sums += [sum(each.told[name].double() for each in losses) for name in figures]
        *found, total = torch.stack([*sums, norm.double()]).tolist()
        found = self.at.summed(found)
        terms, told = dict(zip(names, found, strict=False)), dict(zip(figures, found[len(names) :], strict=True))
        if self.at.ranks > 1:
            every = self.at.gathered(dict(counts))
            counts = Counter()
            for theirs in every:
                counts.update(theirs)
        return Told(terms, total, {name: n for name, n in counts.items() if n}, over["rows"], told)


def check_loss(found: Any) -> None:
    """Raises RunError for what is no loss: a fault of the detector's code."""
    if not isinstance(found, Loss) or not found.terms:
        wrong = "no term" if isinstance(found, Loss) else f"a {type(found).__name__}"
    else:
        kinds = {
            name: tuple(each.shape) if isinstance(each, torch.Tensor) else type(each)
            for name, each in [*found.terms.items(), *found.told.items()]
        }
        wrong = next((f"the term {name!r} as {kind}, no scalar tensor" for name, kind in kinds.items() if kind != ()), "")
        wrong = wrong or next((f"{n!r} rows for {why!r}" for why, n in found.counts.items() if type(n) is not int), "")
    if wrong:
        raise RunError(f"the detector's losses() gives {wrong} (mmidd.runs.detector.Loss says what it owes): mend its code")


def _summed(loss: Loss) -> torch.Tensor:
    return sum(loss.terms.values(), torch.zeros((), device=next(iter(loss.terms.values())).device))


def _detached(loss: Loss, ranks: int = 1) -> Loss:
    """Without a graph; of a loss that each of so many processes has whole, a process's share."""
    shares = [{name: each.detach() / ranks for name, each in held.items()} for held in (loss.terms, loss.told)]
    return Loss(shares[0], loss.counts, shares[1])


def _shared(loss: Loss, at: Here) -> dict[str, int]:
    """Rows that the whole loss left out are told by one process."""
    return dict(loss.counts) if at.first else {}


def _check(told: Told, losses: Sequence[Loss], parts: Sequence[Mapping[str, Any]], number: int, at: Here) -> None:
    """Raises RunError for what is no number: which terms, and the ids of the rows of the parts where it is, whichever
    process has them; all of them come here, with the same sums."""
    bad = [name for name, value in told.terms.items() if not isfinite(value)]
    if not bad and isfinite(told.norm):
        return
    wrong = [any(not torch.isfinite(each.terms[name]) for name in bad) for each in losses]
    held = [[str(each) for each in part["id"]] for part in parts]
    every = at.gathered(list(zip(wrong, held, strict=True)) if len(wrong) == len(held) else [(False, each) for each in held])
    found = [each for theirs in every for each in theirs]
    rows = [name for off, names in found if off or not any(each for each, _ in found) for name in names]
    more = f" and {len(rows) - 8} more" if len(rows) > 8 else ""
    what = "the loss terms " + ", ".join(bad) if bad else "the gradient of a sound loss"
    raise RunError(
        f"step {number + 1}: {what} became no finite number; no weight was changed by it, and the last checkpoint is kept. "
        f"Terms: {', '.join(f'{name} {value:g}' for name, value in told.terms.items())}; rows {', '.join(rows[:8])}{more}. "
        "Try a smaller lr, clip_norm=1, warmup=1 or precision=float32, in a new folder"
    )


def no_memory(settings: Settings, at: Here, number: int) -> str:
    """That step `number` (from 0) found too little memory, and what to do."""
    rows = settings.micro or settings.batch // at.ranks
    ways = [f"--set micro={max(1, rows // 2)}"] if rows > 1 else []
    ways += [] if settings.checkpointing else ["--set checkpointing=true"]
    ways += ["--set precision=bf16"] if settings.precision == "float32" and at.device.type == "cuda" else []
    return (
        f"step {number + 1}: not enough memory on {at.device} for {rows} rows at once; the last checkpoint is kept. "
        f"Begin another run with {' or '.join(ways) or 'a smaller backbone'}"
    )
