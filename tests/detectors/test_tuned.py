"""GenD, LNCLIP-DF and UnivFD: their sizes, their losses against plain loops, and that what is frozen stays so."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmidd.detectors import gend, lnclip, univfd
from mmidd.detectors.lnclip import mixed, slerp
from torch import nn
from torch.nn import functional as F

from mmidd.runs.detector import PRESETS, Detector, Network
from mmidd.runs.settings import Settings


def _built(detector: Detector, **options: Any) -> Network:
    torch.manual_seed(0)
    return detector.build(detector.options(**{**detector.presets["tiny"].options, **options}))


def _batch(network: Network, n: int = 6) -> dict[str, Any]:
    drawn = torch.Generator().manual_seed(1)
    image = torch.randn(n, 3, network.input.side, network.input.side, generator=drawn)
    return {"image": image, "label": torch.tensor([0, 1, 1, 0, 1, 1, 0, 0] * n)[:n]}


def _counts(network: nn.Module) -> tuple[int, int]:
    return (
        sum(each.numel() for each in network.parameters()),
        sum(each.numel() for each in network.parameters() if each.requires_grad),
    )


CLIP = 303_179_776 + 786_432
PE, DINOV3 = "timm:vit_pe_core_large_patch14_336@224", "timm:vit_large_patch16_dinov3@224"
FULL: list[tuple[Detector, dict[str, Any], int, int]] = [
    (gend.DETECTOR, {}, 303_968_258, 104_450),
    (gend.DETECTOR, {"tuned": "none", "normalise": False, "uniformity": 0.0, "alignment": 0.0}, 303_968_258, 2_050),
    (gend.DETECTOR, {"normalise": False, "uniformity": 0.0, "alignment": 0.0}, 303_968_258, 104_450),
    (gend.DETECTOR, {"backbone": PE}, 316_104_706, 102_400 + 2_048 + 2_050),
    (gend.DETECTOR, {"backbone": PE, "norms": "listed"}, 316_104_706, 104_450),
    (gend.DETECTOR, {"backbone": DINOV3}, 303_081_474, 98 * 1_024 + 2_050),
    (lnclip.DETECTOR, {}, 303_968_258, 104_450),
    (univfd.DETECTOR, {}, CLIP + 769, 769),
]


@pytest.mark.parametrize(("detector", "options", "parameters", "trained"), FULL)
def test_full_size_detectors_have_the_published_numbers_of_parameters(
    detector: Detector, options: dict[str, Any], parameters: int, trained: int
) -> None:
    with torch.device("meta"):
        network = detector.build(detector.options(**options))
    assert _counts(network) == (parameters, trained)
    assert network.input.side == 224


def test_gend_trains_three_hundredths_of_a_percent() -> None:
    assert round(100 * 104_450 / 303_968_258, 4) == 0.0344


@pytest.mark.parametrize("detector", [gend.DETECTOR, lnclip.DETECTOR, univfd.DETECTOR], ids=lambda each: each.title)
def test_every_preset_is_of_options_and_settings_that_there_are(detector: Detector) -> None:
    assert set(detector.presets) == set(PRESETS)
    for preset in detector.presets.values():
        detector.options(**preset.options)
        Settings(**preset.settings)
    assert not set(detector.options.model_fields) & set(Settings.model_fields)


def _units(n: int = 7, width: int = 5) -> torch.Tensor:
    return F.normalize(torch.randn(n, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64), dim=1)


LABELS = [
    [0, 1, 0, 1, 1, 0, 0],
    [1, 1, 1, 1, 1, 1, 1],
    [0, 1, 2, 3, 4, 5, 6],  # no two alike
]


@pytest.mark.parametrize("labels", LABELS)
def test_uniformity_and_alignment_are_what_loops_over_pairs_give(labels: list[int]) -> None:
    unit = _units()
    exponentials, squares = [], []
    for i in range(len(unit)):
        for j in range(i + 1, len(unit)):
            square = sum((float(a) - float(b)) ** 2 for a, b in zip(unit[i], unit[j], strict=True))
            exponentials.append(math.exp(-2 * square))
            if labels[i] == labels[j]:
                squares.append(square)
    uniform, alike = gend.spread(unit, torch.tensor(labels))
    assert float(uniform) == pytest.approx(math.log(max(1e-6, sum(exponentials) / len(exponentials))), rel=1e-9)
    assert float(alike) == pytest.approx(sum(squares) / len(squares) if squares else 0.0, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_equal_features_and_single_rows_give_finite_terms_and_gradients(rows: int) -> None:
    seen = torch.ones(rows, 8, requires_grad=True)
    uniform, alike = gend.spread(F.normalize(seen, dim=1), torch.zeros(rows, dtype=torch.int64))
    (uniform + alike).backward()
    assert float(uniform.detach()) == pytest.approx(0, abs=1e-5) and float(alike.detach()) == pytest.approx(0, abs=1e-5)
    assert seen.grad is not None and seen.grad.isfinite().all()


def test_gends_loss_is_its_three_weighted_terms() -> None:
    network = _built(gend.DETECTOR)
    batch = _batch(network)
    features = network.features(batch)
    loss = network.losses(features, batch, {"rows": 6})
    unit = F.normalize(features["seen"], dim=1)
    uniform, alike = gend.spread(unit, batch["label"])
    assert set(loss.terms) == {"cross_entropy", "uniformity", "alignment"}
    assert torch.allclose(loss.terms["cross_entropy"], F.cross_entropy(network.head(unit), batch["label"]))
    assert torch.allclose(loss.terms["uniformity"], 0.5 * uniform) and torch.allclose(loss.terms["alignment"], 0.1 * alike)
    assert not loss.counts


ABLATION: list[tuple[dict[str, Any], set[str], bool]] = [
    ({"tuned": "none", "normalise": False, "uniformity": 0, "alignment": 0}, {"cross_entropy"}, False),
    ({"normalise": False, "uniformity": 0, "alignment": 0}, {"cross_entropy"}, False),
    ({"uniformity": 0, "alignment": 0}, {"cross_entropy"}, True),
    ({"alignment": 0}, {"cross_entropy", "uniformity"}, True),
]


@pytest.mark.parametrize(("options", "terms", "unit"), ABLATION)
def test_the_rows_of_gends_ablation_are_options(options: dict[str, Any], terms: set[str], unit: bool) -> None:
    network = _built(gend.DETECTOR, **options)
    batch = _batch(network)
    features = network.features(batch)
    assert set(network.losses(features, batch, {"rows": 6}).terms) == terms
    seen = features["seen"]
    expected = network.head(F.normalize(seen, dim=1) if unit else seen).softmax(1)[:, 1]
    assert torch.equal(network.scores(features).fake, expected)
    larger = network.scores({"seen": 3 * seen}).fake
    assert torch.allclose(larger, expected, atol=1e-6) is unit


@pytest.mark.parametrize("detector", [lnclip.DETECTOR, univfd.DETECTOR, gend.DETECTOR], ids=lambda each: each.title)
def test_terms_over_rows_of_two_halves_add_up_to_the_wholes(detector: Detector) -> None:
    options = {"slerp": False} if detector is lnclip.DETECTOR else {}
    network = _built(detector, **options)
    batch = _batch(network, 8)
    halves = [{key: value[part] for key, value in batch.items()} for part in (slice(0, 3), slice(3, 8))]
    whole = network.losses(network.features(batch), batch, {"rows": 8}).terms["cross_entropy"]
    parts = [network.losses(network.features(each), each, {"rows": 8}).terms["cross_entropy"] for each in halves]
    assert torch.allclose(whole, sum(parts[1:], parts[0]), atol=1e-6)


def _angle(a: torch.Tensor, b: torch.Tensor) -> float:
    return math.acos(max(-1.0, min(1.0, float(a @ b))))


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 1.0])
def test_slerp_lies_on_the_great_circle_at_its_share_of_the_angle(t: float) -> None:
    a, b = _units(2)
    found = slerp(3 * a[None], 0.5 * b[None], torch.tensor([[t]], dtype=torch.float64))[0]
    whole = _angle(a, b)
    by_formula = (math.sin((1 - t) * whole) * a + math.sin(t * whole) * b) / math.sin(whole)
    assert torch.allclose(found, by_formula, atol=1e-12)
    assert float(found.norm()) == pytest.approx(1, abs=1e-12)
    assert _angle(a, found) == pytest.approx(t * whole, abs=1e-6) and _angle(found, b) == pytest.approx(
        (1 - t) * whole, abs=1e-6
    )


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["equal", "opposite"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slerp_of_equal_and_opposite_vectors_is_finite_with_finite_gradients(sign: float, dtype: torch.dtype) -> None:
    a = _units(4).to(dtype).requires_grad_(True)
    b = (sign * a.detach()).requires_grad_(True)
    t = torch.tensor([[0.0], [0.3], [0.5], [1.0]], dtype=dtype)
    found = slerp(a, b, t)
    found.sum().backward()
    assert found.isfinite().all() and a.grad.isfinite().all() and b.grad.isfinite().all()
    along = (found * a).sum(dim=1, keepdim=True)
    expected = torch.ones_like(t) if sign > 0 else torch.cos(math.pi * t)
    assert torch.allclose(along, expected, atol=1e-3)


def test_features_are_mixed_with_their_own_class_alone() -> None:
    torch.manual_seed(3)
    basis = torch.eye(6)
    seen = torch.stack([basis[0], basis[1], basis[2], basis[3], 5 * basis[4], basis[5]])
    label = torch.tensor([0, 0, 0, 1, 2, 1])
    found = mixed(seen, label)
    assert torch.equal(found[4], seen[4])  # alone with its label: as it is
    for row, own in ((0, [0, 1, 2]), (1, [0, 1, 2]), (2, [0, 1, 2]), (3, [3, 5]), (5, [3, 5])):
        others = [each for each in range(6) if each not in own]
        assert found[row].norm() == pytest.approx(1, abs=1e-5) and not found[row][others].any()
    assert not torch.equal(found[:3], seen[:3])
    torch.manual_seed(3)
    assert torch.equal(mixed(seen, label), found)  # all chance is torch's


def test_lnclip_mixes_in_training_and_never_in_validation() -> None:
    network = _built(lnclip.DETECTOR)
    batch = _batch(network)
    plain = _built(lnclip.DETECTOR, slerp=False)

    def loss(of: Network) -> float:
        torch.manual_seed(4)
        return float(of.losses(of.features(batch), batch, {"rows": 6}).terms["cross_entropy"])

    assert loss(network.eval()) == loss(plain.eval())
    assert loss(network.train()) != loss(plain.train())


def test_univfd_is_a_linear_layer_on_the_projected_features_of_clip() -> None:
    network = _built(univfd.DETECTOR)
    batch = _batch(network)
    features = network.features(batch)
    projected = network.tower.projection(network.tower(batch["image"]).last)
    assert torch.equal(features["seen"], projected) and projected.shape == (6, 32)
    logit = network.head(projected)[:, 0]
    by_hand = -(batch["label"] * logit.sigmoid().log() + (1 - batch["label"]) * (1 - logit.sigmoid()).log()).mean()
    assert torch.allclose(network.losses(features, batch, {"rows": 6}).terms["cross_entropy"], by_hand, atol=1e-6)
    assert torch.equal(network.scores(features).fake, logit.sigmoid())


def test_univfds_weights_begin_at_a_fiftieth() -> None:
    torch.manual_seed(0)
    spread = torch.cat([_built(univfd.DETECTOR, backbone="timm:tiny-cnn").head.weight.flatten() for _ in range(3)]).std()
    assert 0.016 < float(spread) < 0.024


@pytest.mark.parametrize("backbone", ["clip:tiny", "timm:tiny", "timm:tiny-cnn"])
@pytest.mark.parametrize(
    ("detector", "options"),
    [(gend.DETECTOR, {}), (gend.DETECTOR, {"tuned": "none"}), (lnclip.DETECTOR, {}), (univfd.DETECTOR, {})],
)
def test_what_is_frozen_stays_bitwise_as_it_was_and_all_that_is_trained_moves(
    detector: Detector, options: dict[str, Any], backbone: str
) -> None:
    network = _built(detector, backbone=backbone, **options).train()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    trained = {name for name, each in network.named_parameters() if each.requires_grad}
    optimiser = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad], lr=1e-2, weight_decay=0.0)
    batch = _batch(network)
    for _ in range(3):
        optimiser.zero_grad()
        sum(network.losses(network.features(batch), batch, {"rows": 6}).terms.values()).backward()
        optimiser.step()
    after = network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    statistics = {name for name, _ in network.named_buffers()} if options.get("tuned") != "none" else set()
    unused = {name for name in trained if network.get_parameter(name).grad is None}
    assert trained - unused <= moved <= trained | (statistics if detector is not univfd.DETECTOR else set())
    assert not unused


def test_a_detector_whose_norms_are_trained_computes_again_where_asked() -> None:
    network = _built(gend.DETECTOR).train()
    batch = _batch(network)

    def gradients() -> list[torch.Tensor]:
        network.zero_grad()
        sum(network.losses(network.features(batch), batch, {"rows": 6}).terms.values()).backward()
        return [each.grad.clone() for each in network.parameters() if each.grad is not None]

    plain = gradients()
    network.checkpointing()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, gradients(), strict=True))
