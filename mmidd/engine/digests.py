"""The digest cache: path, size and times to sha256, so that no file is read twice to be known.

An equal stat trusts the digest. Copying tools give a file the modification time of another one, so a build also looks at
the time at which it was changed in any way (ctime), which nobody can set. Of a file that could not be read UNREAD stands
there, so that it is not extracted again before it can be, or somebody asks. The cache is an append-only text file a
dataset; a torn or broken line is skipped, and losing the cache costs reading, never correctness. Times stay here and enter
nothing else.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from urllib.parse import quote

from mmidd.engine.faults import fault
from mmidd.engine.files import disk_errors

UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Known:
    """What was seen of a file when its digest was taken. `ctime_ns` is None where it was not noted, or there is none."""

    bytes: int
    mtime_ns: int
    sha256: str
    ctime_ns: int | None = None


UNSTEADY = Known(-1, -1, UNREAD)
"""Of a file that changed while it was read: what no file looks like, so that the next command reads it again."""


class DigestCache:
    """The known digests of the media under one data root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, dict[str, Known]] = {}

    def fresh(self, dataset: str, media: str, size: int, mtime_ns: int, ctime_ns: int | None = None) -> str | None:
        """The digest, if the file still has the size and time it was taken at; and the change time, where that is given and
        was noted."""
        known = self.last(dataset, media)
        if known is None or (known.bytes, known.mtime_ns) != (size, mtime_ns):
            return None
        return known.sha256 if None in (known.ctime_ns, ctime_ns) or known.ctime_ns == ctime_ns else None

    def last(self, dataset: str, media: str) -> Known | None:
        """What was last known of the file, whatever it is now."""
        return self._load(dataset).get(media)

    def all(self, dataset: str) -> Mapping[str, Known]:
        """What was last known of every file of a dataset, be it there or not."""
        return self._load(dataset)

    def put(self, dataset: str, entries: Iterable[tuple[str, Known]]) -> None:
        """Remember digests that were just taken."""
        entries = list(entries)
        if not entries:
            return
        # Each batch begins on a line of its own, whatever a killed command left at the end of the file.
        lines = ["\n", *(_line(media, known) for media, known in entries)]
        path = self._path(dataset)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(lines))
            fault("digests", path, path)
        self._load(dataset).update(entries)

    def text(self, dataset: str, media: Container[str]) -> str:
        """The list of a dataset anew, without those that are not among `media`, each medium once."""
        return "".join(_line(name, known) for name, known in sorted(self._load(dataset).items()) if name in media)

    def _path(self, dataset: str) -> Path:
        return self.folder / f"{quote(dataset, safe=' +')}.jsonl"

    def _load(self, dataset: str) -> dict[str, Known]:
        if dataset not in self._known:
            known: dict[str, Known] = {}
            path = self._path(dataset)
            if path.exists():
                with path.open(encoding="utf-8", errors="replace") as lines:
                    for line in lines:
                        with contextlib.suppress(ValueError, TypeError, OverflowError, RecursionError):
                            media, size, mtime_ns, sha256, *more = json.loads(line)
                            if isinstance(sha256, str) and (len(sha256) == 64 or sha256 == UNREAD):
                                ctime_ns = int(more[0]) if more else None  # older lines have none
                                known[intern(str(media))] = Known(int(size), int(mtime_ns), intern(sha256), ctime_ns)
            self._known[dataset] = known
        return self._known[dataset]


def _line(media: str, known: Known) -> str:
    times = [] if known.ctime_ns is None else [known.ctime_ns]
    return json.dumps([media, known.bytes, known.mtime_ns, known.sha256, *times]) + "\n"
