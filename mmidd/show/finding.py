"""What is there of the media that a publication's rows come from, what is not, and how to get that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mmidd.show import plain, size

if TYPE_CHECKING:
    from mmidd.share.rehydrate.checked import Checked
    from mmidd.share.rehydrate.missing import Missing


def missing(console: Console, found: Missing) -> None:
    """What of one dataset is missing, why, and how to get it."""
    of = f"{found.media:,} of {found.of_media:,} media missing: {found.rows:,} of {found.of_rows:,} rows ({found.share:.1%})"
    console.print(f"[bold]{plain(found.dataset)}[/bold]: {of}")
    for why, count in found.why.items():
        console.print(f"  {count:,} {plain(why)}")
    console.print(f"  such as {plain(', '.join(found.first))}")
    if found.folder is None and found.folders:
        console.print(f"  there is no folder {plain(found.folders[0])}/ under the data root")
    for hint in found.hints:
        console.print(f"  {plain(hint)}", style="yellow")
    if found.slug is None:
        console.print("  this mmidd knows no such dataset: ask whoever published the rows where its media are to be had")
        return
    console.print(f"  to get it: {plain(found.access or '')}")
    console.print(f"  licence: {plain(found.licence or '')} ({plain(found.url or '')})")
    console.print(f"  how it must lie: mmidd datasets {plain(found.slug)}")


def checked(console: Console, found: Checked) -> None:
    """What a rehydration could do."""
    table = Table("dataset", "rows", "included", "sure", "likely", "missing", "media", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for each in found.datasets:
        rows = (each.rows, each.included, each.sure, each.likely, each.missing, each.media)
        table.add_row(plain(each.dataset), *(f"{count:,}" for count in rows))
    console.print(table)
    for note in found.notes:
        console.print(plain(note), style="yellow")
    for absent in found.absent:
        absent.tell(console)
    if found.total("likely"):
        told = "the file at a medium's path has other bytes: its frames decide"
        if not found.digests:
            told = "the file at a medium's path has another size, or a file of its size lies elsewhere; --digests reads them"
        console.print(f"likely: {told}")
    console.print(f"to read: {size(found.to_read)}; the crops take about {size(found.disk)} of disk")
    sure = found.total("included") + found.total("sure")
    console.print(f"{sure:,} of {found.total('rows'):,} rows can be rebuilt for sure, {found.total('likely'):,} perhaps")
    if sure or found.total("likely"):
        console.print(
            "next: the same command without --check, with --out CORPUS" + ("" if found.complete else "; or get more first")
        )
