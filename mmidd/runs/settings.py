"""How a detector is trained: everything of a run that is not the detector's own, checked before any data is read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Optimiser = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "cycles", "steps"]
Order = Literal["shuffle", "balanced", "pairs", "self-blended"]
Contrast = Literal["micro", "whole"]
Beta = Annotated[float, Field(ge=0, lt=1)]
_MOST = 1e9
"""Epochs, at most: their steps are whole numbers that can be counted."""


class Settings(BaseModel):
    """`batch` rows (or clips) make one optimiser's step, over all ranks; each rank computes its part `micro` rows at a time
    (None: all at once). With `contrast` micro, terms that compare rows see the rows of one part alone, whatever `batch` is;
    with whole, all rows of the batch (GradCache: features are computed twice)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(10, ge=1, description="how often all rows are seen")
    steps: int | None = Field(None, ge=1, description="stop after so many steps; takes the place of epochs")
    batch: int = Field(32, ge=1, description="rows (or clips) of a step, over all GPUs")
    micro: int | None = Field(None, ge=1, description="rows that are computed at once; null: all of a GPU's share")
    contrast: Contrast = Field("micro", description="terms that compare rows see a part, or the whole batch")
    optimiser: Optimiser = Field("adamw", description="adam has L2 in the gradient, adamw decays weights")
    lr: float = Field(1e-4, gt=0, description="the highest learning rate")
    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="of adam and adamw")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(0.0, ge=0, description="of everything that is trained")
    clip_norm: float | None = Field(None, gt=0, description="gradients are scaled down to this norm; null: never")
    schedule: Schedule = Field("constant", description="of the rate, by step")
    min_lr: float = Field(0.0, ge=0, description="where a cosine ends, and the warm-up begins")
    warmup: float = Field(0.0, ge=0, le=_MOST, description="epochs in which the rate rises from min_lr, before the schedule")
    cycle: float = Field(10.0, gt=0, le=_MOST, description="epochs of a cosine cycle (cycles)")
    step_every: int = Field(1000, ge=1, description="steps after which the rate is multiplied by step_gamma (steps)")
    step_gamma: float = Field(0.5, gt=0, le=1, description="see step_every")
    precision: Literal["float32", "bf16"] = Field("bf16", description="of features; losses are float32")
    checkpointing: bool = Field(False, description="compute activations again instead of holding them")
    augment: str = Field("none", description="a preset of training.augment")
    order: Order = Field("shuffle", description="which rows make a batch (docs/training.md)")
    frames: int | None = Field(None, ge=1, description="frames of each clip an epoch; null: all")
    validate_every: float = Field(1.0, gt=0, le=_MOST, description="epochs between validations")
    validation_frames: int | None = Field(32, ge=1, description="frames of each clip that are scored; null: all")
    select: Literal["video_auroc", "frame_auroc", "loss"] = Field("video_auroc", description="what the best is chosen by")
    patience: int | None = Field(None, ge=1, description="stop after so many validations that are no better; null: never")
    save_every: int = Field(1000, ge=1, description="steps between checkpoints; one is made after each validation too")

    @field_validator("min_lr")
    @classmethod
    def _is_low(cls, value: float, info: ValidationInfo) -> float:
        high = info.data.get("lr", value)
        if value > high:
            raise ValueError(f"it is over lr={high:g}")
        return value
