"""DuckDB reads `hf://` from the Hub on loopback, by huggingface_hub's file system and by its own httpfs if there is one."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .server import Hub
from .test_clients import run
from .tls import proxy

HTTPFS = os.environ.get("MMIDD_DUCKDB")
"""A Python that has duckdb and duckdb-extension-httpfs of one version; for the duckdb pinned here there is none to install:
python -m venv V && V/bin/pip install duckdb==1.5.5 duckdb-extension-httpfs==1.5.5; MMIDD_DUCKDB=V/bin/python."""

QUERY = "SELECT count(*), sum(level), max(octet_length(image.bytes)) FROM 'hf://datasets/lab/x/data/*.parquet'"

BY_FSSPEC = """
import json, sys, duckdb
from huggingface_hub import HfFileSystem
connection = duckdb.connect()
connection.register_filesystem(HfFileSystem())
print(json.dumps(connection.sql(sys.argv[1]).fetchall()[0]))
"""

BY_HTTPFS = """
import glob, json, sys, duckdb, duckdb_extension_httpfs
query, proxy, authority, token = sys.argv[1:]
connection = duckdb.connect()
[extension] = glob.glob(duckdb_extension_httpfs.__path__[0] + "/extensions/*/httpfs.duckdb_extension")
connection.execute(f"LOAD '{extension}'")
connection.execute(f"SET http_proxy = '{proxy}'")
connection.execute(f"SET ca_cert_file = '{authority}'")
connection.execute("SET enable_server_cert_verification = true")
connection.execute(f"CREATE SECRET (TYPE huggingface, TOKEN '{token}')")
print(json.dumps(connection.sql(query).fetchall()[0]))
"""


@pytest.fixture
def filled(hub: Hub) -> Hub:
    """A private, gated repository of two shards."""
    hub.create("lab/x", private=True, gated="manual")
    for number in range(2):
        levels = range(number * 10, number * 10 + 10)
        image = [{"bytes": b"x" * level, "path": None} for level in levels]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        file = io.BytesIO()
        pq.write_table(pa.table({"level": list(levels), "image": pa.array(image, kind)}), file)
        hub.write("lab/x", {f"data/train-{number:05d}-of-00002.parquet": file.getvalue()})
    return hub


def test_by_the_file_system_of_huggingface_hub(filled: Hub, tmp_path: Path) -> None:
    assert run(filled, tmp_path / "home", BY_FSSPEC, QUERY) == [20, 190, 19]


@pytest.mark.skipif(not HTTPFS, reason="MMIDD_DUCKDB names no Python with duckdb-extension-httpfs")
def test_by_its_own_httpfs_that_knows_no_other_hub(filled: Hub, tmp_path: Path) -> None:
    with proxy(filled, tmp_path) as to:
        words = (QUERY, to.address, to.authority, filled.token)
        assert run(filled, tmp_path / "home", BY_HTTPFS, *words, python=HTTPFS) == [20, 190, 19]
    assert {each.user for each in filled.asked("tree", "resolve")} == {"owner"}
