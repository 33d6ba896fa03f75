"""Rows are chosen by columns, exactly, and fractions of them lie inside each other."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import made
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.corpus import read
from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, UsageError
from mmidd.training.select import first_groups, select
from training import corpora
from training.memory import rows_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that tests only read."""
    return corpora.corpus(tmp_path_factory.mktemp("rows") / "corpus")


def _truth(folder: Path) -> list[dict[str, Any]]:
    names = ["id", "label", "forgery_type", "dataset", "media", "frame", "face", "pair", "group", "method"]
    return list(Corpus(folder).rows(names).to_pylist())


WHERE: list[dict[str, Any]] = [
    {"label": "fake"},
    {"dataset": ["Beta", "gamma"], "label": 0},
    {"forgery_type": [None, "FS"], "frame": range(0, 5)},
    {"dataset": "Alpha", "method": None},
]


@pytest.mark.parametrize("where", WHERE, ids=str)
def test_rows_are_those_that_hold_the_values(folder: Path, where: dict[str, Any]) -> None:
    named = where | ({"dataset": ["Beta", "Gamma"]} if where.get("dataset") == ["Beta", "gamma"] else {})
    wanted = Corpus(folder).rows(["id"], named)["id"].to_pylist()
    found, truth = select(folder, where=where).numbers, _truth(folder)
    assert [truth[number]["id"] for number in found] == wanted and len(wanted) and (np.diff(found) > 0).all()


def test_split_and_dataset_open_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(folder)
    monkeypatch.setattr(read, "open_parquet", None)
    assert len(select(corpus, split="train", where={"dataset": "Beta"})) == corpora.ROWS
    assert select(corpus, split="test").numbers.tolist() == list(range(corpora.ROWS))


def test_columns_are_coded_in_the_order_of_rows(folder: Path) -> None:
    rows, truth = select(folder, where={"dataset": ["Alpha", "Beta"]}), _truth(folder)
    mine = [truth[number] for number in rows.numbers]
    rows.load("label", "media")
    for name in ("label", "forgery_type", "media", "group", "method", "frame"):
        column = rows.codes(name)
        classes = {"label": ["real", "fake"], "forgery_type": ["REAL", "FS", "FR", "EFS", "FE"]}.get(name)
        wanted = [row[name] if classes is None or row[name] is None else classes[row[name]] for row in mine]
        assert [column.values[code] for code in column.codes] == wanted and column.codes.dtype == np.int32
        assert sum(column.counts.values()) == len(rows) and all(column.counts.values())
    assert rows.codes("forgery_type").values == ("REAL", "FS", "FR", "EFS", None)
    assert rows.frame.tolist() == [row["frame"] for row in mine]
    clips = [(row["dataset"], row["media"], row["face"]) for row in mine]
    assert [clips.index(clip) for clip in clips] == [rows.clip.tolist().index(clip) for clip in rows.clip]


def test_a_pair_is_the_place_of_the_real_in_the_selection(folder: Path) -> None:
    truth = _truth(folder)
    rows = select(folder, where={"frame": [0, 2]})
    ids = [truth[number]["id"] for number in rows.numbers]
    wanted = [-1 if truth[number]["pair"] is None else ids.index(truth[number]["pair"]) for number in rows.numbers]
    assert rows.pair.tolist() == wanted and max(wanted) > 0
    assert set(select(folder, where={"label": "fake"}).pair) == {-2}


def test_row_groups_are_numbered_through_the_corpus(folder: Path) -> None:
    groups = select(folder, split="train").row_groups
    assert groups[0] == 0 and np.bincount(groups).max() == 3 and set(np.diff(groups)) == {0, 1}


def test_rows_travel_light_and_stay_the_same(folder: Path) -> None:
    rows = select(folder, split="train")
    rows.load("media", "group")
    sent = pickle.dumps(rows)
    assert b".mp4" not in sent
    there = pickle.loads(sent)  # noqa: S301 - our own bytes
    assert (there.codes("media").codes == rows.codes("media").codes).all()
    assert there.digest == rows.digest != select(folder, split="test").digest


EMPTY: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"split": "tran"}, CorpusError, "did you mean 'train'"),
    ({"where": {"dataset": "Alpa"}}, CorpusError, "did you mean 'Alpha'"),
    ({"where": {"dataset": []}}, CorpusError, r"dataset=\[\]; datasets there: alpha, beta, gamma"),
    ({"split": "test", "where": {"dataset": "Alpha"}}, CorpusError, "no row of split 'test' .* datasets there: gamma"),
    ({"where": {"label": "fake", "method": None}}, CorpusError, "method=None; method in the 96 rows before it: Swap 96"),
    ({"where": {"forgery_type": "FE", "dataset": "Alpha"}}, CorpusError, "forgery_type='FE'; .* REAL 13, FS 12, FR 12"),
    ({"where": {"methd": "x"}}, CorpusError, "did you mean 'method'"),
    ({"where": {"image": None}}, CorpusError, "cannot be chosen by column 'image'"),
    ({"fraction": 0}, UsageError, "over 0 and at most 1"),
    ({"fraction": 1.5}, UsageError, "over 0 and at most 1"),
]


@pytest.mark.parametrize(("asked", "kind", "said"), EMPTY, ids=lambda value: str(value)[:50])
def test_what_leaves_no_row_is_named(folder: Path, asked: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        select(folder, **asked)


def test_a_split_without_rows_is_named(tmp_path: Path) -> None:
    made.corpus(tmp_path / "corpus", lambda shard, rows: rows.clear() if shard.startswith("test") else None)
    with pytest.raises(CorpusError, match="split='test'; rows of its splits: train 14, validation 7"):
        select(tmp_path / "corpus", split="test")


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", "c", "d", "e", "f", "g", None])), min_size=1, max_size=60
    ),
    st.lists(st.floats(0.001, 1), min_size=2, max_size=4).map(sorted),
    st.integers(0, 20),
)
def test_fractions_lie_inside_each_other_and_cut_no_group(
    table: list[tuple[int, str | None]], fractions: list[float], seed: int
) -> None:
    """Groups without a name are clips of their own, here one row each."""
    media = [str(number) for number in range(len(table))]
    columns: dict[str, list[Any]] = {
        "dataset": [str(each) for each, _ in table],
        "group": [name for _, name in table],
        "media": media,
    }
    rows = rows_of(len(table), columns | {"media": media, "face": [0] * len(table)})
    groups = [name or f"clip {number}" for number, (_, name) in enumerate(table)]
    home = {name: table[groups.index(name)][0] for name in groups}
    inner: set[int] = set()
    for fraction in fractions:
        taken = first_groups(rows, fraction, seed)
        found = set(np.flatnonzero(taken).tolist())
        assert inner <= found
        inner = found
        assert all(len({bool(taken[n]) for n, other in enumerate(groups) if other == name}) == 1 for name in groups)
        for dataset in set(home.values()):
            mine = [n for n, name in enumerate(groups) if home[name] == dataset]
            assert sum(taken[mine]) >= fraction * len(mine) and taken[mine].any()


def test_a_fraction_of_a_corpus_keeps_pairs_together(folder: Path) -> None:
    whole, part, small = (select(folder, fraction=fraction, seed=1) for fraction in (1, 0.5, 0.1))
    assert set(small.numbers) < set(part.numbers) < set(whole.numbers)
    assert len(part.codes("dataset").values) == len(small.codes("dataset").values) == 3
    assert -2 not in part.pair and (part.pair >= 0).any() and len(whole) / 2 <= len(part) < len(whole) * 0.8


def test_seeds_choose_other_groups(folder: Path) -> None:
    assert len({select(folder, fraction=0.3, seed=seed).digest for seed in range(8)}) > 3


def test_what_no_row_holds_and_a_fraction_that_cannot_be_met_are_warned_of(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"where: no row has method 'Swop'.*did you mean 'Swap'\?"):
        select(folder, where={"method": ["Swap", "Swop"]})
    with pytest.warns(UserWarning, match=r"fraction=0.001 gives .* whole groups are taken"):
        select(folder, fraction=0.001)
