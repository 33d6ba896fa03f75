"""The resume proof: stopped after any batch and gone on is the same as never stopped, sample by sample and pixel by pixel,
for any number of workers and ranks; and what goes wrong in a worker is told in our words."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from mmidd.errors import CorpusError, UsageError
from mmidd.training.balance import BalancedSampler
from mmidd.training.clips import ClipSampler, FrameSampler
from mmidd.training.dataset import CorpusDataset
from mmidd.training.epochs import EpochSampler
from mmidd.training.loader import Loader
from mmidd.training.pairs import PairSampler
from mmidd.training.rows import Rows
from mmidd.training.samplers import BlendSampler, SequentialSampler, ShuffleSampler, StreamSampler
from mmidd.training.select import select
from mmidd.training.stream import CorpusStream
from training import corpora
from training.memory import Pixels, rows_of

Seen = list[tuple[list[Any], bytes]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows of a corpus of clips and pairs."""
    return select(corpora.corpus(tmp_path_factory.mktemp("loader") / "corpus"))


SAMPLERS: dict[str, Callable[..., EpochSampler]] = {
    "sequential": SequentialSampler,
    "shuffle": ShuffleSampler,
    "stream": lambda rows, size, **base: StreamSampler(rows, size, window=20, lanes=4, **base),
    "pairs": lambda rows, size, **base: PairSampler(rows, size, unpaired="singles", same_augmentation=True, **base),
    "types": lambda rows, size, **base: BalancedSampler(rows, size, by="forgery_type", at_least=1, **base),
    "frames": lambda rows, size, **base: FrameSampler(rows, size, frames=3, **base),
    "clips": lambda rows, size, **base: ClipSampler(rows, size, frames=3, **base),
    "blends": BlendSampler,
}


def seen(batches: Any, most: int | None = None) -> Seen:
    """Row numbers and pixels of the batches, or of the first so many."""
    found, walk = Seen(), iter(batches)
    while most is None or len(found) < most:
        batch = next(walk, None)
        if batch is None:
            break
        found.append((batch["row"].tolist(), batch["image"].numpy().tobytes()))
    return found


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("name", SAMPLERS)
def test_stopped_and_gone_on_is_never_stopped(rows: Rows, name: str, ranks: int) -> None:
    """Every sampler and rank, after several batches, over the end of an epoch, through JSON."""

    def loader(rank: int) -> Loader:
        return Loader(Pixels(rows), SAMPLERS[name](rows, 6, seed=7, rank=rank, ranks=ranks))

    for rank in range(ranks):
        whole = loader(rank)
        epochs = [seen(whole) for _ in range(2)]
        count = len(epochs[0])
        assert whole.epoch == 2 and count == len(whole) and (name == "sequential" or epochs[0] != epochs[1])
        for stop in sorted({0, 1, count // 2, count - 1, count}):
            first = loader(rank)
            assert seen(first, stop) == epochs[0][:stop]
            again = loader(rank)
            again.load_state_dict(json.loads(json.dumps(first.state_dict())))
            assert again.epoch == (1 if stop == count else 0)
            rest = seen(again) if stop < count else []
            assert rest == epochs[0][stop:] and seen(again) == epochs[1]


def test_ranks_together_are_the_selection(rows: Rows) -> None:
    for ranks in (1, 2, 3):
        found = [Loader(Pixels(rows), ShuffleSampler(rows, 8, rank=rank, ranks=ranks)) for rank in range(ranks)]
        ids = [number for loader in found for numbers, _ in seen(loader) for number in numbers]
        assert sorted(ids) == rows.numbers.tolist()


@pytest.fixture(scope="module")
def unbroken(rows: Rows) -> list[Seen]:
    """Two epochs of pairs, by this process alone."""
    loader = Loader(Pixels(rows), SAMPLERS["pairs"](rows, 6))
    return [seen(loader), seen(loader)]


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing_and_neither_do_resumes(rows: Rows, unbroken: list[Seen], workers: int) -> None:
    loader = Loader(Pixels(rows), SAMPLERS["pairs"](rows, 6), workers=workers)
    assert [seen(loader), seen(loader)] == unbroken
    count = len(unbroken[0])
    for stop in (1, 5, count - 1):
        loader.set_epoch(0)
        assert seen(loader, stop) == unbroken[0][:stop]
        state = loader.state_dict()
        assert state["batches"] == stop  # though more were fetched
        loader.load_state_dict(state)
        assert seen(loader) == unbroken[0][stop:] and loader.epoch == 1
    assert seen(loader) == unbroken[1]
    loader.close()


def test_workers_that_are_spawned_change_nothing(rows: Rows, unbroken: list[Seen]) -> None:
    loader = Loader(Pixels(rows), SAMPLERS["pairs"](rows, 6), workers=1, start_method="spawn")
    assert seen(loader) == unbroken[0]
    loader.close()


def test_a_resume_reads_nothing_of_what_lies_before(rows: Rows) -> None:
    first = Loader(Pixels(rows), ShuffleSampler(rows, 8))
    seen(first, 10)
    again = Loader(data := Pixels(rows), ShuffleSampler(rows, 8))
    again.load_state_dict(first.state_dict())
    seen(again, 1)
    assert data.read == 8


def test_broken_off_an_epoch_begins_anew(rows: Rows) -> None:
    loader = Loader(Pixels(rows), ShuffleSampler(rows, 8))
    assert seen(loader, 3) == seen(loader)[:3] and loader.epoch == 1
    loader.load_state_dict(loader.state_dict())
    assert loader.epoch == 1
    one, two = iter(loader), iter(loader)
    next(one), next(two)
    with pytest.raises(UsageError, match="another iteration over this loader has begun"):
        next(one)


def test_chance_of_others_is_neither_used_nor_touched(rows: Rows) -> None:
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    before = torch.random.get_rng_state(), str(np.random.get_state()), random.getstate()
    loader = Loader(Pixels(rows), ShuffleSampler(rows, 30), workers=1)
    first = seen(loader)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (str(np.random.get_state()), random.getstate()) == before[1:]
    torch.manual_seed(2)
    assert seen(Loader(Pixels(rows), ShuffleSampler(rows, 30))) == first


def test_a_state_of_other_settings_is_refused(rows: Rows) -> None:
    state = Loader(Pixels(rows), ShuffleSampler(rows, 8)).state_dict()
    with pytest.raises(CorpusError, match="seed was 0, is 3"):
        Loader(Pixels(rows), ShuffleSampler(rows, 8, seed=3)).load_state_dict(state)
    with pytest.raises(CorpusError, match=r"corpus was .* selection was"):
        Loader(Pixels(rows_of(9)), ShuffleSampler(rows_of(9), 8)).load_state_dict(state)
    with pytest.raises(UsageError, match="over 148 rows, the data over 9"):
        Loader(Pixels(rows_of(9)), ShuffleSampler(rows, 8))
    with pytest.raises(UsageError, match=r"one of mmidd\.training's"):
        Loader(Pixels(rows), [[1]])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="workers=-1"):
        Loader(Pixels(rows), ShuffleSampler(rows, 8), workers=-1)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_ours_arrives_as_it_was(workers: int) -> None:
    loader = Loader(Pixels(rows_of(20), broken=[17]), SequentialSampler(rows_of(20), 4), workers=workers)
    walk = iter(loader)
    assert len(next(walk)["row"]) == 4
    with pytest.raises(CorpusError) as caught:
        next(walk)
    assert str(caught.value) == "row 17 cannot be read" and loader.state_dict()["batches"] == 1


def test_a_worker_that_was_killed_is_told_and_the_loader_goes_on_after_it() -> None:
    data = Pixels(rows_of(40), deadly=[27])
    loader = Loader(data, SequentialSampler(rows_of(40), 4), workers=2)
    done = Seen()
    with pytest.raises(CorpusError, match=r"worker of the loader was killed by signal 9 \(pid \d+\): .*memory"):
        done += seen(loader)
    state = loader.state_dict()
    data.deadly = ()
    loader.load_state_dict(state)
    assert seen(loader)[-1][0] == [46, 47, 48, 49]


class Slow(Pixels):
    """Takes longer for a batch than anyone waits."""

    def __getitem__(self, draw: Any) -> dict[str, Any]:
        time.sleep(3)
        return super().__getitem__(draw)


def test_a_batch_that_takes_too_long_is_told() -> None:
    loader = Loader(Slow(rows_of(4)), SequentialSampler(rows_of(4), 4), workers=1, timeout=1)
    with pytest.raises(CorpusError, match=r"no batch in time .*larger timeout"):
        seen(loader)


class Skipping(Pixels):
    """Collates as a dataset does that leaves out what cannot be read: here row 12, and all of the second batch."""

    @staticmethod
    def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
        skipped = [item["row"] for item in items if item["row"] in (12, 14, 15, 16, 17)]
        kept = [item for item in items if item["row"] not in skipped]
        return (torch.utils.data.default_collate(kept) if kept else {}) | ({"skipped": skipped} if skipped else {})


@pytest.mark.parametrize("workers", [0, 1])
def test_rows_that_were_skipped_are_counted_and_listed(workers: int) -> None:
    loader = Loader(Skipping(rows_of(12)), SequentialSampler(rows_of(12), 4), workers=workers)
    assert [ids for ids, _ in seen(loader)] == [[10, 11, 13], [18, 19, 20, 21]]
    assert loader.skipped.count == 5 and loader.skipped.listed == [12, 14, 15, 16, 17] and "5 rows skipped" in repr(loader)
    loader.close()
    of_two = Loader(Skipping(rows_of(12)), SequentialSampler(rows_of(12), 2, rank=0, ranks=2))
    with pytest.raises(CorpusError, match=r"batch 1 of epoch 0 .* other ranks would wait"):
        seen(of_two)


@pytest.mark.parametrize("workers", [0, 2])
def test_plain_torch_takes_the_samplers(rows: Rows, unbroken: list[Seen], workers: int) -> None:
    sampler = SAMPLERS["pairs"](rows, 6)
    plain = DataLoader(Pixels(rows), batch_sampler=sampler, num_workers=workers)
    assert seen(plain) == unbroken[0] and len(plain) == len(unbroken[0])
    sampler.set_epoch(1)
    assert seen(plain) == unbroken[1]


def _stateful(rows: Rows, workers: int) -> Any:
    return StatefulDataLoader(Pixels(rows), batch_sampler=SAMPLERS["pairs"](rows, 6), num_workers=workers)


def _stream(rows: Rows, workers: int) -> Any:
    return StatefulDataLoader(CorpusStream(Pixels(rows), SAMPLERS["pairs"](rows, 6)), batch_size=None, num_workers=workers)


@pytest.mark.parametrize("make", [_stateful, _stream])
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_torchdata_resumes_to_the_next_batch(rows: Rows, unbroken: list[Seen], make: Any, workers: int) -> None:
    first = make(rows, workers)
    walk: Iterator[Any] = iter(first)
    assert seen(walk, 7) == unbroken[0][:7]
    state = first.state_dict()
    del walk, first
    again = make(rows, workers)
    again.load_state_dict(state)
    assert seen(again) == unbroken[0][7:]


def test_a_stream_is_the_same_for_any_number_of_workers(rows: Rows, unbroken: list[Seen]) -> None:
    stream = CorpusStream(Pixels(rows), SAMPLERS["pairs"](rows, 6))
    assert seen(stream) == unbroken[0]
    stream.set_epoch(1)
    assert seen(DataLoader(stream, batch_size=None, num_workers=3)) == unbroken[1]


def test_the_real_dataset_resumes_pixel_by_pixel(tmp_path: Path) -> None:
    def loader() -> Loader:
        data = CorpusDataset(corpora.corpus_once(tmp_path / "corpus"), transform=_noise, columns=("label", "row"))
        return Loader(data, PairSampler(data, 6, same_augmentation=True), workers=2)

    whole, first, again = loader(), loader(), loader()
    every = seen(whole)
    assert seen(first, 4) == every[:4]
    again.load_state_dict(first.state_dict())
    assert seen(again) == every[4:]
    for each in (whole, first, again):
        each.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_the_real_datasets_errors_arrive(tmp_path: Path, workers: int) -> None:
    def loader(on_error: Literal["raise", "skip"]) -> Loader:
        data = CorpusDataset(corpora.broken_once(tmp_path / "corpus"), on_error=on_error, columns=("label", "row"))
        return Loader(data, PairSampler(data, 6), workers=workers)

    with pytest.raises(CorpusError, match=r"row \d+.* it is sample .* leaves such rows out"):
        seen(loader("raise"))
    skipping = loader("skip")
    ids = [number for numbers, _ in seen(skipping) for number in numbers]
    assert skipping.skipped.count == 2 and len({found.row for found in skipping.skipped.listed}) == 1
    assert len(ids) == skipping.sampler.counts()["draws"] - 4  # a real that two fakes were made from, and these
    skipping.close()


def _noise(sample: Any, chance: np.random.Generator) -> Any:
    noise = torch.from_numpy(chance.integers(0, 256, tuple(sample["image"].shape), dtype=np.uint8))
    return sample | {"image": sample["image"] ^ noise}


def test_an_epoch_is_through_when_its_last_batch_was_handed_out(rows: Rows, unbroken: list[Seen]) -> None:
    """transformers' Trainer takes as many batches as there are, and never asks for one more."""
    loader = Loader(Pixels(rows), SAMPLERS["pairs"](rows, 6))
    count = len(loader)
    assert [seen(loader, count), seen(loader, count)] == unbroken
    loader.set_epoch(1)
    assert seen(loader, count) == unbroken[1]


def test_the_epoch_may_be_told_to_the_sampler(rows: Rows, unbroken: list[Seen]) -> None:
    sampler = SAMPLERS["pairs"](rows, 6)
    loader, other = Loader(Pixels(rows), sampler), Loader(Pixels(rows), sampler)
    assert [seen(loader), seen(loader)] == unbroken == [seen(other), seen(other)]  # one that others go through as well
    again = Loader(Pixels(rows), SAMPLERS["pairs"](rows, 6))
    sampler.set_epoch(1)
    again.sampler.set_epoch(1)
    assert seen(loader) == seen(again) == unbroken[1]
    again.load_state_dict(loader.sampler.state(1, 3))
    again.sampler.set_epoch(1)
    assert seen(again) == unbroken[1][3:]


def test_workers_that_persist_hear_of_the_epoch(rows: Rows, unbroken: list[Seen]) -> None:
    stream = CorpusStream(Pixels(rows), SAMPLERS["pairs"](rows, 6))
    loader = DataLoader(stream, batch_size=None, num_workers=2, persistent_workers=True)
    for epoch in (0, 1, 0):
        stream.set_epoch(epoch)
        assert seen(loader) == unbroken[epoch]


def test_ranks_that_have_not_met_yet_are_refused(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="WORLD_SIZE=2 says that there are several ranks"):
        ShuffleSampler(rows, 6)
    assert ShuffleSampler(rows, 6, rank=0, ranks=1).ranks == 1


def test_positions_in_place_of_draws_are_warned_of(tmp_path: Path) -> None:
    """They bring the same augmentations in every epoch."""
    data = CorpusDataset(corpora.corpus_once(tmp_path / "corpus"), transform=_noise, columns=("label", "row"), size=16)
    with pytest.warns(UserWarning, match="the same augmentation in every epoch"):
        next(iter(DataLoader(data, batch_size=4, shuffle=True)))
    assert seen(Loader(data, ShuffleSampler(data, 4)), 1) and data[0]
