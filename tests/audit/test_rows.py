"""Reading a corpus by column, and choosing a sample of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from mmidd.audit.rows import CAPTIONS, FIELDS, NULL, Coded, Rows, code, spread
from mmidd.corpus.about import MANIFEST
from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError

from .conftest import WriteCorpus, rows_of


def test_rows_texts_and_columns_are_those_that_were_written(write_corpus: WriteCorpus) -> None:
    written = rows_of(["B", "A"], 60, 0)
    written[5] |= {"forgery_type": None, "attack": "replay"}
    written[3] |= {"face_caption": None, "label": None, "forgery_type": None, "captioner": None, "group": None}
    corpus = Corpus(write_corpus(written))
    rows = code(corpus)
    assert [rows.dataset.of(number) for number in range(len(rows))] == [row["dataset"] for row in written]
    assert (rows.label.of(3), rows.kind.of(3), rows.captioner.of(3)) == (NULL, NULL, NULL)
    assert rows.kind.of(5) == "replay"
    assert rows.group.of(3) == rows.medium.of(3) == f"B/{written[3]['media']}"
    read = [tuple(row[name] for name in CAPTIONS) for _, batch in corpus.batches(CAPTIONS) for row in batch.to_pylist()]
    assert read == [tuple(row[name] for name in CAPTIONS) for row in written]
    wanted = np.array([0, 3, 59, 60, 119, 120, 239])
    assert corpus.take(wanted, ["media"])["media"].to_pylist() == [written[number]["media"] for number in wanted]


NO_CORPUS: Any = None
"""A sample is chosen by codes alone."""


def _rows(strata: list[int], groups: list[int], media: list[int]) -> Rows:
    def coded(codes: list[int]) -> Coded:
        return Coded(np.array(codes, dtype=np.int64), tuple(map(str, range(max(codes) + 1))))

    stratum = coded(strata)
    return Rows(NO_CORPUS, stratum, stratum, stratum, coded(groups), coded(media), stratum)


def test_a_sample_takes_strata_alike_and_groups_and_media_once_before_twice() -> None:
    # 900 rows of stratum 0: 30 groups of 3 media of 10 rows; 30 rows of stratum 1, each a group.
    numbers = range(900)
    rows = _rows(
        [0] * 900 + [1] * 30,
        [n // 30 for n in numbers] + list(range(30, 60)),
        [n // 10 for n in numbers] + list(range(90, 120)),
    )
    for size, groups, media in ((40, 20, 20), (60, 30, 30), (120, 30, 90)):
        chosen = spread(rows, (rows.dataset,), size, 7)
        first = chosen[chosen < 900]
        assert len(chosen) == size and len(first) == max(size // 2, size - 30)
        assert len(set(rows.group.codes[first])) == groups and len(set(rows.medium.codes[first])) == media
    assert (spread(rows, (rows.dataset,), 40, 7) == spread(rows, (rows.dataset,), 40, 7)).all()
    assert (spread(rows, (rows.dataset,), 40, 7) != spread(rows, (rows.dataset,), 40, 8)).any()
    assert spread(rows, (rows.dataset,), 5000, 7).tolist() == list(range(930))
    assert spread(rows, (rows.dataset,), 5, 7, np.zeros(930, np.bool_)).tolist() == []


def test_strata_cross() -> None:
    rows = _rows([0] * 99 + [1], list(range(100)), list(range(100)))
    other = Coded(np.arange(100) % 2, ("x", "y"))
    found = Counter((rows.dataset.of(number), other.of(number)) for number in spread(rows, (rows.dataset, other), 21, 0))
    assert found == {("0", "x"): 10, ("0", "y"): 10, ("1", "y"): 1}


def test_a_folder_that_is_no_corpus_or_a_damaged_shard_is_refused(write_corpus: WriteCorpus) -> None:
    folder = write_corpus(rows_of(["A"], 20, 0))
    shard = next((folder / "data").iterdir())
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(CorpusError, match=r"train-x-.*cannot be read as a shard.*mmidd verify"):
        code(Corpus(folder))
    shard.unlink()
    with pytest.raises(CorpusError, match="cannot be read as a shard"):
        code(Corpus(folder))
    (folder / MANIFEST).write_text("[]")
    with pytest.raises(CorpusError, match=r"no readable mmidd\.json"):
        code(Corpus(folder))


def test_a_corpus_without_rows_is_read(write_corpus: WriteCorpus) -> None:
    rows = code(Corpus(write_corpus([])))
    assert len(rows) == 0 and list(rows.corpus.batches(CAPTIONS)) == [] and len(FIELDS) == 2
