"""A study of a corpus: its grid of trials done one after the other in a study folder, which the same command goes on with.

STUDY/study.json, results.{json,md,csv}, index.html; runs/, scores/, trials/ (records), times/
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from mmidd.corpus.read import Corpus
from mmidd.engine.files import disk_errors, write_text
from mmidd.engine.lock import held
from mmidd.errors import CorpusError, RunError, UsageError
from mmidd.evaluation.figures import counted
from mmidd.registry import Registry
from mmidd.results import Result
from mmidd.show import elapsed
from mmidd.studies import page, results, table
from mmidd.studies.ablations import ABLATIONS, SHORTCUT
from mmidd.studies.facts import Facts, facts_of
from mmidd.studies.forecast import Forecast, forecast
from mmidd.studies.grid import STUDIES, Asked, Grid, grid
from mmidd.studies.measure import Chance
from mmidd.studies.overlap import TESTED, Overlap, overlap
from mmidd.studies.trial import Bench, Record, Train, do, done, read_record
from mmidd.watch import NOBODY, Watch

PLAN, LOCK = "study.json", ".lock"
FILES = {"json": "results.json", "md": "results.md", "csv": "results.csv", "html": "index.html"}


@dataclass(frozen=True, repr=False)
class Study(Result):
    """What a study came to. `changed`: was anything left to do? `trials` that are done now, of how many."""

    out: Path
    found: Mapping[str, Any]
    changed: bool

    @property
    def failed(self) -> int:
        return int(self.found["trials"]["failed"])

    def document(self) -> dict[str, Any]:
        return {"study": str(self.out), "changed": self.changed, **self.found}

    def tell(self, console: Console) -> None:
        table.tell(console, self.found, self.out, self.changed)


@dataclass(frozen=True)
class Asking:
    """A checked request: what `validate` does and `--dry-run` tells."""

    asked: Asked
    facts: Facts
    grid: Grid
    tests: Mapping[str, Corpus]
    shared: Mapping[str, Any]

    def about_tests(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "name": corpus.name, "digest": corpus.digest,
                "datasets": [dict(_names(corpus)).get(slug, slug) for slug in corpus.part("test").datasets],
                "shares": list(self.shared[name]),
            }
            for name, corpus in self.tests.items()
        }  # fmt: skip


def _names(corpus: Corpus) -> list[tuple[str, str]]:
    return [(about.slug, name) for name, about in corpus.about.datasets.items() if about.slug]


def asking(
    corpus: Corpus,
    detectors: Sequence[str],
    tests: Sequence[str | Path | Corpus] = (),
    *,
    studies: Sequence[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    preset: str = "tiny",
    settings: Sequence[str] = (),
    holdout: float | None = None,
    specialist: str | None = None,
) -> Asking:
    """Check what is asked for, before anything is trained. Raises UsageError for unknown studies, seeds and corpora;
    CorpusError for a corpus that would train on what it is to be tested on."""
    _check(detectors, studies, seeds, holdout)
    further = _further(corpus, [each if isinstance(each, Corpus) else Corpus(each) for each in tests])
    shared = {"": _refused(corpus, corpus)} | {name: _refused(corpus, each) for name, each in further.items()}
    facts = facts_of(corpus)
    asked = Asked(
        tuple(dict.fromkeys(detectors)), None if studies is None else tuple(dict.fromkeys(studies)), tuple(seeds), preset,
        tuple(settings), tuple(further), holdout, specialist,
    )  # fmt: skip
    found = grid(asked, facts, ABLATIONS)
    if not found.trials:
        raise UsageError("nothing of this can be studied: " + ("; ".join(found.left_out) or "no study is left"))
    _refuse_whole(corpus, facts, found)
    return Asking(asked, facts, found, further, shared)


def _check(detectors: Sequence[str], studies: Sequence[str] | None, seeds: Sequence[int], holdout: float | None) -> None:
    if holdout is not None and not 0 < holdout <= 0.9:
        raise UsageError(f"holdout {holdout}: a share of the rows, over 0 and at most 0.9")
    if unknown := [each for each in studies or () if each not in (*STUDIES, *ABLATIONS)]:
        raise UsageError(f"--studies {unknown[0]}: there are {', '.join(STUDIES)}")
    if not detectors or (studies is not None and not studies):
        raise UsageError("no detector, or no study, is asked for")
    if not seeds or len(set(seeds)) < len(seeds) or any(type(each) is not int or not 0 <= each < 1 << 31 for each in seeds):
        raise UsageError(f"seeds {list(seeds)}: different whole numbers from 0, one at least")


def _further(corpus: Corpus, tests: Sequence[Corpus]) -> dict[str, Corpus]:
    """Corpora to test on, by names that can be files'; of one name they have their digest behind it."""
    found: dict[str, Corpus] = {}
    for each in tests:
        if not each.splits.get("test"):
            raise UsageError(f"--test {each.place.path('')}: it has no rows of split test")
        if each.digest in (corpus.digest, *(other.digest for other in found.values())):
            raise UsageError(f"--test {each.place.path('')}: it is the corpus itself, or named twice")
        name = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in each.name)[:60] or "corpus"
        found[f"{name}-{each.digest[:6]}" if name in found else name] = each
    return found


def _refused(corpus: Corpus, test: Corpus) -> tuple[str, ...]:
    """What both share that is told. Raises CorpusError for what would be trained on and tested on."""
    found = overlap(corpus, test)
    if not found.refused:
        return found.words()
    own = corpus is test
    shared = _told(found)
    names = sorted({name for leak in found.leaks for name in leak.datasets})
    way_out = (
        "build it again with this mmidd, whose splits keep groups together, and mmidd verify it"
        if own
        else f"build {corpus.name} again without {', '.join(names)} (take it out of the recipe's datasets), or leave these "
        f"out of {test.name}"
    )
    raise CorpusError(
        f"{corpus.place.path('')} would train on what {'its own test split' if own else test.place.path('')} is to test: "
        f"{shared}. Nothing was trained: {way_out}"
    )


def _refuse_whole(corpus: Corpus, facts: Facts, grid: Grid) -> None:
    """Raises CorpusError where a dataset that is tested on as a whole shares what is refused with the others."""
    whole = {(test.only, test.splits) for trial in grid.trials for test in trial.tests if test.splits != TESTED}
    for only, splits in sorted(whole):
        names = [facts.name(slug) for slug in only]
        if (found := overlap(corpus, corpus, left_out=names, tested=splits)).refused:
            raise CorpusError(
                f"{corpus.place.path('')} would train on what {', '.join(names)} is to test, trained on other datasets: "
                f"{_told(found)}. Nothing was trained: build it again without one of them"
            )


def _told(found: Overlap) -> str:
    return "; ".join(str(each) for each in found.leaks)


def validate(
    corpus: str | Path | Corpus,
    out: str | Path,
    *,
    detectors: Sequence[str],
    train: Train,
    registry: Registry[Any],
    tests: Sequence[str | Path | Corpus] = (),
    chance: Chance | None = None,
    workers: int | None = None,
    device: str = "auto",
    dry_run: bool = False,
    watch: Watch = NOBODY,
    tell: Callable[[str], None] = print,
    **asked: Any,
) -> Study | Forecast:
    """Do a study, or go on with it; with `dry_run` say what it would take, and write nothing.

    `train`: `mmidd.reference.train`; `registry`: the reference detectors; `asked`: `studies`, `seeds`, `preset`, `settings`,
    `holdout`. Raises what `asking` does; RunError for a folder that is none of this corpus's studies or that another writes,
    WorkError as the disk does, KeyboardInterrupt where it was stopped, after a checkpoint.
    """
    found, folder = corpus if isinstance(corpus, Corpus) else Corpus(corpus), Path(out)
    what = asking(found, detectors, tests, **asked)
    bench = Bench(folder, found, what.facts, what.tests, train, registry, chance or Chance(), device, workers, watch, tell)
    if dry_run:
        return forecast(bench, what.grid)

    def busy(holder: str) -> RunError:
        return RunError(f"another study writes {folder} ({holder}); wait until it has ended, or choose another --out")

    check_place(folder)
    with held(folder / LOCK, busy, tell):
        _begin(folder, what, tell)
        return _run(bench, what)


def check_place(folder: Path) -> None:
    """Make a folder for a study. Raises RunError where it holds anything but a study."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if (folder / PLAN).exists():
        return
    ours = (LOCK, SHORTCUT)
    if other := sorted(each.name for each in folder.iterdir() if each.name not in ours and each.suffix != ".tmp"):
        raise RunError(f"{folder} holds something else ({other[0][:60]!r}, no {PLAN}): choose another --out")


def _begin(folder: Path, what: Asking, tell: Callable[[str], None]) -> None:
    """Keep what is asked for. Raises RunError where the folder is of another corpus."""
    plan = {
        "format": results.FORMAT,
        "corpus": {"name": what.facts.corpus, "digest": what.facts.digest},
        "asked": json.loads(json.dumps(what.asked.document())),
        "trials": [each.name for each in what.grid.trials],
    }
    if (folder / PLAN).exists():
        try:
            then = json.loads((folder / PLAN).read_bytes())
            before, trials = then["corpus"]["digest"], then["trials"]
        except (OSError, ValueError, LookupError, TypeError):
            raise RunError(f"{folder / PLAN} is damaged, or no study's: choose another --out") from None
        if before != what.facts.digest:
            raise RunError(
                f"{folder} is a study of another corpus, or of another state of it (then {str(before)[:16]}, now "
                f"{what.facts.digest}): choose another --out"
            )
        if more := len(set(plan["trials"]) - set(trials)):
            tell(f"note: {counted(more, 'trial')} more than this study had; what is done of the others stays")
        if fewer := len(set(trials) - set(plan["trials"])):
            tell(f"note: {counted(fewer, 'trial')} of before left out of the table: not asked for any more")
    write_text(folder / PLAN, json.dumps(plan, indent=1, ensure_ascii=False) + "\n", scratch=folder)


def _run(bench: Bench, what: Asking) -> Study:
    """All trials, and the table anew after each."""
    trials, records, spent = what.grid.trials, dict[str, Record](), list[float]()
    left = []
    for trial in trials:
        if (record := done(bench, trial)) is not None:
            records[trial.name] = record
        else:
            left.append(trial)
    bench.tell(f"{counted(len(trials), 'trial')}, {len(records):,} of them done")
    for number, trial in enumerate(left):
        begun = time.monotonic()
        try:
            records[trial.name] = do(bench, trial)
        except KeyboardInterrupt:
            _write(bench, what, records)
            bench.tell(f"stopped at {trial.name}: {len(records):,} of {len(trials):,} trials are done")
            raise
        spent.append(time.monotonic() - begun)
        _write(bench, what, records)
        bench.tell(_progress(len(trials) - len(left) + number + 1, len(trials), trial.name, records[trial.name], spent))
    return Study(bench.folder, _write(bench, what, records), bool(left))


def _progress(number: int, total: int, name: str, record: Record, spent: Sequence[float]) -> str:
    """A trial's line: what came of it, and about how long the others take."""
    if record["state"] == "failed":
        said = f"failed at {record['failed']['at']}: {record['failed']['why']}"
    else:
        first = next(iter(record["tests"].values()))
        area = first["counted"]["auroc"]["value"]
        said = "no AUROC" if area is None else f"clip AUROC {area:.3f}"
    rest = sum(spent) / len(spent) * (total - number)
    more = f"; about {elapsed(rest)} left" if number < total else ""
    return f"[{number}/{total}] {name}: {said}, {elapsed(spent[-1])}{more}"


def _write(bench: Bench, what: Asking, records: Mapping[str, Record]) -> dict[str, Any]:
    """The table in all its forms, from the records alone."""
    for trial in what.grid.trials:  # of a trial that failed before and has not been tried again, why
        if trial.name not in records and (held := read_record(bench.record(trial))) and held.get("state") == "failed":
            records = {**records, trial.name: held}
    found = results.document(what.asked, what.facts, what.grid, records, what.about_tests(), what.shared[""])
    texts = {
        "json": json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "md": table.markdown(found),
        "csv": table.csv_text(found),
        "html": page.page(found),
    }
    for kind, text in texts.items():
        write_text(bench.folder / FILES[kind], text, scratch=bench.folder)
    return found
