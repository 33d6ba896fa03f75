"""Groups: what must stay on one side of a split, as connected components of links between media."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def join(members: pa.Array, left: pa.Array, right: pa.Array) -> pa.Array:
    """The anchor of every member: the smallest member (by code point) of its group. All are columns of text.

    What `left` and `right` name in one row belongs together. A name that is no member (an identity, a real that is not in
    the download) still connects what it is linked to, but is never an anchor. Members without a link are their own
    group. The result does not depend on the order of members or links; a group keeps its anchor as it grows unless a
    smaller member joins it. About 2 s for a million members and links.
    """
    members, left, right = (each.cast(pa.large_string()) for each in (members, left, right))
    names = pc.unique(members)
    names = names.take(pc.sort_indices(names))
    # Names that are no member get numbers after all members, so they never lead a group.
    coded = pa.concat_arrays([names, left, right]).dictionary_encode()
    ends = coded.indices.to_numpy()[len(names) :].reshape(2, -1)
    parents = list(range(len(coded.dictionary)))
    for one, other in zip(*ends.tolist(), strict=True):
        _unite(one, other, parents)
    roots = np.array([_root(number, parents) for number in range(len(names))], np.int64)
    return names.take(pa.array(roots)).take(pc.index_in(members, value_set=names))


def _unite(one: int, other: int, parents: list[int]) -> None:
    one, other = _root(one, parents), _root(other, parents)
    parents[max(one, other)] = min(one, other)


def _root(number: int, parents: list[int]) -> int:
    while (parent := parents[number]) != number:
        parents[number] = number = parents[parent]
    return number
