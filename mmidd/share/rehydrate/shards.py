"""A shard of the corpus from the spooled images of its rows; and the note of what became of each, by which a later run
knows a finished one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from mmidd.corpus.parquet import open_parquet
from mmidd.corpus.place import Folder
from mmidd.corpus.shards import Pictures, ShardLimits, write_shard
from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors, sha256_file, write_text
from mmidd.errors import WorkError
from mmidd.schema import arrow_schema
from mmidd.share.publication.format import PIXELS
from mmidd.share.rehydrate.compared import STATUSES, Accept, Compared, is_accepted
from mmidd.share.rehydrate.cutting import Spooled
from mmidd.share.rehydrate.rows import Labels

_LETTERS = {status: status[0] for status in STATUSES}
_STATUSES = {letter: status for status, letter in _LETTERS.items()}


@dataclass(frozen=True)
class Written:
    """A shard as it lies in the folder that is being built: size, digest, what became of each published row, which of those
    that are in it lost their `pair`. No rows: no file."""

    name: str
    bytes: int
    sha256: str
    rows: tuple[Compared, ...]
    accept: Accept
    unpaired: tuple[int, ...] = ()

    @property
    def kept(self) -> list[int]:
        """The numbers of the published rows that are in it."""
        return [number for number, each in enumerate(self.rows) if is_accepted(each.status, self.accept)]

    def note(self, key: str) -> str:
        """JSON, for a later run."""
        odd = {number: [each.reason, each.seen] for number, each in enumerate(self.rows) if each.reason}
        return json.dumps({
            "key": key, "bytes": self.bytes, "sha256": self.sha256, "unpaired": self.unpaired, "reasons": odd,
            "rows": "".join(_LETTERS[each.status] for each in self.rows),
        })  # fmt: skip


def noted(note: Path, name: str, key: str, rows: int, accept: Accept) -> Written | None:
    """What an earlier run wrote of a shard, if it was asked the same."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        found = json.loads(note.read_text(encoding="utf-8"))
        if found["key"] == key and len(found["rows"]) == rows:
            statuses = [_STATUSES[letter] for letter in found["rows"]]
            odd = {int(number): each for number, each in found["reasons"].items()}
            made = tuple(Compared(status, *odd.get(number, (None, None))) for number, status in enumerate(statuses))
            return Written(name, found["bytes"], found["sha256"], made, accept, tuple(found["unpaired"]))
    return None


@dataclass
class Filling:
    """A shard whose media are being cut: what became of its rows so far."""

    labels: Labels
    found: list[Compared | None] = field(default_factory=list)
    places: list[tuple[Path, tuple[int, int], tuple[int, int] | None] | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        rows = self.labels.table.num_rows
        self.found, self.places, self.left = [None] * rows, [None] * rows, rows

    def take(self, row: Spooled, spool: Path | None) -> None:
        """What became of a row."""
        number = row.number[1]
        self.left -= self.found[number] is None
        self.found[number] = row.compared
        self.places[number] = (spool, row.image, row.mask) if spool is not None and row.image is not None else None

    @property
    def rows(self) -> tuple[Compared, ...]:
        """What became of each, when all are there."""
        return tuple(each for each in self.found if each is not None)


def write(filling: Filling, folder: Path, accept: Accept, limits: ShardLimits, gone: set[str]) -> Written:
    """Write a shard with the rows that are accepted; of those, a pair that is gone is null."""
    labels, rows = filling.labels, filling.rows
    kept = [number for number, each in enumerate(rows) if is_accepted(each.status, accept)]
    columns, lost = _columns(labels, kept, gone)
    with ExitStack() as stack:
        pictures = _spooled([filling.places[number] for number in kept], stack)
        size, sha256 = _written(folder / labels.name, columns, pictures, limits)
    return Written(labels.name, size, sha256, rows, accept, lost)


def rewrite(written: Written, labels: Labels, folder: Path, limits: ShardLimits, gone: set[str]) -> Written:
    """The same shard with the pairs that are gone by now null."""
    columns, lost = _columns(labels, written.kept, gone)
    size, sha256 = _written(folder / written.name, columns, _pictures(folder, written.name), limits)
    return Written(written.name, size, sha256, written.rows, written.accept, lost)


def lost_pairs(labels: Labels, kept: Sequence[int], gone: set[str]) -> tuple[int, ...]:
    """The published rows among `kept` whose paired sample is gone."""
    pairs = labels.table["pair"].to_pylist()
    return tuple(number for number in kept if pairs[number] in gone)


def _columns(labels: Labels, kept: Sequence[int], gone: set[str]) -> tuple[pa.Table, tuple[int, ...]]:
    columns = labels.light.take(pa.array(kept, pa.int64()))
    lost = lost_pairs(labels, kept, gone)
    if lost:
        place = columns.schema.get_field_index("pair")
        pairs = [None if pair in gone else pair for pair in columns["pair"].to_pylist()]
        columns = columns.set_column(place, "pair", pa.array(pairs, pa.string()))
    return columns, lost


def _written(target: Path, columns: pa.Table, pictures: Iterator[Pictures], limits: ShardLimits) -> tuple[int, str]:
    """Write a shard under a temporary name and put it in its place; without rows there is no file."""
    if not columns.num_rows:
        target.unlink(missing_ok=True)
        return 0, ""
    temporary = target.with_name(f"{target.name}.tmp")
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_shard(temporary, columns, pictures, limits)
        fault("shard_written", target, temporary)
        size, sha256 = temporary.stat().st_size, sha256_file(temporary)
        temporary.replace(target)
        fault("shard_renamed", target)
    return size, sha256


def _spooled(
    places: Sequence[tuple[Path, tuple[int, int], tuple[int, int] | None] | None], stack: ExitStack
) -> Iterator[Pictures]:
    opened: dict[Path, BinaryIO] = {}

    def read(spool: Path, at: int, size: int) -> bytes:
        if spool not in opened:
            if len(opened) >= _MOST_OPEN:
                opened.pop(next(iter(opened))).close()
            opened[spool] = stack.enter_context(spool.open("rb"))
        file = opened[spool]
        file.seek(at)
        data = file.read(size)
        if len(data) != size:
            raise WorkError(f"{spool} is shorter than it was written; is the disk sound? Run the same command to go on.")
        return data

    for place in places:
        if place is None:
            raise ValueError("a row without an image is none that is accepted")
        spool, image, mask = place
        yield read(spool, *image), None if mask is None else read(spool, *mask)


_MOST_OPEN = 64


def _pictures(folder: Path, name: str) -> Iterator[Pictures]:
    """The images of a shard that lies there already."""
    schema = arrow_schema()
    with open_parquet(Folder(folder), name) as file:
        file.check()
        for _, batch in file.batches(pa.schema([schema.field(each) for each in PIXELS]), _AT_ONCE):
            for image, mask in zip(*(batch[each].to_pylist() for each in PIXELS), strict=True):
                yield image["bytes"], None if mask is None else mask["bytes"]


_AT_ONCE = 64


def put_note(note: Path, written: Written, key: str, scratch: Path) -> None:
    """Keep what became of a shard."""
    write_text(note, written.note(key), scratch=scratch)
