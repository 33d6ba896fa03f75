"""How a detector is trained: everything of a run that is not the detector's own, checked before any data is read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Optimiser = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "cycles", "steps"]
Order = Literal["shuffle", "balanced", "pairs", "self-blended"]
Contrast = Literal["micro", "whole"]


class Settings(BaseModel):
    """`batch` rows (or clips) make one optimiser's step, over all ranks; each rank computes its part `micro` rows at a time
    (None: all at once). With `contrast` micro, terms that compare rows see the rows of one part alone, whatever `batch` is;
    with whole, all rows of the batch (GradCache: features are computed twice)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(10, ge=1)
    steps: int | None = Field(None, ge=1, description="stop after so many steps; takes the place of epochs")
    batch: int = Field(32, ge=1)
    micro: int | None = Field(None, ge=1)
    contrast: Contrast = "micro"
    optimiser: Optimiser = "adamw"
    lr: float = Field(1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float | None = Field(None, gt=0)
    schedule: Schedule = "constant"
    min_lr: float = Field(0.0, ge=0)
    warmup: float = Field(0.0, ge=0, description="epochs in which the rate rises from min_lr, before the schedule")
    cycle: float = Field(10.0, gt=0, description="epochs of a cosine cycle (cycles)")
    step_every: int = Field(1000, ge=1, description="steps after which the rate is multiplied by step_gamma (steps)")
    step_gamma: float = Field(0.5, gt=0, le=1)
    precision: Literal["float32", "bf16"] = "bf16"
    checkpointing: bool = False
    augment: str = Field("none", description="a preset of training.augment")
    order: Order = "shuffle"
    frames: int | None = Field(None, ge=1, description="frames of each clip an epoch; None: all")
    validate_every: float = Field(1.0, gt=0, description="epochs")
    validation_frames: int | None = Field(32, ge=1, description="frames of each clip that are scored; None: all")
    select: Literal["video_auroc", "frame_auroc", "loss"] = "video_auroc"
    patience: int | None = Field(None, ge=1, description="stop after so many validations that are no better; None: never")
    save_every: int = Field(1000, ge=1, description="steps between checkpoints; one is made after each validation too")
