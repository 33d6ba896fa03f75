"""Evaluations and comparisons on a console: what matters first, no line over a narrow terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table as Grid

from mmidd.evaluation import tables
from mmidd.evaluation.compare import Comparison
from mmidd.evaluation.evaluate import Evaluated, Evaluation
from mmidd.evaluation.figures import counted
from mmidd.evaluation.presented_table import of_attacks
from mmidd.evaluation.tables import Table
from mmidd.show import plain

_WIDEST = 110
_NOTES = 6
_ROWS = 30
COUNTING = (
    "all count: what has no score counts as wrong (a fake ranks below all, a real above all); "
    "scored alone: of what has a score"
)
INTERVALS = "in brackets: 95% over groups of rows; they do not say what another seed, dataset or generator would change"


def evaluated(console: Console, found: Evaluation) -> None:
    """One block a file, behind one line for each where there are several."""
    if len(found.files) > 1:
        _table(console, tables.headlines(found.files))
        console.print()
    for each in found.files:
        _heading(console, each)
        _table(console, tables.beside(each))
        _table(console, tables.figures(each))
        if any(sum(cover.lacking(label)[0] for label in ("real", "fake")) for cover in each.coverage):
            _table(console, tables.coverage(each.coverage, f"{each.name}: rows with a score"))
        for attacks in of_attacks(each):
            _table(console, attacks)
        _table(console, tables.subsets(each))
        for matrix in tables.matrices(each):
            _table(console, matrix)
        for table in (*tables.confusion(each), *tables.gaps_of(each)):
            _table(console, table)
    for table in tables.families(found):
        _table(console, table)
    for line in sentences(found):
        console.print(plain(line), style="yellow" if line not in (COUNTING, INTERVALS) else "dim")


def compared(console: Console, found: Comparison) -> None:
    """What turns round first."""
    for line in found.disagreements:
        console.print(f"THE RANKING CHANGES: {plain(line)}", style="bold red")
    for table in tables.of_comparison(found):
        _table(console, table)
    for line in sentences(found)[len(found.disagreements) :]:
        console.print(plain(line), style="dim")


def _heading(console: Console, each: Evaluated) -> None:
    about = each.named.file.about
    head = each.figures("clip", "counted")["auroc"]
    console.print(
        f"[bold]{plain(each.name)}[/bold]: {plain(each.named.called)} on {plain(str(about.corpus.get('name', '?')))}"
    )
    console.print(
        f"  {each.named.split}: {counted(len(each.named.clips), 'clip')}, {counted(len(each.named.frames), 'frame')}, "
        f"{counted(each.named.clips.groups, 'group')}"
    )
    console.print(f"  clip AUROC, all count: [bold]{plain(str(head))}[/bold]{f' ({plain(head.why)})' if head.why else ''}")
    missing = each.named.clips.missing
    if missing:
        scored = each.figures("clip", "scored")["auroc"]
        console.print(f"  of the clips with a score alone: {plain(str(scored))}; {counted(missing, 'clip')} without")
    alone = each.leaks.clip
    told = f" ({plain(alone.why)})" if alone.why else ""
    console.print(f"  the corpus's columns alone, no pixel: {plain(str(alone))}{told}")


def sentences(found: Evaluation | Comparison) -> list[str]:
    """What is to be known, the loudest first."""
    if isinstance(found, Comparison):
        ending = f"{found.resamples:,} resamples; {COUNTING}"
        return [*found.disagreements, *found.notes(), ending, INTERVALS]
    under = [
        f"{name}: only {tables.percent(share)} of the {label} clips have a score; "
        f"--coverage asks for {found.asked_coverage:.2%}"
        for name, label, share in found.under
    ]
    return [*under, *found.notes, COUNTING, INTERVALS]


def _table(console: Console, table: Table) -> None:
    console.print(f"\n[bold]{plain(table.title)}[/bold]")
    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    for head in table.heads:
        grid.add_column(plain(head), overflow="fold")
    for row in table.rows[:_ROWS]:
        grid.add_row(*map(plain, row))
    console.print(grid, width=min(console.width, _WIDEST), soft_wrap=False)
    if len(table.rows) > _ROWS:
        console.print(f"  and {len(table.rows) - _ROWS} more: --out FOLDER or --json has them all", style="dim")
    for note in _some(table):
        console.print(f"  {note}", style="dim", soft_wrap=False)


def _some(table: Table) -> Iterator[str]:
    yield from map(plain, table.notes[:_NOTES])
    if len(table.notes) > _NOTES:
        yield f"and {counted(len(table.notes) - _NOTES, 'more reason')}: --out FOLDER or --json has all"
