"""Any row's image or mask by itself is what reading the whole corpus gives, however its shards were written."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import made
from corpus.served import serve
from mmidd.corpus import cells, plain
from mmidd.corpus.cells import Cells
from mmidd.corpus.pages import present
from mmidd.corpus.read import Corpus
from mmidd.corpus.shards import ShardLimits, write_shard
from mmidd.errors import CorpusError
from mmidd.schema import IMAGE, arrow_schema

FIRST = "data/test-gamma-00000-of-00001.parquet"


def _noise(size: int) -> Callable[[str, list[dict[str, Any]]], None]:
    """Pictures of these many bytes, which are none but need only be found."""

    def change(_: str, rows: list[dict[str, Any]]) -> None:
        for number, row in enumerate(rows):
            row["image"] = b"\xff\xd8" + np.random.default_rng(number).bytes(size + number)
            row["mask"] = None if number % 3 else b"\x89PNG" + bytes(number)

    return change


def _rewritten(**how: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        about = made.about(folder)
        for name in about["files"]:
            if name.startswith("data/"):
                pq.write_table(pq.read_table(folder / name), folder / name, **how)
                about["files"][name] |= made.listed(folder / name)
        made.sign(folder, about)

    return write


def _pictures(corpus: Corpus, column: str) -> list[bytes | None]:
    return [each and each["bytes"] for each in corpus.rows([column])[column].to_pylist()]


def _open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _check(folder: Path | str, *, plain: bool | None = None) -> None:
    corpus = Corpus(folder)
    found = Cells(corpus)
    order = np.random.default_rng(0).permutation(len(corpus)).tolist() * 2
    for column in cells._COLUMNS:
        want = _pictures(corpus, column)
        assert [found.read(row, column) for row in order] == [want[row] for row in order]
    assert [found.read(row) for row in range(len(corpus))] == [data for _, data in corpus.images()]
    if plain is not None:
        held = [each for layout in found._layouts.values() for each in layout.values["image"]]
        assert {each is not None and each.plain for each in held} == {plain}


@pytest.mark.parametrize("size", (None, 1, 300_000, 3 << 20), ids=("pictures", "tiny", "pages of one", "larger than a page"))
def test_every_row_is_read_as_it_was_written(size: int | None, tmp_path: Path) -> None:
    _check(made.corpus(tmp_path / "corpus", _noise(size) if size else None), plain=True)


@pytest.mark.parametrize(
    ("how", "is_plain"),
    [
        ({"compression": "zstd", "use_dictionary": False}, False),
        ({"compression": "none", "use_dictionary": True}, False),
        ({"compression": "none", "use_dictionary": False, "data_page_version": "2.0"}, False),
        ({"compression": "none", "use_dictionary": False, "row_group_size": 2, "write_statistics": False}, True),
        ({"compression": "none", "use_dictionary": False, "data_page_size": 1, "write_batch_size": 1}, True),
    ],
    ids=("compressed", "dictionary", "page version 2", "other groups", "a page a row"),
)
def test_what_another_tool_wrote_again_is_read_too(how: dict[str, Any], is_plain: bool, tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus")
    _rewritten(**how)(folder)
    _check(folder, plain=is_plain)


def test_a_page_that_is_not_read_at_once_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_SMALL", 40)
    _check(made.corpus(tmp_path / "corpus"), plain=True)


def test_on_the_hub_row_groups_are_read_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made.corpus(tmp_path / "corpus")
    with serve(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        _check(f"hf://datasets/{hub.repo}")
        again = pickle.loads(pickle.dumps(Corpus(f"hf://datasets/{hub.repo}")))  # noqa: S301
        found = Cells(again, cache_bytes=1)
        assert [found.read(row) for row in (0, 1, 27, 0)] == [
            _pictures(Corpus(folder), "image")[row] for row in (0, 1, 27, 0)
        ]
        assert len(found._pictures._found) == 1


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.none() | st.binary(max_size=40)), min_size=1, max_size=60),
    st.integers(1, 25),
)
def test_any_pictures_in_any_row_groups_are_found(
    tmp_path_factory: pytest.TempPathFactory, pictures: list[tuple[bytes, bytes | None]], rows: int
) -> None:
    folder = made.corpus(tmp_path_factory.mktemp("any") / "corpus")
    about = made.about(folder)
    schema = pa.schema([field for field in arrow_schema() if field.type != IMAGE])
    columns = pa.Table.from_pylist([{"id": f"{number:024d}"} for number in range(len(pictures))], schema)
    write_shard(folder / FIRST, columns, iter(pictures), ShardLimits(1 << 30, rows, 1 << 30))
    about["files"][FIRST] = made.listed(folder / FIRST) | {"rows": len(pictures)}
    made.sign(folder, about)
    found = Cells(Corpus(folder))
    assert [(found.read(row), found.read(row, "mask")) for row in range(len(pictures))] == pictures


@pytest.mark.parametrize("levels", (1, 2, 3))
def test_levels_are_read_as_runs_of_both_kinds(levels: int) -> None:
    width = levels.bit_length()
    told = [levels, 0, levels, levels, 0, 0, levels - 1, levels]
    packed = sum(value << place * width for place, value in enumerate(told)).to_bytes(width, "little")
    data = bytes([1 << 1 | 1]) + packed + bytes([5 << 1, levels]) + bytes([3 << 1, 0])
    assert list(present(data, 15, levels)) == [int(each == levels) for each in told] + [1] * 5 + [0] * 2
    for cut in range(len(data)):
        with pytest.raises(ValueError, match="levels"):
            present(data[:cut], 16, levels)
    with pytest.raises(ValueError, match="levels"):
        present(bytes(20), 1, levels)


def test_a_changed_byte_gives_other_bytes_or_an_error_of_ours(tmp_path: Path) -> None:
    """Every byte of the first shard's pages and a sample of the footer, each with a bit turned."""
    folder = made.corpus(tmp_path / "corpus")
    sound, ended = (folder / FIRST).read_bytes(), 0
    rng = np.random.default_rng(0)
    group = pq.read_metadata(folder / FIRST).row_group(0)
    chunks = [group.column(place) for place in range(group.num_columns)]
    heads = [at for each in chunks if each.path_in_schema in ("image.bytes", "mask.bytes")
             for at in range(each.data_page_offset, each.data_page_offset + 60)]  # fmt: skip
    for at in [*heads, *rng.integers(4, len(sound), 100).tolist()]:
        data = bytearray(sound)
        data[at] ^= 1 << int(rng.integers(8))
        (folder / FIRST).write_bytes(data)
        found = Cells(Corpus(folder))
        try:
            for row in range(made.ROWS):
                for column in cells._COLUMNS:
                    assert len(found.read(row, column) or b"") <= len(sound)
        except CorpusError as error:
            ended += 1
            assert FIRST in str(error)
    assert ended > 20


def test_a_length_that_leaves_its_page_is_damage(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus")
    data = bytearray((folder / FIRST).read_bytes())
    first = _pictures(Corpus(folder), "image")[0]
    assert first is not None
    at = data.index(first) - 4
    assert struct.unpack_from("<I", data, at)[0] == len(first)
    struct.pack_into("<I", data, at, 0xFFFFFFF0)
    (folder / FIRST).write_bytes(data)
    with pytest.raises(CorpusError, match=f"{FIRST} cannot be read as a shard"):
        Cells(Corpus(folder)).read(0)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _swap(path: Path) -> None:
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [(Path.unlink, "is not there any more: put the file back"), (_cut, "changed while"), (_swap, "changed while")],
    ids=("deleted", "cut", "replaced"),
)
@pytest.mark.parametrize("row", (0, 4), ids=("a group that was read", "another group"))
def test_a_shard_that_changes_meanwhile_is_told(
    change: Callable[[Path], None], message: str, row: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made.corpus(tmp_path / "corpus")
    found = Cells(Corpus(folder))
    found.read(0)
    if row == 0:
        monkeypatch.setattr(cells, "_LOOK_AGAIN", -1.0)
        found.check(0)
    change(folder / FIRST)
    with pytest.raises(CorpusError, match=f"{FIRST} {message}"):
        found.read(row)
    with pytest.raises(CorpusError, match=FIRST):
        Cells(Corpus(folder)).read(0) if change is not _swap else found.read(0)
        raise CorpusError(FIRST)  # a file that was swapped before it is opened is as good as any


def test_another_link_to_a_shard_is_no_change(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus")
    found = Cells(Corpus(folder))
    found.read(0)
    (tmp_path / "link").hardlink_to(folder / FIRST)
    assert found.read(4)


def test_few_files_are_open_at_once_and_none_goes_into_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "_MOST_FILES", 2)
    monkeypatch.setattr(cells, "_MOST_FOOTERS", 1)
    corpus = Corpus(made.corpus(tmp_path / "corpus"))
    before, found = _open(), Cells(corpus)
    want = [data for _, data in corpus.images()]
    for row in [*range(28), 0, 27, 8]:
        assert found.read(row) == want[row]
    assert _open() - before <= 3
    copied = pickle.loads(pickle.dumps(found))  # noqa: S301
    assert not copied._files and not copied._layouts and copied.read(8) == want[8]


def test_a_forked_process_opens_its_own_files(tmp_path: Path) -> None:
    corpus = Corpus(made.corpus(tmp_path / "corpus"))
    found, want = Cells(corpus), [data for _, data in corpus.images()]
    found.read(0)
    mine = found._files[0]
    if (child := os.fork()) == 0:
        same = found.read(0) == want[0] and found._files[0] is not mine and found.read(27) == want[27]
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0 and found.read(5) == want[5]


def test_a_row_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = Cells(Corpus(made.corpus(tmp_path / "corpus")))
    for row in (-1, 28):
        with pytest.raises(CorpusError, match=f"has no row {row}: it has 28"):
            found.read(row)
