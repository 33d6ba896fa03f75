"""Scalars for TensorBoard, written at once and in this thread: a full disk is heard of, and workers are forked beside no
other thread (SummaryWriter has one that only prints what befalls it)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmidd.errors import MissingExtra


class Board:
    """One more file of events in a folder. What earlier files say of steps from `since` on is withdrawn."""

    def __init__(self, folder: Path, since: int) -> None:
        """Raises MissingExtra without tensorboard, OSError as the disk does."""
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise MissingExtra("train", "logging for TensorBoard") from error
        folder.mkdir(parents=True, exist_ok=True)
        now, told = time.time_ns(), "".join(c if c.isalnum() else "-" for c in socket.gethostname())
        path = folder / f"events.out.tfevents.{now // 10**9:010}.{told}.{os.getpid()}.{now % 10**9:09}"
        self._event, self._file = Event, path.open("xb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        if since:
            self._write(step=since, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """The values of a step, by name."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        found = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=found))

    def close(self) -> None:
        self._file.close()

    def _write(self, **event: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **event).SerializeToString())
        self._records.flush()
