"""A study's page: the table, what its figures are not, and the published ones beside it, each with why it is not comparable.
HTML that needs nothing beside it; every text in it is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmidd.show.pages import page as shell
from mmidd.show.pages import told
from mmidd.studies import table

_CSS = """
body { max-width: 84rem; } td.n { text-align: right; white-space: nowrap; } tr.rule td { border-top: 2px solid var(--line); }
.stack th, .stack td { overflow-wrap: break-word; }
.bar { display: block; width: 7rem; height: .9rem; } .bar .base { stroke: var(--line); } .bar .range { stroke: var(--c0);
stroke-width: 6; opacity: .3; } .bar .ci { stroke: var(--c0); stroke-width: 1.5; } .bar .dot { fill: var(--c0); }
.bar .alone { stroke: var(--warn); stroke-width: 2; }
@media (max-width: 47.9rem) {
  .stack thead { display: none; } .stack table, .stack tbody, .stack tr, .stack td { display: block; text-align: left; }
  .stack tr { border-bottom: 2px solid var(--line); padding: .5rem 0; } .stack td { border: 0; padding: .1rem 0; }
  .stack td::before { content: attr(data-head) ": "; color: var(--soft); } .stack td.n { white-space: normal; }
}
"""
_NUMBERS = {"line", "seeds", "clip AUROC [95% over groups]", "range of seeds", "TPR at 5% FPR", "type accuracy", "groups"}


def page(found: Mapping[str, Any]) -> str:
    """The page of a results document."""
    name = found["corpus"]["name"]
    title = f"A study of {name}"
    body = "".join(
        (
            f"<h1>{told(title)}</h1>",
            f"<p>{told(table.summary(found))}. Corpus {told(found['corpus']['digest'])}; detectors "
            f"{told(', '.join(found['asked']['detectors']))}; preset {told(found['asked']['preset'])}; seeds "
            f"{told(', '.join(map(str, found['asked']['seeds'])))}.</p>",
            _says(found),
            _lines(found),
            _failed(found),
            _shared(found),
            _published(found),
        )
    )
    return shell(title, body, _CSS)


def _says(found: Mapping[str, Any]) -> str:
    if not found["says"]:
        return ""
    first, *others = found["says"]
    more = "".join(f"<li>{told(each)}</li>" for each in others)
    return f'<div class="big"><p class="warn">{told(first)}</p><ul>{more}</ul></div>'


def _lines(found: Mapping[str, Any]) -> str:
    kept = [place for place in table.columns(found) if not _empty(found, place)]
    heads = (*table.HEADS[:7], "0 to 1", *(table.HEADS[place] for place in kept if place >= 7))
    body, before = "", None
    for line in found["lines"]:
        cells = table.cells(line)
        shown = [told(cell) for cell in (*cells[:7], "", *(cells[place] for place in kept if place >= 7))]
        shown[7] = _bar(line)
        rule = ' class="rule"' if before not in (None, line["study"]) else ""
        before = line["study"]
        body += f"<tr{rule}>{''.join(map(_cell, heads, shown))}</tr>"
    head = "".join(f"<th>{told(each)}</th>" for each in heads)
    notes = "".join(f"<p class='soft'>{told(each)}</p>" for each in table.notes(found))
    return (
        f'<h2>Figures</h2><div class="wide stack"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{notes}<p class='soft'>The bar: the dot is the median seed's AUROC, the thin line "
        "its interval, the broad one the range of the seeds, the upright one the columns alone.</p>"
    )


def _empty(found: Mapping[str, Any], place: int) -> bool:
    """Is it a column of dashes alone? What is said above the table has why; the other files keep it."""
    return place >= 7 and all(table.cells(line)[place] in ("–", "") for line in found["lines"])


def _cell(head: str, shown: str) -> str:
    kind = ' class="n"' if head in _NUMBERS else ""
    return f'<td data-head="{told(head)}"{kind}>{shown}</td>'


def _bar(line: Mapping[str, Any]) -> str:
    """The AUROC of a line as a drawing from 0 to 1, chance in the middle."""
    ours = (line["figures"] or {}).get("counted", {}).get("auroc")
    if not ours or ours["value"] is None:
        return ""
    parts = ['<line class="base" x1="0" x2="100" y1="7" y2="7"/><line class="base" x1="50" x2="50" y1="0" y2="14"/>']
    if line["range"]:
        parts.append(_stroke("range", *line["range"]))
    if ours["low"] is not None:
        parts.append(_stroke("ci", ours["low"], ours["high"]))
    alone = (line["figures"]["columns_alone"].get("auroc") or {}).get("value")
    if alone is not None:
        parts.append(f'<line class="alone" x1="{100 * alone:.1f}" x2="{100 * alone:.1f}" y1="1" y2="13"/>')
    parts.append(f'<circle class="dot" cx="{100 * ours["value"]:.1f}" cy="7" r="3"/>')
    said = f"AUROC {ours['value']:.3f} between 0 and 1"
    head = f'<svg class="bar" viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label="{said}">'
    return f"{head}{''.join(parts)}</svg>"


def _stroke(kind: str, low: float, high: float) -> str:
    return f'<line class="{kind}" x1="{100 * low:.1f}" x2="{100 * high:.1f}" y1="7" y2="7"/>'


def _failed(found: Mapping[str, Any]) -> str:
    parts = ""
    if found["failed"]:
        rows = [(each["trial"], each["at"], each["why"]) for each in found["failed"]]
        parts += f"<h2>Failed</h2><p>{told(table.AGAIN)}</p>" + _table(("trial", "at", "why"), rows)
    if found["left_out"]:
        parts += "<h2>Left out</h2><ul>" + "".join(f"<li>{told(why)}</li>" for why in found["left_out"]) + "</ul>"
    return parts


def _shared(found: Mapping[str, Any]) -> str:
    """What is trained on and what is tested on have in common."""
    said = [("its own test split", each) for each in found["corpus"].get("shares", ())]
    said += [(name, each) for name, held in found["tests"].items() for each in held["shares"]]
    rows = [(where, what) for where, what in said] or [("every test", "nothing: no group, no medium, no identity")]
    return (
        "<h2>What training and tests share</h2><p>No medium and no group of train is in a test: such a corpus is refused. "
        f"What else they share:</p>{_table(('test', 'shared with what is trained on'), rows)}"
    )


def _published(found: Mapping[str, Any]) -> str:
    near = [each for each in found["published"] if each["lines"]]
    fit = sum(not each["differs"] for each in near)
    rows = table.rows_beside(found)
    return (
        f"<h2>Beside published figures</h2><p>Of {len(found['published'])} published figures {len(near)} have a line here "
        f"that tests that detector on one of their datasets; {fit} of them can be compared with it. Why not is computed "
        "from what both were trained and tested on, at which level, with what.</p>"
        f"{_table(table.BESIDE, rows[: len(near)]) if near else ''}{_others(rows[len(near) :])}"
    )


def _others(rows: Sequence[Sequence[str]]) -> str:
    """Published figures that nothing here stands beside: folded, for they are mostly many."""
    if not rows:
        return ""
    return f"<details><summary>The other {len(rows)}, and why</summary>{_table(table.BESIDE, rows)}</details>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{told(each)}</th>" for each in heads)
    body = "".join(
        "<tr>"
        + "".join(f'<td data-head="{told(each)}">{told(cell)}</td>' for each, cell in zip(heads, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide stack"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
