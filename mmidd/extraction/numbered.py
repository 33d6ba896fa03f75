"""A medium's files as its frames need them: a numbered image as a frame, an open file closed at the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from mmidd.errors import ChangedMedia, MediaError, TooLargeMedia
from mmidd.video import Frame, Pixels, Still, read_still


def numbered(number: int, read: Callable[[int], bytes]) -> tuple[Frame, Still | None]:
    """The frame of that number, whose file's bytes `read` gives, and the image as it was read; where it cannot be decoded a
    lost frame, with why, and None. Raises ChangedMedia."""
    try:
        still = read_still(read(number))
    except ChangedMedia:
        raise
    except TooLargeMedia:
        return Frame(number, None, None, "too_large_frame"), None
    except MediaError:
        return Frame(number, None, None, "undecodable_frame"), None
    return Frame(number, None, Pixels(still.image)), still


def closed(video: Path | BinaryIO) -> AbstractContextManager[Path | BinaryIO]:
    """The file, closed at the end if it is an open one."""
    return nullcontext(video) if isinstance(video, Path) else video
