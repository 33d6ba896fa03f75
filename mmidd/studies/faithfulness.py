"""`mmidd faithful`: how far a run's reasons are its reasons, as a document, tables, a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Shown

from mmidd.corpus.read import Corpus
from mmidd.engine.files import disk_errors, write_text
from mmidd.errors import UsageError
from mmidd.evaluation.formats import markdown, page
from mmidd.evaluation.tables import Table
from mmidd.evaluation.writing import check
from mmidd.explanations.flags import NAMES, withheld
from mmidd.explanations.reply import Said
from mmidd.results import Result
from mmidd.scoring.model import Model
from mmidd.show import plain, shell_word
from mmidd.studies.explained import drawn, replies
from mmidd.studies.faithful import NONE, SAYS, Line, Replies, lines
from mmidd.watch import NOBODY, Watch

FORMAT = "mmidd faithful 1"
TITLES = {
    "follows": "Does the answer follow from the reasons alone?",
    "covering": "Does covering what is named move the score?",
    "agreement": "What agrees with what",
    "masks": "Is what is named where the picture was changed?",
    "replies": "What the replies are like",
}
HEADS = ("what", "found", "by chance", "difference", "rows / groups", "chance here")
SHOWN = 12
"""Replies that are shown."""


@dataclass(frozen=True, repr=False)
class Explained(Result):
    """What was found: `found` is JSON. `out`: where it was written, None nowhere."""

    found: Mapping[str, Any]
    lines: tuple[Line, ...]
    out: Path | None = None

    def document(self) -> dict[str, Any]:
        return {**self.found, "out": None if self.out is None else str(self.out)}

    def tell(self, console: Console) -> None:
        console.print(plain(summary(self.found)))
        for table in tables(self.found, self.lines)[:-2]:
            console.print(f"[bold]{plain(table.title)}[/bold]")
            shown = Shown(box=None)
            for head in table.heads[:5]:
                shown.add_column(plain(head), overflow="fold")
            for row in table.rows:
                shown.add_row(*map(plain, row[:5]))
            console.print(shown)
            for note in table.notes:
                console.print(plain(note), style="dim")
        for said in self.found["says"]:
            console.print(plain(said), style="yellow")
        if self.out is not None:
            console.print(f"look at: {plain(shell_word(str(self.out / 'index.html')))}")


def faithful(
    model: Model,
    explaining: Model,
    corpus: Corpus,
    out: Path | None = None,
    *,
    split: str = "test",
    rows: int = 200,
    seed: int = 0,
    resamples: int = 1000,
    watch: Watch = NOBODY,
) -> Explained:
    """Ask a model for reasons and look at what they are worth; `explaining`: the same model, opened to give them. Raises
    UsageError, and WorkError where `out` holds anything."""
    if rows < 2:
        raise UsageError(f"--rows {rows}: two at least, one of each class")
    if out is not None:
        check(out)
    which = drawn(corpus, split, rows, seed)
    found, said = replies(model, explaining, corpus, which, seed=seed, watch=watch)
    checks = tuple(lines(found, seed=seed, resamples=resamples))
    ids = [row["id"] for row in which.columns]
    made = Explained(_document(model, corpus, which.split, seed, found, said, ids, checks), checks, out)
    if out is not None:
        _write(out, made)
    return made


def _document(
    model: Model,
    corpus: Corpus,
    split: str,
    seed: int,
    found: Replies,
    said: Sequence[Said],
    ids: Sequence[str],
    checks: Sequence[Line],
) -> dict[str, Any]:
    each = [_reply(place, found, said, ids) for place in range(len(found))]
    return {
        "format": FORMAT,
        "model": {key: model.about.get(key) for key in ("name", "kind", "detector", "digest") if key in model.about},
        "corpus": {"name": corpus.name, "digest": corpus.digest},
        "split": split,
        "seed": seed,
        "rows": {"real": int((found.label == 0).sum()), "fake": int((found.label == 1).sum())},
        "left_out": _left_out(found),
        "wrong": dict(Counter(why for why in found.wrong if why is not None)),
        "flags": dict(Counter(kind for kinds in found.flags for kind in kinds)),
        "named": dict(Counter(part for parts in found.regions for part in parts).most_common()),
        "checks": [line.document() for line in checks],
        "says": _says(found, checks),
        "replies": each,
    }


def _reply(place: int, found: Replies, said: Sequence[Said], ids: Sequence[str]) -> dict[str, Any]:
    """Of one row. Reasons with a flag are withheld: what they say of a person goes nowhere."""
    kinds = found.flags[place]
    return {
        "id": ids[place], "label": int(found.label[place]), "answer": _side(int(found.answer[place])),
        "wrong": found.wrong[place], "reasons": withheld(kinds) or found.chain[place], "flags": list(kinds),
        "argues": _side(int(found.argues[place])), "named": list(found.regions[place]),
        "direct": _number(found.direct[place]), "alone": _number(found.alone[place]),
        "tokens": said[place].tokens, "cut": said[place].cut,
        "moved": {"named": _number(found.named[place]), "others": _number(found.others[place])},
        "mask": {
            "named": _number(found.inside[place]), "others": _number(found.inside_others[place]),
            "area": _number(found.inside_any[place]),
        },
    }  # fmt: skip


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _side(value: int) -> int | None:
    return None if value == NONE else value


def _left_out(found: Replies) -> dict[str, int]:
    """Rows that a check could not take, by why."""
    named = sum(map(bool, found.regions))
    covered, masked = (int((~np.isnan(each)).sum()) for each in (found.named, found.inside))
    return {
        "covering: no part of the face is named": len(found) - named,
        "covering: what is named lies nowhere that is known, or takes too little or too much of the crop": named - covered,
        "masks: no mask, or no part is named": len(found) - masked,
    }


def _says(found: Replies, checks: Sequence[Line]) -> list[str]:
    """What stands out, in a sentence each."""
    told = []
    different = len(set(found.chain))
    if different == 1:
        told.append("It gives the same reasons for every picture: nothing in them is of the picture.")
    elif len({*zip(found.answer.tolist(), found.chain, strict=True)}) == len({*found.answer.tolist()}):
        told.append("With each answer it gives one and the same reasons: they tell no more than the answer.")
    if different > 1 and found.grey.mean() > 0.5:
        told.append(f"For {found.grey.mean():.0%} of the pictures it gives the reasons that it gives for a grey one.")
    if len({answer for answer in found.answer.tolist() if answer != NONE}) == 1:
        told.append("It gives one answer to every picture: agreement of answers says nothing here.")
    if failed := sum(why is not None for why in found.wrong):
        told.append(f"Of {len(found):,} replies {failed:,} gave no answer.")
    if flagged := sum(map(bool, found.flags)):
        which = ", ".join(sorted({NAMES[kind] for kinds in found.flags for kind in kinds}))
        told.append(f"{flagged:,} of {len(found):,} replies are flagged and withheld ({which}).")
    if len({*found.label.tolist()}) == 1:
        told.append("All rows are of one class: agreement with the label says nothing here.")
    for check_ in ("follows", "covering", "masks"):
        mine = [line for line in checks if line.check == check_ and line.difference and line.found.rows]
        if why := dict.fromkeys(line.difference.why for line in mine if line.difference and not line.difference.interval):
            told.append(f"{TITLES[check_]} Cannot be told: {', '.join(filter(None, why))}.")
        elif any(line.difference.low <= 0 for line in mine):  # type: ignore[union-attr, operator]
            told.append(f"{TITLES[check_]} Not shown: the difference to chance may be 0.")
    return told


def summary(found: Mapping[str, Any]) -> str:
    rows = found["rows"]
    return (
        f"{found['model'].get('name', 'the model')} on {found['corpus']['name']}, split {found['split']}: "
        f"{rows['real']:,} reals, {rows['fake']:,} fakes"
    )


def tables(found: Mapping[str, Any], checks: Sequence[Line]) -> list[Table]:
    """A table a check, with what it does not prove; then what is named, and replies."""
    made = []
    for check_, title in TITLES.items():
        mine = [line for line in checks if line.check == check_]
        rows = tuple(_cells(line) for line in mine)
        why = dict.fromkeys(
            figure.why for line in mine for figure in (line.found, line.difference) if figure is not None and figure.why
        )
        notes = (f"What it does not prove: {SAYS[check_]}", *why)
        left = tuple(f"{count:,} rows left out: {told.partition(': ')[2]}" for told, count in found["left_out"].items()
                     if count and told.startswith(check_))  # fmt: skip
        wide = any(line.chance for line in mine)
        heads = HEADS if wide else ("what", "found", "rows / groups")
        made.append(Table(title, heads, rows if wide else tuple((row[0], row[1], row[4]) for row in rows), (*notes, *left)))
    named = tuple((part, f"{count:,}") for part, count in found["named"].items())
    counts = tuple((f"flag: {kind}", f"{count:,}") for kind, count in found["flags"].items())
    wrong = tuple((f"no answer: {why}", f"{count:,}") for why, count in found["wrong"].items())
    made.append(
        Table("Parts that are named, flags, and why there is no answer", ("what", "replies"), (*named, *counts, *wrong))
    )
    shown = found["replies"][:: max(1, len(found["replies"]) // SHOWN)][:SHOWN]
    top = ("sample", "is", "answer", "reasons", "names", "without reasons", "reasons alone")
    shown_rows = tuple(
        (each["id"], _word(each["label"]), each["wrong"] or _word(each["answer"]), each["reasons"] or "–",
         ", ".join(each["named"]) or "–", _score(each["direct"]), _score(each["alone"]))
        for each in shown
    )  # fmt: skip
    made.append(
        Table(f"{len(shown)} of the replies", top, shown_rows, ("All are in results.json; flagged ones are withheld.",))
    )
    return made


def _cells(line: Line) -> tuple[str, ...]:
    found = line.found
    chance, differs = ("–" if each is None else str(each) for each in (line.chance, line.difference))
    count = f"{found.rows:,} / {found.groups:,}" if found.groups else f"{found.rows:,}"
    return line.what, str(found), chance, differs, count, line.beside or "–"


def _word(side: int | None) -> str:
    return "–" if side is None else ("real", "fake")[side]


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _write(out: Path, made: Explained) -> None:
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    held, title = tables(made.found, made.lines), "Are its reasons its reasons?"
    words = [summary(made.found), *made.found["says"]]
    texts = {
        "results.json": json.dumps(made.found, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "results.md": markdown(title, held, words),
        "index.html": page(title, held, words, ()),
    }
    for name, text in texts.items():
        write_text(out / name, text, scratch=out)
