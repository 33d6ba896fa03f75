"""A corpus scored: every row once, nothing dropped, the same bytes whoever decodes and however often it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from once import Once
from runs import corpora
from runs.networks import DETECTOR
from scores import lossy

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, MmiddError, ScoreError
from mmidd.runs.train import train
from mmidd.scores.file import ScoreFile, read
from mmidd.scores.named import named
from mmidd.scoring import data, parts
from mmidd.scoring.degrade import Degradation, asked
from mmidd.scoring.files import score_files
from mmidd.scoring.model import Found, Model
from mmidd.scoring.score import NO_NUMBER, score
from scoring import tiny
from scoring.test_models import opened
from scoring.tiny import Mean


@pytest.fixture(scope="module")
def corpus(once: Once) -> Corpus:
    return Corpus(once("learnable", corpora.corpus))


@pytest.fixture(scope="module")
def broken(once: Once) -> Corpus:
    return Corpus(once("learnable-broken", corpora.broken))


def expected(corpus: Corpus, split: str) -> dict[str, float]:
    """The mean of the pixels of each sample, by id."""
    part = corpus.part(split)
    return {name: float(pixels.mean() / 255) for name, pixels in part.images(decode=True)}


def by_id(found: ScoreFile) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in found.level("frame").to_pylist()}


def test_each_frame_has_the_score_of_its_image_and_each_clip_their_mean(corpus: Corpus) -> None:
    found, right = score(Mean(kinds=True), corpus, ["validation", "test"]), dict[str, float]()
    for split in ("validation", "test"):
        right |= expected(corpus, split)
    frames = by_id(found)
    assert {name: row["score"] for name, row in frames.items()} == pytest.approx(right, abs=1e-9)
    assert all(sum(row["types"]) == pytest.approx(1) and row["status"] == "ok" for row in frames.values())
    for clip in found.level("clip").to_pylist():
        mine = [row["score"] for row in frames.values() if row["media"] == clip["media"]]
        assert clip["score"] == pytest.approx(np.mean(mine)) and clip["frames"] == clip["frames_named"] == len(mine)
    assert found.about.splits == ("validation", "test") and found.about.corpus["digest"] == corpus.digest
    assert found.about.versions["torch"] and found.about.degradation is None


def test_what_the_corpus_lost_stays_missing_and_what_it_left_out_is_counted(once: Once) -> None:
    corpus = Corpus(once("lossy", lossy.corpus))
    found = score(Mean(), corpus)
    table = found.table
    assert len(table) == len(named(corpus, ["test"])) and table["status"].to_pylist().count("missing") >= lossy.LOST
    assert found.about.left_out


def test_only_a_dataset_that_is_asked_for_is_scored(corpus: Corpus) -> None:
    assert set(score(Mean(), corpus, ["train"], ["Alpha"]).table["dataset"].to_pylist()) == {"Alpha"}
    with pytest.raises(ScoreError, match="no such dataset"):
        score(Mean(), corpus, ["train"], ["Alhpa"])


def test_a_row_that_cannot_be_read_is_an_error_of_that_row(broken: Corpus) -> None:
    found = score(Mean(), broken, ["validation"])
    wrong = [row for row in found.table.to_pylist() if row["status"] != "ok"]
    assert len(wrong) == 1 and wrong[0]["status"] == "error" and wrong[0]["level"] == "frame"
    assert "row " in wrong[0]["reason"] and str(broken.place.path("")) not in wrong[0]["reason"]
    clip = next(row for row in found.level("clip").to_pylist() if row["media"] == wrong[0]["media"])
    assert clip["status"] == "ok" and (clip["frames"], clip["frames_named"]) == (corpora.FRAMES - 1, corpora.FRAMES)


@pytest.mark.parametrize("frames", [2, 3, 4])
def test_a_frame_has_the_mean_of_the_windows_that_hold_it(corpus: Corpus, frames: int) -> None:
    found, right = score(Mean(frames), corpus), expected(corpus, "test")
    media: dict[str, list[tuple[int, str]]] = {}
    for name, row in by_id(found).items():
        media.setdefault(row["media"], []).append((row["frame"], name))
    for held in media.values():
        names = [name for _, name in sorted(held)]
        starts = sorted({*range(0, len(names) - frames + 1, frames), len(names) - frames})
        for place, name in enumerate(names):
            windows = [np.mean([right[each] for each in names[s : s + frames]]) for s in starts if s <= place < s + frames]
            assert by_id(found)[name]["score"] == pytest.approx(np.mean(windows), abs=1e-9)


def test_clips_shorter_than_a_window_are_errors_with_the_reason(corpus: Corpus) -> None:
    with pytest.raises(ScoreError, match=r"none of the 64 frames can be scored; the first: fewer than 5 frames in a row"):
        score(Mean(5), corpus)


def test_a_window_with_a_frame_that_cannot_be_read_is_lost_as_a_whole_and_says_whose_fault_it_is(broken: Corpus) -> None:
    found = score(Mean(3), broken, ["validation"])
    wrong = [row for row in found.level("frame").to_pylist() if row["status"] != "ok"]
    assert 0 < len(wrong) <= corpora.FRAMES and len({row["media"] for row in wrong}) == 1
    assert sum(row["reason"].startswith("in no window but") for row in wrong) == len(wrong) - 1


def test_no_finite_number_is_an_error_of_that_row_and_of_none_at_all_the_whole_stops(corpus: Corpus, tmp_path: Path) -> None:
    path = tiny.functions(tmp_path)
    found = score(opened(f"python:{path}:lost", "side=16"), corpus)
    states = [row["reason"] for row in found.level("frame").to_pylist() if row["status"] == "error"]
    assert 0 < len(states) < 64 and set(states) == {NO_NUMBER}
    with pytest.raises(ScoreError, match=f"none of the 64 frames can be scored; the first: {NO_NUMBER}"):
        score(opened(f"python:{path}:nothing", "side=16"), corpus)


def test_a_model_that_goes_by_its_neighbours_is_told_and_a_sound_one_is_not(corpus: Corpus, tmp_path: Path) -> None:
    path, told = tiny.functions(tmp_path), list[str]()
    score_files(opened(f"python:{path}:ranks", "side=16"), corpus, tmp_path / "a.parquet", workers=0, tell=told.append)
    assert len(told) == 1 and "beside other images (by up to 0." in told[0]
    score_files(opened(f"python:{path}:bright", "side=16"), corpus, tmp_path / "b.parquet", workers=0, tell=told.append)
    assert len(told) == 1


def test_a_run_is_scored_as_it_was_validated(corpus: Corpus, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {"validation_frames": None}
    train(DETECTOR, "toy", corpus, run, preset="tiny", settings=settings, workers=0, device="cpu", tell=lambda line: None)
    kept, found = read(run / "seed-0" / "best" / "scores.parquet"), score(opened(run), corpus, ["validation"])
    before, now = by_id(kept), by_id(found)
    assert {name: row["score"] for name, row in now.items()} == pytest.approx(
        {name: row["score"] for name, row in before.items()}, abs=1e-6
    )
    assert {**kept.about.model, "device": "cpu"} == found.about.model
    keys = ["dataset", "media", "frame", "face", "group", "label", "forgery_type", "method"]
    assert [[row[key] for key in keys] for row in before.values()] == [[now[name][key] for key in keys] for name in before]


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("degradation", [None, "noise=10", "h264=30"])
def test_the_bytes_are_the_same_for_any_number_of_workers(
    corpus: Corpus, frames: int, degradation: str | None, tmp_path: Path
) -> None:
    path = tiny.functions(tmp_path)
    degradations = asked([degradation] if degradation else [])
    made = []
    for workers in (0, 2):
        model: Model = Mean(frames) if frames > 1 else opened(f"python:{path}:bright", "side=16")
        out = tmp_path / f"{workers}.parquet"
        told = score_files(model, corpus, out, degradations=degradations, workers=workers)
        made.append([each.path.read_bytes() for each in told.files])
    assert made[0] == made[1] and len(made[0]) == 1 + len(degradations)


def test_another_size_of_batch_changes_no_more_than_float_noise(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = opened(tiny.model(tmp_path), "output=probability")
    found = []
    for size in (1, 7, 32):
        monkeypatch.setattr("mmidd.scoring.score.BATCH", size)
        found.append([row["score"] for row in score(model, corpus).table.to_pylist()])
    assert found[0] == pytest.approx(found[1], abs=1e-6) and found[1] == pytest.approx(found[2], abs=1e-6)


def test_a_degradation_changes_the_scores_and_none_does_not(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    told = score_files(Mean(), corpus, path, degradations=asked(["noise=0", "none", "noise=40", "resize=0.25"]), workers=0)
    assert [each.path.name for each in told.files] == ["s.parquet", "s.noise-40.parquet", "s.resize-0.25.parquet"]
    plain, noisy = read(path), read(told.files[1].path)
    assert noisy.about.degradation == "noise=40" and plain.about.named == noisy.about.named
    assert plain.table["score"].to_pylist() != noisy.table["score"].to_pylist()
    same = score(Mean(), corpus, degradation=Degradation("blur", 0))
    assert same.table.equals(plain.table) and same.about.degradation is None


def test_a_finished_file_is_left_as_it_is_and_one_of_another_request_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "s.parquet"
    first = score_files(Mean(), corpus, out, workers=0)
    assert first.files[0].changed and first.files[0].scored == 64 and sorted(out.parent.iterdir()) == [out]
    before = out.stat().st_mtime_ns
    model = Mean()
    again = score_files(model, corpus, out, workers=0)
    assert not again.files[0].changed and model.given == [] and out.stat().st_mtime_ns == before
    assert "was finished already" in str(again) and again.files[0].counts == first.files[0].counts
    with pytest.raises(ScoreError, match=r"is there already, of another request: model\.\w+ was .*Choose another --out"):
        score_files(Mean(2), corpus, out, workers=0)
    with pytest.raises(ScoreError, match=r"splits was .*validation"):
        score_files(Mean(), corpus, out, ["validation"], workers=0)
    out.write_bytes(b"no score file")
    with pytest.raises(ScoreError, match="score file"):
        score_files(Mean(), corpus, out, workers=0)
    with pytest.raises(ScoreError, match=r"a score file is called NAME\.parquet"):
        score_files(Mean(), corpus, tmp_path / "s.csv", workers=0)


class Killed(Exception):
    """As a kill between two batches."""


class Dying(Mean):
    def __init__(self, after: int, frames: int = 1) -> None:
        super().__init__(frames)
        self.left = after

    def scores(self, batch: Mapping[str, Any]) -> Found:
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super().scores(batch)


@pytest.mark.parametrize("frames", [1, 3])
def test_one_that_was_stopped_goes_on_behind_what_is_kept(
    broken: Corpus, frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "EVERY", 0.0)
    monkeypatch.setattr("mmidd.scoring.score.BATCH", 5)
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    score_files(Mean(frames), broken, whole, ["validation"], workers=0)
    for after in (3, 1, 4):
        with pytest.raises(Killed):
            score_files(Dying(after, frames), broken, out, ["validation"], workers=0)
        assert not out.exists()
    model = Mean(frames)
    told = score_files(model, broken, out, ["validation"], workers=0)
    assert out.read_bytes() == whole.read_bytes() and 0 < told.files[0].scored < 64
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "whole.parquet"]


def test_what_is_kept_of_another_request_or_damaged_is_not_used_and_that_is_told(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "EVERY", 0.0)
    monkeypatch.setattr("mmidd.scoring.score.BATCH", 5)
    whole, out, said = tmp_path / "whole.parquet", tmp_path / "out.parquet", list[str]()
    score_files(Mean(), corpus, whole, workers=0)
    with pytest.raises(Killed):
        score_files(Dying(4), corpus, out, ["validation"], workers=0)
    with pytest.raises(Killed):
        score_files(Dying(4), corpus, out, workers=0, tell=said.append)
    assert len(said) == 1 and "it begins anew" in said[0]
    kept = sorted((tmp_path / ".out.parquet.parts").glob("part-*"))
    kept[1].write_bytes(kept[1].read_bytes()[:-9])
    told = score_files(Mean(), corpus, out, workers=0, tell=said.append)
    assert "is damaged: it is scored again" in said[1] and told.files[0].scored == 64 - 5
    assert out.read_bytes() == whole.read_bytes()


def test_what_an_older_version_kept_is_told_scored_again_and_in_nobodys_way(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "EVERY", 0.0)
    monkeypatch.setattr("mmidd.scoring.score.BATCH", 5)
    out, said, folder = tmp_path / "out.parquet", list[str](), tmp_path / ".out.parquet.parts"
    with pytest.raises(Killed):
        score_files(Dying(4), corpus, out, workers=0)
    for each in folder.glob("part-*"):
        pq.write_table(pq.read_table(each).drop_columns(["said"]), each)
    monkeypatch.setattr("mmidd.scoring.score.BATCH", 7)
    with pytest.raises(Killed):
        score_files(Dying(2), corpus, out, workers=0, tell=said.append)
    assert len(said) == 1 and "is of another version: it is scored again" in said[0]
    assert 0 < score_files(Mean(), corpus, out, workers=0, tell=said.append).files[0].scored < 64 and len(said) == 1


SLOW = """
import sys, time
from pathlib import Path
from mmidd.scoring import parts, score
parts.EVERY, score.BATCH = 0.0, 4
sys.path[:0] = [sys.argv[3]]
from scoring.tiny import Mean
from mmidd.scoring.files import score_files
class Slow(Mean):
    def scores(self, batch):
        time.sleep(float(sys.argv[4]))
        return super().scores(batch)
score_files(Slow(), sys.argv[1], sys.argv[2], workers=1)
"""


def test_a_kill_in_the_midst_leaves_no_half_file_and_the_same_command_ends_with_the_same_bytes(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmidd.scoring.score.BATCH", 4)
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    score_files(Mean(), corpus, whole, workers=0)
    words = [sys.executable, "-c", SLOW, str(corpus.place.path("")), str(out), str(Path(__file__).parents[1])]
    kept = tmp_path / ".out.parquet.parts"
    process, deadline = subprocess.Popen([*words, "0.2"]), time.monotonic() + 200
    while len(list(kept.glob("part-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists() and len(list(kept.glob("part-*"))) >= 3
    assert 0 < score_files(Mean(), corpus, out, workers=0).files[0].scored < 64
    assert out.read_bytes() == whole.read_bytes() and not kept.exists()


def test_two_at_once_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"

    class Inner(Mean):
        def scores(self, batch: Mapping[str, Any]) -> Found:
            with pytest.raises(ScoreError, match="another scoring writes"):
                score_files(Mean(), corpus, out, workers=0)
            return super().scores(batch)

    score_files(Inner(), corpus, out, workers=0)


def test_no_memory_grows_with_the_batch_of_a_clip(corpus: Corpus) -> None:
    model = Mean(4)
    score(model, corpus)
    assert max(model.given) == data.BATCH // 4


def test_a_shard_that_is_not_there_stops_it(once: Once, tmp_path: Path) -> None:
    import shutil

    copied = Path(shutil.copytree(once("learnable", corpora.corpus), tmp_path / "corpus"))
    found = Corpus(copied)
    next((copied / "data").glob("test-*")).unlink()
    with pytest.raises((CorpusError, MmiddError)):
        score(Mean(), found)
