"""Pairs, shares, frames and clips: each sampler gives what it says, and counts what it leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.errors import CorpusError, UsageError
from mmidd.training.balance import BalancedSampler
from mmidd.training.clips import ClipSampler, FrameSampler
from mmidd.training.epochs import EpochSampler
from mmidd.training.pairs import PairSampler
from mmidd.training.rows import Rows
from mmidd.training.samplers import BlendSampler
from mmidd.training.select import select
from training import corpora
from training.memory import clips_of, epoch_of, rows_in, rows_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus that tests only read."""
    return corpora.corpus(tmp_path_factory.mktemp("samplers") / "corpus")


def _paired(fakes: Sequence[int], alone: int = 0, lost: int = 0) -> Rows:
    """A real for each entry with so many fakes of it, reals that have none, fakes whose real is not there."""
    label, pair = ["real"] * len(fakes), [-1] * len(fakes)
    for real, count in enumerate(fakes):
        label, pair = label + ["fake"] * count, pair + [real] * count
    label, pair = label + ["real"] * alone + ["fake"] * lost, pair + [-1] * alone + [-2] * lost
    return rows_of(len(label), {"label": label}, pair=pair)


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=20), st.integers(0, 5), st.integers(1, 3), st.integers(1, 3),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_pairs_stand_side_by_side_each_once(
    fakes: list[int], alone: int, half: int, ranks: int, same: bool, singles: bool
) -> None:
    rows = _paired(fakes, alone, lost=2)
    kind: dict[str, Any] = {"same_augmentation": same, "unpaired": "singles" if singles else "leave"}
    try:
        each = [PairSampler(rows, 2 * half, rank=rank, ranks=ranks, **kind) for rank in range(ranks)]
    except CorpusError:
        return  # more ranks than pairs
    batches = [batch for sampler in each for batch in epoch_of(sampler)]
    found, apart = list[tuple[int, int]](), list[int]()
    for batch in batches:
        units = Counter(draw.unit for draw in batch)
        place = 0
        while place < len(batch):
            fake, row = batch[place], batch[place].row
            assert isinstance(row, int)
            if units[fake.unit] == 1:
                apart.append(row - 10)
                place += 1
                continue
            real = batch[place + 1]
            assert fake.unit == real.unit and isinstance(real.row, int) and (fake.seed == real.seed) == same
            found.append((row - 10, real.row - 10))
            place += 2
    wanted = [(place, real) for place, real in enumerate(rows.pair.tolist()) if real >= 0]
    assert sorted(found) == sorted(wanted)
    without = sorted({*range(len(rows))} - {place for pair in wanted for place in pair})
    assert sorted(apart) == (without if singles else [])
    assert sum(each[0].left_out.values()) == (0 if singles else len(without))
    assert each[0].counts()["pairs"] == len(wanted) and each[0].counts()["draws"] == sum(map(len, batches))


def test_a_real_with_several_fakes_comes_once_with_another_fake_each_epoch() -> None:
    rows = _paired([3, 1, 2, 0])
    sampler = PairSampler(rows, 4, one_fake_each=True, first="real", seed=5)
    seen: dict[int, list[int]] = {}
    for epoch in range(6):
        drawn = rows_in(epoch_of(sampler, epoch)).reshape(-1, 2) - 10
        assert sorted(drawn[:, 0].tolist()) == [0, 1, 2]
        for real, fake in drawn.tolist():
            assert rows.pair[fake] == real
            seen.setdefault(real, []).append(fake)
    assert {real: len(set(found)) for real, found in seen.items()} == {0: 3, 1: 1, 2: 2}
    assert all(len(set(found[:3])) == 3 for real, found in seen.items() if real == 0)


def test_pairs_of_a_corpus_are_of_one_frame_and_what_has_none_is_counted(folder: Path) -> None:
    rows = select(folder, split="train")
    sampler = PairSampler(rows, 8)
    frame, media = rows.frame, [rows.codes("media").values[code] for code in rows.codes("media").codes]
    place = {int(number): position for position, number in enumerate(rows.numbers)}
    for batch in epoch_of(sampler):
        for fake, real in zip(batch[::2], batch[1::2], strict=True):
            one, other = place[fake.row], place[real.row]  # type: ignore[index]
            assert frame[one] == frame[other] and media[one].split("-")[:-1] != media[other].split("-")[:-1]
            assert media[one].startswith(media[other].removesuffix(".mp4"))
    assert sampler.left_out == {"reals that no selected fake was made from": 2}
    assert repr(sampler).startswith("<PairSampler: 96 draws an epoch from 74 rows in 12 batches of 8; left out: 2 (reals")
    with pytest.raises(CorpusError, match="no pairs among the 48 rows: 48 \\(fakes whose real is not selected\\)"):
        PairSampler(select(folder, split="train", where={"label": "fake"}), 8)


CLASSES = st.dictionaries(st.sampled_from(["a", "b", "c", "d", None]), st.integers(1, 30), min_size=1)


@settings(max_examples=150)
@given(CLASSES, st.integers(1, 12), st.integers(1, 3), st.integers(0, 2), st.integers(0, 3), st.data())
def test_shares_are_exact_even_and_without_replacement(
    classes: dict[str | None, int], size: int, ranks: int, least: int, seed: int, data: st.DataObject
) -> None:
    values = [name for name, count in classes.items() for _ in range(count)]
    rows = rows_of(len(values), {"label": values})
    weights = data.draw(st.sampled_from([None, "natural", {name: 1.0 + place for place, name in enumerate(classes)}]))
    asked: dict[str, Any] = {"by": "label", "weights": weights, "at_least": least, "seed": seed}
    if least * len(classes) > size:
        with pytest.raises(UsageError, match="cannot hold at_least"):
            BalancedSampler(rows, size, **asked)
        return
    each = [BalancedSampler(rows, size, rank=rank, ranks=ranks, **asked) for rank in range(ranks)]
    of, length = dict(enumerate(values, 10)), each[0].slots
    draws = Counter[int]()
    for epoch in range(3):
        batches = [epoch_of(sampler, epoch) for sampler in each]
        flat = [
            Counter(of[row] for row in rows_in([batch]).tolist()) for found in zip(*batches, strict=True) for batch in found
        ]
        total = sum(flat, Counter[str | None]())
        told = {name: found["draws"] for name, found in each[0].counts()["classes"].items()}
        assert dict(total) == {name: count for name, count in told.items() if count} and sum(told.values()) == length
        assert all(batch[name] >= least for batch in flat for name in classes)
        if not least:
            natural, given = weights == "natural", weights if isinstance(weights, dict) else {}
            share = {name: count if natural else given.get(name, 1.0) for name, count in classes.items()}
            for name, weight in share.items():
                assert abs(told[name] - length * weight / sum(share.values())) < 1
                wanted = size * told[name] / length
                assert all(abs(batch[name] - wanted) <= 1 + len(set(told.values())) / 2 for batch in flat)
        for found in batches:
            draws.update(rows_in(found).tolist())
        for name in classes:  # no row comes again before all of its class have come
            seen = [draws[row] for row in of if of[row] == name]
            assert max(seen) - min(seen) <= 1


def test_null_is_a_class_or_left_out_and_counted() -> None:
    rows = rows_of(10, {"forgery_type": ["FS"] * 4 + ["REAL"] * 3 + [None] * 3})
    assert set(BalancedSampler(rows, 6, by="forgery_type").counts()["classes"]) == {"FS", "REAL", None}
    without = BalancedSampler(rows, 6, by="forgery_type", nulls="leave")
    assert without.left_out == {"forgery_type null": 3} and set(rows_in(epoch_of(without))) == set(range(10, 17))
    chosen = BalancedSampler(rows, 6, by="forgery_type", weights={"FS": 2, "REAL": 1})
    assert chosen.left_out == {"forgery_type null": 3}
    assert chosen.counts()["classes"]["FS"] == {"rows": 4, "draws": 8, "draws of a row": 2.0}


def test_every_batch_has_each_type(folder: Path) -> None:
    rows = select(folder, where={"forgery_type": ["REAL", "FS", "FR", "EFS", "FE"]})
    for rank in range(2):
        sampler = BalancedSampler(rows, 8, by="forgery_type", weights="natural", at_least=1, rank=rank, ranks=2)
        kinds = dict(zip(rows.numbers.tolist(), rows.codes("forgery_type").codes.tolist(), strict=True))
        assert all({kinds[draw.row] for draw in batch} == {0, 1, 2, 3, 4} for batch in epoch_of(sampler))


def test_a_large_column_is_balanced_in_reasonable_time() -> None:
    groups = np.random.default_rng(0).integers(0, 5000, 40_000).tolist()
    rows = rows_of(0)
    rows.numbers = np.arange(40_000)
    code = np.unique(groups, return_inverse=True)[1].astype(np.int32)
    rows._held["group"] = type(rows_of(1, {"group": ["x"]}).codes("group"))(tuple(map(str, range(code.max() + 1))), code)
    drawn = rows_in(epoch_of(BalancedSampler(rows, 64, by="group")))
    each = np.bincount(code[drawn])
    assert each.max() - each.min() <= 1


BAD_SHARES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"weights": {"fak": 1}}, CorpusError, "did you mean 'fake'"),
    ({"weights": {"fake": -1}}, UsageError, "a weight is a number from 0"),
    ({"weights": "even"}, UsageError, "'natural', or None"),
    ({"weights": {"fake": 0}}, CorpusError, "no rows with a label to balance by"),
    ({"at_least": 3}, UsageError, "it takes 6"),
    ({"at_least": 1, "length": 10}, UsageError, "a multiple of 4, .* such as 8"),
    ({"length": 0}, UsageError, "length from 1"),
    ({"by": "lable"}, CorpusError, "did you mean 'label'"),
    ({"by": "image"}, CorpusError, "cannot be told apart"),
]


@pytest.mark.parametrize(("asked", "kind", "said"), BAD_SHARES, ids=lambda value: str(value)[:40])
def test_impossible_shares_are_refused(asked: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        BalancedSampler(rows_of(4, {"label": ["real", "fake"] * 2}), 4, **asked)


def _by_clip(rows: Rows, numbers: Any) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number in numbers:
        found.setdefault(int(rows.clip[number - 10]), []).append(int(rows.frame[number - 10]))
    return {clip: sorted(frames) for clip, frames in found.items()}


LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=12)


@settings(max_examples=80)
@given(LENGTHS, st.integers(1, 6), st.sampled_from(["random", "even"]), st.integers(0, 2))
def test_frames_are_spread_over_each_clip(lengths: list[int], frames: int, spread: Any, epoch: int) -> None:
    rows = clips_of(lengths)
    sampler = FrameSampler(rows, 4, frames=frames, spread=spread)
    found = _by_clip(rows, rows_in(epoch_of(sampler, epoch)))
    assert len(found) == len(lengths) and sampler.counts()["clips of fewer frames"] == sum(n < frames for n in lengths)
    for clip, length in enumerate(lengths):
        parts = min(frames, length)
        assert len(found[clip]) == parts
        for part, frame in enumerate(found[clip]):
            low, high = part * length // parts, (part + 1) * length // parts
            assert low <= frame < high and (spread == "random" or frame == low + (high - low - 1) // 2)
    if spread == "even":
        assert (
            epoch_of(sampler, 0) != [] and rows_in(epoch_of(sampler, 0)).tolist() == rows_in(epoch_of(sampler, 1)).tolist()
        )


def test_chance_reaches_every_frame_of_a_clip() -> None:
    rows = clips_of([9])
    sampler = FrameSampler(rows, 4, frames=2)
    seen = {frame for epoch in range(60) for frame in _by_clip(rows, rows_in(epoch_of(sampler, epoch)))[0]}
    assert seen == set(range(9))


@settings(max_examples=80)
@given(LENGTHS, st.integers(1, 5), st.sampled_from(["random", "even"]), st.booleans(), st.integers(1, 3))
def test_a_clip_is_one_item_of_frames_in_order(
    lengths: list[int], frames: int, spread: Any, consecutive: bool, step: int
) -> None:
    rows = clips_of(lengths, step)
    long = [clip for clip, length in enumerate(lengths) if length >= frames]
    if not long:
        with pytest.raises(CorpusError, match=f"no clips with {frames} frames"):
            ClipSampler(rows, 2, frames=frames, spread=spread, consecutive=consecutive)
        return
    sampler = ClipSampler(rows, 2, frames=frames, spread=spread, consecutive=consecutive)
    drawn = [draw.row for batch in epoch_of(sampler) for draw in batch]
    assert sum(sampler.left_out.values()) == sum(length for length in lengths if length < frames)
    clips: list[int] = []
    for row in drawn:
        assert isinstance(row, tuple) and len(row) == frames
        of, seen = {int(rows.clip[number - 10]) for number in row}, [int(rows.frame[number - 10]) for number in row]
        assert len(of) == 1 and seen == sorted(set(seen))
        assert not consecutive or set(np.diff(seen)) <= {step}
        clips += sorted(of)
    assert sorted(clips) == long and (spread == "random" or clips == long)


def test_frames_in_a_row_are_sought_and_clips_without_are_counted() -> None:
    numbers = {"gap": [0, 1, 2, 10, 11, 12, 13], "sparse": [0, 5, 20, 21], "every fifth": [0, 5, 10, 15], "one": [3]}
    media = [name for name, frames in numbers.items() for _ in frames]
    frames = [frame for found in numbers.values() for frame in found]
    base: dict[str, list[Any]] = {"dataset": ["A"] * len(media), "face": [0] * len(media)}
    sampler = ClipSampler(rows_of(len(media), base | {"media": media, "frame": frames}), 2, frames=3)
    rows = [draw.row for epoch in range(40) for batch in epoch_of(sampler, epoch) for draw in batch]
    seen = {tuple(frames[number - 10] for number in row) for row in rows if isinstance(row, tuple)}
    assert seen == {(0, 1, 2), (10, 11, 12), (11, 12, 13), (0, 5, 10), (5, 10, 15)}
    assert sampler.left_out == {"rows of clips of fewer than 3 frames": 1, "rows of clips without 3 frames in a row": 4}
    assert sampler.counts()["clips drawn"] == 2


@pytest.mark.parametrize(
    ("length", "count", "runs"),
    [(50, 8, 5), (59, 16, 13), (100, 32, 29), (40, 8, 5), (41, 32, 0), (8, 8, 5)],
    ids=["steps of 6 and 7", "3 and 4", "3 and 4, many", "of 5 alone", "of 1 and 2: not a row", "every frame"],
)
def test_frames_spread_evenly_over_a_clip_are_in_a_row_though_rounded(length: int, count: int, runs: int) -> None:
    frames = [place * length // count for place in range(count)]
    base: dict[str, list[Any]] = {"dataset": ["A"] * count, "face": [0] * count, "media": ["a"] * count}
    rows = rows_of(count, base | {"frame": frames})
    if not runs:
        whole = [run for run in zip(frames, frames[1:], frames[2:], frames[3:], strict=False) if run[3] - run[0] == 3]
        assert {tuple(_by_clip(rows, draw.row)[0]) for draw in _drawn(rows)} == set(whole)
        return
    assert len({draw.row for draw in _drawn(rows)}) == runs


def _drawn(rows: Rows) -> list[Any]:
    sampler = ClipSampler(rows, 1, frames=4)
    return [draw for epoch in range(400) for batch in epoch_of(sampler, epoch) for draw in batch]


def test_reals_come_twice_as_they_are_and_to_be_blended(folder: Path) -> None:
    rows = select(folder, split="train")
    sampler = BlendSampler(rows, 6)
    batches = epoch_of(sampler)
    for batch in batches:
        for real, blend in zip(batch[::2], batch[1::2], strict=True):
            assert (real.row, real.seed, real.unit) == (blend.row, blend.seed, blend.unit)
            assert not real.blend and blend.blend
    reals = select(folder, split="train", where={"label": "real", "geometry": "own"}).numbers
    assert sorted(rows_in(batches)[::2].tolist()) == reals.tolist()
    assert sampler.left_out == {"no reals": 48, "whole images": 2}


@pytest.mark.parametrize("kind", [PairSampler, BlendSampler])
def test_what_belongs_together_needs_even_batches(folder: Path, kind: type[EpochSampler]) -> None:
    with pytest.raises(UsageError, match="a multiple of 2"):
        kind(select(folder), 7)
