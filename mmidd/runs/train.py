"""A detector trained on a corpus, one seed after the other, into one run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from mmidd.corpus.read import Corpus
from mmidd.errors import UsageError
from mmidd.results import Result
from mmidd.runs.asked import Words, options_of
from mmidd.runs.data import Selection, check_augment, check_needs, seen, usual_workers
from mmidd.runs.detector import Detector
from mmidd.runs.folder import asked_for, opened, surroundings
from mmidd.runs.loop import Task, train_seed
from mmidd.runs.parts import check_sizes
from mmidd.runs.processes import here
from mmidd.show import plain, shell_word
from mmidd.watch import NOBODY, Watch


@dataclass(frozen=True, repr=False)
class Trained(Result):
    """What a run came to. `seeds`: of each seed what its `result.json` holds; `changed`: was anything left to do?
    `columns_alone`: what the corpus's numeric columns reach on the same rows, without a pixel."""

    out: Path
    detector: str
    preset: str
    corpus: str
    rows: Mapping[str, Any]
    seeds: tuple[Mapping[str, Any], ...]
    changed: bool
    columns_alone: Mapping[str, Any] | None = None
    first: bool = True
    """Is this the process that speaks, of those that torchrun started?"""

    def document(self) -> dict[str, Any]:
        return {
            "run": str(self.out),
            "detector": self.detector,
            "preset": self.preset,
            "corpus": self.corpus,
            "rows": dict(self.rows),
            "changed": self.changed,
            "columns_alone": None if self.columns_alone is None else dict(self.columns_alone),
            "seeds": [dict(each) for each in self.seeds],
        }

    def tell(self, console: Console) -> None:
        if not self.first:
            return
        console.print("; ".join(f"{split}: {_rows(self.rows[split])}" for split in ("train", "validation")))
        for each in self.seeds:
            best, early = each["best"], ", stopped early" if each["stopped early"] else ""
            console.print(
                f"seed {each['seed']}: {each['steps']:,} steps{early}, {each['minutes']:.1f} min "
                f"({each['waiting for data']:.0%} of it waiting for data)"
            )
            console.print(f"  best after step {best['step']:,}: {_reached(best['validation'])}")
            if each["rows skipped"]:
                console.print(f"  {each['rows skipped']:,} rows could not be read and were skipped", style="yellow")
            for why, count in each["left out by terms"].items():
                console.print(f"  {count:,} rows left out by a loss term: {plain(why)}", style="yellow")
        if self.columns_alone is not None:
            console.print(f"numeric columns alone, no pixel: {_reached(self.columns_alone)}")
            console.print(f"  {_beside(self.seeds, self.columns_alone)}")
        state = "" if self.changed else " was finished already: nothing was done. For another run name another --out"
        console.print(f"run: {plain(str(self.out))}{state}")
        console.print(f"look at: {plain(shell_word(str(self.out / 'index.html')))}")
        console.print(f"next: mmidd score {plain(shell_word(str(self.out)))} CORPUS --split test --out FILE.parquet")


def _reached(found: Mapping[str, Any]) -> str:
    """AUROC of media and of frames on validation, each with its interval where there is one."""
    told = []
    for name in ("video", "frame"):
        interval = found[name]["interval"]
        between = " (too few groups for an interval)" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
        told.append(f"{name} AUROC {found[name]['auroc']:.3f}{between}")
    return f"{told[0]}, {told[1]} on validation"


def _rows(found: Mapping[str, Any]) -> str:
    """How many rows, of each label."""
    return f"{found['rows']:,} rows ({', '.join(f'{count:,} {name}' for name, count in found['label'].items())})"


def _beside(seeds: Sequence[Mapping[str, Any]], alone: Mapping[str, Any]) -> str:
    """What the detector's figures say beside those of the columns, of media."""
    areas, bar = [each["best"]["validation"]["video"] for each in seeds], alone["video"]["auroc"]
    if any(each["auroc"] <= bar for each in areas):
        return "the detector does not pass them: its figure says nothing of forgeries"
    if any(each["interval"] is None or each["interval"][0] <= bar for each in areas):
        return "the detector passes them, but an interval reaches down to them: this shows nothing yet"
    return "the detector passes them with its whole interval"


def train(
    detector: Detector,
    name: str,
    corpus: str | Path | Corpus,
    out: str | Path,
    *,
    preset: str = "paper",
    settings: Words = (),
    seeds: Sequence[int] = (0,),
    selection: Selection | None = None,
    workers: int | None = None,
    device: str = "auto",
    watch: Watch = NOBODY,
    tell: Callable[[str], None] = print,
) -> Trained:
    """Train a detector, once for each seed, into `out`; what is there of the same run goes on where it was.

    Everything that was asked for is checked before data is read, rows before a network is made. Raises UsageError, RunError,
    CorpusError and WorkError, and KeyboardInterrupt where it was stopped, after a checkpoint.
    """
    options, how = options_of(detector, name, preset, settings)
    check_augment(how.augment)
    seeds = _seeds(seeds)
    at = here(device)
    check_sizes(how, at.ranks)
    asked, found = selection or Selection(), corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    rows = seen(found, asked, how)
    speak = tell if at.first else lambda line: None
    needs = dict.fromkeys(detector.needs, "") | options.needs()
    for column, count in check_needs(rows.train, needs, name).items():
        speak(f"note: {count:,} of {len(rows.train):,} rows of train have no {column}")
    if found.about.derived is not None:
        speak(f"note: {found.place.path('')} is {found.about.derived}")
    folder = Path(out)
    decoding = usual_workers(at) if workers is None else workers
    looking = watch if at.first else NOBODY
    about = {
        "detector": {"name": name, "title": detector.title, "paper": detector.paper},
        "preset": preset,
        "corpus": {
            "name": found.name,
            "datasets": list(found.datasets),
            "extraction": found.about.extraction,
            **({} if found.about.derived is None else {"derived": found.about.derived}),
        },
        "rows": rows.document(),
        "surroundings": surroundings(at),
    }
    trainer = (detector.trainer(options) if detector.trainer else None) or train_seed
    with opened(folder, asked_for(name, options, how, asked, rows), about, at, speak) as run:
        every = [run.seed(seed) for seed in seeds]
        done = all(each.result() is not None for each in every)
        results = tuple(
            trainer(Task(detector, options, how, rows, seed, at, decoding, place, looking, speak))
            for seed, place in zip(seeds, every, strict=True)
        )
        alone = run.about().get("columns_alone")
        if at.first and not done:
            run.page()
    return Trained(folder, name, preset, found.name, rows.document(), results, not done, alone, at.first)


def _seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    found = tuple(seeds)
    if not found or len(set(found)) < len(found) or any(type(each) is not int or not 0 <= each < 1 << 31 for each in found):
        raise UsageError(f"seeds {list(found)}: different whole numbers from 0, one at least")
    return found
