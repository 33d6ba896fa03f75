"""Every order is exact: each unit once, over any ranks and batches, the same number of batches for each rank."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.errors import CorpusError, UsageError
from mmidd.training.cuts import Cuts
from mmidd.training.epochs import EpochSampler
from mmidd.training.pairs import PairSampler
from mmidd.training.samplers import SequentialSampler, ShuffleSampler, StreamSampler
from training.memory import epoch_of, rows_in, rows_of


@given(st.integers(1, 70), st.integers(1, 9), st.integers(1, 5), st.booleans())
def test_slots_are_cut_so_that_each_comes_once_and_no_rank_waits(slots: int, size: int, ranks: int, drop: bool) -> None:
    cuts = Cuts(slots, size, ranks, drop)
    parts = [[cuts.part(number, rank) for rank in range(ranks)] for number in range(len(cuts))]
    flat = [part for batch in parts for part in batch]
    if drop:
        assert len(cuts) == slots // (size * ranks) and cuts.dropped == slots - len(cuts) * size * ranks
    elif slots < ranks:
        assert not len(cuts)
        return
    assert all(before[1] == after[0] for before, after in pairwise(flat))
    assert sum(stop - start for start, stop in flat) == slots - cuts.dropped
    sizes = [stop - start for start, stop in flat]
    assert all(1 <= found <= (size if size > 1 else 2) for found in sizes)
    assert all(found == size for found in sizes[: -2 * ranks])
    assert max(sizes[-ranks:], default=0) - min(sizes[-ranks:], default=0) <= 1
    seen = [cuts.seen(number) for number in range(len(cuts) + 1)]
    assert seen == [0, *(batch[-1][1] for batch in parts)]
    assert [cuts.number(found) for found in seen] == list(range(len(cuts) + 1))
    assert all(cuts.number(found) is None for found in range(slots) if found not in seen)


def _sampler(kind: str, count: int, size: int, **base: Any) -> EpochSampler:
    rng = np.random.default_rng(count)
    groups = np.sort(rng.integers(0, max(1, count // 7), count))
    rows = rows_of(count, {"label": ["real"] * count}, row_groups=groups, pair=np.full(count, -1))
    if kind == "stream":
        return StreamSampler(rows, size, window=int(rng.integers(1, 40)), lanes=int(rng.integers(1, 6)), **base)
    if kind == "singles":
        return PairSampler(rows, size, unpaired="singles", **base)
    return (SequentialSampler if kind == "sequential" else ShuffleSampler)(rows, size, **base)


@settings(max_examples=150)
@given(
    st.sampled_from(["sequential", "shuffle", "stream", "singles"]), st.integers(1, 120), st.integers(1, 6),
    st.integers(1, 4), st.integers(0, 3), st.integers(0, 2),
)  # fmt: skip
def test_all_ranks_together_draw_each_row_once(kind: str, count: int, size: int, ranks: int, seed: int, epoch: int) -> None:
    size *= 2 if kind == "singles" else 1
    try:
        each = [_sampler(kind, count, size, seed=seed, rank=rank, ranks=ranks) for rank in range(ranks)]
    except CorpusError as error:
        assert f"{ranks} ranks, but" in str(error)
        return
    batches = [epoch_of(sampler, epoch) for sampler in each]
    assert len({len(found) for found in batches}) == 1 and len(batches[0]) == len(each[0])
    drawn = np.concatenate([rows_in(found) for found in batches])
    assert sorted(drawn.tolist()) == list(range(10, 10 + count))
    seeds = [draw.seed for found in batches for batch in found for draw in batch]
    assert len(set(seeds)) == count
    for k in {0, 1, len(each[0]) // 2, len(each[0])}:
        assert [epoch_of(sampler, epoch, k) for sampler in each] == [found[k:] for found in batches]


@given(st.integers(4, 200), st.integers(0, 5))
def test_more_ranks_with_smaller_batches_see_the_same_global_batches(count: int, seed: int) -> None:
    alone = epoch_of(_sampler("shuffle", count, 12, seed=seed))
    for ranks in (2, 3, 4):
        found = zip(
            *(epoch_of(_sampler("shuffle", count, 12 // ranks, seed=seed, rank=r, ranks=ranks)) for r in range(ranks)),
            strict=True,
        )
        together = [[draw for part in batch for draw in part] for batch in found]
        assert together[:-2] == alone[: len(together) - 2]
        assert [draw for batch in together for draw in batch] == [draw for batch in alone for draw in batch]


def test_epochs_and_seeds_give_other_orders_and_the_same_ones_again() -> None:
    for kind in ("shuffle", "stream"):
        sampler = _sampler(kind, 100, 8)
        assert epoch_of(sampler, 0) == epoch_of(sampler, 0)
        found = [rows_in(epoch_of(_sampler(kind, 100, 8, seed=seed), epoch)).tolist() for seed in (0, 1) for epoch in (0, 1)]
        assert len({tuple(each) for each in found}) == 4


def test_an_order_stays_what_it_is_for_ever() -> None:
    """A resume under a newer version goes on in the order that an older one began."""
    assert rows_in(epoch_of(ShuffleSampler(rows_of(12), 4, seed=3), 1)).tolist() == ORDER
    assert [draw.seed for draw in epoch_of(ShuffleSampler(rows_of(12), 4, seed=3), 1)[0][:2]] == SEEDS


ORDER = [18, 21, 10, 13, 12, 17, 14, 11, 19, 15, 16, 20]
SEEDS = [682370450899765808, 15970784766469068367]


def test_a_stream_gives_each_row_group_to_one_worker_and_only_few_at_a_time() -> None:
    count, per_group = 12_000, 50
    groups = np.arange(count) // per_group
    sampler = StreamSampler(rows_of(count, row_groups=groups), 10, window=200, lanes=12)
    batches = epoch_of(sampler)
    groups_of = [{(draw.row - 10) // per_group for draw in batch if isinstance(draw.row, int)} for batch in batches]
    for workers in (1, 2, 3, 4, 6, 12):
        readers: dict[int, set[int]] = {}
        for number, here in enumerate(groups_of):
            for group in here:
                readers.setdefault(group, set()).add(number % workers)
        assert len(readers) == count // per_group
        assert sum(len(found) > 1 for found in readers.values()) <= sampler.lanes
    spans = [len(here) for here in groups_of[:: sampler.lanes]]
    assert max(spans) <= 2 + 200 // per_group and np.mean(spans) > 3


def test_a_batch_of_a_stream_has_of_every_dataset_and_of_several_row_groups() -> None:
    """Datasets lie apart in a corpus: a batch of one of them alone would teach which one it is."""
    count, per_group = 20_000, 500
    groups, datasets = np.arange(count) // per_group, np.repeat([0, 1, 2], [10_000, 6_000, 4_000])
    rows = rows_of(count, row_groups=groups, slugs=datasets)
    for window, lanes in ((8192, 2), (4000, 4), (30_000, 1)):
        sampler = StreamSampler(rows, 64, window=window, seed=1)
        assert sampler.lanes == lanes
        found = rows_in(epoch_of(sampler))[: count // 64 * 64].reshape(-1, 64) - 10
        shares = (datasets[found][..., None] == np.arange(3)).mean(1)
        assert (np.abs(shares.mean(0) - (0.5, 0.3, 0.2)) < 0.01).all() and (shares.std(0) < 0.13).all()
        assert np.mean([len({*each}) for each in groups[found].tolist()]) > 7


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"batch_size": 0}, UsageError, "a whole number from 1"),
    ({"batch_size": 2.0}, UsageError, "a whole number from 1"),
    ({"batch_size": 2, "seed": -1}, UsageError, "seed=-1"),
    ({"batch_size": 2, "rank": 1}, UsageError, "give both"),
    ({"batch_size": 2, "rank": 2, "ranks": 2}, UsageError, "numbered from 0"),
    ({"batch_size": 2, "rank": 2, "ranks": 9}, CorpusError, "9 ranks, but only 6 rows"),
    ({"batch_size": 7, "drop_last": True}, CorpusError, "fill no batch of 7"),
]


@pytest.mark.parametrize(("asked", "kind", "said"), REFUSED, ids=lambda value: str(value)[:40])
def test_impossible_settings_are_refused(asked: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        ShuffleSampler(rows_of(6), **asked)


def test_a_stream_over_fewer_row_groups_than_ranks_is_refused() -> None:
    with pytest.raises(CorpusError, match="4 ranks, but the rows lie in 3 row groups"):
        StreamSampler(rows_of(30, row_groups=np.arange(30) // 10), 2, rank=0, ranks=4)


def test_what_is_dropped_is_said() -> None:
    sampler = ShuffleSampler(rows_of(10), 4, drop_last=True)
    assert sampler.dropped == 2 and sampler.counts()["draws"] == 8 and len(rows_in(epoch_of(sampler))) == 8
    assert "8 draws an epoch from 10 rows in 2 batches of 4; left out: 2 (the last batch, not full)" in repr(sampler)


def test_a_state_of_other_settings_is_refused_and_named() -> None:
    state = ShuffleSampler(rows_of(24), 4, seed=1).state(0, 2)
    other: list[tuple[EpochSampler, str]] = [
        (ShuffleSampler(rows_of(24), 4, seed=2), "seed was 1, is 2"),
        (ShuffleSampler(rows_of(24), 6, seed=1), "global batch was 4, is 6"),
        (SequentialSampler(rows_of(24), 4, seed=1), "sampler was 'ShuffleSampler', is 'SequentialSampler'"),
        (ShuffleSampler(rows_of(25), 4, seed=1), "selection was 'made24', is 'made25'"),
    ]
    for sampler, said in other:
        with pytest.raises(CorpusError, match=said):
            sampler.load_state_dict(state)
    with pytest.raises(CorpusError, match="no state of a sampler"):
        ShuffleSampler(rows_of(24), 4).load_state_dict({"epoch": 1})


@pytest.mark.parametrize("key", ["epoch", "slots"])
@pytest.mark.parametrize("value", [-1, 1 << 80, 1.5, "1", True, None, float("inf"), float("nan"), []])
def test_a_state_that_was_changed_is_refused(key: str, value: Any) -> None:
    sampler = ShuffleSampler(rows_of(24), 4, seed=1)
    state = sampler.state(3, 2) | {key: value}
    with pytest.raises(CorpusError, match=r"was changed: epoch|cannot go on after"):
        sampler.load_state_dict(state)
    assert sampler.epoch == 0


def test_other_ranks_go_on_where_their_batches_begin_there() -> None:
    state = ShuffleSampler(rows_of(26), 4).state(1, 3)
    each = [ShuffleSampler(rows_of(26), 2, rank=rank, ranks=2) for rank in range(2)]
    for sampler in each:
        sampler.load_state_dict(state)
    left = sorted(np.concatenate([rows_in(list(sampler)) for sampler in each]).tolist())
    assert left == sorted(rows_in(epoch_of(ShuffleSampler(rows_of(26), 4), 1, 3)).tolist())
    late = ShuffleSampler(rows_of(25), 4).state(0, 6)
    with pytest.raises(CorpusError, match="with as many ranks as before"):
        ShuffleSampler(rows_of(25), 2, rank=0, ranks=2).load_state_dict(late)


def test_iterating_goes_on_after_a_state_once_and_begins_anew_otherwise() -> None:
    sampler = ShuffleSampler(rows_of(20), 4)
    every = epoch_of(sampler)
    walk = iter(sampler)
    assert [next(walk), next(walk)] == every[:2]
    state = sampler.state_dict()
    assert list(sampler) == every
    sampler.load_state_dict(state)
    sampler.set_epoch(0)  # as a trainer says at the head of an epoch
    assert list(sampler) == every[2:] and list(sampler) == every
    sampler.load_state_dict(state)
    sampler.set_epoch(1)
    assert list(sampler) == epoch_of(sampler, 1)
