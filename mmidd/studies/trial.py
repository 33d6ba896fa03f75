"""One trial as a unit: trained, scored, evaluated. What is done is never done again, what was killed goes on, what fails
says why and is tried again by the next command.

Each of its three parts holds by what it was made of: a run by its own `run.json` (it goes on, or refuses other settings); a
score file by the digests of the corpus, of what is named and of the network; the record by all of these and by this version.
"""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from mmidd import __version__
from mmidd.corpus.attacks import instruments
from mmidd.corpus.read import Corpus
from mmidd.engine.files import canonical, digest, sha256_file, write_text
from mmidd.errors import MmiddError, RunError, ScoreError, WorkError, is_memory, sanitised, told
from mmidd.registry import Registry
from mmidd.scores import file as scorefile
from mmidd.scores.file import ScoreFile
from mmidd.studies.facts import Facts
from mmidd.studies.grid import Chosen, Test, Trial
from mmidd.studies.measure import Chance, Which, alone, figures, said, setting
from mmidd.watch import NOBODY, Watch

FORMAT, SEAL = "mmidd trial 1", "seal"
VALIDATION = "scores.parquet"
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
"""What stops every trial alike. A file that is not there may be one detector's weights."""
_WHY = 600
_BEHIND = "a run's validation scores are of answers without reasons: they choose no threshold for those behind reasons"


class Train(Protocol):
    """`mmidd.reference.train`: this room knows no detector."""

    def __call__(self, detector: str, corpus: Corpus, out: Path, **more: Any) -> Any: ...


@dataclass(frozen=True, eq=False)
class Bench:
    """What every trial of a study is done with. `tests`: further corpora by the names of their tests."""

    folder: Path
    corpus: Corpus
    facts: Facts
    tests: Mapping[str, Corpus]
    train: Train
    detectors: Registry[Any]
    chance: Chance = field(default_factory=Chance)
    device: str = "auto"
    workers: int | None = None
    watch: Watch = NOBODY
    tell: Callable[[str], None] = print

    def run(self, trial: Trial) -> Path:
        return self.folder / "runs" / trial.run

    def scores(self, trial: Trial, test: Test) -> Path:
        return self.folder / "scores" / trial.name / f"{test.name}.parquet"

    def record(self, trial: Trial) -> Path:
        return self.folder / "trials" / f"{trial.name}.json"

    def times(self, trial: Trial) -> Path:
        return self.folder / "times" / f"{trial.name}.json"

    def tested(self, test: Test) -> Corpus:
        return self.tests[test.corpus] if test.corpus else self.corpus

    def only(self, test: Test) -> tuple[str, ...]:
        """The datasets of a test by their names."""
        return tuple(self.facts.name(slug) for slug in test.only)

    def made_of(self, trial: Trial) -> dict[str, Any]:
        """All that a trial's record depends on, JSON."""
        return {
            "format": FORMAT,
            "mmidd": __version__,
            "trial": json.loads(canonical(trial.document())),
            "corpus": self.facts.digest,
            "tests": {test.name: self.tested(test).digest for test in trial.tests},
            "chance": vars(self.chance),
            "after": {name: self._came_to(name) for _, name in trial.after},
        }

    def _came_to(self, name: str) -> str | None:
        """Of a trial that another begins with: a digest of the network that it kept, None where it is not trained."""
        found = read_record(self.folder / "trials" / f"{name}.json")
        if found is None or (found["state"] == "failed" and found["failed"]["at"] == "training"):
            return None
        try:
            return sha256_file(self._seed(name) / "best" / "state.json")
        except OSError:
            return None

    def _seed(self, name: str) -> Path:
        run, _, seed = name.rpartition(".")
        return self.folder / "runs" / run / seed

    def words(self, trial: Trial) -> Sequence[str] | Mapping[str, Any]:
        """The settings of a run, with the folders of those that it begins with. Raises RunError where one is not done."""
        if not trial.after:
            return trial.settings
        from mmidd.runs.asked import pairs_of

        found: dict[str, Any] = dict(pairs_of(trial.settings, []))
        for option, name in trial.after:
            if self._came_to(name) is None:
                raise RunError(f"it begins with the run of {name} ({option}), which is not trained")
            found[option] = str(self._seed(name).absolute())
        return found


Record = Mapping[str, Any]
"""What is known of a trial, JSON: `made_of`, `state` done or failed, `failed` (at, why), `run`, `tests` (by name: figures,
columns_alone), `files` (the sha256 of each score file). Its file has a digest of all this too (SEAL)."""


def read_record(path: Path) -> Record | None:
    """None where there is none, or one that was changed since it was written, or is damaged: it is made again."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or "made_of" not in found:
        return None
    return found if found.pop(SEAL, None) == digest(found) else None


def done(bench: Bench, trial: Trial) -> Record | None:
    """The record of a trial that is done and that nothing has changed since: neither what it was asked for, nor a corpus,
    nor this version, nor a score file."""
    found = read_record(bench.record(trial))
    if found is None or found.get("state") != "done" or found["made_of"] != bench.made_of(trial):
        return None
    try:
        whole = all(sha256_file(bench.folder / name) == sha256 for name, sha256 in found["files"].items())
    except OSError:
        return None
    return found if whole else None


def do(bench: Bench, trial: Trial) -> Record:
    """Do a trial, or what is left of it, and keep its record. A failure is its record; what no other trial could do better
    (a full disk, Ctrl-C) is raised."""
    stage, begun, times = ["training"], time.monotonic(), dict[str, float]()
    try:
        found = _done(bench, trial, stage, times)
    except MmiddError as error:
        if isinstance(error, WorkError) and isinstance(error.__cause__, OSError):  # the disk, and not this run's files
            raise
        found = _failed(bench, trial, stage[0], str(error))
    except Exception as error:
        memory = is_memory(error)
        if isinstance(error, OSError) and error.errno in DISK and not memory:
            raise
        why = "there was not enough memory: try a smaller micro or backbone" if memory else told(error)
        found = _failed(bench, trial, stage[0], why)
    as_kept: Record = json.loads(_document(found))  # the same, to the order of its keys, as whoever reads it later has
    write_text(bench.record(trial), _document({**as_kept, SEAL: digest(as_kept)}), scratch=bench.folder / "trials")
    if found["state"] == "done":
        times["all"] = round(time.monotonic() - begun, 3)
        write_text(bench.times(trial), _document(times), scratch=bench.folder / "times")
    return as_kept


def _document(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _failed(bench: Bench, trial: Trial, stage: str, why: str) -> dict[str, Any]:
    said = sanitised(why.replace(str(bench.folder), "STUDY"), _WHY)
    return {"made_of": bench.made_of(trial), "state": "failed", "failed": {"at": stage, "why": said}}


def _done(bench: Bench, trial: Trial, stage: list[str], times: dict[str, float]) -> dict[str, Any]:
    selection = selected(trial.chosen, bench.facts)
    run = bench.train(
        trial.detector, bench.corpus, bench.run(trial),
        preset=trial.preset, settings=bench.words(trial), seeds=(trial.seed,), workers=bench.workers, device=bench.device,
        watch=bench.watch, tell=bench.tell, **selection,
    )  # fmt: skip
    times["training"] = 60 * float(run.seeds[0]["minutes"])
    folder = bench.run(trial) / f"seed-{trial.seed}"
    stage[0] = "scoring"
    begun = time.monotonic()
    files = _scored(bench, trial, folder)
    times["scoring"] = round(time.monotonic() - begun, 3)
    stage[0] = "evaluation"
    how, behind = setting(*_validation(folder), bench.chance), setting(None, _BEHIND, bench.chance)
    rows = _trained_on(bench, trial)
    tests = {}
    for test in trial.tests:
        held = files[covering(test, trial.tests)]
        only = bench.only(test)
        scores, way = scorefile.read(held), behind if test.reasons else how
        which = Which(test.splits, only, test.attacks, instruments(bench.tested(test)))
        tests[test.name] = {
            **figures(scores, which, way),
            "columns_alone": alone(bench.corpus, rows, bench.tested(test), scores, which, way),
            **({"said": said(held, scores)} if test.reasons else {}),
        }
    return {
        "made_of": bench.made_of(trial),
        "state": "done",
        "run": _about(bench.run(trial), run),
        "tests": tests,
        "files": {path.relative_to(bench.folder).as_posix(): sha256_file(path) for path in files.values()},
    }


def covering(test: Test, tests: tuple[Test, ...]) -> Test:
    """The test whose score file holds this one's rows: that of the whole split, where it is scored, else of all attacks."""
    every = replace(test, attacks=())
    whole = replace(every, only=())
    return whole if whole in tests else every


def selected(chosen: Chosen, facts: Facts) -> dict[str, Any]:
    """As the keywords of `mmidd.train`."""
    only = tuple(facts.name(slug) for slug in facts.datasets if slug not in chosen.without) if chosen.without else ()
    where = _seen_alone(facts, *chosen.unseen) if chosen.unseen else {}
    return {
        "only": only, "where": where, "fraction": chosen.fraction, "paired": chosen.paired, "holdout": chosen.holdout,
    }  # fmt: skip


def _seen_alone(facts: Facts, column: str, value: str) -> dict[str, Any]:
    """All other values, and rows without any: live have none."""
    known = facts.methods if column == "method" else sorted({each.attack for each in facts.attacks})
    return {column: [None, *(each for each in known if each != value)]}


def _trained_on(bench: Bench, trial: Trial) -> Any:
    """The numbers of the rows that the run was trained on."""
    from mmidd.runs.data import Selection, seen
    from mmidd.runs.settings import Settings

    settings = json.loads((bench.run(trial) / "run.json").read_bytes())["asked"]["settings"]
    return seen(bench.corpus, Selection(**selected(trial.chosen, bench.facts)), Settings(**settings)).train.numbers


def _validation(seed: Path) -> tuple[ScoreFile | None, str]:
    """The scores of the rows that a run was validated on; where there are none, why."""
    try:
        return scorefile.read(seed / "best" / VALIDATION), ""
    except ScoreError as error:
        return None, f"the run's own validation scores cannot be used: {error}"


def _scored(bench: Bench, trial: Trial, folder: Path) -> dict[Test, Path]:
    """The score files of a trial's tests, made where there is none of this very network and corpus, or gone on with."""
    from mmidd.scoring.files import score_files
    from mmidd.scoring.models import explaining, open_model

    direct = open_model(folder, bench.detectors, device=bench.device)
    files = {}
    for test in dict.fromkeys(covering(each, trial.tests) for each in trial.tests):
        path, corpus = bench.scores(trial, test), bench.tested(test)
        model = explaining(direct) if test.reasons else direct
        files[test] = path
        if path.exists() and not _is_of(path, model.about, corpus.digest):
            bench.tell(f"note: {path.name} of {trial.name} is of another network or corpus, or damaged: it is made again")
            path.unlink()
        score_files(
            model,
            corpus,
            path,
            test.splits,
            bench.only(test),
            workers=bench.workers,
            watch=bench.watch,
            tell=bench.tell,
            unanswered=True,
        )
    return files


def _is_of(path: Path, model: Mapping[str, Any], corpus: str) -> bool:
    """Is it a whole score file of this network and corpus?"""
    try:
        about = scorefile.read(path).about
    except ScoreError:
        return False
    return about.model.get("digest") == model.get("digest") and about.corpus.get("digest") == corpus


def _about(folder: Path, run: Any) -> dict[str, Any]:
    """Of a run what its figures depend on, for the table: nothing of times."""
    held = json.loads((folder / "run.json").read_bytes())
    sources = held.get("sources") or {}
    seed, surroundings = run.seeds[0], held["surroundings"]
    return {
        "rows": {split: held["rows"][split]["rows"] for split in ("train", "validation")},
        "random": not sources or any(each.get("weights") == "random" for each in sources.values()),
        "parameters": seed["parameters"],
        "trained": seed["trained"],
        "steps": seed["steps"],
        "best": {"step": seed["best"]["step"], "validation": seed["best"]["validation"]["video_auroc"]},
        "skipped": seed["rows skipped"],
        "device": surroundings["device"],
        "versions": {name: surroundings["versions"].get(name) for name in ("mmidd", "torch")},
    }
