"""Which rows are meant: values of columns, classes by name; names that are not there, with the nearest that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmidd.errors import CorpusError
from mmidd.schema import BY_NAME


def values_of(name: str, found: Any) -> pa.Array:
    """The values that a row may hold in a column; classes by name or number."""
    several = [found] if found is None or isinstance(found, str | bytes) or not isinstance(found, Iterable) else list(found)
    classes = BY_NAME[name].classes
    for value in several:
        if classes and isinstance(value, str) and value not in classes:
            raise CorpusError(f"where: {unknown(name, value, classes)}")
    try:
        return pa.array([classes.index(v) if classes and isinstance(v, str) else v for v in several], BY_NAME[name].type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise CorpusError(f"where: column {name!r} holds {BY_NAME[name].type}, not such as {several[0]!r}") from error


def kept(table: pa.Table, values: Mapping[str, pa.Array]) -> pa.Table:
    """The rows that hold one of the values in each of these columns."""
    for name, held in values.items():
        try:
            table = table.filter(pc.is_in(table[name], held))
        except pa.ArrowException as error:
            raise CorpusError(f"where: rows cannot be chosen by column {name!r}, which holds {held.type}") from error
    return table


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not there."""
    near = get_close_matches(str(name), list(known), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"{what} {name!r}: unknown; {hint}"
