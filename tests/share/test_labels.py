"""Tables of labels: pandas, DuckDB and Polars read them; Parquet exactly, CSV without formulas."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus import made

from mmidd.corpus.read import Corpus
from mmidd.schema import BY_NAME, media_schema
from mmidd.share.export.run import export

TEXTS = ["=1+1", "+49", "-x", "@me", "\tx", "\rx", "\nx", "'quoted'", "＝1", "plain", "", None, 'a,"b"\nc', "NULL"]


def _texts(shard: str, rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        row["environment_caption"] = TEXTS[(number + 7 * made.SHARDS.index(shard)) % len(TEXTS)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The small corpus, with texts that would do harm in a spreadsheet."""
    return Corpus(made.corpus(tmp_path_factory.mktemp("labels") / "corpus", _texts))


@pytest.fixture(scope="module")
def exported(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of it."""
    out = tmp_path_factory.mktemp("tables") / "out"
    export(corpus, "labels", out)
    return out


def _expected(corpus: Corpus) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = corpus.rows([name for name in corpus.columns if name not in ("image", "mask")]).to_pylist()
    splits = [split for split in sorted(corpus.splits) for _ in range(corpus.splits[split])]
    for row, split in zip(rows, splits, strict=True):
        row["split"] = split
        for name in ("label", "forgery_type"):
            row[name] = None if row[name] is None else BY_NAME[name].classes[row[name]]
    return rows


def _same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    def plain(value: Any) -> Any:
        return "nan" if isinstance(value, float) and math.isnan(value) else value

    return [{k: plain(v) for k, v in row.items()} for row in found] == [
        {k: plain(v) for k, v in row.items()} for row in wanted
    ]


def test_parquet_is_exact_in_values_and_types(corpus: Corpus, exported: Path) -> None:
    table = pq.read_table(exported / "labels.parquet")
    assert _same(table.to_pylist(), _expected(corpus)) and table.num_rows == 28
    for field in table.schema:
        known = BY_NAME.get(field.name)
        assert field.type == (pa.string() if known is None or known.classes else known.type)


def test_no_cell_of_the_csv_is_a_formula_and_taking_the_quote_away_gives_the_text(corpus: Corpus, exported: Path) -> None:
    with (exported / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, wanted in zip(rows, _expected(corpus), strict=True):
        for name, cell in row.items():
            if name == "split" or BY_NAME[name].type == pa.string() or BY_NAME[name].classes:
                assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "＝")
                assert cell.removeprefix("'") == (wanted[name] or "")
        assert json.loads(row["box"]) == wanted["box"] and json.loads(row["landmarks"]) == wanted["landmarks"]


def test_pandas_duckdb_and_polars_read_both_files_alike(corpus: Corpus, exported: Path) -> None:
    import duckdb
    import pandas
    import polars

    wanted = [(row["id"], row["label"], row["method"], row["frame"], row["timestamp"]) for row in _expected(corpus)]
    names = ["id", "label", "method", "frame", "timestamp"]
    for ending in ("parquet", "csv"):
        path = str(exported / f"labels.{ending}")
        read = getattr(pandas, f"read_{ending}")(path)[names]
        found = [tuple(None if pandas.isna(value) else value for value in row) for row in read.itertuples(index=False)]
        assert found == wanted
        assert [tuple(row) for row in getattr(polars, f"read_{ending}")(path).select(names).rows()] == wanted
        assert duckdb.execute(f"select {', '.join(names)} from '{path}'").fetchall() == wanted
        assert duckdb.execute(f"select count(*) from '{exported / f'media.{ending}'}'").fetchall() == [(0,)]


def test_the_csv_tells_an_empty_text_from_none(exported: Path) -> None:
    import duckdb

    path = exported / "labels.csv"
    counts = "count(*) filter (environment_caption = ''), count(*) filter (environment_caption is null)"
    found = duckdb.execute(f"select {counts} from read_csv('{path}', allow_quoted_nulls = false)").fetchall()
    assert found == [(2, 2)]


def test_a_part_has_the_media_of_its_datasets_and_splits_and_those_in_none(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus")
    media = [("Alpha", "a", "train"), ("Alpha", "b", "test"), ("Alpha", "c", None), ("Beta", "d", "train")]
    rows = [{"dataset": dataset, "media": name, "split": split} for dataset, name, split in media]
    pq.write_table(pa.Table.from_pylist(rows, media_schema()), folder / "media.parquet")
    about = made.about(folder)
    about["files"]["media.parquet"] = made.listed(folder / "media.parquet")
    made.sign(folder, about)
    export(Corpus(folder), "labels", tmp_path / "all")
    export(Corpus(folder).part("train", "alpha"), "labels", tmp_path / "part")
    assert pq.read_table(tmp_path / "all" / "media.parquet").equals(Corpus(folder).media.replace_schema_metadata())
    assert pq.read_table(tmp_path / "part" / "media.parquet")["media"].to_pylist() == ["a", "c"]
