"""Stage 2, what a batch gives: sampled replies, what they are rewarded for, and how likely the network says them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.utils.checkpoint import checkpoint

from mmidd.explanations.polarity import bare
from mmidd.explanations.reply import read
from mmidd.runs.detector import Batch, Features

from .objective import advantages
from .prompted import Prompted, logits_of
from .replies import Replies, replied, silent
from .rewards.protocol import Asked

if TYPE_CHECKING:
    from .network import Explaining


def rollouts(network: Explaining, given: Prompted, batch: Batch) -> Features:
    """Of `samples` (G) replies a row, each (rows, G): `said`, the sum of its tokens' log-probabilities, with a gradient;
    `advantage`; `reward` and each `reward.NAME`; `answer` (0, 1, -1 for none), `length` in tokens, `cut`, `empty`, `bare`,
    `shared`, `formed` as `objective` tells them; with `beta` `kl`, the sum over its tokens.

    A part of a batch holds rows x G replies at once: how many rows that are is the setting `micro`. Sampling needs less
    memory than the gradient after it, so it is not cut further.
    """
    options, each = network.options, given.repeated(network.options.samples)
    once = torch.is_grad_enabled()  # contrast=whole asks twice for the same replies, once without
    with torch.no_grad(), scoring(network):
        found = replied(network, each, sample=True)
        labels = batch["label"].repeat_interleave(options.samples).tolist()
        told = rewarded(network, found.texts, found.lengths, found.cut, labels, count=once)
    behind = each.with_ids(found.ids, found.mask)
    logits = logits_of(network.model, network.placed, behind, found.ids.shape[1] + 1)
    chances = log_chances(network, logits, found)
    rows: dict[str, torch.Tensor] = {"said": chances.sum(1)}
    if network.reference is not None:
        before = network.reference.logits(network, behind, batch["image"], found.ids.shape[1] + 1)
        rows["kl"] = distance(chances, log_chances(network, before, found)).sum(1)
    device = chances.device
    rows |= {name: torch.tensor(values, dtype=torch.float32, device=device) for name, values in told.items()}
    groups = {name: values.unflatten(0, (given.rows, options.samples)) for name, values in rows.items()}
    return {**groups, "advantage": advantages(groups["reward"])}


def rewarded(
    network: Explaining,
    texts: Sequence[str],
    lengths: Sequence[int],
    cut: Sequence[bool],
    labels: Sequence[int],
    *,
    count: bool = True,
) -> dict[str, Sequence[float]]:
    """What is told of replies, a number each, as `rollouts` has it: their rewards, and what they look like.
    `count`: into `noted`."""
    words = network.options.words
    read_as = [read(text, words, cut=short) for text, short in zip(texts, cut, strict=True)]
    judged = network.judge.judged(Asked(texts, read_as, labels, words, network.alone))
    if count:
        network.noted.update(judged.counts)
    return {
        "reward": judged.total,
        **{f"reward.{name}": values for name, values in judged.values.items()},
        "answer": [-1 if reply.answer is None else reply.answer for reply in read_as],
        "length": lengths,
        "cut": cut,
        "empty": [not reply.chain for reply in read_as],
        "bare": [bool(reply.chain) and bare(reply.chain, words) for reply in read_as],
        "shared": _shared([reply.chain for reply in read_as], network.options.samples),
        "formed": [reply.formed for reply in read_as],
    }


def _shared(chains: Sequence[str], samples: int) -> list[bool]:
    """Of replies, so many of each row in turn: did another row get the same reasons, word for word?"""
    rows: dict[str, set[int]] = {}
    for place, chain in enumerate(chains):
        rows.setdefault(chain, set()).add(place // samples)
    return [bool(chain) and len(rows[chain]) > 1 for chain in chains]


def log_chances(network: Explaining, logits: torch.Tensor, found: Replies) -> torch.Tensor:
    """Of each token of each reply (replies, tokens) the log-probability with which `replied` samples it, 0 behind its end;
    float32. `logits` (replies, tokens + 1, words): from the last place of the question on.

    Reply by reply, and again in the backward pass: what lies between logits and these numbers is several times the logits
    in float32, and is never there of more than one reply.
    """
    never = torch.tensor(silent(network), device=logits.device)
    temperature = network.options.temperature
    said = [
        checkpoint(_log_chances, each, ids, never, temperature, use_reentrant=False, preserve_rng_state=False)
        for each, ids in zip(logits.unbind(), found.ids.unbind(), strict=True)
    ]
    return torch.where(found.mask, torch.stack(said), 0.0)


def _log_chances(logits: torch.Tensor, ids: torch.Tensor, never: torch.Tensor, temperature: float) -> torch.Tensor:
    """Of one reply: (tokens + 1, words), (tokens,) -> (tokens,)."""
    logits = logits[:-1].float().index_fill(1, never, -torch.inf) / temperature
    return logits.gather(1, ids.unsqueeze(1)).squeeze(1) - logits.logsumexp(1)


def distance(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """An estimate of KL(now || before) by what was sampled, of log-probabilities: never negative (k3 of Schulman, 2020)."""
    apart = before - now
    return apart.exp() - apart - 1


@contextmanager
def scoring(network: Explaining) -> Iterator[None]:
    """Meanwhile in eval mode: so that it generates with a cache, which checkpointing forbids in training mode."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
