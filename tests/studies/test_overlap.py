"""Who would train on what it is tested on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus import made

from mmidd.corpus.read import Corpus
from mmidd.manifest import bundled
from mmidd.studies.overlap import COMPRESSION, Overlap, overlap

CLEAN = {"media_sha256": None, "group": None, "phash": None}
FF, CDF = "FaceForensics++", "Celeb-DF-v2"
Rows = dict[str, list[dict[str, Any]]]


def _corpus(folder: Path, shards: Rows) -> Corpus:
    """A corpus whose first rows of each shard are changed so; nothing of its other rows is like another corpus's."""

    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        given = shards.get(shard, [])
        for number, row in enumerate(rows):
            row |= {**CLEAN, "dataset": f"{folder.name}-{row['dataset']}"}
            row |= given[number] if number < len(given) else {}

    return Corpus(made.corpus(folder, change))


def _real(dataset: str, media: str, **others: Any) -> dict[str, Any]:
    return {"dataset": dataset, "media": media, "label": 0, "method": None, **others}


def _fake(dataset: str, media: str, pair: str | None = None, **others: Any) -> dict[str, Any]:
    return {"dataset": dataset, "media": media, "label": 1, "method": "Swap", "pair_media": pair, **others}


REAL = "original_sequences/youtube/c23/videos/000.mp4"
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "the same medium": (_real(FF, REAL), _real(FF, REAL), "media"),
    "the same clip in another compression": (_real(FF, REAL), _real(FF, REAL.replace("c23", "c40")), "compression"),
    "a fake made from a real that is trained on in another compression": (
        _real(FF, REAL.replace("c23", "raw")), _fake("DF40", "a", f"{FF}:{REAL}"), "made_from",
    ),
    "a group that bears one name but for its compression": (
        _real(FF, "a.mp4", group=f"{FF}/x/c23/z.mp4"), _real(FF, "b.mp4", group=f"{FF}/x/c40/z.mp4"), "group",
    ),
    "a folder that only looks like a compression": (_real(FF, "x/c23a/1.mp4"), _real(FF, "x/c40a/1.mp4"), None),
    "the same file under another name": (
        _real("CelebA", "1.jpg", media_sha256="a" * 64), _real("CelebA-HQ", "9.png", media_sha256="a" * 64), "bytes",
    ),
    "a fake of another dataset made from a real that is trained on": (
        _real(FF, REAL), _fake("DF40", "fsgan/ff/frames/000_003", f"{FF}:{REAL}"), "made_from",
    ),
    "a fake of the same dataset made from a real that is trained on": (
        _real(FF, REAL), _fake(FF, "x.mp4", REAL), "made_from",
    ),
    "a real whose fakes are trained on": (_fake("DF40", "a/b", f"{FF}:{REAL}"), _real(FF, REAL), "fakes"),
    "fakes of two datasets made from one real that nobody has": (
        _fake("DFDM", "a.mp4", f"{CDF}:Celeb-real/id0_0000.mp4"),
        _fake("DF40", "b", f"{CDF}:Celeb-real/id0_0000.mp4"), "group",
    ),
    "a group that bears one name": (
        _real(FF, "a.mp4", group=f"{FF}/a.mp4"), _real(FF, "b.mp4", group=f"{FF}/a.mp4"), "group",
    ),
    "a group that is named by a medium the other side has": (
        _real(FF, "b.mp4", group=f"{FF}/a.mp4"), _real(FF, "c.mp4", group=f"{FF}/b.mp4"), "group",
    ),
    "another medium of the same dataset": (_real(FF, "a.mp4"), _real(FF, "b.mp4"), None),
    "the same path in another dataset": (_real(FF, "a.mp4"), _real(CDF, "a.mp4"), None),
    "the same person in other media": (_real(CDF, "a.mp4", target_id="id0"), _fake(CDF, "b.mp4", source_id="id0"), None),
    "the same person, attacked in both": (
        _fake(CDF, "a.mp4", target_id="id0", attack="print"), _real(CDF, "b.mp4", target_id="id0"), "person",
    ),
    "the same name of a person in two datasets of attacks": (
        _fake(CDF, "a.mp4", target_id="id0", attack="print"), _fake(FF, "b.mp4", target_id="id0", attack="print"), None,
    ),
    "an unknown file is no known one": (_real(FF, "a.mp4"), _real(CDF, "b.mp4"), None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("side", ["train-alpha", "validation-beta"])
def test_what_both_sides_hold_is_refused(tmp_path: Path, case: str, side: str) -> None:
    trained, tested, kind = CASES[case]
    found = overlap(_corpus(tmp_path / "a", {side: [trained]}), _corpus(tmp_path / "b", {"test-gamma": [tested]}))
    assert found.refused == (kind is not None)
    assert [leak.kind for leak in found.leaks] == ([kind] if kind else [])
    if kind:
        (leak,) = found.leaks
        assert (leak.media, leak.datasets) == (1, {tested["dataset"]: 1})
        assert leak.examples == (f"{tested['dataset']}/{tested['media']}",)
        assert f"refused: {leak}" in str(found) and leak.examples[0] in str(found)


@pytest.mark.parametrize(("side", "other"), [("test-gamma", "test-gamma"), ("train-alpha", "train-beta")])
def test_only_what_is_trained_on_and_what_is_tested_on_count(tmp_path: Path, side: str, other: str) -> None:
    same = [_real(FF, REAL, media_sha256="b" * 64, phash="0" * 16)]
    found = overlap(_corpus(tmp_path / "a", {side: same}), _corpus(tmp_path / "b", {other: same}))
    assert not found.refused and not found.alike


def test_a_medium_is_told_once_by_the_plainest_reason(tmp_path: Path) -> None:
    row = _real(FF, REAL, media_sha256="b" * 64, group=f"{FF}/{REAL}")
    many = [_real(FF, f"{number}.mp4", group=f"{FF}/{REAL}") for number in range(6)]
    ours, theirs = {"train-alpha": [row, row]}, {"test-gamma": [row, *many]}
    found = overlap(_corpus(tmp_path / "a", ours), _corpus(tmp_path / "b", theirs))
    assert [(leak.kind, leak.media, len(leak.examples)) for leak in found.leaks] == [("media", 1, 1), ("group", 6, 5)]


def test_what_is_no_leak_is_told(tmp_path: Path) -> None:
    ours = _corpus(tmp_path / "a", {"train-alpha": [_real(FF, "a.mp4", target_id="000", phash="0" * 16)]})
    fake = _fake("DF40", "x", f"{FF}:b.mp4", target_id="000", phash="0" * 16)
    theirs = _corpus(tmp_path / "b", {"test-gamma": [fake, _real(FF, "c.mp4", target_id="9")]})
    found = overlap(ours, theirs)
    assert not found.refused
    assert found.in_domain == (FF,) and found.cross_domain == ("DF40", "b-Gamma")
    assert found.identities == {FF: 1}, "a fake shows the people of its real's dataset"
    assert found.alike == 1
    assert found.document() == {
        "train_media": 21, "test_media": 7, "refused": False, "leaks": [], "in_domain": [FF],
        "cross_domain": ["DF40", "b-Gamma"], "identities": {FF: 1}, "alike_rows": 1,
    }  # fmt: skip


@pytest.mark.parametrize("make", [lambda corpus: corpus, lambda corpus: Corpus(corpus.place.path(""))])
def test_one_corpus_trains_and_tests_on_its_own_splits(tmp_path: Path, make: Callable[[Corpus], Corpus]) -> None:
    corpus = _corpus(tmp_path / "a", {})
    found = overlap(corpus, make(corpus))
    assert (found.train, found.test, found.refused) == (21, 7, False)


def test_every_compression_of_the_manifests_is_known() -> None:
    offered = {name for each in bundled().values() for name in each.compressions}
    assert {"c23", "crf10"} <= offered and {re.sub(COMPRESSION, "", f"X/{name}/y") for name in offered} == {"Xy"}


def test_a_part_counts_as_what_it_holds(tmp_path: Path) -> None:
    ours = _corpus(tmp_path / "a", {"train-alpha": [_real("a-Alpha", REAL)]})
    theirs = _corpus(tmp_path / "b", {"test-gamma": [_real("a-Alpha", REAL)]})
    found: list[Overlap] = [overlap(ours.part(dataset=name), theirs) for name in ("alpha", "beta")]
    assert [each.refused for each in found] == [True, False]
    assert overlap(ours, theirs.part("train")).test == 0


def test_a_dataset_that_is_left_out_is_tested_whole_against_all_others(tmp_path: Path) -> None:
    twin = [_real("Alpha", "a.mp4", media_sha256="a" * 64)], [_real("Beta", "b.mp4", media_sha256="a" * 64)]
    corpus = _corpus(tmp_path / "one", {"train-alpha": twin[0], "train-beta": twin[1]})
    assert not overlap(corpus, corpus).refused
    found = overlap(corpus, corpus, left_out=["Alpha"], tested=("train", "test"))
    assert [leak.kind for leak in found.leaks] == ["bytes"] and found.leaks[0].examples == ("Alpha/a.mp4",)
    assert found.test == 1 and not overlap(corpus, corpus, left_out=["Gamma"], tested=("train", "test")).refused
