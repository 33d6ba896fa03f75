"""`rft-fas`: a vision-language model that tells live faces from presentation attacks, and says why; stage 2 on TRL.

Source: arXiv 2506.21895 ("Exploring Task-Solving Paradigm for Generalized Cross-Domain Face Anti-Spoofing via Reinforcement
Fine-Tuning"), of which the abstract alone was read: class-consistent and reasoning-consistent rewards, GRPO, no annotated
texts. What either reward computes, the base model, rates, G and KL are not known: ours is a reading of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from mmidd.runs.detector import Detector, Preset

from .dual import ALIGN, RL, SMALL, TINY, TINY_SETTINGS
from .network import Explaining
from .options import ExplainOptions, Weight
from .trl_loop import trainer

_QUESTION = (
    "Look at this picture of a face. Is it live, a person in front of the camera, or spoof, a presentation attack: a "
    "printed photo, a screen that replays one, a mask, or make-up that makes somebody another? First give your reasons: "
    "what can be seen that speaks for or against it (texture, reflections, edges, colours, depth), and where. Say nothing "
    "of who the person is. Then answer. Reply in this form: <think>your reasons</think><answer>live or spoof</answer>"
)
_TINY = {**TINY, "question": "Look at the face. Is it live or spoof?", "temperature": 0.6, "reply_tokens": 48}
_SETTINGS = {**TINY_SETTINGS, "steps": 65}


class RftFasOptions(ExplainOptions):
    specialist: Literal[None] = None
    """none: TRL cannot hand its features on"""
    words: tuple[str, str] = ("live", "spoof")
    """what it may answer, the first for live; one token each"""
    question: str | None = Field(_QUESTION, max_length=4000, description="what it is asked; null: the words of `explain`")
    rewards: Mapping[str, Weight] = Field(
        {"class": 1.0, "consistent-lexicon": 0.5, "format": 0.5},
        description="what a reply is rewarded for, and how much (docs/rewards.md)",
    )
    vllm: bool = False
    """replies of stage reinforce are sampled by vLLM, in the training's own process and on its GPU"""


class RftFas(Explaining):
    def stored(self) -> tuple[str, ...]:
        """Without TRL's copy of the adapters, from which it takes the distance to the start: `reference` has them."""
        return tuple(name for name in super().stored() if ".ref." not in name)


DETECTOR = Detector(
    title="Face anti-spoofing by reinforcement fine-tuning of a vision-language model",
    paper="arXiv 2506.21895 (2025)",
    code="not published",
    code_licence="Apache-2.0 (this file)",
    backbone="Qwen2.5-VL-7B-Instruct",
    backbone_licence="Apache-2.0",
    options=RftFasOptions,
    build=RftFas,
    presets={
        "paper": Preset({}, ALIGN),
        "small": Preset(SMALL, ALIGN),
        "tiny": Preset(_TINY, _SETTINGS),
        "paper-rl": Preset({"stage": "reinforce"}, RL),
        "small-rl": Preset({**SMALL, "stage": "reinforce"}, RL),
        "tiny-rl": Preset(
            {**_TINY, "stage": "reinforce", "least_format": 0.1},
            {**_SETTINGS, "batch": 8, "steps": 40, "lr": 1.5e-3, "order": "balanced"},
        ),
    },
    open_questions=(
        "the class-consistent and the reasoning-consistent reward: ours are `class` (the answer is the label) and "
        "`consistent-lexicon` (the words of the chain speak for the answer); consistent-rule, consistent-self and judge are "
        "other readings",
        "the base model, whether it is aligned before, LoRA or all weights, rates, G, KL, the weights of the rewards: "
        "options, ours by default",
        "the question that is asked, and what it names of attacks: ours",
    ),
    trainer=trainer,
)
