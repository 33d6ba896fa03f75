"""Captions describe the scene and not the tools: not the padding of crops, not bars, not which frames were kept."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Build, Said
from PIL import Image
from scipy.stats import fisher_exact

from mmidd.captions import measures
from mmidd.captions.attributes import Attributes
from mmidd.captions.protocol import CONTEXT_SIDE, CaptionRequest
from mmidd.captions.vision import _shown
from mmidd.faces.align import Border, apply, padded, similarity, warp
from mmidd.statistics import holm
from mmidd.video.picture import Pixels

from .conftest import BOX, POINTS, Picture

OPENING = "The surroundings are "
EDGES = {
    "left": (slice(None), slice(200, None)),
    "top": (slice(150, None), slice(None)),
    "right": (slice(None), slice(0, 330)),
}
"""What is left of the picture: its edge runs beside the face, or through it."""


def said(given: CaptionRequest) -> tuple[str, str]:
    (caption,) = Attributes().caption([given])
    assert caption.face is not None and caption.environment is not None
    return caption.face, caption.environment


@pytest.fixture
def light(frame: Picture) -> Picture:
    """The picture with nothing black in it."""
    return (frame * 0.7 + 70).astype(np.uint8)


def cut_from(frame: Picture, edge: str | None = None, border: Border = "black", *, context: bool = True) -> CaptionRequest:
    """The request for the face of a picture, or of what is left of it; with a crop as extraction makes it."""
    part = EDGES[edge] if edge else (slice(None), slice(None))
    off = np.array([part[1].start or 0, part[0].start or 0], np.float32)
    shown = Pixels(np.ascontiguousarray(frame[part]))
    points = POINTS - off
    transform = similarity(points, size=256, margin=1.3)
    return CaptionRequest(
        warp(shown, transform, size=256, border=border),
        shown.small(CONTEXT_SIDE) if context else None,
        apply(transform, points).astype(np.float32),
        BOX - np.tile(off, 2),
        (shown.width, shown.height),
        padding=padded(transform, shown.width, shown.height, size=256),
    )


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("edge", EDGES)
def test_what_lies_beyond_the_frame_changes_no_word(frame: Picture, edge: str, context: bool) -> None:
    found = {said(cut_from(frame, edge, border, context=context)) for border in get_args(Border)}
    plain = cut_from(frame, edge, context=context)
    assert plain.padding is not None and plain.padding.any()
    for colour in ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 200, 0)):
        crop = plain.crop.copy()
        crop[plain.padding] = colour
        found.add(said(replace(plain, crop=crop)))
    noise = np.random.default_rng(0).integers(0, 256, plain.crop.shape, np.uint8)
    found.add(said(replace(plain, crop=np.where(plain.padding[..., None], noise, plain.crop))))
    assert len(found) == 1
    assert found.pop()[1].startswith(OPENING)


@pytest.mark.parametrize(("edge", "context"), [("left", True), ("top", True), ("right", True), ("left", False)])
@pytest.mark.parametrize("wall", [(200, 190, 60), (30, 60, 190), (128, 128, 128)])
def test_the_same_scene_is_described_alike_with_and_without_padding(
    frame: Picture, edge: str, wall: tuple[int, int, int], context: bool
) -> None:
    head = np.zeros(frame.shape[:2], np.uint8)
    cv2.ellipse(head, (268, 215), (68, 105), 0, 0, 360, 255, -1)
    scene = np.where(head[..., None] > 0, frame, np.array(wall, np.uint8))
    (face, around), (beside, same) = (said(cut_from(scene, at, context=context)) for at in (None, edge))
    assert same == around
    assert beside.split(". ")[0] == face.split(". ")[0], "the pose"


def test_without_a_mask_black_at_the_edge_of_a_crop_is_no_colour_of_the_scene(light: Picture) -> None:
    for edge in EDGES:
        bare = replace(cut_from(light, edge, context=False), padding=None)
        assert (bare.crop == 0).all(axis=2).mean() > 0.04
        assert "black" not in said(bare)[1] and said(bare)[1].startswith(OPENING)


@pytest.mark.parametrize("how", ["context", "no context", "whole", "no box", "no points", "away"])
def test_every_environment_opens_alike_whatever_is_known_of_the_frame(frame: Picture, how: str) -> None:
    plain = cut_from(frame)
    changes: dict[str, dict[str, Any]] = {
        "context": {},
        "no context": {"context": None},
        "whole": {"context": None, "landmarks": None, "face_box": None, "padding": None},
        "no box": {"face_box": None},
        "no points": {"landmarks": None},
        "away": {"face_box": BOX + 1e4},
    }
    assert said(replace(plain, **changes[how]))[1].startswith(OPENING)


def bars(frame: Picture, across: int, down: int) -> Picture:
    return np.pad(frame, ((down, down), (across, across), (0, 0)))


@pytest.mark.parametrize(("across", "down"), [(0, 80), (150, 0)], ids=["letterbox", "pillarbox"])
def test_bars_of_a_video_are_no_part_of_its_scene(light: Picture, across: int, down: int) -> None:
    plain, framed = cut_from(light), bars(light, across, down)
    moved = replace(
        plain,
        context=Pixels(framed).small(CONTEXT_SIDE),
        face_box=BOX + np.array([across, down] * 2, np.float32),
        frame_size=(framed.shape[1], framed.shape[0]),
    )
    (face, around), (same_face, same) = said(plain), said(moved)
    assert "black" not in same
    unscaled = [re.sub("busy|lightly detailed|detailed", "", each) for each in (same, around)]  # detail is told by size
    assert unscaled[0] == unscaled[1]
    size = re.compile(r"It fills [^.]*\.|It is small [^.]*\.")
    assert size.findall(same_face) == size.findall(face)


@pytest.mark.parametrize(
    ("image", "part"),
    [
        (np.zeros((40, 60, 3), np.uint8), (0, 0, 60, 40)),
        (bars(np.full((40, 60, 3), 90, np.uint8), 0, 10), (0, 10, 60, 50)),
        (bars(np.full((40, 60, 3), 90, np.uint8), 10, 0), (10, 0, 70, 40)),
        (bars(np.full((40, 60, 3), 90, np.uint8), 10, 10), (0, 0, 80, 60)),
        (bars(np.full((4, 60, 3), 90, np.uint8), 0, 40), (0, 0, 60, 84)),
    ],
    ids=["black", "letterbox", "pillarbox", "a light thing on black", "a slit"],
)
def test_bars_lie_on_two_sides_and_leave_a_picture(image: Picture, part: tuple[int, int, int, int]) -> None:
    assert measures.uncovered(image) == part


def test_a_dataset_s_own_crops_are_described_without_the_black_that_was_cut_into_them(light: Picture) -> None:
    for whole in (cut_from(light, "left").crop, cut_from(light).crop):
        assert "black" not in said(CaptionRequest(whole, None, None, None, (256, 256)))[1]


@pytest.mark.parametrize("edge", EDGES)
def test_a_model_sees_nothing_of_the_padding(frame: Picture, edge: str) -> None:
    plain = cut_from(frame, edge)
    red = plain.crop.copy()
    red[plain.padding] = (255, 0, 0)
    (crop, context), (other, _) = _shown(plain), _shown(replace(plain, crop=red))
    assert np.array_equal(crop, other) and crop.shape != plain.crop.shape
    assert plain.context is not None and np.array_equal(context, plain.context)
    whole = cut_from(frame)
    assert whole.padding is not None and not whole.padding.any() and np.array_equal(_shown(whole)[0], whole.crop)


MANIFEST = """\
name: Both
slug: both
year: 2024
folders: [Both]
summary: s
access: a
citation: c
verified: true
licence: {id: other, name: n, url: "https://example.org", redistributable: false}
type_basis: stated
fields: {v: '[a-z]+'}
rules:
  - {id: still, path: 'stills/{v}.png', label: real}
  - {id: clip, path: 'clips/{v}', kind: frames, label: real}
"""
RECIPE = "name: both\ndatasets: [Both]\nframes: {count: 4}\ndetector: {kind: mtcnn, size: 256}\n"


def test_equal_pixels_have_equal_captions_as_images_and_as_frames_of_a_clip(
    light: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmidd: Callable[..., Said]
) -> None:
    monkeypatch.setenv("MMIDD_MANIFESTS", str(tmp_path / "manifests"))
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/both.yaml").write_text(MANIFEST)
    (tmp_path / "both.yaml").write_text(RECIPE)
    pictures = {"plain": light, "near": light[:, 200:], "high": light[150:], "bars": bars(light, 0, 90)}
    for name, picture in pictures.items():
        clip = tmp_path / "data/Both/clips" / name
        clip.mkdir(parents=True)
        (tmp_path / "data/Both/stills").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / f"data/Both/stills/{name}.png")
        for number in range(3):
            Image.fromarray(picture).save(clip / f"{number}.png")
    places = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "corpus"), "--workers", "0"]
    settings = ["--set", "curation.exact_duplicates=false"]
    assert mmidd("build", str(tmp_path / "both.yaml"), *places, *settings).code == 0
    words: dict[str, list[tuple[str, str]]] = defaultdict(list)
    padding = {}
    for row in rows_of(tmp_path / "corpus"):
        name = Path(row["media"]).stem
        words[name].append((row["face_caption"], row["environment_caption"]))
        padding[name] = row["padding"]
    assert {name: len(texts) for name, texts in words.items()} == dict.fromkeys(pictures, 4)
    assert {name for name, texts in words.items() if len(set(texts)) > 1} == set()
    assert padding["near"] > 0.05 and padding["high"] > 0.05 and padding["plain"] == padding["bars"] == 0
    assert all(texts[0][1].startswith(OPENING) and "black" not in texts[0][1] for texts in words.values())


def rows_of(corpus: Path) -> list[dict[str, Any]]:
    columns = ["media", "timestamp", "padding", "group", "face_caption", "environment_caption"]
    return [row for shard in sorted(corpus.glob("data/*")) for row in pq.read_table(shard, columns=columns).to_pylist()]


def phrases(text: str) -> Iterable[str]:
    words = re.findall(r"[\w']+", text.lower())
    return (" ".join(words[at : at + length]) for length in (1, 2, 3) for at in range(len(words) - length + 1))


KINDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "video or image": lambda row: row["timestamp"] is not None,
    "padded or not": lambda row: row["padding"] > 0,
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_phrase_of_an_environment_belongs_to_one_kind_of_sample_beyond_chance(kind: str, built: Build) -> None:
    groups: dict[bool, set[str]] = {True: set(), False: set()}
    using: dict[str, dict[bool, set[str]]] = defaultdict(lambda: {True: set(), False: set()})
    rows = rows_of(built.out)
    for row in rows:
        side = KINDS[kind](row)
        groups[side].add(row["group"])
        for phrase in phrases(row["environment_caption"]):
            using[phrase][side].add(row["group"])
    assert all(groups.values())
    exclusive = [phrase for phrase, sides in using.items() if not all(sides.values())]
    tables = [[[len(found), len(groups[side]) - len(found)] for side, found in using[each].items()] for each in exclusive]
    chance = holm([float(fisher_exact(table).pvalue) for table in tables])
    assert [phrase for phrase, p in zip(exclusive, chance, strict=True) if p < 0.01] == []
    assert {" ".join(row["environment_caption"].split()[:3]) for row in rows} == {OPENING.strip()}
