"""A study's table in words: on a console, as Markdown, as CSV. Of the results' document alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mmidd.show import plain, shell_word
from mmidd.show.pages import in_csv, in_markdown

HEADS = (
    "line", "study", "what", "detector", "tested on", "seeds", "clip AUROC [95% over groups]", "range of seeds",
    "mean over datasets", "TPR at 5% FPR", "type accuracy", "HTER dev / oracle", "ACER dev / oracle", "groups",
    "columns alone", "scored real / fake", "answered, follows, different",
)  # fmt: skip
OF_ATTACKS = {"hter": "HTER dev / oracle", "acer": "ACER dev / oracle"}
"""Left out of every form but the CSV where no line tests presentation attacks; so is the last of HEADS where none has
reasons."""
BESIDE = ("figure", "paper, method", "source", "tested there on", "lines here", "why it is not comparable")
NOTE = (
    "Every figure counts a clip without a score as wrong. A line is of the seed with the median AUROC (of an even number of "
    "seeds the lower); its range is over all of them. Columns alone: what a logistic regression on the corpus's numeric "
    "columns reaches on the clips that have a score, fitted on the same training rows, without a pixel. Leave-one-out: "
    "trained on train of all other datasets, the best checkpoint chosen on their validation, tested on the test split of "
    "the one left out; the line below it is of the detector that was trained on all, on the same clips."
)
NOTE_OF_ATTACKS = (
    "HTER and ACER, of presentation attacks: at the threshold of dev, which the run's own validation chose, and at the "
    "oracle one, the equal error threshold of the test scores themselves, as papers have it: it looks at the answers, and "
    "is no figure to expect in use. The attack is the positive class; ACER is of the instrument that is worst told."
)
NOTE_OF_REASONS = (
    "Behind reasons: the answer that a model gives after its reasons; of its replies the share that has an answer (one "
    "without is wrong), the share of these answers that the reasons alone, without the picture, give as well beside "
    "what chance gives (answers and reasons that are the same for all pictures follow always), and how many different "
    "reasons there are."
)
AGAIN = (
    "The same command tries these again. Where a run's own files are damaged, remove its folder of this seed "
    "(runs/RUN/seed-N; all of runs/RUN if it is run.json) first: it is trained anew."
)
NARROW = 150
_SAME = ("–", "100.0% / 100.0%")
"""Cells of columns that a console leaves out where no line says anything else; the other tables have them."""
_WHOLE = ("line", "study", "detector", "seeds", "clip AUROC [95% over groups]", "columns alone")


def cells(line: Mapping[str, Any]) -> tuple[str, ...]:
    """A line under HEADS."""
    found, seeds = line["figures"] or {}, line["seeds"]
    have = sum(each["state"] == "done" for each in seeds)
    ours = found.get("counted", {})
    alone = found.get("columns_alone", {}).get("auroc")
    return (
        str(line["line"]), line["study"], line["title"], line["detector"], line["tested_on"], f"{have} of {len(seeds)}",
        _state(seeds) if not found else figure(ours["auroc"]), _range(line["range"], have),
        _mean(found.get("mean_auroc")), figure(ours.get("tpr_at_fpr_0.05"), interval=False),
        figure(ours.get("type_accuracy"), interval=False),
        *(_both(found.get("attacks"), name) for name in OF_ATTACKS),
        str(found["groups"]) if found else "–", figure(alone), _coverage(found.get("coverage")), _said(found.get("said")),
    )  # fmt: skip


def figure(found: Mapping[str, Any] | None, *, interval: bool = True) -> str:
    """A figure with its interval; a dash where there is none."""
    if not found or found["value"] is None:
        return "–"
    told = f"{found['value']:.3f}"
    if not interval:
        return told
    return f"{told} [{found['low']:.2f}, {found['high']:.2f}]" if found["low"] is not None else f"{told} (no interval)"


def columns(found: Mapping[str, Any]) -> list[int]:
    """Of HEADS, those that this study tells of."""
    unasked = {*(() if _has(found, "attacks") else OF_ATTACKS.values()), *(() if _has(found, "said") else HEADS[-1:])}
    return [place for place, head in enumerate(HEADS) if head not in unasked]


def notes(found: Mapping[str, Any]) -> list[str]:
    """Below the table."""
    more = {"attacks": NOTE_OF_ATTACKS, "said": NOTE_OF_REASONS}
    return [NOTE, *(note for name, note in more.items() if _has(found, name))]


def _has(found: Mapping[str, Any], name: str) -> bool:
    """Has a line figures of this kind?"""
    return any((line["figures"] or {}).get(name) for line in found["lines"])


def _both(found: Mapping[str, Any] | None, name: str) -> str:
    if not found:
        return "–"
    return " / ".join(figure(found[f"{name}@{at}"], interval=False) for at in ("validation", "oracle"))


def _mean(found: Mapping[str, Any] | None) -> str:
    return f"{found['value']:.3f} ({found['datasets']})" if found else "–"


def _state(seeds: Sequence[Mapping[str, Any]]) -> str:
    return "failed" if any(each["state"] == "failed" for each in seeds) else "to do"


def _range(found: Sequence[float] | None, seeds: int) -> str:
    return "–" if not found or seeds < 2 else f"{found[0]:.3f}–{found[1]:.3f}"


def _coverage(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "–"
    return " / ".join("–" if found[name] is None else f"{found[name]:.1%}" for name in ("real", "fake"))


def _said(found: Mapping[str, Any] | None) -> str:
    """Of the replies: how many have an answer, of how many of these the reasons alone give the same, different reasons."""
    if not found:
        return "–"
    follows, asked = found["agreement"]["alone"], found["asked"] or 1
    share = f"{follows['agree'] / follows['of']:.1%}" if follows["of"] else "–"
    chance = found.get("follows_by_chance")
    beside = "" if chance is None else f" (chance {chance:.1%})"
    return f"{found['answered'] / asked:.1%}, {share}{beside}, {found['different']:,} of {found['asked']:,}"


def rows_beside(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The published figures under BESIDE, those that a line of the study stands beside first."""
    rows = sorted(found["published"], key=lambda each: not each["lines"])
    return [
        (
            f"{each['value']:.4g} {each['metric']}",
            f"{each['paper']}: {each['method']}",
            each["source"] + ("" if each["verified"] else ", unverified"),
            ", ".join(each["test"]),
            ", ".join(map(str, each["lines"])) or "none",
            f"{each['verdict']}" + (f": {'; '.join(each['differs'])}" if each["differs"] else ""),
        )
        for each in rows
    ]


def summary(found: Mapping[str, Any]) -> str:
    """How many trials are done."""
    states = found["trials"]
    more = "".join(f", {states[name]:,} {name}" for name in ("failed", "to do") if states[name])
    return f"{found['corpus']['name']}: {states['done']:,} of {states['all']:,} trials done{more}"


def tell(console: Console, found: Mapping[str, Any], out: Path, changed: bool) -> None:
    """On a console: the table, what its figures are not, failures, what of the published ones stands beside it."""
    console.print(plain(summary(found)))
    if console.width >= NARROW:
        rows = [cells(line) for line in found["lines"]]
        there = [number for number in range(len(HEADS)) if any(row[number] not in _SAME for row in rows)]
        shown = Table(box=None)
        for number in there:
            shown.add_column(plain(HEADS[number]), overflow="fold", no_wrap=HEADS[number] in _WHOLE)
        for row in rows:
            shown.add_row(*(plain(row[number]) for number in there))
        console.print(shown)
    else:
        for line in found["lines"]:
            name, *others = cells(line)
            console.print(plain(f"{name}. {others[0]}, {others[2]}: {others[1]}, tested on {others[3]}"))
            kept = "; ".join(f"{HEADS[place]}: {others[place - 1]}" for place in columns(found) if place > 4)
            console.print(plain(f"   {kept}"))
    for said in found["says"]:
        console.print(plain(said), style="yellow")
    for each in found["failed"]:
        console.print(plain(f"failed at {each['at']}: {each['trial']}: {each['why']}"), style="red")
    for why in found["left_out"]:
        console.print(plain(f"left out: {why}"))
    near = [each for each in found["published"] if each["lines"]]
    console.print(
        f"{len(found['published'])} published figures, {len(near)} of them with a line here; comparable: "
        f"{sum(not each['differs'] for each in near)} ({plain(shell_word(str(out / 'index.html')))} says of each why not)"
    )
    if found["failed"]:
        console.print(AGAIN)
    state = "" if changed else " was finished already: nothing was done"
    console.print(f"study: {plain(str(out))}{state}")
    console.print(f"next: look at {plain(shell_word(str(out / 'index.html')))}")


def markdown(found: Mapping[str, Any]) -> str:
    """results.md."""
    parts = [
        f"# A study of {in_markdown(found['corpus']['name'])}", in_markdown(summary(found)) + ".",
        *(f"- {in_markdown(said)}" for said in found["says"]), "",
        _grid(*_shown(found)), "", *(each for note in notes(found) for each in (in_markdown(note), "")),
    ]  # fmt: skip
    if found["failed"]:
        rows = [(each["trial"], each["at"], each["why"]) for each in found["failed"]]
        parts += ["## Failed", "", AGAIN, "", _grid(("trial", "at", "why"), rows), ""]
    if found["left_out"]:
        parts += ["## Left out", "", *(f"- {in_markdown(why)}" for why in found["left_out"]), ""]
    parts += ["## Beside published figures", "", _grid(BESIDE, rows_beside(found)), ""]
    return "\n".join(parts)


def _shown(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = [cells(line) for line in found["lines"]]
    kept = columns(found)
    return [HEADS[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(in_markdown, line))} |" for line in lines)


_OF_ATTACKS = tuple(f"{name}@{at}" for at in ("validation", "oracle") for name in ("hter", "acer", "apcer", "bpcer"))


def csv_text(found: Mapping[str, Any]) -> str:
    """results.csv: a row for each line and seed of it, figures as numbers."""
    out = io.StringIO()
    names = ("auroc", "tpr_at_fpr_0.05", "type_accuracy")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["line", "study", "what", "detector", "preset", "settings", "trained_on", "train_rows", "tested_on", "seed", "state",
         "clip_auroc", *(f"median_{each}{part}" for each in names for part in ("", "_low", "_high")), "groups",
         "columns_alone", "coverage_real", "coverage_fake", *_OF_ATTACKS, "asked", "answered", "follow", "different"]
    )  # fmt: skip
    for line in found["lines"]:
        figures = line["figures"] or {}
        ours = [figures.get("counted", {}).get(each) or {} for each in names]
        told = [each.get(part) for each in ours for part in ("value", "low", "high")]
        alone = (figures.get("columns_alone", {}).get("auroc") or {}).get("value")
        coverage, attacks = figures.get("coverage", {}), figures.get("attacks") or {}
        said = figures.get("said") or {}
        replies = [said.get("asked"), said.get("answered"), said.get("agreement", {}).get("alone", {}).get("agree")]
        for seed in line["seeds"]:
            writer.writerow(
                [line["line"], line["study"], in_csv(line["title"]), line["detector"], line["preset"],
                 in_csv(" ".join(line["settings"])), in_csv(line["trained_on"]), line["rows"], in_csv(line["tested_on"]),
                 seed["seed"], seed["state"], seed["auroc"], *told, figures.get("groups"), alone, coverage.get("real"),
                 coverage.get("fake"), *((attacks.get(each) or {}).get("value") for each in _OF_ATTACKS),
                 *replies, said.get("different")]
            )  # fmt: skip
    return out.getvalue()
