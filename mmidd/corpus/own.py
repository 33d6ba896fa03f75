"""What in a corpus folder, and in the folders beside it, a build made: all else is the user's and is never deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path

from mmidd.corpus.about import MANIFEST, MOST_BYTES, parse
from mmidd.engine.faults import fault
from mmidd.engine.files import fsync_folder
from mmidd.errors import CorpusError

_MADE = re.compile(r"README\.md|media\.parquet|mmidd\.json|data/[^/]+\.parquet")
_HALF = re.compile(rf"(?:{_MADE.pattern})(?:\.tmp)?|[^/]*\.tmp")
"""What lies in a folder that is being built."""
_SHOWN = 5

Mine = Callable[[str], bool]


def made(folder: Path) -> Mine:
    """Was this file of a corpus (by its POSIX name) made by a build? What its `mmidd.json` lists; without one, what is named
    like what a build that was killed leaves."""
    listed = _listed(folder)
    if listed is None:
        return lambda name: _HALF.fullmatch(name) is not None
    return lambda name: name in listed and _MADE.fullmatch(name) is not None


def _listed(folder: Path) -> frozenset[str] | None:
    with suppress(OSError):
        if (folder / MANIFEST).stat().st_size <= MOST_BYTES:
            about = parse((folder / MANIFEST).read_bytes())
            return None if about is None else frozenset({*about.files, MANIFEST})
    return None


def is_version(folder: Path) -> bool:
    """Is this a whole version of a corpus, as its `mmidd.json` says?"""
    return not folder.is_symlink() and _listed(folder) is not None


def others(folder: Path, mine: Mine) -> list[str]:
    """What lies there beside `mine`, topmost, as POSIX names: files, links, and folders as a whole."""
    return [name for name, own in _entries(folder, mine) if not own]


def _entries(folder: Path, mine: Mine) -> Iterator[tuple[str, bool]]:
    """The entries of a corpus folder, and of its `data/`; and whether each is mine. A link is nobody's but the user's."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        inside = path.name == "data" and path.is_dir() and not path.is_symlink()
        for entry in sorted(path.iterdir()) if inside else (path,):
            name = entry.relative_to(folder).as_posix()
            if _is_there(entry):  # another build may be at work
                yield name, entry.is_file() and mine(name)


def check_ours(folder: Path) -> None:
    """Raises CorpusError if a folder beside a corpus, where the next version is built, is not one that a build made."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise CorpusError(f"{folder} is in the way, a link or a file that mmidd did not make; nothing was touched. Move it.")
    if is_version(folder):
        return  # what it does not list is the user's, and goes back to where it was
    if strange := others(folder, made(folder)):
        raise CorpusError(f"{folder} holds what mmidd did not make ({_told(strange)}); nothing was touched. Move it away.")


def carry_over(source: Path, target: Path) -> None:
    """Move what is the user's from one version of a corpus into another. Raises CorpusError where both have it."""
    found = others(source, made(source))
    if both := [name for name in found if _is_there(target / name)]:
        raise CorpusError(f"{source} and {target} both have {_told(both)}; look which is right, and move the other away")
    for name in found:
        (target / name).parent.mkdir(exist_ok=True)
        (source / name).rename(target / name)
        fault("carried", name)
    for folder in {target, *((target / name).parent for name in found)} if found else ():
        fsync_folder(folder)


def check_free(folder: Path, names: set[str]) -> None:
    """Raises CorpusError if a version of these files would hide what is the user's in a corpus."""
    mine = made(folder)
    top = {name.partition("/")[0] for name in names}
    if strange := [name for name in others(folder, mine) if name in names or name in top]:
        raise CorpusError(
            f"{folder} holds what mmidd did not make under a name that the next version needs ({_told(strange)}); nothing "
            "was touched. Move it away, or give it another name."
        )


def clear(folder: Path, keep: Container[str] = ()) -> None:
    """Remove what a build made, but what is to be kept; and the folder if nothing is left in it."""
    if folder.is_symlink() or not folder.is_dir():
        return
    mine = made(folder)
    for name, own in [*_entries(folder, mine)]:
        if own and name != MANIFEST and name not in keep:
            (folder / name).unlink(missing_ok=True)
    if MANIFEST not in keep and not others(folder, mine):
        (folder / MANIFEST).unlink(missing_ok=True)  # last: it says what is mmidd's
    for path in (folder / "data", folder):
        with suppress(OSError):
            path.rmdir()


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _told(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
