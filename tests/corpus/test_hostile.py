"""A corpus of a stranger who means harm: `verify` and every reader end with words, in bounded memory."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Build

import mmidd
from mmidd.corpus.about import MANIFEST, SEAL
from mmidd.corpus.pages import unpacked
from mmidd.corpus.target import manifest_bytes
from mmidd.corpus.verify import verify
from mmidd.engine.files import sha256_file
from mmidd.errors import CorpusError
from mmidd.schema import arrow_schema, media_schema

SHARD, MEDIA = "data/train-celeba-00000-of-00001.parquet", "media.parquet"
MOST_MB = 900


@pytest.fixture
def corpus(built: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.out, tmp_path / "corpus"))


def seal(corpus: Path, change: Callable[[dict[str, Any]], object] = lambda about: None) -> None:
    """Write sizes, checksums, counts and seal as they are now, with a change, as a forger would."""
    about = json.loads((corpus / MANIFEST).read_text())
    for name, entry in about["files"].items():
        entry |= {"bytes": (corpus / name).stat().st_size, "sha256": sha256_file(corpus / name)}
    change(about)
    (corpus / MANIFEST).write_bytes(manifest_bytes({key: value for key, value in about.items() if key != SEAL}))


def count(rows: int) -> Callable[[dict[str, Any]], object]:
    return lambda about: about["files"][SHARD].update(rows=rows)


def column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def repeated(table: pa.Table, rows: int) -> pa.Table:
    return table.take(pa.array([0] * rows))


def one_huge_text(corpus: Path) -> None:
    table = pq.read_table(corpus / SHARD)
    texts = pa.array(["a" * (300 << 20), *[None] * (table.num_rows - 1)], pa.string())
    pq.write_table(column(table, "id", texts), corpus / SHARD, compression="zstd", use_dictionary=False)
    seal(corpus)


def a_dictionary_that_every_row_names(corpus: Path) -> None:
    table = repeated(pq.read_table(corpus / SHARD), 2000)
    for name in ("image", "mask"):
        table = column(table, name, pa.nulls(2000, table.schema.field(name).type))
    table = column(table, "id", pa.array(["a" * (200 << 10)] * 2000))
    pq.write_table(table, corpus / SHARD, compression="none", dictionary_pagesize_limit=1 << 30)
    seal(corpus, count(2000))


def millions_of_rows_without_anything(corpus: Path) -> None:
    empty = pa.table([pa.nulls(1_500_000, field.type) for field in media_schema()], media_schema())
    pq.write_table(empty, corpus / MEDIA, compression="zstd")
    seal(corpus)


def as_many_as_were_indexed(corpus: Path) -> None:
    millions_of_rows_without_anything(corpus)
    seal(corpus, lambda about: about["index"]["CelebA"].update(media=1 << 40))


def rows_of_nulls(corpus: Path) -> None:
    empty = pa.table([pa.nulls(1_000_000, field.type) for field in arrow_schema()], arrow_schema())
    pq.write_table(empty, corpus / SHARD, compression="zstd")
    seal(corpus, count(1_000_000))


def long_lists_of_reasons(corpus: Path) -> None:
    table = pq.read_table(corpus / MEDIA)
    reasons = pa.array(
        [[{"reason": "x", "count": 1}] * 3_000_000, *[[]] * (table.num_rows - 1)], table["frame_reasons"].type
    )
    pq.write_table(column(table, "frame_reasons", reasons), corpus / MEDIA, compression="zstd")
    seal(corpus)


def a_name_twice(corpus: Path) -> None:
    table = pq.read_table(corpus / SHARD)
    pq.write_table(table.append_column("id", table["id"]), corpus / SHARD)
    seal(corpus)


def many_row_groups(corpus: Path) -> None:
    table = pq.read_table(corpus / SHARD)
    pq.write_table(repeated(table, 1500), corpus / SHARD, row_group_size=1)
    seal(corpus, count(1500))


def a_footer_that_is_longer_than_its_file(corpus: Path) -> None:
    data = (corpus / SHARD).read_bytes()
    (corpus / SHARD).write_bytes(data[:-8] + (0x7FFFFFFF).to_bytes(4, "little") + b"PAR1")
    seal(corpus)


def texts_that_are_none(corpus: Path) -> None:
    table = pq.read_table(corpus / SHARD)
    broken = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary()).view(pa.string())
    pq.write_table(column(table, "media", broken), corpus / SHARD)
    seal(corpus)


def null_names(corpus: Path) -> None:
    table = pq.read_table(corpus / SHARD)
    for name in ("id", "dataset", "media", "frame"):
        table = column(table, name, pa.nulls(table.num_rows, table.schema.field(name).type))
    pq.write_table(table, corpus / SHARD)
    seal(corpus)


def null_media(corpus: Path) -> None:
    table = pq.read_table(corpus / MEDIA)
    for name in ("dataset", "split", "samples", "frame_reasons"):
        table = column(table, name, pa.nulls(table.num_rows, table.schema.field(name).type))
    pq.write_table(table, corpus / MEDIA)
    seal(corpus)


def other_labels(corpus: Path) -> None:
    table = pq.read_table(corpus / SHARD)
    pq.write_table(column(table, "label", pa.array([1] * table.num_rows, pa.int64())), corpus / SHARD)
    seal(corpus)


def another_group(corpus: Path) -> None:
    table = pq.read_table(corpus / MEDIA)
    pq.write_table(column(table, "group", pa.array(["x"] * table.num_rows)), corpus / MEDIA)
    seal(corpus)


def another_file(corpus: Path) -> None:
    table = pq.read_table(corpus / MEDIA)
    pq.write_table(column(table, "media_sha256", pa.array(["0" * 64] * table.num_rows)), corpus / MEDIA)
    seal(corpus)


def half_a_surrogate_pair(corpus: Path) -> None:
    text = (corpus / MANIFEST).read_text()
    (corpus / MANIFEST).write_text(text.replace('"index"', '"\\ud800": 1, "index"', 1))


def deep_and_wide(corpus: Path) -> None:
    about = json.loads((corpus / MANIFEST).read_text())
    text = json.dumps(about)[:-1] + ', "more": ' + "[" * 800 + "0," * (4 << 20) + "0" + "]" * 800 + "}"
    (corpus / MANIFEST).write_text(text)


def counts_beyond_all_numbers(corpus: Path) -> None:
    seal(corpus, count(10**30))


def a_count_of_sixty_bits(corpus: Path) -> None:
    seal(corpus, count(1 << 60))


def a_linked_folder(corpus: Path) -> None:
    (corpus / "data").rename(corpus.parent / "elsewhere")
    (corpus / "data").symlink_to(corpus.parent / "elsewhere")


ATTACKS: list[tuple[Callable[[Path], None], str]] = [
    (one_huge_text, "unpacks to 300 MiB"),
    (a_dictionary_that_every_row_names, "unpack to more than"),
    (millions_of_rows_without_anything, "rows, in "),
    (as_many_as_were_indexed, "rows, in "),
    (rows_of_nulls, "rows, in "),
    (long_lists_of_reasons, "other values than rows"),
    (a_name_twice, "other columns"),
    (many_row_groups, "occurs 1500 times"),
    (a_footer_that_is_longer_than_its_file, "footer"),
    (texts_that_are_none, "cannot be read as Parquet"),
    (null_names, "has rows without id and without dataset"),
    (null_media, "media without a dataset or a name"),
    (other_labels, "has another label than its rows say"),
    (another_group, "has another group than its rows say"),
    (another_file, "has another media_sha256 than its rows say"),
    (half_a_surrogate_pair, "damaged or edited"),
    (deep_and_wide, "its seal does not fit"),
    (counts_beyond_all_numbers, "should have None"),
    (a_count_of_sixty_bits, f"should have {1 << 60}"),
    (a_linked_folder, "is missing"),
]
CODE = """
import sys
from mmidd.__main__ import main
try:
    main()
finally:
    print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024, file=sys.stderr)
"""


@pytest.mark.parametrize(("attack", "told"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_verify_ends_with_findings_in_little_memory(attack: Callable[[Path], None], told: str, corpus: Path) -> None:
    attack(corpus)
    command = [sys.executable, "-c", CODE, "verify", str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=corpus.parent)
    assert done.returncode == 4, done.stderr[-2000:]
    assert told in " ".join((done.stdout + done.stderr).split()), done.stdout
    assert int(done.stderr.splitlines()[-1]) < MOST_MB


READERS = (
    one_huge_text, a_dictionary_that_every_row_names, rows_of_nulls, a_footer_that_is_longer_than_its_file,
    texts_that_are_none, counts_beyond_all_numbers, a_count_of_sixty_bits, half_a_surrogate_pair,
)  # fmt: skip


@pytest.mark.parametrize("attack", READERS, ids=[attack.__name__ for attack in READERS])
def test_a_reader_of_rows_refuses_it(attack: Callable[[Path], None], corpus: Path) -> None:
    attack(corpus)
    with pytest.raises(CorpusError):
        mmidd.Corpus(corpus).rows(["id", "dataset", "media"])


def test_what_pages_say_counts_and_not_what_the_footer_says(corpus: Path) -> None:
    chunk = pq.read_metadata(corpus / SHARD).row_group(0).column(0)
    data = (corpus / SHARD).read_bytes()
    told = {name: getattr(chunk, name) for name in (
        "data_page_offset", "dictionary_page_offset", "has_dictionary_page", "total_compressed_size", "num_values",
    )}  # fmt: skip
    found = unpacked(io.BytesIO(data), len(data), SimpleNamespace(**told))
    assert found.bytes >= found.page >= found.dictionary > 0
    for lie in (
        {"num_values": told["num_values"] + 1}, {"num_values": told["num_values"] - 1}, {"total_compressed_size": 10},
        {"total_compressed_size": len(data)}, {"data_page_offset": -1}, {"dictionary_page_offset": 0},
        {"data_page_offset": 4 + chunk.data_page_offset, "has_dictionary_page": False},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            unpacked(io.BytesIO(data), len(data), SimpleNamespace(**{**told, **lie}))


def test_too_little_memory_is_no_damage(corpus: Path) -> None:
    """pyarrow says `malloc of size ... failed`, which is an ArrowException as well."""
    code = (
        "import sys; from mmidd.cli import run; import pyarrow.parquet as pq\n"
        "def read(*args, **more): raise __import__('pyarrow').ArrowMemoryError('malloc of size 4096 failed')\n"
        "pq.ParquetFile.iter_batches = read; sys.exit(run(['verify', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(corpus)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and "there was not enough memory" in done.stderr and "damaged" not in done.stderr


def test_a_sound_corpus_stays_sound(corpus: Path) -> None:
    seal(corpus)
    assert verify(corpus).findings == ()
