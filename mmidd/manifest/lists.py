"""What came of each label file: how many of its rows name media that are here, and whether its word is the whole word.

A list that says nothing of a dataset (a pointer, a page of HTML, an empty file) must not be taken for one that leaves
everything out: where the manifest gives unlisted media a value, such a file is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mmidd.errors import ManifestError
from mmidd.manifest.tables import LabelFile, Table, TableSpec


@dataclass(frozen=True)
class Listed:
    """One label file: `rows` that were read from the bytes of `sha256`, those of them that name media that are `here`, and
    those that are `strange`: they can name no medium of the dataset. `expected` are the official file's rows.

    Of its table: `unnamed` media asked it for a row and got none; `rest`: the manifest says what those are. `partial`: it
    is not known to be the whole official list, so no split is official by it.
    """

    table: str
    path: str
    sha256: str
    rows: int
    here: int
    strange: int
    expected: int | None
    unnamed: int
    rest: bool
    partial: bool
    notes: tuple[str, ...]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Listed:
        """From what an index's commit holds of it."""
        return cls(**{**facts, "notes": tuple(facts["notes"])})

    @property
    def sound(self) -> bool:
        """Is there nothing to tell a person of it?"""
        return not (self.partial or self.notes or (self.unnamed and not self.rest))

    def __str__(self) -> str:
        """In words, with the way out where it is not sound."""
        official = f" (the official file has {self.expected:,})" if self.expected not in (None, self.rows) else ""
        told = [f"{self.path}: {self.here:,} of {self.rows:,} rows{official} name media that are here"]
        if self.strange:
            told.append(f"{self.strange:,} rows can name none")
        if self.unnamed and (self.partial or not self.rest):
            told.append(f"{self.unnamed:,} media are in no row of table '{self.table}'")
        told += self.notes
        if self.partial:
            told.append("no split is official by it, and what it does not name is split by hash; download it again")
        return "; ".join(told)


def with_shortness(table: Table) -> Table:
    """The table, marked where it has fewer different rows that can name media than the official files."""
    spec = table.spec
    found: dict[str, int] = dict.fromkeys(spec.expects, 0)
    for file in table.files:
        official = _official(spec, file.path)
        if official is not None:
            strange = set(strange_rows(spec, file, ()))
            rows = {keys for number, keys in enumerate(file.keys) if number not in strange}
            found[official] = max(found[official], len(rows))
    return replace(table, short=any(found[path] < count for path, count in spec.expects.items()))


def judge(table: Table, hits: Collection[str], unnamed: int, *, consulted: bool) -> tuple[Listed, ...]:
    """What came of each file of a table. `hits` are the keys with a row that files on disk asked for, `unnamed` counts the
    media that asked in vain; `consulted`: media asked at all.

    Raises ManifestError for a file that unlisted media would be believed by, and that names nothing of the dataset, or was
    cut within a line.
    """
    spec = table.spec
    rest = any(value is not None for value in (spec.unlisted or {}).values())
    partial = bool(table.files) and spec.unlisted is not None and (table.short or (unnamed > 0 and not rest))
    found = []
    for file in table.files:
        strange = strange_rows(spec, file, hits)
        if consulted and spec.unlisted is not None:
            _refuse(spec, file, strange, 0 if rest else unnamed)
        here = sum(any(key in hits for key in keys) for keys in file.keys)
        official = _official(spec, file.path)
        expected = None if official is None else spec.expects[official]
        found.append(
            Listed(
                spec.name, file.path, file.sha256, len(file.keys), here, len(strange), expected, unnamed, rest, partial,
                file.notes,
            )
        )  # fmt: skip
    short = any(each.expected is not None and each.rows - each.strange < each.expected for each in found)
    if consulted and found and not hits and (short or (rest and not spec.expects)):
        rows = sum(each.rows for each in found)
        raise ManifestError(
            f"{', '.join(each.path for each in found)}: none of the {rows:,} rows names a medium that is here "
            f"(table '{spec.name}'); download it again, or remove it: then it says nothing of any medium"
        )
    return tuple(found)


def strange_rows(spec: TableSpec, file: LabelFile, hits: Collection[str]) -> list[int]:
    """The rows that can name no medium of the dataset, by their place. `hits` are keys that are known to name one.

    Keys that are made of the same names are spellings of one medium, of which one must do; others stand for one each.
    """
    if not spec.forms:
        return []
    spellings: dict[tuple[str, ...], list[int]] = {}
    for place, template in enumerate(spec.keys):
        spellings.setdefault(template.names, []).append(place)

    def fits(key: str | None) -> bool:
        return key is not None and (key in hits or spec.can_name(key))

    return [
        number
        for number, keys in enumerate(file.keys)
        if not all(any(fits(keys[place]) for place in places) for places in spellings.values())
    ]


def _refuse(spec: TableSpec, file: LabelFile, strange: list[int], unnamed: int) -> None:
    """`unnamed` media should be named and are not."""
    if len(strange) == len(file.keys):
        first = next((key for keys in file.keys for key in keys if key is not None), None)
        what = f"names nothing of this dataset in its {len(file.keys):,} rows" if file.keys else "has no rows"
        page = first is not None and first.casefold().startswith(("<!doctype", "<html"))
        like = " (it is a web page)" if page else f" (the first is {first[:60]!r})" if first is not None else ""
        raise ManifestError(
            f"{file.path}: {what}{like}; is it the official file (table '{spec.name}')? Download it again, or remove it: "
            "then it says nothing of any medium"
        )
    last = len(file.keys) - 1
    cut_name = [number for number in strange if number] == [last]
    if file.open_end and not spec.lists_more and (cut_name or unnamed):
        raise ManifestError(
            f"{file.path}: ends within a line (row {last + 1:,}), and more may be missing: was it cut? Download it again; "
            "if it is whole, end its last line"
        )


def _official(spec: TableSpec, path: str) -> str | None:
    """The official path of a label file that `expects` knows: of another variant, the one with the same fields."""
    fields = spec.fields_of(path)
    return next((each for each in spec.expects if each == path or spec.fields_of(each) == fields), None)
