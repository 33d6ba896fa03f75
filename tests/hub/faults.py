"""What goes wrong on purpose: at which route, how often, and how."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass
class Fault:
    """What happens to the next `times` requests of a route (its name, or `*`) whose path has `path` in it (a pattern), after
    `skip` such requests. `met` counts how often it was.

    status       answer this instead of doing anything; 429 with `RateLimit` and `Retry-After` of `retry_after` seconds
    drop         end the connection: `before` anything is done, `after` all is done but nothing answered, in the `middle` of
                 the answer's body; `reading`: in the middle of the request's body
    wrong        one bit of the answer's body is another
    slow         wait so many seconds before the answer
    before       call this first: a write of somebody else, the death of the client
    after        call this when all is done, before the answer
    """

    route: str = "*"
    path: str = ""
    times: int = 1
    skip: int = 0
    status: int | None = None
    retry_after: int = 0
    drop: Literal["before", "reading", "after", "middle"] | None = None
    wrong: bool = False
    slow: float = 0
    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None
    met: int = 0

    def meets(self, route: str, path: str) -> bool:
        """Is it this request's turn? Counts."""
        if self.met >= self.times or self.route not in ("*", route) or not re.search(self.path, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.met += 1
        return True


def spoiled(body: bytes) -> bytes:
    """The same with one bit changed, in the middle."""
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body
