"""mmidd.training as the benchmark uses it: the one place that knows its names."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.loaders.decode import Batches
from benchmarks.loaders.place import BATCH, SEED, Place


def _training() -> Any:
    """Looked up when it is asked for: without torch all else of the benchmark runs."""
    return import_module("mmidd.training")


def _data(place: Place, **chosen: Any) -> Any:
    return _training().CorpusDataset(place.corpus, size=place.size, columns=("id", "label"), **chosen)


def _loaded(data: Any, sampler: Any, workers: int) -> Batches:
    return iter(_training().Loader(data, sampler, workers=workers))


def shuffled(place: Place, workers: int) -> Batches:
    """Any row, in random order over the whole corpus."""
    data = _data(place)
    return _loaded(data, _training().ShuffleSampler(data, batch_size=BATCH, seed=SEED), workers)


def streamed(place: Place, workers: int) -> Batches:
    """Row groups shuffled, then a window."""
    data = _data(place)
    return _loaded(data, _training().StreamSampler(data, batch_size=BATCH, seed=SEED), workers)


def paired(place: Place, workers: int) -> Batches:
    """A fake and the real it was made from, side by side."""
    data = _data(place)
    return _loaded(data, _training().PairSampler(data, batch_size=BATCH, seed=SEED), workers)


def chosen(place: Place, workers: int) -> Batches:
    """The fakes of one type alone, in random order."""
    data = _data(place, where={"label": "fake", "forgery_type": "FS"})
    return _loaded(data, _training().ShuffleSampler(data, batch_size=BATCH, seed=SEED), workers)
