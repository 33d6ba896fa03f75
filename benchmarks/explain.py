"""What stage 1 and stage 2 of an explaining detector take at full size: counted and reckoned, not measured.

    python -m benchmarks.explain         # tables in Markdown, for docs/explaining.md (a minute)

Counted on torch's meta device, which computes nothing: parameters, what autograd keeps of a token in the language model
(every storage that is saved, once, parameters aside) and the work of a forward pass. Reckoned from these: a batch's memory
and time at a rate that is stated. A picture's tower is frozen and keeps nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmidd.detectors.backbones.mllms import SHAPES
from mmidd.detectors.explain.options import ExplainOptions
from mmidd.detectors.listing import laid_out
from mmidd.detectors.registry import reference_detector
from torch.utils.flop_counter import FlopCounterMode

TOKENS = 256
"""Of the pass that is counted."""
PROMPT = 190
"""Tokens of a question, about: 64 of a picture of 224 pixels, 4 of the specialist, the words."""
PATCHES = 256
REACHED, BANDWIDTH = 250e12, 2.5e12
"""FLOP/s in bf16 and bytes/s from memory that an H100 or H200 may reach: assumed."""


@dataclass(frozen=True)
class Cost:
    """`held`: bytes of weights, gradients and optimiser; `weights`: of them those that a decoding step reads; `kept` and
    `lean`: bytes a token from forward to backward, `lean` with checkpointing; `work`: FLOP a token, forward; `tower`: FLOP
    a picture; `logits`: bytes of a token's logits in float32; `cache`: bytes a token of keys and values."""

    held: float
    weights: float
    kept: float
    lean: float
    work: float
    tower: float
    logits: float
    cache: float


def cost(name: str, rank: int = 64) -> Cost:
    """Of the model of that name with adapters of that rank."""
    detector = reference_detector("explain")
    network: Any = laid_out(detector, ExplainOptions(backbone=name, lora_rank=rank, lora_alpha=2.0 * rank))
    whole = network.model.base_model.model.model
    words, text = whole.language_model, whole.language_model.config
    every = list(network.parameters())
    trained = sum(each.numel() for each in every if each.requires_grad)
    size = sum(each.numel() * each.element_size() for each in every)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _passed(words)
    tower = 2.0 * PATCHES * sum(each.numel() for each in whole.visual.parameters())
    kept = _kept(network, words)
    words.gradient_checkpointing_enable({"use_reentrant": False})
    words.train()
    heads = 2 * text.num_hidden_layers * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    return Cost(
        size + 12.0 * trained, size, kept, _kept(network, words), counter.get_total_flops() / TOKENS, tower,
        4.0 * text.vocab_size, 2.0 * heads,
    )  # fmt: skip


def _passed(words: Any) -> Any:
    with torch.device("meta"):
        given = torch.zeros(1, TOKENS, words.config.hidden_size, dtype=torch.bfloat16, requires_grad=True)
        places = torch.arange(TOKENS)[None]
    with torch.autocast("cuda", torch.bfloat16, enabled=False):
        return words(inputs_embeds=given, position_ids=places, use_cache=False).last_hidden_state


def _kept(network: Any, words: Any) -> float:
    known = {each.untyped_storage()._cdata for each in network.parameters()}
    found: dict[int, torch.Tensor] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage()._cdata not in known:
            found[tensor.untyped_storage()._cdata] = tensor  # held, so that no other storage takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        out = _passed(words)
    del out
    return float(sum(each.untyped_storage().nbytes() for each in found.values())) / TOKENS


def lines() -> Iterator[str]:
    """The tables."""
    found = {name: cost(name) for name in SHAPES}
    yield "| model, LoRA 64 | held | a token, kept | checkpointed | its logits | its keys and values | work forward |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, each in found.items():
        yield (
            f"| {name.partition('/')[2]} | {each.held / 1e9:.1f} GB | {each.kept / 1e6:.1f} MB | {each.lean / 1e6:.2f} MB | "
            f"{each.logits / 1e6:.2f} MB | {each.cache / 1e3:.0f} kB | {each.work / 1e9:.0f} GFLOP |"
        )
    yield ""
    yield "| model | stage 1, 100,000 rows | stage 2, a row of G=8 replies of 256 tokens: training, decoding | 10,000 rows |"
    yield "| --- | --- | --- | --- |"
    for name, each in found.items():
        first = 100_000 * (4 * PROMPT * each.work + each.tower) / REACHED / 3600
        train = 8 * (4 * (PROMPT + 256) * each.work + each.tower) / REACHED
        decode = 256 * (each.weights / BANDWIDTH) / 8  # a step reads all weights once, for the 64 replies of 8 rows
        yield (
            f"| {name.partition('/')[2]} | {first:.1f} h | {train:.1f} s, {decode:.1f} s | "
            f"{10_000 * (train + decode) / 3600:.0f} h |"
        )


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
