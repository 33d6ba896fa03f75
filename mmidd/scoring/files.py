"""Score files made of a model and a corpus: written in one step, gone on with after a kill, never made twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mmidd.corpus.read import Corpus
from mmidd.engine.files import digest
from mmidd.errors import ScoreError
from mmidd.scores.file import ScoreFile
from mmidd.scores.written import Scored, Written, claimed, counts, finished, put, put_beside, reasons, told_beside
from mmidd.scoring.data import BATCH
from mmidd.scoring.degrade import Degradation
from mmidd.scoring.model import Model
from mmidd.scoring.parts import Parts
from mmidd.scoring.score import Request, requested, scored_and_said
from mmidd.watch import NOBODY, Watch


def score_files(
    model: Model,
    corpus: str | Path | Corpus,
    out: str | Path,
    splits: Sequence[str] = ("test",),
    only: Sequence[str] = (),
    degradations: Sequence[Degradation] = (),
    *,
    workers: int | None = None,
    watch: Watch = NOBODY,
    tell: Callable[[str], None] = lambda line: None,
    unanswered: bool = False,
) -> Scored:
    """Write `out`, and beside it one file for each degradation (`out`'s stem.NAME-LEVEL.parquet).

    What was scored so far is kept in a hidden folder beside each file: the same call goes on behind it. A file that is
    there of the very same request is left as it is; any other is refused. `unanswered`: also where no reply of a model that
    explains has an answer. Raises ScoreError, CorpusError, WorkError.
    """
    corpus = corpus if isinstance(corpus, Corpus) else Corpus(corpus)
    place, many = Path(out), _usual_workers() if workers is None else workers
    if place.suffix != ".parquet":
        raise ScoreError(f"--out {place}: a score file is called NAME.parquet")
    plain_one, found = requested(model, corpus, splits, only), []
    for each in (None, *degradations):
        path = place if each is None else place.with_name(f"{place.stem}.{each.slug}.parquet")
        about = replace(plain_one.about, degradation=None if each is None else str(each))
        asked = replace(plain_one, degradation=each, about=about)
        found.append(_file(asked, path, many, watch, tell, unanswered))
    return Scored(dict(model.about), corpus.name, tuple(splits), tuple(found), dict(plain_one.about.left_out))


def _usual_workers() -> int:
    """One a core beside this process, eight at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores - 1)


def _file(asked: Request, path: Path, workers: int, watch: Watch, tell: Callable[[str], None], unanswered: bool) -> Written:
    with claimed(path, tell):
        parts = Parts(path.with_name(f".{path.name}.parts"), digest(asked.about.document(), BATCH))
        if (there := finished(path, asked.about, tell)) is not None:
            if parts.folder.is_dir():  # of a process that was killed when it had put the whole file there
                parts.remove()
            return _written(path, there, 0, 0.0, changed=False)
        begun = time.monotonic()
        made, said = scored_and_said(asked, workers=workers, watch=watch, parts=parts, tell=tell, unanswered=unanswered)
        if said is not None:  # first: where the scores are, so is what was said
            put_beside(path, said, parts.folder)
        put(path, made, parts.folder)
        parts.remove()
        return _written(path, made, len(asked.items) - parts.taken, time.monotonic() - begun, changed=True)


def _written(path: Path, made: ScoreFile, now: int, seconds: float, *, changed: bool) -> Written:
    told = told_beside(path, made)
    return Written(path, made.about.degradation, counts(made.table), reasons(made.table), now, seconds, changed, told)
