"""Media that lie on their side though their files do not say so: from disk to corpus, and rehydrated."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from conftest import Said
from once import Once
from PIL import Image
from place import digests

from mmidd import cli
from mmidd.corpus.read import Corpus
from mmidd.sampledata import fakes, media, people, scenes
from mmidd.sampledata.people import PEOPLE
from mmidd.share.publication.stage import stage
from mmidd.share.rehydrate.rehydrate import rehydrate

Pixels = npt.NDArray[np.uint8]
Run = Callable[..., Said]

MANIFEST = """\
name: Lying
slug: lying
year: 2026
folders: [Lying]
summary: media that lie on their side
access: made by a test
citation: "none"
licence: {id: none, name: none, url: "https://example.org", redistributable: false}
verified: true
type_basis: stated
fields:
  few: [v1]
  name: 'f\\d'
rules:
  - {id: known, path: "real/{few}.mp4", label: real, turn: 180}
  - {id: real, path: "real/*.mp4", label: real}
  - {id: clips, path: "clips/*", kind: frames, label: real, turn: find}
  - {id: fakes, path: "fake/{name}.mp4", label: fake, method: Deepfakes, mask: "mask/{name}.mp4", turn: find}
  - {id: paired, path: "pair/{few}.mp4", label: fake, method: Deepfakes, pair: "real/{few}.mp4", turn: find}
  - {id: stills, path: "stills/*.png", label: real, turn: find}
  - {id: whole, path: "whole/*.png", label: fake, method: Deepfakes, faces: whole, turn: 90}
"""
RECIPE = """\
name: lying
manifests: manifests
datasets: [Lying]
frames: {count: 3}
crop: {size: 64}
image: {format: png}
detector: {kind: mtcnn}
captioner: none
curation: {exact_duplicates: false}
"""
SCENE = scenes.Scene(11, 160, 120, 4, eye_distance=34, motion=0.2)
LIES = {
    "real/v1.mp4": 180, "real/v2.mp4": 0, "clips/c1": 90, "fake/f1.mp4": 270, "fake/f2.mp4": 0, "pair/v1.mp4": 90,
    "stills/s1.png": 180, "stills/s2.png": 90, "stills/s3.png": 270, "stills/none.png": 0, "whole/w1.png": 270,
}  # fmt: skip
TURN = {name: (360 - lies) % 360 for name, lies in LIES.items()} | {"real/v2.mp4": None}
"""By how much each is to be turned, as the media table says it."""


@dataclass(frozen=True)
class Sides:
    """A corpus of the media as they lie, and one of the same media upright."""

    root: Path

    def out(self, side: str) -> Path:
        return self.root / side / "corpus"

    def data(self, side: str) -> Path:
        return self.root / side / "data"


def _lay(root: Path, *, upright: bool, manifest: str = MANIFEST) -> None:
    """Recipe, manifest and media."""
    (root / "manifests").mkdir(parents=True)
    (root / "manifests/lying.yaml").write_text(manifest)
    (root / "lying.yaml").write_text(RECIPE)
    for number, (name, lies) in enumerate(LIES.items()):
        acting = fakes.act(people.portrait_of(PEOPLE[number % 5]), fakes.talk(number))
        if name == "pair/v1.mp4":
            portraits = people.portrait_of(PEOPLE[0]), people.portrait_of(PEOPLE[6])
            acting = fakes.swapped_act(*portraits, fakes.SWAPS["Deepfakes"], fakes.talk(0), 7)
        frames = [np.zeros((120, 160, 3), np.uint8)] if "none" in name else list(scenes.film_clip(SCENE, acting))
        _write(root / "data/Lying" / name, [_turned(frame, 0 if upright else lies) for frame in frames])
        if name == "fake/f1.mp4":
            mask = np.zeros((120, 160, 3), np.uint8)
            mask[40:80, 60:100] = 255
            _write(root / "data/Lying/mask/f1.mp4", [_turned(mask, 0 if upright else lies)] * 4)


def _turned(frame: Pixels, degrees: int) -> Pixels:
    return np.ascontiguousarray(np.rot90(frame, -degrees // 90))


def _write(path: Path, frames: list[Pixels]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mp4":
        media.write_video(path, frames, fps=25, crf=1)
    elif path.suffix:
        media.write_image(path, frames[0])
    else:
        path.mkdir()
        for number, frame in enumerate(frames):
            media.write_image(path / f"{number:03d}.png", frame)


def _words(root: Path, workers: int = 0) -> tuple[str, ...]:
    places = ("--data", str(root / "data"), "--out", str(root / "corpus"), "--workers", str(workers))
    return ("build", str(root / "lying.yaml"), *places)


@pytest.fixture(scope="module")
def sides(once: Once) -> Sides:
    def make(folder: Path) -> None:
        without = MANIFEST.replace(", turn: 180", "").replace(", turn: find", "").replace(", turn: 90", "")
        for side in ("lying", "upright"):
            _lay(folder / side, upright=side == "upright", manifest=without if side == "upright" else MANIFEST)
            assert cli.run(_words(folder / side)) == 0

    return Sides(once("turned", make))


def _rows(out: Path) -> dict[tuple[str, int], dict[str, Any]]:
    found = [row for shard in sorted(out.glob("data/*.parquet")) for row in pq.read_table(shard).to_pylist()]
    return {(row["media"], row["frame"]): row for row in found}


def _pixels(image: dict[str, Any]) -> npt.NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(image["bytes"])), np.int16)


def _apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    return float(np.abs(_pixels(one) - _pixels(other)).mean())


def test_a_stated_turn_is_not_for_a_video_whose_file_says_how_it_lies(sides: Sides, tmp_path: Path) -> None:
    """A copy of clip v1 that players show upright: turned twice it would stand on its head."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/lying.yaml").write_text(MANIFEST)
    (tmp_path / "lying.yaml").write_text(RECIPE)
    (tmp_path / "data/Lying/real").mkdir(parents=True)
    frames = list(scenes.film_clip(SCENE, fakes.act(people.portrait_of(PEOPLE[0]), fakes.talk(0))))
    lying = [_turned(frame, 180) for frame in frames]
    media.write_video(tmp_path / "data/Lying/real/v1.mp4", lying, fps=25, crf=1, rotation=180)
    assert cli.run(_words(tmp_path)) == 0
    found, upright = _rows(tmp_path / "corpus"), _rows(sides.out("upright"))
    assert len(found) == 3
    for name, row in found.items():
        points = [np.array(each["landmarks"], float).ravel() for each in (row, upright[name])]
        assert np.abs(points[0] - points[1]).max() < 5  # of 160 pixels
    assert Corpus(tmp_path / "corpus").media["turn"].to_pylist() == [None]  # no medium was turned: no column is written


def test_what_lies_on_its_side_is_cut_as_what_stands_upright(sides: Sides) -> None:
    lying, upright = _rows(sides.out("lying")), _rows(sides.out("upright"))
    assert lying.keys() == upright.keys() and {name for name, _ in lying} == LIES.keys() - {"stills/none.png"}
    for name, row in lying.items():
        other = upright[name]
        assert (row["width"], row["height"]) == (160, 120) == (other["width"], other["height"])
        if name[0].endswith(".mp4"):  # a lossy codec codes a turned picture otherwise
            apart = np.linalg.norm(np.subtract(row["landmarks"], other["landmarks"]), axis=1).mean()
            assert apart < 0.06 * other["face_size"] and _apart(row["image"], other["image"]) < 16
        else:
            same = (
                "image",
                "box",
                "landmarks",
                "transform",
                "detection_score",
                "sharpness",
                "phash",
                "padding",
                "face_size",
            )
            assert [row[each] for each in same] == [other[each] for each in same]
    masks = [(row["mask"], upright[name]["mask"]) for name, row in lying.items() if row["mask"]]
    assert len(masks) == 3 and all(_apart(*pair) < 6 and _pixels(pair[0]).max() > 200 for pair in masks)


def test_the_media_table_says_how_each_was_turned_and_has_no_such_column_where_none_was(sides: Sides) -> None:
    table = pq.read_table(sides.out("lying") / "media.parquet").to_pylist()
    assert {row["media"]: row["turn"] for row in table} == TURN
    assert "turn" not in pq.read_table(sides.out("upright") / "media.parquet").column_names
    for side in ("lying", "upright"):
        assert not Corpus(sides.out(side)).verify().findings and len(Corpus(sides.out(side)).media["turn"]) == len(LIES)


def test_a_fake_has_a_turn_of_its_own_and_is_cut_where_its_real_was(sides: Sides) -> None:
    rows = _rows(sides.out("lying"))
    for frame in (0, 2, 3):
        fake, real = rows["pair/v1.mp4", frame], rows["real/v1.mp4", frame]
        assert (fake["geometry"], fake["pair"], fake["transform"]) == ("shared", real["id"], real["transform"])
    checks = {row["media"]: row["pair_check"] for row in Corpus(sides.out("lying")).media.to_pylist()}
    assert checks["pair/v1.mp4"] == "proved"


def test_a_build_tells_what_it_turned_by_class_and_a_change_of_a_turn_makes_stale_what_it_shapes(
    sides: Sides, tmp_path: Path, mmidd: Run
) -> None:
    _lay(tmp_path, upright=False)
    said = mmidd(*_words(tmp_path, workers=2), "--json")
    assert said.code == 0 and digests(tmp_path / "corpus") == digests(sides.out("lying"))
    reals, swapped = json.loads(said.out)["turned"]
    assert (reals["label"], reals["media"], reals["found"], reals["faceless"]) == ("real", 6, 5, 1)
    assert reals["turned"] == {"90": 1, "180": 2, "270": 2} and reals["looks"] == 4 * (3 + 1 + 1 + 1 + 1)
    assert (swapped["method"], swapped["media"], swapped["turned"]) == ("Deepfakes", 4, {"90": 2, "270": 1})
    told = " ".join(mmidd(*_words(tmp_path)).err.split())
    angles = "2 by 90 degrees, 1 by 270 degrees; 36 pictures were looked at for it"
    assert f"Lying: 3 of 4 fakes (Deepfakes) were turned upright: {angles}" in told
    assert "6 reals were turned upright: 1 by 90 degrees, 2 by 180 degrees, 2 by 270 degrees; 28 pictures" in told
    (tmp_path / "manifests/lying.yaml").write_text(MANIFEST.replace(", turn: 180", ""))
    planned = " ".join(mmidd("plan", *_words(tmp_path)[1:4], "--out", str(tmp_path / "corpus")).out.split())
    assert "extract" in planned
    assert mmidd(*_words(tmp_path), "--allow-removals").code == 0
    kept = {row["media"]: row["turn"] for row in pq.read_table(tmp_path / "corpus/media.parquet").to_pylist()}
    assert kept == TURN | {"real/v1.mp4": None}


def test_turned_media_are_rehydrated_byte_for_byte_without_a_detector(sides: Sides, tmp_path: Path) -> None:
    stage(Corpus(sides.out("lying")), tmp_path / "p", name="lying", labels_only=True, workers=0)
    found = rehydrate(tmp_path / "p", sides.data("lying"), tmp_path / "out", workers=0)
    assert found.original, str(found)
    assert digests(tmp_path / "out") == digests(sides.out("lying"))


def test_a_part_of_a_rehydrated_corpus_still_says_how_its_media_are_turned(sides: Sides, tmp_path: Path) -> None:
    stage(Corpus(sides.out("lying")), tmp_path / "p", name="lying", labels_only=True, workers=0)
    data = tmp_path / "data"
    _lay(tmp_path / "again", upright=False)
    (tmp_path / "again/data").rename(data)
    (data / "Lying/stills/s1.png").unlink()
    found = rehydrate(tmp_path / "p", data, tmp_path / "out", workers=0)
    assert not found.original and found.statuses["missing"] == 1
    assert {row["media"]: row["turn"] for row in Corpus(tmp_path / "out").media.to_pylist()} == TURN
    assert not Corpus(tmp_path / "out").verify().findings
