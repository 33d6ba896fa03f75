"""What was published, or would be: where, what is withheld and why, what changed, who still holds what was removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mmidd.show import EXAMPLES, plain, shell_word, size

if TYPE_CHECKING:
    from mmidd.share.hub.planned import Planned
    from mmidd.share.hub.publish import Published
    from mmidd.share.hub.send import Released
    from mmidd.share.hub.squash import Squash
    from mmidd.share.hub.takedown import Holder
    from mmidd.share.publication.format import Terms


_CHANGES = {
    "added": "rows added", "removed": "rows removed", "changed": "rows changed", "media_removed": "media gone",
    "media_taken_down": "of them taken down",
}  # fmt: skip


def published(console: Console, done: Published) -> None:
    """What was published, and where it is."""
    about = done.publication
    _terms(console, about.terms, about.rows)
    if about.redacted:
        console.print(f"redacted: {', '.join(about.redacted)}")
    for each in about.changes if done.changed else ():
        counts = [f"{each[key]:,} {words}" for key, words in _CHANGES.items() if each.get(key)]
        console.print(f"{plain(str(each['dataset']))}: {', '.join(counts)}")
    state = "" if done.changed else " (unchanged)"
    where = f"{plain(done.folder)}: {done.files:,} files, {size(done.bytes)}{state}"
    console.print(f"version {about.version} of {plain(about.name)} in {where}")
    _edited(console, done.edited)
    if done.released is not None:
        _released(console, done, done.released)
    if done.squash is not None:
        _squash(console, done.squash, planned=False)
    if done.holders:
        _holders(console, done, done.holders)
    if done.released is None:
        console.print(f"look at: {plain(shell_word(f'{done.folder}/README.md'))}")
    elif done.released.private:
        console.print("next: look at its page, then the same command with --public shows it to others, still gated")
    if done.released is not None and not about.complete:
        where = plain(shell_word(f"{done.repository}"))
        console.print(f"others get the rows without pixels by: mmidd rehydrate {where} --data ROOT --out CORPUS")


def planned(console: Console, found: Planned) -> None:
    """What would be published."""
    _terms(console, found.plan.terms, found.plan.rows)
    if found.plan.redacted:
        console.print(f"would be redacted: {', '.join(found.plan.redacted)}")
    labels = f", {size(found.plan.label_bytes)} of it labels with proofs" if found.plan.label_bytes else ""
    console.print(f"dry run, nothing was written or sent: about {size(found.bytes)}{labels}")
    if found.repository is None:
        console.print("next: the same command without --dry-run, with ORG/NAME for the Hub or --out FOLDER for a folder")
        return
    there = found.there
    if there is None:
        console.print(f"{plain(found.repository)} would be made, private and gated (or this token may not see it)")
    else:
        held = "no publication yet" if there.version is None else f"version {there.version}"
        console.print(f"{plain(found.repository)} is there, {_visible((there.private, there.gated))}: {held}")
        for name in sorted({*there.rows, *found.plan.rows} if there.version is not None else ()):
            before, after = there.rows.get(name, 0), sum(found.plan.rows.get(name, {}).values())
            if before != after:
                console.print(f"  {plain(name)}: {before:,} rows now, {after:,} then")
        _edited(console, there.edited)
    console.print(f"about {size(found.sends)} would be sent")
    if found.squash is not None:
        _squash(console, found.squash, planned=True)


def _terms(console: Console, terms: Sequence[Terms], rows: Mapping[str, Mapping[str, int]]) -> None:
    table = Table("dataset", "rows", "licence", "pixels", "masks", "captions", box=None)
    for each in terms:
        goes = ["go" if goes else "withheld" for goes in (each.pixels, each.masks, each.captions)]
        count = sum(rows.get(each.dataset, {}).values())
        style = None if each.pixels else "yellow"
        table.add_row(plain(each.dataset), f"{count:,}", plain(each.licence), *goes, style=style)
    console.print(table)
    for pixels, why in dict.fromkeys((each.pixels, each.why) for each in terms):
        of = ", ".join(plain(each.dataset) for each in terms if (each.pixels, each.why) == (pixels, why))
        console.print(f"{of}: {plain(why)}", style=None if pixels else "yellow")


def _edited(console: Console, names: Sequence[str]) -> None:
    for name in names[:EXAMPLES]:
        console.print(f"edited or removed on the Hub, is put back: {plain(name)}", style="yellow")
    if len(names) > EXAMPLES:
        console.print(f"... and {len(names) - EXAMPLES} more; --json lists all")


def _released(console: Console, done: Published, released: Released) -> None:
    sent, read = released.sent, released.fetched
    if released.pull is None:
        console.print("the Hub had all of it: no commit was made")
    else:
        again = ", gone on with" if released.resumed else ""
        console.print(
            f"sent {sent.files:,} files, {size(sent.bytes)}, in {sent.commits:,} commits "
            f"(pull request {released.pull}{again})"
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


def _squash(console: Console, lost: Squash, *, planned: bool) -> None:
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
    console.print("what this version has no more can still be read at:", style="yellow")
    for each in holders:
        rows = "rows that could not be counted" if each.rows is None else f"{each.rows:,} rows"
        told = ", ".join([*([] if each.rows == 0 else [rows]), *map(plain, each.also)])
        console.print(f"  {plain(each.ref)} ({each.commit[:12]}): {told}", style="yellow")
    console.print("  and at main's older commits. Only their owner can take them away:")
    console.print("  mmidd publish CORPUS " + plain(shell_word(str(done.repository))) + " --squash-history --yes")
