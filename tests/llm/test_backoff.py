from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from mmidd.llm.backoff import Patience, retry_after, wait

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("7", 7.0),
        ("2.5", 2.5),
        ("-3", 0.0),
        ("Sat, 21 Nov 2026 12:01:30 GMT", 90.0),
        ("Sat, 21 Nov 2026 13:00:00 +0100", 0.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Sat, 99 Nov 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_nonsense_is_none(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOON) == seconds


def test_waits_are_spread_from_nothing_to_a_ceiling_that_doubles_and_ends() -> None:
    limits, rng = Patience(first_wait=1.0, longest_wait=10.0), random.Random(0)
    for attempt, ceiling in ((1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (5000, 10.0)):
        waits = [wait(attempt, limits, rng) for _ in range(500)]
        assert 0 <= min(waits) < 0.05 * ceiling and 0.95 * ceiling < max(waits) <= ceiling
