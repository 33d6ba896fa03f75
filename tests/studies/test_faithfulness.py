"""`mmidd faithful`: rows are drawn fairly, what is named is covered and found in masks, flagged reasons go nowhere."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explanations import toy
from once import Once
from PIL import Image
from rich.console import Console

from mmidd.corpus.read import Corpus
from mmidd.errors import UsageError, WorkError
from mmidd.explanations.covering import OVERLAP, elsewhere
from mmidd.explanations.regions import template
from mmidd.scoring.models import explaining
from mmidd.studies.explained import _argues, drawn
from mmidd.studies.faithful import NONE, Replies, lines
from mmidd.studies.faithfulness import TITLES, Explained, _says, faithful
from studies import small

SIDE = 16


def corpus(folder: Path) -> Path:
    """The small one, whose crops are aligned by the template, and whose fakes were changed in their left half."""
    return small.corpus(folder, _aligned)


def _aligned(shard: str, rows: list[dict[str, Any]]) -> None:
    out = io.BytesIO()
    Image.fromarray(np.repeat([[255, 0]], SIDE // 2, 1).repeat(SIDE, 0).astype(np.uint8)).save(out, "PNG")
    for row in rows:
        row["landmarks"], row["transform"] = (template() * SIDE - 0.5).tolist(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        row["mask"] = out.getvalue() if row["label"] else None


@pytest.fixture(scope="module")
def made(once: Once, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Corpus, Explained]:
    place = Corpus(once("aligned", corpus))
    model = toy.opened(
        once("explaining-aligned", lambda folder: toy.trained(Path(place.place.path("")), folder / "run")) / "run"
    )
    out = tmp_path_factory.mktemp("explained") / "out"
    return out, place, faithful(model, explaining(model), place, out, rows=64, resamples=50)


def test_what_is_written_is_what_was_found(made: tuple[Path, Corpus, Explained]) -> None:
    out, _, found = made
    held = json.loads((out / "results.json").read_bytes())
    assert {path.name for path in out.iterdir()} == {"results.json", "results.md", "index.html"}
    assert held == json.loads(json.dumps(found.found)) and held["rows"] == {"real": 32, "fake": 32}
    assert len(held["replies"]) == 64 and len({each["id"] for each in held["replies"]}) == 64
    assert {line["check"] for line in held["checks"]} == {"follows", "covering", "agreement", "masks", "replies"}


def test_the_same_rows_and_seed_give_the_same(made: tuple[Path, Corpus, Explained], once: Once) -> None:
    _, place, found = made
    model = toy.opened(once("explaining-aligned", lambda folder: folder) / "run")
    again = faithful(model, explaining(model), place, rows=64, resamples=50)
    assert again.found == found.found and again.out is None


def test_what_is_named_is_covered_and_compared_and_what_cannot_be_is_counted(
    made: tuple[Path, Corpus, Explained],
) -> None:
    _, _, found = made
    replies = found.found["replies"]
    moved = [each for each in replies if each["moved"]["named"] is not None]
    assert moved and all(each["named"] and each["moved"]["others"] is not None for each in moved)
    assert sum(found.found["left_out"][key] for key in found.found["left_out"] if key.startswith("covering")) == 64 - len(
        moved
    )
    masked = [each for each in replies if each["mask"]["named"] is not None]
    assert masked and all(each["label"] for each in masked)
    assert all(0 <= value <= 1 for each in masked for value in each["mask"].values())


def test_reasons_with_a_flag_are_withheld_everywhere_and_the_others_are_escaped(
    made: tuple[Path, Corpus, Explained],
) -> None:
    out, _, found = made
    console = Console(file=io.StringIO(), width=160)
    found.tell(console)
    console.print_json(json.dumps(found.document()))
    texts = [path.read_text(encoding="utf-8") for path in out.iterdir()] + [console.file.getvalue()]  # type: ignore[attr-defined]
    flagged = [each for each in found.found["replies"] if each["flags"]]
    assert flagged and all(each["reasons"].startswith("withheld") for each in flagged)
    assert not [word for text in texts for word in ("Obama", "Asian", "sick") if word in text]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page and "\x1b" not in page and "What it does not prove" in page


def test_rows_are_of_both_classes_and_of_many_clips(made: tuple[Path, Corpus, Explained]) -> None:
    _, place, _ = made
    few = drawn(place, "test", 20, 0)
    assert [sum(row["label"] == each for row in few.columns) for each in (0, 1)] == [10, 10]
    assert len({(row["dataset"], row["media"]) for row in few.columns}) == 20 and (np.diff(few.numbers) > 0).all()
    assert len(drawn(place, "test", 10_000, 0).numbers) == place.splits["test"]
    assert drawn(place, "test", 20, 1).numbers.tolist() != few.numbers.tolist()
    with pytest.raises(UsageError, match="no rows of split"):
        drawn(place.part("train"), "nothing", 2, 0)


def test_elsewhere_is_as_large_and_hardly_overlaps() -> None:
    area = np.zeros((20, 20), bool)
    area[5:12, 5:12] = True
    found = elsewhere(area)
    assert found and all(each.sum() == area.sum() and (each & area).sum() <= OVERLAP * area.sum() for each in found)
    assert elsewhere(np.ones((20, 20), bool)) == []


def test_a_model_without_reasons_and_a_folder_that_is_full_are_refused(
    made: tuple[Path, Corpus, Explained], once: Once, tmp_path: Path
) -> None:
    out, place, _ = made
    mute = toy.opened(
        once("mute-aligned", lambda folder: toy.trained(Path(place.place.path("")), folder / "run", "mute")) / "run"
    )
    with pytest.raises(UsageError, match="gives no reasons"):
        explaining(mute)
    with pytest.raises(WorkError, match="nothing is overwritten"):
        faithful(mute, mute, place, out)
    with pytest.raises(UsageError, match="two at least"):
        faithful(mute, mute, place, tmp_path / "new", rows=1)


def test_the_answers_own_words_tell_what_reasons_argue_for() -> None:
    assert _argues("It looks attacked.", ("benign", "attacked")) == 1 and _argues("It looks attacked.", ()) == NONE


def test_what_cannot_be_told_and_what_is_not_shown_stands_above_the_tables() -> None:
    few = of_rows(groups=2, label=np.ones(8, np.int64))
    told = " ".join(_says(few, lines(few, resamples=20)))
    assert "All rows are of one class" in told and "2 groups are too few" in told and "same reasons for every" in told
    at_random = of_rows(groups=8, label=np.arange(8) % 2)
    assert f"{TITLES['masks']} Not shown" in " ".join(_says(at_random, lines(at_random, resamples=50)))
    by_answer = replace(at_random, chain=["the eyes" if each else "the mouth" for each in at_random.answer])
    assert "With each answer it gives one and the same" in " ".join(_says(by_answer, []))


def of_rows(groups: int, label: Any) -> Replies:
    """Eight replies with the same reasons, which name places at random."""
    chance = np.random.default_rng(0)
    shares = chance.random((5, 8))
    return Replies(
        np.arange(8) % groups, label, label, label, shares[0], shares[1], ["the eyes"] * 8, [("eyes",)] * 8, [()] * 8,
        [None] * 8, np.zeros(8, bool), shares[2], shares[3], shares[4], shares[3], shares[2],
    )  # fmt: skip
