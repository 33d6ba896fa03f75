"""Where a foreign list's folders are below the root: of each path the longest tail that is a folder here."""

from __future__ import annotations

from collections.abc import Iterable

from mmidd.share.imports.protocol import Notes
from mmidd.share.imports.root import File, Refused, Root, split_path


class Ambiguous(Exception):
    """Two listed folders are one here: nobody can tell whose its files are."""


class Tails:
    """Where the listed folders are below the root: of each the longest tail that is there."""

    def __init__(self, root: Root, notes: Notes) -> None:
        self.root, self.notes = root, notes
        self._found: dict[str, tuple[str, ...] | None] = {}
        self._without: dict[str, str] = {}
        self._ambiguous: set[tuple[str, ...]] = set()

    def learn(self, source: str, paths: Iterable[str]) -> None:
        """Look every folder up that a list's paths lie in. Two of them that would be one here are none."""
        written: dict[tuple[str, ...], str] = {}
        for text in dict.fromkeys(map(folder_of, paths)):
            place = self._place(text)
            first = written.setdefault(place, text) if place is not None else text
            if place is not None and _normal(first) != _normal(text):
                self._ambiguous.add(place)
                self.notes.add("ambiguous place", f"listed in {source} as another folder too", text, first)

    def _place(self, text: str) -> tuple[str, ...] | None:
        if text not in self._found:
            self._found[text] = None
            try:
                parts = split_path(f"{text}/_", foreign=True)[:-1]
            except Refused:
                return None
            for begin in range(len(parts) or 1):
                try:
                    there = self.root.place(parts[begin:])
                except Refused:
                    continue
                if there is not None:
                    self._found[text] = parts[begin:]
                    self._without[text] = "/".join(parts[:begin])
                    break
        return self._found[text]

    def file(self, path: str) -> File:
        """The file that a listed path means. Raises Ambiguous, Refused, and FileNotFoundError."""
        name = split_path(path, foreign=True)[-1]
        place = self._place(folder_of(path))
        if place in self._ambiguous:
            raise Ambiguous
        folder = None if place is None else self.root.folder(place)
        found = None if folder is None else folder.file(name)
        if found is None:
            raise FileNotFoundError
        self.notes.mapped[self._without[folder_of(path)]] += 1
        return found


def folder_of(path: str) -> str:
    """A listed path without its name, as it is written."""
    return path[: max(path.rfind("/"), path.rfind("\\"), 0)]


def _normal(text: str) -> tuple[str, ...]:
    return split_path(f"{text}/_", foreign=True)
