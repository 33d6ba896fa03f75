"""Whether a server still answers: the circuit breaker that all requests to it share."""

from __future__ import annotations

import time
from collections.abc import Callable

from mmidd.errors import MmiddError
from mmidd.llm.backoff import Patience


class ServerDown(MmiddError):
    """The server cannot be used: not there, no longer answering, refusing the key, the model or every request."""


class Health:
    """Sees how every attempt ended. Once `broken` is set no request is sent any more."""

    def __init__(self, where: str, limits: Patience, clock: Callable[[], float] = time.monotonic) -> None:
        self._where, self._limits, self._clock = where, limits, clock
        self._failures, self._since = 0, 0.0
        self._rejections = 0
        self.answers = 0
        self.broken: ServerDown | None = None

    def answered(self) -> None:
        """The server did what it was asked."""
        self.answers += 1
        self._failures = 0

    def rejected(self, why: str) -> None:
        """The server understood a request and will not do it. Raises ServerDown where it never did one."""
        self._failures = 0
        self._rejections += 1
        if self.answers == 0 and self._rejections >= self._limits.rejections:
            self.stop(
                f"refused the first {self._rejections} requests ({why}). Does the model take images, and as many pixels and "
                "tokens? Try another model, or a smaller captioner.max_tokens"
            )

    def failed(self, why: str) -> None:
        """An attempt brought nothing. Raises ServerDown once nothing was answered for too long."""
        if self._failures == 0:
            self._since = self._clock()
        self._failures += 1
        silent = self._clock() - self._since
        patience = self._limits.patience if self.answers else self._limits.start
        if self._failures >= self._limits.failures and silent >= patience:
            what = "no longer answers" if self.answers else "does not answer"
            self.stop(f"{what} ({self._failures} attempts in {silent:.0f} s; the last: {why}). Start it, or mend base_url")

    def stop(self, why: str) -> None:
        """Give the server up, for every request. Raises ServerDown."""
        self.broken = self.broken or ServerDown(
            f"the server {self._where} {why}. What was answered is kept: run the same command to go on."
        )
        raise self.broken

    def check(self) -> None:
        """Raises ServerDown where the server was given up."""
        if self.broken is not None:
            raise self.broken
