"""The time of one GRPO step of a vision-language model of two billion random weights with LoRA, written plainly.

Rollouts by `generate`, random rewards, advantages within a group, log-probabilities of policy and reference (the adapter
switched off), the clipped loss with its KL term, backward, AdamW.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.gpu.context import Context, missing
from benchmarks.gpu.timing import synchronize

QUESTION = (
    "Look at the face in this picture. Is it a photograph as the camera saw it, or was it changed by a computer? "
    "Think about the light, the skin, the eyes, the mouth and the edges of the face, step by step, and then give an answer."
)
CLIP, KL, RATE, RANK = 0.2, 0.04, 1e-6, 16
TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


@dataclass(frozen=True)
class Size:
    """`prompts`, each with one image of `side` pixels, have `group` completions of `tokens` tokens; `micro` completions go
    through the network at once when they are scored and learnt from."""

    prompts: int
    group: int
    tokens: int
    side: int
    micro: int

    @property
    def count(self) -> int:
        return self.prompts * self.group


REAL, TOY = Size(4, 8, 128, 336, 8), Size(2, 4, 5, 64, 4)


def run(context: Context) -> None:
    """One step to warm up on few tokens, then up to two whole ones."""
    try:
        from benchmarks.gpu import clock

        size = TOY if context.toy else REAL
        policy = made(context)
    except ImportError as error:
        raise missing(error) from error
    clock.exact_float32()
    context.note("model", policy.told() | {"memory_bytes": clock.memory(context.device)})
    step(context, policy, Size(size.prompts, size.group, 4, size.side, size.micro))
    clock.free()
    context.note("step 1", first := step(context, policy, size))
    if context.left > 1.5 * first["seconds"]:
        clock.free()
        context.note("step 2", step(context, policy, size))


@dataclass(frozen=True)
class Policy:
    """A model with an adapter, what prepares its inputs, and the optimiser of the adapter alone."""

    model: Any
    processor: Any
    optimiser: Any
    forbidden: list[int]

    def told(self) -> dict[str, int]:
        """Its parameters."""
        weights = list(self.model.parameters())
        trained = [each for each in weights if each.requires_grad]
        return {"parameters": sum(each.numel() for each in weights), "trained": sum(each.numel() for each in trained)}


def made(context: Context) -> Policy:
    """The model of real size with LoRA on its language part. Raises ImportError for a package that is missing."""
    import torch
    from peft import LoraConfig, get_peft_model

    from benchmarks.gpu import vlm

    torch.manual_seed(0)
    processor = vlm.processor(context.toy, [QUESTION])
    model = vlm.model(context.toy, processor.tokenizer, context.device)
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS))
    trained = [each for each in model.parameters() if each.requires_grad]
    forbidden = processor.tokenizer.convert_tokens_to_ids(list(vlm.SPECIAL))
    return Policy(model, processor, torch.optim.AdamW(trained, lr=RATE), forbidden)


def step(context: Context, policy: Policy, size: Size) -> dict[str, Any]:
    """One step, and what it took."""
    import torch

    from benchmarks.gpu import clock

    at = [time.perf_counter()]

    def lap() -> None:
        synchronize(context.device)
        at.append(time.perf_counter())

    given = asked(context, policy, size)
    prompt = given["input_ids"].shape[1]
    lap()
    with torch.inference_mode():
        whole = rollout(policy, given, size)
    whole = whole.clone()  # outside: what is learnt from must be no tensor of inference mode
    lap()
    gains = advantages(torch.rand(size.count, device=context.device), size.group)
    parts = [slice(start, start + size.micro) for start in range(0, size.count, size.micro)]
    with torch.no_grad():
        old = [scores(policy, given, whole, part, size) for part in parts]
        with policy.model.disable_adapter():
            reference = [scores(policy, given, whole, part, size) for part in parts]
    lap()
    loss = 0.0
    for part, before, fixed in zip(parts, old, reference, strict=True):
        each = objective(scores(policy, given, whole, part, size), before, fixed, gains[part]) / len(parts)
        each.backward()
        loss += float(each.detach())
    norm = float(torch.nn.utils.clip_grad_norm_([each for each in policy.model.parameters() if each.requires_grad], 1.0))
    policy.optimiser.step()
    policy.optimiser.zero_grad(set_to_none=True)
    lap()
    prepare, roll, score, update = (after - before for before, after in pairwise(at))
    tokens = size.count * size.tokens
    return {
        "right": math.isfinite(loss) and math.isfinite(norm) and norm > 0 and whole.shape[1] - prompt == size.tokens,
        "prompts": size.prompts, "group": size.group, "completions": size.count, "micro_batch": size.micro,
        "prompt_tokens": int(given["attention_mask"].sum()), "completion_tokens": tokens,
        "seconds": round(at[-1] - at[0], 3),
        "seconds_by_part": {
            "prepare": round(prepare, 3), "rollout": round(roll, 3), "score": round(score, 3), "update": round(update, 3),
        },
        "rollout_tokens_per_s": round(tokens / roll, 1), "tokens_per_s": round(tokens / (at[-1] - at[0]), 1),
        "loss": loss, "gradient_norm": norm, "memory_bytes": clock.memory(context.device),
    }  # fmt: skip


def asked(context: Context, policy: Policy, size: Size) -> Any:
    """The prompts' inputs on the device, as often as its group is large (the image is looked at as often, as in TRL)."""
    import numpy as np
    from PIL import Image

    draw, talks = np.random.default_rng(0), []
    for _ in range(size.prompts):
        image = Image.fromarray(draw.integers(0, 256, (size.side, size.side, 3), np.uint8))
        content = [{"type": "image", "image": image}, {"type": "text", "text": QUESTION}]
        talks += size.group * [[{"role": "user", "content": content}]]
    given = policy.processor.apply_chat_template(
        talks,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )
    return given.to(context.device, dtype=policy.model.dtype)


def rollout(policy: Policy, given: Any, size: Size) -> Any:
    """Prompts and sampled completions (count, prompt + tokens): never a special token, so that all are equally long."""
    return policy.model.generate(
        **given, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=size.tokens, max_new_tokens=size.tokens,
        suppress_tokens=policy.forbidden,
    )  # fmt: skip


def advantages(rewards: Any, group: int) -> Any:
    """How much better than its group each of the rewards (n,) is, in the group's standard deviations."""
    grouped = rewards.view(-1, group)
    spread = grouped.std(dim=1, keepdim=True, correction=0)
    return ((grouped - grouped.mean(dim=1, keepdim=True)) / (spread + 1e-4)).flatten()


def scores(policy: Policy, given: Any, whole: Any, part: slice, size: Size) -> Any:
    """The log-probability (n, tokens) float32 of each token that was sampled."""
    import torch

    ids, tokens = whole[part], size.tokens
    mask, kinds = given["attention_mask"][part], given["mm_token_type_ids"][part]
    patches = given["image_grid_thw"].prod(dim=1)
    first, last = (int(patches[: edge or 0].sum()) for edge in (part.start, part.stop))
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.cat([mask, mask.new_ones(len(ids), tokens)], dim=1),
        "mm_token_type_ids": torch.cat([kinds, kinds.new_zeros(len(ids), tokens)], dim=1),
        "pixel_values": given["pixel_values"][first:last],
        "image_grid_thw": given["image_grid_thw"][part],
    }
    logits = policy.model(**inputs, logits_to_keep=tokens + 1, use_cache=False).logits[:, :-1].float()
    chosen = logits.gather(2, ids[:, -tokens:, None])[..., 0]
    return chosen - logits.logsumexp(dim=2)


def objective(now: Any, old: Any, reference: Any, gains: Any) -> Any:
    """GRPO's loss of log-probabilities (n, tokens) and advantages (n,): clipped, with the KL term to the reference."""
    import torch

    ratio, gain = torch.exp(now - old), gains[:, None]
    better = torch.minimum(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain)
    far = torch.exp(reference - now) - (reference - now) - 1
    return (KL * far - better).mean()
