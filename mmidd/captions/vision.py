"""Captions by a vision-language model: what it is shown and asked, its replies kept, read, linted, asked for once more.

Who answers (a server, a checkpoint in this process) is behind one small protocol; everything else is the same for both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mmidd.captions import measures
from mmidd.captions import reply as replies
from mmidd.captions.journal import Journal
from mmidd.captions.lint import lint
from mmidd.captions.prompts import Prompt
from mmidd.captions.protocol import CONTEXT_SIDE, NO_ANSWER, OK, REJECTED, Asked, Caption, CaptionRequest
from mmidd.llm.answer import Answer
from mmidd.video.picture import Pixels

VERSION = "1"
TYPICAL_PROMPT_TOKENS, TYPICAL_COMPLETION_TOKENS = 500, 90
"""Of a request with two images of 256 and 336 pixels, and of its reply: assumed before any was measured."""

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Ask:
    """One request to a model: one or two (h, w, 3) uint8 RGB images of at most 336 pixels, then a text."""

    images: tuple[Image, ...]
    text: str


@dataclass(frozen=True)
class Unanswered:
    """A request that got no reply: `rejected` by who should answer it, or not answered in all its attempts."""

    rejected: bool
    why: str


Landed = Callable[[int, Answer], None]


class Answerer(Protocol):
    """Answers requests. `together`: replies may depend (in their last bit) on which requests are answered as one batch."""

    @property
    def name(self) -> str:
        """The model, with its revision."""
        ...

    @property
    def together(self) -> bool: ...

    def answer(self, asks: Sequence[Ask], landed: Landed) -> list[Answer | Unanswered]:
        """One reply per request, in their order; `landed` hears of each (place, reply) as soon as it is there."""
        ...

    def close(self) -> None: ...


class Vision:
    """A captioner by model. Without a journal nothing is remembered from one call to the next.

    `again`: requests whose replies were of no use are asked anew, whatever the journal holds of them.
    """

    def __init__(
        self,
        answerer: Answerer,
        prompt: Prompt,
        identity: Mapping[str, str],
        journal: Journal | None,
        *,
        batch: int,
        again: bool = False,
    ) -> None:
        self._answerer, self._prompt, self._journal, self._again = answerer, prompt, journal, again
        self._identity = dict(identity)
        self.batch = batch
        self.name = f"{answerer.name}:{prompt.name}"

    def caption(self, requests: Sequence[CaptionRequest]) -> list[Caption]:
        """One caption per request, in their order. Raises ServerDown or JournalError, never for a single reply."""
        shown = [_shown(request) for request in requests]
        tries = self._tries(shown, range(len(shown)), fresh=False)
        if self._again and (bad := [place for place, tried in tries.items() if tried[-1].status != OK]):
            tries |= self._tries(shown, bad, fresh=True)
        return [_caption(tries[place]) for place in range(len(requests))]

    def close(self) -> None:
        """Let go of the model or the connection, and make the journal durable."""
        self._answerer.close()
        if self._journal is not None:
            self._journal.close()

    def _tries(self, shown: Sequence[tuple[Image, ...]], places: Sequence[int], *, fresh: bool) -> dict[int, list[_Tried]]:
        """Ask for each place; once more, with a reminder, where the first reply was of no use."""
        first = self._ask([shown[place] for place in places], reminded=False, fresh=fresh)
        tries = {place: [tried] for place, tried in zip(places, first, strict=True)}
        bad = [place for place in places if tries[place][0].status not in (OK, REJECTED, NO_ANSWER)]
        second = self._ask([shown[place] for place in bad], reminded=True, fresh=fresh)
        for place, tried in zip(bad, second, strict=True):
            tries[place].append(tried)
        return tries

    def _ask(self, shown: Sequence[tuple[Image, ...]], *, reminded: bool, fresh: bool) -> list[_Tried]:
        asks = [Ask(images, self._text(images, reminded)) for images in shown]
        keys = [self._key(ask) for ask in asks]
        known = [None if fresh or self._journal is None else self._journal.get(key) for key in keys]
        open_ = [place for place, reply in enumerate(known) if reply is None]
        if open_ and self._answerer.together:
            open_ = list(range(len(asks)))  # the batch is what it was before an interruption, so the replies are as well
        found: dict[int, Answer | Unanswered] = {place: reply for place, reply in enumerate(known) if reply is not None}

        def landed(place: int, reply: Answer) -> None:
            if self._journal is not None:
                self._journal.put(keys[open_[place]], reply, instead=fresh)

        if open_:
            answers = self._answerer.answer([asks[place] for place in open_], landed)
            found |= {place: self._kept(keys[place], answer) for place, answer in zip(open_, answers, strict=True)}
        return [_read(found[place]) for place in range(len(asks))]

    def _kept(self, key: str, answer: Answer | Unanswered) -> Answer | Unanswered:
        """What the journal holds: of two that asked the same at once, both take the first reply."""
        kept = self._journal.get(key) if self._journal is not None else None
        return kept if kept is not None and isinstance(answer, Answer) else answer

    def _text(self, images: Sequence[Image], reminded: bool) -> str:
        text = self._prompt.both if len(images) == 2 else self._prompt.alone
        return f"{text}\n\n{self._prompt.again}" if reminded else text

    def _key(self, ask: Ask) -> str:
        text = hashlib.sha256(ask.text.encode()).hexdigest()
        named = [VERSION, self._identity, self._prompt.digest, text, [_digest(image) for image in ask.images]]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class _Tried:
    """A reply as it was read: the two texts where the status is ok."""

    status: str
    texts: tuple[str, str] | None
    reply: Answer | None


def _read(reply: Answer | Unanswered) -> _Tried:
    if isinstance(reply, Unanswered):
        return _Tried(REJECTED if reply.rejected else NO_ANSWER, None, None)
    texts = replies.read(reply.text, reply.finish)
    if isinstance(texts, str):
        return _Tried(texts, None, reply)
    status = lint(*texts)
    return _Tried(status, None, reply) if status else _Tried(OK, texts, reply)


def _caption(tries: Sequence[_Tried]) -> Caption:
    given = [tried.reply for tried in tries if tried.reply is not None]
    asked = Asked(
        len(given),
        sum(reply.prompt_tokens or 0 for reply in given),
        sum(reply.completion_tokens or 0 for reply in given),
        tuple(tried.status for tried in tries if tried.status != OK),
    )
    last = tries[-1]
    face, environment = last.texts or (None, None)
    return Caption(face, environment, last.status, asked)


def _shown(request: CaptionRequest) -> tuple[Image, ...]:
    """The crop without its padding, and the frame around it where there is one that shows more than the crop."""
    crop = Pixels(_unpadded(request)).small(CONTEXT_SIDE)
    return (crop,) if request.context is None or request.face_box is None else (crop, request.context)


def _unpadded(request: CaptionRequest) -> Image:
    """The smallest part of the crop that holds all it shows of the frame; in its corners the nearest pixels go on."""
    padding = request.padding
    if padding is None or padding.all():
        return request.crop
    rows, columns = (np.flatnonzero(~padding.all(axis=axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.ascontiguousarray(measures.without(request.crop[part], padding[part]))


def _digest(image: Image) -> str:
    found = hashlib.sha256(str(image.shape).encode())
    found.update(np.ascontiguousarray(image).data)
    return found.hexdigest()


def plain_name(text: str) -> str:
    """A model's name as a column may hold it: letters, digits and `. @ : / + - _`."""
    return "".join(c if c.isascii() and (c.isalnum() or c in ".@:/+-_") else "-" for c in text)


def caption_schema() -> dict[str, Any]:
    """The JSON schema of a reply."""
    text = {"type": "string", "minLength": 1, "maxLength": 400}
    return {
        "type": "object",
        "properties": {field: text for field in replies.FIELDS},
        "required": list(replies.FIELDS),
        "additionalProperties": False,
    }
