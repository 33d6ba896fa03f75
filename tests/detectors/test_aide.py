"""AIDE's choice of patches, filters and frozen trunk against their definitions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from mmidd.detectors import aide
from mmidd.detectors.aide import AIDE, AIDEOptions, bands, cosines, scores_of, srm, windows
from torch.nn import functional as F

TINY = aide.DETECTOR.presets["tiny"].options


def built(**options: Any) -> AIDE:
    torch.manual_seed(0)
    return AIDE(AIDEOptions(**{**TINY, **options}))


def chance(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def normalised(image: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (aide.IMAGENET_MEAN, aide.IMAGENET_STD))
    return (image - mean) / std


def test_the_transform_is_the_orthonormal_cosine_transform() -> None:
    from scipy.fft import dctn

    matrix, window = cosines(), chance(32, 32)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(32), rtol=0, atol=1e-5)
    wanted = torch.from_numpy(dctn(window.numpy(), norm="ortho"))
    torch.testing.assert_close(matrix @ window @ matrix.T, wanted, rtol=0, atol=1e-4)


def by_loops(window: torch.Tensor) -> float:
    """The score of one window (3, 32, 32)."""
    from scipy.fft import dctn

    spectra = [torch.from_numpy(dctn(channel.double().numpy(), norm="ortho")).abs().log1p() for channel in window]
    score = 0.0
    for band in range(6):
        low, high = Fraction(64 * band, 6), Fraction(64 * (band + 1), 6)
        inside = [(i, j) for i in range(32) for j in range(32) if low <= i + j <= high]
        score += 2**band * sum(float(spectrum[place]) for spectrum in spectra for place in inside) / len(inside)
    return score


def test_a_windows_score_is_the_weighted_mean_over_six_bands() -> None:
    cut = windows(chance(2, 3, 48, 64))
    found = scores_of(cut, bands())
    assert found.shape == (2, 2 * 3)
    for row in range(2):
        for at in range(6):
            assert float(found[row, at]) == pytest.approx(by_loops(cut[row, at]), rel=1e-5)


def test_a_coefficient_where_two_bands_meet_counts_in_both() -> None:
    at = torch.arange(32)
    total = at + at[:, None]
    counts = [int(((total * 6 >= 64 * band) & (total * 6 <= 64 * (band + 1))).sum()) for band in range(6)]
    assert sum(counts) == 32 * 32 + 31  # the 31 places with i + j = 32
    assert float(bands()[16, 16]) == pytest.approx(4 / counts[2] + 8 / counts[3])
    assert float(bands()[0, 0]) == pytest.approx(1 / counts[0]) and float(bands()[31, 31]) == pytest.approx(32 / counts[5])


def test_windows_lie_every_16_pixels_row_by_row() -> None:
    image = chance(1, 3, 64, 48)
    cut = windows(image)
    assert cut.shape == (1, 3 * 2, 3, 32, 32)
    for at, (top, left) in enumerate((y, x) for y in (0, 16, 32) for x in (0, 16)):
        assert torch.equal(cut[0, at], image[0, :, top : top + 32, left : left + 32])


def plain_filter(patch: torch.Tensor, side: int) -> torch.Tensor:
    """As the released code filters: each kernel repeated over the colours."""
    grown = F.interpolate(patch, (side, side), mode="bilinear", align_corners=False)
    return F.conv2d(grown, srm()[:, None].repeat(1, 3, 1, 1), padding=2)


def test_the_two_smoothest_and_the_two_busiest_windows_are_enlarged_and_filtered() -> None:
    image = chance(1, 3, 96, 96) * torch.linspace(0.1, 1, 96)  # busier to the right
    network = built(side=96, shown=64)
    shown = normalised(image)
    order = sorted(range(25), key=lambda at: by_loops(windows(image)[0, at]))
    lows, highs = network._patches(shown)
    for found, at in zip([*lows, *highs], [order[0], order[1], order[-1], order[-2]], strict=True):
        torch.testing.assert_close(found, plain_filter(windows(shown)[:, at], 64), rtol=1e-4, atol=1e-4)


def test_rows_choose_their_own_windows() -> None:
    image = normalised(chance(3, 3, 64, 64) * torch.linspace(0.2, 1, 64))
    network = built()
    together, alone = network._patches(image), [network._patches(image[row : row + 1]) for row in range(3)]
    for which in range(2):
        for at in range(2):
            torch.testing.assert_close(together[which][at], torch.cat([each[which][at] for each in alone]))


def test_an_image_of_one_window_gives_it_four_times() -> None:
    lows, highs = built(side=32, shown=32)._patches(normalised(chance(2, 3, 32, 32)))
    assert all(torch.equal(each, lows[0]) for each in (*lows, *highs))


def test_half_precision_chooses_and_filters_as_full_precision_does() -> None:
    network, image = built().eval(), normalised(chance(4, 3, 64, 64))
    seen: list[torch.Tensor] = []
    network.low.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network.features({"image": image})
    lows, _ = network._patches(image)
    assert all(torch.equal(given, wanted) and given.dtype == torch.float32 for given, wanted in zip(seen, lows, strict=True))


def test_there_are_30_different_kernels_that_predict_a_pixel_from_its_neighbours() -> None:
    kernels = srm()
    assert kernels.shape == (30, 5, 5) and len({tuple(each.flatten().tolist()) for each in kernels}) == 30
    torch.testing.assert_close(kernels.sum(dim=(1, 2)), torch.zeros(30), rtol=0, atol=1e-6)
    assert torch.equal(kernels[:, 2, 2], -torch.ones(30))
    assert [int((each != 0).sum()) for each in kernels] == [2] * 8 + [3] * 4 + [4] * 8 + [6] * 4 + [15] * 4 + [9, 25]
    for first, last in ((0, 8), (12, 20), (20, 24), (24, 28)):  # turned by a quarter, a family is itself
        family = {tuple(each.flatten().tolist()) for each in kernels[first:last]}
        assert {tuple(torch.rot90(each).flatten().tolist()) for each in kernels[first:last]} == family


@pytest.mark.parametrize(
    ("degree", "silent"),
    [(0, range(30)), (1, range(8, 30)), (2, range(12, 20))],
    ids=["one colour", "a ramp: all but first differences", "a parabola: third differences"],
)
def test_what_a_kernel_predicts_exactly_gives_no_response(degree: int, silent: range) -> None:
    at = torch.arange(9, dtype=torch.float64)
    surface = (0.7 * at[:, None] - 0.4 * at + 1) ** degree
    found = F.conv2d(surface[None, None], srm().double()[:, None])
    torch.testing.assert_close(found[:, silent], torch.zeros_like(found[:, silent]), rtol=0, atol=1e-5)


def test_first_differences_of_a_ramp_are_its_slope() -> None:
    at = torch.arange(9, dtype=torch.float32)
    found = F.conv2d((0.7 * at[:, None] - 0.4 * at)[None, None], srm()[:8, None])[0, :, 0, 0]
    wanted = torch.tensor([0.7 * down - 0.4 * right for down, right in aide._STEPS])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_the_trunk_sees_its_own_colours_and_is_pooled_after_its_norm() -> None:
    network, image = built().eval(), chance(2, 3, 64, 64)
    net = network.trunk.inner
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (network.trunk.mean, network.trunk.std))
    with torch.no_grad():
        wanted = net.head.norm(net.forward_features((image - mean) / std)).mean(dim=(2, 3))
        torch.testing.assert_close(network._whole(normalised(image)), wanted, rtol=1e-4, atol=1e-4)


def test_the_two_networks_are_shared_by_two_patches_each_and_averaged() -> None:
    network, image = built().eval(), normalised(chance(2, 3, 64, 64))
    lows, highs = network._patches(image)
    with torch.no_grad():
        seen = network.features({"image": image})["seen"]
        outputs = [network.low(each).last for each in lows] + [network.high(each).last for each in highs]
        torch.testing.assert_close(seen[:, 256:], sum(outputs[1:], outputs[0]) / 4, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(seen[:, :256], network.projection(network._whole(image)))


@pytest.mark.parametrize("trained", [False, True])
def test_the_projection_is_trained_where_that_is_asked_for_and_the_trunk_never(trained: bool) -> None:
    network = built(train_projection=trained).train()
    batch = {"image": normalised(chance(4, 3, 64, 64)), "label": torch.tensor([0, 1, 0, 1])}
    network.losses(network.features(batch), batch, network.rows(batch)).terms["cross_entropy"].backward()
    assert all((each.grad is not None) == trained for each in network.projection.parameters())
    assert all(each.grad is None for each in network.trunk.parameters())


def test_paths_of_the_trunk_are_dropped_in_training_alone_as_timm_drops_them() -> None:
    import timm

    network = built(drop_path=0.3)
    for each in network.trunk.parameters():  # a block's share begins at a millionth, which no float32 shows
        each.data.fill_(1.0) if each.dim() == 1 and float(each[0]) < 1e-5 and float(each[0]) > 0 else None
    as_timm = timm.create_model("test_convnext", num_classes=0, drop_path_rate=0.3)
    rates = [[getattr(each.drop_path, "drop_prob", 0.0) for each in stage.blocks] for stage in network.trunk.inner.stages]
    wanted = [[getattr(each.drop_path, "drop_prob", 0.0) for each in stage.blocks] for stage in as_timm.stages]
    assert rates == [pytest.approx(each) for each in wanted]
    for mode in (True, False):
        network.train(mode)
        found = [network._whole(normalised(chance(8, 3, 64, 64))) for _ in range(2)]
        assert torch.equal(*found) != mode
        assert not any(each.training for each in network.trunk.modules() if next(each.parameters(), None) is not None)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_are_smoothed(smoothing: float) -> None:
    network = built(smoothing=smoothing).eval()
    features = {"seen": chance(4, network.head[0].in_features)}
    label = torch.tensor([0, 1, 1, 0])
    batch = {"image": torch.zeros(4), "label": label}
    with torch.no_grad():
        found = network.losses(features, batch, {"rows": 4}).terms["cross_entropy"]
        logs = network.head(features["seen"]).log_softmax(dim=1)
    wanted = torch.full((4, 2), smoothing / 2)
    wanted[torch.arange(4), label] += 1 - smoothing
    assert float(found) == pytest.approx(-float((wanted * logs).sum()) / 4, abs=1e-6)


def test_a_residual_network_keeps_what_it_was_given_but_for_its_first_convolution() -> None:
    torch.manual_seed(0)
    plain = aide.image_tower("timm:test_resnet", "random").state_dict()
    torch.manual_seed(0)
    wide = aide._residual(AIDEOptions(**TINY)).state_dict()
    other = (
        [key for key in plain if plain[key].shape != wide[key].shape or not torch.equal(plain[key], wide[key])]
        if plain.keys() == wide.keys()
        else None
    )
    assert other == ["inner.conv1.0.weight"] and wide["inner.conv1.0.weight"].shape[1] == 30
