"""Who watches long work: a progress bar, a notebook, nobody."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Told that `what` begins (`total` of `of`, `done` of them there already), how far it is, and that it ends."""

    def begin(self, what: str, total: int, done: int, of: str = "steps") -> None: ...

    def at(self, step: int, told: str) -> None: ...

    def end(self) -> None: ...


class Nobody:
    """Watches nothing."""

    def begin(self, what: str, total: int, done: int, of: str = "steps") -> None: ...

    def at(self, step: int, told: str) -> None: ...

    def end(self) -> None: ...


NOBODY: Watch = Nobody()
