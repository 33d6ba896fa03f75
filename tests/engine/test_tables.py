"""A unit's files: rows and blobs come back as they were put, equal rows give equal bytes, damage is a clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmidd.engine import tables
from mmidd.engine.store import Record, Store
from mmidd.engine.tables import BLOBS, OUTCOMES, ROWS, BlobReader
from mmidd.engine.units import Outcome
from mmidd.errors import WorkError

from .toy import SCHEMA

BLOB_COLUMNS = ("image", "context")
OUTCOME = Outcome(
    "set", "a/ü\n.png", "failed", ("1" * 64, "own"), "no_face", "ToyError", "text", 2, 3, 1, 1, 1,
    ((0, "dropped", "no_face"), (2, "failed", "lost")), "d" * 32, {"frames": [0, 1, 2], "size": None, "r": 0.1},
)  # fmt: skip


def rows(*pairs: tuple[bytes | None, bytes | None], media: str = "a") -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"dataset": "set", "media": media, "frame": number, "face": 0, "text": None, "image": image, "context": context}
            for number, (image, context) in enumerate(pairs)
        ],
        SCHEMA,
    )


def commit(store: Store, table: pa.Table, *outcomes: Outcome, blobs: tuple[str, ...] = BLOB_COLUMNS) -> Record:
    writers = tables.writers(table, outcomes, blobs)
    return store.commit("toy", "a" * 32, "set/0", writers, ingredients={}, counts={})


def inline(store: Store, record: Record) -> pa.Table:
    everything = pa.array([True] * tables.read_rows(store, record).num_rows, pa.bool_())
    return tables.read_inline(store, record, SCHEMA, BLOB_COLUMNS, everything)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(tmp_path_factory.mktemp("tables") / "work")


@given(st.lists(st.tuples(st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=40)), max_size=20))
def test_blobs_come_back_as_they_were_put(store: Store, pairs: list[tuple[bytes | None, bytes | None]]) -> None:
    table = rows(*pairs)
    record = commit(store, table)
    assert inline(store, record) == table
    assert record.files[BLOBS]["bytes"] == sum(len(piece) for pair in pairs for piece in pair if piece is not None)


def test_null_and_empty_blobs_are_told_apart(store: Store) -> None:
    table = rows((b"", None), (None, b""), (b"x", b""))
    record = commit(store, table)
    read, stored = inline(store, record), tables.read_rows(store, record)
    assert stored["image_at"].to_pylist() == [0, None, 0] and stored["image_bytes"].to_pylist() == [0, None, 1]
    assert read["image"].to_pylist() == [b"", None, b"x"] and read["context"].to_pylist() == [None, b"", b""]


def test_only_the_wanted_rows_come_back(store: Store) -> None:
    record = commit(store, rows((b"one", None), (b"two", b"c"), (b"three", None)))
    some = tables.read_inline(store, record, SCHEMA, BLOB_COLUMNS, pa.array([False, True, True]))
    assert some["image"].to_pylist() == [b"two", b"three"] and some["context"].to_pylist() == [b"c", None]


def test_columns_are_read_without_an_image(store: Store) -> None:
    record = commit(store, rows((b"one", None)))
    assert tables.read_rows(store, record).schema.names == [
        "dataset", "media", "frame", "face", "text", "image_at", "image_bytes", "context_at", "context_bytes",
    ]  # fmt: skip
    assert tables.read_rows(store, record, ["frame"]).to_pydict() == {"frame": [0]}
    assert b"one" not in store.path(record, ROWS).read_bytes()


def test_a_stage_without_blobs_has_no_blob_file(store: Store) -> None:
    record = commit(store, rows((b"x", None)), blobs=())
    assert set(record.files) == {ROWS, OUTCOMES}
    assert tables.read_rows(store, record)["image"].to_pylist() == [b"x"]


def test_equal_rows_give_equal_bytes_however_they_were_put_together(store: Store) -> None:
    pairs: list[tuple[bytes, None]] = [(bytes([number]) * 9, None) for number in range(6)]
    whole = rows(*pairs)
    pieces = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 0), whole.slice(1, 4), whole.slice(5)])
    assert commit(store, whole).digest == commit(store, pieces).digest


def test_outcomes_come_back_as_they_were_put(store: Store) -> None:
    plain = Outcome("set", "b", "ok", ())
    assert tables.read_outcomes(store, commit(store, rows(), OUTCOME, plain)) == [OUTCOME, plain]


def test_rows_lie_in_the_order_of_their_media_and_then_of_their_columns() -> None:
    table = pa.concat_tables([rows((b"a0", None), (b"a1", None)), rows((b"b0", None), (b"b1", None), media="b")])
    mixed = table.take(np.array([3, 1, 0, 2]))
    names = [("set", "b"), ("set", "unseen"), ("set", "a")]
    assert tables.in_order(mixed, names, ("frame", "face"))["image"].to_pylist() == [b"b0", b"b1", b"a0", b"a1"]
    assert tables.in_order(mixed, names, ("frame", "face")).schema == SCHEMA
    assert tables.in_order(SCHEMA.empty_table(), names, ("frame",)).num_rows == 0


@pytest.mark.parametrize("name", [ROWS, OUTCOMES])
@pytest.mark.parametrize("how", ["cut", "zeroed", "flipped", "gone", "other"])
def test_a_damaged_table_is_an_error_that_says_the_way_out(store: Store, name: str, how: str) -> None:
    record = commit(store, rows(*[(b"x", None)] * 50), OUTCOME)
    path = store.path(record, name)
    kept = path.read_bytes()
    try:
        _damage(path, how)
        with pytest.raises(WorkError, match=rf"{name} is damaged .* Delete that file and run the same command"):
            _ = tables.read_rows(store, record) if name == ROWS else tables.read_outcomes(store, record)
    finally:
        path.write_bytes(kept)


def _damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "other":
        pq.write_table(pa.table({"x": [1]}), path)
    else:
        flipped = data[:40] + bytes([data[40] ^ 1]) + data[41:]
        path.write_bytes({"cut": data[:-20], "zeroed": bytes(len(data)), "flipped": flipped}[how])


@pytest.mark.parametrize("at, size", [(-1, 2), (0, 5), (4, 1), (2, -1), (10**12, 1)])
def test_a_place_outside_its_file_is_an_error(tmp_path: Path, at: int, size: int) -> None:
    (tmp_path / "blobs").write_bytes(b"four")
    with pytest.raises(WorkError, match="lies outside its file of 4 bytes"):
        BlobReader(tmp_path / "blobs").read(at, size)


@pytest.mark.parametrize("data", [None, b"y", b""])
def test_blobs_that_are_not_what_was_committed_are_an_error(store: Store, data: bytes | None) -> None:
    record = commit(store, rows((b"x", None)))
    path = store.path(record, BLOBS)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(WorkError, match=r"blobs\.bin is damaged"):
        inline(store, record)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "ü", None]), st.booleans(), st.integers(0, 9)), max_size=30))
def test_light_rows_are_the_rows_and_share_equal_texts(values: list[tuple[str | None, bool, int]]) -> None:
    schema = pa.schema([("text", pa.string()), ("flag", pa.bool_()), ("number", pa.int64())])
    whole = pa.Table.from_pylist([dict(zip(schema.names, each, strict=True)) for each in values], schema)
    table = pa.concat_tables([whole.slice(0, 7), whole.slice(7)])
    found = tables.light_rows(table, ["flag", "text"])
    assert found == [{"flag": row["flag"], "text": row["text"]} for row in whole.to_pylist()]
    assert len({id(row["text"]) for row in tables.light_rows(whole, ["text"])}) <= 4


_SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("list", pa.list_(pa.string())),
        ("box", pa.list_(pa.float32(), 2)),
        ("n", pa.int32()),
        ("f", pa.bool_()),
    ]
)
_values = st.lists(
    st.tuples(
        st.none() | st.text(st.sampled_from("ab\0ü"), max_size=3),
        st.none() | st.lists(st.none() | st.sampled_from(["", "a", "b"]), max_size=3),
        st.none() | st.tuples(*[st.floats(0, 4, width=32)] * 2),
        st.none() | st.integers(0, 3),
        st.none() | st.booleans(),
    ),
    max_size=8,
)


def _table(values: list[tuple[object, ...]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(_SCHEMA.names, row, strict=True)) for row in values], _SCHEMA)


@given(_values, _values, st.integers(0, 8))
def test_a_digest_names_the_values_of_a_table_and_not_how_they_lie(
    values: list[tuple[object, ...]], others: list[tuple[object, ...]], cut: int
) -> None:
    table = _table(values)
    moved = _table([*others, *values, *others]).slice(len(others), len(values))
    pieces = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    taken = _table(values[::-1]).take(pa.array(range(len(values))[::-1], pa.int64()))
    assert {tables.content_digest(each) for each in (moved, pieces, taken)} == {tables.content_digest(table)}
    assert (tables.content_digest(_table(others)) == tables.content_digest(table)) == (_table(others).equals(table))


def test_a_digest_tells_texts_that_end_elsewhere_and_nothing_from_null() -> None:
    kinds = [["ab", "c"], ["a", "bc"], ["abc", ""], ["abc", None], ["", "abc"], [None, "abc"], ["abc"]]
    assert len({tables.content_digest(pa.table({"t": pa.array(kind, pa.string())})) for kind in kinds}) == len(kinds)
    lists = [[["a"], ["b"]], [["a", "b"], []], [["a", "b"], None], [[], ["a", "b"]], [["a", "b"]]]
    typed = pa.list_(pa.string())
    assert len({tables.content_digest(pa.table({"t": pa.array(each, typed)})) for each in lists}) == len(lists)
    assert tables.content_digest(pa.table({"a": [1]})) != tables.content_digest(pa.table({"b": [1]}))


_names = st.lists(st.tuples(st.sampled_from(["a", "a\0", "ä", ""]), st.integers(0, 3) | st.none()), max_size=12)


@given(_names, _names.map(lambda names: list(dict.fromkeys(names))))
def test_rows_are_looked_up_by_all_columns_and_a_null_is_found_nowhere(
    wanted: list[tuple[str, int | None]], there: list[tuple[str, int | None]]
) -> None:
    schema = pa.schema([("name", pa.string()), ("number", pa.int32())])
    rows, table = (
        pa.Table.from_pylist([dict(zip(schema.names, n, strict=True)) for n in names], schema) for names in (wanted, there)
    )
    found = tables.lookup(rows, table.append_column("at", pa.array(range(len(there)), pa.int64())), ["name", "number"])
    assert found["at"].to_pylist() == [
        there.index(name) if name in there and name[1] is not None else None for name in wanted
    ]
