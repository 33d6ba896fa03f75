"""What would be done, how far things are, what failed, and what was removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mmidd.show import duration, plain, plain_lines, size
from mmidd.show.build import biases, covers, takedown

if TYPE_CHECKING:
    from mmidd.curation.losses import Losses
    from mmidd.flow.forecast import Space
    from mmidd.flow.gc import Garbage
    from mmidd.flow.plan import Plan
    from mmidd.flow.status import Failures, Retried, Status


def plan(console: Console, planned: Plan) -> None:
    """What a build would do."""
    _stages(console, planned)
    if planned.absent:
        console.print(f"not under the data root, will be skipped: {plain(', '.join(planned.absent))}")
    for line in planned.near:
        console.print(f"  {plain(line)}", style="yellow")
    for reason, count in sorted(planned.not_taken.items()):
        console.print(f"not taken: {count} media ({plain(reason)})")
    covers(console, planned.taken_down)
    for listed in planned.lists:
        console.print(plain(listed), style="yellow")
    if planned.unlabelled:
        console.print(
            f"{planned.unlabelled} media are lost for want of a label (mmidd index --check lists them)", style="yellow"
        )
    for space in (planned.work, planned.corpus):
        console.print(_space(space), style=None if space.fits else "red")
    if planned.to_fetch:
        console.print(f"about {size(planned.to_fetch)} to fetch from the object store")
    if planned.reread:
        console.print(
            f"{planned.reread} files have their size and time, but were copied, moved or replaced: read again by a build"
        )
    if planned.captions is not None:
        took = planned.captions
        console.print(
            f"captions: at most {took.requests} requests, about {took.prompt_tokens} tokens sent and "
            f"{took.completion_tokens} received, about {duration(took.hours)} ({plain(took.basis)})"
        )
    console.print(
        f"about {planned.samples} samples, if no frame is lost; about {duration(planned.hours)} to go ({planned.basis})"
    )
    if planned.refused is not None:
        console.print("a build would stop before it wrote the corpus: " + plain_lines(planned.refused), style="red")


def _stages(console: Console, planned: Plan) -> None:
    table = Table("stage", "up to date", "to do", "why", box=None)
    awaited = {stage.waits_for for stage in planned.stages}
    for stage in planned.stages:
        why = "; ".join(f"{count} {plain(reason)}" for reason, count in sorted(stage.why.items()))
        if stage.stage in awaited and not (stage.to_do or stage.waits_for):
            why = "nothing anew, but what is there is copied into other groups"
        to_do = "?" if stage.waits_for else str(stage.to_do)
        table.add_row(
            stage.stage, str(stage.up_to_date), to_do, why or (f"after {stage.waits_for}" if stage.waits_for else "")
        )
    console.print(table)


def _space(space: Space) -> str:
    verdict = "fits" if space.fits else "DOES NOT FIT"
    return f"{plain(space.place)}: needs about {size(space.needs)}, {size(space.free)} free: {verdict}"


def status(console: Console, found: Status) -> None:
    """How far a build is."""
    if not found.plan.complete:
        console.print(
            "not at its end: it was stopped or killed, or still runs. The same command goes on; only what is left is done"
        )
    _stages(console, found.plan)
    console.print("media so far: " + ", ".join(f"{found.media.get(s, 0)} {s}" for s in ("ok", "dropped", "failed")))
    for reason, count in sorted(found.reasons.items()):
        console.print(f"  {count} {plain(reason)}")
    _rates(console, found.losses)
    biases(console, found.losses, found.pairs, found.plan.work.place)
    takedown(console, found.takedown)
    corpus = f"{found.samples} samples" if found.samples is not None else "not written yet"
    console.print(f"corpus {plain(found.corpus)}: {corpus}")


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


def failures(console: Console, found: Failures) -> None:
    """What failed."""
    for failure in found.entries:
        place = f"{plain(failure.dataset)}/{plain(failure.media)}"
        tries = f" ({failure.attempts} attempts)" if failure.attempts > 1 else ""
        console.print(f"{failure.stage}  {place}  {failure.error}: {plain(failure.message)}{tries}")
    console.print(f"{len(found.entries)} entries" if found.entries else "nothing failed")


def retried(console: Console, found: Retried) -> None:
    """What a retry came to, of the media that had failed."""
    tried, again = len(found.tried), len(found.again)
    console.print(f"tried again: {tried} media; {tried - again} came out, {again} failed again")


def collected(console: Console, found: Garbage) -> None:
    """What `gc` removed, or would remove."""
    counts = ", ".join(f"{count} {kind}" for kind, count in found.counts.items() if count) or "nothing"
    console.print(f"{'would remove' if found.dry_run else 'removed'}: {counts}; {size(found.bytes)}")
    for name, stages in sorted(found.behind.items()):
        console.print(f"{plain(name)} is not up to date in {', '.join(stages)}: all that its settings made was kept")
    if found.young:
        console.print(f"left: {found.young} files that no commit names yet, written within the hour")
