"""Whom to cite: BibTeX of the dataset and of every source, and CITATION.cff."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from mmidd.share.card.facts import Facts, Source, one_line

_FORM = re.compile(
    r"(?P<authors>[^,]+), (?P<title>.+), (?P<venue>[^,:]*?) ?\b(?P<year>(?:19|20)\d\d)\b(?P<more>[^,:]*?)"
    r"(?:, arXiv:(?P<arxiv>\d{4}\.\d{4,5}(?:v\d+)?))?"
)
"""How manifests cite: AUTHORS, TITLE, VENUE YEAR, arXiv:NUMBER."""
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": "'"} | {
    each: f"\\{each}" for each in "{}&%$#_"
}


def bibtex(facts: Facts) -> str:
    """Entries for the dataset and each source, between fences. No text from outside can end an entry or the fences."""
    own = {
        "title": facts.title, "author": f"{{{_tex(facts.owner)}}}" if facts.owner else None,
        "note": f"Version {facts.publication.version}, made with mmidd {facts.publication.mmidd}", "url": facts.url,
    }  # fmt: skip
    key = re.sub(r"[^a-z0-9]+", "_", facts.title.lower()).strip("_") or "corpus"
    entries = [_entry(f"{key}_v{facts.publication.version}", own), *(_source(source) for source in facts.sources)]
    return "```bibtex\n" + "\n\n".join(entries) + "\n```\n"


def cff(facts: Facts) -> bytes:
    """CITATION.cff of version 1.2.0."""
    content = {
        "cff-version": "1.2.0",
        "message": "Cite this dataset and, under references, every source whose rows you use.",
        "type": "dataset",
        "title": facts.title,
        "version": str(facts.publication.version),
        "authors": [{"name": facts.owner or f"the publisher of {facts.title}"}],
        "keywords": ["deepfake detection", "face forgery", "dataset"],
        "identifiers": [{"type": "other", "value": facts.corpus.digest, "description": "digest of the corpus's data files"}],
        **({"url": facts.url, "license-url": f"{facts.url}/blob/main/LICENSES.md"} if facts.url else {}),
        "references": [_reference(source) for source in facts.sources],
    }
    return yaml.safe_dump(content, sort_keys=False, width=120).encode()


def parsed(source: Source) -> dict[str, str | None]:
    """Authors, title, venue, year and arXiv number of a source; with a citation of another form, that as a note."""
    text = one_line(source.manifest.citation) if source.manifest else ""
    found = _FORM.fullmatch(text)
    if found is None:
        year = str(source.manifest.year) if source.manifest else None
        return {"authors": None, "title": source.name, "venue": text or None, "year": year, "arxiv": None}
    more = found["more"].strip()
    return {
        "authors": found["authors"], "title": found["title"], "year": found["year"], "arxiv": found["arxiv"],
        "venue": " ".join(filter(None, (found["venue"].strip(), f"({more})" if more else ""))) or None,
    }  # fmt: skip


def _source(source: Source) -> str:
    told = parsed(source)
    authors = re.sub(r" et al\.?$", " and others", told["authors"]) if told["authors"] else None
    fields = {
        "title": told["title"], "author": _tex(authors) if authors else None, "year": told["year"], "note": told["venue"],
        "eprint": told["arxiv"], "archiveprefix": "arXiv" if told["arxiv"] else None, "url": source.terms.url,
    }  # fmt: skip
    return _entry(source.terms.slug, fields)


def _entry(key: str, fields: dict[str, str | None]) -> str:
    lines = [f"  {name:13} = {{{_value(name, value)}}}" for name, value in fields.items() if value]
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}"


def _value(name: str, value: str) -> str:
    if name == "author":
        return value
    if name == "url":
        return re.sub(r"[{}\\`\s]", "", one_line(value))
    return f"{{{_tex(value)}}}" if name == "title" else _tex(value)


def _tex(text: str | None) -> str:
    return "".join(_TEX.get(each, each) for each in one_line(text or ""))


def _reference(source: Source) -> dict[str, Any]:
    told = parsed(source)
    found: dict[str, Any] = {
        "type": "generic", "title": told["title"], "authors": [{"name": told["authors"] or f"the authors of {source.name}"}],
    }  # fmt: skip
    return found | dict(_details(source, told))


def _details(source: Source, told: dict[str, str | None]) -> Iterator[tuple[str, Any]]:
    if told["year"]:
        yield "year", int(told["year"])
    if told["arxiv"]:
        yield "identifiers", [{"type": "other", "value": f"arXiv:{told['arxiv']}"}]
    url = one_line(source.terms.url)
    if re.fullmatch(r"https?://\S+", url):
        yield "url", url
    yield "notes", f"The dataset {one_line(source.name)}" + (f"; {told['venue']}" if told["venue"] else "")
