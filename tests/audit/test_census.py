"""What is counted over every caption: words of the leak list, repetition, length."""

from __future__ import annotations

from typing import Any

import pytest

from audit.conftest import WriteCorpus, rows_of
from mmidd.audit.census import distinctness, planted, presence, take_census
from mmidd.audit.results import CheckPart
from mmidd.audit.rows import code
from mmidd.corpus.read import Corpus

Row = dict[str, Any]


def _parts(write: WriteCorpus, rows: list[Row]) -> dict[str, CheckPart]:
    opened = code(Corpus(write(rows)))
    census = take_census(opened)
    sample = {name: [row[f"{name}_caption"] for row in rows if row[f"{name}_caption"]] for name in ("face", "environment")}
    return {part.name: part for part in (presence(census), planted(census), distinctness(census, opened, sample))}


def test_clean_captions_are_counted_without_findings(write_corpus: WriteCorpus) -> None:
    rows = rows_of(["A"], 100, 0)
    rows[0]["face_caption"] = None
    parts = _parts(write_corpus, rows)
    assert all(part.findings == () for part in parts.values())
    assert parts["captions"].figures["null"] == {"face": 1, "environment": 0}
    face = parts["distinctness"].figures["face"]
    assert face["captions"] == 199 and face["distinct"] == len({row["face_caption"] for row in rows[1:]})
    assert sum(face["words"].values()) == sum(face["clip_tokens"].values()) == 199


@pytest.mark.parametrize("word", ["deepfake", "SimSwap", "Celeb-DF", "synthetic"])
def test_one_word_of_the_leak_list_is_a_finding_by_itself(write_corpus: WriteCorpus, word: str) -> None:
    rows = rows_of(["A"], 30, 0)
    rows[17]["environment_caption"] += f" It looks {word}."
    part = _parts(write_corpus, rows)["leak_list"]
    assert part.figures["environment"]["captions"] == 1 and part.figures["face"]["captions"] == 0
    assert word.casefold() in part.findings[0].what and "1 environment captions" in part.findings[0].what


def test_repetition_over_groups_is_a_finding_and_within_a_clip_is_none(write_corpus: WriteCorpus) -> None:
    rows = rows_of(["A"], 100, 0)
    for row in rows:
        row["face_caption"] = f"Clip {row['group']} has a face."
        row["environment_caption"] = "A plain  WALL." if int(row["group"][2:]) < 80 else row["environment_caption"]
    rows[0]["environment_caption"] = "a plain wall."  # case and spaces make no other caption
    part = _parts(write_corpus, rows)["distinctness"]
    assert {finding.what.split(" captions")[0].split()[-1] for finding in part.findings} >= {"environment"}
    assert not any("face" in finding.what for finding in part.findings)
    assert any("80 of 100 groups" in finding.what for finding in part.findings)


def test_long_captions_are_findings_and_cut(write_corpus: WriteCorpus) -> None:
    rows = rows_of(["A"], 10, 0)
    rows[0]["face_caption"] = "word " * 90
    rows[1]["face_caption"] = "x" * 3000
    parts = _parts(write_corpus, rows)
    assert "1 face captions have more than 2000" in parts["captions"].findings[0].what
    assert any("of 20 sampled face captions have more than 75 CLIP tokens" in f.what for f in parts["distinctness"].findings)


def test_no_caption_at_all_is_not_testable(write_corpus: WriteCorpus) -> None:
    rows = [row | {"face_caption": None, "environment_caption": None} for row in rows_of(["A"], 10, 0)]
    parts = _parts(write_corpus, rows)
    assert [each.because for each in parts["captions"].untested] == ["no row has such a caption"] * 2
    assert parts["distinctness"].lines == () and parts["leak_list"].findings == ()
