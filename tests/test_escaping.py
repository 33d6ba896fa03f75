"""Names from outside as every verb and the card show them: no escape sequence, no markup, no line of their own."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import Place, Said
from place import moved

from mmidd import cli
from mmidd.corpus.card import escape
from mmidd.manifest import format as formats

Run = Callable[..., Said]
IMAGES = Path("CelebA/img_align_celeba")
NAMES = {
    "html": "<script>alert(1)<&lt;b&gt;.jpg",
    "markdown": "[x](http:evil) ![y](z) `c` **b** | d.jpg",
    "rich": "[bold red]x[link=http:evil]y:bomb:[@click=z].jpg",
    "formula": "=cmd|' +A1.jpg",
    "minus": "-2+3.jpg",
    "at": "@SUM(1).jpg",
    "csi": "\x1b[31mred\x1b[2J.jpg",
    "osc": "\x1b]8;;http:evil\x07link\x9b2J.jpg",
    "bidi": "a\u202egpj.exe\u2066\u200b.jpg",
    "lines": "one\ntwo\r\u2028three\x85\t.jpg",
}


def shown_safely(text: str) -> bool:
    """Is every character one that a terminal shows as itself?"""
    return all(c == "\n" or unicodedata.category(c)[0] not in "CZ" or c == " " for c in text)


@pytest.fixture(scope="module")
def hostile(small: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with a file of every hostile name, and a folder and a label of such a name, built through the CLI."""
    place = Place.whole(moved(small.root, tmp_path_factory.mktemp("hostile") / "place"))
    for name in NAMES.values():
        (place.data / IMAGES / name).write_bytes(b"x")
    assert cli.run(place.words("build")) in (0, 3)
    return place


SHOWN: list[tuple[str, Callable[[Place], list[str]]]] = [
    ("index", lambda place: place.words("index")),
    ("index --check", lambda place: place.words("index", "--check")),
    ("build", lambda place: place.words("build")),
    ("plan", lambda place: place.words("plan")),
    ("status", lambda place: ["status", str(place.work)]),
    ("failures", lambda place: ["failures", str(place.work)]),
    ("verify", lambda place: ["verify", str(place.out)]),
    ("datasets", lambda place: ["datasets", "--data", str(place.data)]),
]


@pytest.mark.parametrize(("verb", "words"), SHOWN, ids=[verb for verb, _ in SHOWN])
def test_no_verb_prints_what_a_terminal_would_obey(
    verb: str, words: Callable[[Place], list[str]], hostile: Place, mmidd: Run
) -> None:
    said = mmidd(*words(hostile))
    assert said.code in (0, 3, 4), said.err
    assert shown_safely(said.out + said.err)
    as_json = mmidd(*words(hostile), "--json") if verb != "build" else None
    if as_json is not None:
        assert as_json.out.isascii() and json.loads(as_json.out) is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_listed_as_it_is_but_for_its_control_characters(name: str, hostile: Place, mmidd: Run) -> None:
    shown = "".join(c if c.isprintable() else "?" for c in NAMES[name])
    assert f"CelebA/img_align_celeba/{shown}" in mmidd("failures", str(hostile.work)).out


@pytest.mark.parametrize("name", NAMES)
def test_a_path_on_the_command_line_is_told_back_harmlessly(name: str, mmidd: Run) -> None:
    text = NAMES[name].replace("/", "")
    for words in (["verify", f"./{text}"], ["failures", f"./{text}"], ["build", f"{text}", "--data", ".", "--out", "./x"]):
        said = mmidd(*words)
        assert said.code in (1, 2) and shown_safely(said.out + said.err)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("minus",)])
def test_an_unknown_option_or_verb_is_told_back_harmlessly(name: str, mmidd: Run) -> None:
    for words in ([NAMES[name]], ["verify", "x", f"--{NAMES[name]}"]):
        said = mmidd(*words)
        assert said.code == 2 and shown_safely(said.out + said.err)


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_of_ones_own_shows_its_names_harmlessly(
    name: str, tmp_path: Path, mmidd: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = NAMES[name]
    licence = {"id": "other", "name": text, "url": text, "redistributable": False}
    rule = {"id": "all", "path": "{x}.jpg", "label": "real"}
    manifest = {
        "name": f"M {text}", "slug": "mine", "year": 2024, "folders": [f"M {text}"], "summary": text, "access": text,
        "citation": text, "licence": licence, "verified": True, "type_basis": "unknown", "fields": {"x": "[a-z]+"},
        "rules": [rule], "known_defects": [text],
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    monkeypatch.setenv("MMIDD_MANIFESTS", str(tmp_path))
    try:
        for words in (["datasets"], ["datasets", "mine"], ["datasets", "nine"]):
            said = mmidd(*words)
            assert shown_safely(said.out + said.err)
    finally:
        formats._manifests.cache_clear()


def test_the_card_of_a_corpus_holds_no_control_character(hostile: Place) -> None:
    assert shown_safely((hostile.out / "README.md").read_text(encoding="utf-8"))


MARKDOWN = [
    ("a | b", "a \\| b"), ("&lt;b>", "\\&lt;b\\>"), ("a_b _c_", "a_b \\_c\\_"), ("# x", "\\# x"), ("- x", "\\- x"),
    ("12. x", "12\\. x"),
    ("    x", "x"), ("---", "\\---"),
    ("a\n# b", "a # b"), ("\u202ea\x1b[1m", "a\\[1m"), ("~~a~~", "\\~\\~a\\~\\~"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "escaped"), MARKDOWN)
def test_markdown_of_a_name_is_the_name(text: str, escaped: str) -> None:
    assert escape(text) == escaped
