"""The store of Xet: takes xorbs and shards, says how a file is put together, and puts it together itself.

A shard lists files as runs of chunks of xorbs; a xorb is its chunks one after the other, each with a header of eight bytes.
"""

from __future__ import annotations

import json
import secrets
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from .git import ApiError
from .routing import Answer, Call, route, told

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
class Store:
    """Xorbs as files in a folder; files by Xet hash, and those by SHA-256; tokens with what they may ("write" or "read")."""

    root: Path
    files: dict[str, File] = field(default_factory=dict)
    by_sha256: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, may: str) -> str:
        made = f"xet_{secrets.token_hex(16)}"
        self.tokens[made] = may
        return made

    def add(self, shard: bytes) -> None:
        """Raises ApiError: 400 where a file needs a xorb that is not there."""
        for file in files(shard):
            for run in file.runs:
                if not (self.root / run.xorb).exists():
                    raise ApiError(400, "", f"no such xorb: {run.xorb}")
            self.files[file.xet] = file
            if file.sha256:
                self.by_sha256[file.sha256] = file.xet

    def read(self, xet: str) -> bytes:
        """A file."""
        return b"".join(self._run(run) for run in self.files[xet].runs)

    def _run(self, run: Run) -> bytes:
        data = (self.root / run.xorb).read_bytes()
        return b"".join(unpacked(data[start:end]) for start, end in list(spans(data))[run.start : run.end])

    def place(self, run: Run) -> tuple[int, int]:
        """The first and the last byte of a run in its xorb."""
        at = list(spans((self.root / run.xorb).read_bytes()))[run.start : run.end]
        return at[0][0], at[-1][1] - 1


def _allowed(call: Call, *may: str) -> None:
    token = call.headers.get("Authorization", "").removeprefix("Bearer ")
    if call.hub.xet.tokens.get(token) not in may:
        raise ApiError(401, "", "Unauthorized")


def _token(call: Call, may: str) -> Answer:
    url, token, until = f"{call.hub.url}/cas", call.hub.xet.token(may), int(time.time()) + 3600
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(until)}
    return told({"casUrl": url, "accessToken": token, "exp": until}, headers=headers)


@route("xet-write", "GET", "/api/datasets/{repo}/xet-write-token/{rev}", "write")
def _write_token(call: Call) -> Answer:
    return _token(call, "write")


@route("xet-read", "GET", "/api/datasets/{repo}/xet-read-token/{rev}", "content")
def _read_token(call: Call) -> Answer:
    return _token(call, "read")


@route("xet-chunk", "GET", "/cas/v1/chunks/default/{name}", "none")
@route("xet-grant", "POST", "/cas/v1/xorb-grants/default/{name}", "none")
@route("xet-shard", "POST", "/cas/v2/shards", "none")
@route("xet-plan", "GET", "/cas/v2/reconstructions/{name}", "none")
def _not_here(call: Call) -> Answer:
    """What a store need not have; the client then goes another way."""
    raise ApiError(404, "", "not found")


@route("xet-xorb", "POST", "/cas/v1/xorbs/default/{name}", "none")
def _xorb(call: Call) -> Answer:
    _allowed(call, "write")
    path = call.hub.xet.root / call.part["name"]
    there = path.exists()
    path.write_bytes(call.body)
    return told({"was_inserted": not there})


@route("xet-shard", "POST", "/cas/v1/shards", "none")
def _shard(call: Call) -> Answer:
    _allowed(call, "write")
    call.hub.xet.add(call.body)
    return told({"result": 1})


@route("xet-plan", "GET", "/cas/v1/reconstructions/{name}", "none")
def _plan(call: Call) -> Answer:
    _allowed(call, "read", "write")
    store = call.hub.xet
    if call.part["name"] not in store.files:
        raise ApiError(404, "", "no such file")
    terms, fetch = [], dict[str, list[dict[str, object]]]()
    for run in store.files[call.part["name"]].runs:
        chunks, place = {"start": run.start, "end": run.end}, store.place(run)
        terms.append({"hash": run.xorb, "unpacked_length": run.size, "range": chunks})
        where = {"url": call.hub.signed(f"/xorbs/{run.xorb}"), "url_range": {"start": place[0], "end": place[1]}}
        fetch.setdefault(run.xorb, []).append({"range": chunks, **where})
    return told({"offset_into_first_range": 0, "terms": terms, "fetch_info": fetch})


@route("telemetry", "POST", "/v1/telemetry", "none")
def _telemetry(call: Call) -> Answer:
    json.loads(call.body)
    return told({})
