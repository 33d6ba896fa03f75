"""Arbitrary names under all manifests: each is accounted for once, and no label comes without a rule that says it."""

from __future__ import annotations

import re
import string
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.manifest import Accounting, Manifest, Medium, describe, shipped
from mmidd.manifest.accounting import Rule
from mmidd.manifest.layout import Pattern, path_fault
from mmidd.raw.junk import no_medium

ALL = sorted(shipped())
_TOKEN = re.compile(r"\{([^{}]*)\}|\*\*/|\*\*|\*")


@cache
def _literals(name: str) -> tuple[str, ...]:
    """The folders and file names, or pieces of them, that a manifest speaks of."""
    manifest = shipped()[name]
    found = {piece for rule in manifest.rules for path in rule.path for piece in re.split(r"/|\{[^{}]*\}|\*", path)}
    found |= {choice for field in manifest.layout.fields.values() for choice in field.choices or ()}
    return tuple(sorted(found - {""}))


def _value(manifest: Manifest, token: re.Match[str], chosen: dict[str, Any]) -> Any:
    field = manifest.layout.fields[token[1]] if token[1] else None
    if field is None:
        return {"**/": st.sampled_from(["", "x/", "x/y/"]), "**": st.just("x/y.z"), "*": st.sampled_from(["", "x"])}[
            token[0]
        ]
    if field.name not in chosen:
        kind = (
            st.sampled_from(field.choices) if field.choices else st.from_regex(re.compile(field.regex, re.A), fullmatch=True)
        )
        chosen[field.name] = st.shared(kind, key=field.name)
    return chosen[field.name]


def _paths(manifest: Manifest) -> Any:
    """Paths that fit a pattern of one of the manifest's rules."""

    def fitting(pattern: Pattern) -> Any:
        pieces: list[Any] = []
        chosen: dict[str, Any] = {}
        end = 0
        for token in _TOKEN.finditer(pattern.text):
            pieces += [st.just(pattern.text[end : token.start()]), _value(manifest, token, chosen)]
            end = token.end()
        return st.tuples(*pieces, st.just(pattern.text[end:])).map("".join)

    patterns = [(rule, pattern) for rule in manifest.layout.rules for pattern in rule.paths]
    fitted = st.sampled_from(patterns).flatmap(
        lambda pair: st.tuples(fitting(pair[1]), st.sampled_from(["1.png", "001", "x.jpg"])).map(
            # of a clip the pattern names its files with `/*`
            lambda made: f"{made[0].rpartition('/')[0]}/{made[1]}" if pair[0].kind == "frames" else made[0]
        )
    )
    return fitted.filter(lambda path: path_fault(path) is None)


def _random(manifest: Manifest) -> Any:
    """Paths of pieces that the manifest knows, of its names and of anything."""
    piece = st.one_of(st.sampled_from(_literals(manifest.name)), st.text(max_size=8), st.sampled_from(["..", ".", "1.png"]))
    return st.lists(st.lists(piece, min_size=1, max_size=3).map("".join), min_size=1, max_size=6).map("/".join)


def _described(manifest: Manifest, paths: list[str]) -> Accounting:
    return describe(manifest, paths, lambda path: b"{}" if path.endswith(".json") else b"")


def _check(manifest: Manifest, paths: list[str]) -> None:
    """Every path ends in one place, and a medium is what a rule says whose pattern fits its path."""
    result = _described(manifest, paths)
    frames = [path for clip in result.frames.values() for path in clip.values()]
    files = [medium.media for medium in result.media if medium.media not in result.frames]
    placed = [*files, *frames, *result.label_files, *(path for path, _ in result.unmatched)]
    assert sorted(placed) == sorted(set(placed)) and set(placed) <= set(paths)
    assert len(placed) + sum(result.ignored.values()) == len(set(paths))
    rules = {rule.id: rule for rule in manifest.layout.rules}
    for medium in result.media:
        assert path_fault(medium.media) is None
        files = [*result.frames.get(medium.media, {0: medium.media}).values()]
        assert all(_says(rules[medium.rule], medium, path) for path in files)


def _says(rule: Rule, medium: Medium, path: str) -> bool:
    """Does the rule's own pattern fit the path, and is the medium labelled as the rule says?"""
    fits = any(pattern.match(path) is not None for pattern in rule.paths)
    return fits and medium.label == rule.label and (medium.method is None) == (rule.label == "real")


@pytest.mark.parametrize("name", ALL)
@given(data=st.data())
@settings(max_examples=25)
def test_any_names_are_accounted_for_once_and_labelled_only_by_a_rule_that_fits(name: str, data: st.DataObject) -> None:
    manifest = shipped()[name]
    paths = data.draw(st.lists(st.one_of(_random(manifest), _paths(manifest)), max_size=6, unique=True))
    faulty = {path for path in paths if path_fault(path) is not None}
    _check(manifest, [path for path in paths if path not in faulty])
    assert {path for path, _ in _described(manifest, paths).unmatched} >= faulty


def _one(manifest: Manifest, path: str) -> Medium | None:
    media = _described(manifest, [path]).media
    assert len(media) <= 1
    return media[0] if media else None


@pytest.mark.parametrize("name", ALL)
@given(data=st.data())
@settings(max_examples=40)
def test_a_character_changed_or_added_never_changes_a_label_without_a_rule_that_fits(name: str, data: st.DataObject) -> None:
    manifest = shipped()[name]
    path = data.draw(_paths(manifest))
    place = data.draw(st.integers(0, len(path)))
    removed = data.draw(st.integers(0, 1))
    letters = st.sampled_from(["", *string.ascii_letters, *string.digits, "/", ".", "_", "-", " ", "\n", "٣", "ı"])
    changed = path[:place] + data.draw(letters) + path[place + removed :]
    if path_fault(changed) is not None:
        assert [each for each, _ in _described(manifest, [changed]).unmatched] == [changed]
        return
    _check(manifest, [changed])
    before, after = _one(manifest, path), _one(manifest, changed)
    if before is None or after is None or (before.label, before.method) == (after.label, after.method):
        return
    # another label: the part that the rules tell labels by has to be another, and known to them
    assert (after.rule, after.method) != (before.rule, before.method)
    assert _says(next(rule for rule in manifest.layout.rules if rule.id == after.rule), after, changed)


@pytest.mark.parametrize("name", ALL)
@given(data=st.data())
@settings(max_examples=10)
def test_the_paths_that_the_rules_describe_are_taken_or_told_why_not(name: str, data: st.DataObject) -> None:
    manifest = shipped()[name]
    path = data.draw(_paths(manifest))
    result = _described(manifest, [path])
    if not result.media and not result.label_files and not result.ignored and not no_medium(path):
        assert [reason for _, reason in result.unmatched] != ["no rule"]
