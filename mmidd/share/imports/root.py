"""Files below a folder, asked for by names that strangers wrote: nothing outside it is ever given."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmidd.errors import DataError
from mmidd.manifest.layout import path_fault
from mmidd.media import composed

MOST_CHARACTERS = 4096
MOST_FOLDERS = 256
"""Folders whose names are held at once: lists go through them one after the other."""
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp")


class Refused(Exception):
    """Why a path cannot be taken; the words are for people."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file below the root, links resolved, and its size in bytes when it was looked at."""

    path: str
    size: int


class Folder:
    """What lies in a folder of the root: files by name, and the names of folders. A link counts as what it leads to."""

    def __init__(self, place: str, root: str) -> None:
        self._place, self._root = place, root
        try:
            with os.scandir(place) as entries:
                self._entries = {entry.name: entry for entry in entries}
        except OSError as error:
            raise Refused(f"the folder cannot be read ({error.strerror})") from error

    @cached_property
    def _composed(self) -> Mapping[str, str]:
        return {composed(name): name for name in self._entries}

    def file(self, name: str) -> File | None:
        """The file of a name, in its Unicode form or another; None where there is none. Raises Refused for a link that
        leaves the root, and for what is no regular file."""
        found = name if name in self._entries else self._composed.get(composed(name))
        if found is None:
            return None
        entry = self._entries[found]
        try:
            path = entry.path
            if entry.is_symlink():
                path = os.path.realpath(path)
                if not path.startswith(self._root):
                    raise Refused("a link that leads out of the folder of images")
            about = os.stat(path)  # noqa: PTH116 (millions of them)
        except OSError:
            return None
        if stat.S_ISDIR(about.st_mode):
            return None
        if not stat.S_ISREG(about.st_mode):
            raise Refused("no regular file")
        return File(path, about.st_size)

    def files(self) -> list[str]:
        """The names of its files, links too."""
        return sorted(name for name, entry in self._entries.items() if not _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


class Root:
    """The folder that all files lie below."""

    def __init__(self, folder: Path) -> None:
        self.path = os.path.realpath(folder)
        if not os.path.isdir(self.path):  # noqa: PTH112
            raise DataError(f"--images {folder} is no folder; name the one that the listed files lie below")
        self._inside = self.path.rstrip("/") + "/"
        self._places: dict[tuple[str, ...], str | None] = {}
        self._folders: dict[tuple[str, ...], Folder] = {}

    def place(self, parts: tuple[str, ...]) -> str | None:
        """Where a folder below the root is, links resolved; None where there is none. Raises Refused for one that links lead
        out to."""
        if parts not in self._places:
            place = os.path.realpath("/".join((self.path, *parts)))
            if place != self.path and not place.startswith(self._inside):
                raise Refused("a link that leads out of the folder of images")
            self._places[parts] = place if os.path.isdir(place) else None  # noqa: PTH112
        return self._places[parts]

    def folder(self, parts: tuple[str, ...]) -> Folder | None:
        """What lies in a folder below the root; None where there is none. Raises Refused as `place` and `Folder` do."""
        if parts not in self._folders:
            place = self.place(parts)
            if place is None:
                return None
            while len(self._folders) >= MOST_FOLDERS:
                del self._folders[next(iter(self._folders))]
            self._folders[parts] = Folder(place, self._inside)
        return self._folders[parts]

    def file(self, parts: tuple[str, ...]) -> File | None:
        """A file below the root; None where there is none. Raises Refused as `folder` and `Folder.file` do."""
        folder = self.folder(parts[:-1])
        return None if folder is None else folder.file(parts[-1])


def is_sane(text: str) -> bool:
    """Can a text from outside stand in a table, a name or a message? No control or invisible character, no half one."""
    return (text.isascii() and text.isprintable()) or not any(unicodedata.category(each) in _CONTROL for each in text)


def split_path(text: str, *, foreign: bool) -> tuple[str, ...]:
    """The parts of a listed path. Of a `foreign` one (of another machine) those after its drive, its root and its last `..`;
    of another one all. Raises Refused for what can be no path below a root."""
    if len(text) > MOST_CHARACTERS or not is_sane(text):
        raise Refused("too long a path" if len(text) > MOST_CHARACTERS else "a path with control characters")
    parts = [part for part in (text.replace("\\", "/") if foreign else text).split("/") if part not in ("", ".")]
    if foreign:
        last = max((place for place, part in enumerate(parts) if part == ".."), default=-1)
        parts = parts[last + 1 :]
        parts = parts[1:] if parts and _DRIVE.fullmatch(parts[0]) else parts
    elif text.startswith("/") or ".." in parts:
        raise Refused("a path that is absolute or leaves the folder of images")
    if not parts or (fault := path_fault("/".join(parts))) is not None:
        raise Refused(fault if parts else "an empty path")
    return tuple(parts)
