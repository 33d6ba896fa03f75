"""What was scored so far, beside the file that it is for: a scoring that was killed goes on behind it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mmidd.engine.files import disk_errors, write_text, write_whole
from mmidd.engine.temporary import left_over
from mmidd.explanations.reply import Said
from mmidd.schema import FORGERY_TYPES

Floats = npt.NDArray[np.float64]
EVERY = 20.0
"""Seconds between parts."""
_ASKED, _NAME = "asked", re.compile(r"part-(\d{12})-(\d{12})\.parquet")
SAID = [
    pa.field("reply", pa.string()), pa.field("chain", pa.string()), pa.field("answer", pa.int8()),
    pa.field("wrong", pa.string()), pa.field("tokens", pa.int32()), pa.field("cut", pa.bool_()),
    pa.field("direct", pa.float64()), pa.field("alone", pa.float64()),
]  # fmt: skip
"""As `explanations.reply.Said`."""
SCHEMA = pa.schema(
    [
        pa.field("fake", pa.float64()),
        pa.field("types", pa.list_(pa.float64(), len(FORGERY_TYPES))),
        pa.field("row", pa.int64()),
        pa.field("reason", pa.string()),
        pa.field("said", pa.struct(SAID)),
    ]
)
"""One row an item; without a score `reason` says why, and `row` whose fault it is (null: the item's as a whole); `said`: of
a model that explains."""


class Items:
    """What became of `count` items: a score, and types where the model knows any, or why there is none."""

    def __init__(self, count: int) -> None:
        self.fake = np.full(count, np.nan)
        self.types: Floats | None = None
        self.wrong: dict[int, tuple[int | None, str]] = {}
        self.said: dict[int, Said] = {}

    def put(self, places: npt.NDArray[np.int64], fake: Floats, types: Floats | None) -> None:
        """Scores of these items; NaN is none."""
        self.fake[places] = fake
        if types is not None:
            if self.types is None:
                self.types = np.full((len(self.fake), len(FORGERY_TYPES)), np.nan)
            self.types[places] = types

    def table(self, start: int, stop: int) -> pa.Table:
        """Those of `start` to before `stop`."""
        fake = self.fake[start:stop]
        none = np.isnan(fake)
        types = pa.nulls(len(fake), SCHEMA.field("types").type)
        if self.types is not None:
            flat = pa.array(np.where(none[:, None], 0.0, self.types[start:stop]).ravel())
            types = pa.FixedSizeListArray.from_arrays(flat, len(FORGERY_TYPES), mask=pa.array(none))
        why = [self.wrong.get(place, (None, None)) for place in range(start, stop)]
        rows, reasons = pa.array([each[0] for each in why], pa.int64()), pa.array([each[1] for each in why], pa.string())
        said = [vars(self.said[place]) if place in self.said else None for place in range(start, stop)]
        told = pa.array(said, SCHEMA.field("said").type)
        return pa.table([pa.array(fake, mask=none), types, rows, reasons, told], SCHEMA)

    def take(self, start: int, table: pa.Table) -> None:
        """Those of a table that `table` made."""
        fake, held = table["fake"].combine_chunks(), table["types"].combine_chunks()
        places = np.flatnonzero(fake.is_valid().to_numpy(zero_copy_only=False))
        types = None
        if held.null_count < len(held):
            types = held.drop_null().flatten().to_numpy().reshape(-1, len(FORGERY_TYPES))
        self.put(start + places, fake.drop_null().to_numpy(), types)
        for place, (row, why) in enumerate(zip(table["row"].to_pylist(), table["reason"].to_pylist(), strict=True)):
            if why is not None:
                self.wrong[start + place] = (row, why)
        if table["said"].null_count < len(table):
            self.said |= {start + at: Said(**each) for at, each in enumerate(table["said"].to_pylist()) if each is not None}


@dataclass
class Parts:
    """A folder with `part-FROM-TO.parquet`, whole or absent, and `asked`: a digest of all that the scores depend on."""

    folder: Path
    asked: str
    done: int = 0
    """Items that are kept."""
    taken: int = 0
    """Of them those that were there before."""
    told: float = 0.0

    def begin(self, found: Items, tell: Callable[[str], None]) -> None:
        """Take what is there of the same request into `found`; what is of another is removed, which `tell` hears."""
        self.told = time.monotonic()
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            left_over(self.folder).remove()
            listed = self._listed()
            if listed and self._was() != self.asked:
                self.remove()
                self.folder.mkdir(parents=True, exist_ok=True)
                listed = []
                tell("note: what was scored so far was for another model, corpus, request or version: it begins anew")
        write_text(self.folder / _ASKED, self.asked, scratch=self.folder)
        for start, stop, path in listed:
            if start != self.done or stop > len(found.fake):
                break
            try:
                with path.open("rb") as file:
                    table = pq.read_table(file, page_checksum_verification=True)
            except (OSError, pa.ArrowException):
                tell(f"note: what was scored from item {start:,} on is damaged: it is scored again")
                break
            if not table.schema.equals(SCHEMA) or table.num_rows != stop - start:
                tell(f"note: what was scored from item {start:,} on is of another version: it is scored again")
                break
            found.take(start, table)
            self.done = self.taken = stop
        for start, _, path in listed:
            if start >= self.done:  # or it would lie in the way of what is scored anew
                path.unlink(missing_ok=True)

    def keep(self, found: Items, stop: int, *, now: bool = False) -> None:
        """Write what was scored since the last part, if it is time."""
        if stop == self.done or (not now and time.monotonic() - self.told < EVERY):
            return
        table, start = found.table(self.done, stop), self.done

        def write(temporary: Path) -> Path:
            with temporary.open("xb") as file:
                pq.write_table(table, file, write_page_checksum=True)
            return self.folder / f"part-{start:012d}-{stop:012d}.parquet"

        write_whole(write, scratch=self.folder)
        self.done, self.told = stop, time.monotonic()

    def remove(self) -> None:
        """Take away what is ours in the folder, and the folder where nothing else is in it."""
        for _, _, path in self._listed():
            path.unlink(missing_ok=True)
        (self.folder / _ASKED).unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _listed(self) -> list[tuple[int, int, Path]]:
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return sorted((int(match[1]), int(match[2]), path) for match, path in found if match is not None)

    def _was(self) -> str | None:
        try:
            return (self.folder / _ASKED).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None
