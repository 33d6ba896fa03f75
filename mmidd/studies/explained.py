"""What an explaining run says of rows of a corpus, and what its score does where the parts that it names are covered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.corpus.pictures import decoded
from mmidd.corpus.read import Corpus
from mmidd.errors import UsageError
from mmidd.explanations import flags, polarity, regions
from mmidd.explanations.covering import GREY, Bools, Pixels, covered, elsewhere
from mmidd.explanations.reply import Said
from mmidd.scoring.crops import scores_of
from mmidd.scoring.model import Model
from mmidd.studies.faithful import NONE, Replies
from mmidd.watch import NOBODY, Watch

CONTROLS = 4
"""Other places of as large an area a row, at most."""
LEAST, MOST = 0.002, 0.6
"""Shares of a crop that can be covered for a comparison."""
_AT_ONCE = 16
_COLUMNS = ("id", "label", "dataset", "media", "face", "group", "landmarks", "transform")


@dataclass(frozen=True)
class Drawn:
    """The rows that are looked at: their numbers, rising, in the part of that split, and their columns."""

    split: str
    numbers: npt.NDArray[np.int64]
    columns: list[dict[str, Any]]


def drawn(corpus: Corpus, split: str, rows: int, seed: int) -> Drawn:
    """So many rows of a split, of each class as many, of each clip one before any has two; all where there are no more.
    Raises UsageError for a split without rows."""
    if not corpus.splits.get(split):
        raise UsageError(
            f"{corpus.place.path('')} has no rows of split {split}: {', '.join(corpus.splits) or 'none at all'}"
        )
    table = corpus.part(split).rows(["label", "dataset", "media", "face"]).to_pylist()
    order = np.random.default_rng(seed).permutation(len(table))
    seen: dict[Any, int] = {}
    rank = np.zeros(len(table), np.int64)
    for place in order.tolist():
        clip = tuple(table[place][name] for name in ("dataset", "media", "face"))
        rank[place] = seen[clip] = seen.get(clip, -1) + 1
    order = order[np.argsort(rank[order], kind="stable")]
    label = np.array([row["label"] for row in table])
    classes = [order[label[order] == each] for each in (0, 1)]
    half = (rows + 1) // 2
    more = [max(0, half - len(each)) for each in classes]
    taken = np.concatenate([each[: half + more[1 - place]] for place, each in enumerate(classes)])
    numbers = np.sort(taken[:rows] if len(taken) <= rows else np.concatenate([each[: rows // 2] for each in classes]))
    return Drawn(split, numbers, corpus.part(split).take(numbers, _COLUMNS).to_pylist())


def replies(
    model: Model, explaining: Model, corpus: Corpus, found: Drawn, *, seed: int = 0, watch: Watch = NOBODY
) -> tuple[Replies, list[Said]]:
    """What a model says of the rows, and all that is measured of it; `explaining`: the same, opened to give reasons."""
    chance, part = np.random.default_rng(seed), corpus.part(found.split)
    watch.begin("asking for reasons", len(found.numbers), 0, "images")
    crops, masks, said = list[Pixels](), list[Bools | None](), list[Said]()
    try:
        for places in _batches(len(found.numbers)):
            numbers = found.numbers[places]
            mine = [decoded(data, name) for name, data in part.images(rows=numbers)]
            each = said_of(explaining, mine)
            said, crops = [*said, *each], [*crops, *mine]
            masks += _masks(part, numbers, mine)
            watch.at(places.stop, "")
    finally:
        watch.end()
    grey = said_of(explaining, [np.full((256, 256, 3), GREY, np.uint8)])[0].chain
    scores = [np.nan if each.direct is None else each.direct for each in said]
    named = [regions.named(each.chain) for each in said]
    areas = [_area(row, crop, parts) for row, crop, parts in zip(found.columns, crops, named, strict=True)]
    group = np.array([row["group"] or f"\0{row['dataset']}/{row['media']}" for row in found.columns])
    moved = _covered(model, crops, areas, scores, chance)
    inside = _inside(found.columns, crops, masks, areas, named, group, chance)
    return Replies(
        group,
        np.array([row["label"] for row in found.columns], np.int64),
        np.array([NONE if each.answer is None else each.answer for each in said], np.int64),
        np.array([_argues(each.chain, getattr(explaining, "words", ())) for each in said], np.int64),
        np.array(scores),
        np.array([np.nan if each.alone is None else each.alone for each in said]),
        [each.chain for each in said],
        named,
        [flags.kinds(flags.flags(each.chain)) for each in said],
        [each.wrong for each in said],
        np.array([each.chain == grey for each in said]),
        *moved.T,
        *inside.T,
    ), said


def _batches(count: int) -> Iterator[slice]:
    return (slice(start, min(count, start + _AT_ONCE)) for start in range(0, count, _AT_ONCE))


def _masks(part: Corpus, numbers: npt.NDArray[np.int64], crops: Sequence[Pixels]) -> list[Bools | None]:
    """(height, width) each; None of a row without one, or whose mask is of another size."""
    found = list[Bools | None]()
    for row, crop in zip(part.take(numbers, ["mask"]).to_pylist(), crops, strict=True):
        data = (row["mask"] or {}).get("bytes")
        mask = None if not data else decoded(data, "a mask")[..., 0] > 127
        found.append(mask if mask is not None and mask.shape == crop.shape[:2] and mask.any() else None)
    return found


def _argues(chain: str, words: Sequence[str]) -> int:
    """By its last statement of the whole picture, else by the words it uses; `words`: the answers' own."""
    stated = polarity.concluded(chain, words)
    found = polarity.leaning(chain, words).answer if stated is None else stated
    return NONE if found is None else found


def _area(row: Mapping[str, Any], crop: Pixels, parts: Sequence[str]) -> Bools | None:
    """Which pixels of a crop these parts take; None where it is not known where they lie (a picture that is no crop)."""
    height, width = crop.shape[:2]
    points = regions.points_of(row["landmarks"], row["transform"], width) if height == width else None
    if points is None:
        return None
    held = regions.boxes(points)
    return regions.filled([box for part in parts for box in held[part]], width)


def _covered(
    model: Model, crops: Sequence[Pixels], areas: Sequence[Any], scores: Sequence[float], chance: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(n, 2): how far covering the area moves the score, and, in the mean, covering as much elsewhere."""
    found, count = np.full((len(crops), 2), np.nan), np.ones(len(crops))
    todo: list[tuple[int, int, Pixels]] = []
    for place, area in enumerate(areas):
        if area is None or not LEAST <= area.mean() <= MOST:
            continue
        others = elsewhere(area)
        if not others:
            continue
        taken = [others[each] for each in chance.permutation(len(others))[:CONTROLS]]
        count[place] = len(taken)
        todo += [(place, kind, covered(crops[place], each)) for kind, each in [(0, area), *((1, other) for other in taken)]]
    for places in _batches(len(todo)):
        part = todo[places]
        moved = scores_of(model, [pixels for _, _, pixels in part]).fake
        for (place, kind, _), score in zip(part, moved, strict=True):
            held = found[place, kind]
            found[place, kind] = (0.0 if np.isnan(held) else held) + abs(score - scores[place]) / (
                count[place] if kind else 1
            )
    return found


def _inside(
    rows: Sequence[Mapping[str, Any]],
    crops: Sequence[Pixels],
    masks: Sequence[Any],
    areas: Sequence[Any],
    named: Sequence[tuple[str, ...]],
    group: npt.NDArray[Any],
    chance: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """(n, 3): the share of the mask in the named parts, in those of replies to other groups, in anything as large."""
    found = np.full((len(crops), 3), np.nan)
    for place, (mask, area) in enumerate(zip(masks, areas, strict=True)):
        others = np.flatnonzero([bool(each) and group[place] != of for each, of in zip(named, group, strict=True)])
        if mask is None or area is None or not area.any() or not len(others):
            continue
        taken = chance.choice(others, min(CONTROLS, len(others)), replace=False)
        beside = [_area(rows[place], crops[place], named[other]) for other in taken]
        shares = [float(each[mask].mean()) for each in beside if each is not None]
        found[place] = float(area[mask].mean()), float(np.mean(shares)), float(area.mean())
    return found


def said_of(model: Model, crops: Sequence[Pixels]) -> list[Said]:
    """What a model that was opened to explain says of crops."""
    found = scores_of(model, crops).said
    if found is None:
        raise UsageError("the model gives no reasons")
    return list(found)
