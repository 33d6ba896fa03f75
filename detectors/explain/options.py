"""Options that all explaining detectors share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from mmidd.runs.detector import DetectorOptions

from ..backbones import Held, Weights

Stage = Literal["align", "reinforce"]
Weight = Annotated[float, Field(ge=0, le=100)]


class ExplainOptions(DetectorOptions):
    backbone: str = "Qwen/Qwen2.5-VL-7B-Instruct"
    """A vision-language model of transformers, by its name on the Hub or as a folder; `tiny` is a random one"""
    weights: Weights = "pretrained"
    """random: the same network freshly initialised"""
    held: Held = "bf16"
    """what its frozen weights are held in; adapters are float32"""
    side: int | None = Field(
        None, ge=28, le=1344, description="pixels of what it sees; null: what the specialist sees, or 224"
    )
    specialist: str | None = None
    """RUN of a detector that is kept frozen and whose features the model is shown; null: none"""
    soft_tokens: int = Field(4, ge=1, le=64, description="tokens that the specialist's features become")
    lora_rank: int = Field(64, ge=1, le=1024, description="of the adapters in all linear layers of the language model")
    lora_alpha: float = Field(128, gt=0, description="adapters count alpha / rank times")
    words: tuple[str, str] = ("real", "fake")
    """what it may answer, the first for real; one token each"""
    question: str | None = Field(None, max_length=4000, description="what it is asked, in place of our words")
    stage: Stage = "align"
    """align: the answer from labels, and the form of replies; reinforce: GRPO, from a run of align"""
    start: str | None = None
    """RUN that stage reinforce starts from; null: from the backbone as it is"""
    format_share: float = Field(0.2, ge=0, le=1, description="align: rows that teach the form of a reply as well")
    least_format: float = Field(0.2, ge=0, le=1, description="reinforce is refused where fewer replies have the form")
    probe: int = Field(32, ge=1, le=4096, description="replies that this is looked at in")
    samples: int = Field(8, ge=2, le=256, description="replies of a row, compared with each other (G)")
    reply_tokens: int = Field(256, ge=4, le=4096, description="a reply's length, at most")
    temperature: float = Field(1.0, ge=0.01, le=5, description="of sampled replies; what is scored is the likeliest one")
    beta: float = Field(0.0, ge=0, le=10, description="weight of the distance to the network that stage 2 started from (KL)")
    normalise: Literal["sequence", "constant"] = "sequence"
    """tokens of a reply count 1 / its length, or 1 / reply_tokens"""
    rewards: Mapping[str, Weight] = Field(
        {"class": 1.0, "format": 0.5}, description="what a reply is rewarded for, and how much (docs/rewards.md)"
    )
    judge_url: str | None = Field(None, description="of the OpenAI-compatible server that reward `judge` asks, up to /v1")
    judge_model: str | None = Field(None, description="the model that it asks for there")

    @field_validator("words")
    @classmethod
    def _differ(cls, words: tuple[str, str]) -> tuple[str, str]:
        if len({each.strip().casefold() for each in words}) < 2 or not all(each.isalpha() for each in words):
            raise ValueError("two different words of letters")
        return words
