"""Stage 1: the form of a reply, taught beside the answer by written ones that claim nothing but the label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from . import prompts
from .answers import ids_of
from .prompted import Prompted, logits_of

if TYPE_CHECKING:
    from .network import Explaining


def written_loss(network: Explaining, given: Prompted, label: torch.Tensor) -> torch.Tensor:
    """(rows,): of the rows that are drawn the mean negative log-likelihood of a written reply's tokens, 0 of others."""
    share = network.options.format_share
    drawn = torch.rand(given.rows).lt(share).nonzero()[:, 0].to(label.device)
    found = torch.zeros(given.rows, device=label.device)
    if not len(drawn):
        return found
    texts = [_written(network, int(label[row])) for row in drawn.tolist()]
    end, tokenizer = network.processor.tokenizer.eos_token_id, network.processor.tokenizer
    rows = [[*ids_of(tokenizer, text), end] for text in texts]
    behind, ids, mask = given.taken(drawn).with_rows(rows, end)
    logits = logits_of(network.model, network.placed, behind, ids.shape[1] + 1)[:, :-1].float()
    each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids, reduction="none") * mask
    return found.index_put((drawn,), each.sum(1) / mask.sum(1))


def _written(network: Explaining, label: int) -> str:
    """One of our sentences, half of the time with the label in words behind it."""
    chance = torch.rand(2)
    words = network.options.words
    chain = prompts.LOOKS[int(chance[0] * len(prompts.LOOKS))]
    if chance[1] < 0.5:
        chain += prompts.FINDS.format(words[label])
    return prompts.written(chain, network.answers.between + words[label])
