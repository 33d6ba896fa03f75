"""Files that are either whole or absent: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmidd.engine.faults import fault
from mmidd.engine.temporary import temporary as _temporary
from mmidd.errors import WorkError, reason

GO_ON = "Mend it, then run the same command to go on."
ANEW = "Mend it, remove what was written, and run the same command: it begins anew."


def digest(*parts: Any) -> str:
    """32 hex digits over the canonical JSON of `parts`: equal parts, equal digest."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON with sorted keys and no white space: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable; file systems that cannot are left as they are."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def write_whole(write: Callable[[Path], Path], *, scratch: Path) -> Path:
    """Let `write` fill a temporary file in `scratch` and name its place (same file system); move it there for good."""
    temporary = _temporary(scratch)
    with disk_errors(scratch):
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            path = write(temporary)
            fault("written", path, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            path.parent.mkdir(parents=True, exist_ok=True)
            fault("before_rename", path)
            temporary.replace(path)
            fault("renamed", path)
            fsync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str, *, scratch: Path) -> None:
    """Replace a text file as a whole."""

    def write(temporary: Path) -> Path:
        temporary.write_text(text, encoding="utf-8")
        return path

    write_whole(write, scratch=scratch)


def put_if_absent(path: Path, data: bytes, *, scratch: Path) -> bool:
    """Create `path` with `data` in one step; False when somebody was first.

    A hard link decides; on a file system without them O_EXCL does.
    """
    temporary = _temporary(scratch)
    with disk_errors(path):
        scratch.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fault("before_record", path)
            _write_synced(temporary, data, "wb")
            fault("record_written", path, temporary)
            try:
                fault("link", path)
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                    raise
                try:
                    _write_synced(path, data, "xb")
                except FileExistsError:
                    return False
            fault("recorded", path, path)
            fsync_folder(path.parent)
            return True
        finally:
            temporary.unlink(missing_ok=True)


def _write_synced(path: Path, data: bytes, mode: str) -> None:
    with path.open(mode) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def disk_errors(path: Path, then: str = GO_ON) -> Iterator[None]:
    """Turn what a disk can do to us into one clear error: it stops the build and charges no medium. `then`: the way out."""
    try:
        yield
    except OSError as error:
        why = reason(error)
        if why is None:
            raise
        raise WorkError(f"cannot write {path}: {why}. {then}") from error
