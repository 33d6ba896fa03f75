"""A stage so small that the engine alone is on trial. Spawned workers import it, so it lies in a module."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mmidd.engine.files import digest
from mmidd.engine.run import Silent, Stage, ingredients, run_units
from mmidd.engine.store import Record, Store
from mmidd.engine.units import Item, Outcome, Resources, Result, Task, Unit
from mmidd.errors import MissingExtra

SCHEMA = pa.schema(
    [
        ("dataset", pa.string()),
        ("media", pa.string()),
        ("frame", pa.int32()),
        ("face", pa.int32()),
        ("text", pa.string()),
        ("image", pa.binary()),
        ("context", pa.binary()),
    ]
)

pa.Table.from_pylist([{}], SCHEMA)  # pyarrow loads pandas at its first table: here, and not within a short time limit


WORDS: dict[str, Callable[[], object]] = {
    "abort": os.abort, "segfault": lambda: ctypes.string_at(0), "mutter": lambda: time.sleep(600), "warn": lambda: None,
}  # fmt: skip
"""What a worker does after it has said something on stderr."""


@dataclass(frozen=True)
class Order:
    """What the toy stage is to do with a medium."""

    deed: str = "ok"
    content: str = "a"
    frames: int = 3


@dataclass(frozen=True)
class Config:
    """`calls` gets a line for each medium that is processed; while `cure` exists, failing media come out well."""

    calls: Path
    cure: Path


def item(media: str, deed: str = "ok", content: str = "a", *, frames: int = 3, known: bool = True) -> Item:
    return Item("set", media, (content,) if known else None, Order(deed, content, frames))


def unit(*items: Item, per_task: int = 1, name: str = "set/0") -> Unit:
    return Unit(name, tuple(Task(items[at : at + per_task]) for at in range(0, len(items), per_task)))


def run(task: Task, config: Config, resources: Resources) -> Result:
    """Do as each medium's order says."""
    rows: list[dict[str, Any]] = []
    outcomes = []
    for one in task.items:
        with config.calls.open("a") as calls:
            calls.write(f"{one.media} {os.getpid()}\n")
        _misbehave(one.payload.deed, config)
        made, outcome = _process(one, config)
        rows += made
        outcomes.append(outcome)
    return Result(pa.Table.from_pylist(rows, SCHEMA), tuple(outcomes))


def _misbehave(deed: str, config: Config) -> None:
    if deed == "exit":
        os._exit(7)
    if deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "hang":
        time.sleep(600)
    if deed in WORDS:
        os.write(2, b"".join(b"frame %d of the damaged clip\n" % number for number in range(2000)))
        print(f"\x1b[31mfatal:\x1b[0m cannot read {Path(__file__).resolve()}\x07", file=sys.stderr, flush=True)
        WORDS[deed]()
    if deed == "hold":
        _wait_for(config.cure)
    if deed in ("orphan", "orphan once") and not config.cure.exists():
        if deed == "orphan once":
            config.cure.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    if deed == "gorge":
        held = [bytearray(1 << 25) for _ in range(64)]
        time.sleep(600 if held else 0)
    if deed == "exhaust":
        raise MemoryError
    if deed == "miss":
        raise MissingExtra("faces", "the toy")
    if deed == "once" and not config.cure.exists():
        config.cure.touch()
        os._exit(7)


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def _process(one: Item, config: Config) -> tuple[list[dict[str, Any]], Outcome]:
    order: Order = one.payload
    inputs = (order.content,)
    if order.deed == "fail" and not config.cure.exists():
        return [], Outcome(one.dataset, one.media, "failed", inputs, error="ToyError", message="as ordered")
    kept = range(1, order.frames) if order.deed == "drop" else range(order.frames)
    reasons = ((0, "dropped", "as_ordered"),) if order.deed == "drop" else ()
    if order.deed == "leak":
        reasons = ((0, "dropped", "as_ordered"),)
    rows = [_row(one, frame) for frame in kept]
    outcome = Outcome(
        one.dataset,
        "another" if order.deed == "rename" else one.media,
        "ok",
        inputs,
        planned=order.frames,
        ok=len(rows),
        dropped=len(reasons),
        reasons=reasons,
        rows_digest=digest([row["text"] for row in rows]),
        facts={"sha256": order.content},
    )
    return rows, outcome


def _row(one: Item, frame: int) -> dict[str, Any]:
    text = f"{one.media} {frame} {one.payload.content}"
    context = None if frame else b""
    place = {"dataset": one.dataset, "media": one.media, "frame": frame, "face": 0}
    return {**place, "text": text, "image": text.encode() * 5, "context": context}


def identify(one: Item) -> tuple[tuple[str, ...], dict[str, Any]]:
    return (one.payload.content,), {"sha256": one.payload.content}


STAGE = Stage("toy", 1, run, SCHEMA, blobs=("image", "context"), identify=identify)
BASE = ingredients(STAGE, {"size": 1})


class Bench:
    """A work folder, and the toy stage run in it."""

    def __init__(self, folder: Path) -> None:
        self.config = Config(folder / "calls.txt", folder / "cure")
        self.store = Store.open(folder / "work")

    def run(self, *units: Unit, engine: Any, base: dict[str, Any] = BASE, **options: Any) -> dict[str, Record]:
        options = {"progress": Silent(), "time_limit": None, **options}
        return run_units(STAGE, base, units, self.config, store=self.store, engine=engine, **options)

    def calls(self) -> list[str]:
        """The media that were processed since the last time this was asked."""
        if not self.config.calls.exists():
            return []
        lines = self.config.calls.read_text().splitlines()
        self.config.calls.unlink()
        return [line.split()[0] for line in lines]

    def files(self, record: Record) -> dict[str, bytes]:
        return {name: self.store.path(record, name).read_bytes() for name in record.files}
