"""What the card says: of a publication that was staged, and of one whose every name is hostile."""

from __future__ import annotations

import io
import json
import re
import shlex
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import Build
from corpus import made
from markdown_it import MarkdownIt
from PIL import Image
from test_escaping import NAMES
from typer.main import get_command

from mmidd.cli import app
from mmidd.corpus.about import Listed
from mmidd.corpus.read import Corpus
from mmidd.manifest import bundled
from mmidd.share import card
from mmidd.share.card.citation import parsed
from mmidd.share.card.facts import Source
from mmidd.share.publication.format import Publication, Terms
from mmidd.share.publication.opened import open_publication


def _body(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]


def _section(folder: Path, title: str) -> str:
    return _body(folder).split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_what_is_withheld_is_said_by_dataset_with_the_reason_and_the_way_out(mixed: Path) -> None:
    withheld, again = _section(mixed, "What is here and what is withheld"), _section(mixed, "How to make the pixels again")
    for terms in open_publication(mixed).about.terms:
        (line,) = [line for line in withheld.splitlines() if line.startswith(f"| {terms.dataset} ")]
        assert (" here | here | here " if terms.pixels else " withheld | withheld | here ") in line and terms.why in line
        assert (f"| {terms.dataset} |" in again) == (not terms.pixels)
    assert "mmidd rehydrate my-lab/faces@v1 --data ROOT --out CORPUS" in again


def test_the_commands_of_the_card_are_commands(mixed: Path) -> None:
    lines = [line for line in _section(mixed, "How to make the pixels again").splitlines() if line.startswith("mmidd ")]
    assert len(lines) == 2
    for line in lines:
        _, verb, *words = shlex.split(line, comments=True)
        get_command(app).commands[verb].make_context(verb, words)  # type: ignore[attr-defined]  # raises where it is none


def test_a_complete_publication_withholds_nothing(complete: Path) -> None:
    body = _body(complete)
    assert "How to make the pixels again" not in body and "Proofs" not in body and "All rows have their pixels." in body
    assert 'mmidd.Corpus("hf://datasets/my-lab/faces")' in body
    assert "FaceForensics" not in body and "Flagged" not in body


def test_losses_are_told_of_datasets_that_are_published_and_of_no_other(complete: Path, built: Build) -> None:
    """Also where the corpus's own findings name them."""
    found = Corpus(built.out)
    flagged = [
        {
            "dataset": name, "method": "Swap", "fakes": 40, "fakes_lost": 12, "reals": 20, "reals_lost": 1,
            "threshold": "half", "reason": "no_face",
        }
        for name in ("FFHQ", "FaceForensics++")
    ]  # fmt: skip
    checks = {"FFHQ": {"checked": 5, "proved": 4}, "FaceForensics++": {"checked": 90, "proved": 1}}
    losses = {"flagged": flagged, "pair_checks": checks}
    found.about = replace(found.about, content={**found.about.content, "losses": losses})
    body = card.files(found, open_publication(complete).about, bundled(), None)["README.md"].decode()
    told = "12 of 40 fakes and 1 of 20 reals lost half of their frames (mostly no_face)"
    assert f"**Flagged:** FFHQ, Swap: {told}" in body and "FaceForensics++, Swap" not in body
    assert "Of 5 fakes with a real, 4 prove" in body


def test_the_counts_are_those_of_the_rows(mixed: Path) -> None:
    opened, table = open_publication(mixed), _section(mixed, "Samples by dataset, type and split")
    (last,) = [line for line in table.splitlines() if line.startswith("| all |")]
    assert last.split(" | ")[-1].rstrip(" |") == f"{len(opened):,}"


def test_what_is_known_against_it_is_said(mixed: Path, built: Build) -> None:
    losses = json.loads((built.out / "mmidd.json").read_bytes())["losses"]
    limits = _section(mixed, "Audit and known limits")
    assert all(f"{name} has reals alone" in limits for name in losses["one_sided"]) and losses["one_sided"]
    lost = _section(mixed, "What was lost")
    assert ("**Flagged:**" in lost) == bool(losses["flagged"])
    checked = sum(each["checked"] for each in losses["pair_checks"].values())
    assert f"Of {checked:,} fakes with a real" in lost
    assert "columns alone" in limits and "mmidd audit" in limits


def test_a_redacted_publication_says_so_and_names_no_path_of_the_corpus(redacted: Path, built: Build) -> None:
    assert "Removed from all rows before publishing: identities, paths, captions." in _body(redacted)
    assert ", captions" not in (redacted / "LICENSES.md").read_text(encoding="utf-8")
    assert "Identities were removed" in _body(redacted) and "removed before publishing" in _section(
        redacted, "How it was made"
    )
    names = {name for name in pq.read_table(built.out / "media.parquet")["media"].to_pylist() if "/" in name}
    for file in ("README.md", "croissant.json", "LICENSES.md", "CITATION.cff"):
        text = (redacted / file).read_text(encoding="utf-8")
        assert not [name for name in names if name in text]


def test_every_source_is_cited_in_bibtex_and_in_cff(mixed: Path) -> None:
    bibtex = re.search(r"```bibtex\n(.*?)```", _body(mixed), re.DOTALL)
    cff = yaml.safe_load((mixed / "CITATION.cff").read_text(encoding="utf-8"))
    assert bibtex is not None
    entries = re.findall(r"^@misc\{(\w+),$", bibtex[1], re.MULTILINE)
    terms = open_publication(mixed).about.terms
    assert entries == ["faces_v1", *(each.slug for each in terms)]
    assert bibtex[1].count("{") == bibtex[1].count("}")
    assert len(cff["references"]) == len(terms)
    assert {"cff-version", "message", "title", "authors", "type"} <= set(cff) and cff["authors"] == [{"name": "my-lab"}]
    assert all({"type", "title", "authors"} <= set(each) for each in cff["references"])


@pytest.mark.parametrize("name", sorted(bundled()))
def test_the_citation_of_every_manifest_is_taken_apart(name: str) -> None:
    manifest = bundled()[name]
    found = parsed(Source(Terms(name, manifest.slug, "", "", None, False, False, False, ""), manifest, {}))
    assert found["authors"] and found["title"] and found["title"] != name and found["year"]
    assert "arXiv" not in manifest.citation or found["arxiv"]
    assert not re.search(r"arXiv|\b(19|20)\d\d\b", f"{found['title']} {found['venue']} {found['authors']}")
    words = [found["authors"], found["title"], found["year"], found["arxiv"] or ""]
    assert all((word and word in manifest.citation) or not word for word in words)


def test_the_picture_shows_pixels_of_datasets_that_let_them_go_alone(mixed: Path, built: Build) -> None:
    with Image.open(mixed / "samples.jpg") as sheet:
        assert sheet.size == (768, 112) and sheet.format == "JPEG"
    assert not (mixed / "counts.svg").exists()


def test_without_pixels_the_picture_is_a_chart(built: Build) -> None:
    found = _hostile(built.out, "Plain", {})
    assert "counts.svg" in found and "samples.jpg" not in found
    assert ElementTree.fromstring(found["counts.svg"]).tag.endswith("svg")


HOSTILE = {
    **NAMES,
    "yaml": "x\n---\nlicense: mit\n\"'%&*!|>{}[]",
    "fences": "a``` b ~~~\n```\n# c",
    "tex": r"\input{/etc/passwd}}, note={x} $^_~%#&",
    "xml": "]]></text><script>alert(1)</script>",
    "format": "{0} {x} %s {facts.repository}",
}


def _hostile(corpus: Path, text: str, recipe: dict[str, Any]) -> Mapping[str, bytes]:
    found = Corpus(corpus)
    base = bundled()["FFHQ"]
    licence = base.licence.model_copy(update={"name": text, "url": text})
    manifest = base.model_copy(
        update={
            "name": text, "citation": text, "access": text, "licence": licence, "known_defects": (text,), "verified": False,
            "verified_note": text, "folders": (text,),
        }
    )  # fmt: skip
    terms = [Terms(text, slug, text, text, None, False, False, True, text) for slug in found.datasets]
    files = {shard.name.replace("data/", "labels/"): Listed(1, "0" * 64, shard.rows) for shard in found.shards}
    files["media.parquet"] = found.files["media.parquet"]
    publication = Publication(text, 2, text, found.about.content, terms, (), files, {}, ({"dataset": text, "added": 3},))
    return card.files(found, publication, {text: manifest}, None)


@pytest.fixture(scope="module", params=HOSTILE)
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """The files of a publication in which whatever can be text is hostile."""
    text = HOSTILE[request.param]
    folder = made.corpus(tmp_path_factory.mktemp("hostile") / "corpus")
    about = made.about(folder)
    names = ("crop", "frames", "image", "detector", "captioner", "curation")
    keys = ("size", "choice", "template", "margin", "count", "spacing", "format", "kind", "model", "exact_duplicates")
    about["recipe"] = {"description": text, "decoder": text, **{name: dict.fromkeys(keys, text) for name in names}}
    about |= {"detector_licence": text, "libraries": {text: text}}
    flagged = {"dataset": text, "method": text, "reason": text, "threshold": text, "fakes": text}
    about["losses"] = {"flagged": [flagged, text, None], "pair_checks": {text: {"checked": 3}}, "one_sided": text}
    made.sign(folder, about)
    return _hostile(folder, text, {})


def test_no_name_is_markup_or_a_control_character(hostile: Mapping[str, bytes]) -> None:
    for name in ("README.md", "LICENSES.md"):
        text = hostile[name].decode()
        assert all(each in "\n " or unicodedata.category(each)[0] not in "CZ" for each in text)
        body = text.split("---\n", 2)[2] if name == "README.md" else text
        shown = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(body)
        assert not re.search(r"<(script|b|s)\b|evil\"|src=\"z|<hr", shown)
        assert "<script>alert" not in shown
        assert shown.count("<h1>") == 1


def test_no_name_adds_to_the_front_matter_or_to_a_document(hostile: Mapping[str, bytes]) -> None:
    front = yaml.safe_load(hostile["README.md"].decode().split("---\n", 2)[1])
    assert front["license"] == "other" and [each["config_name"] for each in front["configs"]][:2] == ["all", "labels"]
    document = json.loads(hostile["croissant.json"])
    assert document["@type"] == "sc:Dataset" and len(document["recordSet"]) == 2 + len(front["configs"])
    assert set(yaml.safe_load(hostile["CITATION.cff"])) >= {"cff-version", "title", "authors"}
    ElementTree.fromstring(hostile["counts.svg"])


def test_bibtex_stays_within_its_braces_and_fences(hostile: Mapping[str, bytes]) -> None:
    text = hostile["README.md"].decode()
    inside = text.split("```bibtex\n", 1)[1].split("\n```\n", 1)[0]
    assert "`" not in inside and len(re.findall("^@", inside, re.MULTILINE)) == 4
    bare = re.sub(r"\\textbackslash\{\}|\\[a-z]+\{\}|\\[{}&%$#_]", "", inside)
    assert bare.count("{") == bare.count("}") and "\\" not in bare


def test_croissant_of_hostile_names_is_valid(hostile: Mapping[str, bytes], tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    (tmp_path / "croissant.json").write_bytes(hostile["croissant.json"])
    assert not mlcroissant.Dataset(str(tmp_path / "croissant.json")).metadata.ctx.issues.errors


def test_a_changed_version_is_told_with_its_changes(built: Build) -> None:
    found = _hostile(built.out, "Plain", {})["README.md"].decode()
    assert "This is version 2 (tag `v2`)" in found and "| Plain | 3 |" in found


def test_a_picture_of_an_image_that_does_not_decode_says_which(tmp_path: Path) -> None:
    from mmidd.errors import CorpusError

    def broken(shard: str, rows: list[dict[str, Any]]) -> None:
        rows[0]["image"] = b"\x89PNG no"

    found = Corpus(made.corpus(tmp_path / "corpus", broken))
    terms = [Terms(slug, slug, "free", "", True, True, True, True, "") for slug in found.datasets]
    publication = Publication("x", 1, "0", found.about.content, terms, (), dict(found.files), {})
    with pytest.raises(CorpusError, match="cannot be decoded"):
        card.files(found, publication, {}, None)
    sound = Corpus(made.corpus(tmp_path / "sound"))
    files = card.files(sound, replace(publication, corpus=sound.about.content, files=dict(sound.files)), {}, None)
    assert Image.open(io.BytesIO(files["samples.jpg"])).format == "JPEG"
