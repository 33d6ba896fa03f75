"""The folder that an import fills: beside its target, marked from the first moment, and proved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from mmidd.engine.files import sha256_file
from mmidd.errors import DataError

ABOUT, LIST = "import.json", "import.sha256"
_MOST_BYTES = 1 << 26


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
