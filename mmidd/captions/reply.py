"""A model's reply to the two texts of a caption: strict JSON where it is, tolerant where it is not, never executed."""

from __future__ import annotations

import json
import re
from typing import Any

from mmidd.captions.protocol import CUT_OFF, EMPTY, NOT_JSON, REFUSAL

FIELDS = ("face", "environment")
LONGEST = 20_000
"""Characters of a reply that are looked at; no caption is as long."""

_DO = "(?:assist|help|identify|describe|provide|comply|see|determine|view|process|fulfil+)"
_REFUSALS = re.compile(
    rf"\b(?:i(?:'m| am) (?:sorry|unable|not able)|(?:sorry|unfortunately),|i (?:cannot|can't|won't|do not|don't) {_DO}"
    rf"|as an? (?:ai|language model)|(?:cannot|can't) (?:{_DO}|be (?:described|determined|identified))|unable to {_DO}"
    r"|against (?:my|the) (?:guidelines|policy))",
    re.IGNORECASE,
)


def read(text: str, finish: str | None) -> tuple[str, str] | str:
    """The face's and the environment's text of a reply, or the status that says why there are none.

    `finish` is the server's finish reason: an unfinished reply that ended with "length" was cut off.
    """
    text = _after_thinking(text[:LONGEST].replace("’", "'"))
    if not text:
        return CUT_OFF if finish == "length" else EMPTY
    found = _object(text)
    if found is None:
        return CUT_OFF if finish == "length" else REFUSAL if refuses(text) else NOT_JSON
    fields = {str(key).strip().casefold(): value for key, value in found.items()}
    values = [fields.get(name) for name in FIELDS]
    if any(not isinstance(value, str) for value in values):
        return NOT_JSON
    face, environment = (" ".join(str(value).split(" ")).strip() for value in values)
    return face, environment


def refuses(text: str) -> bool:
    """Whether a text declines to describe."""
    return _REFUSALS.search(text.replace("’", "'")) is not None


def _after_thinking(text: str) -> str:
    return text.rpartition("</think>")[2].strip()


def _object(text: str) -> dict[Any, Any] | None:
    """The first JSON object of a text that has both fields, or else the first one; fences and talk around it are passed."""
    decoder, first = json.JSONDecoder(strict=False), None
    for start in [match.start() for match in re.finditer(r"\{", text)][:16]:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            if set(FIELDS) <= {str(key).strip().casefold() for key in value}:
                return value
            first = first or value
    return first
