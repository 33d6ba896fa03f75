"""Captions a second of the captioner `transformers`, with a checkpoint of real size that is made on the spot.

Its weights are random, so its replies are nonsense, of a length that the checkpoint forces; each is asked for once more, as
of any model whose reply is of no use. So what counts are replies: a model that can describe gives a caption with one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.gpu.context import Context, Skipped, missing
from benchmarks.gpu.timing import synchronize

BATCHES = (32, 128, 8)
TOKENS = 90
"""Of a reply: what mmidd assumes of one (TYPICAL_COMPLETION_TOKENS)."""
STEPS = 4, 16, 64
"""Tokens of the replies whose differences are the time of a token, early and late."""
_ROUNDS, _LEAST = 3, 8.0


def run(context: Context) -> None:
    """Make the checkpoint, load it as mmidd does, and describe faces in batches of 32, 128 and eight (mmidd's default)."""
    try:
        from mmidd.captions import prompts
        from mmidd.captions.vision import Ask, Vision
        from mmidd.errors import MissingExtra

        prompt = prompts.load(prompts.DEFAULT)
        model = _loaded(context, (prompt.both, prompt.alone, prompt.again))
    except ImportError as error:
        raise missing(error) from error
    except MissingExtra as error:
        raise Skipped(str(error)) from error
    captioner = Vision(model, prompt, {}, None, batch=max(BATCHES))
    asks = [Ask((each.crop, each.context), prompt.both) for each in requests(2 if context.toy else 8)]
    context.note("token", a_token(context, model, asks))
    pace = _prepared(context, model, prompt.both)
    last = 0.0
    for batch in BATCHES:
        before = context.left
        _described(context, captioner, batch, pace, max(_LEAST, 1.3 * last))
        last = before - context.left
    if context.device == "cuda":  # last, for launches stay slower once a profiler has seen them
        with context.trying("token_on_device"):
            context.note("token_on_device", on_device(context, model, asks))
    captioner.close()


def _loaded(context: Context, texts: tuple[str, ...]) -> Any:
    """The product's own model, of a checkpoint whose replies have all the same length."""
    from benchmarks.gpu import clock, vlm
    from mmidd.captions import checkpoint
    from mmidd.captions.local import LocalModel

    folder, took = context.scratch / "model", dict[str, float]()
    with _timed(took, "make"):
        processor = vlm.processor(context.toy, texts)
        made = vlm.model(context.toy, processor.tokenizer, context.device)
    parameters = sum(each.numel() for each in made.parameters())
    made.generation_config.min_new_tokens = length(context)
    with _timed(took, "save"):
        size = vlm.save(made, processor, folder)
    del made
    clock.free()
    with _timed(took, "digest"):
        found = checkpoint.find(str(folder), None)
    with _timed(took, "load"):
        model = LocalModel(found, dtype="auto", device=context.device, batch=max(BATCHES), max_tokens=length(context))
        synchronize(context.device)
    memory = clock.memory(context.device)
    context.note("checkpoint", {"parameters": parameters, "bytes": size, "seconds": took, "memory_bytes": memory})
    return model


def length(context: Context) -> int:
    """Tokens of a reply."""
    return 6 if context.toy else TOKENS


def requests(count: int) -> list[Any]:
    """So many requests as extraction gives them: a face crop of 256 pixels and the frame around it, of random colours."""
    import numpy as np

    from mmidd.captions.protocol import CaptionRequest

    draw, points = (
        np.random.default_rng(count),
        np.array([[87, 118], [169, 118], [128, 166], [95, 210], [161, 210]], np.float32),
    )
    found = []
    for _ in range(count):
        crop, frame = (draw.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((256, 256), (189, 336)))
        found.append(CaptionRequest(crop, frame, points, np.array([800, 300, 1000, 520], np.float32), (1920, 1080)))
    return found


def _prepared(context: Context, model: Any, text: str) -> float:
    """Note how long the host prepares eight requests, while the device waits; the seconds of one."""
    from mmidd.captions.vision import Ask

    asks, took = [Ask((each.crop, each.context), text) for each in requests(8)], []
    for _ in range(1 if context.toy else 4):
        began = time.perf_counter()
        given = model.inputs(asks)
        took.append(time.perf_counter() - began)
    images, tokens = given["image_grid_thw"].shape[0], int(given["attention_mask"].sum())
    seconds = statistics.median(took)
    context.note(
        "prepare", {"requests": len(asks), "images": images, "prompt_tokens": tokens, "times": len(took), "seconds": seconds}
    )
    return seconds / len(asks)


def a_token(context: Context, model: Any, asks: Any) -> dict[str, Any]:
    """The wall time of one token of a batch of replies, the prompt apart: early in them, and late."""
    given, (few, more, most) = model.inputs(asks), (2, 4, 6) if context.toy else STEPS
    _generated(context, model, given, few)
    took = [
        statistics.median(_generated(context, model, given, tokens) for _ in range(1 if context.toy else 3))
        for tokens in (few, more)
    ]
    early = (took[1] - took[0]) / (more - few)
    late = (_generated(context, model, given, most) - took[1]) / (most - more)
    first = took[0] - (few - 1) * early
    return {"requests": len(asks), "prompt_and_first_s": first, "wall_ms": early * 1e3, "late_wall_ms": late * 1e3}


def on_device(context: Context, model: Any, asks: Any) -> dict[str, Any]:
    """How long and how often the device computes for one such token. Where that is far from its wall time, the device waits
    for the host, which says what it is to do."""
    from torch.profiler import ProfilerActivity, profile

    given, (few, more, _), seen = model.inputs(asks), STEPS, list[tuple[float, int]]()
    for tokens in (few, more):
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            _generated(context, model, given, tokens)
        kernels = [each for each in profiled.key_averages() if str(each.device_type).endswith("CUDA")]
        seen.append((sum(each.self_device_time_total for each in kernels) / 1e3, sum(each.count for each in kernels)))
    (less, times), (much, often) = seen
    return {"requests": len(asks), "ms": (much - less) / (more - few), "kernels": (often - times) / (more - few)}


def _generated(context: Context, model: Any, given: Any, tokens: int) -> float:
    """Seconds for replies of so many tokens."""
    import torch

    began = time.perf_counter()
    with torch.inference_mode():
        model._model.generate(**given, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens)
    synchronize(context.device)
    return time.perf_counter() - began


def _described(context: Context, captioner: Any, batch: int, prepare: float, least: float) -> None:
    """Note replies and tokens a second of batches of one size, over up to three rounds, where `least` seconds are left."""
    from benchmarks.gpu import clock

    if context.left < least and not context.toy:
        context.note(f"batch {batch}", {"skipped": f"{context.left:.0f} s left, which is less than {least:.0f}"})
        return
    asked, took, given = requests(batch), list[float](), list[Any]()
    clock.free()
    while len(took) < _ROUNDS and (not took or context.left > len(BATCHES) * 1.3 * took[-1]):
        began = time.perf_counter()
        given += captioner.caption(asked)
        took.append(time.perf_counter() - began)
        if context.toy:
            break
    replies, tokens = (sum(getattr(each.asked, name) for each in given) for name in ("replies", "completion_tokens"))
    seconds = sum(took)
    context.note(
        f"batch {batch}",
        {
            "right": tokens == replies * length(context), "rounds": len(took), "requests": len(given), "replies": replies,
            "prompt_tokens": sum(each.asked.prompt_tokens for each in given), "completion_tokens": tokens,
            "seconds": [round(each, 3) for each in took], "replies_per_s": round(replies / seconds, 3),
            "completion_tokens_per_s": round(tokens / seconds, 1), "memory_bytes": clock.memory(context.device),
            "share_of_preparing": round(prepare * replies / seconds, 4),
        },
    )  # fmt: skip


@contextmanager
def _timed(took: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took[name] = round(time.perf_counter() - began, 2)
