"""Tables of scores that others made, CSV or Parquet: which column means what, and its values as text or numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from mmidd.errors import ScoreError
from mmidd.scores.foreign import checked, parquet

MOST_BYTES = 4 << 30
_LINE = 1 << 20
"""Bytes of a line of CSV, at most."""
_HEAD = 1 << 16
_OTHER_COLUMNS = re.compile(r"Row #(\d+): Expected \d+ columns, got (\d+)")
_DELIMITERS = (",", ";", "\t", "|")

NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "sample_id"),
    "media": (
        "media", "key", "video", "video_id", "video_name", "video_path", "path", "file", "filename", "file_name",
        "file_path", "filepath", "image", "image_path", "img_path", "clip", "clip_id",
    ),
    "dataset": ("dataset", "dataset_name"),
    "split": ("split",),
    "level": ("level",),
    "frame": ("frame", "frame_index", "frame_idx", "frame_number", "frame_no", "frame_id"),
    "face": ("face", "face_index"),
    "score": (
        "score", "prob", "probability", "fake", "p_fake", "pfake", "fake_prob", "fake_score", "fake_probability",
        "prob_fake", "y_score", "logit", "logits", "real", "p_real", "real_prob", "prob_real", "real_score",
    ),
    "status": ("status",),
    "label": ("label", "y_true", "target", "gt"),
}  # fmt: skip
"""What a column means, by the names that it usually has (in any case)."""
LOGITS, OF_REAL = frozenset({"logit", "logits"}), frozenset({"real", "p_real", "real_prob", "prob_real", "real_score"})


@dataclass(frozen=True, eq=False)
class Given:
    """The columns that mean something, all text (null where empty) but `score` of Parquet (a number). `names`: what the file
    calls each. `left`: its other columns. `first`: the number of the first row, as the file's reader counts."""

    columns: pa.Table
    names: Mapping[str, str]
    left: tuple[str, ...]
    first: int


def given(path: Path, columns: Mapping[str, str]) -> Given:
    """Read what a file says. `columns`: what means what, where it is not called so. Raises ScoreError."""
    size = checked(path)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:4] == b"PAR1":
        with parquet(path, "a table of scores") as found:
            names = _meanings(path, found.schema.names, columns)
            fields = [_plain(path, found.schema.field(name)) for name in names.values()]
            table = found.table(pa.schema(fields)).rename_columns(list(names))
            table = pa.table({name: _text(name, table[name]) for name in names})
            return _checked(path, Given(table, names, _left(found.schema.names, names), 1))
    if size > MOST_BYTES:
        raise ScoreError(f"{str(path)!r} has more than {MOST_BYTES >> 30} GiB: write the scores as Parquet")
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    delimiter, header = _header(path, head.decode(encoding if encoding == "utf-16" else "utf-8-sig", "replace"))
    names = _meanings(path, header, columns)
    return _checked(path, Given(_csv(path, encoding, delimiter, header, names), names, _left(header, names), 2))


def _checked(path: Path, found: Given) -> Given:
    if not found.columns.num_rows:
        raise ScoreError(f"{str(path)!r} has no row below its header")
    return found


def _left(held: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in held if name not in names.values())


def _meanings(path: Path, held: Sequence[str], asked: Mapping[str, str]) -> dict[str, str]:
    """The file's name of each meaning that it has."""
    if twice := sorted({name for name in held if list(held).count(name) > 1}):
        raise ScoreError(f"{str(path)!r} has two columns {twice[0]!r}: name them apart")
    if strange := sorted({*asked} - {*NAMES}):
        raise ScoreError(f"no column means {strange[0]!r}: {', '.join(NAMES)} do")
    if absent := [name for name in asked.values() if name and name not in held]:
        raise ScoreError(f"{str(path)!r} has no column {absent[0]!r}: it has {_several(held)}")
    found: dict[str, str] = {}
    for meaning, known in NAMES.items():
        if meaning in asked:
            here = [asked[meaning]] if asked[meaning] else []
        else:
            here = [name for name in held if name.strip().casefold() in known and name not in asked.values()]
        if len(here) > 1:
            raise ScoreError(
                f"{str(path)!r}: {_several(here)} may each be the {meaning}: say which, --column {meaning}=NAME"
            )
        if here:
            found[meaning] = here[0]
    if "score" not in found or not {"id", "media"} & {*found}:
        what = "score" if "score" not in found else "media"
        raise ScoreError(
            f"{str(path)!r} has no column that is called {', '.join(NAMES[what][:5])} or the like: say which is the {what}, "
            f"--column {what}=NAME, of {_several(held)}"
        )
    return found


def _several(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(repr(name[:80]) for name in names[:12]) + more


def _header(path: Path, head: str) -> tuple[str, list[str]]:
    """The delimiter and the names in the first line."""
    lines = head.splitlines()
    if not lines or (len(lines) == 1 and len(head.encode()) >= _HEAD // 2):
        why = "is empty" if not head.strip() else f"has a first line of more than {_HEAD >> 11} KiB"
        raise ScoreError(f"{str(path)!r} {why}: the first line names the columns, such as dataset,media,score")
    try:
        parts = {each: next(csv.reader([lines[0]], delimiter=each), []) for each in _DELIMITERS}
    except csv.Error as error:
        raise ScoreError(f"{str(path)!r}: its first line is no line of a table ({type(error).__name__})") from error
    delimiter = max(_DELIMITERS, key=lambda each: len(parts[each]))
    return delimiter, [name.strip() for name in parts[delimiter]]


def _csv(path: Path, encoding: str, delimiter: str, header: Sequence[str], names: Mapping[str, str]) -> pa.Table:
    """Row after row in blocks: what is held is the wanted columns and a block."""
    numbered = [str(number) for number in range(len(header))]
    wanted = {meaning: numbered[list(header).index(name)] for meaning, name in names.items()}
    try:
        with path.open("rb") as file:
            reader = pacsv.open_csv(
                file,
                pacsv.ReadOptions(
                    use_threads=False, block_size=_LINE, column_names=numbered, skip_rows=1, encoding=encoding
                ),
                pacsv.ParseOptions(delimiter=delimiter),
                pacsv.ConvertOptions(
                    column_types=dict.fromkeys(wanted.values(), pa.string()), include_columns=list(wanted.values()),
                    strings_can_be_null=False,
                ),
            )  # fmt: skip
            parts = list(_batches(reader))
    except (pa.ArrowException, OSError, UnicodeError, ValueError) as error:
        if found := _OTHER_COLUMNS.search(str(error)):
            where, columns = found.groups()
            raise ScoreError(f"{str(path)!r}, row {where}: {columns} columns, its first line has {len(header)}") from error
        if "UTF8" in str(error) or isinstance(error, UnicodeError):
            raise ScoreError(f"{str(path)!r} is not written in UTF-8: save it so") from error
        if "block" in str(error):
            raise ScoreError(f"{str(path)!r} has a line of more than {_LINE >> 20} MiB: it is no table of scores") from error
        raise ScoreError(f"{str(path)!r} cannot be read as a table of scores ({type(error).__name__})") from error
    schema = pa.schema([(name, pa.string()) for name in wanted.values()])
    table = pa.Table.from_batches(parts, schema).rename_columns(list(wanted))
    return pa.table({name: _text(name, table[name]) for name in wanted})


def _batches(reader: pacsv.CSVStreamingReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            yield reader.read_next_batch()
        except StopIteration:
            return


def _plain(path: Path, field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_temporal(kind):
        raise ScoreError(f"{str(path)!r}: column {field.name!r} holds {kind}, not texts or numbers")
    return field


def _text(meaning: str, column: pa.ChunkedArray) -> pa.Array:
    """Trimmed text, null where empty; a number stays one where it is a score, and is told without a fraction elsewhere."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = pc.cast(column, kind.value_type)
        kind = column.type
    if pa.types.is_floating(kind):
        if meaning == "score":
            return pc.cast(column, pa.float64()).combine_chunks()
        whole = pc.equal(column, pc.trunc(column))
        if pc.all(pc.fill_null(whole, True)).as_py():
            column = pc.cast(column, pa.int64(), safe=False)
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text).combine_chunks()
