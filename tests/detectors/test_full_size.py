"""CLIP ViT-L/14 at its real size, with random weights, saved and read by the path that pretrained ones take (MMIDD_FULL=1:
minutes, 4 GB of memory, 2 GB of disk, removed again). Run with -s it tells time and memory."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmidd.detectors import gend
from mmidd.detectors.backbones import clip_pair, image_tower

pytestmark = pytest.mark.skipif(not os.environ.get("MMIDD_FULL"), reason="slow and large; set MMIDD_FULL=1")
NAME = "openai/clip-vit-large-patch14"
CLIP_NUMBERS, TOWER_NUMBERS = 427_616_513, 303_966_208


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mmidd-full-") as place:
        yield Path(place)


def _told(what: str, begun: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what}: {time.monotonic() - begun:.1f} s, peak so far {peak:.2f} GiB")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bf16"])
def test_clip_of_real_size_comes_out_as_it_was_saved(folder: Path, dtype: torch.dtype) -> None:
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    begun = time.monotonic()
    torch.manual_seed(0)
    pair = clip_pair(f"clip:{NAME}", "random")
    _told("made at random", begun)
    _save(pair, folder, dtype, begun := time.monotonic())
    with torch.inference_mode():
        expected = pair.image.to(dtype).float().eval()(image).last
    del pair
    begun = time.monotonic()
    network = gend.GenD(gend.GenDOptions(backbone=str(folder)))
    _told("GenD read", begun)
    assert sum(each.numel() for each in network.parameters()) == TOWER_NUMBERS + 2_050
    assert all(each.dtype == torch.float32 for each in network.parameters())
    files = network.tower.source["files"]
    assert set(files) == {"config.json", "model.safetensors"} and all(len(each) == 64 for each in files.values())
    begun = time.monotonic()
    with torch.inference_mode():
        assert torch.equal(network.tower.eval()(image).last, expected)
    _told("one image", begun)
    begun = time.monotonic()
    with torch.autocast("cpu", torch.bfloat16):
        network.features({"image": image})["seen"].square().sum().backward()
    _told("one image, forwards and backwards, bf16", begun)
    assert sum(each.grad is not None for each in network.parameters()) == 100
    del network
    begun = time.monotonic()
    assert image_tower(f"{folder}@336")(torch.zeros(1, 3, 336, 336)).last.shape == (1, 1024)
    _told("read and run at 336", begun)


def _save(pair: object, folder: Path, dtype: torch.dtype, begun: float) -> None:
    from mmidd.detectors.backbones import CLIPS, ClipPair
    from safetensors.torch import save_file
    from transformers import CLIPConfig

    assert isinstance(pair, ClipPair)
    tensors = {"logit_scale": pair.logit_scale.detach()}
    for tower, inner, projection in (
        (pair.image, "vision_model", "visual_projection"),
        (pair.text, "text_model", "text_projection"),
    ):
        assert tower.projection is not None
        tensors |= {f"{inner}.{name}": each.detach() for name, each in tower.inner.named_parameters()}
        tensors |= {f"{projection}.{name}": each.detach() for name, each in tower.projection.named_parameters()}
    assert sum(each.numel() for each in tensors.values()) == CLIP_NUMBERS
    CLIPConfig(**CLIPS[NAME]).save_pretrained(folder)
    save_file({name: each.to(dtype) for name, each in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    _told(f"{(folder / 'model.safetensors').stat().st_size / 1e9:.2f} GB saved as {dtype}", begun)
