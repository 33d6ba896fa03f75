"""Ctrl-C and SIGTERM while a run goes on: it stops after the step that is under way, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Asked:
    """Has somebody asked for an end?"""

    stop: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.stop and number == signal.SIGINT:  # a second Ctrl-C does not wait for the step
            raise KeyboardInterrupt
        self.stop = True


@contextmanager
def stopping() -> Iterator[Asked]:
    """Hears the signals inside, where this is the main thread; who heard them before hears them again afterwards."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
