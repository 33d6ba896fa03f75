"""Scores with which figures cannot be told: each metric says why, in words, and nothing is NaN."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Said

from evaluation.made import Clip, made, random_clips
from mmidd.errors import ScoreError, UsageError
from mmidd.evaluation.compare import compare
from mmidd.evaluation.evaluate import evaluate
from mmidd.scores.file import write

Run = Callable[..., Said]


def clips(count: int, **more: object) -> list[Clip]:
    return [Clip(f"{n}", n % 2 == 1, [(n % 7) / 7], **more) for n in range(count)]  # type: ignore[arg-type]


CASES: dict[str, tuple[list[Clip], str, str]] = {
    "one class": ([Clip(str(n), True, [n / 30]) for n in range(30)], "auroc", "all 30 rows are fake"),
    "no fakes": ([Clip(str(n), False, [n / 30]) for n in range(30)], "average_precision", "all 30 rows are real"),
    "ten clips": (clips(10), "tpr_at_fpr_0.01", "needs 100"),
    "one group": (clips(40, group="g"), "auroc", "no interval: 1 group"),
    "constant": ([Clip(str(n), n % 2 == 1, [0.5]) for n in range(40)], "auroc", "every resample gives the same"),
    "one clip": (clips(1), "eer", "all 1 rows are real"),
    "one fake": ([Clip(str(n), n == 5, [n / 500]) for n in range(400)], "auroc", "no interval: 1 group with fakes"),
    "few reals": ([Clip(str(n), n > 3, [n / 500]) for n in range(400)], "balanced_accuracy@0.5", "4 groups with reals"),
    "no types": (clips(40), "type_accuracy", "gives no forgery types"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_metric_says_why_and_nothing_is_nan(name: str, tmp_path: Path) -> None:
    given, metric, why = CASES[name]
    found = evaluate(made(given), resamples=50)
    assert why in found.files[0].figures("clip", "counted")[metric].why
    json.dumps(found.document(), allow_nan=False)
    assert "nan" not in str(found).lower()
    found.write(tmp_path / "out", charts=name in ("one class", "constant", "one clip"))


def test_a_rate_needs_reals_or_fakes_alone() -> None:
    found = evaluate(made([Clip(str(n), True, [n / 30]) for n in range(30)])).files[0].figures("clip", "counted")
    assert found["true_positive_rate@0.5"].value == 0.5 and found["false_positive_rate@0.5"].value is None
    assert found["brier"].value is not None


def test_one_fake_among_ten_thousand() -> None:
    given = [Clip(f"{n}", n == 77, [n / 10_000], group=f"g{n // 10}") for n in range(10_000)]
    found = evaluate(made(given), resamples=50).files[0].figures("clip", "counted")
    assert found["auroc"].value == pytest.approx(77 / 9999) and not found["auroc"].interval
    assert found["average_precision"].value == pytest.approx(1 / 9923)


def test_a_dataset_of_one_class_is_left_out_of_the_mean_by_name() -> None:
    given = [*random_clips(80), *(Clip(f"k{n}", True, [0.7], "KoDF") for n in range(10))]
    found = evaluate(made(given), resamples=50)
    mean = next(
        each.figure for each in found.files[0].lines if each.subset == "mean over datasets" and each.metric == "auroc"
    )
    assert mean.value is not None and "over 2: A, B" in mean.why and "left out: KoDF (no reals)" in mean.why
    (matrix,) = found.files[0].matrices["clip"]
    assert matrix.reals == ("A", "B") and matrix.fakes == ("A", "B", "KoDF")
    kodf = found.files[0].figures("clip", "counted", "dataset KoDF")["auroc"]
    assert kodf.value is None and "all 10 rows are fake" in kodf.why


def test_a_type_that_is_not_known_is_a_subset_of_its_own_and_in_no_type_figure() -> None:
    told = [0.1, 0.6, 0.1, 0.1, 0.1]
    given = [Clip(f"{n}", n % 2 == 1, [0.4], kind="?" if n % 4 == 1 else None, types=told) for n in range(40)]
    found = evaluate(made(given)).files[0]
    assert "type unknown" in found.subsets() and found.figures("clip", "counted")["type_accuracy"].rows == 30
    assert sum(map(sum, found.confusion["clip"] or [])) == 30


def test_a_file_twice_and_no_file_are_refused(tmp_path: Path) -> None:
    file = made(clips(20))
    write(tmp_path / "x.parquet", file)
    for given in ([file, file], [tmp_path / "x.parquet", tmp_path / "." / "x.parquet"]):
        with pytest.raises(ScoreError, match="given twice"):
            evaluate(given)
    with pytest.raises(UsageError, match="no score file"):
        evaluate([])
    with pytest.raises(ScoreError, match="no clips"):
        evaluate(made([]))


def test_files_of_equal_names_keep_apart(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "s.parquet", made(clips(20 if folder == "a" else 22)))
    found = evaluate([tmp_path / "a" / "s.parquet", tmp_path / "b" / "s.parquet", made(clips(20)), made(clips(20))])
    assert [each.name for each in found.files] == ["a/s", "b/s", "made #1", "made #2"]
    assert any("cannot be compared" in note for note in found.notes)


def test_a_clip_that_another_build_of_the_corpus_moved_to_validation_chooses_no_threshold_for_itself() -> None:
    test, moved = random_clips(40), random_clips(40)[:3]
    other = [*random_clips(40, split="validation")[3:], *(replace(clip, split="validation") for clip in moved)]
    other = [
        replace(clip, media=clip.media if clip.media in {c.media for c in moved} else f"v-{clip.media}") for clip in other
    ]
    with pytest.raises(ScoreError, match=r"is told of 3 of them: a threshold is never chosen on"):
        evaluate(made(test), validation=made(other, corpus={"name": "again", "digest": "another"}))


def test_validation_of_another_detector_or_of_what_is_told_of_is_refused() -> None:
    test, validation = made(random_clips(40)), made(random_clips(40, split="validation"))
    assert evaluate(test, validation=validation).files[0].chosen.operating is not None
    other = made(random_clips(40, split="validation"), name="another")
    with pytest.raises(ScoreError, match="another detector"):
        evaluate(test, validation=other)
    imported = made(random_clips(40, split="validation"), model={"kind": "imported", "name": "theirs", "digest": "0"})
    with pytest.raises(ScoreError, match=r"another detector; tables are told apart .*--split test --split validation"):
        evaluate(test, validation=imported)
    with pytest.raises(ScoreError, match="never chosen on"):
        evaluate(made(random_clips(40, split="validation")), validation=validation)
    with pytest.raises(UsageError):
        evaluate(test, coverage=1.5)


def test_without_validation_only_figures_at_one_half_are_told_and_it_is_said() -> None:
    found = evaluate(made(random_clips(40))).files[0]
    figures = found.figures("clip", "counted")
    assert figures["accuracy@0.5"].value is not None and figures["accuracy@validation"].value is None
    assert "give --validation FILE" in figures["accuracy@validation"].why and "0.5 alone" in str(evaluate(made(clips(20))))


def test_a_degraded_file_takes_the_threshold_of_the_clean_one() -> None:
    clean = made([*random_clips(60), *random_clips(60, split="validation", seed=2)])
    worse = made([*random_clips(60, seed=9), *random_clips(60, split="validation", seed=8)], degradation="jpeg=30")
    found = evaluate([worse, clean], resamples=50)
    points = [each.chosen.operating for each in found.files]
    assert points[0] is not None and points[0] == points[1] and found.files[0].chosen.by == "validation clips of made #2"


def test_damaged_and_foreign_files_are_one_line_of_an_error(mmidd: Run, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    for verb in ("evaluate", "compare"):
        said = mmidd(verb, str(tmp_path / "x.parquet"), str(tmp_path / "absent.parquet"))
        assert said.code == 1 and "cannot be read as a score file" in said.err


def test_figures_do_not_depend_on_the_order_of_rows_and_equal_seeds_give_equal_intervals() -> None:
    given = random_clips(60)
    one, again = (evaluate(made(given), resamples=100, seed=3) for _ in range(2))
    assert one.document() == again.document()
    assert evaluate(made(given), resamples=100, seed=4).document() != one.document()


def test_wrong_words_are_usage_errors(mmidd: Run, tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", made(clips(20)))
    for words in (["--rule", "best"], ["--by", "hair"], ["--by", "sharpness"], ["--coverage", "7"]):
        said = mmidd("evaluate", str(tmp_path / "x.parquet"), *words)
        assert said.code == 2, said.err
    assert mmidd("compare", str(tmp_path / "x.parquet")).code == 2


@pytest.mark.parametrize("asked", [{"resamples": 10**9}, {"resamples": 0}, {"seed": -1}])
def test_resamples_without_an_end_and_seeds_that_are_none_are_refused(asked: dict[str, Any]) -> None:
    given = made([Clip(str(n), n % 2 == 1, [0.5]) for n in range(9)])
    for verb in (lambda: evaluate(given, **asked), lambda: compare([given, given], **asked)):
        with pytest.raises(UsageError, match=r"are drawn|the seed"):
            verb()
