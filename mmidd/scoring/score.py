"""A corpus scored with a model: every frame and clip that the splits name, each with a score or with why there is none."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError
from mmidd.schema import SPLITS
from mmidd.scores import named as naming
from mmidd.scores.explained import UNANSWERED, Explanations
from mmidd.scores.explained import made as explained
from mmidd.scores.file import About, ScoreFile
from mmidd.scores.joined import joined
from mmidd.scoring.data import BATCH, Given, dataset, items
from mmidd.scoring.degrade import Degradation
from mmidd.scoring.model import Model
from mmidd.scoring.parts import Items, Parts
from mmidd.training import Loader
from mmidd.training.loader import Skips
from mmidd.training.rows import Numbers, Rows
from mmidd.watch import NOBODY, Watch

NO_NUMBER = "the model gave no finite number"
UNREADABLE = "its image cannot be read"
BESIDE = "in no window but with a frame that has no score: "
_ALONE = 0.01
"""More than kernels of other shapes change, also in half precision."""
_PACKAGES = ("mmidd", "torch", "onnxruntime", "numpy", "opencv-python-headless", "pillow", "simplejpeg", "av", "pyarrow")


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be scored, looked up: `named` and the items (n, frames) by row number."""

    model: Model
    corpus: Corpus
    degradation: Degradation | None
    about: About
    named: pa.Table
    rows: Rows
    items: Numbers


def score(
    model: Model,
    corpus: Corpus,
    splits: Sequence[str] = ("test",),
    only: Sequence[str] = (),
    degradation: Degradation | None = None,
    *,
    workers: int = 0,
    watch: Watch = NOBODY,
) -> ScoreFile:
    """The scores of all that the splits (of the datasets `only`) name.

    A model of clips scores windows of frames in a row (`scoring.data.windows`); a frame gets the mean of the windows that
    hold it, one of a shorter stretch is an error: nothing is padded. What cannot be read, and what the model gives no finite
    number for, is an error of that row. The same for any number of `workers`. Raises ScoreError for a model that gives no
    scores, and where no row can be scored.
    """
    return scored(requested(model, corpus, splits, only, degradation), workers=workers, watch=watch)


def requested(
    model: Model, corpus: Corpus, splits: Sequence[str], only: Sequence[str] = (), degradation: Degradation | None = None
) -> Request:
    """What is asked for, from columns alone. Raises ScoreError and CorpusError."""
    if degradation is not None and degradation.is_nothing:
        degradation = None
    table = naming.named(corpus, splits, only)
    rows = Rows(np.sort(table["row"].drop_null().to_numpy().astype(np.int64)), corpus)
    about = About(
        model=dict(model.about),
        corpus={"name": corpus.name, "digest": corpus.digest},
        splits=tuple(each for each in SPLITS if each in splits),
        only=tuple(only),
        named=naming.digest(table),
        degradation=None if degradation is None else str(degradation),
        versions=versions(),
        left_out=naming.left_out(corpus, splits, only),
    )
    found = items(rows, model.look.frames) if len(rows) else np.zeros((0, model.look.frames), np.int64)
    return Request(model, corpus, degradation, about, table, rows, found)


def scored(
    asked: Request,
    *,
    workers: int = 0,
    watch: Watch = NOBODY,
    parts: Parts | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> ScoreFile:
    """What came of it; with `parts`, what is kept there already is not scored again. `tell` hears of what is thrown away."""
    return scored_and_said(asked, workers=workers, watch=watch, parts=parts, tell=tell)[0]


def scored_and_said(
    asked: Request,
    *,
    workers: int = 0,
    watch: Watch = NOBODY,
    parts: Parts | None = None,
    tell: Callable[[str], None] = lambda line: None,
    unanswered: bool = False,
) -> tuple[ScoreFile, Explanations | None]:
    """As `scored`, with what the model said, where it was opened to explain; `unanswered`: also where no reply has an
    answer."""
    found = Items(len(asked.items))
    if parts is not None:
        parts.begin(found, tell)
    _score(asked, found, workers, watch, parts, tell)
    fake, types, errors = rows_of(asked.items, found, asked.rows.numbers, asked.model.look.frames)
    have = np.flatnonzero(~np.isnan(fake))
    if len(asked.rows) and not len(have) and not (unanswered and found.said):
        raise ScoreError(f"none of the {len(asked.rows):,} frames can be scored; {_why(errors.values())}")
    numbers = asked.rows.numbers[have]
    table = joined(asked.named, numbers, fake[have], None if types is None else types[have], errors)
    made = ScoreFile(table, asked.about)
    return made, _explained(asked, found, made) if asked.about.model.get("reasons") else None


def _why(errors: Collection[str]) -> str:
    """Why nothing has a score."""
    lost = Counter(each for each in errors if each.startswith(UNANSWERED))
    if not lost:
        return f"the first: {next(iter(errors), UNREADABLE)}"
    told = ", ".join(f"{count:,}: {why}" for why, count in lost.most_common(5))
    return f"{told}. It does not reply in the form that is asked for: train it longer, or score without --explain"


def _explained(asked: Request, found: Items, made: ScoreFile) -> Explanations:
    named = asked.named.filter(pc.is_valid(asked.named["row"]))
    ids = dict(zip(named["row"].to_pylist(), named["id"].to_pylist(), strict=True))
    return explained(made, {ids[int(asked.items[place, 0])]: said for place, said in found.said.items()})


def _score(
    asked: Request, found: Items, workers: int, watch: Watch, parts: Parts | None, tell: Callable[[str], None]
) -> None:
    """Score the items from the first that is not there yet on."""
    total, begin = len(asked.items), 0 if parts is None else parts.done
    if begin == total:
        return
    size = max(1, BATCH // asked.model.look.frames)
    data = dataset(asked.corpus, asked.rows, asked.model.look, asked.degradation)
    order = Given(asked.rows, asked.items, size)
    load = Loader(data, order, workers=workers)
    load.load_state_dict(order.state(0, begin // size))
    place = {int(row): number for number, row in enumerate(asked.items[begin:, 0], begin)}
    prefix, begun = f"{asked.corpus.place.path('')}: ", time.monotonic()
    what = f"scoring {asked.about.degradation}" if asked.about.degradation else "scoring"
    watch.begin(what, total, begin, "images" if asked.model.look.frames == 1 else "windows")
    done = begin
    try:
        for batch in load:
            rows = batch["row"] if asked.model.look.frames == 1 else batch["row"][:, 0]
            places = np.array([place[row] for row in rows.tolist()], np.int64)
            before = places[0] // size * size
            if parts is not None:  # what lies before this batch is done, also where nothing of it could be read
                parts.keep(found, before)
            given = asked.model.scores(batch)
            if done == begin and (off := alone_by(asked.model, batch, given.fake)) > _ALONE:
                tell(
                    f"note: the model gives an image another score beside other images (by up to {off:.2g}): it goes by its "
                    "neighbours (batch normalisation left in training?) or by chance, and so do these scores"
                )
            found.put(places, given.fake, given.types)
            for at, number in enumerate(places.tolist()):
                said = None if given.said is None else given.said[at]
                if said is not None:
                    found.said[number] = said
                if np.isnan(given.fake[at]):
                    found.wrong[number] = (None, UNANSWERED + said.wrong if said is not None and said.wrong else NO_NUMBER)
            _take_skipped(load, found, prefix)
            done = min(total, before + size)
            watch.at(done, f"{(done - begin) / max(time.monotonic() - begun, 1e-9):.1f}/s")
    except KeyboardInterrupt:
        if parts is not None:
            parts.keep(found, done, now=True)
        raise
    finally:
        load.close()
        watch.end()
    _take_skipped(load, found, prefix)
    if parts is not None:
        parts.keep(found, total, now=True)


def alone_by(model: Model, batch: Mapping[str, Any], fake: npt.NDArray[np.float64]) -> float:
    """How far the scores of a batch's first half are from these, with the other half left out: 0 of a sound model."""
    half = len(fake) // 2
    if not half:
        return 0.0
    few = {name: value[:half] for name, value in batch.items()}
    return float(np.nan_to_num(np.abs(model.scores(few).fake - fake[:half])).max())


def _take_skipped(load: Loader, found: Items, prefix: str) -> None:
    """Why items could not be read, without the corpus's place; the loader lists the first thousand alone."""
    for each in load.skipped.listed:
        found.wrong[each.unit] = (each.row, each.reason.replace(prefix, ""))
    load.skipped = Skips()


def rows_of(
    given: Numbers, found: Items, numbers: Numbers, frames: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None, dict[int, str]]:
    """Of each row (of these increasing numbers) the mean over its items: `fake` (n,), NaN where there is none; `types`
    (n, 5); and why a row has no score."""
    have = np.flatnonzero(~np.isnan(found.fake))
    places = np.searchsorted(numbers, given)
    flat, count = places[have].ravel(), np.bincount(places[have].ravel(), minlength=len(numbers))
    mean: Callable[[Any], Any] = lambda values: np.divide(  # noqa: E731
        np.bincount(flat, np.repeat(values, given.shape[1]), len(numbers)),
        count,
        out=np.full(len(numbers), np.nan),
        where=count > 0,
    )
    fake = mean(found.fake[have])
    types = None if found.types is None else np.stack([mean(each) for each in found.types[have].T], 1)
    errors: dict[int, str] = {}
    for item in np.flatnonzero(np.isnan(found.fake)).tolist():
        row, why = found.wrong.get(item, (None, UNREADABLE))
        for each in given[item].tolist():
            own = row is None or each == row
            if own or each not in errors:
                errors[each] = why if own else BESIDE + why
    scored_rows = set(numbers[count > 0].tolist())
    errors = {row: why for row, why in errors.items() if row not in scored_rows}
    for row in numbers[count == 0].tolist():
        errors.setdefault(row, short(frames))
    return fake, types, errors


def short(frames: int) -> str:
    """Why a frame of a short stretch has no score from a model of clips."""
    return f"fewer than {frames} frames in a row, which the model takes"


def versions() -> dict[str, str]:
    """Of the packages that scores depend on."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
