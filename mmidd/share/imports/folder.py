"""The folder that an import fills: beside its target, marked from the first moment, proved, and moved into place at once."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmidd.engine.files import disk_errors, fsync_folder, sha256_file
from mmidd.engine.lock import held
from mmidd.errors import DataError

ABOUT, LIST = "import.json", "import.sha256"
_MOST_BYTES = 1 << 26


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Nobody else imports to the same place."""

    def busy(holder: str) -> DataError:
        return DataError(f"another import is writing {out} ({holder}); wait until it has ended, or choose another --out")

    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with held(out.with_name(f".{out.name}.lock"), busy):
        yield


def label(folder: Path) -> dict[str, Any] | None:
    """What a folder says of its import; None for one that no import wrote."""
    try:
        if not (folder / ABOUT).is_file() or (folder / ABOUT).stat().st_size > _MOST_BYTES:
            return None
        found = json.loads((folder / ABOUT).read_bytes())
        return found if isinstance(found, dict) and isinstance(found.get("input"), str) else None
    except (OSError, ValueError, RecursionError):
        return None


def prove(folder: Path, about: dict[str, Any]) -> None:
    """Raises DataError if a file is not as it was written."""
    try:
        sound = sha256_file(folder / LIST) == about.get("list_sha256")
        for line in (folder / LIST).read_text().splitlines() if sound else ():
            sha256, _, name = line.partition("  ")
            if (folder / name).is_symlink() or sha256_file(folder / name) != sha256:
                raise DataError(
                    f"{folder}: {name} is not as it was imported. Remove the folder, check the disk, import again"
                )
    except OSError as error:
        raise DataError(f"{folder} is not whole ({error.strerror}: {error.filename}); remove it and import again") from error
    if not sound:
        raise DataError(f"{folder}: {LIST} is not as it was written. Remove the folder, check the disk, import again")


def clear(building: Path) -> None:
    """Remove what a killed import left."""
    if building.is_symlink() or building.exists():
        ours = building.is_dir() and not building.is_symlink()
        begun = ours and all(path.suffix == ".tmp" for path in building.iterdir())
        if not ours or (not begun and label(building) is None):
            raise DataError(f"{building} is in the way and no import of mmidd wrote it; move it away")
        shutil.rmtree(building)


def move(building: Path, out: Path) -> None:
    """Put the folder into its place; the system refuses one that was filled meanwhile."""
    try:
        building.rename(out)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise DataError(f"{out} was filled while the import ran; nothing of it was touched. Choose another --out") from error
    fsync_folder(out.parent)
