"""docs/scores.md: every example runs, and every column is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.scores import explained
from mmidd.scores.file import SCHEMA, read, write
from mmidd.scores.imports import imported
from scores import lossy

PAGE = (Path(__file__).parents[2] / "docs" / "scores.md").read_text(encoding="utf-8")


def test_every_example_runs(once: Once, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = once("scores-lossy", lossy.corpus)
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "corpus").symlink_to(corpus)
    monkeypatch.chdir(tmp_path)
    Path("theirs.csv").write_text("media,score\nslow.mp4,0.5\n")
    write(Path("scores.parquet"), imported("theirs.csv", Corpus(corpus), name="x"))
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, {})
    assert read("theirs.parquet").about.model["name"] == "theirs"


def test_every_column_is_explained() -> None:
    table = PAGE[PAGE.index("| column |") : PAGE.index("Frames come first")]
    assert set(re.findall(r"`(\w+)`", table)) >= set(SCHEMA.names)
    beside = PAGE[PAGE.index("## Scores behind reasons") : PAGE.index("## Scores made elsewhere")]
    assert set(re.findall(r"`(\w+)`", beside)) >= set(explained.COLUMNS)
