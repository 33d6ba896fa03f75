"""Groups: what must stay on one side of a split, as connected components of links between media."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def join(members: Iterable[str], links: Iterable[Sequence[str]]) -> dict[str, str]:
    """The anchor of every member: the smallest member (by code point) of its group.

    `links`: each names two or more things that belong together. A name that is no member (an identity, a real that
    is not in the download) still connects what it is linked to, but is neither an anchor nor in the result. Members
    without a link are their own group. The result does not depend on the order of members or links; a group keeps
    its anchor as it grows unless a smaller member joins it. About 3 s for a million members and links.
    """
    names = sorted(set(members))
    index = {name: position for position, name in enumerate(names)}
    parents = list(range(len(names)))
    for link in links:
        _unite([_position(name, index, parents) for name in link], parents)
    return {name: names[_root(position, parents)] for position, name in enumerate(names)}


def _position(name: str, index: dict[str, int], parents: list[int]) -> int:
    """Where the name stands; names that are no member get positions after all members, so they never lead a group."""
    position = index.get(name)
    if position is None:
        position = index[name] = len(parents)
        parents.append(position)
    return position


def _unite(positions: list[int], parents: list[int]) -> None:
    roots = [_root(position, parents) for position in positions]
    smallest = min(roots, default=0)
    for root in roots:
        parents[root] = smallest


def _root(position: int, parents: list[int]) -> int:
    while (parent := parents[position]) != position:
        parents[position] = position = parents[parent]
    return position
