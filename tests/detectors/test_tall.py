"""TALL: what is laid out where, what is covered, and that a Swin of the published size sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmidd.detectors.tall import DETECTOR, Tall, TallOptions, cover, thumbnail, tiled
from torch.nn import functional as F
from training import corpora

from mmidd.errors import CorpusError, UsageError
from mmidd.training import ClipSampler, CorpusDataset, Loader

TINY = TallOptions(**DETECTOR.presets["tiny"].options)


@pytest.fixture
def network() -> Tall:
    torch.manual_seed(0)
    return Tall(TINY)


def _batch(count: int = 3, seed: int = 0) -> dict[str, Any]:
    chance = torch.Generator().manual_seed(seed)
    return {"image": torch.randn(count, 4, 3, 32, 32, generator=chance), "label": torch.arange(count) % 2}


def test_frames_lie_row_by_row() -> None:
    frames = torch.arange(4.0)[None, :, None, None, None] * 10 + torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    found = thumbnail(frames.expand(1, 4, 3, 2, 2), 2)
    assert found.shape == (1, 3, 4, 4)
    assert found[0, 0].tolist() == [[1, 2, 11, 12], [3, 4, 13, 14], [21, 22, 31, 32], [23, 24, 33, 34]]
    assert torch.equal(found[0, 0], found[0, 2])


def test_enlarging_and_shrinking_is_a_slight_blur_inside_each_frame() -> None:
    frames = torch.randn(2, 4, 3, 6, 5)
    kernel = torch.tensor([1.0, 6, 1]) / 8
    kernel = (kernel[:, None] * kernel).expand(3, 1, 3, 3)
    padded = F.pad(frames.flatten(0, 1), (1, 1, 1, 1), mode="replicate")
    blurred = F.conv2d(padded, kernel, groups=3).unflatten(0, (2, 4))
    assert torch.allclose(thumbnail(frames, 2, enlarge=True), thumbnail(blurred, 2), atol=1e-6)


def test_one_square_is_covered_at_the_same_place_of_every_frame_and_less_at_the_border(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = iter([torch.tensor([[3], [0]]), torch.tensor([[4], [7]])])
    monkeypatch.setattr(torch, "randint", lambda size, shape: next(places))
    found = cover(torch.ones(2, 4, 3, 8, 8), 4)
    assert all(torch.equal(found[:, 0], found[:, frame]) for frame in range(4))
    zeros = [{(int(y), int(x)) for y, x in (clip[0, 0] == 0).nonzero()} for clip in found]
    assert zeros[0] == {(y, x) for y in range(1, 5) for x in range(2, 6)}
    assert zeros[1] == {(y, x) for y in range(2) for x in range(5, 8)}


def test_clips_are_covered_at_places_of_their_own_and_in_training_alone(network: Tall) -> None:
    torch.manual_seed(0)
    found = cover(torch.ones(64, 4, 3, 32, 32), 4)
    assert len({tuple((clip[0, 0] == 0).flatten().nonzero().flatten().tolist()) for clip in found}) > 48
    batch = _batch()
    assert not torch.equal(network.train().features(batch)["seen"], network.features(batch)["seen"])
    assert torch.equal(network.eval().features(batch)["seen"], network.features(batch)["seen"])


def test_each_frames_vector_is_on_its_own_patches() -> None:
    found = tiled(torch.tensor([[1.0], [2.0], [3.0], [4.0]]), 2, 4, 4)[..., 0]
    assert found.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_smoothed_cross_entropy_and_its_parts_add_up(smoothing: float) -> None:
    network = Tall(TINY.model_copy(update={"smoothing": smoothing})).eval()
    batch = _batch(4)
    features = network.features(batch)
    logs = network.head(features["seen"]).log_softmax(1)
    own = -logs.gather(1, batch["label"][:, None])[:, 0]
    expected = ((1 - smoothing) * own - smoothing * logs.mean(1)).mean()
    whole = network.losses(features, batch, network.rows(batch)).terms["cross_entropy"]
    assert whole.item() == pytest.approx(expected.item(), abs=1e-6)
    parts = [{"image": batch["image"][rows], "label": batch["label"][rows]} for rows in (slice(0, 1), slice(1, 4))]
    split = sum(network.losses(network.features(each), each, {"rows": 4}).terms["cross_entropy"] for each in parts)
    assert split.item() == pytest.approx(whole.item(), abs=1e-6)


def test_every_parameter_is_trained_and_gets_a_gradient_with_checkpointing_too(network: Tall) -> None:
    batch = _batch()
    found = []
    for again in (False, True):
        if again:
            network.checkpointing()
        network.zero_grad()
        torch.manual_seed(1)
        sum(network.losses(network.train().features(batch), batch, {"rows": 3}).terms.values()).backward()
        found.append({name: each.grad.clone() for name, each in network.named_parameters()})
    assert all(each.requires_grad for each in network.parameters())
    assert all(bool(found[0][name].any()) for name in found[0])
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-6) for name in found[0])


def test_a_clips_score_does_not_depend_on_its_batch(network: Tall) -> None:
    batch = _batch(5)
    network.eval()
    with torch.no_grad():
        whole = network.scores(network.features(batch)).fake
        alone = torch.cat([network.scores(network.features({"image": each[None]})).fake for each in batch["image"]])
    assert torch.allclose(whole, alone, atol=1e-6) and bool(((whole >= 0) & (whole <= 1)).all())


def test_the_order_of_frames_matters(network: Tall) -> None:
    batch = _batch(1)
    network.eval()
    turned = {"image": batch["image"].flip(1)}
    assert not torch.allclose(network.features(batch)["seen"], network.features(turned)["seen"], atol=1e-4)


def test_the_paper_has_a_swin_b_with_these_windows() -> None:
    with torch.device("meta"):
        network = Tall(TallOptions(weights="random"))
    assert network.input.side == 112 and network.input.frames == 4
    windows = [
        [(block.window_size[0], block.shift_size[0]) for block in stage.blocks[:2]] for stage in network.tower.inner.layers
    ]
    assert windows == [[(14, 0), (14, 7)], [(14, 0), (14, 7)], [(14, 0), (14, 0)], [(7, 0), (7, 0)]]
    trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    assert trained == PAPER


PAPER = 86_917_944 + 512 + 2_050
"""Swin-B without a head, its windows of 14, and of ours the four frames' vectors and the head."""


@pytest.mark.parametrize(
    ("change", "message"),
    [({"rows": 3}, "no multiple of 3"), ({"backbone": "clip:tiny"}, "takes a Swin"), ({"backbone": "timm:tiny"}, "a Swin")],
    ids=["patches across frames", "CLIP", "no Swin"],
)
def test_what_cannot_be_laid_out_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Tall(TINY.model_copy(update=change))


def test_clips_that_are_too_short_are_told_by_the_sampler(tmp_path: Path) -> None:
    data = CorpusDataset(corpora.corpus(tmp_path / "corpus"), size=32)
    frames = Tall(TINY).input.frames
    sampler = ClipSampler(data, 2, frames=frames)
    assert sampler.left_out == {"rows of clips of fewer than 4 frames": 4}  # the whole images
    batch = next(iter(Loader(data, sampler)))
    assert batch["image"].shape == (2, 4, 3, 32, 32)
    with pytest.raises(CorpusError, match="no clips with 5 frames in a row"):
        ClipSampler(data, 2, frames=5)
