"""A dataset's folder on a disk: everything below it, links with care, and reading that no link leads astray.

A link is followed where it leads to a file of the dataset's own folder, or into a folder that was allowed. What it leads to
is noted with all links resolved, and that is what is opened later: the link itself is never asked again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from mmidd.errors import DataError, UnreadableMedia, told
from mmidd.raw.junk import is_litter
from mmidd.raw.store import Listed, Seen

OUTSIDE = "link that leaves the dataset's root"
FOLDER = "link to a folder: not followed"
NOTHING = "link to nothing"
LOOP = "link to a folder that it lies in"
AGAIN = "link to a folder that another link leads to"


def listed(root: Path, allowed: Sequence[Path] = ()) -> Listed:
    """All files below a folder; links that lead into one of the folders `allowed` (resolved ones) are followed.

    Raises DataError if the folder cannot be read.
    """
    found = _Found(root.resolve(), tuple(allowed))
    for entry, relative, real in _entries(root, found):
        try:
            relative.encode()
        except UnicodeEncodeError:
            found.refused[shown(relative)] = "name is not UTF-8"
            continue
        seen = _look(entry, relative, real, found)
        if isinstance(seen, str):
            found.refused[relative] = seen
        else:
            found.files[relative] = seen
    return Listed(found.files, found.refused, tuple(sorted(found.empty)), found.litter, found.at, found.links)


@dataclass
class _Found:
    """What is gathered on the way; `inside` is the dataset's folder with all links resolved."""

    inside: Path
    allowed: tuple[Path, ...]
    files: dict[str, Seen] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    litter: int = 0
    at: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    followed: set[Path] = field(default_factory=set)

    def leads(self, target: Path) -> bool:
        """Is this a place that links may lead to?"""
        return any(target.is_relative_to(each) for each in (self.inside, *self.allowed))


@dataclass(frozen=True)
class _Folder:
    """A folder that is to be looked into: its place, its path from the root, and the folders whose links led there."""

    place: str
    relative: str
    chain: tuple[Path, ...] = ()


def _entries(root: Path, found: _Found) -> Iterator[tuple[os.DirEntry[str], str, Path | None]]:
    """Every entry below `root` that is no folder and no litter, with its path from there, and what a link leads to.

    No recursion: depth is the data's choice.
    """
    folders = [_Folder(os.fspath(root), "")]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder.place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if not folder.relative:
                raise DataError(f"cannot read {folder.place}: {error.strerror}") from error
            found.refused[shown(folder.relative)] = f"folder cannot be read: {told(error)}"
            continue
        seen = 0
        for entry in entries:
            relative = f"{folder.relative}/{entry.name}" if folder.relative else entry.name
            target = _resolved(entry.path) if entry.is_symlink() else None
            is_folder = entry.is_dir(follow_symlinks=False) if target is None else target.is_dir()
            if is_litter(f"{entry.name}/" if is_folder else entry.name):
                found.litter += _count(entry)
                continue
            seen += 1
            if is_folder and target is not None:
                below = _below(target, folder, relative, found)
                folders += [below] if below else []
            elif is_folder:
                folders.append(_Folder(entry.path, relative, folder.chain))
            else:
                yield entry, relative, target
        if folder.relative and not seen:
            found.empty.append(shown(folder.relative))


def _resolved(path: str) -> Path | None:
    """What a link leads to in the end; None where that is nothing, or goes round in a circle."""
    try:
        return Path(path).resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def _below(target: Path, folder: _Folder, relative: str, found: _Found) -> _Folder | None:
    """The folder that a link leads to, if it is to be looked into; else why not is noted."""
    here = Path(os.path.realpath(folder.place))
    chain = (*folder.chain, here)
    loop = any(each.is_relative_to(target) for each in chain)
    if not found.leads(target):
        why = OUTSIDE
    elif not found.allowed:
        why = FOLDER
    elif loop:
        why = LOOP
    elif target in found.followed:
        why = AGAIN
    else:
        found.followed.add(target)
        found.at[relative] = os.fspath(target)
        return _Folder(os.fspath(target), relative, chain)
    found.refused[shown(relative)] = why
    if why in (OUTSIDE, FOLDER) and not loop:
        found.links[shown(relative)] = os.fspath(target)
    return None


def _look(entry: os.DirEntry[str], relative: str, target: Path | None, found: _Found) -> Seen | str:
    """What there is to know of a file, or why it is refused."""
    if entry.is_symlink():
        if target is None:
            return NOTHING
        if not found.leads(target):
            found.links[relative] = os.fspath(target)
            return OUTSIDE
    try:
        about = target.stat() if target is not None else entry.stat(follow_symlinks=False)
    except OSError as error:
        return f"cannot be read: {told(error)}"
    if not stat.S_ISREG(about.st_mode):
        return "not a regular file"
    if target is not None:
        found.at[relative] = os.fspath(target)
    return Seen(about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def _count(entry: os.DirEntry[str]) -> int:
    """How many files of litter there are: in a folder, those of its whole tree that can be seen."""
    if not entry.is_dir(follow_symlinks=False):
        return 1
    return sum(len(files) for _, _, files in os.walk(entry.path)) or 1


def open_inside(root: Path, path: Path) -> BufferedReader:
    """Open a file of a dataset, if it lies where it was listed: below its root, or, where the listing followed a link and so
    names the place in full, there. What was opened is compared with what lies there, so that a link which came in between is
    noticed.

    Raises UnreadableMedia for a file that leads elsewhere, OSError.
    """
    file = path.open("rb")
    try:
        check_inside(root, path, os.fstat(file.fileno()))
    except BaseException:
        file.close()
        raise
    return file


def check_inside(root: Path, path: Path, opened: os.stat_result | None = None) -> None:
    """See `open_inside`; for who opens it another way. Raises UnreadableMedia, OSError."""
    real = Path(os.path.realpath(path))
    inside = real.is_relative_to(os.path.realpath(root)) or real == path
    if not inside or (opened is not None and not os.path.samestat(opened, real.lstat())):
        raise UnreadableMedia("it is a link by now that leads elsewhere; run the same command again to list it anew")


def shown(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
