"""What stands beside the figures, of a corpus that was scored: its columns, its train groups, gaps between its clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Said
from once import Once
from scores import lossy
from sklearn.metrics import roc_auc_score

from evaluation.made import Clip, made
from mmidd.corpus.alone import columns_alone
from mmidd.corpus.read import Corpus
from mmidd.errors import ScoreError, UsageError
from mmidd.evaluation.evaluate import evaluate
from mmidd.scores.file import About, ScoreFile, write
from mmidd.scores.joined import joined
from mmidd.scores.named import digest, named

Run = Callable[..., Said]


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("scores-lossy", lossy.corpus))


def scored(corpus: Corpus, splits: tuple[str, ...] = ("validation", "test")) -> ScoreFile:
    """Scores that know the labels, somewhat."""
    table = named(corpus, splits)
    rows = np.sort(table["row"].drop_null().to_numpy())
    label = corpus.take(rows, ["label"])["label"].to_numpy()
    score = np.clip(0.3 + 0.4 * label + np.random.default_rng(1).normal(0, 0.25, len(rows)), 0, 1)
    about = About({"kind": "python", "name": "f"}, {"name": "c", "digest": corpus.digest}, splits, (), digest(table))
    return ScoreFile(joined(table, rows, score, None, {}), about)


def test_the_columns_alone_are_asked_of_the_same_rows(corpus: Corpus) -> None:
    file = scored(corpus)
    found = evaluate(file, corpus=corpus).files[0].leaks
    frames = [row for row in file.level("frame", "test").to_pylist() if row["id"]]
    train = np.flatnonzero(np.repeat([shard.split == "train" for shard in corpus.shards], [s.rows for s in corpus.shards]))
    told = columns_alone(corpus, train, corpus.find([row["id"] for row in frames]))
    assert told is not None and found.columns == told.columns and found.trained_on == len(train)
    fake = [row["label"] == "fake" for row in frames]
    assert found.frame.value == pytest.approx(roc_auc_score(fake, told.scores)) and found.frame.rows == len(frames)
    by_clip: dict[str, list[tuple[bool, float]]] = {}
    for row, label, score in zip(frames, fake, told.scores, strict=True):
        by_clip.setdefault(row["media"], []).append((label, float(score)))
    means = [(each[0][0], np.mean([score for _, score in each])) for each in by_clip.values()]
    assert found.clip.value == pytest.approx(roc_auc_score(*zip(*means, strict=True))) and found.clip.rows == len(means)


def test_the_columns_alone_and_the_figure_beside_them_are_of_the_same_clips(corpus: Corpus) -> None:
    """Where half of the scores are missing neither loses by that."""
    whole = scored(corpus)
    table = named(corpus, ("validation", "test"))
    frames = [row for row in whole.table.to_pylist() if row["level"] == "frame" and row["score"] is not None]
    kept = [row for row in frames if len(row["media"]) % 2 or row["media"] < "test-m"]
    rows = corpus.find([row["id"] for row in kept])
    file = ScoreFile(joined(table, rows, [row["score"] for row in kept], None, {}), whole.about)
    found = evaluate(file, corpus=corpus).files[0]
    assert 0 < len(kept) < len(frames)
    for level, alone in (("clip", found.leaks.clip), ("frame", found.leaks.frame)):
        assert alone.rows == found.figures(level, "scored")["auroc"].rows < found.figures(level, "counted")["auroc"].rows


def test_train_and_test_share_no_group_and_one_that_they_share_is_loud(corpus: Corpus) -> None:
    file = scored(corpus)
    found = evaluate(file, corpus=corpus)
    assert found.files[0].leaks.shared == 0 and found.files[0].leaks.train_groups > 0
    train = corpus.part("train").rows(["group"])["group"][0].as_py()
    table = file.table
    groups = [train if row["media"].endswith("/1.mp4") else row["group"] for row in table.to_pylist()]
    mixed = table.set_column(table.schema.get_field_index("group"), table.schema.field("group"), [groups])
    found = evaluate(ScoreFile(mixed, file.about), corpus=corpus)
    assert found.files[0].leaks.shared == 1 and any("tested on what it saw" in note for note in found.notes)


def test_a_run_of_another_corpus_is_told(corpus: Corpus) -> None:
    file = scored(corpus)
    about = About(
        {"kind": "run", "name": "gend", "trained_on": {"corpus": "f" * 16}}, file.about.corpus, file.about.splits, (), "n"
    )
    found = evaluate(ScoreFile(file.table, about), corpus=corpus)
    assert any("trained on another corpus" in note for note in found.notes)


def test_another_corpus_than_was_scored_is_refused(corpus: Corpus) -> None:
    with pytest.raises(ScoreError, match="give the corpus that was scored"):
        evaluate(made([Clip(str(n), n % 2 == 1, [0.5]) for n in range(9)]), corpus=corpus)


def test_lost_frames_and_clips_are_in_the_coverage(corpus: Corpus) -> None:
    found = evaluate(scored(corpus)).files[0]
    clips, frames = (next(each for each in found.coverage if each.level == level) for level in ("clip", "frame"))
    assert clips.lacking("fake")[0] + clips.lacking("real")[0] == lossy.LOST
    assert sum(frames.lacking(label)[0] for label in ("real", "fake")) == sum(lossy.LOST_FRAMES.values())


def test_gaps_are_told_by_columns_captions_and_a_table_of_attributes(corpus: Corpus, tmp_path: Path, mmidd: Run) -> None:
    file = scored(corpus)
    media = sorted({row["media"] for row in file.level("clip", "test").to_pylist()})
    lines = ["media,hair", *(f"{name},{'dark' if n % 2 else 'light'}" for n, name in enumerate(media))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = evaluate(
        file, corpus=corpus, by=["sharpness", "face_caption=face"], attributes=tmp_path / "a.csv", resamples=200
    )
    gaps = {(gap.attribute, gap.value, gap.metric): gap for gap in found.files[0].gaps}
    assert {key[0] for key in gaps} >= {"sharpness", "hair"} and ("hair", "dark", "false_positive_rate") in gaps
    dark = gaps["hair", "dark", "auroc"]
    rows = [row for n, row in enumerate(sorted(file.level("clip", "test").to_pylist(), key=lambda r: r["media"])) if n % 2]
    worst = [row["score"] if row["score"] is not None else -1 if row["label"] == "fake" else 2 for row in rows]
    assert dark.figure.value == pytest.approx(roc_auc_score([row["label"] == "fake" for row in rows], worst))
    assert dark.difference.value == pytest.approx((dark.figure.value or 0) - (dark.others.value or 0))
    assert all(gap.adjusted is None or gap.adjusted >= (gap.p or 0) for gap in gaps.values())
    write(tmp_path / "x.parquet", file)
    said = mmidd(
        "evaluate", str(tmp_path / "x.parquet"), "--corpus", str(corpus.place.path("")), "--by", "sharpness", "--by",
        "label", "--coverage", "0", "--resamples", "20",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "gaps between clips" in said.out and "label: fake" in said.out


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,b\n1,2\n", "no column media"),
        ("media\nx\n", "no column media"),
        ("media,hair\nnowhere.mp4,dark\n", "names none"),
        ("media,hair\nx\n", "line 2"),
        ("media,hair\nx,dark\nx,light\n", "twice"),
        ("", "no column media"),
    ],
)
def test_a_table_of_attributes_that_is_none_is_refused(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ScoreError, match=what):
        evaluate(made([Clip(str(n), n % 2 == 1, [0.5]) for n in range(9)]), attributes=tmp_path / "a.csv")


def test_columns_that_hold_no_words_and_no_numbers_are_refused(corpus: Corpus) -> None:
    for by in ("image", "box", "hair", "sharpness=3"):
        with pytest.raises(UsageError, match="--by"):
            evaluate(scored(corpus), corpus=corpus, by=[by])


def test_rows_of_train_are_told_of_as_such(corpus: Corpus) -> None:
    found = evaluate(scored(corpus, ("train",)), corpus=corpus)
    assert any("no test clips" in note for note in found.notes) and found.files[0].leaks.shared is None


def test_an_attribute_of_as_many_values_as_clips_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("media,number\n" + "".join(f"{n},x{n}\n" for n in range(300)))
    with pytest.raises(UsageError, match=r"number has 300 values.*200 at most"):
        evaluate(made([Clip(str(n), n % 2 == 1, [0.5]) for n in range(300)]), attributes=tmp_path / "a.csv")


def test_an_attribute_of_the_name_of_a_column_that_is_asked_for_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("media,method\n1,dark\n")
    given = made([Clip(str(n), n % 2 == 1, [0.5]) for n in range(9)])
    with pytest.raises(UsageError, match="--by method is a column of"):
        evaluate(given, by=["method"], attributes=tmp_path / "a.csv")
