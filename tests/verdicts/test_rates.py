"""No verdict without the rates that were measured for it, and none with another model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluation.made import MODEL, Clip, made

from mmidd.errors import ScoreError
from mmidd.scores.file import write
from mmidd.verdicts.rates import Rates, Unmeasured, rates


def _clips(split: str, real: float = 0.2, fake: float = 0.8) -> list[Clip]:
    found = [Clip(f"{split}{n}", bool(n % 2), [(fake if n % 2 else real) + n / 1000], split=split) for n in range(20)]
    return [*found, Clip(f"{split}-odd", False, [fake + 0.1], split=split)]


def _file(path: Path, *splits: str, **more: Any) -> Path:
    write(path, made([clip for split in splits for clip in _clips(split)], **more))
    return path


def _run(folder: Path, *splits: str, **more: Any) -> Path:
    (folder / "seed-0" / "best").mkdir(parents=True)
    _file(folder / "seed-0" / "best" / "scores.parquet", *splits, **more)
    return folder


def test_the_validation_scores_of_a_run_choose_the_threshold_and_are_measured(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", "validation")
    for named in (run, run / "seed-0"):
        found = rates(str(named), MODEL, None)
        assert isinstance(found, Rates) and 0.22 < found.threshold < 0.91 and found.split == "validation"
        assert found.false_positive.value == pytest.approx(1 / 11) and found.true_positive.value == pytest.approx(0.9)
        assert dict(found.clips) == {"real": 11, "fake": 10} and found.groups == 21
        assert found.word(found.threshold) == "fake" and found.word(0.3) == "real"
        assert "11 real and 10 fake validation clips of made (21 groups)" in str(found) and "unknown" in str(found)


def test_test_clips_are_measured_on_and_never_choose(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", "validation")
    low = made([*(Clip(f"r{n}", False, [0.1]) for n in range(4)), *(Clip(f"f{n}", True, [0.15]) for n in range(4))])
    write(tmp_path / "test.parquet", low)
    found = rates(str(run), MODEL, tmp_path / "test.parquet")
    assert isinstance(found, Rates) and found.threshold > 0.2 and found.split == "test"
    assert found.true_positive.value == 0.0 and found.false_positive.value == 0.0
    both = rates("nowhere", MODEL, _file(tmp_path / "both.parquet", "validation", "test"))
    assert isinstance(both, Rates) and both.split == "test"


def test_without_scores_there_is_no_verdict_and_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "old" / "seed-0" / "best").mkdir(parents=True)
    (tmp_path / "old" / "seed-0" / "best" / "scores.parquet").write_bytes(b"of an older mmidd")
    one = made([Clip(f"r{n}", False, [0.1], split="validation") for n in range(4)])
    (tmp_path / "one" / "seed-0" / "best").mkdir(parents=True)
    write(tmp_path / "one" / "seed-0" / "best" / "scores.parquet", one)
    other = _run(tmp_path / "other", "validation", model={**MODEL, "digest": "1" * 16})
    for name, why in (
        ("old", "no score file|cannot be read"),
        ("one", "fake"),
        (other.name, "another model"),
        ("none", "no valid"),
    ):
        found = rates(str(tmp_path / name), MODEL, None)
        assert isinstance(found, Unmeasured) and "mmidd score" in str(found)
        assert any(each in str(found) for each in why.split("|")), str(found)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"model": {**MODEL, "digest": "1" * 16}}, "another model"),
        ({"model": {"kind": "onnx", "name": "x"}}, "whose scores"),
        ({"degradation": "jpeg=40"}, "changed first"),
    ],
)
def test_the_scores_of_another_model_or_of_changed_images_are_refused(
    tmp_path: Path, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(ScoreError, match=why):
        rates("nowhere", MODEL, _file(tmp_path / "x.parquet", "validation", **more))


def test_a_file_of_neither_validation_nor_test_is_refused_though_the_run_has_rates(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", "validation")
    with pytest.raises(ScoreError, match="neither validation nor test clips, but those of train"):
        rates(str(run), MODEL, _file(tmp_path / "train.parquet", "train"))


def test_rates_of_a_few_clips_are_told_with_how_few_they_are(tmp_path: Path) -> None:
    write(
        tmp_path / "three.parquet",
        made([Clip(f"v{n}", n == 1, [0.9 if n == 1 else 0.1], split="validation") for n in range(3)]),
    )
    few, many = (
        rates("nowhere", MODEL, each) for each in (tmp_path / "three.parquet", _file(tmp_path / "v.parquet", "validation"))
    )
    assert isinstance(few, Rates) and "measured on 2 real and 1 fake alone" in few.short() and "too few" in str(few)
    assert isinstance(many, Rates) and "alone" not in many.short() and "too few" not in str(many)


def test_several_faces_raise_the_expected_rate(tmp_path: Path) -> None:
    found = rates(str(_run(tmp_path / "run", "validation")), MODEL, None)
    assert isinstance(found, Rates)
    assert found.expected(1) == pytest.approx(1 / 11) and found.expected(9) == pytest.approx(1 - (10 / 11) ** 9)
