"""RECCE's losses and modules against loops over their definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmidd.detectors import recce
from mmidd.detectors.recce import RECCE, GraphReasoning, GuidedAttention, RECCEOptions, contrast, flooded
from torch import nn
from torch.nn import functional as F

NARROW = {"weights": "random", "narrow": 16, "side": 64}


def built(**options: Any) -> RECCE:
    torch.manual_seed(0)
    return RECCE(RECCEOptions(**{**NARROW, **options}))


def chance(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_loops(pooled: torch.Tensor, label: torch.Tensor) -> float:
    def alike(a: int, b: int) -> float:
        return (float(F.cosine_similarity(pooled[a], pooled[b], dim=0)) + 1) / 2

    rows = range(len(label))
    together = [alike(a, b) for a in rows for b in rows if a != b and label[a] == label[b] == 0]
    across = [alike(a, b) for a in rows for b in rows if label[a] == 0 and label[b] == 1]
    means = (sum(each) / len(each) if each else 0.0 for each in (together, across))
    near, far = means
    return max(0.0, 1 - near + far)


@pytest.mark.parametrize(
    "labels",
    [(0, 1, 0, 1, 1, 0), (0, 0, 0, 0), (1, 1, 1), (0, 1, 1, 1), (0, 1), (0,), (1,)],
    ids=["mixed", "no fake", "no real", "one real", "a pair", "one real alone", "one fake alone"],
)
def test_the_contrast_is_a_mean_over_pairs_of_reals_and_of_a_real_and_a_fake(labels: tuple[int, ...]) -> None:
    pooled, label = chance(len(labels), 5), torch.tensor(labels)
    assert float(contrast(pooled, label)) == pytest.approx(by_loops(pooled, label), abs=1e-6)


def test_the_contrast_of_known_features_is_known() -> None:
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 0.0])
    label = torch.tensor([0, 0, 1])
    assert float(contrast(torch.stack([real, 5 * real, fake]), label)) == 0  # 1 - 1 + 0
    assert float(contrast(torch.stack([real, real, real]), label)) == 1  # 1 - 1 + 1
    assert float(contrast(torch.stack([real, -real, fake]), label)) == pytest.approx(1 - 0 + 0.5)
    assert float(contrast(torch.stack([real, fake]), torch.tensor([0, 1]))) == 1  # no two reals: 1 + 0


def test_the_contrast_of_a_feature_that_is_nothing_is_finite() -> None:
    pooled = torch.zeros(4, 3, requires_grad=True)
    loss = contrast(pooled, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert pooled.grad is not None and bool(pooled.grad.isfinite().all()) and float(loss.detach()) == 1.0


@pytest.mark.parametrize(("loss", "value", "slope"), [(0.7, 0.7, 1), (0.041, 0.041, 1), (0.01, 0.07, -1), (0.0, 0.08, -1)])
def test_flooding_turns_the_gradient_round_below_its_level(loss: float, value: float, slope: int) -> None:
    given = torch.tensor(loss, requires_grad=True)
    found = flooded(given, 0.04)
    found.backward()
    assert float(found.detach()) == pytest.approx(value) and given.grad is not None and float(given.grad) == slope


def test_the_terms_are_those_of_the_paper() -> None:
    network = built().eval()
    image, label = chance(5, 3, 64, 64).clamp(-1, 1), torch.tensor([0, 1, 0, 0, 1])
    batch = {"image": image, "label": label}
    with torch.no_grad():
        features = network.features(batch)
        terms = network.losses(features, batch, network.rows(batch)).terms
        score = network.scores(features).fake
    entropy = -sum(math.log(float(s if y else 1 - s)) for s, y in zip(score, label, strict=True)) / 5
    assert float(terms["flooded"]) == pytest.approx(abs(entropy - 0.04) + 0.04, abs=1e-5)
    errors = [float(each) for each, y in zip(features["error"], label, strict=True) if y == 0]
    assert float(terms["reconstruction"]) == pytest.approx(0.1 * sum(errors) / 3, abs=1e-6)
    apart = sum(by_loops(features[f"place{at}"], label) for at in range(3))
    assert float(terms["contrast"]) == pytest.approx(0.1 * apart, abs=1e-6)


def test_fakes_are_not_reconstructed() -> None:
    network = built()
    label = torch.tensor([0, 1, 1, 0])
    features = {
        "pooled": chance(4, 128),
        "error": torch.rand(4).requires_grad_(),
        **{f"place{at}": chance(4, 6) for at in range(3)},
    }
    batch = {"image": chance(4, 3, 64, 64), "label": label}
    network.losses(features, batch, network.rows(batch)).terms["reconstruction"].backward()
    assert features["error"].grad is not None and features["error"].grad.tolist() == pytest.approx([0.05, 0, 0, 0.05])


@pytest.mark.parametrize(("labels", "left"), [((1, 1, 1), 3), ((0, 1, 1), 3), ((0, 0, 1), 0)])
def test_a_part_without_two_reals_is_finite_and_told(labels: tuple[int, ...], left: int) -> None:
    network = built().eval()
    batch = {"image": chance(3, 3, 64, 64).clamp(-1, 1), "label": torch.tensor(labels)}
    loss = network.losses(network.features(batch), batch, {"rows": 6, "real": 0})
    assert all(bool(each.isfinite()) for each in loss.terms.values())
    assert loss.counts == {"fewer than two reals beside each other: no contrast of reals": left}
    if labels == (1, 1, 1):
        assert float(loss.terms["reconstruction"].detach()) == 0
        assert float(loss.terms["contrast"].detach()) == pytest.approx(0.1 * 3 * 0.5)


def test_graph_reasoning_is_a_weighted_mean_of_the_patches_over_each_place() -> None:
    torch.manual_seed(3)
    channels, (a, b), width, size = 7, (5, 4), 6, 3
    module = GraphReasoning(channels, (a, b), width, 0.2).eval()
    deep, maps = (
        chance(2, channels, size, size),
        (chance(2, a, 2 * size, 2 * size, seed=1), chance(2, b, 4 * size, 4 * size, seed=2)),
    )
    wanted = torch.zeros(2, 3 * width, size, size)

    def at_point(layers: nn.Module, vector: torch.Tensor) -> torch.Tensor:
        return layers(vector[None, :, None, None])[0, :, 0, 0]

    with torch.no_grad():
        for row in range(2):
            for y in range(size):
                for x in range(size):
                    here = deep[row, :, y, x]
                    asked = at_point(module.ask, here)
                    wanted[row, 2 * width :, y, x] = asked
                    for which, (seen, ratio) in enumerate(zip(maps, (2, 4), strict=True)):
                        patches = [
                            at_point(module.answers[which], seen[row, :, ratio * y + down, ratio * x + right])
                            for down in range(ratio)
                            for right in range(ratio)
                        ]
                        fits = [float(F.relu(module.weigh[which](torch.cat([asked, each])))) for each in patches]
                        shares = torch.tensor(fits).softmax(dim=0)
                        answer = sum((share * each for share, each in zip(shares, patches, strict=True)), torch.zeros(width))
                        gate = 1 - at_point(module.gates[which], here).sigmoid()
                        wanted[row, which * width : (which + 1) * width, y, x] = answer * gate
        torch.testing.assert_close(module(deep, maps), module.out(wanted.sigmoid()), rtol=1e-4, atol=1e-5)


def test_attention_of_a_perfect_reconstruction_is_even_and_of_a_bad_one_is_not() -> None:
    torch.manual_seed(3)
    module = GuidedAttention(4, 0.2).eval()
    image, deep = chance(1, 3, 8, 8), chance(1, 4, 2, 2, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(module(image, image, deep), 0.5 * module.strong(deep) + deep)
        made = image.clone()
        made[..., :4] += 1.0
        error = F.interpolate((image - made).abs(), (2, 2), mode="bilinear", align_corners=True)
        assert error[0, 0].tolist() == [[1.0, 0.0], [1.0, 0.0]]
        torch.testing.assert_close(module(image, made, deep), module.gate(error) * module.strong(deep) + deep)


def test_noise_goes_into_a_random_half_of_the_images_that_are_trained_on() -> None:
    network, image = built(noise=0.1), torch.zeros(400, 3, 4, 4)
    torch.manual_seed(5)
    first = network.train()._noised(image)
    touched = first.flatten(1).abs().sum(dim=1) > 0
    assert 150 < int(touched.sum()) < 250
    assert float(first[touched].std()) == pytest.approx(0.1, rel=0.05) and float(first[~touched].abs().max()) == 0
    torch.manual_seed(5)
    assert torch.equal(network._noised(image), first)
    assert float(network._noised(torch.ones(50, 3, 4, 4)).max()) == 1
    assert network.eval()._noised(image) is image


def test_the_encoder_in_its_pieces_is_the_encoder() -> None:
    network = built().eval()
    net, image = network.tower.inner, chance(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(
            recce._exit(net, recce._blocks(net, recce._stem(net, image), range(1, 13))), net.forward_features(image)
        )


def test_a_narrow_encoder_has_the_layers_of_the_full_one() -> None:
    import timm

    with torch.device("meta"):
        net, same = (timm.create_model("legacy_xception", num_classes=0) for _ in range(2))
        recce._narrowed(same, recce._WIDTHS)
        narrow = built().tower.inner
    shapes = [{key: tuple(each.shape) for key, each in found.state_dict().items()} for found in (net, same, narrow)]
    assert shapes[0] == shapes[1] and shapes[0].keys() == shapes[2].keys()
    assert shapes[2]["block4.rep.1.pointwise.weight"] == (45, 45, 1, 1)


@pytest.mark.parametrize("side", [48, 64, 75, 128])
def test_any_side_is_reconstructed_at_its_own_size(side: int) -> None:
    network = built(side=side).eval()
    with torch.no_grad():
        features = network.features({"image": chance(1, 3, side, side).clamp(-1, 1)})
    assert features["error"].shape == (1,) and features["pooled"].shape == (1, 128)
