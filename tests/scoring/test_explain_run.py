"""The real explaining detector, tiny and hardly trained: on the command line, from its run to scores and verdicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Place, Said
from once import Once
from runs import corpora

import mmidd as api
from mmidd.corpus.read import Corpus
from mmidd.runs.detector import Network
from mmidd.scores import explained
from mmidd.scores.file import read

pytest.importorskip("peft")
Run = Callable[..., Said]
SETTINGS = {"steps": 2, "batch": 4, "validate_every": 50, "validation_frames": 1, "reply_tokens": 12}


@pytest.fixture(scope="module")
def corpus(once: Once) -> Path:
    return once("learnable", corpora.corpus)


@pytest.fixture(scope="module")
def run(corpus: Path, once: Once) -> Path:
    def made(folder: Path) -> None:
        api.train(
            "explain",
            corpus,
            folder / "run",
            preset="tiny",
            settings=SETTINGS,
            workers=0,
            device="cpu",
            tell=lambda line: None,
        )

    return once("explain-run", made) / "run"


def test_replies_without_an_answer_are_told_and_nothing_is_scored_by_them(
    mmidd: Run, run: Path, corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.parquet"
    said = mmidd("score", str(run), str(corpus), "--out", str(out), "--explain", "--workers", "0")
    assert said.code == 1 and "none of the 64 frames can be scored; " in said.err and "train it longer" in said.err
    assert not out.exists() and not explained.place_of(out).exists()


def test_its_reasons_lie_beside_its_scores(run: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made to begin as it should: two steps teach it nothing."""
    from mmidd.detectors.explain import network

    begun = network.replied

    def replied(net: Network, given: object) -> object:
        found = begun(net, given)
        texts = tuple(
            f"<think>I look at the eyes.</think><answer>{('real', 'fake')[n % 2]}</answer>" for n in range(len(found.texts))
        )
        return type(found)(texts, found.lengths, found.cut, found.ids, found.mask)

    monkeypatch.setattr(network, "replied", replied)
    out = tmp_path / "s.parquet"
    api.score(run, corpus, out, explain=True, workers=0, device="cpu", tell=lambda line: None)
    rows = explained.read_beside(out, read(out)).table.to_pylist()  # type: ignore[union-attr]
    assert len(rows) == 64 and {row["answer"] for row in rows} == {"real", "fake"}
    assert all(0 < row["score"] < 1 and 0 < row["direct"] < 1 and 0 < row["alone"] < 1 for row in rows)
    assert len({row["alone"] for row in rows}) < 4 and len({row["score"] for row in rows}) > 30  # alone it sees no picture


def test_a_verdict_has_what_it_says(mmidd: Run, run: Path, small: Place) -> None:
    name = next(row["media"] for row in Corpus(small.out).media.to_pylist() if row["label"] == "real" and row["frames_ok"])
    path = next(each for each in small.data.rglob(name.rpartition("/")[2]) if str(each).endswith(f"/{name}"))
    words = ["detect", str(path), "--model", str(run), "--corpus", str(small.out), "--explain", "--workers", "0"]
    said = mmidd(*words)
    assert said.code == 0 and "no answer in its reply" in said.out and "replies without an answer: 1;" in said.out
    (told,) = mmidd(*words, "--json").document["media"]
    assert told["explanations"][0]["no_answer"] and told["explanations"][0]["tokens"] <= 12 and told["score"] is not None
