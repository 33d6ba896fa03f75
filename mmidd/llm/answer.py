"""What a model answered, whoever asked it: a server's client, or a model in this process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What a model said to one request. `finish`, `model` and the token counts are None where nobody tells. `tries` and
    `seconds` are kept for people; no caption depends on them."""

    text: str
    finish: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    guided: bool = False
    tries: int = 1
    seconds: float = 0.0
