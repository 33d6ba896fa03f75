"""What a rehydration gave, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mmidd.show import elapsed, plain

if TYPE_CHECKING:
    from mmidd.share.rehydrate.result import Rehydrated

_HEADS = {
    "exact": "exact", "pixels": "equal pixels", "within_1": "within 1 level", "differs": "differs", "missing": "missing",
}  # fmt: skip
_KINDS = {
    "same": "the same", "other_bytes": "other bytes, equal frames", "other_version": "another version",
    "unreadable": "cannot be used", "not_found": "not found",
}  # fmt: skip
_MOST = 20


def rehydrated(console: Console, found: Rehydrated) -> None:
    """Rows by dataset and status, media, what is missing, and what the corpus is."""
    table = Table(box=None)
    table.add_column("dataset")
    for head in (*_HEADS.values(), "rows"):
        table.add_column(head, justify="right")
    for name in sorted(found.rows):
        table.add_row(plain(name), *_counts(found.rows[name]))
    if len(found.rows) > 1:
        table.add_row("all", *_counts(found.statuses))
    console.print(table)
    if found.media:
        counts: Mapping[str, int] = {str(kind): count for kind, count in found.media.items()}
        told = ", ".join(f"{counts[kind]:,} {words}" for kind, words in _KINDS.items() if counts.get(kind))
        console.print(f"media: {told}")
    for each in found.others[:_MOST]:
        console.print(f"  {plain(each.dataset)}/{plain(each.media)}: {plain(each.told)}")
    if len(found.others) > _MOST:
        console.print(f"  and {len(found.others) - _MOST:,} more (--json lists them all)")
    for missing in found.missing:
        missing.tell(console)
    for note in found.notes:
        console.print(plain(note))
    rate = found.rate
    if rate.media and rate.seconds > 0:
        console.print(
            f"{rate.media:,} media in {elapsed(rate.seconds)}: {rate.media / rate.seconds:,.1f} media/s, "
            f"{rate.frames / rate.seconds:,.1f} frames/s"
        )
    console.print(_end(found))
    if found.missing:
        console.print("next: get what is missing and run the same command again; what is there is kept")


def _counts(found: Any) -> list[str]:
    counts = [found.get(status, 0) for status in _HEADS]
    return [*(f"{count:,}" if count else "-" for count in counts), f"{sum(counts):,}"]


def _end(found: Rehydrated) -> str:
    place = plain(str(found.out))
    statuses = found.statuses
    if found.libraries and any(statuses[each] for each in ("pixels", "within_1", "differs")):
        moved = ", ".join(
            f"{plain(name)} {plain(was)} there, {plain(now)} here" for name, (was, now) in found.libraries.items()
        )
        versions = f"; versions differ: {moved}"
    else:
        versions = ""
    if found.original:
        return f"{place}: the published corpus, byte for byte ({found.written:,} rows, {found.shards:,} files)" + (
            "" if found.changed else "; nothing was to be done"
        )
    total = sum(found.statuses.values()) + found.not_selected
    return (
        f"{place}: {found.written:,} of {total:,} rows; {found.identical:,} of {found.shards:,} files are those of the "
        f"original{versions}"
    )
