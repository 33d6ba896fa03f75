"""A lock ends with the process that took it, whoever it started meanwhile."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from mmidd.engine.lock import held


def test_a_worker_that_outlives_its_killed_parent_holds_no_lock(tmp_path: Path) -> None:
    place, reader, writer = tmp_path / ".lock", *os.pipe()
    parent = os.fork()
    if parent == 0:
        with held(place, RuntimeError):
            worker = os.fork()
            if worker == 0:
                time.sleep(60)
                os._exit(0)
            os.write(writer, str(worker).encode())
            time.sleep(60)
        os._exit(0)
    worker = int(os.read(reader, 20))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    try:
        with held(place, RuntimeError) as locks:
            assert locks
    finally:
        os.kill(worker, signal.SIGKILL)
    assert not place.exists()
