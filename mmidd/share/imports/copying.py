"""One file brought over: copied (sharing its blocks where the disk can) or linked, hashed, and its picture's header read."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import stat
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from mmidd.engine.faults import fault
from mmidd.share.imports.root import File

MOST_IMAGE_BYTES = 1 << 28
ENDINGS = {"PNG": "png", "JPEG": "jpg", "MPO": "jpg", "WEBP": "webp", "BMP": "bmp", "TIFF": "tiff"}
"""By what Pillow calls a picture; MPO is a JPEG with further ones behind it, as phones write them."""
_FICLONE = 0x40049409
_CANNOT = (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EACCES)
_PIECE = 1 << 22


class NotTaken(Exception):
    """Why a file was not brought over: the kind of finding, and words."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(what)
        self.check, self.what = check, what


@dataclass
class Copier:
    """Brings files into a folder and notes the digest of each. `linked`: how many became links; `size`: bytes in all."""

    root: Path
    link: bool
    digests: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0
    linked: int = 0
    _clones: bool = True
    _made: set[Path] = field(default_factory=set)

    def image(self, file: File, place: str) -> str:
        """Bring a picture to `place` with the ending that its bytes say; returns that name. Raises NotTaken."""
        with _opened(file) as source:
            if file.size > MOST_IMAGE_BYTES:
                raise NotTaken("unreadable image", f"more than {MOST_IMAGE_BYTES >> 20} MiB")
            data = source.read(MOST_IMAGE_BYTES + 1)
            if len(data) != file.size:
                raise NotTaken("changed file", "it changed while it was read")
            name = f"{place}.{_ending(data)}"
            self._bring(file, source, name, hashlib.sha256(data).hexdigest())
        return name

    def video(self, file: File, place: str) -> str:
        """Bring a video over under its own ending; returns its name. Raises NotTaken."""
        name = f"{place}.{file.path.rpartition('.')[2].lower()}"
        with _opened(file) as source:
            self._bring(file, source, name, _digest(source))
        return name

    def write(self, name: str, data: bytes) -> None:
        """A file of our own."""
        with self._target(name).open("xb") as target:
            target.write(data)
        self._note(name, hashlib.sha256(data).hexdigest(), len(data))

    def _bring(self, file: File, source: BinaryIO, name: str, sha256: str) -> None:
        target = self._target(name)
        if self.link and self._link(file, target):
            self.linked += 1
        else:
            with target.open("xb") as copy:
                if not self._cloned(source, copy):
                    source.seek(0)
                    while piece := source.read(_PIECE):
                        copy.write(piece)
        self._note(name, sha256, file.size)
        fault("imported", name)

    def _link(self, file: File, target: Path) -> bool:
        try:
            os.link(file.path, target)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            return False
        return True

    def _cloned(self, source: BinaryIO, copy: BinaryIO) -> bool:
        """Let both files share their blocks; the disk says once that it cannot."""
        if self._clones:
            try:
                fcntl.ioctl(copy.fileno(), _FICLONE, source.fileno())
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._clones = False
        return self._clones

    def _target(self, name: str) -> Path:
        path = self.root / name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        return path

    def _note(self, name: str, sha256: str, size: int) -> None:
        self.digests.append((name, sha256))
        self.size += size


def _digest(source: BinaryIO) -> str:
    found = hashlib.sha256()
    while piece := source.read(_PIECE):
        found.update(piece)
    return found.hexdigest()


def _opened(file: File) -> BinaryIO:
    """The file as it was found: no link, nothing but a file. Raises NotTaken."""
    try:
        handle = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotTaken("missing file", f"cannot be read: {error.strerror}") from error
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_size != file.size:
        os.close(handle)
        raise NotTaken("changed file", "it changed while it was read")
    if not file.size:
        os.close(handle)
        raise NotTaken("empty file", "it has no byte")
    return os.fdopen(handle, "rb")


def _ending(data: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[each for each in ENDINGS if each != "MPO"]) as picture:
                if not min(picture.size) or picture.format not in ENDINGS:
                    raise ValueError
                return ENDINGS[picture.format]
    except Exception as error:  # whatever a broken header makes of Pillow
        raise NotTaken("unreadable image", "its first bytes are of no PNG, JPEG, WebP, BMP or TIFF") from error
