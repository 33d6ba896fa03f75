"""Where the masks of media lie that were found: at their places by the rules, wherever the medium was found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from manifests.test_masks import CASES

from mmidd.manifest import find_manifest
from mmidd.manifest.maskpaths import mask_paths
from rehydrate.folders import FAKE, FF, FILES, MASK, TOP, below, bytes_of, look, put, tarred, wanted, zipped

WITH = {FAKE: FILES[FAKE], MASK: b"grey"}
FRAMES = {f"{TOP}/masks/images/000_003/{number:04d}.png": b"mask %d" % number for number in range(2)}

PLACES: dict[str, Mapping[str, bytes]] = {
    "beside it": below(FF, WITH),
    "in a zip of its own": {f"{FF}/{FAKE}": WITH[FAKE], f"{FF}/{TOP}/masks/videos.zip": zipped({"000_003.mp4": b"grey"})},
    "both in a tar": {f"{FF}/all.tar": tarred(WITH)},
    "the dataset below another folder": below("old/disk", WITH),
    "the dataset in a tar beside it": {"x.tar.gz": tarred(below("y", WITH), "w:gz")},
    "the medium renamed in its dataset's folder": below(FF, {"mine.mp4": WITH[FAKE], MASK: b"grey"}),
    "the medium elsewhere": {"mine.mp4": WITH[FAKE], **below(FF, {MASK: b"grey"})},
    "both a folder too deep": below(FF, below(FF, WITH)),
    "both a folder too deep, the medium renamed": below(FF, below(FF, {MASK: b"grey"}) | {"mine.mp4": WITH[FAKE]}),
}


ALONE = ("in a zip of its own", "the medium elsewhere")
"""Where a mask lies apart from its medium: by the medium's name alone it is found."""


@pytest.mark.parametrize("files", PLACES.values(), ids=PLACES)
def test_a_mask_is_found_wherever_its_medium_lies(files: Mapping[str, bytes], tmp_path: Path) -> None:
    put(tmp_path / "data", files)
    (one,) = look(tmp_path, wanted(FF, FAKE, FILES[FAKE], mask=True)).media
    assert one.mask is not None and one.mask.own and bytes_of(one.mask.file) == b"grey"


def test_a_folder_of_masks_is_one(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, {FAKE: FILES[FAKE], **FRAMES}))
    (one,) = look(tmp_path, wanted(FF, FAKE, FILES[FAKE], mask=True)).media
    assert one.mask is not None and one.mask.file.kind == "frames" and bytes_of(one.mask.file) == b"mask 0mask 1"


@pytest.mark.parametrize("place", [name for name in PLACES if "renamed" not in name and name not in ALONE])
def test_a_mask_of_a_redacted_medium_is_that_of_its_place(place: str, tmp_path: Path) -> None:
    put(tmp_path / "data", PLACES[place])
    (one,) = look(tmp_path, wanted(FF, "m/0123", FILES[FAKE], mask=True)).media
    assert one.by == "digest" and one.mask is not None and bytes_of(one.mask.file) == b"grey"


@pytest.mark.parametrize("files", [below(FF, {FAKE: FILES[FAKE]}), {"mine.mp4": FILES[FAKE], "mask.mp4": b"grey"}])
def test_a_mask_that_nobody_knows_is_told(files: Mapping[str, bytes], tmp_path: Path) -> None:
    put(tmp_path / "data", files)
    found = look(tmp_path, wanted(FF, FAKE, FILES[FAKE], mask=True))
    assert found.media[0].mask is None


def test_no_mask_is_looked_for_where_no_row_has_one(tmp_path: Path) -> None:
    put(tmp_path / "data", below(FF, WITH))
    found = look(tmp_path, wanted(FF, FAKE, FILES[FAKE]))
    assert found.media[0].mask is None


@pytest.mark.parametrize(("dataset", "fake", "mask"), CASES, ids=[f"{name}:{fake}" for name, fake, _ in CASES])
def test_a_mask_is_looked_for_where_an_index_finds_it(dataset: str, fake: str, mask: str) -> None:
    assert mask in mask_paths(find_manifest(dataset).layout, fake, "image" if fake.endswith(".png") else "video")


@pytest.mark.parametrize("name", ["../x.mp4", "/x.mp4", f"{TOP}/c23/videos/../000_003.mp4", "", "x\0.mp4", "a" * 999])
def test_a_name_that_is_none_has_no_mask(name: str) -> None:
    assert mask_paths(find_manifest(FF).layout, name, "video") == []
