"""Reads what a Xet client has stored: which file is which, and its bytes.

A shard lists files as runs of chunks of xorbs; a xorb is its chunks one after the other, each with a header of eight bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

ENTRY = 48
LAST = b"\xff" * 32


@dataclass(frozen=True)
class Run:
    """Chunks `start` to `end` of a xorb, `size` bytes when unpacked."""

    xorb: str
    size: int
    start: int
    end: int


@dataclass(frozen=True)
class File:
    """A file of a shard: its Xet hash, its SHA-256 (empty where the client did not say it), and what it is made of."""

    xet: str
    sha256: str
    runs: tuple[Run, ...]


def _hex(digest: bytes) -> str:
    return "".join(digest[at : at + 8][::-1].hex() for at in range(0, 32, 8))


def files(shard: bytes) -> Iterator[File]:
    """The files of a shard."""
    at = ENTRY
    while shard[at : at + 32] != LAST:
        xet = _hex(shard[at : at + 32])
        flags, count = struct.unpack_from("<II", shard, at + 32)
        at += ENTRY
        runs = []
        for _ in range(count):
            size, start, end = struct.unpack_from("<III", shard, at + 36)
            runs.append(Run(_hex(shard[at : at + 32]), size, start, end))
            at += ENTRY
        at += ENTRY * count if flags >> 31 & 1 else 0
        sha256 = _hex(shard[at : at + 32]) if flags >> 30 & 1 else ""
        at += ENTRY if flags >> 30 & 1 else 0
        yield File(xet, sha256, tuple(runs))


def spans(xorb: bytes) -> Iterator[tuple[int, int]]:
    """Where each chunk of a xorb, its header included, begins and ends."""
    at = 0
    while at + 8 <= len(xorb) and xorb[at] == 0:
        end = at + 8 + int.from_bytes(xorb[at + 1 : at + 4], "little")
        yield at, end
        at = end


def unpacked(chunk: bytes) -> bytes:
    """The bytes of a chunk."""
    size = int.from_bytes(chunk[5:8], "little")
    if chunk[4] == 0:
        return chunk[8:]
    plain: bytes = pa.decompress(chunk[8:], size, "lz4", asbytes=True)
    if chunk[4] == 1:
        return plain
    groups = np.array_split(np.frombuffer(plain, np.uint8), 4)  # every fourth byte stands together
    mixed = np.empty(size, np.uint8)
    for number, group in enumerate(groups):
        mixed[number::4] = group
    return mixed.tobytes()


@dataclass(frozen=True)
class Stores:
    """Folders of `local://` stores, one for each token: a store is locked by the process that writes to it."""

    root: Path

    def fresh(self) -> Path:
        made = self.root / f"store-{len(list(self.root.iterdir()))}"
        made.mkdir()
        return made

    def find(self, sha256: str) -> tuple[str, bytes] | None:
        """The Xet hash and the bytes of what was uploaded with this digest."""
        for shard in self.root.glob("*/xet/xorbs/shards/*.mdb"):
            for file in files(shard.read_bytes()):
                if file.sha256 == sha256:
                    return file.xet, b"".join(self._run(run) for run in file.runs)
        return None

    def _run(self, run: Run) -> bytes:
        path = next(iter(self.root.glob(f"*/xet/xorbs/xorbs/default.{run.xorb}")))
        data = path.read_bytes()
        return b"".join(unpacked(data[start:end]) for start, end in list(spans(data))[run.start : run.end])
