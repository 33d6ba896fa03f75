"""LoRA (Hu et al., 2021) in a tower, by peft: which of its attention's linear layers, and their names in every library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from torch import nn

from mmidd.errors import UsageError

Targets = Literal["qv", "qkv", "qkvo"]
_LETTERS = {
    "q_proj": "q", "k_proj": "k", "v_proj": "v", "out_proj": "o", "qkv": "qkv", "proj": "o",
    "query": "q", "key": "k", "value": "v", "dense": "o", "q_lin": "q", "k_lin": "k", "v_lin": "v", "out_lin": "o",
}  # fmt: skip


def add_lora(tower: Any, rank: int, alpha: float, targets: Targets, *, dropout: float = 0.0, root: bool = False) -> None:
    """Freeze a tower and, with `rank` over 0, put low-rank adapters beside those of its attention's linear layers: (alpha
    / rank) B A, or with `root` (alpha / sqrt(rank)) B A. A layer that holds q, k and v in one is taken for any of them.

    `tower` has `attention_linears`. B begins at zero, so nothing of its output changes. Raises UsageError for a tower
    without attention.
    """
    tower.requires_grad_(False)
    if rank == 0:
        return
    from peft import LoraConfig, inject_adapter_in_model

    try:
        names = list(_names(tower, targets))
    except UsageError as error:
        raise UsageError(f"{error}; or lora_rank=0, which leaves the towers as they are") from error
    if not names:
        raise UsageError(f"{type(tower).__name__}: none of its layers of attention is one of {targets!r}: take lora_rank=0")
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, use_rslora=root, target_modules=names), tower
    )


def _names(tower: Any, targets: str) -> Iterator[str]:
    called = {id(module): name for name, module in tower.named_modules()}
    for holder, name in tower.attention_linears():
        if set(_LETTERS.get(name, "")) & set(targets):
            yield f"{called[id(holder)]}.{name}"


def trained(module: nn.Module) -> int:
    """How many of its parameters are trained."""
    return sum(each.numel() for each in module.parameters() if each.requires_grad)
