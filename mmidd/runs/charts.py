"""Line charts as SVG: no script, no address, every text escaped; colours are the page's (`page.css`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmidd.show.pages import told

WIDTH, HEIGHT = 440, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 32
COLOURS = 6
_MOST_POINTS = 300


@dataclass(frozen=True)
class Series:
    """One line: points (x, y), and where there are some its band (x, low, high)."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Level:
    """A dashed line at one height."""

    name: str
    y: float


def figures(value: float) -> str:
    """A number for an axis."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def chart(title: str, series: Sequence[Series], level: Level | None = None, dots: bool = False) -> str:
    """A figure with its title, its axes (steps along) and a legend; a sentence where there is nothing to draw yet. `dots`
    marks each point. Of a line of many points their means over equal pieces are drawn."""
    drawn = [each for each in series if each.points]
    if not drawn:
        return f"<figure><figcaption>{told(title)}</figcaption><p class='soft'>Nothing was measured yet.</p></figure>"
    xs = [x for each in drawn for x, _ in each.points]
    ys = [y for each in drawn for _, y in each.points]
    ys += [y for each in drawn for _, low, high in each.band for y in (low, high)] + ([level.y] if level else [])
    across, up = Scale.of(min(0.0, *xs), max(xs), LEFT, WIDTH - RIGHT), Scale.of(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    parts = [*_axes(across, up)]
    for number, each in enumerate(drawn):
        parts += _line(each, f"var(--c{number % COLOURS})", across, up, dots)
    if level is not None:
        y = up(level.y)
        parts.append(f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    said = f"{title}: " + "; ".join(f"{each.name} ends at {figures(each.points[-1][1])}" for each in drawn)
    return (
        f"<figure><figcaption>{told(title)}</figcaption>"
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told(said)}">{"".join(parts)}</svg>'
        f"{_legend(drawn, level)}</figure>"
    )


@dataclass(frozen=True)
class Scale:
    """From values to places of a drawing; `ticks` are round values in it."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, low: float, high: float, start: float, end: float) -> Scale:
        if high - low < 1e-9 * max(1e-30, abs(high)):
            pad = abs(high) * 0.1 or 1.0
            low, high = low - pad, high + pad
        step = 10 ** math.floor(math.log10((high - low) / 4))
        step *= next(each for each in (1, 2, 5, 10) if (high - low) / (each * step) <= 5)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        across = start < end
        ticks = tuple(number * step for number in range(first, last + 1) if not across or number * step <= high * (1 + 1e-9))
        return cls(first * step if not across else low, last * step if not across else high, start, end, ticks)

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _axes(across: Scale, up: Scale) -> Iterator[str]:
    for value in up.ticks:
        y = up(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{figures(value)}</text>'
    for value in across.ticks:
        yield f'<text x="{across(value):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{figures(value)}</text>'
    yield f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">steps</text>'


def _line(series: Series, colour: str, across: Scale, up: Scale, dots: bool) -> Iterator[str]:
    if series.band:
        edge = [(x, high) for x, _, high in series.band] + [(x, low) for x, low, _ in reversed(series.band)]
        if len(series.band) == 1:  # one validation: a bar
            x, low, high = series.band[0]
            yield (
                f'<line x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}" stroke="{colour}" '
                'stroke-width="8" opacity=".3"/>'
            )
        else:
            yield f'<polygon class="band" fill="{colour}" points="{_places(edge, across, up)}"/>'
    points = thinned(series.points)
    yield f'<polyline class="series" stroke="{colour}" points="{_places(points, across, up)}"/>'
    if dots or len(points) == 1:
        yield "".join(f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in points)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most so many points as a line needs: the means of equal pieces."""
    size = max(1, math.ceil(len(points) / _MOST_POINTS))
    pieces = [points[start : start + size] for start in range(0, len(points), size)]
    return [(sum(x for x, _ in piece) / len(piece), sum(y for _, y in piece) / len(piece)) for piece in pieces]


def _places(points: Sequence[tuple[float, float]], across: Scale, up: Scale) -> str:
    return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)


def _legend(series: Sequence[Series], level: Level | None) -> str:
    items = [
        f'<li><svg viewBox="0 0 16 6" aria-hidden="true"><path d="M0 3h16" stroke="var(--c{number % COLOURS})" '
        f'stroke-width="3"/></svg>{told(each.name)}</li>'
        for number, each in enumerate(series)
    ]
    if level is not None:
        items.append(
            '<li><svg viewBox="0 0 16 6" aria-hidden="true"><path d="M0 3h16" stroke="var(--ink)" stroke-width="2" '
            f'stroke-dasharray="4 3"/></svg>{told(level.name)}</li>'
        )
    return f'<ul class="legend">{"".join(items)}</ul>'
