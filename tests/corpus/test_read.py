"""`Corpus` reads what was written, only that, in bounded memory; and whatever is not as listed is an error of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmidd
from corpus import made
from corpus.served import SHA, serve
from mmidd.corpus.about import MANIFEST
from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError
from mmidd.schema import COLUMNS, arrow_schema, media_schema

WRITTEN = [made.row(shard, number) for shard in sorted(made.SHARDS) for number in range(made.ROWS)]
IDS = [row["id"] for row in WRITTEN]
FIRST = "data/test-gamma-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that tests only read."""
    return made.corpus(tmp_path_factory.mktemp("made") / "corpus")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A corpus to damage."""
    return made.corpus(tmp_path / "corpus")


@pytest.fixture(params=["folder", "hub"])
def corpus(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Corpus]:
    """The corpus, in a folder and in a repository of the Hub."""
    if request.param == "folder":
        yield Corpus(folder)
        return
    with serve(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield Corpus(f"hf://datasets/{hub.repo}")


def test_columns_come_in_the_order_of_files_and_in_the_schemas_types(corpus: Corpus) -> None:
    table = corpus.rows(["label", "id", "box", "face_caption"])
    assert table.schema.equals(pa.schema([arrow_schema().field(name) for name in table.column_names]))
    assert table.to_pylist() == [{name: row[name] for name in table.column_names} for row in WRITTEN]
    assert len(corpus) == table.num_rows == len(WRITTEN) and corpus.rows([]).num_columns == 0
    assert corpus.columns == tuple(column.name for column in COLUMNS)


WHERE: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
    ({"label": "fake"}, lambda row: row["label"] == 1),
    ({"label": 1, "dataset": ["Beta", "Gamma"]}, lambda row: row["label"] == 1 and row["dataset"] != "Alpha"),
    ({"forgery_type": [None, "FS"]}, lambda row: row["forgery_type"] in (None, 1)),
    ({"method": None}, lambda row: row["method"] is None),
    ({"frame": range(2, 4)}, lambda row: row["frame"] in (2, 3)),
    ({"dataset": []}, lambda row: False),
]


@pytest.mark.parametrize(("where", "kept"), WHERE, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_rows_are_chosen_by_values(folder: Path, where: dict[str, Any], kept: Callable[[dict[str, Any]], bool]) -> None:
    assert Corpus(folder).rows(["id"], where)["id"].to_pylist() == [row["id"] for row in WRITTEN if kept(row)]


def test_batches_are_numbered_and_together_all_rows(corpus: Corpus) -> None:
    for rows in (1, 2, 8192):
        found = list(corpus.batches(["id", "frame"], rows))
        assert [start for start, _ in found] == [sum(len(b) for _, b in found[:n]) for n in range(len(found))]
        assert [name for _, batch in found for name in batch["id"].to_pylist()] == IDS
        assert max(len(batch) for _, batch in found) == min(rows, 3)


def test_batches_may_begin_at_any_row(corpus: Corpus) -> None:
    for since in (0, 1, 2, 3, 6, 7, 20, 27, 28):
        found = list(corpus.batches(["id"], 2, since))
        assert [name for _, batch in found for name in batch["id"].to_pylist()] == IDS[since:]
        assert [start for start, _ in found] == [since + sum(len(b) for _, b in found[:n]) for n in range(len(found))]


def test_rows_are_taken_in_the_order_that_was_asked_for(corpus: Corpus) -> None:
    for numbers in ([], [0], [27, 3, 3, 14, 0], np.array([5, 6, 7]), range(28)):
        table = corpus.take(numbers, ["media", "id"])
        assert table.to_pylist() == [{name: WRITTEN[n][name] for name in ("media", "id")} for n in numbers]
    row = corpus.row(9)
    assert row["image"]["bytes"] == WRITTEN[9]["image"] and row["landmarks"] == WRITTEN[9]["landmarks"]
    assert list(row) == list(corpus.columns)


def test_images_come_by_id_by_number_or_all_of_them_each_once(corpus: Corpus) -> None:
    assert list(corpus.images()) == [(row["id"], row["image"]) for row in WRITTEN]
    assert [name for name, _ in corpus.images([IDS[20], IDS[4], IDS[20]])] == [IDS[4], IDS[20]]
    assert [name for name, _ in corpus.images(rows=[20, 4])] == [IDS[4], IDS[20]]
    assert list(corpus.images([])) == list(corpus.images(rows=[])) == []
    (name, pixels), *_ = corpus.images(rows=[1], decode=True)
    assert name == IDS[1] and pixels.shape == (8, 10, 3) and pixels.dtype == np.uint8
    assert (pixels == np.random.default_rng(1).integers(0, 256, (8, 10, 3), dtype=np.uint8)).all()


def test_a_part_is_the_rows_of_a_split_or_a_dataset(corpus: Corpus) -> None:
    for split, dataset, shards in (
        ("train", None, made.SHARDS[:2]), (None, "beta", made.SHARDS[1:3]), ("train", "Beta", ("train-beta",)),
        ("test", "alpha", ()),
    ):  # fmt: skip
        part = corpus.part(split, dataset)
        ids = [row["id"] for row in WRITTEN if row["media"].split("/")[0] in shards]
        assert part.rows(["id"])["id"].to_pylist() == ids and len(part) == len(ids)
        assert [name for name, _ in part.images()] == ids
    assert corpus.splits == {"train": 14, "validation": 7, "test": 7} and corpus.part("train").splits == {"train": 14}
    assert len(corpus) == 28


def test_a_corpus_from_before_a_column_was_added_reads_it_as_null(tmp_path: Path) -> None:
    corpus = Corpus(made.older(tmp_path / "older"))
    assert corpus.rows(["padding"])["padding"].to_pylist() == [None] * len(WRITTEN)
    rows = corpus.rows(["id", "padding", "frame"])
    assert rows["id"].to_pylist() == IDS and rows["padding"].null_count == len(IDS)
    assert [len(batch) for _, batch in corpus.batches(["padding"], 2)][:4] == [2, 1, 2, 1]
    assert corpus.rows(["id"], {"padding": None}).num_rows == len(IDS)
    assert corpus.media.schema.equals(media_schema())
    columns = [each.what for each in corpus.verify().findings if "schema" in each.what]
    assert columns == []


def test_what_it_is_can_be_asked_and_seen(corpus: Corpus) -> None:
    assert corpus.about.schema_version == 1 and corpus.about.recipe["name"] == "made"
    assert [(s.split, s.dataset, s.rows) for s in corpus.shards][:2] == [("test", "gamma", 7), ("train", "alpha", 7)]
    assert corpus.files[FIRST].rows == 7 and corpus.media.num_rows == 0
    assert repr(corpus).endswith("28 rows of 3 datasets; train 14, validation 7, test 7>")


def test_a_notebook_shows_no_markup_of_the_corpus(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "<script>x")
    about = made.about(folder)
    about["index"]["<img src=x>"] = about["index"].pop("Alpha")
    made.sign(folder, about)
    html = Corpus(folder)._repr_html_()
    assert "<script>" not in html and "<img" not in html and "&lt;img src=x&gt;" in html and "28 rows" in html


def test_verify_and_audit_are_calls_with_documents_and_need_no_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert {finding["problem"] for finding in Corpus(folder).verify().document()["findings"]} == {
        f"{row['dataset']}/{row['media']} has rows and is not in media.parquet" for row in WRITTEN
    }
    assert set(Corpus(folder).audit().document()) == {"captions"}
    assert mmidd.Corpus is Corpus


def test_only_the_columns_that_are_asked_for_are_read(folder: Path, tmp_path: Path) -> None:
    def blow(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["image"] = os.urandom(400_000)

    made.corpus(tmp_path / "large", blow)
    with serve(tmp_path / "large") as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.endpoint)
        corpus = Corpus(f"hf://datasets/{hub.repo}@v1")
        assert corpus.rows(["id", "label"])["id"].to_pylist() == IDS and len(list(corpus.batches(["frame"]))) == 12
        size = sum(shard.bytes for shard in corpus.shards)
        assert size > 11_000_000 and sum(hub.served.values()) < size / 8
        hub.served.clear()
        assert len(list(corpus.images(rows=[0]))) == 1
        assert list(hub.served) == [FIRST] and hub.served[FIRST] < 3 * 400_000 + 200_000
        assert all(f"/{SHA}" in path or not path.startswith("/datasets/") for path in hub.asked)


def _link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def _move(path: Path, target: Path) -> None:
    path.rename(target)
    path.symlink_to(target)


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _says(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: made.sign(folder, made.about(folder) | changes)


def _lists(name: str, **entry: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        about = made.about(folder)
        about["files"][name] = {"bytes": 1, "sha256": "0" * 64, "rows": 1} | about["files"].get(name, {}) | entry
        made.sign(folder, about)

    return change


def _wrote(data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / MANIFEST).write_bytes(data)  # type: ignore[return-value]


DAMAGE: list[tuple[str, Callable[[Path], None], str]] = [
    ("no manifest", _without(MANIFEST), r"has no readable mmidd\.json: it is no corpus"),
    ("torn manifest", _wrote(b'{"schema_version": 1, "fi'), "has no readable mmidd.json: it is damaged"),
    ("deep manifest", _wrote(b"[" * 100_000), "it is damaged"),
    ("newer", _says(schema_version=2), "has schema version 2, this mmidd knows 1; install a newer mmidd"),
    ("other version", _says(schema_version="x"), "has schema version 'x'.*build the corpus again"),
    ("way out", _lists("../x.parquet"), "lists files that no build lists"),
    ("absolute", _lists("/etc/passwd"), "lists files that no build lists"),
    ("drive", _lists("C:/x"), "lists files that no build lists"),
    ("backslash", _lists("data\\..\\x"), "lists files that no build lists"),
    ("no split", _lists("data/dev-x-0.parquet"), "lists 'data/dev-x-0.parquet', which names no split"),
    ("no count", _lists(FIRST, rows=None), "has no count"),
    ("negative", _lists(FIRST, rows=-1), "has no count"),
    ("fewer rows", _lists(FIRST, rows=6), r"gamma.*cannot be read as a shard.*it has 7 rows, mmidd\.json lists 6"),
    ("size", _lists(FIRST, bytes=5), r"gamma.*it has \d+ bytes, not the 5 that are listed.*mmidd verify"),
    ("gone", _without(FIRST), r"gamma.*cannot be read as a shard of a corpus \(FileNotFoundError\): `mmidd verify`"),
    ("link out", lambda f: _link(f / FIRST, f.parent / "x.parquet"), "is a link out of the corpus's folder"),
    ("folder linked out", lambda f: _move(f / "data", f.parent / "d"),
     "is a link out of the corpus's folder"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), [each[1:] for each in DAMAGE], ids=[each[0] for each in DAMAGE])
def test_what_is_not_as_listed_is_an_error_that_names_it(mine: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(mine)
    for read in (
        lambda c: c.rows(["id"]),
        lambda c: list(c.images()),
        lambda c: c.take([0], ["id"]),
        lambda c: list(c.batches(["id"])),
    ):
        with pytest.raises(CorpusError, match=message):
            read(Corpus(mine))


def test_links_inside_and_those_of_a_snapshot_of_the_hub_are_followed(mine: Path, tmp_path: Path) -> None:
    (mine / FIRST).rename(mine / "first")
    (mine / FIRST).symlink_to("../first")
    assert Corpus(mine).rows(["id"]).num_rows == 28
    snapshot = tmp_path / "datasets--a--b" / "snapshots" / SHA
    (snapshot.parents[1] / "blobs").mkdir(parents=True)
    snapshot.parent.mkdir()
    mine.rename(snapshot)
    (snapshot / FIRST).unlink()
    (snapshot / "first").rename(snapshot.parents[1] / "blobs" / "0a")
    (snapshot / FIRST).symlink_to("../../../blobs/0a")
    assert Corpus(snapshot).rows(["id"]).num_rows == 28


def _rewritten(folder: Path, change: Callable[[pa.Table], pa.Table], **options: Any) -> None:
    pq.write_table(change(pq.read_table(folder / FIRST)), folder / FIRST, **options)
    _lists(FIRST, **made.listed(folder / FIRST))(folder)


def test_a_shard_of_other_columns_or_too_large_a_row_group_is_refused(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _rewritten(mine, lambda table: table.drop_columns(["frame"]))
    assert Corpus(mine).rows(["id"]).num_rows == 28
    with pytest.raises(CorpusError, match=r"gamma.*cannot be read as a shard of a corpus \(KeyError\)"):
        Corpus(mine).rows(["frame"])
    monkeypatch.setattr("mmidd.corpus.parquet.MOST_GROUP_BYTES", 2 << 20)
    text = pa.array(["x" * (1 << 19)] * 5 + [None] * 2, pa.string())
    _rewritten(mine, lambda table: table.set_column(0, "id", text), compression="zstd", use_dictionary=False)
    assert (mine / FIRST).stat().st_size < 100_000
    with pytest.raises(CorpusError, match="row group of more than 2 MiB"):
        Corpus(mine).rows(["label"])


@pytest.mark.parametrize("data", [None, b"", b"no picture", made.picture(0, "PNG")[:60], made.picture(0, "BMP")])
def test_an_image_that_is_none_is_named(tmp_path: Path, data: bytes | None) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        if shard == "test-gamma":
            rows[4]["image"] = data or b""

    corpus = Corpus(made.corpus(tmp_path / "corpus", change))
    with pytest.raises(CorpusError, match=f"row 4 has no image|image of sample {IDS[4]} cannot be decoded"):
        list(corpus.images(decode=True))
    assert len(list(corpus.images(rows=range(4), decode=True))) == 4


WRONG: list[tuple[Callable[[Corpus], Any], str]] = [
    (lambda c: c.rows(["lable"]), "column 'lable': unknown; did you mean 'label'?"),
    (lambda c: c.rows("label"), r"as a list of names: \['label'\]"),
    (lambda c: c.rows(["id", "id"]), "asked for twice"),
    (lambda c: c.rows(["id"], {"metod": "x"}), "column 'metod': unknown; did you mean 'method'?"),
    (lambda c: c.rows(["id"], {"label": "faek"}), "where: label 'faek': unknown; did you mean 'fake'?"),
    (lambda c: c.rows(["id"], {"frame": "one"}), "where: column 'frame' holds int32, not such as 'one'"),
    (lambda c: c.rows(["id"], {"box": [[1.0, 2.0, 3.0, 4.0]]}), "where: rows cannot be chosen by column 'box'"),
    (lambda c: c.part("dev"), "split 'dev': unknown; known: train, validation, test"),
    (lambda c: c.part(dataset="gama"), "dataset 'gama': unknown; did you mean 'gamma'?"),
    (lambda c: c.take([28], ["id"]), "has no row 28: it has 28, numbered from 0"),
    (lambda c: c.row(-1), "has no row -1"),
    (lambda c: c.take([0.5], ["id"]), "row numbers are whole numbers"),  # type: ignore[list-item]
    (lambda c: c.images(["0" * 24, "x", IDS[0]]), r"has no sample '0{24}' \(nor 1 more of the 3 asked for\)"),
    (lambda c: c.images(["x"], rows=[1]), "by ids or by rows, not by both"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_question_says_what_is_wrong(folder: Path, call: Callable[[Corpus], Any], message: str) -> None:
    with pytest.raises(CorpusError, match=message.replace("?", r"\?")):
        call(Corpus(folder))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://datasets/org/none", "the Hub has no dataset at hf://datasets/org/none"),
        ("hf://datasets/org/name@v9", "the Hub has no revision at"),
        ("hf://models/org/name", "is no address of a dataset; write hf://datasets/ORG/NAME"),
        ("hf://datasets/org", "is no address of a dataset"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(folder: Path, address: str, message: str, monkeypatch: Any) -> None:
    with serve(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with pytest.raises(CorpusError, match=message):
            Corpus(address)


def test_a_repository_that_is_no_corpus_and_a_hub_that_is_away_are_told(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "README.md").write_text("# something else")
    with serve(tmp_path) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with pytest.raises(CorpusError, match=r"hf://datasets/org/name has no readable mmidd\.json"):
            Corpus("hf://datasets/org/name")
    code = "from mmidd.corpus.read import Corpus; Corpus('hf://datasets/org/name')"
    for change, message in (({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"), ({}, "cannot be reached (ConnectError)")):
        environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", **change}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
        assert message in done.stderr.splitlines()[-1]


def test_reading_needs_nothing_heavy_and_no_network() -> None:
    code = (
        "import sys, mmidd.corpus.verify, mmidd.audit.run, mmidd.corpus.read\n"
        "print(*({'torch', 'datasets', 'pandas', 'fsspec', 'huggingface_hub', 'httpx2', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_document_of_verify_is_what_json_prints(mine: Path, mmidd: Any) -> None:
    (mine / FIRST).unlink()
    said = mmidd("verify", str(mine), "--json")
    assert said.code == 4 and said.document == json.loads(json.dumps(Corpus(mine).verify().document()))
    assert set(said.document) == {"files", "rows", "media", "findings"}
    assert {"file": FIRST, "problem": "is missing"} in said.document["findings"]
