"""The GPU benchmark's models at toy size on the CPU: training steps, captions, a GRPO step; their sizes at real size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from benchmarks.gpu import captions, clock, grpo, steps, training
from benchmarks.gpu.context import Context, Skipped

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Context("cpu", True, 60.0, None, None, scratch, tmp_path / "results.json")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before[0])
    torch.set_float32_matmul_precision(before[1])
    torch.backends.cudnn.benchmark = before[2]


def test_every_training_step_gives_its_figures_with_their_counts(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "COMPILED", ())
    training.run(context)
    assert list(context.found) == ["peak", "settings", *(f"{each.name} fp32" for each in training.SETTINGS), "gend bf16"]
    for name, row in context.found.items():
        if name not in ("peak", "settings"):
            assert row["right"] and row["first_loss"] is not None and row["too_large"] == [], (name, row)
            assert row["images"] == row["batch"] * row["steps"] and row["steps"] >= 2, (name, row)
            assert row["images_per_s"] > 0 and row["flops_per_step"] > 0 and row["share_of_bf16_peak"] > 0, (name, row)
            low, high = row["ms_from_to"]
            assert low <= row["ms_per_step"] <= high, (name, row)


def test_a_row_that_breaks_or_lacks_a_package_is_told_and_costs_no_other(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(toy: bool) -> None:
        raise ValueError("no such layer")

    def lacking(toy: bool) -> None:
        raise ModuleNotFoundError("No module named 'timm'")

    monkeypatch.setattr(training, "SETTINGS", training.SETTINGS[:3])
    monkeypatch.setattr(training, "PRECISIONS", ("fp32",))
    monkeypatch.setattr(training, "COMPILED", ())
    monkeypatch.setattr(steps, "gend", broken)
    monkeypatch.setattr(steps, "sbi", lacking)
    training.run(context)
    assert context.found["gend fp32"] == {"right": False, "failed": "ValueError: no such layer"}
    assert context.found["sbi fp32"] == {"skipped": "ModuleNotFoundError: No module named 'timm'"}
    assert context.found["effort fp32"]["right"]


def test_a_row_that_there_is_no_time_for_is_told(context: Context) -> None:
    context.toy, context.seconds = False, 0.0
    training._noted(context, "gend bf16", 5.0, dict)
    assert "s left, which is less than 5" in context.found["gend bf16"]["skipped"]


def test_a_step_counts_the_published_operations_of_clip_vit_l_14() -> None:
    with torch.device("meta"):
        tower = steps.tower(toy=False)
        images = torch.empty(1, 3, 224, 224)
        found = clock.flops(lambda: tower.visual_projection(tower.vision_model(pixel_values=images).pooler_output))
    assert found == pytest.approx(162.03e9, rel=0.03)  # open_clip's docs/model_profile.csv


def test_operations_grow_in_a_line_with_the_batch(context: Context) -> None:
    step, setting = steps.gend(toy=True), training.SETTINGS[0]
    fixed, each = training.counted(context, setting, step)
    whole = clock.flops(lambda: step(*training.given(context, setting, 8), half=False))
    assert fixed + 8 * each == pytest.approx(whole, rel=0.01)


@pytest.mark.parametrize("setting", training.SETTINGS, ids=lambda setting: setting.name)
def test_parameters_are_exactly_those_of_the_paper(setting: training.Setting) -> None:
    with torch.device("meta"):
        step: steps.Step = getattr(steps, setting.name)(False)
    assert setting.trained in (None, step.trained)
    assert setting.total in (None, step.total)


def test_effort_begins_as_the_layer_that_it_replaces_and_trains_its_weakest_direction() -> None:
    linear, x = torch.nn.Linear(48, 48), torch.randn(5, 48)
    layer = steps.Residual(linear)
    assert torch.allclose(layer(x), linear(x), atol=1e-5)
    u, scales, v = torch.linalg.svd(linear.weight.detach())
    assert float(layer.scale.detach()) == pytest.approx(float(scales[-1]), rel=1e-3)
    assert abs(float(layer.v[0].detach() @ v[-1])) == pytest.approx(1, abs=1e-4)
    assert abs(float(layer.u[:, 0].detach() @ u[:, -1])) == pytest.approx(1, abs=1e-4)


def test_gends_losses_are_those_of_pairs_taken_one_by_one() -> None:
    features, labels = F.normalize(torch.randn(12, 8), dim=1), torch.arange(12) % 2
    pairs = [(i, j) for i in range(12) for j in range(i + 1, 12)]
    squares = {(i, j): ((features[i] - features[j]) ** 2).sum() for i, j in pairs}
    uniform = torch.stack([torch.exp(-2 * each) for each in squares.values()]).mean().clamp(min=1e-6).log()
    alike = torch.stack([each for (i, j), each in squares.items() if labels[i] == labels[j]]).mean()
    assert float(steps.spread(features, labels)) == pytest.approx(float(0.5 * uniform + 0.1 * alike), abs=1e-5)


def test_sam_takes_the_gradient_at_the_shifted_weights_and_leaves_the_weights() -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    optimiser = torch.optim.SGD([weight], lr=1.0)

    def passed() -> None:
        (weight**2).sum().backward()

    passed()
    steps.sharpen([weight], optimiser, passed, rho=0.5)
    assert weight.tolist() == pytest.approx([3.0, 4.0])
    assert weight.grad.tolist() == pytest.approx([2 * 3.3, 2 * 4.4])


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_that_is_told() -> None:
    def attempt(batch: int) -> str:
        if batch > 16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return f"ran {batch}"

    assert clock.fitting(64, attempt) == ("ran 16", [64, 32])
    with pytest.raises(torch.OutOfMemoryError):
        clock.fitting(1, lambda batch: attempt(17))


def test_captions_are_measured_with_the_products_own_captioner(context: Context) -> None:
    captions.run(context)
    assert list(context.found) == ["checkpoint", "prepare", "batch 8", "batch 32", "batch 1"]
    assert context.found["checkpoint"]["bytes"] > 2 * context.found["checkpoint"]["parameters"] - 1
    assert context.found["prepare"]["images"] == 16
    for batch in captions.BATCHES:
        row = context.found[f"batch {batch}"]
        assert row["right"] and row["requests"] == batch * row["rounds"] and row["replies"] == 2 * row["requests"]
        assert row["completion_tokens"] == captions.length(context) * row["replies"]
        assert row["replies_per_s"] == pytest.approx(row["replies"] / sum(row["seconds"]), rel=0.05)


def test_a_grpo_step_gives_its_times_by_part_with_their_counts(context: Context) -> None:
    grpo.run(context)
    row = context.found["step 1"]
    assert row["right"] and row["completions"] == row["prompts"] * row["group"] == 8
    assert row["completion_tokens"] == row["completions"] * grpo.TOY.tokens
    assert sum(row["seconds_by_part"].values()) == pytest.approx(row["seconds"], abs=0.01)
    assert 0 < context.found["model"]["trained"] < context.found["model"]["parameters"]


def test_a_missing_package_skips_the_part(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(Skipped, match="peft"):
        grpo.run(context)


def test_completions_are_scored_with_their_own_images_whatever_shares_the_batch(context: Context) -> None:
    policy, size = grpo.made(context), grpo.TOY
    given = grpo.asked(context, policy, size)
    with torch.no_grad():
        whole = grpo.rollout(policy, given, size)
        together = grpo.scores(policy, given, whole, slice(0, 8), size)
        apart = torch.cat([grpo.scores(policy, given, whole, slice(n, n + 2), size) for n in (0, 2, 4, 6)])
    assert together.shape == (8, size.tokens) and bool((together <= 0).all())
    assert torch.allclose(together, apart, atol=0.05)  # bfloat16
    assert not torch.isin(whole[:, -size.tokens :], torch.tensor(policy.forbidden)).any()


def test_an_advantage_is_what_a_reward_is_among_its_own_group() -> None:
    found = grpo.advantages(torch.tensor([1.0, 3.0, 10.0, 10.0]), 2)
    assert found.tolist() == pytest.approx([-1, 1, 0, 0], abs=1e-3)


def test_the_objective_is_minus_the_advantage_at_first_and_is_clipped_far_from_the_old_policy() -> None:
    old = torch.full((2, 3), -1.0)
    gains = torch.tensor([1.0, -1.0])
    assert float(grpo.objective(old, old, old, gains)) == pytest.approx(0)
    assert float(grpo.objective(old[:1], old[:1], old[:1], gains[:1])) == pytest.approx(-1)
    far = (old + 1).requires_grad_()
    grpo.objective(far, old, far.detach(), gains).backward()
    assert (
        far.grad is not None and far.grad[0].abs().max() == 0 and far.grad[1].min() > 0
    )  # a better one is pushed no further
