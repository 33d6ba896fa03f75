"""Which method made a fake, and of which type that is: by the registry, else by what the list or whoever imports says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from mmidd.errors import UsageError
from mmidd.manifest.methods import ForgeryType, Methods, lasting
from mmidd.share.imports.protocol import Item, Notes

MOST = 1000
_NONE = ("-", "unknown", "none", "null", "nan", "fake")
UNNAMED = "unnamed {}"
"""The method of fakes of which the type alone is known."""


def settle(items: Sequence[Item], given: Mapping[str, ForgeryType], notes: Notes) -> dict[str, ForgeryType]:
    """Give every fake the method that the corpus will name, or None where its type is not known. Returns the methods that
    mmidd does not know, each with its type. Raises UsageError for too many, and for a type that nobody asked for."""
    methods = lasting()
    named = _named([item for item in items if item.label == "fake"], methods)
    if idle := sorted(set(given) - set(named)):
        known = methods.find(idle[0])
        why = f"mmidd knows it, as {known.kind}" if known is not None else "no fake is by it"
        raise UsageError(f"--method {idle[0]}: {why}; there are: {', '.join(sorted(named)) or 'none without a type'}")
    own: dict[str, ForgeryType] = {}
    for name, fakes in sorted(named.items()):
        said = {item.type for item in fakes if item.type is not None}
        kind = given.get(name) or (next(iter(said)) if len(said) == 1 else None)
        if kind is not None:
            own[name] = kind
            continue
        if said:
            notes.add(
                "two types of a method", f"listed as {' and '.join(sorted(said))}; it is not named, each has its own", name
            )
        else:
            told = f"{len(fakes)} fakes are of unknown type, and so of method unknown; --method NAME=FS|FR|EFS|FE says it"
            notes.add("method without a type", told, name)
        for item in fakes:
            item.method = None
    for item in items:
        if item.label == "fake" and item.method is None and item.type is not None:
            item.method = UNNAMED.format(item.type)
            own[item.method] = item.type
    _contradictions(items, methods, notes)
    if len(own) > MOST:
        raise UsageError(f"the lists name {len(own)} methods that mmidd does not know; at most {MOST} are taken")
    return own


def _named(fakes: Sequence[Item], methods: Methods) -> dict[str, list[Item]]:
    """Fakes by methods that the registry does not know. Spellings that differ in case are one, the first."""
    spelled: dict[str, str] = {}
    found: dict[str, list[Item]] = defaultdict(list)
    for item in fakes:
        if item.method is None or item.method.casefold() in _NONE:
            item.method = None
        elif (known := methods.find(item.method)) is not None:
            item.method = known.id
        else:
            item.method = spelled.setdefault(item.method.casefold(), item.method)
            found[item.method].append(item)
    return dict(found)


def _contradictions(items: Sequence[Item], methods: Methods, notes: Notes) -> None:
    other: Counter[tuple[str, str, str]] = Counter()
    for item in items:
        known = methods.find(item.method) if item.method else None
        if known is not None and item.type not in (None, known.kind):
            other[known.id, known.kind, str(item.type)] += 1
    for (name, kind, said), count in sorted(other.items()):
        notes.add("other type", f"{count} fakes are listed as {said}; {kind}, as mmidd knows it, counts", name)
