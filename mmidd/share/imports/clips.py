"""Clips of several lists as one set: the same clip once, and pairs between those that are here."""

from __future__ import annotations

from mmidd.manifest.accounting import Split
from mmidd.share.imports.names import clip
from mmidd.share.imports.protocol import Item, Notes

STRICT: tuple[Split | None, ...] = ("test", "validation", "train", None)
"""Which split a clip of several keeps: what was ever tested on must not be trained on."""


def once(items: list[Item], notes: Notes) -> list[Item]:
    """Clips that show one file are one: the first stays, and two that say other things of it are none."""
    owners: dict[str, Item] = {}
    gone: set[int] = set()
    for item in items:
        rivals = {id(owner): owner for file in item.files.values() if (owner := owners.get(file.path)) is not None}
        paths = {file.path for each in (item, *rivals.values()) for file in each.files.values()}
        first: Item | None = None
        for other in rivals.values():  # several: the new clip shows that they are one
            if not _is_one(first or other, other if first else item, gone, notes):
                break
            first = first or other
        if first is not None:
            owners |= dict.fromkeys(paths, first)
        for file in item.files.values():
            owners.setdefault(file.path, item)
    return [item for item in items if id(item) not in gone]


def _is_one(first: Item, second: Item, gone: set[int], notes: Notes) -> bool:
    """Two clips that show one file: is the second the first once more? Then it is taken up by that."""
    where = ("/".join(first.key), "/".join(second.key))
    if id(first) in gone:  # owners that are gone contradicted others
        notes.add("two labels", "the same files as of clips that contradict each other; it was not imported", *where)
        gone.add(id(second))
        return False
    methods = {each.method for each in (first, second) if each.method is not None}
    if first.label != second.label or len(methods) > 1:
        what = "two labels" if first.label != second.label else "two methods"
        notes.add(what, "the same files; neither was imported", *where)
        gone.update((id(first), id(second)))
        return False
    gone.add(id(second))
    first.method, first.type = first.method or second.method, first.type or second.type
    first.masks = first.masks or second.masks
    first.files = dict(sorted({**second.files, **first.files}.items()))
    splits = {first.split, second.split}
    first.split = next(each for each in STRICT if each in splits)
    told = "" if len(splits) == 1 else f"; of its splits {first.split} counts"
    notes.add("same clip twice", f"the first is imported{told}", *where)
    return True


def pair(items: list[Item]) -> None:
    """Identities, and pairs with reals that are here, by the grammar of the clips' names."""
    reals: dict[tuple[str | None, str, str | None], Item] = {}
    for item in items:
        if item.label == "real":
            for dataset in (item.key[0], None):
                reals.setdefault((dataset, item.name, item.compression), item)
    for item in items:
        said = clip(item.key[1], item.key[0], item.name, item.label)
        if said is None:
            continue
        if said.real is not None:
            near, far = ((dataset, said.real, item.compression) for dataset in (item.key[0], None))
            real = reals.get(near) or reals.get(far)
            real_said = real and clip(real.key[1], real.key[0], real.name, "real")
            if real is None or real_said is None or real_said.target != said.target:
                continue
            item.pair = real.key
        item.target, item.source, item.join = said.target, said.source, said.join
