"""Which media a recipe takes: compression, seeded subsets, caps, and the takedown list."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.errors import RecipeError, UsageError
from mmidd.flow.select import as_taken, compression_taken, drops
from mmidd.recipe import DatasetEntry
from mmidd.takedown import Exclusions, idle_lines, taken_down

FF = "FaceForensics++"
SHA = "a" * 64


def _row(media: str, method: str | None = None, pair: str | None = None, **others: Any) -> dict[str, Any]:
    about = {"dataset": FF, "media": media, "label": "fake" if method else "real", "method": method, "pair_dataset": None}
    about |= {"pair_media": pair, "compression": None, "split": None, "target_id": None, "source_id": None}
    return about | others


def _entry(**options: Any) -> DatasetEntry:
    return DatasetEntry(name=FF, **options)


METHODS = ("Deepfakes", "FaceSwap", "DeepFakeDetection")


@st.composite
def _indexes(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Reals, some without a fake; fakes of several methods, several of one real, some without their real."""
    reals = draw(st.sets(st.integers(0, 40), max_size=20))
    pairs = st.tuples(st.sampled_from(METHODS), st.integers(0, 40), st.integers(0, 3))
    fakes = draw(st.sets(pairs, max_size=30))
    rows = [_row(f"real/{n}.mp4") for n in sorted(reals)]
    rows += [_row(f"{method}/{n}_{take}.mp4", method, f"real/{n}.mp4") for method, n, take in sorted(fakes)]
    return draw(st.permutations(rows))


def _taken(rows: list[dict[str, Any]], entry: DatasetEntry, seed: int) -> set[str]:
    dropped = drops(rows, entry, None, seed)
    assert set(dropped) <= {row["media"] for row in rows}
    return {row["media"] for row in rows} - set(dropped)


OPTIONS = [{"subset": 0.5}, {"cap_per_method": 2}, {"subset": 0.6, "cap_per_method": 3}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@given(rows=_indexes(), seed=st.integers(0, 3))
@settings(max_examples=60)
def test_a_fake_is_never_taken_without_its_real(options: dict[str, Any], rows: list[dict[str, Any]], seed: int) -> None:
    taken = _taken(rows, _entry(**options), seed)
    present = {row["media"] for row in rows}
    assert {row["pair_media"] for row in rows if row["media"] in taken and row["pair_media"]} & present <= taken


@given(rows=_indexes(), seed=st.integers(0, 3))
@settings(max_examples=60)
def test_a_subset_judges_each_pair_alone(rows: list[dict[str, Any]], seed: int) -> None:
    whole = _taken(rows, _entry(subset=0.5), seed)
    for row in rows:
        assert (row["media"] in whole) == (row["media"] in _taken([row], _entry(subset=0.5), seed))
    assert whole <= _taken(rows, _entry(subset=0.7), seed)


@given(rows=_indexes(), seed=st.integers(0, 3), cut=st.integers(0, 50))
@settings(max_examples=60)
def test_a_cap_holds_and_growth_brings_no_fake_back(rows: list[dict[str, Any]], seed: int, cut: int) -> None:
    entry = _entry(cap_per_method=2)
    taken = _taken(rows, entry, seed)
    by_method = Counter(row["method"] for row in rows if row["media"] in taken)
    wanted = {row["pair_media"] for row in rows if row["media"] in taken}
    needed = sum(row["media"] in wanted for row in rows)
    for method, present in Counter(row["method"] for row in rows).items():
        assert by_method[method] == min(present, max(2, needed) if method is None else 2)
    fewer = rows[:cut]
    fakes = {row["media"] for row in fewer if row["method"]}
    assert taken & fakes <= _taken(fewer, entry, seed)


def test_subsets_depend_on_the_seed_and_are_about_as_large_as_asked() -> None:
    rows = [_row(f"{n}.mp4") for n in range(2000)]
    first, second = (_taken(rows, _entry(subset=0.3), seed) for seed in (0, 1))
    assert first != second
    assert all(500 < len(taken) < 700 for taken in (first, second))


def test_only_one_compression_is_taken() -> None:
    rows = [_row(f"{name}/0.mp4", compression=name) for name in ("raw", "c23", "c40")] + [_row("frames/0.png")]
    assert drops(rows, _entry(), "c23", 0) == {"raw/0.mp4": "other_compression", "c40/0.mp4": "other_compression"}
    assert drops(rows, _entry(), None, 0) == {}


SPLIT = [_row(f"{name}.mp4", split=name) for name in ("train", "validation", "test")] + [_row("none.mp4")]


@pytest.mark.parametrize(
    ("splits", "kept", "as_here"),
    [
        (None, "train validation test none", ["train", "validation", "test", None]),
        (["test"], "test", [None, None, "test", None]),
        (["test", "none"], "test none", [None, None, "test", None]),
        ({"validation": "test"}, "validation", [None, "test", None, None]),
        (["train", "validation"], "train validation", ["train", "validation", "test", None]),
        (["train"], "train", ["train", "validation", "test", None]),
        (["none"], "none", ["train", "validation", "test", None]),
        ({"train": "test", "none": "none"}, "train none", ["test", None, None, None]),
    ],
)
def test_only_the_splits_that_are_named_are_taken_and_what_is_left_out_keeps_a_stricter_one(
    splits: Any, kept: str, as_here: list[str | None]
) -> None:
    entry = _entry(splits=splits)
    taken = {f"{name}.mp4" for name in kept.split()}
    assert drops(SPLIT, entry, None, 0) == {row["media"]: "other_split" for row in SPLIT if row["media"] not in taken}
    part = pa.table({"media": [row["media"] for row in SPLIT], "split": [row["split"] for row in SPLIT]})
    found = as_taken(part, entry)
    assert found["split"].to_pylist() == as_here and found.schema == part.schema


PAIRED = [
    _row("a.mp4"), _row("b.mp4"), _row("alone.mp4"), _row("df/a.mp4", "Deepfakes", "a.mp4"),
    _row("fs/b.mp4", "FaceSwap", "b.mp4"), _row("nt/x.mp4", "NeuralTextures"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("methods", "made_from", "taken"),
    [
        (["Deepfakes"], (), {"df/a.mp4", "a.mp4"}),
        (["Deepfakes", "FaceSwap"], (), {"df/a.mp4", "a.mp4", "fs/b.mp4", "b.mp4"}),
        (["Deepfakes"], [(FF, "alone.mp4"), ("CelebA", "b.mp4")], {"df/a.mp4", "a.mp4", "alone.mp4"}),
        (["NeuralTextures"], (), {"nt/x.mp4", "a.mp4", "b.mp4", "alone.mp4"}),
        ([], (), set()),
        ([], [(FF, "b.mp4")], {"b.mp4"}),
    ],
)
def test_fakes_of_the_named_methods_are_taken_with_the_reals_they_were_made_from(
    methods: list[str], made_from: list[tuple[str, str]], taken: set[str]
) -> None:
    dropped = drops(PAIRED, _entry(methods=methods), None, 0, made_from)
    assert dropped == {row["media"]: "other_method" for row in PAIRED if row["media"] not in taken}


@pytest.mark.parametrize(
    ("wanted", "present", "taken"),
    [(None, {"c40", "c23"}, "c23"), (None, {"c40"}, "c40"), (None, set(), None), ("c40", {"c23", "c40"}, "c40")],
)
def test_the_recipes_compression_is_taken_or_the_manifests_first_that_is_there(
    wanted: str | None, present: set[str], taken: str | None
) -> None:
    assert compression_taken(_entry(compression=wanted), ("c23", "c40", "raw"), present) == taken


def test_a_compression_that_the_dataset_does_not_have_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"FaceForensics\+\+: no compression 'c32'; the manifest offers: c23, c40"):
        compression_taken(_entry(compression="c32"), ("c23", "c40"), ["c23"])


def test_a_compression_that_is_not_on_disk_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(RecipeError, match="compression c40 is not on disk, only c23"):
        compression_taken(_entry(compression="c40"), ("c23", "c40"), ["c23"])


LIST = f"""
# by letter of 3 March
sha256:{SHA.upper()}  # upper case is the same digest
media:faceforensics/original sequences/000.mp4
identity:{FF}/003
"""


def test_a_takedown_list_is_read_with_comments_and_under_any_name_of_a_dataset() -> None:
    found = Exclusions.parse(LIST, "list.txt")
    assert found.lines() == [f"sha256:{SHA}", f"media:{FF}/original sequences/000.mp4", f"identity:{FF}/003"]
    assert Exclusions.parse("\n".join(found.lines()), "again") == found
    assert found.union(Exclusions.parse(f"identity:{FF}/004", "b")).identities == {(FF, "003"), (FF, "004")}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("sha256:abc", "is none of sha256:HEX, media:DATASET/PATH, identity:DATASET/ID"),
        (f"sha256:{'g' * 64}", "is none of"),
        ("media:000.mp4", "is none of"),
        (f"media:{FF}/", "is none of"),
        ("identity:/003", "is none of"),
        ("person:CelebA/3", "is none of"),
        ("000.mp4", "is none of"),
        ("media:CelebB/3.jpg", "dataset 'CelebB': unknown; did you mean 'CelebA'?"),
    ],
)
def test_a_line_that_would_take_nothing_down_is_an_error_with_its_place(line: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Exclusions.parse(f"# first\n{line}\n", "list.txt")
    assert str(caught.value).startswith("list.txt:2: ") and reason in str(caught.value)


ROWS = [
    _row("000.mp4", target_id="000"),
    _row("003.mp4", target_id="003"),
    _row("000_003.mp4", "Deepfakes", "000.mp4", target_id="000", source_id="003"),
    _row("001_002.mp4", "Deepfakes", "001.mp4", target_id="001", source_id="002"),
    _row("x.mp4", "SimSwap", "000.mp4", dataset="DFDC", pair_dataset=FF),
    # its real is in none of the places where it was looked for
    _row("y.mp4", "SimSwap", dataset="DFDC", pair_candidates=[f"{FF}:c23/9.mp4", f"{FF}:c40/9.mp4"]),
]


@pytest.mark.parametrize(
    ("lines", "hit"),
    [
        ("", set()),
        (f"media:{FF}/001_002.mp4", {"001_002.mp4"}),
        (f"media:{FF}/000.mp4", {"000.mp4", "000_003.mp4", "x.mp4"}),
        (f"media:{FF}/001.mp4", {"001_002.mp4"}),
        ("media:DFDC/000.mp4", set()),
        (f"media:{FF}/c40/9.mp4", {"y.mp4"}),
        (f"sha256:{SHA}", {"000.mp4", "000_003.mp4", "x.mp4"}),
        (f"identity:{FF}/003", {"003.mp4", "000_003.mp4"}),
        (f"identity:{FF}/000", {"000.mp4", "000_003.mp4", "x.mp4"}),
        ("identity:DFDC/000", set()),
    ],
)
def test_a_takedown_hits_media_people_and_bytes_and_a_real_takes_its_fakes_with_it(lines: str, hit: set[str]) -> None:
    digests = {(FF, "000.mp4"): SHA, (FF, "003.mp4"): "b" * 64}
    found = taken_down(ROWS, digests.get, Exclusions.parse(lines, "list.txt"))
    assert {media for _, media in found} == hit


def test_takedown_lines_that_hit_nothing_are_told() -> None:
    rows = [
        {"dataset": "CelebA", "media": media, "target_id": who, "source_id": None, "pair_dataset": None, "pair_media": pair}
        for media, who, pair in (("a.jpg", "7", None), ("b.jpg", None, "c.jpg"))
    ]
    hit = ["media:CelebA/a.jpg", "media:CelebA/c.jpg", "identity:CelebA/7", f"sha256:{'1' * 64}", "media:FFHQ/00001.png"]
    idle = ["media:CelebA/A.jpg", "identity:CelebA/8", f"sha256:{'2' * 64}"]
    excluded = Exclusions.parse("\n".join([*hit, *idle]), "list")
    found = idle_lines(rows, lambda name: "1" * 64 if name[1] == "a.jpg" else None, excluded)
    assert sorted(found) == sorted(idle)
    assert idle_lines(rows, lambda name: None, Exclusions()) == []
