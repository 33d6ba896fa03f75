"""The card's picture: samples of datasets whose pixels are here, else a chart of how many there are of what."""

from __future__ import annotations

import html
import io
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mmidd.schema import ATTACKS, FORGERY_TYPES
from mmidd.share.card.facts import Facts, Source

SAMPLES, CHART = "samples.jpg", "counts.svg"
_CELL, _FRAME, _ROW, _MOST = 96, 4, 8, 12
"""Sides in pixels of a cell and of its frame; cells of a row, of which there is one a dataset; most rows."""
_BLUE, _ORANGE, _INK = (31, 111, 180), (217, 119, 30), (40, 40, 40)
_COLOURS = dict(zip(FORGERY_TYPES, ("#1f6fb4", "#d9771e", "#c0392b", "#8e44ad", "#2e8b57"), strict=True))
_COLOURS |= zip(ATTACKS, ("#b8860b", "#20b2aa", "#cd5c5c", "#6b4226", "#d96ca8", "#708238", "#4b5d67"), strict=True)
_COLOURS["unknown"] = "#8a8a8a"


def name(facts: Facts) -> str:
    """Of the picture's file."""
    return SAMPLES if facts.shown else CHART


def picture(facts: Facts) -> bytes:
    """Of equal rows the same bytes. Raises CorpusError for an image that does not decode."""
    return _samples(facts) if facts.shown else _chart(facts).encode()


def _samples(facts: Facts) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    sources = facts.shown[:_MOST]
    sheet = Image.new("RGB", (_ROW * _CELL, len(sources) * (_CELL + 16)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default_imagefont()  # drawn in Pillow itself: no font of the machine
    for row, source in enumerate(sources):
        top = row * (_CELL + 16)
        draw.text((2, top + 2), source.terms.slug, fill=_INK, font=font)
        for column, (fake, data) in enumerate(_chosen(facts, source)):
            left, side = column * _CELL, _CELL - 2 * _FRAME
            sheet.paste(_ORANGE if fake else _BLUE, (left, top + 16, left + _CELL, top + 16 + _CELL))
            sheet.paste(Image.fromarray(data).resize((side, side)), (left + _FRAME, top + 16 + _FRAME))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return out.getvalue()


def _chosen(facts: Facts, source: Source) -> Iterator[tuple[bool, npt.NDArray[np.uint8]]]:
    """Up to eight samples of different media of a dataset, reals first: (is it a fake, pixels)."""
    part = facts.corpus.part(dataset=source.terms.slug)
    rows: dict[int, list[int]] = {0: [], 1: []}
    seen = set[str]()
    for start, batch in part.batches(["label", "media"]):
        for place, (label, media) in enumerate(zip(*(batch[each].to_pylist() for each in ("label", "media")), strict=True)):
            if label in rows and len(rows[label]) < _ROW and media not in seen:
                seen.add(media)
                rows[label].append(start + place)
        if min(map(len, rows.values())) >= _ROW // 2:
            break
    half = _ROW // 2
    fakes = rows[1][: max(half, _ROW - len(rows[0]))]
    for fake, numbers in ((False, rows[0][: _ROW - len(fakes)]), (True, fakes)):
        for _, data in part.images(rows=numbers, decode=True):
            yield fake, data


def _chart(facts: Facts) -> str:
    """Bars of rows by dataset and type."""
    totals = {source.name: Counter[str]() for source in facts.sources}
    for (dataset, kind, _), count in facts.counts.items():
        totals[dataset][kind] += count
    most = max((sum(found.values()) for found in totals.values()), default=0) or 1
    height = 40 + 30 * len(totals)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{height}" viewBox="0 0 800 {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="800" height="{height}" fill="#ffffff"/>',
    ]
    left, kinds = 200, [kind for kind in _COLOURS if any(found[kind] for found in totals.values())]
    for kind in kinds:
        lines.append(f'<rect x="{left}" y="10" width="12" height="12" fill="{_COLOURS[kind]}"/>')
        lines.append(f'<text x="{left + 17}" y="21" fill="#222222">{kind}</text>')
        left += min(85, 600 // len(kinds))
    for place, (dataset, found) in enumerate(totals.items()):
        lines += _bar(40 + 30 * place, dataset, found, most)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(top: int, dataset: str, found: Counter[str], most: int) -> Iterator[str]:
    shown = "".join(each for each in dataset if each.isprintable())
    shown = shown if len(shown) <= 26 else f"{shown[:25]}..."
    yield f'<text x="190" y="{top + 15}" text-anchor="end" fill="#222222">{html.escape(shown)}</text>'
    done, left = 0, 200
    for kind in _COLOURS:
        done += found[kind]
        right = 200 + done * 510 // most
        if right > left:
            yield f'<rect x="{left}" y="{top}" width="{right - left}" height="20" fill="{_COLOURS[kind]}"/>'
        left = right
    yield f'<text x="{left + 6}" y="{top + 15}" fill="#222222">{done:,}</text>'
