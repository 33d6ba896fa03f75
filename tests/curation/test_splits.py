from __future__ import annotations

import hashlib
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.curation.splits import SplitVerdict, assign_splits, hash_split
from mmidd.errors import RecipeError

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
MEDIA = st.lists(st.tuples(st.sampled_from("ABCDEF"), st.sampled_from([None, "train", "validation", "test"])), max_size=40)

OFFICIAL = {split: SplitVerdict(split, "official", None) for split in ("train", "validation", "test")}
FOLLOWS = {split: SplitVerdict(split, "group", None) for split in ("train", "validation", "test")}
TEST_LEAK = SplitVerdict(None, "official", "official_test_leak")
VALIDATION_LEAK = SplitVerdict(None, "official", "official_validation_leak")


@pytest.mark.parametrize(
    ("official", "verdicts"),
    [
        (["train"], [OFFICIAL["train"]]),
        (["test", "train"], [OFFICIAL["test"], TEST_LEAK]),
        (["train", "test", "validation"], [TEST_LEAK, OFFICIAL["test"], TEST_LEAK]),
        (["validation", "train"], [OFFICIAL["validation"], VALIDATION_LEAK]),
        ([None, "train"], [FOLLOWS["train"], OFFICIAL["train"]]),
        ([None, "train", "validation"], [FOLLOWS["validation"], VALIDATION_LEAK, OFFICIAL["validation"]]),
        (["validation", "train", None, "test"], [TEST_LEAK, TEST_LEAK, FOLLOWS["test"], OFFICIAL["test"]]),
    ],
)
def test_a_group_goes_to_its_strictest_official_split(official: list[str | None], verdicts: list[SplitVerdict]) -> None:
    assert assign_splits(["A"] * len(official), official, FRACTIONS, 0) == verdicts


@pytest.mark.parametrize(
    ("official", "partial", "bases", "drops"),
    [
        (["test", None], [True, False], ["partial", "group"], [None, None]),
        (["test", "train"], [True, True], ["partial", "partial"], [None, "partial_test_leak"]),
        (["test", "train"], [True, False], ["partial", "official"], [None, "partial_test_leak"]),
        (
            ["test", "train", "test"],
            [True, True, False],
            ["partial", "partial", "official"],
            [None, "official_test_leak", None],
        ),
    ],
)
def test_the_word_of_a_partial_list_holds_and_is_not_called_official(
    official: list[str | None], partial: list[bool], bases: list[str], drops: list[str | None]
) -> None:
    verdicts = assign_splits(["A"] * len(official), official, FRACTIONS, 0, partial)
    assert [verdict.basis for verdict in verdicts] == bases
    assert [verdict.drop for verdict in verdicts] == drops


@given(MEDIA)
def test_among_kept_media_no_group_spans_two_splits(media: list[tuple[str, str | None]]) -> None:
    verdicts = assign_splits([anchor for anchor, _ in media], [split for _, split in media], FRACTIONS, 7)
    assert len(verdicts) == len(media)
    homes: dict[str, set[str]] = {}
    for (anchor, published), verdict in zip(media, verdicts, strict=True):
        assert (verdict.split is None) == (verdict.drop is not None)
        if verdict.split is not None:
            homes.setdefault(anchor, set()).add(verdict.split)
            assert published in (None, verdict.split), "an official split stays as published"
    assert all(len(splits) == 1 for splits in homes.values())
    assert set(homes) == {anchor for anchor, _ in media}, "no group is dropped as a whole"


@given(MEDIA, st.randoms(use_true_random=False))
def test_verdicts_do_not_depend_on_the_order_of_media(media: list[tuple[str, str | None]], shuffler: random.Random) -> None:
    def verdicts(rows: list[tuple[str, str | None]]) -> Counter[tuple[str, str | None, SplitVerdict]]:
        found = assign_splits([anchor for anchor, _ in rows], [split for _, split in rows], FRACTIONS, 0)
        return Counter((*row, verdict) for row, verdict in zip(rows, found, strict=True))

    mixed = list(media)
    shuffler.shuffle(mixed)
    assert verdicts(mixed) == verdicts(media)


def test_groups_without_official_members_follow_the_hash_and_growth_moves_none() -> None:
    few = [f"ds:{i}" for i in range(200)]
    many = [f"ds:{i}" for i in range(-300, 900)]
    before = assign_splits(few, [None] * len(few), FRACTIONS, 3)
    after = dict(zip(many, assign_splits(many, [None] * len(many), FRACTIONS, 3), strict=True))
    assert before == [after[anchor] for anchor in few]
    assert before == [SplitVerdict(hash_split(anchor, FRACTIONS, 3), "hash", None) for anchor in few]


def test_the_hash_follows_its_published_definition() -> None:
    point = int.from_bytes(hashlib.sha256(b"5\0FaceForensics++:a.mp4").digest()[:8], "big") / 2**64
    expected = "test" if point < 0.1 else "validation" if point < 0.2 else "train"
    assert hash_split("FaceForensics++:a.mp4", FRACTIONS, 5) == expected
    assert hash_split("FaceForensics++:a.mp4", dict(reversed(FRACTIONS.items())), 5) == expected


@pytest.mark.parametrize(
    "fractions",
    [FRACTIONS, {"train": 0.5, "validation": 0.2, "test": 0.3}, {"train": 0.9, "test": 0.1}, {"test": 1.0}],
)
def test_fractions_are_met_and_empty_splits_stay_empty(fractions: dict[str, float]) -> None:
    counts = Counter(hash_split(f"m{i}", fractions, 0) for i in range(20_000))
    assert set(counts) == {split for split, share in fractions.items() if share > 0}
    for split, share in fractions.items():
        assert counts[split] / 20_000 == pytest.approx(share, abs=0.012)


def test_another_seed_is_another_split_and_a_larger_test_share_keeps_the_old_test_groups() -> None:
    anchors = [f"m{i}" for i in range(500)]
    base = [hash_split(anchor, FRACTIONS, 0) for anchor in anchors]
    assert [hash_split(anchor, FRACTIONS, 1) for anchor in anchors] != base
    larger = {"train": 0.6, "validation": 0.1, "test": 0.3}
    kept = [hash_split(anchor, larger, 0) for anchor, split in zip(anchors, base, strict=True) if split == "test"]
    assert set(kept) == {"test"}


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"train": 0.8}, "add up to 1"),
        ({"train": 0.8, "val": 0.2}, "not val"),
        ({"train": 1.2, "test": -0.2}, "negative"),
        ({"train": float("nan")}, "negative"),
        ({}, "add up to 1"),
    ],
)
def test_impossible_fractions_are_a_recipe_error(fractions: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        hash_split("a", fractions, 0)
    with pytest.raises(RecipeError, match=message):
        assign_splits([], [], fractions, 0)


def test_unknown_splits_and_unequal_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="not val"):
        assign_splits(["A"], ["val"], FRACTIONS, 0)
    with pytest.raises(ValueError, match="zip"):
        assign_splits(["A", "B"], ["train"], FRACTIONS, 0)
