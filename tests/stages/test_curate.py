"""Curation over columns: equal samples, groups and splits without a leak, pairs, and what was taken down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmidd.engine.files import sha256_file
from mmidd.engine.units import Resources, Result
from mmidd.extraction.records import SCHEMA as SAMPLES_SCHEMA
from mmidd.recipe import parse
from mmidd.schema import sample_id
from mmidd.stages import curate, index

RECIPE = parse("name: t\ndatasets: [CelebA]\n", "r.yaml")

Medium = dict[str, Any]
Sample = tuple[str, int, str]
"""Medium, frame, digest of the image."""


def _medium(media: str, **about: Any) -> Medium:
    return {"dataset": "D", "media": media, "status": "media", "label": "real", "group_keys": []} | about


def _fake(media: str, pair: str | None, **about: Any) -> Medium:
    return _medium(media, label="fake", method="m", pair_media=pair, **about)


def _judge(
    folder: Path, media: Sequence[Medium], samples: Sequence[Sample], *settings: str, excluded: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The verdicts as rows: those of samples after those of media."""
    dataset = {row["media"]: row["dataset"] for row in media}
    rows = [
        {"dataset": dataset[name], "media": name, "frame": frame, "face": 0, "image_sha256": image}
        for name, frame, image in samples
    ]
    return _judged(folder, media, rows, *settings, excluded=excluded)


def _judged(
    folder: Path,
    media: Sequence[Medium],
    rows: Sequence[Mapping[str, Any]],
    *settings: str,
    excluded: Sequence[str] = (),
    unpaired: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The same of samples with all that extraction says of them."""
    result = _result(folder, media, rows, *settings, excluded=excluded, unpaired=unpaired)
    assert result.rows.schema == curate.SCHEMA
    return list(result.rows.to_pylist())


def _result(
    folder: Path,
    media: Sequence[Medium],
    rows: Sequence[Mapping[str, Any]],
    *settings: str,
    excluded: Sequence[str] = (),
    unpaired: Sequence[str] = (),
) -> Result:
    dataset = {row["media"]: row["dataset"] for row in media}
    written = folder / "rows"
    pq.write_table(pa.Table.from_pylist(list(rows), SAMPLES_SCHEMA), written)
    path = written.rename(folder / f"unit.{sha256_file(written)[:12]}.rows.parquet")  # named as the store does
    gone = {(dataset[name], name): "excluded" for name in excluded if name in dataset}
    denied = frozenset((dataset[name], name) for name in unpaired if name in dataset)
    payload = curate.CuratePayload((path,), pa.Table.from_pylist(list(media), index.SCHEMA), gone, denied)
    recipe = parse("name: t\ndatasets: [CelebA]\n", "r.yaml", settings)
    (task,) = curate.plan(("x",), payload).tasks
    return curate.run(task, curate.config(recipe), Resources())


def _drops(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], str | None]:
    return {(row["media"], row["frame"]): row["drop"] for row in rows if row["frame"] is not None}


def _media(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {row["media"]: row for row in rows if row["frame"] is None}


def test_of_equal_samples_one_stays_and_their_media_become_one_group(tmp_path: Path) -> None:
    media = [_medium("b"), _medium("a"), _medium("c")]
    rows = _judge(tmp_path, media, [("b", 0, "same"), ("a", 0, "same"), ("a", 1, "same"), ("c", 0, "other")])
    assert _drops(rows) == {
        ("a", 0): None, ("a", 1): "exact_duplicate", ("b", 0): "exact_duplicate", ("c", 0): None,
    }  # fmt: skip
    assert {name: row["group"] for name, row in _media(rows).items()} == {"a": "D/a", "b": "D/a", "c": "D/c"}


@pytest.mark.parametrize(
    ("one", "other", "keeper"),
    [("train", "test", "b"), ("validation", "train", "a"), (None, "test", "b"), (None, "train", "b")],
)
def test_of_equal_samples_that_of_the_stricter_official_split_stays(
    tmp_path: Path, one: str | None, other: str | None, keeper: str
) -> None:
    rows = _judge(tmp_path, [_medium("a", split=one), _medium("b", split=other)], [("a", 0, "x"), ("b", 0, "x")])
    assert [name for (name, _), drop in _drops(rows).items() if drop is None] == [keeper]


def test_equal_samples_under_both_labels_are_all_dropped(tmp_path: Path) -> None:
    media = [_medium("a"), _medium("b"), _fake("c", None)]
    rows = _judge(tmp_path, media, [("a", 0, "x"), ("b", 0, "x"), ("c", 0, "x"), ("c", 1, "y")])
    assert _drops(rows) == {
        ("a", 0): "label_conflict", ("b", 0): "label_conflict", ("c", 0): "label_conflict", ("c", 1): None,
    }  # fmt: skip


def test_equal_samples_under_two_methods_are_told_with_a_medium_of_each(tmp_path: Path) -> None:
    media = [_fake("a", None), _fake("b", None) | {"method": "n"}, _fake("c", None) | {"method": None}, _fake("d", None)]
    equal = [(name, frame, f"x{frame}") for name in "abd" for frame in (0, 1)] + [("c", 0, "x0"), ("c", 2, "y")]
    rows = [{"dataset": "D", "media": name, "frame": at, "face": 0, "image_sha256": image} for name, at, image in equal]
    (outcome,) = _result(tmp_path, media, rows).outcomes
    assert outcome.facts == {"two_methods": [["m", "", 1, "D/a", "D/c"], ["m", "n", 2, "D/a", "D/b"]]}


@pytest.mark.parametrize("copies", [("f",), ("f", "g")], ids=["a fake", "two fakes"])
def test_a_fake_that_is_its_own_real_goes_and_the_real_stays(tmp_path: Path, copies: tuple[str, ...]) -> None:
    media = [_medium("a"), *(_fake(name, "a") for name in copies), _medium("b"), _fake("h", None)]
    samples = [(name, frame, f"x{frame}") for name in ("a", *copies) for frame in (0, 1)]
    rows = _judge(tmp_path, media, [*samples, ("f", 2, "own"), ("b", 0, "torn"), ("h", 0, "torn")])
    wanted = {("a", 0): None, ("a", 1): None, ("f", 2): None, ("b", 0): "label_conflict", ("h", 0): "label_conflict"}
    assert _drops(rows) == wanted | {(name, frame): "equals_real" for name in copies for frame in (0, 1)}


PEOPLE = {"dataset": "D", "geometry": "own", "width": 100, "height": 100}
LEFT, RIGHT = [0.0, 0.0, 30.0, 30.0], [60.0, 60.0, 90.0, 90.0]


@pytest.mark.parametrize(
    ("fakes", "stay", "settings"),
    [
        ({}, {0}, ()),
        ({"f": (1, "shared")}, {1}, ()),
        ({"f": (1, "shared"), "g": (0, "shared")}, {0, 1}, ()),
        ({"f": (0, "own")}, {1}, ()),
        ({"gone": (1, "shared")}, {0}, ()),
        ({"denied": (1, "shared")}, {0}, ()),
        ({"f": (1, "shared")}, {0, 1}, ("crop.choice=all",)),
    ],
    ids=["no fake", "one", "two people", "own geometry, by place", "taken down", "pair denied", "everybody"],
)
def test_of_the_people_of_a_real_those_stay_whom_its_fakes_are_about(
    tmp_path: Path, fakes: dict[str, tuple[int, str]], stay: set[int], settings: tuple[str, ...]
) -> None:
    media = [_medium("a"), *(_fake(name, "a", aligned=True) for name in fakes)]
    rows: list[dict[str, Any]] = []
    for frame in (0, 5):
        people = [("a", face, "own", (LEFT, RIGHT)[face]) for face in (0, 1)]
        people += [(name, face, how, RIGHT) for name, (face, how) in fakes.items()]
        for name, face, how, box in people:
            about = {"media": name, "frame": frame, "face": face, "geometry": how, "box": box}
            rows.append({**PEOPLE, **about, "image_sha256": f"{name}{frame}{face}"})
    found = _judged(tmp_path, media, rows, *settings, excluded=["gone"], unpaired=["denied"])
    drops = {(row["media"], row["face"]): row["drop"] for row in found if row["frame"] is not None}
    assert {face for face in (0, 1) if drops["a", face] is None} == stay
    assert {drops["a", face] for face in {0, 1} - stay} <= {"other_person"}
    paired = {row["media"] for row in found if row["pair"]}
    assert paired == set(fakes) - {"gone", "denied"}


def test_duplicates_stay_where_the_recipe_says_so(tmp_path: Path) -> None:
    rows = _judge(
        tmp_path, [_medium("a"), _fake("b", None)], [("a", 0, "x"), ("b", 0, "x")], "curation.exact_duplicates=false"
    )
    assert set(_drops(rows).values()) == {None}


def test_a_medium_that_was_taken_down_suppresses_no_other(tmp_path: Path) -> None:
    media = [_medium("a", split="test"), _medium("b"), _fake("c", None)]
    rows = _judge(tmp_path, media, [("a", 0, "x"), ("b", 0, "x"), ("c", 0, "y"), ("a", 1, "y")], excluded=["a"])
    assert _drops(rows) == {("a", 0): "excluded", ("a", 1): "excluded", ("b", 0): None, ("c", 0): None}
    assert _media(rows)["a"]["drop"] == "excluded"
    assert _media(rows)["b"]["group"] == "D/b"


def test_media_published_outside_their_groups_test_set_are_dropped_as_leaks(tmp_path: Path) -> None:
    media = [_medium("a", split="test"), _fake("b", "a", split="train"), _fake("c", "a"), _medium("d", split="train")]
    rows = _judge(tmp_path, media, [(name, 0, name) for name in "abcd"])
    assert _drops(rows) == {("a", 0): None, ("b", 0): "official_test_leak", ("c", 0): None, ("d", 0): None}
    found = {name: (row["split"], row["split_basis"]) for name, row in _media(rows).items()}
    assert found == {
        "a": ("test", "official"), "b": (None, "official"), "c": ("test", "group"), "d": ("train", "official"),
    }  # fmt: skip


def test_a_fake_names_the_sample_of_its_real_only_where_that_is_in_the_corpus(tmp_path: Path) -> None:
    media = [
        _medium("a"), _medium("gone"), _fake("f", "a"), _fake("g", "gone"), _fake("h", "absent"), _fake("i", None),
        _medium("other", dataset="E"), _fake("j", "other", pair_dataset="E"),
    ]  # fmt: skip
    samples = [(name, frame, f"{name}{frame}") for name in ("a", "f") for frame in (0, 5)]
    samples += [("f", 7, "f7"), ("gone", 0, "gone"), ("g", 0, "g"), ("h", 0, "h"), ("i", 0, "i"), ("other", 0, "o")]
    rows = _judge(tmp_path, media, [*samples, ("j", 0, "j")], excluded=["gone"])
    pairs = {(row["media"], row["frame"]): row["pair"] for row in rows if row["pair"]}
    assert pairs == {
        ("f", 0): sample_id("D", "a", 0, 0), ("f", 5): sample_id("D", "a", 5, 0), ("j", 0): sample_id("E", "other", 0, 0),
    }  # fmt: skip


@st.composite
def _indexes(draw: st.DrawFn) -> tuple[list[Medium], list[Sample]]:
    names = [f"m{number:02d}" for number in range(draw(st.integers(1, 14)))]
    media = []
    for name in names:
        about = {
            "split": draw(st.sampled_from([None, None, "train", "validation", "test"])),
            "group_keys": [f"id:{key}" for key in draw(st.sets(st.integers(0, 9), max_size=2))],
        }
        pair = draw(st.sampled_from([None, *names, "absent"]))
        media.append(_fake(name, pair, **about) if draw(st.booleans()) else _medium(name, **about))
    places = draw(st.sets(st.tuples(st.sampled_from(names), st.integers(0, 2)), max_size=20))
    samples = [(name, frame, draw(st.sampled_from("pqrstuvwxyz"))) for name, frame in sorted(places)]
    return draw(st.permutations(media)), draw(st.permutations(samples))


def _linked(media: Sequence[Medium], kept: set[str]) -> list[set[str]]:
    """What must share a split, by the index alone: members of a pair, and of an identity."""
    links = [{row["media"], row["pair_media"]} for row in media if row.get("pair_media")]
    keys = {key for row in media for key in row["group_keys"]}
    links += [{row["media"] for row in media if key in row["group_keys"]} for key in sorted(keys)]
    return [link & kept for link in links]


@given(drawn=_indexes(), seed=st.integers(0, 5))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_group_no_pair_and_no_image_is_on_two_sides(
    tmp_path: Path, drawn: tuple[list[Medium], list[Sample]], seed: int
) -> None:
    media, samples = drawn
    rows = _judge(tmp_path, media, samples, f"seed={seed}")
    assert len(rows) == len(media) + len(samples)
    kept = [row for row in rows if row["frame"] is not None and row["drop"] is None]
    assert all(row["split"] is not None for row in kept)
    assert all(row["split"] is None for row in rows if row["drop"] in ("official_test_leak", "official_validation_leak"))
    of_group: dict[str, set[str]] = {}
    of_media = {row["media"]: row["split"] for row in kept}
    for row in kept:
        of_group.setdefault(row["group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in of_group.values())
    for link in _linked(media, set(of_media)):
        assert len({of_media[name] for name in link}) <= 1
    images = {(name, frame): image for name, frame, image in samples}
    left = [images[row["media"], row["frame"]] for row in kept]
    assert len(left) == len(set(left))
    ids = {row["id"] for row in kept}
    assert {row["pair"] for row in rows if row["pair"]} <= ids


@given(drawn=_indexes(), data=st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_the_inputs_changes_no_verdict(
    tmp_path: Path, drawn: tuple[list[Medium], list[Sample]], data: st.DataObject
) -> None:
    media, samples = drawn

    def verdicts(media: Sequence[Medium], samples: Sequence[Sample]) -> list[str]:
        return sorted(repr(row) for row in _judge(tmp_path, media, samples))

    assert verdicts(media, samples) == verdicts(data.draw(st.permutations(media)), data.draw(st.permutations(samples)))


def test_no_sample_at_all_still_judges_the_media(tmp_path: Path) -> None:
    rows = _judge(tmp_path, [_medium("a"), _fake("b", "a")], [])
    assert {row["media"] for row in rows} == {"a", "b"} and len({row["split"] for row in rows}) == 1
