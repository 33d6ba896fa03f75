"""When to try again: what the server asks for, or else exponential back-off with full jitter; and when to give up."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True)
class Patience:
    """How much is asked at once, and how patiently. Times in seconds.

    `attempts`: of a request that the server fails on, though it answers a trivial one. `first_wait`, `longest_wait`:
    ceiling of the first back-off, and of all. `longest_asked`: the longest Retry-After that is waited for. A server that
    answers nothing for `patience` (for `start` where it never answered) and at least `failures` attempts counts as down.
    `rejections`: so many refused requests before the first answer mean that it will take none.
    """

    concurrency: int = 32
    timeout: float = 120.0
    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_asked: float = 300.0
    patience: float = 120.0
    start: float = 5.0
    failures: int = 5
    rejections: int = 8


def wait(attempt: int, limits: Patience, rng: random.Random) -> float:
    """Seconds before the attempt that follows number `attempt` (from 1): uniform up to a ceiling that doubles."""
    return rng.uniform(0.0, min(limits.longest_wait, limits.first_wait * 2.0 ** min(attempt - 1, 32)))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for (a number, or an HTTP date); None for none and for nonsense."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
