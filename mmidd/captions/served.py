"""The captioner `openai`: a model behind an OpenAI-compatible server. Importing it loads the HTTP library."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any

import cv2

from mmidd.captions import by_model
from mmidd.captions import reply as replies
from mmidd.captions.protocol import CaptionerConfig, CaptionerMaker
from mmidd.captions.vision import Ask, Image, Landed, Unanswered, Vision, caption_schema, plain_name
from mmidd.errors import UsageError
from mmidd.llm.answer import Answer
from mmidd.llm.asker import Asker
from mmidd.llm.backoff import Patience
from mmidd.llm.client import Chat, ChatClient
from mmidd.llm.key import Key, check_address

JPEG_QUALITY = 90
SERVED_BATCH = 16
"""Requests of one task that are prepared together; what is asked at once is `concurrency`."""


class Served:
    """Answers by asking a server, many requests at a time. What is not answered is never remembered as answered."""

    together = False

    def __init__(
        self, base_url: str, model: str, revision: str | None, *, max_tokens: int, temperature: float, limits: Patience
    ) -> None:
        shown = f"openai:{_shown(model)}"
        self.name = plain_name(f"{shown}@{revision}" if revision else shown)
        self._max_tokens, self._temperature = max_tokens, temperature
        self._asker = Asker(partial(ChatClient, base_url, model, limits))

    def answer(self, asks: Sequence[Ask], landed: Landed) -> list[Answer | Unanswered]:
        """As `Answerer` promises. Raises ServerDown."""
        chats = [self._chat(ask) for ask in asks]
        answers = self._asker.ask(chats, lambda place, answer: landed(place, _clipped(answer)))
        return [_clipped(a) if isinstance(a, Answer) else Unanswered(a.rejected, a.why) for a in answers]

    def close(self) -> None:
        """Close the connections."""
        self._asker.close()

    def _chat(self, ask: Ask) -> Chat:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": data_uri(image)}} for image in ask.images
        ]
        content.append({"type": "text", "text": ask.text})
        return Chat(({"role": "user", "content": content},), self._max_tokens, self._temperature, caption_schema())


def data_uri(image: Image) -> str:
    """An image as a JPEG in a `data:` address."""
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _shown(model: str) -> str:
    """A model's name as it may be published: of a folder of the server's machine its own name alone."""
    return PurePath(model).name if model.startswith(("/", "./", "../", "~", "file:")) else model


def _clipped(answer: Answer) -> Answer:
    return replace(answer, text=answer.text[: replies.LONGEST])


def _identity(config: CaptionerConfig) -> dict[str, str]:
    by_model.check_model(config)
    if not config.base_url:
        raise UsageError("captioner 'openai' needs the server's address: --set captioner.base_url=http://localhost:8000/v1")
    check_address(config.base_url)
    Key.read()
    return {
        "captioner": "openai", "model": str(config.model), "revision": config.revision or "unstated",
        "temperature": f"{config.temperature:g}", **by_model.shared_identity(config),
    }  # fmt: skip


def _make(config: CaptionerConfig) -> Vision:
    identity = _identity(config)
    limits = Patience(concurrency=config.concurrency, timeout=config.timeout)
    served = Served(
        str(config.base_url), str(config.model), config.revision, max_tokens=config.max_tokens,
        temperature=config.temperature, limits=limits,
    )  # fmt: skip
    return by_model.captioner(served, config, identity, batch=SERVED_BATCH)


CAPTIONER = CaptionerMaker(_identity, _make, by_model.READS | {"base_url", "concurrency", "timeout", "temperature"})
