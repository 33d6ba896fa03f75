"""What was published, or would be: where, what is withheld and why, what changed, who still holds what was removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mmidd.show import EXAMPLES, plain, shell_word, size

if TYPE_CHECKING:
    from mmidd.share.hub.publish import Difference, Published
    from mmidd.share.hub.send import Released
    from mmidd.share.hub.squash import Squash
    from mmidd.share.hub.takedown import Holder
    from mmidd.share.publication.format import Publication


def published(console: Console, done: Published) -> None:
    """All of it."""
    about = done.publication
    console.print(_terms(about))
    for each in about.terms:
        console.print(f"{plain(each.dataset)}: {plain(each.why)}", style=None if each.pixels else "yellow")
    if about.redacted:
        console.print(f"redacted: {', '.join(about.redacted)}")
    _changes(console, about)
    where = f"{plain(done.folder)}: {done.files:,} files, {size(done.bytes)}"
    console.print(f"version {about.version} of {plain(about.name)} in {where}")
    if done.difference is not None:
        _difference(console, done, done.difference)
    if done.released is not None:
        _released(console, done, done.released)
    if done.squash is not None:
        _squash(console, done.squash, done.planned)
    if done.holders:
        _holders(console, done, done.holders)
    _next(console, done)


def _terms(about: Publication) -> Table:
    table = Table("dataset", "rows", "licence", "pixels", "masks", "captions", box=None)
    for each in about.terms:
        rows = sum(about.rows.get(each.dataset, {}).values())
        goes = ["go" if each_ else "withheld" for each_ in (each.pixels, each.masks, each.captions)]
        table.add_row(plain(each.dataset), f"{rows:,}", plain(each.licence), *goes, style=None if each.pixels else "yellow")
    return table


def _changes(console: Console, about: Publication) -> None:
    for each in about.changes:
        counts = ", ".join(f"{plain(key).replace('_', ' ')} {value:,}" for key, value in each.items() if key != "dataset")
        console.print(f"changed in {plain(str(each['dataset']))}: {counts}")


def _difference(console: Console, done: Published, found: Difference) -> None:
    for name in found.edited[:EXAMPLES]:
        console.print(f"edited or removed on the Hub, is put back: {plain(name)}", style="yellow")
    if len(found.edited) > EXAMPLES:
        console.print(f"... and {len(found.edited) - EXAMPLES} more; --json lists all")
    if not done.planned:
        return
    state = "is there" if done.exists else "is made, private and gated (or this token may not see it)"
    if done.exists and done.visible is not None:
        state += f" ({_visible(done.visible)})"
    console.print(f"{plain(str(done.address))} {state}")
    if found.files or found.deletes:
        console.print(
            f"dry run, nothing was sent: {found.files:,} files to send, {size(found.bytes)}; {found.deletes:,} to delete"
        )
    else:
        console.print("dry run: the Hub has all of it, nothing is to be sent")


def _released(console: Console, done: Published, released: Released) -> None:
    sent, read = released.sent, released.fetched
    if released.pull is None:
        console.print("the Hub had all of it: no commit was made")
    else:
        again = ", gone on with" if released.resumed else ""
        console.print(
            f"sent {sent.files:,} files, {size(sent.bytes)}, in {sent.commits:,} commits (pull request {released.pull}{again})"
        )
        console.print(
            f"{read:,} files fetched as served and hashed" if read else "compared by the digests that the Hub lists"
        )
    console.print(
        f"published: {plain(str(done.address))} at {released.tag} ({released.commit[:12]}), "
        f"{_visible((released.private, released.gated))}"
    )


def _visible(visible: tuple[bool, str]) -> str:
    private, gated = visible
    return f"{'private' if private else 'public'}, gated: {plain(gated)}"


def _squash(console: Console, lost: Squash, planned: bool) -> None:
    if not lost:
        console.print("nothing to squash: this version is the only one")
        return
    goes, tags = "would go" if planned else "gone", ", ".join(map(plain, lost.tags)) or "none"
    console.print(
        f"{goes} for good: {lost.commits:,} older commits, tags: {tags}, {lost.files:,} large files ({size(lost.bytes)})",
        style="yellow",
    )


def _holders(console: Console, done: Published, holders: tuple[Holder, ...]) -> None:
    """Who is asked to take something down wants to know where it still is."""
    console.print("rows that this version has no more can still be read at:", style="yellow")
    for each in holders:
        rows = "cannot be read" if each.rows is None else f"{each.rows:,} rows"
        console.print(f"  {plain(each.ref)} ({each.commit[:12]}): {rows}", style="yellow")
    console.print("  and at main's older commits. Only their owner can take them away:")
    console.print("  mmidd publish CORPUS " + plain(shell_word(str(done.repository))) + " --squash-history --yes")


def _next(console: Console, done: Published) -> None:
    if done.repository is None:
        console.print(f"look at: {plain(shell_word(done.folder))}/README.md")
        return
    if done.planned:
        return
    private, _ = done.visible or (True, "")
    if private:
        console.print("next: look at its page, then the same command with --public shows it to others, still gated")
