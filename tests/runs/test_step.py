"""A step over a batch is the same however it is cut; GradCache is the whole batch's gradient; what is no number stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmidd.detectors.gend import GenD, GenDOptions

from mmidd.errors import RunError, UsageError
from mmidd.runs import optim
from mmidd.runs.chance import For, seed_torch
from mmidd.runs.detector import Network
from mmidd.runs.parts import check_sizes, cut, normalised
from mmidd.runs.processes import Here
from mmidd.runs.settings import Settings
from mmidd.runs.step import Step, Told
from runs import toy

SGD = {"optimiser": "sgd", "lr": 0.5, "momentum": 0.9, "batch": 24, "precision": "float32"}


def _step(network: Network, **changed: Any) -> Step:
    settings = Settings(**{**SGD, **changed})
    parameters = optim.trained(network)
    return Step(network, optim.optimiser(settings, parameters), parameters, settings, 0, Here(torch.device("cpu")))


def _toy(**options: Any) -> toy.Toy:
    seed_torch(0, For.building)
    network = toy.Toy(toy.ToyOptions(**options))
    network.train()
    return network


def _moved(network: Network, steps: int = 3, rows: int = 24, **changed: Any) -> tuple[dict[str, torch.Tensor], list[Told]]:
    """How far each weight went, and what the steps told."""
    before = {name: each.detach().clone() for name, each in optim.trained(network).items()}
    step = _step(network, **changed)
    told = [step.take(toy.batch(rows, number), number, 0.5) for number in range(steps)]
    return {name: each.detach() - before[name] for name, each in optim.trained(network).items()}, told


@pytest.mark.parametrize("micro", [1, 2, 3, 6, 12])
def test_a_step_is_the_same_in_parts_also_where_types_are_unknown(micro: int) -> None:
    whole, told = _moved(_toy(dropout=0.0))
    parts, same = _moved(_toy(dropout=0.0), micro=micro)
    for name, moved in whole.items():
        torch.testing.assert_close(parts[name], moved, rtol=1e-4, atol=1e-6)
    assert [each.loss for each in same] == pytest.approx([each.loss for each in told])
    assert [each.counts for each in same] == [{"unknown type": 8}] * 3 == [each.counts for each in told]
    assert max(float(each.abs().max()) for each in whole.values()) > 0.05


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_weights_that_no_row_reaches_are_treated_alike_in_every_cut(optimiser: str) -> None:
    moves = [_moved(_toy(dropout=0.0), optimiser=optimiser, micro=m, weight_decay=0.1, lr=0.01)[0] for m in (None, 4)]
    assert torch.equal(moves[0]["unused.weight"], moves[1]["unused.weight"]) and moves[0]["unused.weight"].abs().max() > 0


def _gend(alone: int | None = None) -> GenD:
    seed_torch(1, For.building)
    network = GenD(GenDOptions(backbone="clip:tiny", weights="random"))
    network.train()
    return network


def _sized(network: Network, batch: dict[str, Any]) -> dict[str, Any]:
    image = torch.nn.functional.interpolate(batch["image"].float(), network.input.side).byte()
    return {**batch, "image": image}


def _gradients(network: Network, **changed: Any) -> tuple[dict[str, torch.Tensor], Told]:
    step = _step(network, batch=12, **changed)
    told = step.take(_sized(network, toy.batch(12)), 0, 1e-9)
    return {name: each.grad.clone() for name, each in step.trained.items() if each.grad is not None}, told


@pytest.mark.parametrize("micro", [2, 3, 4, 12])
def test_gradcache_is_the_whole_batchs_gradient_for_gends_uniformity(micro: int) -> None:
    whole, told = _gradients(_gend())
    cached, same = _gradients(_gend(), micro=micro, contrast="whole")
    assert dict(same.terms) == pytest.approx(dict(told.terms), rel=1e-4)
    for name, gradient in whole.items():
        torch.testing.assert_close(cached[name], gradient, rtol=1e-3, atol=1e-6)
    if micro < 12:
        parts, other = _gradients(_gend(), micro=micro)
        assert other.terms["uniformity"] != pytest.approx(told.terms["uniformity"], rel=1e-3)
        assert any(not torch.allclose(parts[name], whole[name], rtol=1e-3, atol=1e-6) for name in whole)


def test_gradcache_repeats_its_dropout_and_counts_each_row_once_in_batch_norm() -> None:
    told = {}
    for micro in (24, 6):
        network = _toy(norm=True, spread=1.0)
        step = _step(network, micro=micro, contrast="whole")
        told[micro] = step.take(toy.batch(24), 0, 1e-9)
        if micro == 24:
            alone = _toy(norm=True, spread=1.0)
            assert _step(alone).take(toy.batch(24), 0, 1e-9).terms == pytest.approx(dict(told[24].terms), rel=1e-5)
            for mine, other in zip(network.buffers(), alone.buffers(), strict=True):
                torch.testing.assert_close(mine, other)
        assert int(network.body[1].num_batches_tracked) == 24 // micro


def test_chance_is_the_same_again_and_another_one_in_each_step_and_part() -> None:
    draws = {}
    for step in range(3):
        for part in range(3):
            seed_torch(5, For.features, step=step, part=part)
            draws[step, part] = torch.rand(4)
    seed_torch(5, For.features, step=1, part=2)
    assert torch.equal(torch.rand(4), draws[1, 2])
    assert len({tuple(each.tolist()) for each in draws.values()}) == 9


def test_what_is_no_number_stops_before_a_weight_changes_and_names_terms_step_and_rows() -> None:
    network = _toy(nan=3)
    step = _step(network, micro=12)
    step.take(toy.batch(24), 0, 0.5)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    with pytest.raises(RunError, match=r"step 2: the loss terms label, type .*rows row 12, row 13.* and 4 more.*lr"):
        step.take(toy.batch(24), 1, 0.5)
    for name, each in network.state_dict().items():
        assert torch.equal(each, before[name])


def test_a_gradient_that_is_no_number_stops_too() -> None:
    network = _toy()
    network.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(RunError, match="the gradient of a sound loss became no finite number"):
        _step(network).take(toy.batch(24), 0, 0.5)


def test_too_little_memory_says_what_to_change() -> None:
    with pytest.raises(RunError, match=r"not enough memory on cpu for 24 rows.*micro=12 or --set checkpointing=true"):
        _step(_toy(hungry=True)).take(toy.batch(24), 0, 0.5)


@pytest.mark.parametrize(
    ("changed", "ranks", "said"),
    [
        ({"batch": 6, "micro": 4}, 1, "micro=4 does not divide the 6 rows of a batch: one of 1, 2, 3, 6"),
        ({"batch": 6}, 4, "batch=6 cannot be shared among 4 processes"),
        ({"batch": 6, "order": "pairs", "micro": 3}, 1, "micro=3 would cut pairs in two"),
        ({"batch": 6, "order": "self-blended"}, 2, "a process gets a multiple of 2 rows"),
        ({"batch": 8, "order": "pairs", "micro": 8}, 2, "micro=8 does not divide the 4 rows of a batch: one of 2, 4"),
    ],
)
def test_sizes_that_do_not_go_up_are_refused(changed: dict[str, Any], ranks: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_sizes(Settings(**changed), ranks)


def test_a_batch_is_cut_in_order_and_nothing_is_lost() -> None:
    batch = toy.batch(7)
    parts = cut(batch, 2)
    assert [len(each["label"]) for each in parts] == [2, 2, 2, 1]
    assert [name for each in parts for name in each["id"]] == batch["id"]
    assert torch.equal(torch.cat([each["image"] for each in parts]), batch["image"])


def test_images_are_normalised_where_they_lie_in_channels_last() -> None:
    image = toy.batch(3)["image"]
    found = normalised(image, toy.Toy(toy.ToyOptions()).input)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    torch.testing.assert_close(found.permute(0, 2, 3, 1), (image.permute(0, 2, 3, 1) / 255 - mean) / std)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_frozen_parts_stay_in_eval_mode_and_keep_their_statistics() -> None:
    network = _toy(norm=True)
    modes = {name: each.training for name, each in network.named_modules() if not list(each.children())}
    assert not any(modes[name] for name in ("frozen.0", "frozen.1", "frozen.2"))
    assert all(modes[name] for name in ("body.0", "body.1", "body.3", "head"))
    before = network.frozen[1].running_mean.clone()
    _step(network).take(toy.batch(24), 0, 0.5)
    assert torch.equal(network.frozen[1].running_mean, before)
    network.eval()
    assert not any(each.training for each in network.modules())


def test_parts_and_clip_norm_bound_the_same_step() -> None:
    moves = [_moved(_toy(dropout=0.0), steps=1, momentum=0.0, clip_norm=0.01, micro=m) for m in (None, 6)]
    for moved, told in moves:
        length = torch.sqrt(sum((each**2).sum() for each in moved.values()))
        assert float(length) == pytest.approx(0.005, rel=1e-2) and told[0].norm > 0.01
