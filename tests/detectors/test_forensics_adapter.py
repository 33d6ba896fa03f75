"""Forensics Adapter: what masks say, what queries see in CLIP, losses in closed form, what is trained and what left out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmidd.detectors.forensics_adapter import DETECTOR, ForensicsAdapter, ForensicsAdapterOptions, attention
from mmidd.detectors.patches import cut, edge, image_contrast, patch_contrast
from torch.nn import functional as F
from training.pictures import face

from mmidd.errors import UsageError
from mmidd.training.augment import chance_of
from mmidd.training.blend import blend

TINY = ForensicsAdapterOptions(**DETECTOR.presets["tiny"].options)
TERMS = ["cross_entropy", "boundary", "patches", "clip_patches"]


@pytest.fixture
def network() -> ForensicsAdapter:
    torch.manual_seed(0)
    return ForensicsAdapter(TINY)


def _batch(labels: list[int], masked: list[int] | None = None) -> dict[str, Any]:
    """Fakes have a mask over part of the image unless `masked` is 0."""
    chance, masked = torch.Generator().manual_seed(len(labels)), masked or [1] * len(labels)
    masks = torch.zeros(len(labels), 1, 128, 128, dtype=torch.uint8)
    for place, (label, has) in enumerate(zip(labels, masked, strict=True)):
        if label and has:
            masks[place, :, 20 + place : 90, 40:100] = 255
    image = torch.randn(len(labels), 3, 128, 128, generator=chance)
    return {"image": image, "label": torch.tensor(labels), "mask": masks, "has_mask": torch.tensor(masked)}


def _rows(batch: dict[str, Any], rows: slice) -> dict[str, Any]:
    return {name: value[rows] for name, value in batch.items()}


def _loss(network: ForensicsAdapter, batch: dict[str, Any]) -> Any:
    return network.losses(network.features(batch), batch, network.rows(batch))


def _trained(network: ForensicsAdapter) -> dict[str, torch.nn.Parameter]:
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


def test_a_mask_says_which_patches_are_forged_and_which_hold_a_boundary() -> None:
    mask = torch.zeros(1, 1, 40, 40, dtype=torch.uint8)
    mask[0, 0, :10, :10] = 255  # all of a patch
    mask[0, 0, :10, 10:15] = 41  # half of one
    mask[0, 0, 10:20, 0] = 255  # a tenth: not more
    mask[0, 0, 20:30, :20] = 40  # as dark as no forgery
    forged, edges = cut(mask, 4)
    assert forged[0].nonzero().flatten().tolist() == [0, 1]
    assert edges[0].nonzero().flatten().tolist() == [1]


def test_the_edge_is_highest_where_the_blurred_mask_is_half_and_nothing_elsewhere() -> None:
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.uint8)
    mask[..., 3:] = 255
    expected = [4 * share * (1 - share) for share in (0, 0, 0.25, 0.75, 1, 1)]
    assert edge(mask)[0].tolist() == [pytest.approx(expected)] * 6
    whole = torch.full((1, 1, 6, 6), 255, dtype=torch.uint8)
    assert not edge(whole).any() and not edge(whole * 0).any()


def test_a_query_sees_itself_and_patches_by_its_bias_and_no_other_sees_it() -> None:
    found = attention(torch.tensor([[[[0.5, -1.0], [2.0, 0.0]]]]))[0, 0]
    no = -math.inf
    assert found.tolist() == [
        [0, no, no, 0.5, -1],
        [no, 0, no, 2, 0],
        [no, no, 0, 0, 0],
        [no, no, 0, 0, 0],
        [no, no, 0, 0, 0],
    ]


def test_the_copies_leave_clips_own_tokens_as_they_are_and_without_bias_see_what_it_sees(network: ForensicsAdapter) -> None:
    images = torch.randn(2, 3, 64, 64)
    network.bottleneck[1].requires_grad_(False).weight.zero_()
    network.bottleneck[1].bias.zero_()
    inner = network.tower.inner
    first = inner.pre_layrnorm(inner.embeddings(images))
    seen: list[torch.Tensor] = []
    last = inner.encoder.layers[-1].register_forward_hook(lambda module, given, out: seen.append(out))
    network._through_clip(first, torch.randn(2, 4, 8, 64))
    last.remove()
    own = inner(pixel_values=images).last_hidden_state
    assert torch.allclose(seen[0][:, 8:], own, atol=1e-5)
    copies, _ = network._through_clip(first, torch.zeros(2, 4, 8, 64))
    projected = network.tower.projection(network.tower(images).last)
    assert torch.allclose(copies, projected[:, None].expand(-1, 8, -1), atol=1e-5)


@pytest.mark.parametrize("count_all", [True, False])
def test_patches_are_contrasted_pair_by_pair(count_all: bool) -> None:
    torch.manual_seed(0)
    unit = F.normalize(torch.randn(2, 5, 3), dim=-1)
    forged = torch.tensor([[1, 1, 0, 0, 0], [0, 1, 0, 1, 1]]).bool()
    near, far = 0.0, 0.0
    for image in range(2):
        for i in range(5):
            for j in range(5):
                weight = math.exp(float(unit[image, i] @ unit[image, j]) / 0.5)
                fits = [bool(forged[image, i]) == kind and not forged[image, j] for kind in (False, True)]
                near, far = (
                    total + (weight if fit else float(count_all)) for total, fit in zip((near, far), fits, strict=True)
                )
    found = patch_contrast(unit, forged, 0.5, count_all=count_all)
    assert float(found) == pytest.approx(-math.log(near / (near + far)), rel=1e-5)


def test_what_cannot_be_contrasted_costs_nothing() -> None:
    unit = F.normalize(torch.randn(2, 5, 3), dim=-1)
    assert float(patch_contrast(unit[:0], torch.zeros(0, 5).bool(), 0.5, count_all=True)) == 0
    assert float(patch_contrast(unit, torch.ones(2, 5).bool(), 0.5, count_all=False)) == 0
    assert float(patch_contrast(unit, torch.ones(2, 5).bool(), 0.5, count_all=True)) == pytest.approx(math.log(2))
    loss, paired = image_contrast(unit, torch.tensor([1, 1]), 0.5)
    assert float(loss) == 0 and paired == 0


def test_images_are_contrasted_one_to_one_and_of_the_more_numerous_label_some_are_drawn() -> None:
    torch.manual_seed(0)
    unit = F.normalize(torch.randn(5, 4, 3), dim=-1)
    weigh = [[float(torch.exp(unit[a] @ unit[b].T / 0.5).sum()) for b in range(5)] for a in range(5)]
    found, paired = image_contrast(unit[:2], torch.tensor([0, 1]), 0.5)
    assert paired == 1
    assert float(found) == pytest.approx(-math.log(weigh[0][0] / (weigh[0][0] + weigh[0][1])), rel=1e-5)
    possible = {round(-math.log(weigh[0][0] / (weigh[0][0] + weigh[0][fake])), 4) for fake in range(1, 5)}
    drawn = {round(float(image_contrast(unit, torch.tensor([0, 1, 1, 1, 1]), 0.5)[0]), 4) for _ in range(40)}
    assert drawn == possible


def test_the_terms_are_their_means_times_their_weights(network: ForensicsAdapter) -> None:
    batch = _batch([0, 1, 1])
    network.eval()
    with torch.no_grad():
        features = network.features(batch)
        found = network.losses(features, batch, network.rows(batch)).terms
        wrong = F.cross_entropy(network.classify(features["seen"]), batch["label"])
        apart = F.mse_loss(features["boundary"], edge(batch["mask"]))
        forged = cut(batch["mask"], 8)[0]
        among = [patch_contrast(each[1:], forged[1:], 0.5, count_all=True) for each in features["patches"].unbind(1)]
    assert list(found) == TERMS
    assert float(found["cross_entropy"]) == pytest.approx(10 * float(wrong), rel=1e-5)
    assert float(found["boundary"]) == pytest.approx(200 * float(apart), rel=1e-5)
    assert float(found["patches"]) == pytest.approx(20 * float(sum(among)), rel=1e-5)


def test_only_the_adapter_and_the_heads_are_trained_and_all_of_them_are_with_checkpointing_too(
    network: ForensicsAdapter,
) -> None:
    batch, found = _batch([0, 1, 1, 0]), []
    frozen = [each for name, each in network.named_parameters() if name.startswith("tower.")]
    assert not any(each.requires_grad for each in frozen)
    state = {name: each.clone() for name, each in network.state_dict().items()}
    for again in (False, True):
        network.load_state_dict(state)
        if again:
            network.checkpointing()
        network.zero_grad()
        torch.manual_seed(1)
        sum(_loss(network.train(), batch).terms.values()).backward()
        found.append({name: each.grad.clone() for name, each in _trained(network).items()})
    assert all(each.grad is None for each in frozen)
    assert [name for name, grad in found[0].items() if not grad.any()] == []
    assert all(torch.allclose(found[0][name], found[1][name], rtol=1e-3, atol=1e-5) for name in found[0])


@pytest.mark.parametrize(
    ("labels", "masked", "none", "alone", "zero"),
    [
        ([0, 1, 1, 0], [1, 1, 1, 1], 0, 0, []),
        ([0, 1, 1, 0], [1, 0, 1, 1], 1, 0, []),
        ([0, 1, 1, 0], [1, 0, 0, 1], 2, 0, ["patches"]),
        ([1, 1, 1], [0, 0, 0], 3, 3, ["boundary", "patches", "clip_patches"]),
        ([0, 0], [1, 1], 0, 2, ["patches", "clip_patches"]),
        ([1, 1, 0], [1, 1, 1], 0, 1, []),
    ],
    ids=["all masks", "one lacks", "fakes have none", "none at all", "reals alone", "more fakes"],
)
def test_rows_without_a_mask_or_another_label_are_left_out_of_their_terms_and_counted(
    network: ForensicsAdapter, labels: list[int], masked: list[int], none: int, alone: int, zero: list[str]
) -> None:
    batch = _batch(labels, masked)
    loss = _loss(network.train(), batch)
    assert loss.counts == {"no mask": none, "no image of the other label to be contrasted with": alone}
    assert [name for name in TERMS if float(loss.terms[name].detach()) == 0] == zero
    assert all(math.isfinite(float(each.detach())) for each in loss.terms.values())
    sum(loss.terms.values()).backward()
    assert all(each.grad is None or bool(each.grad.isfinite().all()) for each in _trained(network).values())


def test_a_self_blended_fake_has_a_mask_with_a_boundary(network: ForensicsAdapter) -> None:
    real = face()
    fake = blend(real, chance_of(0))
    mask = torch.stack([F.interpolate(each["mask"][None].float(), 128)[0].byte() for each in (real, fake)])
    image = torch.stack([F.interpolate(each["image"][None].float(), 128)[0] / 255 for each in (real, fake)])
    batch = {"image": image, "label": torch.tensor([0, 1]), "mask": mask, "has_mask": torch.ones(2).long()}
    assert fake["has_mask"] == 1 and cut(mask, 8)[1].sum(dim=1).bool().tolist() == [False, True]
    loss = _loss(network.train(), batch)
    assert not any(loss.counts.values()) and all(float(each.detach()) > 0 for each in loss.terms.values())


def test_what_a_row_without_a_mask_would_hold_does_not_matter(network: ForensicsAdapter) -> None:
    batch, other = _batch([0, 1, 1], [1, 0, 1]), _batch([0, 1, 1], [1, 0, 1])
    other["mask"][1] = 255
    network.eval()
    with torch.no_grad():
        left, right = ((torch.manual_seed(0), _loss(network, each).terms)[1] for each in (batch, other))
    assert all(torch.equal(left[name], right[name]) for name in TERMS)


def test_sums_over_rows_add_up_over_parts_whatever_masks_they_have(network: ForensicsAdapter) -> None:
    batch = _batch([0, 1, 1, 0, 1], [1, 0, 1, 1, 1])
    network.eval()
    with torch.no_grad():
        whole = _loss(network, batch).terms
        over = network.rows(batch)
        parts = [_rows(batch, slice(0, 2)), _rows(batch, slice(2, 5))]
        split = [network.losses(network.features(each), each, over).terms for each in parts]
    assert over == {"rows": 5, "masks": 4}
    for name in ("cross_entropy", "boundary"):
        assert float(sum(each[name] for each in split)) == pytest.approx(float(whole[name]), rel=1e-4)


def test_scores_need_no_mask_are_the_same_twice_and_do_not_depend_on_the_batch(network: ForensicsAdapter) -> None:
    batch = _batch([0, 1, 1])
    network.eval()
    with torch.no_grad():
        whole, again = (network.scores(network.features(each)).fake for each in (batch, {"image": batch["image"]}))
        alone = torch.cat([network.scores(network.features({"image": each[None]})).fake for each in batch["image"]])
    assert torch.equal(whole, again) and torch.allclose(whole, alone, atol=1e-6)


def test_what_the_adapter_sees_reaches_the_score(network: ForensicsAdapter) -> None:
    batch = _batch([0, 1])
    network.eval()
    with torch.no_grad():
        before = network.features(batch)["seen"]
        network.adapter.of_heads[-1].weight.mul_(100)
        assert not torch.allclose(before, network.features(batch)["seen"], atol=1e-4)


def test_every_attention_with_a_bias_that_learns_has_a_query_with_a_gradient_as_cuda_wants_it(
    network: ForensicsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch keeps what its efficient attention needs for the bias's gradient only where query, key or value has one."""
    seen, own = [], F.scaled_dot_product_attention

    def noted(query: Any, key: Any, value: Any, attn_mask: Any = None, *more: Any, **named: Any) -> Any:
        seen.append((attn_mask is not None and attn_mask.requires_grad, query.requires_grad))
        return own(query, key, value, attn_mask, *more, **named)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    batch = _batch([0, 1])
    sum(_loss(network, batch).terms.values()).backward()
    with torch.no_grad():
        network.features(batch)
    depth = network.tower.depth
    assert sum(learns for learns, _ in seen) == depth
    assert all(query for learns, query in seen if learns)


def test_it_computes_under_mixed_precision(network: ForensicsAdapter) -> None:
    batch = _batch([0, 1, 1, 0])
    with torch.autocast("cpu", torch.bfloat16):
        features = network.train().features(batch)
    features = {name: each.float() for name, each in features.items()}
    sum(network.losses(features, batch, network.rows(batch)).terms.values()).backward()
    assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in _trained(network).values())


def test_the_paper_trains_six_million_beside_clip() -> None:
    with torch.device("meta"):
        network = ForensicsAdapter(ForensicsAdapterOptions(weights="random"))
    trained = sum(each.numel() for each in _trained(network).values())
    meet = sum(each.numel() for each in network.adapter.meet.parameters())
    assert network.input.side == 256 and network.input.mask
    assert sum(each.numel() for each in network.tower.parameters()) == 303_966_208
    assert (meet, trained) == (596_544, 6_227_399)
    assert trained - meet - (16**2 - 14**2) * 192 == 5_619_335  # what the released network trains; its paper says 5.7 M


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "timm:tiny"}, "takes a CLIP"),
        ({"meets": {1: 9}}, "CLIP has 3 blocks"),
        ({"contrasted": (9,)}, "the adapter 4"),
        ({"bottleneck": 4}, "CLIP has 3 blocks"),
    ],
    ids=["no CLIP", "no such block of CLIP", "no such block", "no block for the bottleneck"],
)
def test_what_does_not_fit_the_backbone_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ForensicsAdapter(TINY.model_copy(update=change))
