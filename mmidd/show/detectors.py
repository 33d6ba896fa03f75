"""The reference detectors, for people: the table of all, and the page of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mmidd.show import plain, plain_lines, shell_word, size

if TYPE_CHECKING:
    from mmidd.detectors.listing import About, Detectors, Known, PresetFacts


_TABLE = 140
"""Columns of a console from which on they are a table: in a narrower one its cells would be read a word a line."""

_HEADS = (
    ("what it is", "from"), ("licence of the authors' code", "of the backbone"), ("parameters", "trained"),
    ("needs", "presets"),
)  # fmt: skip


def detectors(console: Console, found: Detectors) -> None:
    """All of them; what is known of another package's without importing it is little."""
    if console.width >= _TABLE:
        table = Table(box=None)
        for head in ("name", *_HEADS, "installed"):
            table.add_column(head if isinstance(head, str) else _two(*head), overflow="fold")
        for row in found.rows:
            table.add_row(*_cells(row))
        console.print(table)
    else:
        table = _columns()
        for row in found.rows:
            first, *others = _lines(row)
            table.add_row(f"  {plain(row.listed.name)}", _two(first, "\n".join(others)))
        console.print(table)
    console.print("of mmidd's own every line is written anew (Apache-2.0); a paper's size is that of its preset `paper`")
    console.print("mmidd detectors NAME: all about one; mmidd plugins: face detectors, and all else that has a name")


def _cells(row: Known) -> tuple[str, ...]:
    listed, facts = row.listed, row.facts
    if facts is None:
        head = plain(listed.name), _two(listed.note or listed.summary, _source(listed.source, listed.version))
        return (*head, "-", "-", "-", plain(_installed(row)))
    return (
        plain(listed.name),
        _two(listed.summary, facts.paper),
        _two(facts.code_licence, f"{facts.backbone}: {facts.backbone_licence}"),
        _two(f"{facts.parameters:,}", share(facts.trained, facts.parameters)),
        _two(", ".join(facts.needs), ", ".join(facts.presets)),
        plain(_installed(row)),
    )


def _lines(row: Known) -> Iterable[str]:
    listed, facts = row.listed, row.facts
    yield listed.note or listed.summary
    if facts is None:
        yield f"from {_source(listed.source, listed.version)}; installed: {_installed(row)}"
        return
    yield facts.paper
    yield f"licences: the authors' code: {facts.code_licence}; {facts.backbone}: {facts.backbone_licence}"
    yield f"{facts.parameters:,} parameters, trained {share(facts.trained, facts.parameters)}"
    yield f"needs {', '.join(facts.needs)}; presets {', '.join(facts.presets)}; installed: {_installed(row)}"


def _source(package: str, version: str | None) -> str:
    return f"{package} {version or ''}".strip()


def _installed(row: Known) -> str:
    extra = row.listed.extra
    return "yes" if row.listed.installed else f"pip install 'mmidd[{extra}]'" if extra else "no"


def _two(above: str, below: str) -> str:
    return f"{plain(above)}\n[dim]{plain_lines(below)}[/dim]"


def share(part: int, whole: int) -> str:
    """`104,450 (0.034 %)`."""
    return f"{part:,} ({100 * part / whole:.2g} %)" if 0 < part < whole else f"{part:,} (all)" if part else "0"


def about(console: Console, found: About) -> None:
    """One of them: what it is, its presets, its options, what its paper leaves open, and how it is trained."""
    source = plain(_source(found.source, found.version))
    console.print(f"[bold]{plain(found.name)}[/bold]: {plain(found.title)} (from {source})")
    _grid(
        console,
        {
            "paper": found.paper,
            "code": f"{found.code}; licence: {found.code_licence}",
            "backbone": f"{found.backbone}; licence: {found.backbone_licence}",
            "needs": ", ".join(f"{name} ({out})" if out else name for name, out in found.needs.items()) or "nothing",
            "uses": ", ".join(found.uses) or "nothing else",
        },
    )
    console.print("\n[bold]presets[/bold]: what differs from the defaults")
    _grid(console, {preset.name: "\n".join(_preset(preset)) for preset in found.presets})
    console.print("\n[bold]options[/bold] of its own (docs/reference-detectors.md has the settings that all share)")
    _grid(
        console, {each.name: f"{each.meaning}\n{each.values}, by default {_value(each.default)}" for each in found.options}
    )
    if found.open_questions:
        console.print("\n[bold]left open[/bold] by the paper, and how it is read here")
        _grid(console, {f"{number}.": question for number, question in enumerate(found.open_questions, 1)})
    console.print(f"\ntrain it: {' '.join(plain(shell_word(word)) for word in found.command)}")
    if found.then:
        console.print(f"stage 2: {' '.join(plain(shell_word(word)) for word in found.then)}")
        console.print(
            "(--set specialist, backbone, words and other options of the network as in stage 1: docs/explaining.md)"
        )


def _grid(console: Console, rows: Mapping[str, str]) -> None:
    """Lines that begin with a word and are folded beside it; nothing is cut."""
    table = _columns()
    for name, text in rows.items():
        table.add_row(f"  {plain(name)}", plain_lines(text))
    console.print(table)


def _columns() -> Table:
    """A column of names, and one that is folded."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _preset(preset: PresetFacts) -> Iterable[str]:
    if preset.size is None:
        yield f"its network cannot be made here: {preset.why}"
    else:
        found = preset.size
        sees = f"{found.side}x{found.side}" + (f" x {found.frames} frames" if found.frames > 1 else "")
        yield f"sees {sees}; {found.parameters:,} parameters, trained {share(found.trained, found.parameters)}"
        yield f"{_gigabytes(found.held_bytes)} for weights, gradients and optimiser, without activations"
        if found.compares:
            yield f"compare rows, of a part of a batch alone (contrast=whole: of all of it): {', '.join(found.compares)}"
    for word, values in (("options", preset.options), ("settings", preset.settings)):
        yield f"{word}: {' '.join(f'{key}={_value(value)}' for key, value in values.items()) or 'the defaults'}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else size(count)


def _value(value: Any) -> str:
    """As `--set` takes it."""
    return value if isinstance(value, str) and value else json.dumps(value)
