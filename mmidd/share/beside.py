"""A folder that is written beside its place and moved there in one step: nobody else writes it, nothing is overwritten."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmidd.engine.files import disk_errors, fsync_folder
from mmidd.engine.lock import held
from mmidd.errors import MmiddError


@contextmanager
def alone(out: Path, what: str, error: type[MmiddError]) -> Iterator[None]:
    """Nobody else writes this place: raises `error` where another process does. `what` is written: an export, an import."""

    def busy(holder: str) -> MmiddError:
        return error(f"another {what} is writing {out} ({holder}); wait until it has ended, or choose another --out")

    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with held(out.with_name(f".{out.name}.lock"), busy):
        yield


def move(building: Path, out: Path, what: str, error: type[MmiddError]) -> None:
    """Put the folder into its place; the system refuses one that was filled meanwhile, which raises `error`."""
    try:
        building.rename(out)
    except OSError as fault:
        if fault.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise error(f"{out} was filled while the {what} ran; nothing of it was touched. Choose another --out") from fault
    fsync_folder(out.parent)
