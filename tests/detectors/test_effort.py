"""Effort: what is trained, that it begins as its backbone, and its terms against the released ones with full bases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmidd.detectors.effort import DETECTOR, Effort, EffortOptions, Residual, weakest
from torch import nn
from torch.nn import functional as F

from mmidd.errors import UsageError

TINY = {"backbone": "clip:tiny", "weights": "random"}


def tiny(**options: Any) -> Effort:
    torch.manual_seed(0)
    return Effort(EffortOptions(**{**TINY, **options})).eval()


def pictures(count: int = 4) -> dict[str, Any]:
    chance = torch.Generator().manual_seed(1)
    return {"image": torch.randn(count, 3, 64, 64, generator=chance), "label": torch.arange(count) % 2}


def disturb(network: nn.Module) -> None:
    """As if it had been trained."""
    torch.manual_seed(5)
    with torch.no_grad():
        for each in network.parameters():
            if each.requires_grad:
                each.add_(0.1 * torch.randn_like(each))


def test_the_full_size_has_the_papers_numbers() -> None:
    with torch.device("meta"):
        network = Effort(EffortOptions(weights="random"))
    trained = {name: each.numel() for name, each in network.named_parameters() if each.requires_grad}
    head = sum(count for name, count in trained.items() if name.startswith("head."))
    assert (sum(trained.values()) - head, head) == (196_704, 2_050)
    assert not [name for name in trained if "norm" in name or name.endswith("proj.bias")]
    # Two triplets a layer, and no copy of a weight: the released code keeps 201 M more.
    assert sum(each.numel() for each in network.buffers() if each.is_floating_point()) == 196_704


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("shape", [(48, 48), (96, 32), (32, 80)], ids=str)
def test_the_weakest_directions_are_those_of_a_full_svd(shape: tuple[int, int], rank: int) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found, (u, s, v) = weakest(weight, rank), torch.linalg.svd(weight, full_matrices=False)
    assert found.searched
    torch.testing.assert_close(found.s, s[-rank:], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close((found.u * found.s) @ found.v, (u[:, -rank:] * s[-rank:]) @ v[-rank:], rtol=1e-6, atol=1e-7)
    assert (weight @ found.v.T - found.u * found.s).norm() < 1e-8
    assert (weight.T @ found.u - found.v.T * found.s).norm() < 1e-8


def spectrum(*values: float) -> torch.Tensor:
    """A weight with those singular values."""
    chance = torch.Generator().manual_seed(3)
    left, right = (torch.linalg.qr(torch.randn(len(values), len(values), generator=chance).double()).Q for _ in "uv")
    return (left * torch.tensor(values)) @ right


@pytest.mark.parametrize(
    ("weight", "searched"),
    [
        (spectrum(*[2.0] * 30, 1e-9, 1e-12), True),
        (torch.diag(torch.tensor([*range(1, 32), 0.0])), False),
        (torch.zeros(32, 32), False),
        (torch.eye(32), True),
        (spectrum(*[1.0 + 1e-3 * place for place in range(32)]), False),
        (spectrum(*[1.0] * 8), False),
    ],
    ids=["nearly singular", "singular", "zero", "all alike", "close together", "small"],
)
def test_a_full_svd_is_the_way_out_and_what_comes_is_always_a_triplet(weight: torch.Tensor, searched: bool) -> None:
    rank = 3 if len(weight) == 8 else 1
    found = weakest(weight.double(), rank)
    assert found.searched is searched
    smallest = torch.linalg.svdvals(weight.double())[-rank:]
    torch.testing.assert_close(found.s, smallest, rtol=1e-6, atol=1e-12)
    assert (weight.double() @ found.v.T - found.u * found.s).norm() < 1e-9
    torch.testing.assert_close(found.u.T @ found.u, torch.eye(rank).double())


def test_a_singular_backbone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmidd.detectors.effort._searched", lambda weight, rank: None)
    with pytest.warns(UserWarning, match="effort: 12 of 12 weights are singular.*full SVD"):
        tiny()


@pytest.mark.parametrize(
    ("weight", "rank", "said"),
    [(torch.eye(4), 4, "less than 4"), (torch.full((4, 4), float("nan")), 1, "not finite")],
)
def test_what_cannot_be_split_is_an_error(weight: torch.Tensor, rank: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        weakest(weight, rank)


@pytest.mark.parametrize("rank", [1, 4])
def test_it_begins_as_its_backbone(rank: int) -> None:
    from mmidd.detectors.backbones import image_tower

    network = tiny(rank=rank)
    torch.manual_seed(0)
    plain = image_tower("clip:tiny", "random").eval()
    images = pictures()["image"]
    assert (network.tower(images).last - plain(images).last).abs().max() < 1e-6


def test_merged_it_computes_the_same() -> None:
    network, images = tiny(rank=2), pictures()["image"]
    disturb(network)
    told = network.scores(network.features({"image": images})).fake
    for holder, name in list(network.tower.attention_linears()):
        layer = getattr(holder, name)
        plain = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        plain.weight, plain.bias = nn.Parameter(layer.merged()), layer.bias
        setattr(holder, name, plain)
    torch.testing.assert_close(network.scores(network.features({"image": images})).fake, told, rtol=0, atol=1e-6)


def test_only_the_triplets_and_the_head_get_gradients_with_and_without_checkpointing() -> None:
    found = []
    for checkpointing in (False, True):
        network = tiny().train()
        if checkpointing:
            network.checkpointing()
        batch = pictures()
        sum(network.losses(network.features(batch), batch, network.rows(batch)).terms.values()).backward()
        found.append({name: each.grad for name, each in network.named_parameters() if each.grad is not None})
    assert len(found[0]) == 3 * 12 + 2 and {name.rpartition(".")[2] for name in found[0]} == {
        "u",
        "s",
        "v",
        "weight",
        "bias",
    }
    for name, each in found[0].items():
        assert each.abs().sum() > 0
        torch.testing.assert_close(found[1][name], each)


def test_what_was_trained_and_the_first_triplets_give_the_same_network_on_the_same_backbone() -> None:
    """Also where the search finds the triplets with the other sign, or a hair beside."""
    network, images = tiny(), pictures()["image"]
    disturb(network)
    stored = {name: each for name, each in network.state_dict().items() if name.split(".")[-1][0] in "usv" or "head" in name}
    again = tiny()
    for each in again.residuals():
        each.u0.neg_()
        each.v0.neg_().add_(1e-3)
    missing = again.load_state_dict(stored, strict=False).missing_keys
    assert missing and not [name for name in missing if name.split(".")[-1][0] in "usv"]
    assert torch.equal(again.features({"image": images})["seen"], network.features({"image": images})["seen"])


@pytest.mark.parametrize("rank", [1, 3])
def test_the_regularisers_are_those_of_the_released_code(rank: int) -> None:
    """Which keeps the whole bases: here they are taken from a full SVD."""
    torch.manual_seed(4)
    linear = nn.Linear(24, 24).requires_grad_(False)
    layer = Residual(linear, rank)
    assert layer.off_orthogonal() == 0 and layer.moved() == 0
    (layer.off_orthogonal() + layer.moved()).backward()
    assert layer.u.grad is not None and layer.u.grad.isfinite().all()
    disturb(layer)
    u, _, v = torch.linalg.svd(linear.weight.detach())
    left, right = torch.cat([u[:, :-rank], layer.u], dim=1), torch.cat([v[:-rank], layer.v])
    both = torch.linalg.matrix_norm(left.T @ left - torch.eye(24)) + torch.linalg.matrix_norm(
        right @ right.T - torch.eye(24)
    )
    torch.testing.assert_close(layer.off_orthogonal(), both / 2, rtol=1e-4, atol=1e-5)
    squares = (layer.merged().square().sum() - linear.weight.square().sum()).abs()
    torch.testing.assert_close(layer.moved(), squares, rtol=1e-3, atol=1e-5)


def test_terms_of_parts_add_up_to_those_of_the_batch() -> None:
    network, batch = tiny(orthogonality=0.5, keep=2.0), pictures(8)
    disturb(network)
    whole = network.losses(network.features(batch), batch, network.rows(batch)).terms
    assert set(whole) == {"cross_entropy", "orthogonality", "keep"}
    parts = [{name: each[at : at + 2] for name, each in batch.items()} for at in range(0, 8, 2)]
    found = [network.losses(network.features(each), each, network.rows(batch)).terms for each in parts]
    for name, value in whole.items():
        torch.testing.assert_close(sum(each[name] for each in found), value)
    expected = F.cross_entropy(network.head(network.tower(batch["image"]).last), batch["label"])
    torch.testing.assert_close(whole["cross_entropy"], expected)


def test_a_batch_can_be_learnt() -> None:
    network, batch = tiny().train(), pictures(8)
    optimiser = torch.optim.Adam([each for each in network.parameters() if each.requires_grad], lr=1e-2)
    costs = []
    for _ in range(40):
        cost = sum(network.losses(network.features(batch), batch, network.rows(batch)).terms.values())
        cost.backward()
        optimiser.step()
        optimiser.zero_grad()
        costs.append(cost.item())
    assert costs[-1] < 0.3 * costs[0]


def test_the_paper_preset_is_the_released_settings() -> None:
    from mmidd.runs.settings import Settings

    settings = Settings(**DETECTOR.presets["paper"].settings)
    assert (settings.optimiser, settings.lr, settings.weight_decay, settings.batch) == ("adam", 2e-4, 5e-4, 32)
    assert (settings.epochs, settings.frames, settings.augment) == (10, 8, "effort")
