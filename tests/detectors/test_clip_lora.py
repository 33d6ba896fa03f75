"""CLIP-LoRA: its counts, its scaling, its loss, and that dropout sits where it should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmidd.detectors import texts
from mmidd.detectors.backbones.lora import trained
from mmidd.detectors.clip_lora import DETECTOR, ClipLora, ClipLoraOptions
from torch.nn import functional as F

from mmidd.runs.settings import Settings

TINY = {"backbone": "clip:tiny", "weights": "random"}


def tiny(**options: Any) -> ClipLora:
    torch.manual_seed(0)
    return ClipLora(ClipLoraOptions(**{**TINY, **options}))


def a_batch(rows: slice = slice(None)) -> dict[str, Any]:
    chance = torch.Generator().manual_seed(1)
    types = torch.tensor([0, 1, -1, 0, 4, 2, -1, 3])
    whole = {"image": torch.randn(8, 3, 64, 64, generator=chance), "label": (types != 0).long(), "forgery_type": types}
    return {name: each[rows] for name, each in whole.items()}


def disturb(network: ClipLora) -> None:
    torch.manual_seed(5)
    with torch.no_grad():
        for each in network.parameters():
            if each.requires_grad:
                each.add_(0.05 * torch.randn_like(each))


def test_the_full_size_trains_the_papers_number() -> None:
    with torch.device("meta"):
        network = ClipLora(ClipLoraOptions(weights="random"))
    assert trained(network) == 405_504
    assert not any(each.requires_grad for each in network.image.projection.parameters())


@pytest.mark.parametrize(("scaling", "factor"), [("root", 1 / 2**0.5), ("rank", 1 / 2)])
def test_low_rank_products_are_scaled_as_released(scaling: str, factor: float) -> None:
    network = tiny(lora_scaling=scaling).eval()
    disturb(network)
    layer = network.image.inner.encoder.layers[0].self_attn.q_proj
    x = torch.randn(3, 64)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.testing.assert_close(layer(x), layer.base_layer(x) + factor * x @ down.T @ up.T)


def test_dropout_is_on_the_low_rank_side_alone() -> None:
    network, images = tiny().train(), a_batch()["image"]
    assert torch.equal(network.features({"image": images})["image"], network.features({"image": images})["image"])
    disturb(network)
    assert not torch.equal(network.features({"image": images})["image"], network.features({"image": images})["image"])


@pytest.mark.parametrize("classes", ["two", "five"])
def test_the_loss_is_the_cross_entropy_of_cosines_and_parts_add_up(classes: str) -> None:
    network, batch = tiny(classes=classes).eval(), a_batch()
    disturb(network)
    over = network.rows(batch)
    loss = network.losses(network.features(batch), batch, over)
    prompts = list(texts.TWO_CLASSES) if classes == "two" else texts.labels()
    named = F.normalize(network.text.projection(network.text(network.text.tokenizer(prompts))), dim=1)
    image = F.normalize(network.image.projection(network.image(batch["image"]).last), dim=1)
    wanted = batch["label"] if classes == "two" else batch["forgery_type"]
    torch.testing.assert_close(loss.terms["cross_entropy"], F.cross_entropy(100 * image @ named.T, wanted, ignore_index=-1))
    assert loss.counts == ({} if classes == "two" else {"unknown type": 2})
    parts = [a_batch(slice(start, start + 2)) for start in range(0, 8, 2)]
    found = sum(network.losses(network.features(each), each, over).terms["cross_entropy"] for each in parts)
    torch.testing.assert_close(found, loss.terms["cross_entropy"])


@pytest.mark.parametrize("classes", ["two", "five"])
def test_scores(classes: str) -> None:
    network, batch = tiny(classes=classes).eval(), a_batch()
    found = network.scores(network.features(batch))
    assert found.fake.shape == (8,) and ((found.fake >= 0) & (found.fake <= 1)).all()
    assert (found.types is None) == (classes == "two")
    if found.types is not None:
        torch.testing.assert_close(found.fake, 1 - found.types[:, 0])
    assert list(network.options.needs()) == ([] if classes == "two" else ["forgery_type"])


def test_gradients_reach_both_towers_and_are_equal_with_checkpointing() -> None:
    found = []
    for checkpointing in (False, True):
        network, batch = tiny(lora_dropout=0.0).train(), a_batch()
        disturb(network)
        if checkpointing:
            network.checkpointing()
        network.losses(network.features(batch), batch, network.rows(batch)).terms["cross_entropy"].backward()
        found.append({name: each.grad for name, each in network.named_parameters() if each.grad is not None})
    assert [sum(name.startswith(tower) for name in found[0]) for tower in ("image.", "text.")] == [18, 12]
    for name, each in found[0].items():
        assert each.abs().sum() > 0, name
        torch.testing.assert_close(found[1][name], each)


def test_what_was_trained_gives_the_same_network_on_the_same_backbone() -> None:
    network, batch = tiny().eval(), a_batch()
    disturb(network)
    again = tiny().eval()
    stored = {name: each for name, each in network.named_parameters() if each.requires_grad}
    assert not again.load_state_dict(stored, strict=False).unexpected_keys
    assert torch.equal(again.scores(again.features(batch)).fake, network.scores(network.features(batch)).fake)


def test_the_paper_preset_is_the_released_settings() -> None:
    settings = Settings(**DETECTOR.presets["paper"].settings)
    assert (settings.lr, settings.weight_decay, settings.batch, settings.steps) == (2e-4, 1e-2, 32, 8000)
    assert (settings.schedule, settings.min_lr, settings.optimiser) == ("cosine", 1e-6, "adamw")
