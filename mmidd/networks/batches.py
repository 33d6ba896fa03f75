"""Requests of many clients, made into batches of one fixed size: which pictures are computed next, and together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mmidd.networks.wire import Layout, Message, Shape, batch_of

PATIENT = 4
"""After so many batches of others it is a request's turn, whether its batch is full or not."""


@dataclass(eq=False)
class Request:
    """`count` samples of one shape for one model (by its digest), which lie in `memory` by `layout`.

    `given` of them are in batches, `done` are computed; `formed`: how many batches there were when it had its turn.
    `fault`: what its client is told instead of an answer.
    """

    client: Any
    memory: Any
    model: str
    shape: Shape
    count: int
    layout: Layout
    outputs: tuple[Shape, ...]
    given: int = 0
    done: int = 0
    fault: Message | None = None
    number: int = 0
    formed: int = 0

    @property
    def left(self) -> int:
        return self.count - self.given


@dataclass(frozen=True)
class Piece:
    """`count` samples of a request from its `first` on, at the places from `at` on of a batch."""

    request: Request
    first: int
    count: int
    at: int


@dataclass(frozen=True)
class Batch:
    """Samples that are computed together; places without one are padded."""

    model: str
    shape: Shape
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        return batch_of(self.shape)

    @property
    def filled(self) -> int:
        return sum(piece.count for piece in self.pieces)

    def apart(self) -> list[Batch]:
        """The same, of each request alone."""
        requests = dict.fromkeys(piece.request for piece in self.pieces)
        return [
            Batch(self.model, self.shape, tuple(piece for piece in self.pieces if piece.request is request))
            for request in requests
        ]


@dataclass
class Queue:
    """Requests that wait, in order of arrival."""

    _waiting: dict[tuple[str, Shape], deque[Request]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=count)
    _formed: int = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, request: Request) -> None:
        request.number, request.formed = next(self._numbers), self._formed
        self._waiting.setdefault((request.model, request.shape), deque()).append(request)

    def drop(self, unwanted: Callable[[Request], bool]) -> None:
        """Forget requests, as far as they are not in a batch."""
        for key, waiting in [*self._waiting.items()]:
            self._keep(key, deque(each for each in waiting if not unwanted(each)))

    def next(self, *, idle: bool) -> Batch | None:
        """The next batch: one that has waited for too long, else the oldest that is full, or (with a device that is `idle`)
        the oldest."""
        oldest = sorted(self._waiting.items(), key=lambda item: item[1][0].number)
        for key, waiting in oldest:
            if self._formed - waiting[0].formed >= PATIENT:
                return self._form(key, waiting)
        for key, waiting in oldest:
            if idle or sum(request.left for request in waiting) >= batch_of(key[1]):
                return self._form(key, waiting)
        return None

    def _form(self, key: tuple[str, Shape], waiting: deque[Request]) -> Batch:
        pieces: list[Piece] = []
        at, size = 0, batch_of(key[1])
        while waiting and at < size:
            request = waiting[0]
            some = min(request.left, size - at)
            pieces.append(Piece(request, request.given, some, at))
            request.given += some
            at += some
            if not request.left:
                waiting.popleft()
        self._keep(key, waiting)
        self._formed += 1
        if waiting:  # its turn was now
            waiting[0].formed = self._formed
        return Batch(*key, tuple(pieces))

    def _keep(self, key: tuple[str, Shape], waiting: deque[Request]) -> None:
        if waiting:
            self._waiting[key] = waiting
        else:
            self._waiting.pop(key, None)
