"""What the command line prints: words for people on a console, one JSON document for programs. Returns exit codes."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from mmidd.audit.run import Done
    from mmidd.corpus.verify import Verified
    from mmidd.curation.losses import Losses
    from mmidd.engine.store import Record
    from mmidd.engine.units import Outcome
    from mmidd.flow.build import Report
    from mmidd.flow.captioning import Usage
    from mmidd.flow.gc import Garbage
    from mmidd.flow.plan import Failure, Plan, Space, Status
    from mmidd.flow.steps import Indexed
    from mmidd.manifest.check import Checked
    from mmidd.project import Site

COMPLETE, ERROR, USAGE, WITH_FAILURES, FINDINGS, INTERRUPTED = 0, 1, 2, 3, 4, 130
SHOWN = 20
EXAMPLES = 5


def document(console: Console, value: Any) -> None:
    """One JSON document, and nothing else, on stdout."""
    console.file.write(json.dumps(value, indent=1, ensure_ascii=True, default=str) + "\n")


_BRACKET = re.compile(r"\\\[(?![a-z#/@][^\[]*?\])")
"""A backslash before a bracket that opens no tag: rich's `escape` forgets it, and its printing eats it."""


def plain(text: str) -> str:
    """Text from outside as a terminal may show it: no escape sequence, no markup."""
    return escape(_BRACKET.sub(r"\\\\[", printable(text)))


def printable(text: str) -> str:
    """Text without anything that a terminal would obey, where nobody reads markup."""
    return "".join(c if c.isprintable() else "?" for c in text)


def built(console: Console, report: Report, site: Site) -> int:
    """The end of a build: what there is now, what was lost, what to do next."""
    done = report.built
    frames = done.frames
    console.print(
        f"{done.media['ok']} media ok, {done.media['dropped']} dropped, {done.media['failed']} failed; "
        f"{frames['planned']} frames planned = {frames['ok']} ok + {frames['dropped']} dropped + {frames['failed']} failed"
    )
    for reason, count in sorted(done.drops.items()):
        console.print(f"  curation dropped {count} samples: {plain(reason)}")
    if report.captions is not None:
        _captions(console, report.captions)
    types = Counter[str]()
    for (_, kind, _), count in done.counts.items():
        types[kind] += count
    told = ", ".join(f"{kind} {types[kind]}" for kind in ("REAL", "FS", "FR", "EFS", "FE", "unknown") if types[kind])
    state = "" if done.changed else " (unchanged)"
    console.print(f"[bold]{done.samples} samples[/bold] in {plain(str(done.out))}{state}: {told}")
    _biases(console, done.losses, site.recipe.crop.pairs, str(site.store.root))
    _idle_takedowns(console, site, report)
    failed = bool(done.media["failed"] or frames["failed"] or (report.captions and report.captions.null))
    if failed:
        console.print(f"what failed: mmidd failures {plain(str(site.store.root))}")
    look = f'"from datasets import load_dataset; print(load_dataset({str(done.out)!r}))"'
    console.print(f"next: {_python()} -c {look}", markup=False)
    return WITH_FAILURES if failed else COMPLETE


def _idle_takedowns(console: Console, site: Site, report: Report) -> None:
    """A line that takes nothing down may be misspelt: whoever asked for it should know."""
    from mmidd.flow.steps import idle_takedowns

    idle = idle_takedowns(site, report.indexed)
    if idle:
        console.print(f"{len(idle)} lines of the takedown list match no medium that is here:", style="yellow")
    for line in idle[:SHOWN]:
        console.print(f"  {plain(line)}")


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


def _biases(console: Console, losses: Losses, policy: str, work: str) -> None:
    """Where extraction lost fakes otherwise than reals. A warning: it changes no exit code."""
    for dataset, sides in losses.sides.items():
        if sides.uneven:
            console.print(f"{plain(dataset)}: {plain(str(sides))}")
    found = losses.findings
    if found:
        console.print(f"real and fake were lost at different rates, {len(found)} flagged:", style="yellow")
        for finding in found[:SHOWN]:
            console.print(f"  {plain(str(finding))}", style="yellow")
            console.print(f"    -> {plain(finding.advice(policy, work))}", style="dim")
        more = f"... and {len(found) - SHOWN} more; " if len(found) > SHOWN else ""
        console.print(f"  {more}all rates: mmidd status {plain(work)}")


def _rates(console: Console, losses: Losses) -> None:
    """What each group lost that lost anything."""
    head = ("by", "dataset", "group", "media", "lost a frame", "gave nothing", "frames planned", "lost", "mostly")
    table = Table(*head, box=None)
    for rate in losses.rates:
        if rate.media_any:
            why = next(iter({**rate.reasons, **rate.errors}))
            numbers = (
                rate.media,
                f"{rate.media_any} = {rate.share}",
                rate.media_all,
                rate.planned,
                rate.dropped + rate.failed,
                why,
            )
            table.add_row(rate.by, plain(rate.dataset or ""), plain(rate.group), *(plain(str(cell)) for cell in numbers))
    if table.rows:
        console.print(table)
    told = f"{len(losses.findings)} flagged" if losses.findings else "none significant"
    console.print(f"real and fake compared in what they lost: {len(losses.comparisons)} comparisons, {told}")


def _python() -> str:
    """How to call this Python: by its short name where that finds it."""
    here = Path(sys.executable)
    if which("python") == sys.executable:
        return "python"
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def notices(console: Console, indexed: Indexed) -> None:
    """What a person should know about the raw data: absent datasets, missing label files, files in no rule."""
    _lacking(console, indexed)
    odd = indexed.of_status("unmatched", "refused")
    if odd:
        console.print(f"{len(odd)} files are in no rule or were refused (mmidd index --check lists them):", style="yellow")
        for row in odd[:3]:
            console.print(f"  {plain(row['dataset'])}/{plain(row['media'])}: {plain(row['reason'] or '')}")


def _lacking(console: Console, indexed: Indexed) -> None:
    if indexed.absent:
        console.print(f"not under the data root, skipped: {plain(', '.join(indexed.absent))}", style="yellow")
    for dataset, facts in indexed.facts.items():
        for missing in facts["missing_label_files"]:
            console.print(f"{plain(dataset)}: label file missing ({plain(missing)})", style="yellow")
        if facts["missing_pairs"]:
            console.print(f"{plain(dataset)}: {facts['missing_pairs']} fakes whose real is not there", style="yellow")


def indexed(console: Console, found: Indexed) -> int:
    """The accounting of every file, by dataset."""
    table = Table("dataset", "media", "real", "fake", "label files", "sidecars", "unmatched", "refused", box=None)
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
            sum(found.facts[name]["ignored"].values()), status[name, "unmatched"], status[name, "refused"],
        )  # fmt: skip
        table.add_row(plain(name), *(str(count) for count in counts))
    console.print(table)
    _lacking(console, found)
    dropped = Counter(found.dropped.values())
    console.print(f"{len(found.selected)} media selected" + "".join(f", {n} {r}" for r, n in sorted(dropped.items())))
    odd = found.of_status("unmatched", "refused")
    for row in odd[:SHOWN]:
        console.print(f"  {row['status']}: {plain(row['dataset'])}/{plain(row['media'])}: {plain(row['reason'] or '')}")
    if len(odd) > SHOWN:
        console.print(f"  ... and {len(odd) - SHOWN} more; mmidd index --check --json lists all")
    if odd:
        console.print("A file in no rule: move it away, or add it to the manifest's rules or `ignore` (docs/manifests.md).")
    return COMPLETE


def checked(console: Console, found: Sequence[Checked], indexed: Indexed) -> int:
    """Every dataset beside its official release; 4 if anything differs."""
    if indexed.absent:
        console.print(f"not under the data root, not checked: {plain(', '.join(indexed.absent))}", style="yellow")
    for each in found:
        console.print(f"[bold]{plain(each.dataset)}[/bold]" + ("" if each.verified else " (manifest not verified)"))
        if each.compared:
            console.print(_comparison(each))
        if each.differences:
            console.print("  counts differ: fewer, an incomplete download; more, two versions mixed", style="red")
        _more_counts(console, each)
        for pattern, count in each.ignored.items():
            console.print(f"  sidecars: {count} {plain(pattern)}")
        if each.masks[0]:
            console.print(f"  masks: {each.masks[1]:,} of {each.masks[0]:,} fakes have one")
        for finding in each.findings:
            console.print(f"  {finding.check}: {len(finding.where)}, {plain(finding.what)}", style="red")
            for name in finding.where[:EXAMPLES]:
                console.print(f"    {plain(name)}")
            if len(finding.where) > EXAMPLES:
                console.print(f"    ... and {len(finding.where) - EXAMPLES} more; --json lists all")
            console.print(f"    -> {plain(finding.advice)}", style="dim")
        for defect in each.known_defects:
            console.print(f"  known defect of the official release: {plain(defect)}", style="dim")
    number = sum(len(each.findings) + len(each.differences) for each in found)
    console.print(f"{number} findings (docs/manifests.md says what to do)" if number else "all as in the official releases")
    return FINDINGS if number else COMPLETE


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


def outcomes(console: Console, stage: str, found: Iterable[Outcome], following: str) -> int:
    """How the media of a stage ended."""
    found = list(found)
    counts = Counter(outcome.status for outcome in found)
    console.print(f"{stage}: {counts['ok']} ok, {counts['dropped']} dropped, {counts['failed']} failed; next: {following}")
    for outcome in [o for o in found if o.status == "failed"][:SHOWN]:
        console.print(f"  {plain(outcome.media)}: {outcome.error}: {plain(outcome.message or '')}")
    return WITH_FAILURES if counts["failed"] else COMPLETE


def curated(console: Console, site: Site, record: Record) -> int:
    """The verdicts, counted."""
    from mmidd.engine.tables import read_rows

    judged = read_rows(site.store, record, ["frame", "drop", "split"])
    samples = judged.filter(judged["frame"].is_valid())
    kept = Counter[str](samples.filter(samples["drop"].is_null())["split"].to_pylist())
    dropped = Counter[str](samples["drop"].drop_null().to_pylist())
    console.print(f"{sum(kept.values())} samples kept: " + ", ".join(f"{n} {split}" for split, n in sorted(kept.items())))
    for reason, count in sorted(dropped.items()):
        console.print(f"  {count} dropped: {plain(reason)}")
    console.print("next: mmidd shard")
    return COMPLETE


def plan(console: Console, planned: Plan, *, as_json: bool) -> int:
    """What a build would do."""
    if as_json:
        document(console, asdict(planned) | {"complete": planned.complete})
        return COMPLETE
    _stages(console, planned)
    if planned.absent:
        console.print(f"not under the data root, will be skipped: {plain(', '.join(planned.absent))}")
    for reason, count in sorted(planned.not_taken.items()):
        console.print(f"not taken: {count} media ({plain(reason)})")
    for space in (planned.work, planned.corpus):
        console.print(_space(space), style=None if space.fits else "red")
    if planned.to_fetch:
        console.print(f"about {_bytes(planned.to_fetch)} to fetch from the object store")
    if planned.captions is not None:
        took = planned.captions
        console.print(
            f"captions: at most {took.requests} requests, about {took.prompt_tokens} tokens sent and "
            f"{took.completion_tokens} received, about {_hours(took.hours)} ({plain(took.basis)})"
        )
    console.print(
        f"about {planned.samples} samples, if no frame is lost; about {_hours(planned.hours)} to go ({planned.basis})"
    )
    return COMPLETE


def _stages(console: Console, planned: Plan) -> None:
    table = Table("stage", "up to date", "to do", "why", box=None)
    for stage in planned.stages:
        why = "; ".join(f"{count} {plain(reason)}" for reason, count in sorted(stage.why.items()))
        to_do = "?" if stage.waits_for else str(stage.to_do)
        table.add_row(
            stage.stage, str(stage.up_to_date), to_do, why or (f"after {stage.waits_for}" if stage.waits_for else "")
        )
    console.print(table)


def _space(space: Space) -> str:
    verdict = "fits" if space.fits else "DOES NOT FIT"
    return f"{plain(space.place)}: needs about {_bytes(space.needs)}, {_bytes(space.free)} free: {verdict}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _hours(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"


def status(console: Console, found: Status, *, as_json: bool) -> int:
    """How far a build is."""
    if as_json:
        about = asdict(found) | {"complete": found.plan.complete, "losses": found.losses.document()}
        document(console, about)
        return COMPLETE
    _stages(console, found.plan)
    console.print("media so far: " + ", ".join(f"{found.media.get(s, 0)} {s}" for s in ("ok", "dropped", "failed")))
    for reason, count in sorted(found.reasons.items()):
        console.print(f"  {count} {plain(reason)}")
    _rates(console, found.losses)
    _biases(console, found.losses, found.pairs, found.plan.work.place)
    corpus = f"{found.samples} samples" if found.samples is not None else "not written yet"
    console.print(f"corpus {plain(found.corpus)}: {corpus}")
    return COMPLETE


def failures(console: Console, found: list[Failure], *, as_json: bool) -> int:
    """What failed; the exit code says whether anything of a stage did."""
    serious = any(failure.error != "Unmatched" for failure in found)
    if as_json:
        document(console, [asdict(failure) for failure in found])
        return WITH_FAILURES if serious else COMPLETE
    for failure in found:
        place = f"{plain(failure.dataset)}/{plain(failure.media)}"
        tries = f" ({failure.attempts} attempts)" if failure.attempts > 1 else ""
        console.print(f"{failure.stage}  {place}  {failure.error}: {plain(failure.message)}{tries}")
    console.print(f"{len(found)} entries" if found else "nothing failed")
    return WITH_FAILURES if serious else COMPLETE


def retried(console: Console, before: list[Failure], after: list[Failure]) -> None:
    """What a retry came to: of the media that had failed, how many did so again."""
    tried = {(failure.stage, failure.dataset, failure.media) for failure in before if failure.error != "LostFrames"}
    again = tried & {(failure.stage, failure.dataset, failure.media) for failure in after}
    console.print(f"tried again: {len(tried)} media; {len(tried - again)} came out, {len(again)} failed again")


def collected(console: Console, found: Garbage, dry_run: bool, *, as_json: bool) -> int:
    """What `gc` removed, or would remove."""
    if as_json:
        about = {"dry_run": dry_run, "bytes": found.bytes, "counts": found.counts, "young": found.young}
        document(console, {**about, "behind": found.behind})
        return COMPLETE
    counts = ", ".join(f"{count} {kind}" for kind, count in found.counts.items() if count) or "nothing"
    console.print(f"{'would remove' if dry_run else 'removed'}: {counts}; {_bytes(found.bytes)}")
    for name, stages in sorted(found.behind.items()):
        console.print(f"{plain(name)} is not up to date in {', '.join(stages)}: all that its settings made was kept")
    if found.young:
        console.print(f"left: {found.young} files that no commit names yet, written within the hour")
    return COMPLETE


def verified(console: Console, found: Verified, *, as_json: bool) -> int:
    """The findings of a check; 4 if there are any."""
    if as_json:
        document(console, found.document())
        return FINDINGS if found.findings else COMPLETE
    for finding in found.findings:
        console.print(f"{plain(finding.where[0])}: {plain(finding.what)}", style="red")
    verdict = f"{len(found.findings)} findings" if found.findings else "all sound"
    console.print(f"{found.files} files, {found.rows} rows, {found.media} media checked: {verdict}")
    return FINDINGS if found.findings else COMPLETE


def audited(console: Console, done: Done, *, as_json: bool) -> int:
    """The figures and findings of audits; 4 if there are any findings."""
    findings = [finding for audit in done.audits for finding in audit.findings]
    if as_json:
        document(console, done.document())
        return FINDINGS if findings else COMPLETE
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
    return FINDINGS if findings else COMPLETE


def sampled(console: Console, folder: Path, write: Callable[[Any], Mapping[str, int]]) -> int:
    """Write the sample with a word for each dataset."""

    def report(dataset: str, done: int, total: int) -> None:
        if done == total:
            console.print(f"  {dataset}: {total} files")

    counts = write(report)
    console.print(f"{sum(counts.values())} files of {len(counts)} sample datasets in {plain(str(folder))}")
    console.print(f"next: mmidd build sample --data {plain(str(folder))} --out CORPUS")
    return COMPLETE


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def datasets(console: Console, name: str | None, data: str | None, *, as_json: bool) -> int:
    """The table of datasets, or all about one."""
    from mmidd.manifest.catalogue import describe, rows

    if name is not None:
        about = describe(name)
        if as_json:
            document(console, [about])
        else:
            console.print("\n".join(map(plain, about["text"].split("\n"))))
        return COMPLETE
    found = rows(data)
    if as_json:
        document(console, found)
        return COMPLETE
    head = ("name", "year", "media", "real", "fake", "types", "licence", "redistributable", "verified")
    table = Table(*head, box=None)
    if data is not None:
        table.add_column("found")
    for row in found:
        cells = [
            row["name"], str(row["year"]), *(_count(row[key]) for key in ("media", "real", "fake")), " ".join(row["types"]),
            row["licence"], "yes" if row["redistributable"] else "no", "yes" if row["verified"] else "no",
        ]  # fmt: skip
        table.add_row(*map(plain, cells), *([plain(row["found"] or "-")] if data is not None else []))
    console.print(table)
    console.print("mmidd datasets NAME: how to get one, and how it must lie on disk")
    return COMPLETE
