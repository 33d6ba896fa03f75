"""What checks and audits of a corpus found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mmidd.show import plain

if TYPE_CHECKING:
    from mmidd.audit.run import Done
    from mmidd.corpus.verify import Verified
    from mmidd.share.export.run import Exported


def verified(console: Console, found: Verified) -> None:
    """The findings of a check."""
    for finding in found.findings:
        console.print(f"{plain(finding.where[0])}: {plain(finding.what)}", style="red")
    verdict = f"{len(found.findings)} findings" if found.findings else "all sound"
    console.print(f"{found.files} files, {found.rows} rows, {found.media} media checked: {verdict}")


def audited(console: Console, done: Done) -> None:
    """The figures and findings of audits findings."""
    findings = [finding for audit in done.audits for finding in audit.findings]
    for audit in done.audits:
        table = Table("check", "figures", box=None, pad_edge=False)
        for part in audit.parts:
            for place, line in enumerate(part.lines):
                table.add_row("" if place else plain(part.name), plain(line))
        console.print(table)
        for each in audit.untested:
            console.print(f"not testable: {plain(each.check)}, because {plain(each.because)}", style="yellow")
    for finding in findings:
        console.print(f"{plain(finding.check)}: {plain(finding.what)}\n  -> {plain(finding.advice)}", style="red")
    verdict = f"{len(findings)} findings" if findings else "no findings"
    console.print(f"{verdict}; all figures: {', '.join(plain(str(path)) for path in done.written)}")


def exported(console: Console, done: Exported) -> None:
    """What was written, and what the layout cannot hold."""
    state = f", {done.kept} of them from before it was cut off" if done.kept else "" if done.changed else " (unchanged)"
    console.print(f"{done.rows} rows as {done.files} files in {plain(done.out)}{state}, every file checked")
    if done.left_out:
        console.print(f"columns that {plain(done.to)} cannot hold, left out: {', '.join(done.left_out)}", style="yellow")
