"""The path language: what a pattern takes, what it refuses, and that no name can upset it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.manifest import bundled, describe
from mmidd.manifest.layout import Field, LayoutError, compile_pattern, compile_template, make_field, path_fault

FIELDS: dict[str, Field] = {
    "id": make_field("id", r"\d{3}"),
    "c": make_field("c", None, ["c23", "c2"], {"c2": "two"}),
    "name": make_field("name", "[^/]+"),
    "part": make_field("part", r"(?:train/)?part_\d+", path=True),
}

MATCHES = [
    ("a/{id}.mp4", "a/001.mp4", {"id": "001"}),
    ("a/{id}.mp4", "a/0011.mp4", None),
    ("a/{id}.mp4", "x/a/001.mp4", None),
    ("a/{id}.mp4", "a/001.mp4\n", None),
    ("a/{id}.mp4", "a/001xmp4", None),
    ("a/{id}.mp4", "A/001.mp4", None),
    ("{c}/x", "c23/x", {"c": "c23"}),
    ("{c}/x", "c2/x", {"c": "c2"}),
    ("{c}/x", "c/x", None),
    ("{id}/{id}.png", "001/001.png", {"id": "001"}),
    ("{id}/{id}.png", "001/002.png", None),
    ("{name}.png", "a.b.png", {"name": "a.b"}),
    ("{name}.png", "a/b.png", None),
    ("{part}/{name}", "train/part_7/x", {"part": "train/part_7", "name": "x"}),
    ("*.txt", "a.txt", {}),
    ("*.txt", "a/b.txt", None),
    ("**/*.txt", "b.txt", {}),
    ("**/*.txt", "a/b/c.txt", {}),
    ("a/**", "a/b/c", {}),
    ("a/**", "a", None),
    ("a/**/z", "a/z", {}),
    ("a/**/z", "a/b/c/z", {}),
    ("a/**/z", "a/bz", None),
]


@pytest.mark.parametrize(("pattern", "path", "fields"), MATCHES)
def test_patterns_match_whole_paths_in_their_case(pattern: str, path: str, fields: dict[str, str] | None) -> None:
    assert compile_pattern(pattern, FIELDS).match(path) == fields


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("/a/{id}", "no plain relative path"),
        ("a/../b", "no plain relative path"),
        ("a//b", "no plain relative path"),
        ("a\\b", "no plain relative path"),
        ("", "no plain relative path"),
        ("a/{id", "a brace is not closed"),
        ("a/{nope}", "no field 'nope'; fields: c, id, name, part"),
        ("**/a/**/b/**", "at most two"),
    ],
)
def test_patterns_that_are_no_paths_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        compile_pattern(pattern, FIELDS)


@pytest.mark.parametrize(
    "regex",
    ["(a+)+", "(?:a+)+", "(?:a|b)*", "(a)", "(?=a)b", r"\d*", "[", ".+", "[^_]+", r"\S+", r"\D", "a/b", "x" * 201],
)
def test_fields_that_could_run_away_or_cross_folders_are_refused(regex: str) -> None:
    with pytest.raises(LayoutError, match="field 'f'"):
        make_field("f", regex)


@pytest.mark.parametrize("regex", [r"\d{2,4}", "[^/]+", "[a-z]{10}", r"(?:ab|cd)?x", r"a\.b", "[A-Za-z0-9_.-]+"])
def test_plain_fields_are_accepted(regex: str) -> None:
    assert make_field("f", regex).regex == regex


@pytest.mark.parametrize(
    ("choices", "rename", "message"),
    [([], {}, "must be names"), (["a/b"], {}, "must be names"), (["a"], {"b": "c"}, "names no choice: b")],
)
def test_choices_must_be_names(choices: list[str], rename: dict[str, str], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        make_field("f", None, choices, rename)


@pytest.mark.parametrize(
    ("choices", "message"),
    [(["DiT", "dit"], "two choices are the same"), (["Naïve"], "ASCII letters"), (None, "ASCII letters")],
)
def test_a_field_in_any_case_needs_choices_that_differ(choices: list[str] | None, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        make_field("f", None if choices else "x", choices, any_case=True)


@pytest.mark.parametrize(
    ("path", "meant"),
    [("DiT/x", "DiT"), ("dit/x", "DiT"), ("DIT/x", "DiT"), ("SD2.1/x", "SD-2.1"), ("sd2x1/x", None), ("dıt/x", None)],
)
def test_a_field_in_any_case_means_the_choice_however_it_is_spelled(path: str, meant: str | None) -> None:
    field = make_field("f", None, ["DiT", "sd2.1"], {"sd2.1": "SD-2.1"}, any_case=True)
    pattern = compile_pattern("{f}/x", {"f": field})
    found = pattern.match(path)
    assert (field.meaning(found["f"]) if found else None) == meant
    assert pattern.heads == frozenset({"dit", "sd2.1"})


def test_templates_fill_their_places_and_are_none_where_a_value_is() -> None:
    template = compile_template("a/{x}_{y}.mp4")
    assert template.names == ("x", "y")
    assert template.render({"x": "1", "y": "{z}"}) == "a/1_{z}.mp4"
    assert template.render({"x": "1", "y": None}) is None
    assert template.render({"x": "1", "y": ""}) is None
    assert compile_template("{x}").render({"x": ""}) is None
    assert compile_template("{x}").render({"x": "v"}) == "v"
    for broken in ("{x", "x}", "{}", "{{x}}"):
        with pytest.raises(LayoutError):
            compile_template(broken)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("a/b.mp4", None),
        ("ä/é.mp4", None),
        ("a/...mp4", None),
        ("a/../b", "not a plain relative path"),
        ("./a", "not a plain relative path"),
        ("/a", "not a plain relative path"),
        ("a/", "not a plain relative path"),
        ("", "not a plain relative path"),
        ("a\0b", "not a plain relative path"),
        ("\udc80", "name is not UTF-8"),
    ],
)
def test_paths_that_cannot_name_a_medium_are_told(path: str, fault: str | None) -> None:
    assert path_fault(path) == fault


NAMES = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(
            ["original_sequences", "youtube", "c23", "videos", "000.mp4", "000_003.mp4", "wiki", "00", "train", "Real"]
        ),
        st.sampled_from(["..", ".", "", "x.png", "000001.jpg", "Celeb-real", "id0_0000.mp4", "img_align_celeba"]),
    ),
    max_size=6,
).map("/".join)


@given(st.lists(NAMES, max_size=8))
def test_any_names_are_accounted_for_exactly_once_and_no_medium_has_an_odd_path(paths: list[str]) -> None:
    for manifest in bundled().values():
        result = describe(manifest, paths, lambda path: b"")
        placed = [*(medium.media for medium in result.media), *result.label_files, *(p for p, _ in result.unmatched)]
        assert len(placed) + sum(result.ignored.values()) == len(set(paths))
        assert len(placed) == len(set(placed))
        rules = {rule.id: rule for rule in manifest.layout.rules}
        for medium in result.media:
            assert path_fault(medium.media) is None
            assert any(pattern.match(medium.media) is not None for pattern in rules[medium.rule].paths)


@given(st.permutations([f"wiki/00/{i}.jpg" for i in range(4)] + [f"text2img/00/{i}.jpg" for i in range(6)] + ["x", "y"]))
def test_the_order_of_the_listing_changes_nothing(paths: list[str]) -> None:
    manifest = bundled()["DeepFakeFace"]
    assert describe(manifest, paths, lambda path: b"") == describe(manifest, sorted(paths), lambda path: b"")


def test_a_long_hostile_name_is_unmatched_like_any_other() -> None:
    manifest = bundled()["FaceForensics++"]
    path = "original_sequences/actors/c23/videos/" + "01__" + "_" * 240
    deep = "manipulated_sequences/" + "a/" * 5000 + "x"
    assert [reason for _, reason in describe(manifest, [path, deep], lambda path: b"").unmatched] == ["no rule"] * 2
