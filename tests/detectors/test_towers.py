"""Image towers: what they give, which parts they name, and how large they are at full size."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from mmidd.detectors.backbones import ImageTower, Seen, freeze, image_tower
from torch import nn

from mmidd.errors import UsageError

TINY = ["clip:tiny", "timm:tiny", "timm:tiny-cnn"]


def _tower(name: str) -> ImageTower:
    torch.manual_seed(0)
    return image_tower(name, "random").eval()


def _images(tower: ImageTower, n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, tower.side, tower.side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", [*TINY, "clip:tiny@96", "timm:tiny@96", "timm:tiny-cnn@80"])
def test_a_tower_gives_one_vector_an_image_and_one_a_layer(name: str) -> None:
    tower = _tower(name)
    images = _images(tower)
    alone, with_layers = tower(images), tower(images, layers=True)
    assert alone.last.shape == (2, tower.width) and alone.layers is None
    assert torch.equal(alone.last, with_layers.last)
    assert with_layers.layers.shape == (2, tower.depth, max(tower.layer_widths)) and tower.depth == len(tower.layer_widths)
    assert tower.side == int(name.partition("@")[2] or 64)
    assert tower.source == {"weights": "random"}


def _hold(given: list[torch.Tensor], *call: Any) -> None:
    given.append(call[-1][0] if isinstance(call[-1], tuple) else call[-1])


def test_layers_of_a_vision_transformer_are_the_class_tokens_that_its_blocks_give() -> None:
    for name, blocks in (("clip:tiny", "encoder.layers"), ("timm:tiny", "blocks")):
        tower = _tower(name)
        given: list[torch.Tensor] = []
        for block in tower.inner.get_submodule(blocks):
            block.register_forward_hook(partial(_hold, given))
        found = tower(_images(tower), layers=True).layers
        assert torch.equal(found, torch.stack([each[:, 0] for each in given], dim=1))


def test_layers_of_a_network_in_stages_are_their_means_filled_up_with_zeros() -> None:
    tower = _tower("timm:tiny-cnn")
    given: list[torch.Tensor] = []
    for stage in tower.inner.blocks:
        stage.register_forward_hook(partial(_hold, given))
    found = tower(_images(tower), layers=True).layers
    assert tower.layer_widths == (16, 24, 32, 48, 64) == tuple(each.shape[1] for each in given)
    for place, (width, each) in enumerate(zip(tower.layer_widths, given, strict=True)):
        assert torch.allclose(found[:, place, :width], each.mean(dim=(2, 3)), atol=1e-6)
        assert not found[:, place, width:].any()


@pytest.mark.parametrize("name", ["clip:tiny", "timm:tiny", "timm:tiny-cnn"])
def test_checkpointing_gives_the_same_gradients_with_layers_too(name: str) -> None:
    tower = _tower(name)
    freeze(tower)
    for norm in tower.norms():
        norm.requires_grad_(True)
    tower.train()
    for module in tower.modules():  # statistics of a batch would be counted twice
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.0

    def gradients() -> list[torch.Tensor]:
        tower.zero_grad()
        seen: Seen = tower(_images(tower), layers=True)
        assert seen.layers is not None
        (seen.last.square().sum() + seen.layers.square().sum()).backward()
        return [each.grad.clone() for each in tower.parameters() if each.grad is not None]

    plain = gradients()
    tower.checkpointing()
    again = gradients()
    assert len(plain) == len(again) == sum(1 for each in tower.parameters() if each.requires_grad)
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(plain, again, strict=True))
    assert any(each.any() for each in plain)


def test_checkpointing_is_on_where_it_was_asked_for() -> None:
    tower = _tower("clip:tiny").train()
    tower.checkpointing()
    calls: list[int] = []
    tower.inner.encoder.layers[0].register_forward_pre_hook(lambda *_: calls.append(1))
    tower.inner.encoder.layers[0].layer_norm1.register_forward_pre_hook(lambda *_: calls.append(2))
    tower(_images(tower)).last.sum().backward()
    assert calls.count(2) == 2  # forwards, and again for the backward pass


@pytest.mark.parametrize(
    ("name", "names", "layers"),
    [("clip:tiny", {"q_proj", "k_proj", "v_proj", "out_proj"}, 3), ("timm:tiny", {"qkv", "proj"}, 6)],
)
def test_attention_linears_are_all_of_attention_and_nothing_else(name: str, names: set[str], layers: int) -> None:
    tower = _tower(name)
    found = list(tower.attention_linears())
    assert {each for _, each in found} == names and len(found) == len(names) * layers
    assert all(isinstance(getattr(holder, each), nn.Linear) for holder, each in found)
    assert len({(id(holder), each) for holder, each in found}) == len(found)


def test_a_network_without_attention_says_so() -> None:
    with pytest.raises(UsageError, match="EfficientNet has no attention"):
        list(_tower("timm:tiny-cnn").attention_linears())


SIZES = [
    # name, parameters, trained norms as released, as listed (tensors, parameters)
    ("clip:openai/clip-vit-large-patch14", 303_179_776 + 786_432, (100, 102_400), (100, 102_400)),
    ("timm:vit_pe_core_large_patch14_336@224", 316_104_706 - 2_050, (102, 104_448), (100, 102_400)),
    ("timm:vit_large_patch16_dinov3@224", 303_081_474 - 2_050, (98, 100_352), (98, 100_352)),
    ("timm:vit_base_patch16_clip_quickgelu_224.openai", 85_799_424, (52, 39_936), (52, 39_936)),
    ("timm:mobilenetv2_100", 2_223_872, (104, 34_112), (104, 34_112)),
    ("timm:swin_tiny_patch4_window7_224", 27_519_354, (58, 24_768), (58, 24_768)),
]


@pytest.mark.parametrize(("name", "parameters", "released", "listed"), SIZES, ids=[each[0] for each in SIZES])
def test_full_size_networks_are_built_on_meta_without_files(
    name: str, parameters: int, released: tuple[int, int], listed: tuple[int, int]
) -> None:
    """The Perception Encoder's attention pooling has a norm of its own (2 x 1,024), which the released code hits as well."""
    with torch.device("meta"):
        tower = image_tower(name)
    assert sum(each.numel() for each in tower.parameters()) == parameters
    assert all(each.is_meta for each in tower.parameters())
    for which, expected in (("as_released", released), ("listed", listed)):
        norms = [each for norm in tower.norms(which) for each in norm.parameters()]
        assert (len(norms), sum(each.numel() for each in norms)) == expected
        assert len({id(each) for each in norms}) == len(norms)


def test_another_side_interpolates_positions_and_keeps_the_parameters() -> None:
    native = _tower("clip:tiny")
    wider = _tower("clip:tiny@96")
    wider.load_state_dict(native.state_dict())
    images = _images(native)
    stretched = nn.functional.interpolate(images, 96, mode="bicubic")
    assert wider(stretched).last.shape == native(images).last.shape
    wider.side, wider._interpolate = 64, True
    assert torch.allclose(wider(images).last, native(images).last, atol=1e-5)  # interpolated to the same places


def test_dinov3_gives_its_class_token_and_the_perception_encoder_its_pooled_one() -> None:
    with torch.device("meta"):
        assert image_tower("timm:vit_large_patch16_dinov3@224").inner.global_pool == "token"
        assert image_tower("timm:vit_pe_core_large_patch14_336@224").inner.global_pool == "map"
