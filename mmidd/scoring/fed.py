"""How a model that is no run is fed and read, as its user tells: FILE.json beside an ONNX file, `--set key=value`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mmidd.errors import ScoreError, UsageError
from mmidd.runs.asked import Words, pairs_of
from mmidd.training.images import Fit

Output = Literal["probability", "logit", "probabilities", "logits", "types", "type_logits"]
_MOST_BYTES = 1 << 20


class Fed(BaseModel):
    """What all are told."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fit: Fit = Field("crop", description="how images that are no squares become some")


class FedPython(Fed):
    """Of a Python function: it gets bytes, and tells shares of one."""

    side: int = Field(224, ge=8, le=4096, description="pixels of the square images")


class FedOnnx(Fed):
    """Of an ONNX file: it gets (x / 255 - mean) / std, and whole bytes where its input is uint8."""

    side: int | None = Field(None, ge=8, le=4096, description="needed where the file leaves it open")
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    colours: Literal["rgb", "bgr"] = "rgb"
    output: Output | None = Field(None, description="what it gives: it has to be told")
    output_name: str | None = Field(None, description="which of several outputs")
    fake: Literal[0, 1] = Field(1, description="which of two classes is fake")

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _three(cls, value: Any) -> Any:
        return [value] * 3 if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("std")
    @classmethod
    def _over_nothing(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) <= 0:
            raise ValueError("it divides: over 0")
        return value


Kind = TypeVar("Kind", bound=Fed)


def fed_by(kind: type[Kind], words: Words, beside: Path | None = None) -> Kind:
    """What the file beside the model and the words over it say. Raises UsageError and ScoreError."""
    values = _file(beside) if beside is not None and beside.exists() else {}
    faults: list[str] = []
    values |= dict(pairs_of(words, faults))
    try:
        found = kind.model_validate(values)
    except ValidationError as error:
        faults += [_told(each, kind) for each in error.errors()]
    if faults:
        raise UsageError("--set (and the JSON beside the model): " + "; ".join(faults))
    return found


def _file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        found = json.loads(data) if len(data) <= _MOST_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise ScoreError(f"{path} is no JSON ({type(error).__name__}): how the model is fed is told there") from error
    if not isinstance(found, dict):
        raise ScoreError(f"{path} is no JSON object of at most a MiB: how the model is fed is told there")
    return found


def _told(error: Mapping[str, Any] | Any, kind: type[Fed]) -> str:
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"unknown key {place!r}; known: {', '.join(kind.model_fields)}"
    return f"{place}={repr(error['input'])[:80]}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def document(fed: Fed) -> dict[str, Any]:
    """JSON, all values told."""
    return fed.model_dump(mode="json")
