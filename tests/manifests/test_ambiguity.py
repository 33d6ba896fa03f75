"""Patterns that a name could fit in too many ways are refused; those of every manifest are far from it."""

from __future__ import annotations

import pytest

from mmidd.manifest import shipped
from mmidd.manifest.ambiguity import MOST_BITS, bits
from mmidd.manifest.layout import LayoutError, compile_pattern, make_field

WAYS = [
    ("abc", 0), (r"\d+_\d+\.mp4", 0), (r"(?P<x>[a-z]+)/(?P<y>[^/]+)", 0), (r"[a-z]*b", 8), (r"[a-z]*", 0), ("a?a", 1),
    ("(?:/[^/]+)?(?:/[^/]+)?/x", 2), (r".+a.+b", 24), ("(?:a|b)c", 0), ("(?:a|ab)c", 1), (r"(?P<x>[a-z]+)(?P=x)", 8),
    (r"[^/]{1,4}a", 2), (r"(?:[^/]+/)*[^/]*\.png", 12),
]  # fmt: skip


@pytest.mark.parametrize(("regex", "expected"), WAYS)
def test_the_ways_a_pattern_can_be_laid_over_a_name(regex: str, expected: int) -> None:
    assert bits(regex) == expected


@pytest.mark.parametrize("text", ["*a*a*a*a.png", "**a**a*a.png", "{x}.png", "{y}.png"])
def test_a_pattern_that_could_run_away_is_refused(text: str) -> None:
    fields = {"x": make_field("x", "[a-z]*" * 5 + "x"), "y": make_field("y", "a?" * 40 + "b")}
    with pytest.raises(LayoutError, match="in too many ways"):
        compile_pattern(text, fields)


def test_no_pattern_of_a_manifest_comes_near() -> None:
    layouts = [manifest.layout for manifest in shipped().values()]
    patterns = [pattern for layout in layouts for rule in layout.rules for pattern in rule.paths]
    assert len(patterns) > 100
    assert max(bits(pattern.regex.pattern) for pattern in patterns) < MOST_BITS
