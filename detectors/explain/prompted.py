"""Pictures with a question as a model's input, and what is put behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from .soft import Placed


@dataclass(frozen=True)
class Prompted:
    """`inputs`: as the processor made them, of `rows` rows of one length; `soft` (rows, tokens, hidden): what the specialist
    says, None without one."""

    inputs: Mapping[str, torch.Tensor]
    soft: torch.Tensor | None
    rows: int

    @property
    def length(self) -> int:
        return int(self.inputs["input_ids"].shape[1])

    def repeated(self, times: int) -> Prompted:
        """Each row so often, side by side."""
        found = {name: _repeated(each, self.rows, times) for name, each in self.inputs.items()}
        soft = None if self.soft is None else self.soft.repeat_interleave(times, 0)
        return Prompted(found, soft, self.rows * times)

    def taken(self, rows: torch.Tensor) -> Prompted:
        """These rows alone."""
        found = {name: _taken(each, self.rows, rows) for name, each in self.inputs.items()}
        return Prompted(found, None if self.soft is None else self.soft[rows], len(rows))

    def with_rows(self, rows: Sequence[Sequence[int]], pad: int = 0) -> tuple[Prompted, torch.Tensor, torch.Tensor]:
        """With ids of any length behind each; and these, filled up with `pad`, and the mask of what counts: as `with_ids`
        takes them."""
        longest, device = max(map(len, rows)), self.inputs["input_ids"].device
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
        return self.with_ids(ids, mask), ids, mask

    def with_ids(self, ids: torch.Tensor, mask: torch.Tensor) -> Prompted:
        """With `ids` (rows, more) behind each, of which `mask` says what counts."""
        grown = dict(self.inputs)
        grown["input_ids"] = torch.cat([grown["input_ids"], ids], 1)
        grown["attention_mask"] = torch.cat([grown["attention_mask"], mask.to(grown["attention_mask"])], 1)
        for name in ("mm_token_type_ids", "token_type_ids"):
            if name in grown:
                grown[name] = torch.cat([grown[name], torch.zeros_like(ids, dtype=grown[name].dtype)], 1)
        return replace(self, inputs=grown)


def prompted(
    processor: Any, images: Sequence[Image.Image] | None, texts: Sequence[str], device: Any, dtype: Any
) -> Prompted:
    """Texts, each with its picture where there are any, as the beginning of what the model says."""
    talks = []
    for place, text in enumerate(texts):
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        if images is not None:
            content.insert(0, {"type": "image", "image": images[place]})
        talks.append([{"role": "user", "content": content}])
    found = processor.apply_chat_template(
        talks, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        processor_kwargs={"padding": True},
    ).to(device, dtype=dtype)  # fmt: skip
    return Prompted({name: each for name, each in found.items() if isinstance(each, torch.Tensor)}, None, len(texts))


def pictures(image: torch.Tensor) -> list[Image.Image]:
    """Of images (n, 3, side, side) in 0..1."""
    pixels = (image * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(np.ascontiguousarray(each)) for each in pixels]


def logits_of(model: Any, placed: Placed, given: Prompted, keep: int | torch.Tensor) -> torch.Tensor:
    """Of the last `keep` places, or of those that it lists, (rows, places, words): what the model expects behind each. As
    the model computes them: in float32 all of them at once would be what memory is full of."""
    with placed.shown(given.soft):
        found: torch.Tensor = model(**given.inputs, use_cache=False, logits_to_keep=keep).logits
    return found


def _repeated(each: torch.Tensor, rows: int, times: int) -> torch.Tensor:
    """A tensor that has its first axis by rows, or by so many patches a row (all pictures are of one size)."""
    return each.unflatten(0, (rows, -1)).repeat_interleave(times, 0).flatten(0, 1)


def _taken(each: torch.Tensor, rows: int, wanted: torch.Tensor) -> torch.Tensor:
    return each.unflatten(0, (rows, -1))[wanted].flatten(0, 1)
