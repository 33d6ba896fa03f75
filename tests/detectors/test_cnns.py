"""Xception, SPSL, RECCE, AIDE: what holds of all four, and their sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmidd.detectors import aide, recce, spsl, xception

from mmidd.errors import MissingWeights, UsageError
from mmidd.runs.detector import PRESETS, Detector, Network
from mmidd.runs.settings import Settings
from mmidd.training.augment import PRESETS as AUGMENTS

DETECTORS: dict[str, Detector] = {
    "xception": xception.DETECTOR,
    "spsl": spsl.DETECTOR,
    "recce": recce.DETECTOR,
    "aide": aide.DETECTOR,
}
LABELS = (0, 1, 1, 0, 0, 1, 1, 1)


def built(name: str, preset: str = "tiny", **options: Any) -> Network:
    torch.manual_seed(1)
    detector = DETECTORS[name]
    return detector.build(detector.options(**{**detector.presets[preset].options, **options}))


def batch(network: Network, labels: tuple[int, ...] = LABELS) -> dict[str, torch.Tensor]:
    """Noise that is rougher from row to row, as the network's input says."""
    chance, side = torch.Generator().manual_seed(3), network.input.side
    pixels = (torch.rand(len(labels), 3, side, side, generator=chance) - 0.5) * torch.linspace(0.2, 1, len(labels)).view(
        -1, 1, 1, 1
    )
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (network.input.mean, network.input.std))
    return {"image": (pixels + 0.5 - mean) / std, "label": torch.tensor(labels)}


def rows_of(whole: dict[str, torch.Tensor], rows: slice) -> dict[str, torch.Tensor]:
    return {key: value[rows] for key, value in whole.items()}


def total(network: Network, part: dict[str, torch.Tensor], over: dict[str, int]) -> torch.Tensor:
    return torch.stack(list(network.losses(network.features(part), part, over).terms.values())).sum()


@pytest.fixture(params=list(DETECTORS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def separable(channels: int, out: int) -> int:
    """A separable convolution and its batch norm."""
    return 9 * channels + channels * out + 2 * out


XCEPTION = 20_806_952
"""timm's legacy_xception without its head."""
DECODER = (
    separable(728, 256)
    + 3 * separable(256, 256)
    + separable(256, 128)
    + 3 * separable(128, 128)
    + separable(128, 64)
    + 64 * 3
)
ATTENTION = 3 * 3 * 9 + 3 + 728 * 728 + 2 * 728
ASKED, GATES = 728 * 256 + 256 * 256, 2 * 728 * 256
ANSWERS = (256 * 256 + 256 * 256) + (128 * 256 + 256 * 256)
REASONING = ASKED + GATES + ANSWERS + 2 * 512 + (768 * 728 + 728 * 728)
TRUNK, RESIDUALS, PROJECTION, HEAD = 843_398_016, 47_185_408, 3072 * 256 + 256, (2304 * 1024 + 1024) + (1024 * 2 + 2)


@pytest.mark.parametrize(
    ("name", "options", "parameters", "trained"),
    [
        ("xception", {}, XCEPTION + 2 * 2048 + 2, 20_811_050),
        ("xception", {"backbone": "timm:tf_efficientnet_b4"}, 17_552_202, 17_552_202),
        ("spsl", {}, 20_811_050 + 32 * 9, 20_811_338),
        ("recce", {}, XCEPTION + 2048 + 1 + DECODER + ATTENTION + REASONING, 23_781_509),
        ("aide", {}, TRUNK + RESIDUALS + PROJECTION + HEAD, RESIDUALS + HEAD),
        ("aide", {"train_projection": True}, 893_732_482, RESIDUALS + PROJECTION + HEAD),
    ],
)
def test_the_full_size_has_the_parameters_of_the_paper(
    name: str, options: dict[str, Any], parameters: int, trained: int
) -> None:
    with torch.device("meta"):
        network = built(name, "paper", **options)
    sizes = [(each.numel(), each.requires_grad) for each in network.parameters()]
    assert sum(size for size, _ in sizes) == parameters
    assert sum(size for size, is_trained in sizes if is_trained) == trained


def test_the_parts_of_aide_have_their_known_sizes() -> None:
    with torch.device("meta"):
        network = built("aide", "paper")
    assert isinstance(network, aide.AIDE)
    parts = (network.trunk, network.low, network.high, network.projection, network.head)
    sizes = [sum(each.numel() for each in part.parameters()) for part in parts]
    assert sizes == [TRUNK, RESIDUALS // 2, RESIDUALS // 2, 786_688, 2_362_370]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_options_and_settings_that_exist_and_do_not_clash(name: str, preset: str) -> None:
    detector = DETECTORS[name]
    settings = Settings(**detector.presets[preset].settings)
    assert settings.augment in AUGMENTS
    assert not set(detector.options.model_fields) & set(Settings.model_fields)
    with torch.device("meta"):
        built(name, preset)


def test_what_is_trained_gets_a_gradient_and_nothing_else_does(name: str) -> None:
    network = built(name).train()
    with torch.no_grad():
        for each in network.parameters():  # the last norm of each residual begins at 0: nothing comes through it
            each.add_(0.1 * torch.rand_like(each) * (each.dim() == 1))
    whole = batch(network)
    total(network, whole, network.rows(whole)).backward()
    for key, each in network.named_parameters():
        assert (each.grad is not None and bool(each.grad.abs().sum() > 0)) == each.requires_grad, key


def test_a_score_depends_on_no_other_row_and_on_no_chance(name: str) -> None:
    network = built(name).eval()
    whole = batch(network)
    with torch.no_grad():
        together = network.features(whole)
        alone = [network.features(rows_of(whole, slice(row, row + 1))) for row in range(len(LABELS))]
        for key, value in together.items():
            torch.testing.assert_close(value, torch.cat([each[key] for each in alone]), rtol=1e-4, atol=1e-5)
        assert torch.equal(network.scores(together).fake, network.scores(network.features(whole)).fake)
    scores = network.scores(together)
    assert (
        scores.types is None
        and scores.fake.shape == (len(LABELS),)
        and bool(((scores.fake >= 0) & (scores.fake <= 1)).all())
    )


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["black", "white"])
@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_an_image_of_one_colour_gives_finite_losses_and_gradients(name: str, value: float, mode: bool) -> None:
    network = built(name).train(mode)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (network.input.mean, network.input.std))
    image = ((value - mean) / std).expand(4, 3, network.input.side, network.input.side)
    whole = {"image": image.clone(), "label": torch.tensor([0, 1, 0, 1])}
    loss = total(network, whole, network.rows(whole))
    loss.backward()
    assert bool(loss.isfinite())
    assert all(bool(each.grad.isfinite().all()) for each in network.parameters() if each.grad is not None)


# Batch norms see their own part: they stand still here. Flooding and the contrast are of a part too.
ADDITIVE: dict[str, dict[str, Any]] = {"recce": {"flood": 0.0, "contrast_weight": 0.0}}


def test_one_whole_batch_and_four_parts_of_it_give_the_same_loss_and_gradients(name: str) -> None:
    found = []
    for size in (len(LABELS), 2):
        network = built(name, **ADDITIVE.get(name, {})).eval()
        whole = batch(network)
        over, losses = network.rows(whole), []
        for start in range(0, len(LABELS), size):
            loss = total(network, rows_of(whole, slice(start, start + size)), over)
            loss.backward()
            losses.append(loss.detach())
        grads = {key: each.grad for key, each in network.named_parameters() if each.requires_grad}
        found.append((torch.stack(losses).sum(), grads))
    (one, one_grads), (four, four_grads) = found
    torch.testing.assert_close(one, four, rtol=1e-5, atol=1e-6)
    for key, grad in one_grads.items():
        torch.testing.assert_close(grad, four_grads[key], rtol=1e-3, atol=1e-5, msg=key)


def test_half_precision_gives_nearly_the_same_scores(name: str) -> None:
    network = built(name).eval()
    whole = batch(network)
    with torch.no_grad():
        full = network.scores(network.features(whole)).fake
        with torch.autocast("cpu", torch.bfloat16):
            half = {key: each.float() for key, each in network.features(whole).items()}
        assert float((full - network.scores(half).fake).abs().max()) < 0.05


@pytest.mark.parametrize("name", ["xception", "spsl", "aide"])
def test_checkpointing_changes_no_gradient(name: str) -> None:
    found = []
    for again in (False, True):
        options: dict[str, Any] = {"drop_path": 0.0} if name == "aide" else {}
        network = built(name, **options).train()
        if again:
            network.checkpointing()
        whole = batch(network)
        total(network, whole, network.rows(whole)).backward()
        found.append([each.grad for each in network.parameters() if each.requires_grad])
    for plain, computed in zip(*found, strict=True):
        torch.testing.assert_close(plain, computed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("spsl", {"backbone": "clip:tiny"}, "'clip:tiny' does not begin with a convolution of three channels"),
        ("recce", {"backbone": "timm:test_resnet"}, "RECCE is cut out of an Xception"),
        ("recce", {"weights": "pretrained"}, "narrow=16: there are no pretrained weights"),
        ("aide", {"trunk": "timm:test_resnet"}, "AIDE's is a ConvNeXt"),
        ("xception", {"backbone": "timm:xceptoin"}, "no backbone 'timm:xceptoin'"),
    ],
)
def test_another_network_than_a_detector_is_made_of_is_refused_by_name(
    name: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        built(name, **options)


def test_what_cannot_be_computed_again_or_is_not_at_hand_is_told() -> None:
    with pytest.raises(UsageError, match="no gradient checkpointing"):
        built("recce").checkpointing()
    with pytest.raises((UsageError, MissingWeights), match="weights"):
        built("xception", weights="pretrained", backbone="timm:legacy_xception")
