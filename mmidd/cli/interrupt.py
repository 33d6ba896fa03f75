"""Ctrl-C, at any moment and however often: the first stops the command in order, the third ends the process at once."""

from __future__ import annotations

import os
import signal
from types import FrameType

from mmidd.cli.console import INTERRUPTED

STOPPED = "\nStopped. Nothing that was committed is lost; run the same command to go on."


class Interrupts:
    """The handler of SIGINT. A library may make another exception of the first one, or swallow it: `count` tells."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            raise KeyboardInterrupt
        if self.count > 2:
            os._exit(INTERRUPTED)
        os.write(2, b"\nStopping: what came back is being committed. Ctrl-C once more ends it at once.\n")

    def hear(self) -> None:
        """From now on."""
        signal.signal(signal.SIGINT, self)


def at_once(code: int) -> None:
    """From now on Ctrl-C ends the process with this code: nothing is left to do."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(code))
