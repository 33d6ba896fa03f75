"""What stands beside every figure: what the columns alone reach, who is missing, what test shares with train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmidd.corpus.alone import Told, columns_alone
from mmidd.corpus.read import Corpus
from mmidd.engine.tables import find
from mmidd.errors import ScoreError
from mmidd.evaluation.figures import Figure
from mmidd.evaluation.files import Named
from mmidd.evaluation.items import Floats, Ints, Items, coded
from mmidd.evaluation.measures import Setting, lacks
from mmidd.evaluation.resampled import figure
from mmidd.scores.joined import CLIP
from mmidd.statistics import auroc, fisher, holm

_SHOWN = 5


@dataclass(frozen=True)
class Coverage:
    """Rows of a level and a subset by label and status. `p`: Fisher's exact two-sided p that reals and fakes lack scores at
    one rate, as if rows were independent; over datasets after Holm. None where a class is not there."""

    level: str
    subset: str
    real: dict[str, int]
    fake: dict[str, int]
    p: float | None = None

    def share(self, label: str) -> float | None:
        """The share of a class that has a score."""
        counts = self.real if label == "real" else self.fake
        return counts["ok"] / sum(counts.values()) if sum(counts.values()) else None

    def lacking(self, label: str) -> tuple[int, int]:
        """How many have none, of how many."""
        counts = self.real if label == "real" else self.fake
        return sum(counts.values()) - counts["ok"], sum(counts.values())

    def document(self) -> dict[str, Any]:
        """JSON."""
        return {**vars(self), "real_share": self.share("real"), "fake_share": self.share("fake")}


@dataclass(frozen=True)
class Leaks:
    """`clip`, `frame`: AUROC of the corpus's numeric columns alone on the rows that the detector has scored, so that it
    stands beside the figure `scored`; `columns` those that differ in train, `trained_on` rows. `shared`: groups
    (`shared_names`: some) that these rows share with `train_groups` of train; None where it could not be looked at, and
    `why` says so."""

    clip: Figure
    frame: Figure
    columns: tuple[str, ...] = ()
    trained_on: int = 0
    shared: int | None = None
    shared_names: tuple[str, ...] = ()
    train_groups: int = 0
    why: str = ""

    def document(self) -> dict[str, Any]:
        """JSON."""
        return {**vars(self), "clip": self.clip.document(), "frame": self.frame.document()}


def coverage_of(items: Items, level: str) -> list[Coverage]:
    """Of all rows, and of each dataset."""
    dataset = items.columns["dataset"]
    found = [_coverage(items, level, "all")]
    parts = [_coverage(items.where(dataset.of(name)), level, f"dataset {name}") for name in dataset.present()]
    tested = [each for each in parts if each.p is not None]
    adjusted = dict(zip((each.subset for each in tested), holm([each.p or 0.0 for each in tested]), strict=True))
    return found + [Coverage(each.level, each.subset, each.real, each.fake, adjusted.get(each.subset)) for each in parts]


def _coverage(items: Items, level: str, subset: str) -> Coverage:
    status = items.columns["status"]
    real, fake = (
        {name: int((mask & status.of(name)).sum()) for name in ("ok", "missing", "error")}
        for mask in (~items.fake, items.fake)
    )
    found = Coverage(level, subset, real, fake)
    (lost_real, reals), (lost_fake, fakes) = found.lacking("real"), found.lacking("fake")
    return Coverage(level, subset, real, fake, fisher(lost_real, reals, lost_fake, fakes) if reals and fakes else None)


NOT_ASKED = "give --corpus CORPUS"


def leaks_of(named: Named, corpus: Corpus | None, setting: Setting) -> Leaks:
    """Raises ScoreError for another corpus than the scores are of."""
    if corpus is None:
        nothing = Figure(None, why=NOT_ASKED)
        return Leaks(nothing, nothing, why=NOT_ASKED)
    check_corpus(named, corpus)
    train = _train_rows(corpus)
    shared, names, groups, why = _shared(named, corpus)
    clip, frame, told = alone(corpus, train, corpus, named.table("frame"), named.table("clip"), setting)
    columns, rows = (told.columns, told.trained_on) if told else ((), 0)
    return Leaks(clip, frame, columns, rows, shared, names, groups, why)


def alone(
    corpus: Corpus, train: Ints, tested: Corpus, frames: pa.Table, clips: pa.Table, setting: Setting
) -> tuple[Figure, Figure, Told | None]:
    """What the columns alone, fitted on these train rows of a corpus, reach on the clips and the frames of `tested` that
    have a score (where clips alone were scored, on all samples of these clips)."""
    if pc.any(pc.is_valid(frames["score"])).as_py():
        mine = frames.filter(pc.is_valid(frames["score"]))
    else:
        of = find(frames, clips.filter(pc.is_valid(clips["score"])), CLIP)
        mine = frames.filter(pc.and_(pc.is_valid(of), pc.is_valid(frames["id"])))
    if not len(train) or not len(mine):
        nothing = Figure(None, why="no frame has a sample and a score" if len(train) else "the corpus has no train rows")
        return nothing, nothing, None
    told = columns_alone(corpus, train, tested.find(mine["id"].to_pylist()), tested)
    if told is None:
        nothing = Figure(None, why="train has one class, or no column differs between its rows")
        return nothing, nothing, None
    items = Items.of(mine)
    return _area(*by_clip(mine, items, told.scores), setting), _area(items, told.scores, setting), told


def check_corpus(named: Named, corpus: Corpus) -> None:
    """Raises ScoreError."""
    digest = named.file.about.corpus.get("digest")
    if corpus.digest != digest:
        raise ScoreError(
            f"{named.name} has scores of a corpus with digest {digest} ({named.file.about.corpus.get('name')}); "
            f"{corpus.name} has {corpus.digest}: give the corpus that was scored"
        )


def by_clip(frames: pa.Table, items: Items, scores: Floats) -> tuple[Items, Floats]:
    """One row a clip, and the mean of its frames."""
    dataset, media = coded(frames["dataset"]), coded(frames["media"])
    key = dataset.codes * max(1, len(media.names)) + media.codes
    first, clip = np.unique(key, return_index=True, return_inverse=True)[1:]
    mask = np.zeros(len(items), np.bool_)
    mask[first] = True
    means = np.bincount(clip, weights=scores) / np.bincount(clip)
    return items.where(mask), means[clip[mask]]


def _area(items: Items, scores: Floats, setting: Setting) -> Figure:
    if why := lacks(items):
        return Figure(None, rows=len(items), groups=items.groups, why=why)
    draws = setting.draws(items)
    return figure(draws, auroc(scores, items.fake) or 0.0, draws.auroc(scores, items.fake), fake=items.fake)


def _train_rows(corpus: Corpus) -> Ints:
    found, start = [np.zeros(0, np.int64)], 0
    for shard in corpus.shards:
        if shard.split == "train":
            found.append(np.arange(start, start + shard.rows))
        start += shard.rows
    return np.concatenate(found)


def _shared(named: Named, corpus: Corpus) -> tuple[int | None, tuple[str, ...], int, str]:
    if named.split == "train":
        return None, (), 0, "these rows are of train"
    if "train" not in corpus.splits:
        return None, (), 0, "the corpus has no train rows: what the detector was trained on is not known here"
    rows = corpus.part("train").rows(["dataset", "media", "group"])
    alone = pc.binary_join_element_wise(rows["dataset"], rows["media"], "/")
    train = set(pc.unique(pc.coalesce(rows["group"], alone)).to_pylist())
    shared = sorted(train & set(pc.unique(named.table("clip")["group"]).to_pylist()))
    known = trained_on(named)
    digest = named.file.about.corpus.get("digest")
    other = f"the run was trained on another corpus ({known}): this looks at the train rows of {corpus.name}"
    why = [other] if known and known != digest else []
    if any(each != digest for each in within(named)):
        why.append("a run within it (its specialist) was trained on another corpus: what that shares is not known here")
    return len(shared), tuple(shared[:_SHOWN]), len(train), "; ".join(why)


def trained_on(named: Named) -> str | None:
    """The digest of the corpus that a run was trained on, as far as its scores say so."""
    return _corpus(named.model.get("trained_on"))


def within(named: Named) -> tuple[str | None, ...]:
    """The same of the runs that it holds, such as a specialist."""
    held = named.model.get("within_trained_on")
    return tuple(map(_corpus, held)) if isinstance(held, list) else ()


def _corpus(data: Any) -> str | None:
    found = data.get("corpus") if isinstance(data, dict) else None
    found = found.get("digest") if isinstance(found, dict) else found
    return found if isinstance(found, str) else None
