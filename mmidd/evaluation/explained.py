"""What a model said, beside its figures: replies without an answer, answers that go with the scores, what is flagged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.engine.tables import find
from mmidd.errors import ScoreError
from mmidd.evaluation.figures import Figure
from mmidd.evaluation.items import Bools, coded
from mmidd.evaluation.measures import Setting
from mmidd.evaluation.resampled import figure, resamples_for
from mmidd.explanations.flags import KINDS
from mmidd.scores.explained import agrees, read_beside
from mmidd.scores.file import ScoreFile
from mmidd.statistics import Draws

WORDS = {
    "no_answer": "replies without an answer (errors)",
    "right": "answers that are right, of all replies",
    "agrees_score": "answers that go with the score behind the reasons",
    "agrees_direct": "answers that go with the score without reasons",
    "agrees_alone": "answers that go with the score of the reasons alone",
    "no_reasons": "replies without reasons",
    "names_region": "replies that name a part of the face",
    **{f"flagged_{kind}": f"replies flagged: {kind}" for kind in KINDS},
}


def explained(path: str | Path, file: ScoreFile, split: str, setting: Setting) -> dict[str, Figure]:
    """Each figure of the frames of a split that a model explained, by name (WORDS), with its interval over groups; nothing
    where no explanations lie beside the file. Raises ScoreError where those are of other scores."""
    found = read_beside(path, file)
    if found is None:
        return {}
    frames = file.level("frame", split)
    table = found.table.filter(pc.equal(found.table["split"], split))
    mine = find(table, frames, ("id",))
    if mine.null_count:
        raise ScoreError(f"the explanations beside {path} are of frames that it has not: score again with --explain")
    held = frames.take(mine)
    draws = Draws.of(coded(held["group"]).codes, seed=setting.seed, resamples=resamples_for(len(held), setting.resamples))
    every = np.ones(len(held), np.bool_)
    return {name: _share(draws, yes, of if of is not None else every) for name, yes, of in _asked(table, held)}


def _asked(table: pa.Table, held: pa.Table) -> Iterator[tuple[str, Bools, Bools | None]]:
    """Name, of which rows it is so, among which (None: all)."""
    yield "no_answer", _bools(pc.is_null(table["answer"])), None
    yield "right", _bools(pc.equal(table["answer"], held["label"])), None
    for with_ in ("score", "direct", "alone"):
        agree = agrees(table, with_)
        yield f"agrees_{with_}", _bools(agree), _bools(pc.is_valid(agree))
    yield "no_reasons", _bools(pc.equal(table["chain"], "")), None
    yield "names_region", _bools(pc.greater(pc.list_value_length(table["regions"]), 0)), None
    flags = table["flags"].to_pylist()
    for kind in KINDS:
        yield f"flagged_{kind}", np.array([kind in each for each in flags], np.bool_), None


def _share(draws: Draws, yes: Bools, of: Bools) -> Figure:
    if not of.any():
        return Figure(None, why="no reply has an answer and such a score" if len(of) else "no replies")
    key = yes.astype(np.int64)
    sums = draws.sums(key, 2, rows=of)
    whole = sums.sum(1)
    many = np.divide(sums[:, 1], whole, out=np.full(len(sums), np.nan), where=whole > 0)
    return figure(draws, float(yes[of].mean()), many, of, rate=True)


def _bools(found: pa.ChunkedArray | pa.Array) -> Bools:
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), np.bool_)
