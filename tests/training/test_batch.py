"""A batch is its samples one upon the other; rows that were skipped are put aside; what does not fit together is told."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mmidd.errors import CorpusError
from mmidd.training.batch import Skipped, collate


def sample(number: int, **more: Any) -> dict[str, Any]:
    pixels = torch.full((4, 6, 3), number, dtype=torch.uint8)
    return {"image": pixels.permute(2, 0, 1), "label": number % 2, "id": f"{number:03}", "frame": number, **more}


def test_numbers_and_images_become_tensors_and_texts_lists() -> None:
    batch = collate([sample(1, share=0.5, encoded=b"x"), sample(2, share=1.0, encoded=b"yy")])
    assert batch["image"].shape == (2, 3, 4, 6) and batch["image"].dtype == torch.uint8
    assert batch["image"].is_contiguous(memory_format=torch.channels_last) and batch["image"][1].eq(2).all()
    assert batch["label"].tolist() == [1, 0] and batch["label"].dtype == torch.int64
    assert batch["share"].dtype == torch.float32 and batch["id"] == ["001", "002"] and batch["encoded"] == [b"x", b"yy"]
    assert "skipped" not in batch and "blended" not in batch


def test_images_of_floats_and_clips_keep_their_order_in_memory() -> None:
    plain = collate([{"image": torch.zeros(3, 4, 6)}] * 2)["image"]
    assert plain.is_contiguous() and plain.dtype == torch.float32
    clips = torch.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3).permute(0, 3, 1, 2)
    batch = collate([{"image": clips}, {"image": clips + 1}])["image"]
    assert batch.shape == (2, 2, 3, 4, 6) and torch.equal(batch[1], clips + 1) and batch[0].stride() == clips.stride()


def test_a_skipped_row_is_put_aside() -> None:
    lost = Skipped(3, 7, "abc", "cannot be decoded")
    batch = collate([sample(1), lost, sample(2)])
    assert batch["frame"].tolist() == [1, 2] and batch["skipped"] == [lost]
    assert collate([lost]) == {"skipped": [lost]}


def test_who_does_not_say_that_it_is_blended_is_not() -> None:
    assert collate([sample(1), sample(2, blended=1)])["blended"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"image": torch.zeros(3, 5, 6, dtype=torch.uint8)}, r"'image' has different sizes in one batch .*give size="),
        ({"mask": 1}, r"differ in their keys: mask"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told(other: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        collate([sample(1), sample(1, **other)])
