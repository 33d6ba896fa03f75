"""What is known of the bytes of a user's files: each is read once, whatever it is sought for, and not again by a later run.

The digests lie in the rehydration's work folder, as a build's do in its own (`engine.digests`). Reading is done by threads:
to hash, to unpack and to read all leave the interpreter to others.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Event

from mmidd.engine.digests import UNREAD, DigestCache, Known
from mmidd.engine.local import usable_cores
from mmidd.errors import ChangedMedia, MediaError, told
from mmidd.raw.archives import is_sequential
from mmidd.raw.bytes import MediaFile, open_all
from mmidd.raw.path import Place
from mmidd.share.rehydrate.shelves import bare_path
from mmidd.show import size
from mmidd.watch import NOBODY, Watch

FOLDER = "digests"
NAME = "files"
"""All files of a data root are in one list: whose they are is what is sought."""
_AT_ONCE = 32
_KEEP_EVERY = 2.0
"""Seconds."""

_Read = tuple[MediaFile, str | None, str]


class Digests:
    """The digests of files, by where they lie and what they looked like. `faults`: what could not be read in this run."""

    def __init__(self, work: Path, data: Place) -> None:
        self._root = f"{data}/"
        self._cache = DigestCache(work / FOLDER)
        self.faults: dict[str, str] = {}
        self.files = 0
        self.bytes = 0

    def of(self, file: MediaFile) -> str | None:
        """The digest of a file, if somebody has read it as it is."""
        known = self._cache.fresh(NAME, self.where(file), file.bytes, file.mtime_ns, file.ctime_ns)
        return None if known == UNREAD else known

    def where(self, file: MediaFile) -> str:
        """Where a file lies, below the data root."""
        return f"{file.root}/{bare_path(file)}".removeprefix(self._root)

    def put(self, file: MediaFile, sha256: str) -> None:
        """Remember what was just read of a file, whoever did."""
        self._keep([(file, sha256)])

    def learn(self, files: Iterable[MediaFile], watch: Watch = NOBODY, what: str = "read files") -> None:
        """Read what is not known; what cannot be read, or changes meanwhile, is in `faults` and stays unknown.

        What was read is kept every few seconds: a killed run loses no more.
        """
        every = list({self.where(file): file for file in files}.values())
        unknown = [file for file in every if self.of(file) is None]
        if not unknown:
            return
        watch.begin(what, len(every), len(every) - len(unknown), "files")
        read: SimpleQueue[_Read | BaseException] = SimpleQueue()
        stop, kept, last = Event(), list[tuple[MediaFile, str]](), time.monotonic()
        with ThreadPoolExecutor(max(2, min(8, usable_cores()))) as pool:
            try:
                for job in _jobs(unknown):
                    pool.submit(_read, job, read, stop)
                for done in range(len(every) - len(unknown) + 1, len(every) + 1):
                    each = read.get()
                    if isinstance(each, BaseException):
                        raise each
                    file, sha256, fault = each
                    if sha256 is None:
                        self.faults[self.where(file)] = fault
                    else:
                        kept.append((file, sha256))
                        self.files, self.bytes = self.files + 1, self.bytes + file.bytes
                    if time.monotonic() - last > _KEEP_EVERY:
                        self._keep(kept)
                        kept, last = [], time.monotonic()
                    watch.at(done, f"{size(self.bytes)} read")
            finally:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                self._keep(kept)
                watch.end()

    def _keep(self, read: Sequence[tuple[MediaFile, str]]) -> None:
        known = ((self.where(file), Known(file.bytes, file.mtime_ns, sha256, file.ctime_ns)) for file, sha256 in read)
        self._cache.put(NAME, known)


def _jobs(files: Sequence[MediaFile]) -> list[list[MediaFile]]:
    """What is read together: all that is wanted of a compressed tar, which is read once; of others a few each."""
    packed: dict[Place, list[MediaFile]] = defaultdict(list)
    others: list[MediaFile] = []
    for file in files:
        if file.archive is not None and is_sequential(file.archive.name):
            packed[file.path].append(file)
        else:
            others.append(file)
    return [*packed.values(), *(others[at : at + _AT_ONCE] for at in range(0, len(others), _AT_ONCE))]


def _read(files: Sequence[MediaFile], read: SimpleQueue[_Read | BaseException], stop: Event) -> None:
    """Put the digest of each file (or why there is none), or what went wrong."""
    try:
        for file, source in open_all(((file, file) for file in files), lambda file: frozenset()):
            if stop.is_set():
                return
            try:
                sha256 = source.sha256()
                source.check()
                read.put((file, sha256, ""))
            except ChangedMedia:
                read.put((file, None, "it changed while it was read"))
            except (OSError, MediaError) as error:
                read.put((file, None, told(error)))
    except BaseException as error:
        read.put(error)
