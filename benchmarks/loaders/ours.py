"""mmidd.training as the benchmark uses it: the one place that knows its names."""

from __future__ import annotations

from typing import Any

from benchmarks.loaders.decode import Batches
from benchmarks.loaders.place import BATCH, SEED, Place


def _data(place: Place, **chosen: Any) -> Any:
    from mmidd.training import CorpusDataset

    return CorpusDataset(place.corpus, size=place.size, columns=("id", "label"), **chosen)


def _loaded(data: Any, sampler: Any, workers: int) -> Batches:
    from mmidd.training import Loader

    return iter(Loader(data, sampler, workers=workers))


def shuffled(place: Place, workers: int) -> Batches:
    """Any row, in random order over the whole corpus."""
    from mmidd.training import ShuffleSampler

    data = _data(place)
    return _loaded(data, ShuffleSampler(data, batch_size=BATCH, seed=SEED), workers)


def streamed(place: Place, workers: int) -> Batches:
    """Row groups shuffled, then a window."""
    from mmidd.training import StreamSampler

    data = _data(place)
    return _loaded(data, StreamSampler(data, batch_size=BATCH, seed=SEED), workers)


def paired(place: Place, workers: int) -> Batches:
    """A fake and the real it was made from, side by side."""
    from mmidd.training import PairSampler

    data = _data(place)
    return _loaded(data, PairSampler(data, batch_size=BATCH, seed=SEED), workers)


def chosen(place: Place, workers: int) -> Batches:
    """The fakes of one type alone, in random order."""
    from mmidd.training import ShuffleSampler

    data = _data(place, where={"label": "fake", "forgery_type": "FS"})
    return _loaded(data, ShuffleSampler(data, batch_size=BATCH, seed=SEED), workers)
