"""What a run folder's JSON holds, read back: documents, and the lines of a seed's curves."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmidd.errors import RunError, WorkError, reason

RUN, METRICS, RESULT = "run.json", "metrics.jsonl", "result.json"
_MOST_BYTES = 256 << 20


def number(value: Any) -> Any:
    """A JSON value as every reader takes it: what is no finite number is null, keys are texts."""
    if isinstance(value, Mapping):
        return {str(key): number(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [number(each) for each in value]
    return None if isinstance(value, int | float) and not _is_finite(value) else value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """A document, None where there is none. Raises RunError for one that is damaged, WorkError where reading fails."""
    data = _bytes(path)
    if data is None:
        return None
    try:
        found = number(json.loads(data))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RunError(f"{path} is damaged (it is no JSON object): get a copy of it, or train into another folder")
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a seed's `metrics.jsonl`, without one that a killed process left torn."""
    found = []
    for line in (_bytes(path) or b"").splitlines():
        try:
            told = number(json.loads(line))
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict) and type(told.get("step")) is int and isinstance(told.get("kind"), str):
            found.append(told)
    return found


def seeds_of(run: Path) -> list[Path]:
    """The folders of a run's seeds, by number. Raises WorkError where the run cannot be read."""
    try:
        found = [path for path in run.iterdir() if re.fullmatch(r"seed-\d{1,10}", path.name) and path.is_dir()]
    except OSError as error:
        raise WorkError(f"cannot read {run}: {reason(error) or os.strerror(error.errno or 0)}") from error
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _bytes(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkError(f"cannot read {path}: {reason(error) or os.strerror(error.errno or 0)}") from error
    if len(data) > _MOST_BYTES:
        raise RunError(f"{path} is damaged: it has more than {_MOST_BYTES >> 20} MiB")
    return data
