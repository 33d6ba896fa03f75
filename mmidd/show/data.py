"""What there is to read: datasets, and how their copies compare with the official releases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mmidd.show import EXAMPLES, LITTER, plain, shell_word
from mmidd.show.build import places

if TYPE_CHECKING:
    from mmidd.findings import Finding
    from mmidd.flow.check import Checks
    from mmidd.manifest.check import Checked
    from mmidd.plugins import Plugins
    from mmidd.share.imports.run import Imported


def checked(console: Console, checks: Checks) -> None:
    """Every dataset beside its official release."""
    found = checks.checked
    if checks.absent:
        console.print(f"not under the data root, not checked: {plain(', '.join(checks.absent))}", style="yellow")
    for each in found:
        console.print(f"[bold]{plain(each.dataset)}[/bold]" + ("" if each.verified else " (manifest not verified)"))
        if each.compared:
            console.print(_comparison(each))
        if each.differences:
            console.print("  counts differ: fewer, an incomplete download; more, two versions mixed", style="red")
        _more_counts(console, each)
        for pattern, count in each.ignored.items():
            console.print(f"  sidecars: {count} {plain(pattern)}")
        if count := checks.litter[each.dataset]:
            console.print(f"  litter: {count} {LITTER}")
        for line in places(each.moved):
            console.print(f"  {line}")
        for listed in each.lists:
            console.print(f"  {plain(str(listed))}", style=None if listed.sound else "yellow")
        if each.masks[0]:
            console.print(f"  masks: {each.masks[1]:,} of {each.masks[0]:,} fakes have one")
        for finding in each.findings:
            _finding(console, finding)
        for defect in each.known_defects:
            console.print(f"  known defect of the official release: {plain(defect)}", style="dim")
    number = sum(len(each.findings) + len(each.differences) for each in found)
    console.print(f"{number} findings (docs/manifests.md says what to do)" if number else "all as in the official releases")


def _finding(console: Console, finding: Finding) -> None:
    console.print(f"  {finding.check}: {len(finding.where)}, {plain(finding.what)}", style="red")
    for name in finding.where[:EXAMPLES]:
        console.print(f"    {plain(name)}")
    if len(finding.where) > EXAMPLES:
        console.print(f"    ... and {len(finding.where) - EXAMPLES} more; --json lists all")
    console.print(f"    -> {plain(finding.advice)}", style="dim")


def _comparison(found: Checked) -> Table:
    table = Table("  rule", "label", "method", "split", "compression", "found", "expected", "difference", box=None)
    for row in found.compared:
        cells = (row.rule, row.label, row.method, row.split, row.compression)
        difference = f"{row.difference:+,}" if row.difference else "-"
        table.add_row(
            f"  {plain(cells[0] or 'any')}", *(plain(cell or "any") for cell in cells[1:4]), plain(cells[4] or "-"),
            f"{row.found:,}", f"{row.expected:,}", difference, style="red" if row.difference else None,
        )  # fmt: skip
    return table


def _more_counts(console: Console, found: Checked) -> None:
    """What is there, in full: nothing that the manifest does not expect stays unseen."""
    table = Table("  rule", "label", "method", "split", "compression", "found", box=None)
    for place, count in found.counts:
        first, *others = (plain(cell or "-") for cell in place)
        table.add_row(f"  {first}", *others, f"{count:,}")
    console.print(table)


def sampled(console: Console, folder: str, counts: Mapping[str, int]) -> None:
    """What was laid out."""
    console.print(f"{sum(counts.values())} files of {len(counts)} sample datasets in {plain(folder)}")
    console.print(f"next: mmidd build sample --data {plain(shell_word(folder))} --out CORPUS")


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def datasets(console: Console, rows: Sequence[Mapping[str, Any]], *, found: bool) -> None:
    """The table of datasets; with `found` also where each lies."""
    head = ("name", "year", "media", "real", "fake", "types", "licence", "redistributable", "verified")
    table = Table(*head, box=None)
    if found:
        table.add_column("found")
    for row in rows:
        cells = [
            row["name"], str(row["year"]), *(_count(row[key]) for key in ("media", "real", "fake")), " ".join(row["types"]),
            row["licence"], "yes" if row["redistributable"] else "no", "yes" if row["verified"] else "no",
        ]  # fmt: skip
        table.add_row(*map(plain, cells), *([plain(row["found"] or "-")] if found else []))
    console.print(table)
    console.print("mmidd datasets NAME: how to get one, and how it must lie on disk")


def plugins(console: Console, found: Plugins) -> None:
    """What can be chosen by name, and where it is from."""
    table = Table("kind", "name", "from", "installed", "what it is", box=None)
    for row in found.rows:
        source = f"{row.source} {row.version or ''}".strip()
        installed = "yes" if row.installed else f"pip install 'mmidd[{row.extra}]'" if row.extra else "no"
        table.add_row(*map(plain, (row.kind, row.name, source, installed, row.note or row.summary)))
    console.print(table)


def imported(console: Console, done: Imported) -> None:
    """What was imported, what was found on the way, and how it is built."""
    for prefix, count in done.mapped.items():
        console.print(
            f"{count} listed files are below the images" + (f" without {plain(prefix)}" if prefix else " as listed")
        )
    for check, count in done.findings.items():
        shown = [each for each in done.examples if each[0] == check]
        console.print(f"{plain(check)}: {count}", style="yellow")
        for _, what, where in shown:
            console.print(f"  {plain(where)}: {plain(what)}")
    if done.findings:
        console.print(f"all of them: {plain(shell_word(f'{done.out}/import-findings.csv'))}")
    words = {"frames": "clips of frames", "image": "images", "video": "videos"}
    kinds = ", ".join(f"{count} {words[kind]}" for kind, count in done.kinds.items())
    counts = ", ".join(f"{plain(name)} {count}" for name, count in done.methods.items())
    splits = ", ".join(f"{name} {count}" for name, count in done.splits.items())
    media = f"{done.media.get('real', 0)} real and {done.media.get('fake', 0)} fake"
    state = "" if done.changed else " (unchanged)"
    console.print(f"{media} media ({kinds}), {done.pairs} with a pair, in {plain(done.out)}{state}; every file checked")
    console.print(f"methods: {counts or 'none'}; splits: {splits}")
    if done.lost:
        console.print(f"not imported of what is listed: {done.lost}", style="red")
    place = PurePath(done.out)
    line = ("mmidd", "build", str(place / "recipe.yaml"), "--data", str(place.parent), "--out", "CORPUS")
    console.print(f"next: {' '.join(plain(shell_word(word)) for word in line)}")
