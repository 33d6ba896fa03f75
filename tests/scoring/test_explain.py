"""Scores behind reasons: the reasons lie beside, whole, in the scores' order, and no reply without an answer is dropped."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from explanations import toy
from once import Once
from runs import corpora

import mmidd as api
from mmidd.errors import ScoreError, UsageError
from mmidd.explanations.flags import flags as flags_of
from mmidd.explanations.flags import kinds
from mmidd.scores import explained
from mmidd.scores.file import read
from mmidd.scoring import score as scoring
from mmidd.scoring.crops import scores_of
from mmidd.scoring.run_model import RunModel


def quiet(line: str) -> None:
    """Hears, and says nothing."""


@pytest.fixture(scope="module")
def corpus(once: Once) -> Path:
    return once("learnable", corpora.corpus)


@pytest.fixture(scope="module")
def run(corpus: Path, once: Once) -> Path:
    return once("explaining-toy", lambda folder: toy.trained(corpus, folder / "run")) / "run"


@pytest.fixture(scope="module")
def scored(corpus: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scored") / "s.parquet"
    api.score(toy.opened(run), corpus, out, explain=True, degrade=["jpeg=40"], workers=0, tell=quiet)
    return out


def test_each_reply_lies_beside_the_scores_in_their_order_and_one_without_an_answer_is_an_error(scored: Path) -> None:
    scores, found = read(scored), explained.read_beside(scored, read(scored))
    assert found is not None and scored.with_name("s.explanations.parquet") == explained.place_of(scored)
    frames = scores.level("frame")
    assert found.table["id"].to_pylist() == frames["id"].to_pylist()
    assert found.table["score"].equals(frames["score"])
    rows = found.table.to_pylist()
    for frame, row in zip(frames.to_pylist(), rows, strict=True):
        assert (row["answer"] is None) == (frame["status"] == "error") == (row["wrong"] is not None)
        assert frame["reason"] == (None if row["answer"] else f"{explained.UNANSWERED}{row['wrong']}")
        assert row["flags"] == list(kinds(flags_of(row["reply"])))
        assert row["score"] is None or row["score"] > row["direct"]
    assert {row["wrong"] for row in rows} >= {None, "several answers", "cut off before an answer"}
    assert {tuple(row["flags"]) for row in rows} >= {(), ("race", "health", "identity")}
    assert any(row["regions"] == ["skin"] and row["denied"] == ["hairline", "edges"] for row in rows)
    assert any(row["chain"] == "" and row["alone"] is None and row["answer"] for row in rows)
    assert found.about["columns"].keys() == explained.COLUMNS.keys() and found.about["model"] == scores.about.model


def test_scores_behind_reasons_are_of_another_model_than_those_without(scored: Path, corpus: Path, run: Path) -> None:
    model, about = toy.opened(run), read(scored).about.model
    assert about["reasons"] is True and about["digest"] != model.about["digest"] and "reasons" not in model.about
    again = RunModel.explaining(model)
    assert again.about["digest"] == about["digest"] and again.explaining().about["digest"] == about["digest"]
    with pytest.raises(ScoreError, match="of another request"):
        api.score(model, corpus, scored, workers=0, tell=quiet)


def test_a_summary_counts_what_the_rows_say(
    scored: Path, corpus: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = api.score(toy.opened(run), corpus, scored, explain=True, workers=0, tell=quiet)
    (file,) = again.document()["files"]
    rows = explained.read(explained.place_of(scored)).table.to_pylist()
    told = file["explained"]
    assert again.beside == ("--corpus", str(corpus))  # a run's validation scores are without reasons
    assert not file["changed"] and file["explanations"] == str(explained.place_of(scored))
    assert told["asked"] == len(rows) == 64 and told["no_answer"] == Counter(r["wrong"] for r in rows if r["wrong"])
    assert (
        told["answered"] + sum(told["no_answer"].values()) == 64 and told["flagged"]["race"] == told["flagged"]["health"] > 0
    )
    assert told["agreement"]["score"] == {"agree": told["answered"], "of": told["answered"]}
    with_alone = [r for r in rows if r["answer"] and r["alone"] is not None]
    agree = sum(r["answer"] == "real" for r in with_alone)
    assert told["agreement"]["alone"] == {"agree": agree, "of": len(with_alone)}
    from rich.console import Console

    again.tell(Console(width=200))
    said = capsys.readouterr().out
    assert f"64 replies, {64 - told['answered']} without an answer (errors): " in said and " race" in said
    assert "Asian" not in said and "Obama" not in said


def test_degraded_images_are_explained_too(scored: Path) -> None:
    beside = scored.with_name("s.jpeg-40.parquet")
    found = explained.read_beside(beside, read(beside))
    assert found is not None and found.about["degradation"] == "jpeg=40" and found.table.num_rows == 64
    with pytest.raises(ScoreError, match="of another scoring"):
        explained.read_beside(scored, read(beside))


def test_a_killed_scoring_goes_on_with_what_was_said(
    scored: Path, corpus: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmidd.scoring.parts.EVERY", 0.0)
    out, given = tmp_path / "s.parquet", list[int]()
    whole = RunModel.scores

    def dying(self: RunModel, batch: Any) -> Any:
        if batch["row"][0] == fatal and len(batch["row"]) == 32:
            raise KeyboardInterrupt
        return whole(self, batch)

    def counting(self: RunModel, batch: Any) -> Any:
        given.append(len(batch["row"]))
        return whole(self, batch)

    rows = scoring.requested(toy.opened(run).explaining(), api.Corpus(corpus), ("test",)).items
    fatal = int(rows[32, 0])
    monkeypatch.setattr(RunModel, "scores", dying)
    with pytest.raises(KeyboardInterrupt):
        api.score(toy.opened(run), corpus, out, explain=True, workers=0, tell=quiet)
    assert list(tmp_path.iterdir()) and not out.exists() and not explained.place_of(out).exists()
    monkeypatch.setattr(RunModel, "scores", counting)
    api.score(toy.opened(run), corpus, out, explain=True, workers=0, tell=quiet)
    assert given == [32, 16] and out.read_bytes() == scored.read_bytes()
    assert explained.place_of(out).read_bytes() == explained.place_of(scored).read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir() if not each.name.startswith(".")) == [
        "s.explanations.parquet",
        "s.parquet",
    ]


def test_a_kill_between_the_two_files_is_gone_on_with(scored: Path, corpus: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"
    shutil.copy(explained.place_of(scored), explained.place_of(out))
    api.score(toy.opened(run), corpus, out, explain=True, workers=0, tell=quiet)
    assert out.read_bytes() == scored.read_bytes()
    explained.place_of(out).unlink()
    with pytest.raises(ScoreError, match=r"its explanations .* are not"):
        api.score(toy.opened(run), corpus, out, explain=True, workers=0, tell=quiet)
    out.unlink()
    shutil.copy(explained.place_of(scored.with_name("s.jpeg-40.parquet")), explained.place_of(out))
    with pytest.raises(ScoreError, match="of other scores: remove it"):
        api.score(toy.opened(run), corpus, out, explain=True, workers=0, tell=quiet)


def test_what_gives_no_reasons_is_refused_before_anything_is_scored(corpus: Path, once: Once, tmp_path: Path) -> None:
    mute = once("mute-toy", lambda folder: toy.trained(corpus, folder / "run", "mute")) / "run"
    with pytest.raises(UsageError, match="gives no reasons: explain and rft-fas do"):
        api.score(toy.opened(mute), corpus, tmp_path / "s.parquet", explain=True, workers=0)
    (tmp_path / "f.py").write_text("def f(images):\n    return images.mean((1, 2, 3)) / 255\n")
    with pytest.raises(UsageError, match="gives no reasons: a RUN of a detector that explains does"):
        api.score(f"python:{tmp_path / 'f.py'}:f", corpus, tmp_path / "s.parquet", explain=True, workers=0)
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.replace_schema_metadata({}), "holds no explanations"),
        (lambda table: table.slice(1), "was changed since"),
        (lambda table: table.drop_columns(["flags"]), "has other columns"),
        (lambda table: table.replace_schema_metadata({b"mmidd.explanations": b"["}), "does not say what it is of"),
        (lambda table: table.replace_schema_metadata({b"mmidd.explanations": b'{"format": "2"}'}), "has the format '2'"),
        (lambda table: _renamed(table), "what it says of itself was changed"),
        (
            lambda table: table.set_column(16, "flags", pc.list_slice(table["flags"], 0, 0).cast(table["flags"].type)),
            "changed",
        ),
    ],
)
def test_changed_explanations_are_refused(scored: Path, tmp_path: Path, change: Any, said: str) -> None:
    path = tmp_path / "s.explanations.parquet"
    pq.write_table(change(pq.read_table(explained.place_of(scored))), path)
    with pytest.raises(ScoreError, match=said):
        explained.read(path)


def _renamed(table: Any) -> Any:
    held = table.schema.metadata[b"mmidd.explanations"]
    return table.replace_schema_metadata({b"mmidd.explanations": held.replace(b'"name"', b'"nome"', 1)})


def test_explanations_are_no_score_file_and_say_where_the_scores_are(scored: Path) -> None:
    with pytest.raises(ScoreError, match="holds explanations: name the score file that it lies beside"):
        read(explained.place_of(scored))
    with pytest.raises(ScoreError, match="holds no explanations"):
        explained.read(scored)


def test_an_evaluation_shows_what_was_said_with_intervals_over_groups(scored: Path, tmp_path: Path) -> None:
    found = api.evaluate(scored, resamples=200)
    shares = found.files[0].explained
    told = explained.summary(explained.read(explained.place_of(scored)))
    assert shares["no_answer"].value == sum(told["no_answer"].values()) / 64 and shares["no_answer"].interval
    assert shares["agrees_score"].value == 1 and shares["agrees_score"].rows == told["answered"]
    assert shares["agrees_alone"].value == told["agreement"]["alone"]["agree"] / told["agreement"]["alone"]["of"]
    assert shares["flagged_race"].value == told["flagged"]["race"] / 64
    assert found.document()["files"][0]["explained"]["flagged_health"]["rows"] == 64
    folder = found.write(tmp_path / "out", charts=False)
    for name in ("index.html", "evaluation.md", "evaluation.csv"):
        text = (folder / name).read_text()
        assert ("replies without an answer" in text) == (name != "evaluation.csv") and "Obama" not in text
    bare = shutil.copy(scored, tmp_path / "bare.parquet")
    assert api.evaluate(bare, resamples=20).document()["files"][0]["explained"] is None
    shutil.copy(explained.place_of(scored.with_name("s.jpeg-40.parquet")), explained.place_of(bare))
    with pytest.raises(ScoreError, match="of another scoring"):
        api.evaluate(bare, resamples=20)


def test_a_crop_that_cannot_be_read_takes_no_others_words_with_it(run: Path) -> None:
    crop = np.full((64, 64, 3), 90, np.uint8)
    found = scores_of(toy.opened(run).explaining(), [crop, b"no image", crop])
    assert found.said is not None and [each.wrong for each in found.said][1] == "no image that can be read"
    assert found.said[0] == found.said[2] and found.said[0].reply and np.isnan(found.fake[1])
    assert scores_of(toy.opened(run), [crop]).said is None
