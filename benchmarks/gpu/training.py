"""Training steps of the reference detectors at their papers' settings: images/s, memory, share of the card's peak.

The detectors are the product's, by their preset paper. The weights are random and of the real sizes; images lie on the
device already, so a step is the network's work alone."""

from __future__ import annotations

import math
import signal
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from benchmarks.gpu.context import Context, missing


@dataclass(frozen=True)
class Setting:
    """A detector as its authors train it: `mmidd.detectors.DETECTOR` by its preset paper, with what is changed of its
    `options` and `settings` (see `runs.settings`). `trained` and `total`: parameters as DETECTORS.md has them, null where it
    does not. `twice`: SAM. `convolutional`: channels lie last. `toy`: options beside those of the preset tiny."""

    name: str
    detector: str
    trained: int | None
    total: int | None
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    twice: bool = False
    convolutional: bool = False
    toy: Mapping[str, Any] = field(default_factory=dict)


SETTINGS = (
    Setting(
        "gend", "gend", 104_450, 303_968_258,
        "GenD e03532d (LNCLIP-DF has the same step): CE + .5 uniformity + .1 alignment, AdamW 3e-4, bf16-mixed",
    ),
    Setting("effort", "effort", 198_754, None, "Effort 96f5dea, effort.yaml: CE, Adam 2e-4, L2 5e-4, fp32, weight rebuilt"),
    Setting(
        "sbi", "xception", 17_552_202, 17_552_202,
        "SelfBlendedImages 249281e, base.json: 16 pairs, CE, SAM (rho .05) over SGD 1e-3: two passes a step, fp32",
        {"backbone": "timm:tf_efficientnet_b4", "side": 380},
        {"optimiser": "sgd", "lr": 1e-3, "weight_decay": 0.0}, twice=True, convolutional=True,
        toy={"backbone": "timm:tiny-cnn"},
    ),
    Setting(
        "xception", "xception", 20_811_050, 20_811_050,
        "DeepfakeBench 8a4a7bf, xception.yaml: CE, Adam 2e-4, L2 5e-4, fp32", convolutional=True,
    ),
    Setting(
        "sd2", "sd2", 1_081_344 + 4_198_400 + 1_573_632 + 2, None,
        "no code: our reading. LoRA r8, CLAM; the paper accumulates to 1,024: this is one part of 32; of each image two"
        " captions",
        settings={"checkpointing": False},
    ),
    Setting(
        "spsl", "spsl", 20_811_338, 20_811_338, "DeepfakeBench 8a4a7bf, spsl.yaml: Xception with 4 channels",
        convolutional=True,
    ),
    Setting(
        "clip_lora", "clip_lora", 405_504, None,
        "CLIP-LoRA: r2 on q, k, v of both towers, dropout .25, AdamW 2e-4, wd .01",
    ),
    Setting("univfd", "univfd", 769, None, "UnivFD 76a0e3e: frozen CLIP, BCE, AdamW 1e-4"),
    Setting(
        "gend_pe", "gend", None, None, "GenD e03532d on timm's vit_pe_core_large_patch14_336 at 224",
        {"backbone": "timm:vit_pe_core_large_patch14_336@224"}, toy={"backbone": "timm:tiny"},
    ),
    Setting(
        "gend_dinov3", "gend", None, 303_081_474, "GenD e03532d on timm's vit_large_patch16_dinov3",
        {"backbone": "timm:vit_large_patch16_dinov3@224"}, toy={"backbone": "timm:tiny"},
    ),
    Setting(
        "tall", "tall", None, None,
        "TALL4Deepfake 96d28d1: Swin-B, clips of 4 frames, CE smoothed by .1, AdamW 1.5e-5, fp32; images are clips",
    ),
    Setting(
        "forensics_adapter", "forensics_adapter", None, None,
        "ForensicsAdapter a4cc94f: an adapter beside frozen CLIP, run twice; boundary and patches by masks, Adam 2e-4",
    ),
)  # fmt: skip
"""In the order of their worth, should time be short. Of what DETECTORS.md specifies RECCE and AIDE are not here."""

PRECISIONS = ("bf16", "fp32")
COMPILED = ("gend", "effort", "sbi", "xception")
SECONDS = 1.0
"""That a row's steps are timed for."""
_LEAST, _COMPILE = 5.0, 45.0
MOST_S = 20.0
"""That a row may take; one that is compiled: all that is left."""
_TRIED = 1
"""At toy size so many settings are tried in bf16, and compiled: a CPU is slow at it, and those ways differ by a flag."""


def run(context: Context) -> None:
    """Every setting under bf16 autocast, then in float32 (no TF32), then, where time is left, compiled."""
    try:
        import torch

        from benchmarks.gpu import clock
    except ImportError as error:
        raise missing(error) from error
    clock.exact_float32()
    torch.manual_seed(0)
    context.note("peak", peak := clock.bf16_peak(context.device, toy=context.toy))
    context.note("settings", {each.name: {"detector": each.detector, "source": each.source} for each in SETTINGS})
    done = Counted({}, peak["flops_per_s"])
    for half in PRECISIONS[::-1] if context.toy else PRECISIONS:
        for setting in SETTINGS[: _TRIED if context.toy and half == "bf16" else None]:
            name, measure = f"{setting.name} {half}", partial(_measured, context, setting, half, done)
            _noted(context, name, _LEAST, measure, most=None if context.toy else MOST_S)
    for setting in [each for each in SETTINGS if each.name in COMPILED][: _TRIED if context.toy else None]:
        compiled = partial(_measured, context, setting, "bf16", done, compiled=True)
        _noted(context, f"{setting.name} bf16 compiled", _COMPILE, compiled)


@dataclass(frozen=True)
class Counted:
    """What is found once for a setting, operations as (of a step, of an image); and the card's peak."""

    flops: dict[str, tuple[float, float]]
    peak: float


class Late(Exception):
    """A row took too long."""


@contextmanager
def _limited(seconds: float | None) -> Iterator[None]:
    """Raises Late after so many seconds, as soon as Python has its turn."""

    def ring(*_: object) -> None:
        raise Late(f"not done in {seconds:g} s")

    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _noted(
    context: Context, name: str, least: float, measure: Callable[[], dict[str, Any]], most: float | None = None
) -> None:
    """Note what is measured; or that there is no time, or what went wrong: one row never costs the others. `most`: the
    seconds that it may take."""
    if context.left < least and not context.toy:
        context.note(name, {"skipped": f"{context.left:.0f} s left, which is less than {least:.0f}"})
        return
    try:
        with _limited(most):
            found = measure()
    except Late as error:
        found = {"skipped": str(error)}
    except Exception as error:  # of a stranger's library: this row's, and told
        why = f"{type(error).__name__}: {error}"[:300]
        found = {"skipped": why} if isinstance(error, ImportError) else {"right": False, "failed": why}
    context.note(name, found)


def _measured(context: Context, setting: Setting, half: str, done: Counted, *, compiled: bool = False) -> dict[str, Any]:
    import torch

    from benchmarks.gpu import clock

    clock.free()
    with torch.device(context.device):
        step = made(setting, toy=context.toy)
    if setting.convolutional:
        step.network.to(memory_format=torch.channels_last)
    timed = step
    if compiled:
        features = torch.compile(step.network.features, backend="aot_eager" if context.toy else "inductor")
        timed = replace(step, features=features)
    batch = min(step.batch, 2) if context.toy else step.batch
    (size, times, first), refused = clock.fitting(batch, partial(_timed, context, setting, timed, half == "bf16"))
    memory = clock.memory(context.device)
    if setting.name not in done.flops:
        done.flops[setting.name] = counted(context, setting, step)
    fixed, each = done.flops[setting.name]
    ms, work = statistics.median(times), fixed + each * size
    sound = setting.trained in (None, step.trained) and setting.total in (None, step.total)
    return {
        "right": math.isfinite(first) and (context.toy or sound), "trained": step.trained, "total": step.total,
        "side": step.network.input.side, "frames": step.network.input.frames,
        "first_loss": first if math.isfinite(first) else None,
        "batch": size, "too_large": refused, "steps": len(times), "images": size * len(times), "ms_per_step": round(ms, 3),
        "ms_from_to": [round(min(times), 3), round(max(times), 3)], "images_per_s": round(size / ms * 1e3, 1),
        "flops_per_step": work, "flops_per_s": work / ms * 1e3, "share_of_bf16_peak": round(work / ms * 1e3 / done.peak, 4),
        "memory_bytes": memory,
    }  # fmt: skip


def _timed(context: Context, setting: Setting, step: Any, half: bool, batch: int) -> tuple[int, list[float], float]:
    """The batch, milliseconds of each step, and the first loss: a random network on one batch may go anywhere from there."""
    from benchmarks.gpu import clock

    step.optimiser.zero_grad(set_to_none=True)  # where a larger batch broke off
    rows = given(context, setting, step, batch)
    losses: list[Any] = []

    def lap() -> None:
        losses.append(step(rows, half=half))

    seconds = 0.05 if context.toy else min(SECONDS, max(0.2, context.left / 4))
    times = clock.laps(lap, context.device, seconds, warm=1 if context.toy else 2)
    return batch, times, float(losses[0])


def counted(context: Context, setting: Setting, step: Any) -> tuple[float, float]:
    """Floating-point operations of a step, and of each image in it: counted at two and at four images."""
    from benchmarks.gpu import clock

    few, more = (clock.flops(partial(step, given(context, setting, step, count), half=False)) for count in (2, 4))
    return 2 * few - more, (more - few) / 2


def made(setting: Setting, *, toy: bool) -> Any:
    """Its step, on torch's default device; the preset tiny at toy size."""
    from benchmarks.gpu import steps

    if toy:
        return steps.made(setting.detector, "tiny", setting.toy, {}, twice=setting.twice)
    return steps.made(setting.detector, "paper", setting.options, setting.settings, twice=setting.twice)


def given(context: Context, setting: Setting, step: Any, batch: int) -> dict[str, Any]:
    """Rows for a step, on the device."""
    from benchmarks.gpu import steps

    return steps.given(step.network, batch, context.device, channels_last=setting.convolutional)
