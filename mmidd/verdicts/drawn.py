"""Drawings of a verdict's page as SVG: scores over time, a picture with its faces, the region that mattered. No script, no
address, every text escaped."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.show.pages import told
from mmidd.verdicts.explained import Explained
from mmidd.verdicts.rates import Rates, Unmeasured
from mmidd.verdicts.region import CELLS, FAINT, Region
from mmidd.verdicts.verdict import Track

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 34
COLOURS = ("#2f7fd6", "#d9580d", "#12875c", "#8d4cc9", "#c2246a", "#85800a", "#0a8f9c", "#8a5a2b")
"""Seen on white and on black."""
SOFT = "#808590"
DRAWN = 12
"""Tracks that have a line, the most suspicious ones."""
_THUMB, _JPEG = 96, 85
_TEXT = f'font-size="12" font-family="sans-serif" fill="{SOFT}"'


def colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def thumb(encoded: bytes) -> str:
    """A crop, small, as a data URI."""
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        return ""
    side = max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=min(1, _THUMB / side), fy=min(1, _THUMB / side), interpolation=cv2.INTER_AREA)
    return _jpeg(small)


def _jpeg(bgr: npt.NDArray[np.uint8]) -> str:
    return data_uri(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG])[1].tobytes())


def timeline(tracks: Sequence[Track], rates: Rates | Unmeasured) -> str:
    """The score of each track over time (seconds; of numbered images the number)."""
    drawn = [each for each in tracks if each.score is not None]
    drawn = sorted(sorted(drawn, key=lambda each: -(each.score or 0))[:DRAWN], key=lambda each: each.number)
    timed = all(look.timestamp is not None for each in drawn for look in each.looks)
    lines = {
        each.number: [(look.timestamp if timed else look.frame, look.score) for look in each.looks if look.score is not None]
        for each in drawn
    }
    xs = [float(x or 0) for points in lines.values() for x, _ in points]
    if not xs:
        return ""
    low, high = min(0.0, *xs) if timed else min(xs), max(xs)
    span = high - low or 1.0

    def across(x: float) -> float:
        return LEFT + (x - low) / span * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - TOP)

    parts = list(_axes(across, up, low, high, "seconds" if timed else "frame"))
    for number, points in lines.items():
        places = [(across(float(x or 0)), up(float(y))) for x, y in points]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline fill="none" stroke-width="2" stroke-linejoin="round" stroke="{colour(number)}" points="{joined}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour(number)}"/>' for x, y in places]
    if isinstance(rates, Rates):
        y = up(min(1.0, rates.threshold))
        parts.append(
            f'<line stroke="{SOFT}" stroke-width="1.5" stroke-dasharray="6 4" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text x="{WIDTH - RIGHT}" y="{y - 5:.1f}" {_TEXT} text-anchor="end">threshold {rates.threshold:.4f}</text>'
        )
    said = "; ".join(f"face {each.number}: {each.score:.3f}" for each in drawn)
    return (
        f'<figure class="wide"><svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="score over time. {told(said)}">{"".join(parts)}</svg><figcaption>{legend(drawn)}</figcaption></figure>'
    )


def legend(tracks: Sequence[Track]) -> str:
    """Which colour is which face."""
    return " &nbsp; ".join(
        f'<span style="color:{colour(each.number)}">&#9632;</span> face {each.number} ({each.score:.4f})' for each in tracks
    )


def _axes(
    across: Callable[[float], float], up: Callable[[float], float], low: float, high: float, unit: str
) -> Iterator[str]:
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = up(value)
        yield f'<line stroke="{SOFT}" stroke-opacity=".35" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" {_TEXT} text-anchor="end">{value:g}</text>'
    for step in range(5):
        value = low + (high - low) * step / 4
        anchor = "end" if step == 4 else "start" if step == 0 else "middle"
        shown = f"{value:.2f}" if unit == "seconds" else f"{value:.0f}"
        yield f'<text x="{across(value):.1f}" y="{HEIGHT - 16}" {_TEXT} text-anchor="{anchor}">{shown}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" {_TEXT} text-anchor="end">{unit}</text>'


def boxed(context: bytes, size: tuple[int, int], faces: Sequence[tuple[int, tuple[float, ...], float | None]]) -> str:
    """A whole frame, small, with its faces: (track, box, score)."""
    width, height = size
    text, edge = max(8.0, width / 32), width / 250
    parts = [f'<image href="{data_uri(context)}" width="{width}" height="{height}"/>']
    for number, (x0, y0, x1, y1), score in faces:
        said = f"{number}: {score:.2f}" if score is not None else f"{number}"
        left, high = max(0.0, x0), max(1.2 * text, y0)
        parts.append(
            f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" fill="none" '
            f'stroke="{colour(number)}" stroke-width="{edge:.2f}"/>'
            f'<rect x="{left:.1f}" y="{high - 1.2 * text:.1f}" width="{0.62 * text * len(said):.1f}" '
            f'height="{1.2 * text:.1f}" fill="{colour(number)}"/>'
            f'<text x="{left + text / 5:.1f}" y="{high - 0.3 * text:.1f}" font-size="{text:.1f}" '
            f'font-family="sans-serif" fill="#fff">{said}</text>'
        )
    names = ", ".join(str(number) for number, _, _ in faces)
    return (
        f'<svg class="picture" viewBox="0 0 {width} {height}" role="img" aria-label="the frame with faces {names}">'
        f"{''.join(parts)}</svg>"
    )


def marked(found: Explained) -> str:
    """A crop with the parts that a model names."""
    side = 224
    pixels = cv2.resize(np.ascontiguousarray(found.image[..., ::-1]), (side, side), interpolation=cv2.INTER_AREA)
    parts = [f'<image href="{_jpeg(pixels)}" width="{side}" height="{side}"/>']
    for number, (region, places) in enumerate(found.places.items()):
        for x0, y0, x1, y1 in places:
            parts.append(
                f'<rect x="{x0 * side:.1f}" y="{y0 * side:.1f}" width="{(x1 - x0) * side:.1f}" '
                f'height="{(y1 - y0) * side:.1f}" fill="none" stroke="{colour(number)}" stroke-width="2">'
                f"<title>{told(region)}</title></rect>"
            )
    names = told(", ".join(found.places) or "no part of the face")
    label = f'role="img" aria-label="what it names: {names}"'
    return f'<svg class="picture" viewBox="0 0 {side} {side}" {label}>{"".join(parts)}</svg>'


def parts_named(found: Explained) -> str:
    """Which colour is which part."""
    return "".join(
        f'<br><span style="color:{colour(number)}">&#9632;</span> {told(region)}'
        for number, region in enumerate(found.places)
    )


def covered(region: Region) -> str:
    """A crop under what covering its parts does: orange where the score falls, blue where it rises."""
    side = 7 * 28
    pixels = cv2.resize(np.ascontiguousarray(region.image[..., ::-1]), (side, side), interpolation=cv2.INTER_AREA)
    most = max(float(np.abs(region.falls).max()), FAINT)
    parts = [f'<image href="{_jpeg(pixels)}" width="{side}" height="{side}"/>']
    cell = side / CELLS
    for (row, column), fall in np.ndenumerate(region.falls):
        fill = "#ff5a00" if fall > 0 else "#0066ff"
        parts.append(
            f'<rect x="{column * cell:.1f}" y="{row * cell:.1f}" width="{cell:.1f}" height="{cell:.1f}" fill="{fill}" '
            f'fill-opacity="{0.7 * abs(float(fall)) / most:.2f}"><title>{-float(fall):+.4f}</title></rect>'
        )
    return (
        f'<svg class="picture" viewBox="0 0 {side} {side}" role="img" aria-label="what covering each part does">'
        f"{''.join(parts)}</svg>"
    )
