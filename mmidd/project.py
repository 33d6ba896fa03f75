"""The Python API over a build: what the command line calls, and what a notebook calls.

    with mmidd.open("ff++", data="/data", out="corpus", workers=8) as project:
        print(project.plan())
        report = project.build()

Methods that write take the work folder's lock themselves. Every result prints well and has `.document()`, which is exactly
what the command prints under `--json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mmidd.engine.run import Progress
from mmidd.engine.start import without_pandas
from mmidd.engine.store import Store
from mmidd.errors import WorkError, without_secrets
from mmidd.flow import gc, plan, report, status
from mmidd.flow.check import Checks, check_all
from mmidd.flow.gc import Garbage
from mmidd.flow.indexing import Indexed
from mmidd.flow.kept import exclusions, names_nobody
from mmidd.flow.notes import Note, adopt, recall, unless_refused
from mmidd.flow.plan import Plan
from mmidd.flow.report import Curated, Outcomes, Report
from mmidd.flow.setup import Setup, claim, open_setup, recalled_setup
from mmidd.flow.status import Failures, Retried, Status
from mmidd.flow.walk import walk
from mmidd.flow.walkers import Build, Look
from mmidd.options import Options
from mmidd.stages.extract import licence_note
from mmidd.takedown import Exclusions

if TYPE_CHECKING:
    from mmidd.engine.local import Local
    from mmidd.recipe import Recipe

Told = Callable[[str], None]


class Project:
    """A build that can be planned, done, looked at and mended. Made by `mmidd.open`, or by `Project.of` a work folder.

    `progress` watches long work; `tell` hears of locks and of what a killed command left. Errors are `mmidd.errors`'.
    """

    def __init__(
        self,
        options: Options,
        *,
        progress: Progress | None = None,
        tell: Told = lambda line: None,
        early: Local | None = None,
    ) -> None:
        without_pandas()
        self.options = options
        self._progress, self._tell, self._early = progress, tell, early

    @classmethod
    def of(
        cls,
        work: str | Path,
        *,
        data: str | Path | None = None,
        out: str | Path | None = None,
        progress: Progress | None = None,
        tell: Told = lambda line: None,
    ) -> Project:
        """The last build on a work folder. `data` and `out` say where raw data and corpus are, if the folder was moved or
        copied since. Raises WorkError where no build is remembered."""
        place = Path(work)
        note = recall(Store(place), None if data is None else str(data), None if out is None else Path(out))
        return cls(Note.read(note, place).options(place), progress=progress, tell=tell)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is held between calls: locks and workers end with the method that took them."""

    def __repr__(self) -> str:
        recipe = self.options.recipe if isinstance(self.options.recipe, str) else self.options.recipe.name
        data = without_secrets(self.options.data)
        return f"Project({recipe!r}, data={data!r}, work={str(self.options.work_folder)!r})"

    @property
    def recipe(self) -> Recipe:
        """The recipe, settings laid over it."""
        return self.options.read_recipe()

    def plan(self) -> Plan:
        """What a build would do, and what disk and time it takes. Changes nothing."""
        if self.options.out is not None:
            claim(self.options, read_only=True)
        with self._looking() as setup:
            return plan.plan(setup, plan.look(setup))

    def build(self, tell: Callable[[Indexed], None] = lambda indexed: None) -> Report:
        """Bring the corpus up to date with data, recipe and code; do only what is missing or stale.

        `tell` hears of the raw data before the long work begins.
        """
        with self._writing(corpus=True) as setup:
            return report.report(setup, walk(setup, Build(), tell=tell))

    def shard(self) -> Report:
        """Write the corpus from what the other stages committed. Raises WorkError if one of them is not up to date."""
        with self._writing(corpus=True) as setup:
            return report.report(setup, walk(setup, Build("shard")))

    def index(self) -> Indexed:
        """Account for every file of the recipe's datasets: medium, label file, sidecar, or unmatched."""
        with self._writing() as setup:
            return walk(setup, Build("index"), "index").index

    def check(self) -> Checks:
        """Compare every dataset that is there with its official release."""
        return check_all(self.index())

    def extract(self) -> Outcomes:
        """Decode, detect, choose, align and encode the faces of the indexed media."""
        with self._writing() as setup:
            walked = walk(setup, Build("extract"), "extract")
            found = tuple(walked.crops.outcomes.values()) if walked.crops is not None else ()
            return Outcomes("extract", found, setup.options.command("caption"))

    def caption(self) -> Outcomes:
        """Describe every crop and its surroundings. Raises WorkError if extraction is not up to date."""
        with self._writing() as setup:
            return report.of_captions(setup, walk(setup, Build("caption"), "caption"))

    def curate(self) -> Curated:
        """Judge all samples: duplicates, groups, splits, pairs. Raises WorkError if extraction is not up to date."""
        with self._writing() as setup:
            return report.curated(setup, walk(setup, Build("curate"), "curate"))

    def status(self) -> Status:
        """How far the last build on the work folder is, and how its media ended; from the work folder alone."""
        setup = self._recalled()
        return status.status(setup, plan.look(setup))

    def failures(self) -> Failures:
        """What failed in the last build, with path, stage, error, message and attempts; from the work folder alone."""
        setup = self._recalled()
        return status.failures(setup, walk(setup, Look(), "caption"))

    def retry(self) -> Retried:
        """Do the failed media of the last build again, and no others."""
        own = self.options
        last = Project.of(own.work_folder, data=own.data, out=own.out, progress=self._progress, tell=self._tell)
        last.options = replace(last.options, out=last.options.out or _corpus_beside(last.options.work_folder))
        with last._looking() as setup:
            before = status.check_retry(setup, walk(setup, Look(), "caption"))
        with last._writing(corpus=True, retry=True) as setup:
            report.report(setup, walk(setup, Build()))
        return Retried(before, last.failures())

    def gc(self, recipes: Sequence[str] = (), *, dry_run: bool = False) -> Garbage:
        """Remove from the work folder what no build reads: old commits, left-over files, digests of files that are gone."""
        store = Store(self.options.work_folder)
        note = recall(store, self.options.data, self.options.out)
        if dry_run:
            return gc.collect(store, recipes, dry_run=True, locks=True)
        with store.held(self._tell, clear=False) as locks:
            adopt(store, note)
            return gc.collect(store, recipes, dry_run=False, locks=locks)

    @contextmanager
    def _looking(self) -> Iterator[Setup]:
        setup = open_setup(self.options, read_only=True)
        try:
            self._tell_first(setup)
            yield setup
        finally:
            setup.engine.close()

    @contextmanager
    def _writing(self, *, corpus: bool = False, retry: bool = False) -> Iterator[Setup]:
        """Nobody else writes the work folder (nor the corpus, where one is written); the workers end with the method."""
        target = claim(self.options) if corpus else None
        setup = open_setup(self.options, progress=self._progress, retry=retry, early=self._early)
        try:
            with self._list_kept() as keep, setup.store.held(self._tell):
                setup = replace(setup, excluded=keep(setup))
                with nullcontext() if target is None else target.held(), unless_refused(setup.store):
                    self._tell_first(setup)
                    yield setup
        finally:
            setup.engine.close()

    @contextmanager
    def _list_kept(self) -> Iterator[Callable[[Setup], Exclusions]]:
        """Says so where a command ends before its takedown list is kept: whoever asks for one has to know."""
        kept = self.options.exclude is None

        def keep(setup: Setup) -> Exclusions:
            nonlocal kept
            total = exclusions(setup.store, setup.given, keep=True)
            kept = True
            return total

        try:
            yield keep
        except WorkError as error:
            if kept:
                raise
            raise WorkError(f"{error} The takedown list {self.options.exclude} was not kept.") from error

    def _tell_first(self, setup: Setup) -> None:
        """Weights that are not free for every use are not chosen silently, nor is a list without a line taken for one."""
        if self.options.exclude is not None and not setup.given.lines():
            self._tell(f"note: {names_nobody(self.options.exclude)}")
        if (note := licence_note(setup.recipe)) is not None:
            self._tell(f"note: {note}")

    def _recalled(self) -> Setup:
        work = self.options.work_folder
        return recalled_setup(recall(Store(work), self.options.data, self.options.out), work)


def _corpus_beside(work: Path) -> Path:
    """Where a corpus goes whose stages were only run one by one."""
    return work.with_name(work.name.removesuffix(".work") if work.suffix == ".work" else "corpus")


def open_project(recipe: str | Recipe, data: str | Path, **options: Any) -> Project:
    """A project from the options of `Options`, by keyword: `mmidd.open("ff++", data="/data", out="corpus")`."""
    return Project(Options(recipe, str(data), **options))


def build(recipe: str | Recipe, data: str | Path, out: str | Path, **options: Any) -> Report:
    """Build a corpus, or bring it up to date: `mmidd.build("ff++", data="/data", out="corpus")`."""
    return open_project(recipe, data, out=out, **options).build()
