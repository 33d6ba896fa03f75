"""What a process of ours does first."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
from mmidd.engine.start import without_pandas
without_pandas()
import pyarrow as pa
table = pa.Table.from_pylist([{"a": 1}])
assert table.to_pylist() == [{"a": 1}]
assert "pandas" not in sys.modules
import pandas
assert pandas.DataFrame({"a": [1]}).shape == (1, 1)
"""


def test_pyarrow_leaves_pandas_alone_and_others_may_still_import_it() -> None:
    pytest.importorskip("pandas")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
