"""The end of a build and of single stages; what is to be known of the raw data."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mmidd.schema import KINDS
from mmidd.show import EXAMPLES, LITTER, SHOWN, plain, shell_word

if TYPE_CHECKING:
    from mmidd.curation.losses import Losses
    from mmidd.flow.captioning import Usage
    from mmidd.flow.indexing import Indexed
    from mmidd.flow.report import Curated, Outcomes, Report
    from mmidd.flow.traces import Line, Takedown
    from mmidd.media import Name


_KINDS = 5
"""Of files in no rule so many kinds are told at the end of a build."""


def built(console: Console, report: Report) -> None:
    """The end of a build: what there is now, what was lost, what to do next."""
    done = report.built
    frames = done.frames
    ends = {end: done.media.get(end, 0) for end in ("ok", "dropped", "failed")}
    console.print(
        f"{ends['ok']} media ok, {ends['dropped']} dropped, {ends['failed']} failed; "
        f"{frames['planned']} frames planned = {frames['ok']} ok + {frames['dropped']} dropped + {frames['failed']} failed"
    )
    for reason, count in sorted(done.drops.items()):
        of = ", ".join(f"{plain(name)} {lost}" for (why, name), lost in sorted(done.dropped.items()) if why == reason)
        console.print(f"  curation dropped {count} samples: {plain(reason)} ({of})")
        if reason.endswith("_leak"):
            split = "test" if "_test_" in reason else "validation"
            console.print(
                f"    -> they share a pair, an identity or equal crops with {split} media and are published elsewhere "
                "(columns group and split_basis of media.parquet)"
            )
    for one, other, count, first, second in report.two_methods[:SHOWN]:
        methods = f"{plain(one or 'unknown')} and {plain(other or 'unknown')}"
        told = f"  {count} samples are the same picture under two methods, {methods}: {plain(first)}, {plain(second)}"
        console.print(told, style="yellow")
    if report.captions is not None:
        _captions(console, report.captions)
    types = report.types
    told = ", ".join(f"{kind} {types[kind]}" for kind in KINDS if types.get(kind))
    state = "" if done.changed else " (unchanged)"
    console.print(f"[bold]{done.samples} samples[/bold] in {plain(str(done.out))}{state}: {told}")
    biases(console, done.losses, report.pairs, report.work)
    lists(console, report.indexed, all_of_them=False)
    _unlabelled(console, report.indexed)
    _idle_takedowns(console, report.idle_takedowns)
    takedown(console, report.takedown)
    _unsteady(console, report.unsteady)
    _short(console, report.short)
    _masks(console, report.masks)
    for each in report.turned:
        console.print(f"{plain(each.dataset)}: {plain(str(each))}")
    if report.failed:
        console.print(f"what failed: mmidd failures {plain(shell_word(report.work))}")
    console.print(f"next: {_python()} -c {_shell_code(_look(done.out))}", markup=False)
    if _PATTERN.search(str(done.out.absolute())):
        console.print("  (load_dataset takes [ ] * ? and :: in a path for a pattern: for it, rename that folder)")


_PATTERN = re.compile(r"[\[\]*?]|::")


def _look(out: Path) -> str:
    """A line of Python that opens a corpus, wherever it lies."""
    if _PATTERN.search(str(out.absolute())):
        return f"import mmidd; print(mmidd.Corpus({str(out)!r}))"
    name = str(out.absolute()) if str(out).startswith("~") else str(out) if len(out.parts) > 1 else f"./{out}"
    return f"from datasets import load_dataset; print(load_dataset({name!r}))"


def _shell_code(code: str) -> str:
    """Code as one word of a command: within double quotes, where nothing in it means anything to a shell there."""
    return shell_word(code) if re.search(r'["$`\\!]', code) or not code.isprintable() else f'"{code}"'


def _idle_takedowns(console: Console, idle: Sequence[str]) -> None:
    """A line that takes nothing down may be misspelt: whoever asked for it should know."""
    if idle:
        console.print(f"{len(idle)} lines of the takedown list match no medium that is here:", style="yellow")
    for line in idle[:SHOWN]:
        console.print(f"  {plain(line)}")


def covers(console: Console, lines: Sequence[Line]) -> None:
    """What each line of a takedown list covers, and whom it leaves."""
    for line in lines[:SHOWN]:
        told = ", ".join(f"{count} {how}" for how, count in line.media.items())
        console.print(f"  {plain(line.line)}: {told}")
        for identity, count in list(line.others.items())[:SHOWN]:
            console.print(f"    {count} media of the same person stay; {plain(identity)} would take them down as well")
    if len(lines) > SHOWN:
        console.print(f"  ... and by {len(lines) - SHOWN} more lines")


def takedown(console: Console, found: Takedown | None) -> None:
    """Whom the takedown list covers, whom it does not, and what is still there with the commands that remove it."""
    if found is None:
        return
    console.print(f"taken down: {found.media} media")
    covers(console, found.lines)
    for each in found.corpora:
        has = "cannot be read" if each.rows is None else f"still has {each.rows} rows of {each.media} of them"
        console.print(f"  {plain(each.corpus)} {has}", style="yellow")
    if found.pixels:
        console.print(f"  the work folder still has pixels of {found.pixels} of them", style="yellow")
    if found.commands:
        console.print("  nothing is left of them after:", style="yellow")
    for command in found.commands:
        console.print(f"    {plain(command)}")


def _unsteady(console: Console, media: Sequence[Name]) -> None:
    """Whoever copies data while a build reads them should know what to do."""
    _named(console, "changed while they were read, so nothing of them was kept; run the same command again", media)


def _short(console: Console, media: Sequence[Name]) -> None:
    """What was read of a download that did not end is whole, but it is not all."""
    _named(console, "are shorter than their header says: their end is missing; download them again", media)


_UNMASKED = {"short": "end before it", "unreadable": "cannot be read there", "other_size": "are of another size"}


def _masks(console: Console, masks: Mapping[str, int]) -> None:
    """A mask that cannot be had costs no sample, so it is told here."""
    if lost := {name: count for name, count in masks.items() if name in _UNMASKED and count}:
        why = ", ".join(f"{count:,} {_UNMASKED[name]}" for name, count in lost.items())
        frames = sum(masks.values())
        console.print(
            f"{sum(lost.values()):,} of {frames:,} frames of media with a mask have none: their masks {why}", style="yellow"
        )


def _named(console: Console, told: str, media: Sequence[Name]) -> None:
    """How many media something is told of, if there are any, and the first of them by name."""
    if media:
        console.print(f"{len(media)} media {told}:", style="yellow")
    for dataset, path in media[:SHOWN]:
        console.print(f"  {plain(dataset)}/{plain(path)}")
    if len(media) > SHOWN:
        console.print(f"  ... and {len(media) - SHOWN} more")


def _captions(console: Console, took: Usage) -> None:
    """What the captions took, and why some are null."""
    null = "".join(f", {count} null ({plain(reason)})" for reason, count in sorted(took.null.items()))
    console.print(
        f"captions: {took.ok} ok{null}; {took.replies} replies, {took.prompt_tokens} tokens sent, "
        f"{took.completion_tokens} received"
    )
    if took.faults:
        told = ", ".join(f"{count} {plain(fault)}" for fault, count in sorted(took.faults.items()))
        console.print(f"  replies of no use, asked for once more: {told}")


def biases(console: Console, losses: Losses, policy: str, work: str) -> None:
    """Where extraction lost fakes otherwise than reals. A warning: it changes no exit code."""
    for dataset, sides in losses.sides.items():
        if sides.uneven:
            console.print(f"{plain(dataset)}: {plain(str(sides))}")
    for dataset, claims in losses.claims.items():
        for line in claims.lines:
            console.print(f"{plain(dataset)}: {plain(line)}")
        for odd in claims.findings[:SHOWN]:
            console.print(f"  common: {plain(str(odd))}", style="yellow")
            console.print(f"    -> {plain(odd.advice)}", style="dim")
    found = losses.findings
    if found:
        console.print(f"real and fake were lost at different rates, {len(found)} flagged:", style="yellow")
        for finding in found[:SHOWN]:
            console.print(f"  {plain(str(finding))}", style="yellow")
            console.print(f"    -> {plain(finding.advice(policy, work))}", style="dim")
        more = f"... and {len(found) - SHOWN} more; " if len(found) > SHOWN else ""
        console.print(f"  {more}all rates: mmidd status {plain(shell_word(work))}")


def _python() -> str:
    """How to call this Python: by its short name where that finds it."""
    here = Path(sys.executable)
    if which("python") == sys.executable:
        return "python"
    return shell_word(str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here))


def notices(console: Console, indexed: Indexed) -> None:
    """What a person should know about the raw data: absent datasets, missing label files, files in no rule."""
    _lacking(console, indexed)
    lists(console, indexed, all_of_them=False)
    groups = [group for group in indexed.strange if group.status != "unlabelled"]
    if groups:
        count = sum(len(group.files) for group in groups)
        console.print(f"in no rule, or refused: {count} (mmidd index --check lists them):", style="yellow")
        for group in groups[:_KINDS]:
            console.print(f"  {plain(str(group))}")
        if len(groups) > _KINDS:
            console.print(f"  ... and {sum(len(group.files) for group in groups[_KINDS:])} more, of other kinds")
    _unlabelled(console, indexed)


def lists(console: Console, indexed: Indexed, *, all_of_them: bool) -> None:
    """What came of label files: of all, or of those that a person should know something about."""
    for dataset, listed in indexed.lists.items():
        for each in listed:
            if all_of_them or not each.sound:
                console.print(f"{plain(dataset)}: {plain(str(each))}", style=None if each.sound else "yellow")


def _unlabelled(console: Console, indexed: Indexed) -> None:
    """Media that no label file says anything of, or that two contradict each other about: lost, as a refused file is."""
    lost = indexed.of_status("unlabelled")
    counted = Counter((row["dataset"], row["reason"] or "") for row in lost)
    if lost:
        console.print(f"{len(lost)} media were lost for want of a label (mmidd index --check lists them):", style="yellow")
    for (dataset, reason), count in counted.most_common(EXAMPLES):
        console.print(f"  {count} of {plain(dataset)}: {plain(reason)}")
    if len(counted) > EXAMPLES:
        console.print(f"  ... and for {len(counted) - EXAMPLES} more reasons")


def _lacking(console: Console, indexed: Indexed) -> None:
    if indexed.absent:
        console.print(f"not under the data root, skipped: {plain(', '.join(indexed.absent))}", style="yellow")
    for name in indexed.loose:
        console.print(f"{plain(name)} lies beside the datasets' folders: put it into one of its dataset's name", style="red")
    _around(console, indexed)
    for told in indexed.lists_missing:
        console.print(plain(told), style="yellow")
    for dataset, facts in indexed.facts.items():
        if facts["missing_pairs"]:
            console.print(f"{plain(dataset)}: {facts['missing_pairs']} fakes whose real is not there", style="yellow")
    for dataset, moved in indexed.moved.items():
        for line in places(moved):
            console.print(f"{plain(dataset)}: {line}", style="yellow")
    for told in indexed.barren:
        console.print(plain(told), style="red")


def _around(console: Console, indexed: Indexed) -> None:
    """What lies under the data root and is not read: folders of other names, links, litter."""
    for line in indexed.near:
        console.print(f"  {plain(line)}", style="yellow")
    for each in indexed.datasets:
        if each.listing.links:
            path, target = min(each.listing.links.items())
            console.print(
                f"{plain(each.manifest.name)}: {len(each.listing.links)} links lead to folders or out of it and are not "
                f"followed, such as {plain(path)} -> {plain(target)} (--follow-links ROOT allows it)",
                style="yellow",
            )
    for dataset, count in indexed.litter.items():
        if count:
            console.print(f"{plain(dataset)}: {count} {LITTER}")


def places(moved: Sequence[tuple[str, str, int]]) -> list[str]:
    """What is read from elsewhere than where its rules look, line by line."""
    lines = [
        f"{count} media in {plain(there or '.')}/ are read as if in {plain(wanted or '.')}/"
        for there, wanted, count in moved
    ]
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"... and so from {more} more folders or archives"] if more > 0 else [])]


def indexed(console: Console, found: Indexed) -> None:
    """The accounting of every file, by dataset."""
    head = ("dataset", "media", "real", "fake", "label files", "sidecars", "unmatched", "unlabelled", "refused")
    table = Table(*head, box=None)
    counted = (
        found.table.select(["dataset", "status", "label"])
        .group_by(["dataset", "status", "label"])
        .aggregate([([], "count_all")])
    )
    status, labels = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in counted.to_pylist():
        status[row["dataset"], row["status"]] += row["count_all"]
        labels[row["dataset"], row["label"]] += row["count_all"]
    for dataset in found.datasets:
        name = dataset.manifest.name
        counts = (
            status[name, "media"], labels[name, "real"], labels[name, "fake"], status[name, "label file"],
            sum(found.facts[name]["ignored"].values()), status[name, "unmatched"], status[name, "unlabelled"],
            status[name, "refused"],
        )  # fmt: skip
        table.add_row(plain(name), *(str(count) for count in counts))
    console.print(table)
    _lacking(console, found)
    lists(console, found, all_of_them=True)
    dropped = Counter(found.dropped.values())
    console.print(f"{len(found.selected)} media selected" + "".join(f", {n} {r}" for r, n in sorted(dropped.items())))
    groups = found.strange
    for group in groups[:SHOWN]:
        console.print(f"  {group.status}: {plain(str(group))}")
    if len(groups) > SHOWN:
        console.print(f"  ... and {len(groups) - SHOWN} more kinds")
    if sum(len(group.files) for group in groups) > len(groups):
        console.print("  mmidd index --check --json lists every file")
    if groups:
        console.print("A file in no rule: move it away, or add it to the manifest's rules or `ignore` (docs/manifests.md).")


def outcomes(console: Console, found: Outcomes) -> None:
    """How the media of a stage ended."""
    counts = found.counts
    console.print(f"{found.stage}: {counts['ok']} ok, {counts['dropped']} dropped, {counts['failed']} failed")
    for outcome in found.failed[:SHOWN]:
        console.print(f"  {plain(outcome.media)}: {outcome.error}: {plain(outcome.message or '')}")
    console.print(f"next: {plain(found.following)}")


def curated(console: Console, found: Curated) -> None:
    """The verdicts, counted."""
    kept = sorted(found.kept.items())
    console.print(f"{sum(found.kept.values())} samples kept: " + ", ".join(f"{count} {split}" for split, count in kept))
    for reason, count in sorted(found.dropped.items()):
        console.print(f"  {count} dropped: {plain(reason)}")
    console.print(f"next: {plain(found.following)}")
