"""The GPU benchmark's models at toy size on the CPU: training steps, captions, a GRPO step; their sizes at real size."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mmidd.detectors.backbones import image_tower

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
    gend, effort, sbi = training.SETTINGS[:3]
    monkeypatch.setattr(training, "SETTINGS", (replace(gend, toy={"uniformity": "much"}), effort, sbi))
    monkeypatch.setattr(training, "PRECISIONS", ("fp32",))
    monkeypatch.setattr(training, "COMPILED", ())
    monkeypatch.setitem(sys.modules, "timm", None)
    training.run(context)
    assert not context.found["gend fp32"]["right"] and "uniformity" in context.found["gend fp32"]["failed"]
    assert "timm" in context.found["sbi fp32"]["skipped"]
    assert context.found["effort fp32"]["right"]


def test_a_row_that_there_is_no_time_for_is_told(context: Context) -> None:
    context.toy, context.seconds = False, 0.0
    training._noted(context, "gend bf16", 5.0, dict)
    assert "s left, which is less than 5" in context.found["gend bf16"]["skipped"]


def test_a_row_that_takes_too_long_is_broken_off_and_told(context: Context) -> None:
    def slow() -> dict[str, Any]:
        time.sleep(30)
        return {}

    training._noted(context, "sbi bf16", 5.0, slow, most=0.2)
    assert context.found["sbi bf16"] == {"skipped": "not done in 0.2 s"}
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_step_counts_the_published_operations_of_clip_vit_l_14() -> None:
    with torch.device("meta"):
        tower = image_tower("clip:openai/clip-vit-large-patch14")
        images = torch.empty(1, 3, 224, 224)
        found = clock.flops(lambda: tower.projection(tower(images).last))
    assert found == pytest.approx(162.03e9, rel=0.03)  # open_clip's docs/model_profile.csv


def test_operations_grow_in_a_line_with_the_batch(context: Context) -> None:
    setting = training.SETTINGS[0]
    step = training.made(setting, toy=True)
    fixed, each = training.counted(context, setting, step)
    whole = clock.flops(lambda: step(training.given(context, setting, step, 8), half=False))
    assert fixed + 8 * each == pytest.approx(whole, rel=0.01)


@pytest.mark.parametrize("setting", training.SETTINGS, ids=lambda setting: setting.name)
def test_parameters_are_exactly_those_of_the_paper(setting: training.Setting) -> None:
    with torch.device("meta"):
        step = training.made(setting, toy=False)
    assert setting.trained in (None, step.trained)
    assert setting.total in (None, step.total)


def test_sizes_and_optimisers_are_those_of_the_papers() -> None:
    """Of a setting: pixels, rows a step and of what optimiser."""
    expected = {
        "gend": (224, 128, "AdamW", 3e-4), "effort": (224, 32, "Adam", 2e-4), "sbi": (380, 32, "SGD", 1e-3),
        "xception": (256, 32, "Adam", 2e-4), "sd2": (224, 32, "AdamW", 5e-7), "spsl": (256, 32, "Adam", 2e-4),
        "clip_lora": (224, 32, "AdamW", 2e-4), "univfd": (224, 256, "AdamW", 1e-4), "gend_pe": (224, 128, "AdamW", 3e-4),
        "gend_dinov3": (224, 128, "AdamW", 3e-4), "tall": (112, 32, "AdamW", 1.5e-5),
        "forensics_adapter": (256, 16, "Adam", 2e-4),
    }  # fmt: skip
    found = {}
    for setting in training.SETTINGS:
        with torch.device("meta"):
            step = training.made(setting, toy=False)
        kind = type(step.optimiser).__name__
        found[setting.name] = (step.network.input.side, step.batch, kind, step.optimiser.param_groups[0]["lr"])
    assert found == expected


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
    assert list(context.found) == ["checkpoint", "token", "prepare", "batch 32", "batch 128", "batch 8"]
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
