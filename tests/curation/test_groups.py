from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.curation import groups

NAMES = [f"ds:{i:02d}" for i in range(14)]
LINKS = st.lists(st.lists(st.sampled_from([*NAMES, "identity:1", "identity:2", "aa:absent"]), max_size=4), max_size=16)


def join(members: Iterable[str], links: Iterable[Sequence[str]]) -> dict[str, str]:
    """The anchor of every member by name. All that one link names belongs together."""
    members = list(members)
    ends = [(link[0], other) for link in links for other in link]
    left, right = (pa.array([end[side] for end in ends], pa.string()) for side in (0, 1))
    anchors = groups.join(pa.array(members, pa.string()), left, right)
    assert len(anchors) == len(members)
    return dict(zip(members, anchors.to_pylist(), strict=True))


def reference(members: list[str], links: list[list[str]]) -> dict[str, str]:
    """Groups by repeated merging of sets."""
    groups = [{name} for name in {*members, *(name for link in links for name in link)}]
    for link in links:
        touched = [group for group in groups if group & set(link)]
        groups = [group for group in groups if not group & set(link)]
        groups += [set().union(*touched)] if touched else []
    return {name: min(group & set(members)) for group in groups for name in group & set(members)}


@pytest.mark.parametrize(
    ("members", "links", "anchors"),
    [
        ([], [], {}),
        (["b", "a"], [], {"a": "a", "b": "b"}),
        (["b", "a"], [["b", "a"]], {"a": "a", "b": "a"}),
        (["a", "a"], [["a"], []], {"a": "a"}),
        (["c", "b", "a", "d"], [["c", "d"], ["b", "c"]], {"a": "a", "b": "b", "c": "b", "d": "b"}),
        (["f1", "f2", "x"], [["f1", "absent"], ["f2", "absent"]], {"f1": "f1", "f2": "f1", "x": "x"}),
        (["a", "b", "c"], [["a", "b", "c"]], {"a": "a", "b": "a", "c": "a"}),
    ],
    ids=["nothing", "alone", "pair", "repeated", "chain", "through an absent real", "three at once"],
)
def test_a_group_is_named_by_its_smallest_member(
    members: list[str], links: list[list[str]], anchors: dict[str, str]
) -> None:
    assert join(members, links) == anchors


@given(st.lists(st.sampled_from(NAMES)), LINKS)
def test_it_equals_merging_sets(members: list[str], links: list[list[str]]) -> None:
    assert join(members, links) == reference(members, links)


@given(LINKS, st.randoms(use_true_random=False))
def test_anchors_do_not_depend_on_any_order(links: list[list[str]], shuffler: random.Random) -> None:
    members, mixed = list(NAMES), [list(link) for link in links]
    shuffler.shuffle(members)
    shuffler.shuffle(mixed)
    for link in mixed:
        shuffler.shuffle(link)
    assert join(members, mixed) == join(NAMES, links)


@given(LINKS)
def test_growth_moves_no_anchor_unless_a_smaller_member_joins(links: list[list[str]]) -> None:
    before = join(NAMES, links)
    after = join([*NAMES, "zz:1", "zz:2"], [*links, ["zz:1", NAMES[5]]])
    assert {name: after[name] for name in NAMES} == before
    assert after["zz:1"] == before[NAMES[5]]


def test_a_long_chain_and_a_long_star_are_joined() -> None:
    names = [f"{i:06d}" for i in range(50_000)]
    chain = join(names, zip(names[::-1], names[-2::-1], strict=False))
    star = join(names, ([names[-1], name] for name in names))
    assert set(chain.values()) == set(star.values()) == {names[0]}
