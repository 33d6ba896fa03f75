"""Replies of the model: the likeliest, or sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .prompted import Prompted

if TYPE_CHECKING:
    from .network import Explaining


@dataclass(frozen=True)
class Replies:
    """Of each row: its text, its length in tokens with the end, whether it ran into the limit; `ids` (rows, longest), and
    `mask`, what of them was said."""

    texts: tuple[str, ...]
    lengths: tuple[int, ...]
    cut: tuple[bool, ...]
    ids: torch.Tensor
    mask: torch.Tensor


@torch.no_grad()  # type: ignore[untyped-decorator]
def replied(network: Explaining, given: Prompted, *, sample: bool = False) -> Replies:
    """One reply a row: sampled from torch's chance, or the likeliest one. Special tokens are never said."""
    options, tokenizer = network.options, network.processor.tokenizer
    chance: dict[str, Any] = (
        {"do_sample": True, "temperature": options.temperature, "top_k": 0, "top_p": 1.0} if sample else {"do_sample": False}
    )
    with network.placed.shown(given.soft):
        found = network.model.generate(
            **given.inputs, max_new_tokens=options.reply_tokens, repetition_penalty=1.0, num_beams=1,
            suppress_tokens=silent(network), pad_token_id=tokenizer.pad_token_id, **chance,
        )  # fmt: skip
    ids = found[:, given.length :]
    ended = torch.zeros_like(ids, dtype=torch.bool)
    for each in ends(network):
        ended |= ids == each
    before = ended.cumsum(1) - ended.long()
    mask = before == 0
    lengths = mask.sum(1).tolist()
    cut = (~ended.any(1)).tolist()
    texts = [
        tokenizer.decode(row[: length - (not short)], skip_special_tokens=True)
        for row, length, short in zip(ids.tolist(), lengths, cut, strict=True)
    ]
    return Replies(tuple(texts), tuple(lengths), tuple(cut), ids, mask)


def ends(network: Explaining) -> set[int]:
    """Tokens that end a reply."""
    given = network.model.generation_config.eos_token_id
    every = given if isinstance(given, list) else [given]
    return {each for each in (*every, network.processor.tokenizer.eos_token_id) if each is not None}


def silent(network: Explaining) -> list[int]:
    """Special tokens that are no end, such as those that stand for pictures."""
    words = network.model.get_input_embeddings().weight.shape[0]
    return sorted(each for each in _special(network) - ends(network) if each < words)


def _special(network: Explaining) -> set[int]:
    """Also what stands for pictures where a tokenizer does not call it special."""
    shown = {getattr(network.model.config, f"{kind}_token_id", None) for kind in ("image", "video")} - {None}
    return {*network.processor.tokenizer.all_special_ids, *shown}
