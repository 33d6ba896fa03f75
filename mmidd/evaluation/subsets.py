"""Which rows belong together: datasets, methods against the reals of their own dataset, forgery types, compressions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmidd.evaluation.items import Bools, Items

ALL = "all"


def subsets(items: Items) -> Iterator[tuple[str, Bools]]:
    """The name of each subset and its rows (of all rows, with a score or without)."""
    yield ALL, np.ones(len(items), np.bool_)
    dataset, method, kind = (items.columns[name] for name in ("dataset", "method", "forgery_type"))
    for name in dataset.present():
        yield f"dataset {name}", dataset.of(name)
    for name in dataset.present():
        mine = dataset.of(name)
        told = items.fake & mine & (method.codes >= 0)
        for code in sorted(np.unique(method.codes[told]).tolist(), key=method.names.__getitem__):
            yield f"method {name}: {method.names[code]}", mine & (~items.fake | (method.codes == code))
    types = [(name, kind.of(name)) for name in kind.present()] + [("unknown", kind.codes < 0)]
    for name, mask in types:
        fakes = items.fake & mask
        if fakes.any():
            yield f"type {name}", fakes | (~items.fake & _with(items, fakes))
    compression = items.columns["compression"]
    for name in compression.present():
        yield f"compression {name}", compression.of(name)


def _with(items: Items, fakes: Bools) -> Bools:
    """The rows of the datasets that have any of these fakes."""
    codes = items.columns["dataset"].codes
    return np.isin(codes, np.unique(codes[fakes]))
