"""Soft tokens: features written into a language model's input embeddings where a special token stands, by a hook, so that
generation, adapters and the families of models work as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Projector(nn.Module):  # type: ignore[misc]
    """Features (n, width) to soft tokens (n, tokens, hidden)."""

    def __init__(self, width: int, hidden: int, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, tokens * hidden)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(features).unflatten(1, (self.tokens, -1))
        return found


class Placed:
    """The hook. `token` is no word of the model: it is looked up as another, and its embedding replaced."""

    def __init__(self, embeddings: nn.Module, token: int) -> None:
        self._token = token
        self._shown: torch.Tensor | None = None
        self._where: torch.Tensor | None = None
        embeddings.register_forward_pre_hook(self._before)
        embeddings.register_forward_hook(self._after)

    @contextmanager
    def shown(self, soft: torch.Tensor | None) -> Iterator[None]:
        """Meanwhile these (n, tokens, hidden) stand at the token, row by row in the order of the batch."""
        self._shown = soft
        try:
            yield
        finally:
            self._shown = None

    def _before(self, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        ids = given[0]
        where = ids == self._token
        if not bool(where.any()):
            self._where = None
            return None
        self._where = where
        return (ids.masked_fill(where, 0), *given[1:])

    def _after(self, module: nn.Module, given: tuple[Any, ...], found: torch.Tensor) -> torch.Tensor | None:
        where, self._where = self._where, None
        if where is None:
            return None
        if self._shown is None or int(where.sum()) != self._shown.shape[0] * self._shown.shape[1]:
            raise RuntimeError("the specialist's tokens stand in a text that its features do not belong to")
        return found.masked_scatter(where.unsqueeze(-1), self._shown.to(found.dtype))
