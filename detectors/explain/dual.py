"""`explain`: a frozen specialist and a vision-language model, which explains and then classifies; GRPO from labels alone.

Sources: arXiv 2605.31192 ("The Regularizing Power of Language-Training Deepfake Detectors"; its second version has another
title), of which abstract and reviews alone were read: the specialist, ranks, weights, G, KL and rates are not known, and are
options here. Soft tokens at a special token: as M2F2-Det has them, written anew.
"""

from __future__ import annotations

from mmidd.runs.detector import Detector, Preset

from .network import Explaining
from .options import ExplainOptions

ALIGN = {"optimiser": "adamw", "lr": 1e-4, "epochs": 1, "batch": 32, "micro": 8, "clip_norm": 1.0, "checkpointing": True}
RL = {**ALIGN, "lr": 1e-6, "batch": 64, "micro": 4}
TINY = {
    "backbone": "tiny", "weights": "random", "held": "float32", "side": 56, "lora_rank": 16, "lora_alpha": 32,
    "soft_tokens": 2, "reply_tokens": 40, "format_share": 0.5, "temperature": 0.7,
    "question": "Look at the face. Is it real or fake? Give your reasons first, then the answer, in this form:",
}  # fmt: skip
TINY_SETTINGS = {
    "precision": "float32", "batch": 16, "steps": 160, "lr": 5e-3, "clip_norm": 1.0, "validate_every": 1000,
}  # fmt: skip
"""Validated at the end alone, as in one epoch: the best by its AUROC would be one from before a reply's form is learnt."""
SMALL = {"backbone": "Qwen/Qwen2.5-VL-3B-Instruct", "lora_rank": 16, "lora_alpha": 32}

DETECTOR = Detector(
    title="A frozen specialist and a vision-language model that explains, then classifies",
    paper="arXiv 2605.31192 (2026)",
    code="not published",
    code_licence="Apache-2.0 (this file)",
    backbone="Qwen2.5-VL-7B-Instruct",
    backbone_licence="Apache-2.0",
    options=ExplainOptions,
    build=Explaining,
    presets={
        "paper": Preset({}, ALIGN),
        "small": Preset(SMALL, ALIGN),
        "tiny": Preset(TINY, TINY_SETTINGS),
        "paper-rl": Preset({"stage": "reinforce"}, RL),
        "small-rl": Preset({**SMALL, "stage": "reinforce"}, RL),
        "tiny-rl": Preset(
            {**TINY, "stage": "reinforce", "temperature": 0.6, "least_format": 0.1},
            {**TINY_SETTINGS, "batch": 8, "steps": 40, "lr": 1.5e-3},  # with 3e-3 one seed in three runs away
        ),
    },
    open_questions=(
        "which specialist, and where its features go: any detector of ours, as soft tokens before the question",
        "LoRA's rank, rates, G, the distance to the start (beta), the weights of the rewards: options, ours by default",
    ),
)
