"""`mmidd score` on the command line, and `mmidd.score`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from once import Once
from place import Said
from runs import corpora

import mmidd as api
from mmidd.scores.file import read
from scoring import tiny

Run = Callable[..., Said]


@pytest.fixture(scope="module")
def corpus(once: Once) -> Path:
    return once("learnable", corpora.corpus)


def test_it_says_what_became_of_every_frame_and_clip(mmidd: Run, corpus: Path, tmp_path: Path) -> None:
    spec, out = f"python:{tiny.functions(tmp_path)}:bright", tmp_path / "s.parquet"
    words = ["score", spec, str(corpus), "--out", str(out), "--set", "side=16", "--workers", "0", "--degrade", "jpeg=40"]
    said = mmidd(*words)
    assert said.code == 0 and f"next: mmidd evaluate {out} {tmp_path / 's.jpeg-40.parquet'} --corpus {corpus}" in said.out
    assert "frames  real: 32 ok, 0 missing, 0 error; fake: 32 ok, 0 missing, 0 error" in said.out
    assert "clips  real: 8 ok, 0 missing, 0 error" in said.out and "64 images or windows scored now" in said.out
    told = mmidd(*words, "--json").document
    assert [each["changed"] for each in told["files"]] == [False, False] and told["model"]["name"] == "bright"
    assert told["files"][1]["degradation"] == "jpeg=40" and told["splits"] == ["test"]
    again = api.score(spec, corpus, out, settings={"side": 16}, workers=0, tell=lambda line: None)
    assert not again.files[0].changed and len(read(out).level("frame")) == 64


def test_scores_made_elsewhere_come_in(mmidd: Run, corpus: Path, tmp_path: Path) -> None:
    media = sorted(set(api.Corpus(corpus).part("test").rows(["media"])["media"].to_pylist()))
    scores = np.linspace(0, 1, len(media)).tolist()
    theirs, out = tmp_path / "theirs.csv", tmp_path / "theirs.parquet"
    lines = [f"{name},{score}" for name, score in zip(media[1:], scores, strict=False)]
    theirs.write_text("\n".join(["media,pred", *lines]))
    words = ["score", "--import", str(theirs), str(corpus), "--out", str(out)]
    said = mmidd(*words, "--column", "score=pred")
    assert said.code == 0 and "15 of 15 rows matched, as clips by" in said.out and "1 missing" in said.out
    found = read(out)
    assert found.about.model["name"] == "theirs" and found.level("clip")["score"].null_count == 1
    assert "was finished already" in mmidd(*words, "--column", "score=pred").out
    theirs.write_text("\n".join(["media,pred", *lines[1:]]))
    assert "is there already, of another request" in mmidd(*words, "--column", "score=pred").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["python:x.py:f"], "name a MODEL and a CORPUS"),
        (["python:x.py:f", "CORPUS", "--logit"], "--logit goes with --import alone"),
        (["CORPUS", "--import", "x.csv", "--degrade", "sweep"], "--degrade does not go with --import"),
        (["MODEL", "CORPUS", "--import", "x.csv"], "a second argument does not go with --import"),
        (["CORPUS", "--import", "x.csv", "--column", "score"], "--column score: write MEANING=NAME"),
        (["CORPUS", "--import", "x.csv", "--level", "video"], "--level video: frame or clip"),
        (["absent", "CORPUS"], "there is no absent: name a RUN"),
        (["python:{mine}:bright", "CORPUS", "--degrade", "fog=1"], "--degrade fog=1: one of jpeg=LEVEL"),
        (["python:{mine}:bright", "CORPUS", "--set", "sied=1"], "unknown key 'sied'; known: fit, side"),
        (["http://example.org/x.onnx", "CORPUS"], "is an address: models are not fetched"),
    ],
)
def test_what_does_not_go_together_is_told(mmidd: Run, corpus: Path, words: list[str], said: str, tmp_path: Path) -> None:
    mine = str(tiny.functions(tmp_path))
    given = [str(corpus) if each == "CORPUS" else each.replace("{mine}", mine) for each in words]
    found = mmidd("score", *given, "--out", str(tmp_path / "s.parquet"))
    assert found.code == 2 and said in found.err and not (tmp_path / "s.parquet").exists()
