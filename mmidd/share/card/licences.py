"""LICENSES.md: the licence of every source, what is here of it, and what may be done with that."""

from __future__ import annotations

from collections.abc import Iterator

from mmidd.corpus.card import escape, table
from mmidd.share.card.facts import Facts, Source

_INTRO = """\
This dataset has no licence of its own. Each row is of one source (column `dataset`), and the terms of that source bind \
whoever uses the row. Whoever uses several sources keeps the terms of all of them. Nothing here is legal advice: the text \
of the licence counts, not this summary.
"""
_ADDED = """\
## What was added here

Boxes, landmarks, transforms, splits, groups, pairs, digests, probes and captions were computed by \
mmidd, which is Apache-2.0. No right in them is claimed beyond those that the \
sources have; as they were made from the sources' media, use them within the terms of the source.
"""


def licences(facts: Facts) -> bytes:
    """The page, in Markdown."""
    parts = [
        f"# Licences of {escape(facts.title)}\n",
        _INTRO,
        licence_table(facts),
        *(_section(source) for source in facts.sources),
        _ADDED,
        f"The face detector's weights ({escape(facts.told('detector', 'kind'))}) that cut the crops are under: "
        f"{escape(str(facts.content.get('detector_licence') or 'not stated'))}.\n",
    ]
    return "\n".join(parts).encode()


def licence_table(facts: Facts) -> str:
    """One row a source: its licence, and what is here."""
    rows = (
        [source.name, source.terms.licence or "not known", _allowed(source), ", ".join(here(source)), source.terms.url]
        for source in facts.sources
    )
    return table(["source", "licence", "crops may be passed on", "here", "terms"], rows)


def here(source: Source) -> Iterator[str]:
    """What of a source is published."""
    terms = source.terms
    yield "labels and proofs" if not terms.pixels else "pixels and labels"
    if terms.pixels and terms.masks:
        yield "masks"
    yield "captions" if source.captions else "no captions"


def _allowed(source: Source) -> str:
    allowed = source.terms.redistributable
    return "not known, so no" if allowed is None else "yes" if allowed else "no"


def _section(source: Source) -> str:
    terms, manifest = source.terms, source.manifest
    lines = [
        f"- Licence: {escape(terms.licence or 'not known')}",
        f"- Terms: {escape(terms.url or 'not known')}",
        f"- Here: {', '.join(here(source))}, because {escape(terms.why)}",
        f"- What follows: {_follows(source)}",
    ]
    if manifest is not None:
        lines.append(f"- How to get the originals: {escape(manifest.access)}")
        lines.append(f"- Cite: {escape(manifest.citation)}")
        if not manifest.verified:
            note = " ".join((manifest.verified_note or "").split())
            lines.append(f"- Not verified with its authors: {escape(note or 'what mmidd knows of it is from others')}")
    return f"## {escape(source.name)}\n\n" + "\n".join(lines) + "\n"


def _follows(source: Source) -> str:
    if not source.terms.pixels:
        return (
            "no picture of it is here. Get the originals from its authors, under an agreement with them; crops made again "
            "from those are under that agreement, and may not be passed on unless it says so."
        )
    told = "the pixels here are adaptations (cropped, aligned, encoded again) and stay under the licence"
    words = f"{source.terms.licence} {source.manifest.licence.id if source.manifest else ''}".upper()
    limits = [
        text
        for mark, text in (
            ("BY", "name its authors and say that it was changed"),
            ("NC", "no commercial use"),
            ("SA", "pass on under the same licence"),
        )
        if "CC" in words and mark in words.replace(" ", "-").split("-")
    ]
    return f"{told}{': ' + ', '.join(limits) if limits else ''}. Single media may have terms of their own at the source."
