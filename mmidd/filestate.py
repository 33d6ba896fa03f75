"""What tells one state of a file from another."""

from __future__ import annotations

import os

State = tuple[int, ...]


def state(about: os.stat_result) -> State:
    """What differs between two files, or two states of one, as this machine sees them: one that was renamed over another
    has another number or change time, whatever size and modification time it was given."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns
