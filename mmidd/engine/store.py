"""The work folder: committed units, their records, and nothing that is not committed.

A commit writes its data files first and its record last (put-if-absent). Readers follow records only, so a file
without a record does not exist for them. Records are immutable generations of one key and carry their own checksum;
an invalid one counts as absent. All state is plain files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmidd.engine.faults import fault
from mmidd.engine.files import canonical, digest, disk_errors, put_if_absent, sha256_file, write_text, write_whole
from mmidd.engine.lock import held
from mmidd.engine.temporary import left_over
from mmidd.errors import WorkError

FORMAT = 1
LOCK = "lock"
MARKER = "mmidd-work.json"
_NAME = re.compile(r"^(?P<key>[0-9a-f]{32})\.g(?P<generation>\d+)\.json$")

Writer = Callable[[Path], None]


@dataclass(frozen=True)
class Record:
    """What a commit put: which unit, under which key, from which ingredients, in which files."""

    stage: str
    key: str
    generation: int
    unit: str
    ingredients: dict[str, Any]
    files: dict[str, dict[str, Any]]
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def digest(self) -> str:
        """Names the content: equal files, equal digest, whatever the generation."""
        return digest({name: entry["sha256"] for name, entry in self.files.items()})


class Store:
    """The commit records and data files of one work folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root / "tmp"

    @classmethod
    def open(cls, root: Path) -> Store:
        """Open a work folder, making it if it is new; refuse one that holds something else."""
        marker = root / MARKER
        if root.is_symlink() and not root.exists():
            raise WorkError(f"{root} is a link to nothing; remove it or choose another --work")
        if root.exists() and not root.is_dir():
            raise WorkError(f"{root} is a file, not a work folder; choose another --work")
        if not marker.exists():
            if root.exists() and any(entry.name != "tmp" for entry in root.iterdir()):
                raise WorkError(f"{root} holds something that is not a work folder of mmidd; choose another --work")
            with disk_errors(root):
                root.mkdir(parents=True, exist_ok=True)
            write_text(marker, canonical({"format": FORMAT}), scratch=root / "tmp")
        store = cls(root)
        store.about()
        return store

    def about(self) -> dict[str, Any]:
        """What the work folder says of itself, in its marker. Raises WorkError where it says nothing, or another format."""
        marker = self.root / MARKER
        try:
            found = json.loads(marker.read_text())
            known = found.get("format")
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise WorkError(
                f"{marker} cannot be read ({type(error).__name__}); if {self.root} is a work folder, "
                f"write {canonical({'format': FORMAT})} into that file, else choose another --work"
            ) from error
        if known != FORMAT:
            raise WorkError(f"{self.root} was made by another version of mmidd (format {known}, here {FORMAT})")
        return dict(found)

    def say(self, **about: Any) -> None:
        """Let the work folder say this of itself as well."""
        before = self.about()
        if before != {**before, **about}:
            write_text(self.root / MARKER, canonical({**before, **about}), scratch=self.scratch)

    @contextmanager
    def held(self, tell: Callable[[str], None], *, clear: bool = True) -> Iterator[bool]:
        """Keep other commands from writing here meanwhile, and `clear` what a killed one left half-written.

        Gives False where the file system has no locks; `tell` hears of that, and of what was cleared. Raises WorkError.
        """

        def busy(holder: str) -> WorkError:
            return WorkError(
                f"another mmidd command is writing {self.root}: {holder}. Wait until it has ended, or choose another --work."
            )

        with held(self.root / LOCK, busy, tell) as locks:
            left = left_over(self.scratch)
            if clear and left.paths:
                left.remove()
                tell(f"{self.root}: removed {len(left.paths)} half-written files of a killed command ({left.bytes} bytes)")
            yield locks

    def path(self, record: Record, name: str) -> Path:
        """Where a file of a committed unit lies. Raises WorkError where the record, another mmidd's, names none."""
        if name not in record.files:
            place = self.record_path(record.stage, record.key, record.generation)
            raise WorkError(f"{place} names no {name}: it is another mmidd's. Delete that file and run the same command.")
        return self.root / str(record.files[name]["path"])

    def latest(self, stage: str, key: str) -> Record | None:
        """The newest valid generation of a key, or None."""
        for generation in sorted(self._generations(stage, key), reverse=True):
            record = self._read(self.record_path(stage, key, generation))
            if record is not None:
                return record
        return None

    def records(self, stage: str) -> Iterator[Record]:
        """The newest valid generation of every key of a stage, in order of key."""
        folder = self.root / "records" / stage
        keys = {match["key"] for path in folder.glob("*/*.json") if (match := _NAME.match(path.name))}
        for key in sorted(keys):
            record = self.latest(stage, key)
            if record is not None:
                yield record

    def commit(
        self,
        stage: str,
        key: str,
        unit: str,
        writers: Mapping[str, Writer],
        *,
        ingredients: Mapping[str, Any],
        counts: Mapping[str, int],
        seconds: float = 0.0,
    ) -> Record:
        """Write the files, then the record. A race for a generation is won by one; both end with a valid record."""
        files = {name: self._write_data(stage, key, name, write) for name, write in writers.items()}
        while True:
            generation = max(self._generations(stage, key), default=-1) + 1
            record = Record(stage, key, generation, unit, dict(ingredients), files, dict(counts), round(seconds, 3))
            if self._put(record):
                return record

    def discard(self, stage: str, key: str) -> None:
        """Remove what a commit put, all its generations: first the records, then what they name."""
        paths = []
        for generation in self._generations(stage, key):
            path = self.record_path(stage, key, generation)
            record = self._read(path)
            paths += [self.path(record, name) for name in record.files] if record is not None else []
            path.unlink(missing_ok=True)
        fault("discard", key)
        for path in paths:
            path.unlink(missing_ok=True)

    def touch(self, name: str, value: Any) -> None:
        """Replace a small JSON note of the work folder (what the last command was; never part of a corpus)."""
        write_text(self.root / name, json.dumps(value, indent=1, sort_keys=True), scratch=self.scratch)

    def has(self, name: str) -> bool:
        """Is there anything of this name, be it a link to nothing?"""
        return os.path.lexists(self.root / name)

    def note(self, name: str) -> Any:
        """Read such a note; None where there is none or it is broken."""
        try:
            return json.loads((self.root / name).read_text())
        except (OSError, ValueError, RecursionError):
            return None

    def _write_data(self, stage: str, key: str, name: str, write: Writer) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def write_and_name(temporary: Path) -> Path:
            fault("before_write", f"{stage}/{name}")
            write(temporary)
            found.update(bytes=temporary.stat().st_size, sha256=sha256_file(temporary))
            return self.root / "data" / stage / key[:2] / f"{key}.{found['sha256'][:12]}.{name}"

        path = write_whole(write_and_name, scratch=self.scratch)
        return {"path": path.relative_to(self.root).as_posix(), **found}

    def record_path(self, stage: str, key: str, generation: int) -> Path:
        """Where the record of a commit lies."""
        return self.root / "records" / stage / key[:2] / f"{key}.g{generation}.json"

    def _generations(self, stage: str, key: str) -> list[int]:
        folder = self.root / "records" / stage / key[:2]
        names = (_NAME.match(path.name) for path in folder.glob(f"{key}.g*.json"))
        return [int(match["generation"]) for match in names if match]

    def _put(self, record: Record) -> bool:
        body = asdict(record)
        text = canonical({"record": body, "sha256": digest(body)})
        path = self.record_path(record.stage, record.key, record.generation)
        return put_if_absent(path, text.encode(), scratch=self.scratch)

    def _read(self, path: Path) -> Record | None:
        """A record that is whole, unaltered and has its files at their size; anything else counts as absent."""
        try:
            content = json.loads(path.read_bytes())
            if content["sha256"] != digest(content["record"]):
                return None
            record = Record(**content["record"])
            if not _is_shaped(record):
                return None
            for entry in record.files.values():
                if (self.root / entry["path"]).stat().st_size != entry["bytes"]:
                    return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return record


def _is_shaped(record: Record) -> bool:
    """Has a record that was read what one holds? Another mmidd may write other things, sealed as well as ours."""
    texts = isinstance(record.stage, str) and isinstance(record.key, str) and isinstance(record.unit, str)
    numbers = type(record.generation) is int and type(record.seconds) in (int, float)
    counts = isinstance(record.counts, dict) and all(type(count) is int for count in record.counts.values())
    files = isinstance(record.files, dict) and all(map(_is_file, record.files.values()))
    return texts and numbers and counts and files and isinstance(record.ingredients, dict)


def _is_file(entry: Any) -> bool:
    if not (isinstance(entry, dict) and isinstance(entry.get("path"), str) and isinstance(entry.get("sha256"), str)):
        return False
    return entry["path"].startswith("data/") and ".." not in entry["path"].split("/") and type(entry.get("bytes")) is int
