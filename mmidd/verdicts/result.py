"""All verdicts of a command: one JSON document, a table of the most suspicious ones, a CSV file written as they come."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mmidd.engine.files import ANEW, disk_errors
from mmidd.errors import UsageError
from mmidd.evaluation.figures import counted
from mmidd.results import Result
from mmidd.show import LITTER, SHOWN, plain, printable, shell_word
from mmidd.show.pages import in_csv
from mmidd.verdicts.explained import CAVEAT, CONSOLE, CSV_MOST
from mmidd.verdicts.rates import Rates, Unmeasured
from mmidd.verdicts.taking import Taking
from mmidd.verdicts.verdict import (
    RULE,
    Track,
    Verdict,
    forged_as,
    forged_words,
    mixed_told,
    reasons_told,
    several_told,
    short_told,
    word,
)

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = (
    "path", "level", "track", "state", "verdict", "score", "threshold", "false_positive_rate", "true_positive_rate",
    "if_forged", "explanation", "decides", "tracks_deciding", "frames_planned", "frames_used", "kind", "sha256", "reason",
)  # fmt: skip
_BARE = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet."""
NOT = (
    "A score says how much a medium looks, to this network, like the fakes it was trained on. It is no proof, and no "
    "probability that this medium is forged."
)


@dataclass(frozen=True)
class Speed:
    """`seconds` from the first byte to the last verdict, workers' start and pages included."""

    seconds: float
    media: int
    frames: int
    faces: int

    def document(self) -> dict[str, Any]:
        each = max(self.seconds, 1e-9)
        rates = {f"{name}_per_second": getattr(self, name) / each for name in ("media", "frames", "faces")}
        return {**vars(self), **rates}

    def __str__(self) -> str:
        found = self.document()
        told = ", ".join(
            f"{getattr(self, name):,} {name} ({found[f'{name}_per_second']:.3g}/s)" for name in ("media", "frames", "faces")
        )
        return f"{told} in {self.seconds:.1f} s"


@dataclass(frozen=True, repr=False)
class Detected(Result):
    """What `mmidd detect` found. `verdicts`: of every medium that was named, then of what was skipped."""

    model: str
    about: Mapping[str, Any]
    rates: Rates | Unmeasured
    taking: Taking
    verdicts: tuple[Verdict, ...]
    others: Mapping[str, int]
    litter: int
    twice: int
    speed: Speed
    out: Path | None = None
    csv: Path | None = None

    @property
    def complete(self) -> bool:
        """Was there something, and was all of it judged?"""
        return bool(self.verdicts) and all(each.state == "judged" for each in self.verdicts)

    @property
    def states(self) -> dict[str, int]:
        return dict(Counter(each.state for each in self.verdicts))

    def most_suspicious(self) -> list[Verdict]:
        """By score, highest first; those without one behind, as they were named."""
        return sorted(self.verdicts, key=lambda each: 1.0 if each.score is None else -each.score)

    def document(self) -> dict[str, Any]:
        measured = self.rates.document() if isinstance(self.rates, Rates) else None
        return {
            "model": {"path": self.model, **self.about},
            "rates": measured,
            "no_verdict": None if measured else str(self.rates),
            "rule": RULE,
            "means": NOT,
            "faces_as": self.taking.document(),
            "notes": list(self.taking.notes),
            "states": self.states,
            "other_files": dict(self.others),
            "litter": self.litter,
            "named_twice": self.twice,
            "explained": explained_told(self.verdicts) or None,
            "speed": self.speed.document(),
            "media": [each.document(self.rates) for each in self.verdicts],
        }

    def headline(self) -> str:
        """How many ended how, and the most suspicious with the error rates."""
        table = self.most_suspicious()
        states = ", ".join(f"{count:,} {state}" for state, count in self.states.items())
        return (states or "no media") + (f", the most suspicious: {_line(table[0], self.rates)}" if table else "")

    def tell(self, console: Console) -> None:
        table = self.most_suspicious()
        if any(each.score is not None for each in table):
            console.print(plain(str(self.rates)), style=None if isinstance(self.rates, Rates) else "yellow")
        for each in table[:SHOWN]:
            console.print(_line(each, self.rates), style=None if each.state == "judged" else "yellow")
            for note in _below(each, self.rates):
                console.print(f"      {plain(note)}", style="dim")
        if len(table) > SHOWN:
            console.print(f"      ... and {len(table) - SHOWN:,} more, less suspicious or not judged (--json, --csv: all)")
        for note in self._notes():
            console.print(plain(note), style="yellow")
        console.print(
            f"{', '.join(f'{count:,} {state}' for state, count in self.states.items()) or 'no media'}: {self.speed}"
        )
        if any(each.score is not None for each in table):
            console.print(f"{RULE}. {NOT}")
        if told := explained_told(self.verdicts):
            console.print(f"{told}. {CAVEAT}")
        for name, place in (("rows", self.csv), ("look at", self.out / "index.html" if self.out else None)):
            if place is not None:
                console.print(f"{name}: {plain(shell_word(str(place)))}")

    def _notes(self) -> Iterator[str]:
        yield from (f"note: {note}" for note in self.taking.notes)
        if not self.verdicts:
            yield "there is no image, video or archive in what was named: nothing was judged"
        if self.others:
            told = ", ".join(f"{count:,} {ending}" for ending, count in Counter(self.others).most_common(SHOWN))
            more = f" and {len(self.others) - SHOWN:,} more endings (--json: all)" if len(self.others) > SHOWN else ""
            yield f"no media by their names, not looked at: {told}{more}"
        if self.litter:
            yield f"{self.litter:,} {LITTER}"
        if self.twice:
            yield f"{self.twice:,} media were named again: each was judged once"


def _line(each: Verdict, rates: Rates | Unmeasured) -> str:
    name = plain(each.shown)
    if each.score is None:
        return f"   –   {each.state}  {name}: {plain(each.reason or '')}"
    said = f"{word(each.score, rates):<4} ({rates.short()})  " if isinstance(rates, Rates) else ""
    return f"{each.score:.4f}  {said}{name}"


def _below(each: Verdict, rates: Rates | Unmeasured) -> Iterator[str]:
    if each.reasons:
        yield f"{each.used:,} of {each.planned:,} planned frames show a face; not used: {reasons_told(each.reasons)}"
    if several := several_told(each, rates):
        yield several
        scores = ", ".join(f"{track.number}: {track.score:.4f}" for track in each.deciding[:12])
        yield f"by face: {scores}{' ...' if each.judged > 12 else ''}"
    if short := short_told(each, rates):
        yield short
    if mixed := mixed_told(each, rates):
        yield mixed
    if each.worst and (kind := forged_words(each.worst.types)):
        yield f"if forged, by {kind}"
    for said in each.explained:
        yield f"face {said.track}, frame {said.frame}: {said.figures()}"
        yield f"it says: {said.words(CONSOLE)}"
        yield said.looks()
    yield from each.notes


class Rows:
    """A CSV file, one row a clip and one a track, written as verdicts come. Names are printable there (exact in JSON)."""

    def __init__(self, file: TextIO, path: Path, rates: Rates | Unmeasured) -> None:
        self._file, self._path, self._rates = file, path, rates
        self._rows = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        with disk_errors(path, ANEW):
            self._rows.writeheader()
            file.flush()

    @classmethod
    @contextmanager
    def begin(cls, path: Path, rates: Rates | Unmeasured) -> Iterator[Rows]:
        """Raises UsageError where there is a file already."""
        with disk_errors(path):
            if os.path.lexists(path):
                raise UsageError(f"--csv {path} is there already: name another file, or remove it")
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("x", encoding="utf-8", newline="")
        try:
            yield cls(file, path, rates)
        finally:
            with suppress(OSError):  # `add` told it, and flushed all that it could
                file.close()

    def add(self, verdict: Verdict) -> None:
        """Raises WorkError."""
        with disk_errors(self._path, ANEW):
            self._add(verdict)
            self._file.flush()

    def _add(self, verdict: Verdict) -> None:
        worst = verdict.worst
        clip = {
            **self._both(verdict, verdict.score), "level": "clip", "if_forged": _forged(worst),
            "explanation": _said(verdict, worst),
            "tracks_deciding": verdict.judged, "frames_planned": verdict.planned, "frames_used": verdict.used,
            "reason": printable(verdict.reason or ""),
        }  # fmt: skip
        self._rows.writerow(clip)
        deciding = {each.number for each in verdict.deciding}
        for track in verdict.tracks:
            self._rows.writerow(
                {**self._both(verdict, track.score), "level": "track", "track": track.number, "if_forged": _forged(track),
                 "explanation": _said(verdict, track),
                 "frames_used": len(track.looks), "decides": track.number in deciding}
            )  # fmt: skip

    def _both(self, verdict: Verdict, score: float | None) -> dict[str, Any]:
        path = printable(verdict.shown)
        found: dict[str, Any] = {
            "path": f"./{path}" if path.startswith(_BARE) else path, "state": verdict.state, "score": score,
            "verdict": word(score, self._rates), "kind": verdict.kind, "sha256": verdict.sha256,
        }  # fmt: skip
        if isinstance(self._rates, Rates):
            found |= {
                "threshold": self._rates.threshold, "false_positive_rate": self._rates.false_positive.value,
                "true_positive_rate": self._rates.true_positive.value,
            }  # fmt: skip
        return found


def _said(verdict: Verdict, track: Track | None) -> object:
    """The answer and the reasons, as far as they are shown."""
    found = next((each for each in verdict.explained if track is not None and each.track == track.number), None)
    if found is None:
        return None
    return in_csv(f"{found.answer or f'no answer ({found.said.wrong})'}: {found.words(CSV_MOST)}")


def explained_told(verdicts: Iterable[Verdict]) -> str:
    """How many faces were explained, how many replies had no answer, how many are withheld."""
    said = [each for verdict in verdicts for each in verdict.explained]
    if not said:
        return ""
    lost, kept = sum(each.answer is None for each in said), sum(bool(each.flags) for each in said)
    return (
        f"{counted(len(said), 'face')} explained; replies without an answer: {lost:,}; with words withheld for what they "
        f"name of a person: {kept:,}"
    )


def _forged(track: Track | None) -> str | None:
    found = forged_as(track.types) if track else None
    return found["type"] if found else None
