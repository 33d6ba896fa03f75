"""Which columns tell a fake from its real: within the pairs of a built corpus, none but those that the schema names."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Build

from mmidd.schema import BY_NAME, COLUMNS, TELLS

SIGNIFICANCE = 0.001
LEAST_PAIRS = 50

Pair = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def pairs(built: Build) -> list[Pair]:
    """Every real sample of a pair with each of its fakes."""
    rows = [row for path in sorted(built.out.glob("data/*.parquet")) for row in pq.read_table(path).to_pylist()]
    by_id = {row["id"]: row for row in rows}
    found = [(by_id[row["pair"]], row) for row in rows if row["pair"]]
    assert len(found) >= LEAST_PAIRS
    return found


def chance(one: int, other: int) -> float:
    """How likely a sign test has it that far apart: two-sided, exact."""
    n, least = one + other, min(one, other)
    return min(1.0, 2 * sum(comb(n, k) for k in range(least + 1)) / 2**n) if n else 1.0


def told(values: Sequence[tuple[Any, Any]]) -> float:
    """The smallest chance, times how many were looked at, that (real, fake) values differ in one direction: of numbers which
    is larger, of anything also how often each value is had by one side alone."""
    numbers = [(a, b) for a, b in values if isinstance(a, int | float) and isinstance(b, int | float)]
    signs = [chance(sum(a < b for a, b in numbers), sum(a > b for a, b in numbers))]
    for value in {repr(each) for pair in values for each in pair}:
        real = sum(repr(a) == value != repr(b) for a, b in values)
        fake = sum(repr(b) == value != repr(a) for a, b in values)
        signs.append(chance(real, fake))
    return min(signs) * len(signs)


@pytest.mark.parametrize("column", [column.name for column in COLUMNS if column.tells != "label"])
def test_that_a_column_is_null_tells_no_fake_from_its_real(pairs: list[Pair], column: str) -> None:
    odd = [(real["media"], fake["media"]) for real, fake in pairs if (real[column] is None) != (fake[column] is None)]
    assert odd == []


@pytest.mark.parametrize("column", [column.name for column in COLUMNS if column.tells == "nothing"])
def test_the_values_of_a_column_tell_no_fake_from_its_real(pairs: list[Pair], column: str) -> None:
    clips = {
        (real["media"], fake["media"]): (real[column], fake[column]) for real, fake in pairs
    }  # frames are not independent
    assert told(list(clips.values())) >= SIGNIFICANCE


def test_a_filter_on_the_detection_keeps_both_sides_of_a_pair(pairs: list[Pair]) -> None:
    for name in ("detection_score", "faces_found"):
        assert all(real[name] is not None for real, _ in pairs)
        assert all(real[name] == fake[name] for real, fake in pairs if fake["geometry"] == "shared")


def test_the_test_itself_would_notice() -> None:
    assert told([(0.9, None)] * 20) < SIGNIFICANCE
    assert told([(0.9, 0.8 + n / 1000) for n in range(20)]) < SIGNIFICANCE
    assert told([("own", "shared")] * 20) < SIGNIFICANCE
    assert told([(n % 3, (n + 1) % 3) for n in range(60)]) >= SIGNIFICANCE


def test_what_tells_the_label_is_named_in_the_schema_and_on_the_card(built: Build) -> None:
    assert set(TELLS) <= set(BY_NAME)
    card = (built.out / "README.md").read_text()
    assert all(f"| {column.tells} |\n" in card for column in COLUMNS)
    assert pa.types.is_string(pq.read_schema(built.out / "media.parquet").field("pair_check").type)
