"""Pairs that cross datasets: settled over the index of all, and followed by the build where the real is there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pyarrow as pa
import pytest
from conftest import walk_here
from PIL import Image

from mmidd.engine.digests import DigestCache
from mmidd.errors import DataError
from mmidd.flow.check import check_all
from mmidd.flow.pairs import settle
from mmidd.flow.walk import Walked
from mmidd.raw import listing
from mmidd.raw.bytes import MediaFile
from mmidd.recipe import Recipe, read
from mmidd.stages import extract, index
from mmidd.stages.extract import Selected

PLACES = ["B:c23/1.mp4", "B:c40/1.mp4", "C:1.mp4"]


def _part(dataset: str, *rows: dict[str, Any]) -> pa.Table:
    plain = {"dataset": dataset, "status": "media", "group_keys": [], "pair_candidates": [], "aligned": False}
    return pa.Table.from_pylist([plain | row for row in rows], index.SCHEMA)


def _fake(*places: str) -> dict[str, Any]:
    first = places[0].partition(":")
    return {"media": "f.mp4", "pair_dataset": first[0], "pair_media": first[2], "pair_candidates": list(places),
            "aligned": True, "group_keys": ["A/x"]}  # fmt: skip


def _real(compression: str | None, media: str = "") -> dict[str, Any]:
    return {"media": media or f"{compression}/1.mp4", "compression": compression}


@pytest.mark.parametrize(
    ("reals", "taken", "wanted"),
    [
        ([_real("c23")], {"B": "c23"}, ("B", "c23/1.mp4")),
        ([_real("c40")], {"B": "c40"}, ("B", "c40/1.mp4")),
        # both are on disk: the one that the recipe takes
        ([_real("c23"), _real("c40")], {"B": "c40"}, ("B", "c40/1.mp4")),
        ([_real("c23"), _real("c40")], {"B": "c23"}, ("B", "c23/1.mp4")),
        # the compression that is taken lacks this clip
        ([_real("c23")], {"B": "c40"}, ("B", "c23/1.mp4")),
        ([_real(None, "c23/1.mp4")], {"B": None}, ("B", "c23/1.mp4")),
        # another file of that name that is no medium is no real
        ([_real("c40") | {"status": "unmatched"}], {"B": "c40"}, ("C", "1.mp4")),
        ([_real("c40", "2.mp4")], {"B": "c40"}, ("C", "1.mp4")),
        ([], {}, ("B", "c23/1.mp4")),
    ],
)
def test_a_fake_takes_the_first_candidate_that_is_there(
    reals: list[dict[str, Any]], taken: dict[str, str | None], wanted: tuple[str, str]
) -> None:
    parts = [_part("A", _fake(*PLACES)), *([_part("B", *reals)] if taken else [])]
    (settled, *others), lost = settle(parts, {"A": None, **taken})
    (row,) = settled.to_pylist()
    assert (row["pair_dataset"], row["pair_media"], row["aligned"], row["group_keys"]) == (*wanted, True, ["A/x"])
    assert lost == dict.fromkeys({"A": None, **taken}, 0)
    assert others == parts[1:] and settled.schema.equals(index.SCHEMA)


def test_a_fake_whose_real_is_in_none_of_its_places_has_no_pair_and_stays_with_its_siblings() -> None:
    places = PLACES[:2]
    fakes = [_fake(*places) | {"media": name} for name in ("f.mp4", "g.mp4")]
    (settled, _), lost = settle([_part("A", *fakes), _part("B", _real("c23", "2.mp4"))], {"A": None, "B": "c23"})
    for row in settled.to_pylist():
        assert (row["pair_dataset"], row["pair_media"], row["aligned"]) == (None, None, False)
        assert row["group_keys"] == ["A/x", "B/media/c23/1.mp4"]
        assert row["pair_candidates"] == places
    assert lost == {"A": 2, "B": 0}


@pytest.mark.parametrize("count", [300, 8000])
def test_a_task_of_fake_images_follows_reals_of_few_units(count: int, tmp_path: Path) -> None:
    reals = [_selected("B", f"{number}.png", None) for number in range(count)]
    fakes = [_selected("A", f"{number}-{method}.png", f"{number}.png") for number in range(count) for method in "xy"]
    pairs = {fake.name: fake.pair_name for fake in fakes}
    digests, recipe = DigestCache(tmp_path), Recipe.model_validate({"name": "x", "datasets": ["FaceForensics++"]})
    homes = {item.name: unit.name for unit in extract.plan(reals, recipe, digests, {}, {}) for item in unit.items}
    assert len(set(homes.values())) == (2 if count == 300 else 32)
    units = extract.plan(fakes, recipe, digests, {}, pairs)
    assert sorted(item.name for unit in units for item in unit.items) == sorted(pairs)
    followed = [{homes[pairs[item.name]] for item in task.items} for unit in units for task in unit.tasks]
    assert max(map(len, followed)) <= 2
    order = [homes[pairs[item.name]] for unit in units for item in unit.items]
    assert order == sorted(order)


def _selected(dataset: str, media: str, pair: str | None) -> Selected:
    label: Literal["real", "fake"] = "fake" if pair else "real"
    return Selected(dataset, media, MediaFile(Path(), media, "image", 1, 1), label, None, "B" if pair else None, pair, True)


def _jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def _clip(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        for shade in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 * shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _frames(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(_jpeg(number))


def _indexed(root: Path, datasets: str, until: Literal["index", "extract"] = "index") -> Walked:
    settings = [f"datasets=[{datasets}]", "detector=mtcnn", "captioner=none", "frames.count=2"]
    return walk_here(read("sample", settings), root / "data", root / "work", until, run=True)[1]


TIMIT = "{name: VidTIMIT}, {name: DeepfakeTIMIT}"
FAKE = "higher_quality/fadg0/sa1-video-fram1.avi"


def test_a_fake_of_timit_finds_its_real_as_a_clip_or_as_frames_without_a_suffix(tmp_path: Path) -> None:
    data = tmp_path / "data"
    _clip(data / "DeepfakeTIMIT" / FAKE)
    _clip(data / "DeepfakeTIMIT" / FAKE.replace("sa1", "sa2"))
    _clip(data / "DeepfakeTIMIT" / FAKE.replace("sa1", "sx9"))
    _clip(data / "VidTIMIT/fadg0/video/sa1.avi")
    _frames(data / "VidTIMIT/fadg0/video/sa2", ["001", "002", "003"])
    walked = _indexed(tmp_path, TIMIT, "extract")
    indexed = walked.index
    pairs = {name[1][:-len("-video-fram1.avi")][-3:]: one.pair_name for name, one in indexed.selected.items()
             if name[0] == "DeepfakeTIMIT"}  # fmt: skip
    assert pairs["sa1"] == ("VidTIMIT", "fadg0/video/sa1.avi")
    assert pairs["sa2"] == ("VidTIMIT", "fadg0/video/sa2")
    assert pairs["sx9"] == ("DeepfakeTIMIT", FAKE.replace("sa1", "sx9"))
    assert indexed.facts["DeepfakeTIMIT"]["missing_pairs"] == 1
    told = [(each.what, each.where) for found in check_all(indexed).checked for each in found.findings
            if each.check == "real not on disk"]  # fmt: skip
    assert told == [("fakes whose real in VidTIMIT is absent", (FAKE.replace("sa1", "sx9"),))]
    assert walked.crops is not None
    outcomes = walked.crops.outcomes
    assert outcomes["VidTIMIT", "fadg0/video/sa2"].planned == 2
    assert {(outcome.status, outcome.failed) for outcome in outcomes.values()} <= {("ok", 0), ("dropped", 0)}


def test_a_folder_that_was_emptied_is_told_with_the_index(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/1.txt").write_text("x")
    assert listing.walk(tmp_path).empty == ("a/b/c",)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError):
        listing.walk(tmp_path / "gone")


def test_a_numbered_file_that_is_a_medium_by_itself_is_no_frame_of_the_clip_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "both.yaml").write_text(
        "name: Both\nslug: both\nyear: 2024\nfolders: [Both]\nsummary: s\naccess: a\ncitation: c\nverified: true\n"
        "licence: {id: other, name: n, url: 'https://example.org', redistributable: false}\ntype_basis: stated\n"
        "fields: {v: '[a-z]+'}\nrules:\n"
        "  - {id: file, path: '{v}/9.jpg', label: real}\n"
        "  - {id: clip, path: '{v}', kind: frames, label: real}\n"
    )
    monkeypatch.setenv("MMIDD_MANIFESTS", str(manifests))
    _frames(tmp_path / "data/Both/a", ["1.jpg", "2.jpg", "9.jpg"])
    indexed = _indexed(tmp_path, "{name: Both}").index
    (clip,) = indexed.selected.values()
    assert (clip.kind, [part.name for part in clip.file.parts]) == ("frames", ["1.jpg", "2.jpg"])
    told = [(row["media"], row["reason"]) for row in indexed.of_status("unmatched")]
    assert told == [("a/9.jpg", "ambiguous: rule 'file' takes the file, rule 'clip' its folder as a clip")]
