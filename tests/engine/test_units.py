"""Keys and buckets: what a unit is called depends on all that shapes it, and growth moves nobody without need."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.engine.run import Stage, ingredients
from mmidd.engine.units import LEAST_UNITS, UNIT_TASKS, Item, Outcome, Result, bucket, order_key, unit_key

from .toy import BASE, SCHEMA, run

NAMES = st.lists(st.text(max_size=12), unique=True, max_size=300)
MEMBERS: list[tuple[tuple[str, str], tuple[str, ...]]] = [(("set", "a"), ("1", "own")), (("set", "b"), ("2", "own"))]


def items(names: list[str] | range) -> list[Item]:
    return [Item("set", str(name), None) for name in names]


def test_the_order_of_members_does_not_change_a_key() -> None:
    assert unit_key(BASE, MEMBERS) == unit_key(BASE, reversed(MEMBERS))


@pytest.mark.parametrize(
    "members",
    [
        MEMBERS[:1],
        [*MEMBERS, (("set", "c"), ("3",))],
        [(("set", "a"), ("1", "else")), MEMBERS[1]],
        [(("set", "a"), ("1",)), MEMBERS[1]],
        [(("set", "a"), ("1own",)), MEMBERS[1]],
        [(("other", "a"), ("1", "own")), MEMBERS[1]],
        [(("set", "A"), ("1", "own")), MEMBERS[1]],
        [(("set", "a"), ("2", "own")), (("set", "b"), ("1", "own"))],
    ],
)
def test_any_change_of_a_member_changes_the_key(members: Any) -> None:
    assert unit_key(BASE, members) != unit_key(BASE, MEMBERS)


@pytest.mark.parametrize(
    "stage, recipe, others",
    [
        (Stage("toy", 2, run, SCHEMA), {"size": 1}, {}),
        (Stage("tow", 1, run, SCHEMA), {"size": 1}, {}),
        (Stage("toy", 1, run, SCHEMA), {"size": 1.5}, {}),
        (Stage("toy", 1, run, SCHEMA), {"size": None}, {}),
        (Stage("toy", 1, run, SCHEMA), {"size": 1, "more": 0}, {}),
        (Stage("toy", 1, run, SCHEMA), {"size": 1}, {"device": "cpu"}),
    ],
)
def test_any_change_of_an_ingredient_changes_the_key(stage: Stage, recipe: Any, others: dict[str, Any]) -> None:
    assert unit_key(ingredients(stage, recipe, **others), MEMBERS) != unit_key(BASE, MEMBERS)


@given(NAMES, st.integers(1, 5))
def test_every_item_is_in_exactly_one_task_of_bounded_size(names: list[str], per_task: int) -> None:
    units = bucket("set/all", items(names), per_task=per_task)
    found = [item.media for unit in units for item in unit.items]
    assert sorted(found) == sorted(names)
    assert all(1 <= len(task.items) <= per_task for unit in units for task in unit.tasks)
    assert len({unit.name for unit in units}) == len(units)
    for unit in units:
        places = [(order_key(item.dataset, item.media), item.media) for item in unit.items]
        assert places == sorted(places)


@given(st.randoms(), st.integers(0, 120), st.integers(1, 3))
def test_neither_order_nor_repetition_changes_the_units(random: Any, count: int, per_task: int) -> None:
    some = items(range(count))
    mixed = random.sample(some, len(some))
    assert bucket("set/all", mixed, per_task=per_task) == bucket("set/all", some, per_task=per_task)


@given(st.integers(1, 200), st.integers(1, 60), st.integers(1, 3))
def test_growth_moves_nobody_unless_the_number_of_buckets_doubles(before: int, more: int, per_task: int) -> None:
    old, new = ({i.media: u.name for u in bucket("s/x", items(range(n)), per_task=per_task) for i in u.items}
                for n in (before, before + more))  # fmt: skip
    bits_old, bits_new = ({name.rpartition("-")[2] for name in names.values()} for names in (old, new))
    assert len(bits_old) == len(bits_new) == 1
    if bits_old == bits_new:
        assert all(new[media] == name for media, name in old.items())
    else:
        assert int(*bits_new) > int(*bits_old)
        full = 2 ** int(*bits_old)
        assert (before + more) > per_task * (full if full < LEAST_UNITS else UNIT_TASKS * full)


def test_a_small_dataset_is_committed_piece_by_piece() -> None:
    assert [len(bucket("s/x", items(range(count)), per_task=1)) for count in (1, 2)] == [1, 2]
    assert len(bucket("s/x", items(range(12)), per_task=1)) >= 6
    assert LEAST_UNITS // 2 < len(bucket("s/x", items(range(200)), per_task=1)) <= LEAST_UNITS


def test_units_of_a_large_dataset_hold_about_sixteen_tasks() -> None:
    for count, per_task in ((3000, 1), (100_000, 16)):
        sizes = [len(unit.tasks) for unit in bucket("s/x", items(range(count)), per_task=per_task)]
        assert max(sizes) <= 2 * UNIT_TASKS and sum(sizes) / len(sizes) >= UNIT_TASKS / 2


def test_no_items_are_no_units() -> None:
    assert bucket("s/x", [], per_task=1) == []


@pytest.mark.parametrize(
    "numbers, reasons, conserved",
    [
        ((3, 3, 0, 0), 0, True),
        ((3, 1, 1, 1), 2, True),
        ((0, 0, 0, 0), 0, True),
        ((3, 2, 0, 0), 0, False),
        ((3, 3, 1, 0), 1, False),
        ((3, 2, 1, 0), 0, False),
        ((3, 3, 0, 0), 1, False),
    ],
)
def test_an_outcome_accounts_for_every_planned_frame(numbers: tuple[int, ...], reasons: int, conserved: bool) -> None:
    planned, ok, dropped, failed = numbers
    listed = tuple((frame, "dropped", "no_face") for frame in range(reasons))
    outcome = Outcome("set", "a", "ok", (), planned=planned, ok=ok, dropped=dropped, failed=failed, reasons=listed)
    assert outcome.conserved() is conserved


def test_results_of_nothing_are_equal() -> None:
    assert Result(SCHEMA.empty_table(), ()) == Result(SCHEMA.empty_table(), ())
