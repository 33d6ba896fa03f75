"""What a run is asked for: a preset of a detector and words laid over it, checked before any data is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mmidd.errors import PluginError, UsageError
from mmidd.runs.detector import Detector, DetectorOptions
from mmidd.runs.settings import Settings

Words = Sequence[str] | Mapping[str, Any]


def options_of(detector: Detector, name: str, preset: str, words: Words = ()) -> tuple[DetectorOptions, Settings]:
    """The detector's options and the settings of a preset, with `key=value` words laid over it: a key of either. `epochs`
    without `steps` takes the place of a preset's steps.

    Raises UsageError that tells every unknown key, with the nearest known one, and every value of another kind.
    """
    if preset not in detector.presets:
        raise UsageError(f"preset {preset!r}: {name} has {', '.join(detector.presets)}")
    chosen = detector.presets[preset]
    parts: dict[type[BaseModel], dict[str, Any]] = {detector.options: {**chosen.options}, Settings: {**chosen.settings}}
    if both := detector.options.model_fields.keys() & Settings.model_fields.keys():
        raise PluginError(f"the detector {name} has options that are called as settings: {', '.join(sorted(both))}")
    faults = list[str]()
    pairs = pairs_of(words, faults)
    keys = {key for key, _ in pairs}
    if "epochs" in keys and "steps" not in keys:
        parts[Settings]["steps"] = None
    for key, value in pairs:
        kind = next((each for each in parts if key in each.model_fields), None)
        if kind is None:
            faults.append(_unknown(key, [known for each in parts for known in each.model_fields]))
        else:
            parts[kind][key] = value
    made: dict[type[BaseModel], Any] = {}
    for kind, values in parts.items():
        try:
            made[kind] = kind.model_validate(values)
        except ValidationError as error:
            faults += [_told(each) for each in error.errors()]
    if faults:
        raise UsageError(f"{name}, preset {preset}: " + "; ".join(faults))
    return made[detector.options], made[Settings]


def pairs_of(words: Words, faults: list[str]) -> list[tuple[str, Any]]:
    """Keys with their values; words that are no pair go to `faults`."""
    if isinstance(words, Mapping):
        return [(str(key), value) for key, value in words.items()]
    found = []
    for word in [words] if isinstance(words, str) else words:
        key, equals, text = word.partition("=")
        if not equals or not key.strip():
            faults.append(f"--set {word}: write KEY=VALUE, such as lr=1e-4")
        else:
            found.append((key.strip(), _value(text)))
    return found


def _value(text: str) -> Any:
    """As YAML reads it; a number with an exponent and no point too, and what is no YAML as text."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # a date that is none is a ValueError
        return text


def _unknown(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, 1)
    return f"unknown key {key!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}")


def _told(error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}={repr(error['input'])[:80]}: {error['msg'][:1].lower()}{error['msg'][1:]}"
