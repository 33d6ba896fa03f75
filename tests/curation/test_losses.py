"""Losses of real and fake: counts that add up, a planted bias that is found, and no alarm where there is none."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from mmidd.curation.losses import Loss, Losses, measure

FRAMES = 8


def loss(media: str, method: str | None = None, lost: int = 0, **more: object) -> Loss:
    """A medium of eight frames; a fake if it has a method."""
    about: dict[str, object] = {
        "dataset": "D", "media": media, "label": "fake" if method else "real", "kind": "FS" if method else "REAL",
        "method": method, "pair": None, "planned": FRAMES, "dropped": lost, "failed": 0,
        "reasons": {"no_face": lost} if lost else {},
    }  # fmt: skip
    return Loss(**{**about, **more})  # type: ignore[arg-type]


def crashed(media: str, method: str | None = None) -> Loss:
    return loss(media, method, planned=0, reasons={}, error="UnreadableMedia")


def group(count: int, method: str | None = None, *, lost: int = 0, frames: int = FRAMES, paired: bool = False) -> list[Loss]:
    """So many media of a method (None: reals), of which the first `lost` lost so many frames."""
    return [
        loss(f"{method or 'real'}/{i:03}", method, frames if i < lost else 0, pair=("D", f"real/{i:03}") if paired else None)
        for i in range(count)
    ]


def found(losses: Losses) -> set[tuple[str | None, bool, str]]:
    return {(each.method, each.paired, each.threshold) for each in losses.flagged}


BIASES = {
    "a method that gives nothing": (
        [*group(40), *group(40, "A"), *group(40, "B", lost=20)],
        {("B", False, "all"), (None, False, "all")},
    ),
    "a method that loses one frame of most clips": (
        [*group(40), *group(40, "A"), *group(40, "B", lost=30, frames=1)],
        {("B", False, "any"), (None, False, "any")},
    ),
    "a method that loses half of what the others lose a frame of": (
        [*group(40, lost=40, frames=1), *group(40, "A", lost=40, frames=1), *group(40, "B", lost=40, frames=4)],
        {("B", False, "half"), (None, False, "half")},
    ),
    "reals that are lost": ([*group(40, lost=20), *group(40, "A")], {("A", False, "all")}),
    "fakes beside their reals": (
        [*group(40), *group(40, "A", lost=20, paired=True)],
        {("A", False, "all"), ("A", True, "all")},
    ),
    "fakes that cannot be read": ([*group(20), *(crashed(f"f{i}", "A") for i in range(20))], {("A", False, "all")}),
}


@pytest.mark.parametrize("name", BIASES)
def test_a_planted_bias_is_found_where_it_is(name: str) -> None:
    media, expected = BIASES[name]
    assert found(measure(media)) == expected


def test_a_finding_names_the_method_both_counts_the_reason_and_what_to_do() -> None:
    losses = measure([*group(40), *group(40, "A"), *group(40, "B", lost=20, paired=True)])
    (finding,) = losses.findings
    text = str(finding)
    assert all(
        part in text for part in ("D, B: 20 of 40 fakes (50.0%) gave nothing", "0 of 40 reals", "mostly no_face", "; p ")
    )
    assert "crop.pairs: shared" in finding.advice("independent", "W")
    assert "another detector" in finding.advice("shared", "W")
    unread = measure([*group(20), *(crashed(f"f{i}", "A") for i in range(20))]).findings[0]
    assert "mostly UnreadableMedia" in str(unread) and "mmidd failures W" in unread.advice("shared", "W")


def test_a_significant_difference_below_a_point_is_no_finding() -> None:
    rare = [*group(20_000, lost=0), *group(20_000, "A", lost=150)]
    (comparison,) = measure(rare).comparisons
    assert comparison.adjusted < 1e-6 and comparison.difference < 0.01 and not comparison.flagged


def test_one_real_with_many_fakes_is_one_observation() -> None:
    """Three of six clips are hard, each with fifty fakes: that says nothing of reals without a fake."""
    reals = group(46)
    fakes = [loss(f"A/{i}/{j}", "A", FRAMES * (i < 3), pair=("D", f"real/{i:03}")) for i in range(6) for j in range(50)]
    losses = measure([*(r if r.media > "real/002" else loss(r.media, None, FRAMES) for r in reals), *fakes])
    whole = next(each for each in losses.comparisons if not each.paired)
    assert (whole.fakes_lost, whole.fakes, whole.reals_lost, whole.reals) == (150, 300, 3, 46)
    assert not losses.flagged


def _clean(draw: random.Random) -> Iterator[Loss]:
    """Nine datasets without a bias: in eight every clip loses on its own; in one, clips of unlike difficulty have unlike
    numbers of fakes, which share their loss."""
    for number in range(8):
        for i in range(25):
            for method in (None, "X"):
                lost = draw.choice((0, 0, 2, 5, FRAMES))
                yield loss(f"{method}{i}", method, lost, dataset=f"D{number}")
    for clip in range(40):
        lost = draw.randint(1, FRAMES) if draw.random() < 0.3 else 0
        yield loss(f"r{clip}", None, lost)
        for take in range(15 if clip % 4 == 0 else 0):
            yield loss(f"f{clip}-{take}", "X", lost, pair=("D", f"r{clip}"))


def test_clean_sets_are_flagged_in_less_than_a_twentieth_of_a_thousand_draws() -> None:
    draw = random.Random(7)
    results = [measure(_clean(draw)) for _ in range(1000)]
    assert all(len(result.comparisons) > 20 for result in results)
    assert sum(bool(result.flagged) for result in results) <= 50


TINY = {
    "nothing": [],
    "one real": group(1),
    "one fake": group(1, "A", lost=1),
    "reals alone": group(9, lost=4),
    "fakes alone": [*group(9, "A", lost=4), *group(9, "B")],
    "one of each, all lost": [*group(1, lost=1), *group(1, "A", lost=1)],
    "no frame planned": [crashed("a"), crashed("b", "A")],
    "a fake whose real is not there": group(1, "A", lost=1, paired=True),
    "type and method unknown": [*group(2), loss("f", "unknown", 1, kind="unknown")],
}


@pytest.mark.parametrize("name", TINY)
def test_the_smallest_sets_give_rates_and_no_flag(name: str) -> None:
    media = TINY[name]
    losses = measure(media)
    assert not losses.flagged and not losses.findings
    assert sum(rate.media for rate in losses.rates if rate.by == "class") == len(media)
    assert json.loads(json.dumps(losses.document())) == losses.document()
    labels = {each.label for each in media}
    assert losses.one_sided == (("D",) if len(labels) == 1 else ())


def test_every_grouping_counts_every_medium_and_frame_once_with_its_reasons() -> None:
    media = [
        *group(5, lost=2), *group(4, "A", lost=1, frames=3), loss("B/x", "B", dataset="E", kind="FE", failed=2,
        reasons={"corrupt_frame": 2}), crashed("C/y", "C"),
    ]  # fmt: skip
    rates = measure(media).rates
    for by in ("class", "dataset", "label"):
        mine = [rate for rate in rates if rate.by == by]
        assert sum(rate.media for rate in mine) == 11 and sum(rate.planned for rate in mine) == 10 * FRAMES
        assert sum(rate.dropped for rate in mine) == 19 and sum(rate.failed for rate in mine) == 2
        reasons = sum((Counter(rate.reasons) for rate in mine), Counter[str]())
        assert reasons == {"no_face": 19, "corrupt_frame": 2}
        assert sum((Counter(rate.errors) for rate in mine), Counter[str]()) == {"UnreadableMedia": 1}
    (one,) = (rate for rate in rates if (rate.by, rate.dataset, rate.group) == ("label", "D", "real"))
    assert (one.media_any, one.media_half, one.media_all) == (2, 2, 2)
    assert one.share == "40.0% (11.8% to 76.9%)"


def test_within_pairs_a_real_counts_once_for_each_of_its_fakes() -> None:
    more = [loss(f"A/more{i}", "A", pair=("D", "real/005")) for i in range(2)]
    media = [*group(6, lost=3), *group(6, "A", lost=1, paired=True), *more]
    losses = measure(media)
    paired = next(each for each in losses.comparisons if each.paired)
    assert (paired.reals, paired.reals_lost, paired.fakes, paired.fakes_lost, paired.p) == (8, 3, 8, 1, 0.5)
    of_pairs = [rate for rate in losses.rates if rate.by == "pairs"]
    assert [(rate.group, rate.media_any, rate.interval) for rate in of_pairs] == [("fake", 1, None), ("real", 3, None)]


def test_holms_correction_takes_every_comparison_into_account() -> None:
    one = [*group(40), *group(40, "A", lost=8)]
    alone = measure(one).comparisons[0]
    noise = [
        loss(f"{label}{i}", "N" if label == "f" else None, FRAMES * (i < 5), dataset=f"N{k}")
        for k in range(20) for label in "rf" for i in range(10)
    ]  # fmt: skip
    among = next(each for each in measure([*one, *noise]).comparisons if each.dataset == "D")
    assert alone.p == alone.adjusted == among.p < 0.01
    assert among.adjusted == pytest.approx(21 * alone.p) and alone.flagged and not among.flagged
