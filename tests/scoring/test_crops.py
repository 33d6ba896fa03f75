"""Crops of no corpus have the scores that they would have in one, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from once import Once
from runs import corpora, networks

from mmidd.corpus.read import Corpus
from mmidd.errors import UsageError
from mmidd.registry import Registry, Row
from mmidd.runs.train import train
from mmidd.scoring.crops import scores_of
from mmidd.scoring.data import clip_order
from mmidd.scoring.model import Model
from mmidd.scoring.models import open_model
from mmidd.scoring.score import score
from mmidd.training.select import select

KNOWN: Registry[Any] = Registry(
    "reference detector", "mmidd.none", "DETECTOR", (Row("toy", "runs.networks", "a toy", "train"),)
)


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("learnable-broken", corpora.broken))


def run(corpus: Corpus, folder: Path, clip: int) -> Model:
    settings = {"clip": clip, "types": True}
    out = folder / "run"
    train(
        networks.DETECTOR, "toy", corpus, out, preset="tiny", settings=settings, workers=0, device="cpu",
        tell=lambda line: None,
    )  # fmt: skip
    return open_model(out, KNOWN, device="cpu")


@pytest.mark.parametrize("clip", [1, 3])
@pytest.mark.parametrize("decoded", [False, True])
def test_they_are_those_of_scoring_the_corpus(corpus: Corpus, clip: int, decoded: bool, tmp_path: Path) -> None:
    model = run(corpus, tmp_path, clip)
    rows = select(corpus, split="validation")
    numbers = rows.numbers[clip_order(rows)]
    told = corpus.take(numbers, ["id", "media", "frame", "image"]).to_pylist()
    crops: list[Any] = [row["image"]["bytes"] for row in told]
    if decoded:
        whole = {name: pixels for name, pixels in _decoded(corpus, numbers)}
        crops = [whole.get(row["id"], crop) for row, crop in zip(told, crops, strict=True)]
    found = scores_of(model, crops, [row["media"] for row in told], [row["frame"] for row in told])
    expected = {row["id"]: row for row in score(model, corpus, ["validation"]).level("frame").to_pylist()}
    assert found.types is not None
    for row, fake, types in zip(told, found.fake.tolist(), found.types.tolist(), strict=True):
        right = expected[row["id"]]
        assert np.isnan(fake) if right["score"] is None else (fake, types) == (right["score"], right["types"])


def _decoded(corpus: Corpus, numbers: Any) -> Any:
    for number in numbers.tolist():
        try:
            yield from corpus.images(rows=[number], decode=True)
        except Exception:
            continue


def test_crops_of_any_size_are_fitted_and_clips_lie_together(corpus: Corpus, tmp_path: Path) -> None:
    model = run(corpus, tmp_path, 1)
    crops = [np.full(shape, 90, np.uint8) for shape in ((16, 16, 3), (40, 60, 3), (7, 300, 3), (1, 1, 3))]
    found = scores_of(model, crops)
    assert np.ptp(found.fake) < 1e-6 and len(found.fake) == 4
    assert scores_of(model, []).fake.shape == (0,)
    assert np.isnan(scores_of(model, [b"no image", crops[0]]).fake).tolist() == [True, False]
    with pytest.raises(UsageError, match="the crops of one clip lie together"):
        scores_of(model, crops, ["a", "b", "a", "b"])
    with pytest.raises(UsageError, match="1 clips of 4 crops"):
        scores_of(model, crops, ["a"])
