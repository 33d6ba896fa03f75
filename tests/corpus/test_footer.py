"""A footer that no writer writes ends in an error: pyarrow would end the process (std::terminate) where it is asked."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmidd
from mmidd.corpus.pages import Chunk, pages
from mmidd.errors import CorpusError

from . import made
from .footers import ABOUT, BINARY, COLUMNS, INT, LIST, LONG, SIZES, STRUCT, Struct, about, change, column, group

SHARD = "data/train-beta-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.corpus(tmp_path_factory.mktemp("footer") / "corpus")


@pytest.fixture
def corpus(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "corpus"))


def forge(corpus: Path, edit: Callable[[Struct], object]) -> None:
    """Edit the footer of a shard and sign the corpus anew."""
    change(corpus / SHARD, edit)
    content = made.about(corpus)
    content["files"][SHARD] |= made.listed(corpus / SHARD)
    made.sign(corpus, content)


def a_level_too_few_in_the_histogram(footer: Struct) -> None:
    about(footer, "image.bytes", 1)[SIZES][1][3][1][1].pop()


def bytes_of_what_is_no_text(footer: Struct) -> None:
    about(footer, "label")[SIZES][1][1] = LONG, 5


def the_last_column(footer: Struct) -> None:
    group(footer)[COLUMNS][1][1][-1][ABOUT][1][SIZES][1][1] = LONG, 5


def a_column_of_no_rows(footer: Struct) -> None:
    bytes_of_what_is_no_text(footer)
    rows = group(footer)[3][1]
    group(footer)[3] = LONG, 0
    group(footer, 1)[3] = LONG, rows + group(footer, 1)[3][1]


def an_unknown_codec(footer: Struct) -> None:
    about(footer, "id")[4] = INT, 77


def an_encrypted_column(footer: Struct) -> None:
    column(footer, "image.bytes")[8] = STRUCT, {2: (STRUCT, {1: (LIST, (BINARY, [b"x"]))})}


def a_column_too_few(footer: Struct) -> None:
    group(footer)[COLUMNS][1][1].pop()


def no_columns(footer: Struct) -> None:
    group(footer, 2)[COLUMNS] = LIST, (STRUCT, [])


def a_column_too_many(footer: Struct) -> None:
    group(footer)[COLUMNS][1][1].append(column(footer, "id"))


def a_column_without_metadata(footer: Struct) -> None:
    del column(footer, "sharpness")[ABOUT]


def another_count_of_values(footer: Struct) -> None:
    about(footer, "id")[5] = LONG, 2


FORGERIES = (
    a_level_too_few_in_the_histogram, bytes_of_what_is_no_text, the_last_column, a_column_of_no_rows, an_unknown_codec,
    an_encrypted_column, a_column_too_few, no_columns, a_column_too_many, a_column_without_metadata, another_count_of_values,
)  # fmt: skip
ASK = """
import sys, pyarrow.parquet as pq
for number in range((about := pq.read_metadata(sys.argv[1])).num_row_groups):
    for column in range((group := about.row_group(number)).num_columns): group.column(column)
"""
READ = """
import sys
import mmidd
from mmidd.corpus.cells import Cells
from mmidd.errors import CorpusError

def refused(read):
    try:
        read()
    except CorpusError as error:
        return "cannot be read as a shard of a corpus" in str(error)

def pictures():
    for row in range(len(corpus)):
        cells.read(row)

corpus = mmidd.Corpus(sys.argv[1])
cells = Cells(corpus)
refused(pictures)  # or read, where the fault is in other columns
assert refused(lambda: corpus.rows(corpus.columns)), "rows"
assert refused(lambda: list(corpus.batches(corpus.columns, 2))), "batches"
assert refused(lambda: [cells.table(shard, group, corpus.columns) for shard in range(4) for group in range(3)]), "cells"
assert any(sys.argv[2] in str(finding) for finding in corpus.verify().findings), "verify"
"""


def child(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("forgery", FORGERIES, ids=[forgery.__name__ for forgery in FORGERIES])
def test_every_reader_refuses_it_and_verify_finds_it(forgery: Callable[[Struct], None], corpus: Path) -> None:
    forge(corpus, forgery)
    done = child(READ, corpus, SHARD)
    assert done.returncode == 0, done.stderr[-2000:]


def test_pyarrow_still_ends_the_process_where_it_is_asked_directly(corpus: Path) -> None:
    """Else `mmidd.corpus.footer` has no more reason to be."""
    forge(corpus, a_level_too_few_in_the_histogram)
    assert child(ASK, corpus / SHARD).returncode < 0


def test_a_column_is_bounded_whatever_its_chunk_says_it_is(corpus: Path) -> None:
    """pyarrow reads it by its place, in the type of the schema."""
    name = corpus / SHARD
    table = pq.read_table(name)
    assert table.column_names[0] == "id"
    texts = pa.array(["a" * (300 << 20), *[None] * (table.num_rows - 1)], pa.string())
    pq.write_table(table.set_column(0, table.schema.field(0), texts), name, compression="zstd", use_dictionary=False)

    def hidden(footer: Struct) -> None:
        about(footer, "id")[1] = INT, 1
        about(footer, "id")[3] = LIST, (BINARY, [b"label"])

    forge(corpus, hidden)
    with pytest.raises(CorpusError, match="unpacks to 300 MiB"):
        mmidd.Corpus(corpus).rows(["id"])


def test_a_footer_that_is_only_written_otherwise_is_read(corpus: Path) -> None:
    before = mmidd.Corpus(corpus).rows(["id", "image"])
    forge(corpus, lambda footer: None)
    assert mmidd.Corpus(corpus).rows(["id", "image"]).equals(before)


def test_a_page_whose_kind_is_no_number_is_no_page() -> None:
    header = bytes([0x1C, 0, 0])  # its first field is a struct
    with pytest.raises(ValueError, match="a page has no kind"):
        list(pages(lambda at, count: header[at : at + count], Chunk(0, 3, 1, 0)))
