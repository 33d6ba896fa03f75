"""Where imported media lie: names of plain words from what the lists call them, with a digest where two would clash."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from mmidd.share.imports.protocol import Item

_FOLDERS = {"frames": "clips", "image": "images", "video": "videos"}
MASKS = "masks"
_MOST = 80


def slug(text: str) -> str:
    """Letters, digits, - and _ alone, beginning with a letter or digit; empty where nothing of the text is left."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_")[:_MOST].rstrip("-_")


def slugs(texts: Iterable[str]) -> dict[str, str]:
    """A name of its own for each text, in upper and lower case too."""
    distinct = dict.fromkeys(texts)
    counts = Counter(slug(text).casefold() for text in distinct)
    found = {}
    for text in distinct:
        plain = slug(text)
        alone = plain and counts[plain.casefold()] == 1 and len(plain) < _MOST
        found[text] = plain if alone else _hashed(plain, text)
    return found


def _hashed(plain: str, text: str) -> str:
    """A name that no text has by itself: a slug has no two dashes in a row."""
    return f"{plain[:60].rstrip('-_') or 'x'}--{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def place(items: Sequence[Item]) -> list[tuple[str, Item]]:
    """Every medium with its place below the dataset, without an ending, in the order of places."""
    groups = slugs(item.group for item in items)
    compressions = slugs(item.compression for item in items if item.compression)
    taken: Counter[str] = Counter()
    wanted = []
    for item in items:
        middle = (compressions[item.compression],) if item.compression else ()
        folder = "/".join((_FOLDERS[item.kind], *middle, groups[item.group]))
        name = slug(item.name)
        taken[f"{folder}/{name}".casefold()] += 1
        wanted.append((folder, name, item))
        item.compression = compressions[item.compression] if item.compression else None
    found = []
    for folder, name, item in wanted:
        alone = name and taken[f"{folder}/{name}".casefold()] == 1 and len(name) < _MOST
        found.append((f"{folder}/{name if alone else _hashed(name, item.place)}", item))
    return sorted(found, key=lambda each: each[0])


def masks_of(place: str) -> str:
    """Where the masks of a medium lie."""
    return f"{MASKS}/{place.partition('/')[2]}"
