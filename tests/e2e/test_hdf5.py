"""A dataset of HDF5 files gives the corpus that its frames give as numbered images, and is made again by a rehydration."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import Said
from PIL import Image
from place import digests

from mmidd.cli import run
from mmidd.corpus.read import Corpus
from mmidd.errors import ManifestError
from mmidd.manifest.format import load_manifest
from mmidd.share.publication.stage import stage
from mmidd.share.rehydrate.rehydrate import rehydrate
from mmidd.video import frame_plan, open_video

Run = Callable[..., Said]

MANIFEST = """\
name: Boxed
slug: boxed
year: 2026
folders: [Boxed]
summary: clips in HDF5 files
access: none
citation: none
licence: {{id: other, name: none, url: "https://example.org", redistributable: false}}
verified: true
type_basis: stated
fields: {{clip: '[a-z]+'}}
rules:
  - {{id: real, path: "real/{{clip}}{ending}", {kind}, label: real, target_id: "{{clip}}"}}
  - id: fake
    path: "fake/{{clip}}{ending}"
    {kind}
    label: fake
    method: Deepfakes
    target_id: "{{clip}}"
    pair: "real/{{clip}}{ending}"
"""
ALL, EACH = "kind: hdf5, frames: Color_Data, axes: nchw", "kind: hdf5, frames: Frame_*/array, axes: chw"
RECIPE = "name: boxed\ndatasets: [Boxed]\nmanifests: manifests\nframes: {count: 3}\ndetector: mtcnn\ncaptioner: none\n"


def manifest(kind: str) -> str:
    ending = ".hdf5" if "hdf5" in kind else ""
    lines = MANIFEST.format(ending=ending, kind=kind).replace(f"    {kind}", "    " + kind.replace(", ", "\n    "))
    return lines


@pytest.fixture(scope="module")
def clips(sample_data: Path) -> dict[str, list[Any]]:
    """Five frames of a real and of its fake, (H,W,3)."""
    root = sample_data / "FaceForensics++"
    paths = {
        "real": root / "original_sequences/youtube/c23/videos/000.mp4",
        "fake": root / "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4",
    }
    found = {}
    for name, path in paths.items():
        with open_video(path) as reader:
            found[name] = [frame.image for frame in reader.frames(frame_plan(reader.clip.frame_count, 5, "even"))]
    return found


def laid(root: Path, clips: dict[str, list[Any]], form: str) -> Path:
    """The clips in one form, with their manifest and a recipe."""
    kind = {"all": ALL, "each": EACH}.get(form, "kind: frames")
    (root / "manifests").mkdir(parents=True)
    (root / "manifests" / "boxed.yaml").write_text(manifest(kind))
    (root / "recipe.yaml").write_text(RECIPE)
    for label, frames in clips.items():
        folder = root / "data" / "Boxed" / label
        folder.mkdir(parents=True)
        if form == "images":
            (folder / "clip").mkdir()
            for number, frame in enumerate(frames):
                Image.fromarray(frame).save(folder / "clip" / f"{number}.png")
            continue
        with h5py.File(folder / "clip.hdf5", "w") as file:
            arrays = np.moveaxis(np.stack(frames), 3, 1)
            if form == "all":
                file.create_dataset("Color_Data", data=arrays, chunks=(2, 3, 64, 64), compression="gzip")
            else:
                for number, array in enumerate(arrays):
                    file[f"Frame_{number}/array"] = array
    return root


def built(root: Path, *more: str) -> Path:
    words = ["build", str(root / "recipe.yaml"), "--data", str(root / "data"), "--out", str(root / "out"), "--workers", "0"]
    assert run([*words, *more]) == 0
    assert run(["verify", str(root / "out")]) == 0
    return root / "out"


COLUMNS = ("label", "method", "frame", "width", "height", "geometry", "box", "target_id")


def rows(out: Path) -> list[tuple[object, ...]]:
    table = pq.read_table(out / "data").to_pylist()
    return sorted(
        ((*(row.get(name) for name in COLUMNS), row["image"]["bytes"], row["pair"] is not None) for row in table), key=repr
    )


@pytest.mark.parametrize("form", ["all", "each", "zipped"])
def test_arrays_give_the_samples_of_numbered_images(form: str, clips: dict[str, list[Any]], tmp_path: Path) -> None:
    expected = rows(built(laid(tmp_path / "images", clips, "images")))
    root = laid(tmp_path / form, clips, "all" if form == "zipped" else form)
    if form == "zipped":
        folder = root / "data" / "Boxed"
        with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*.hdf5")):
                archive.write(path, path.relative_to(folder).as_posix())
                path.unlink()
    assert rows(built(root)) == expected and len(expected) == 6
    media = pq.read_table(root / "out" / "media.parquet").to_pylist()
    assert {row["kind"] for row in media} == {"hdf5"}
    table = pq.read_table(root / "out" / "data", columns=["fps", "timestamp", "codec"]).to_pylist()
    assert {tuple(row.values()) for row in table} == {(None, None, "hdf5")}


def test_a_publication_of_them_is_made_again_byte_for_byte(clips: dict[str, list[Any]], tmp_path: Path) -> None:
    root = laid(tmp_path / "all", clips, "all")
    out = built(root)
    published = stage(Corpus(out), tmp_path / "p", name="boxed", labels_only=True, workers=0)
    assert published
    moved = root / "data" / "Boxed" / "real" / "moved"
    moved.mkdir()
    (root / "data" / "Boxed" / "real" / "clip.hdf5").rename(moved / "other.hdf5")  # found by its digest
    found = rehydrate(tmp_path / "p", root / "data", tmp_path / "again", workers=0)
    assert found.original, str(found)
    assert digests(tmp_path / "again") == digests(out)


def test_a_hostile_file_is_one_failed_medium(clips: dict[str, list[Any]], tmp_path: Path) -> None:
    root = laid(tmp_path / "all", clips, "all")
    with h5py.File(root / "data" / "Boxed" / "real" / "other.hdf5", "w") as file:
        file["Color_Data"] = h5py.ExternalLink("clip.hdf5", "Color_Data")
    words = ["build", str(root / "recipe.yaml"), "--data", str(root / "data"), "--out", str(root / "out"), "--workers", "0"]
    assert run(words) == 3
    media = {row["media"]: row for row in pq.read_table(root / "out" / "media.parquet").to_pylist()}
    assert media["real/other.hdf5"]["outcome"] == "failed" and "is a link" in media["real/other.hdf5"]["message"]


def test_other_frames_of_the_same_file_are_extracted_anew(clips: dict[str, list[Any]], tmp_path: Path) -> None:
    root = laid(tmp_path / "all", clips, "all")
    for path in (root / "data" / "Boxed").rglob("*.hdf5"):
        with h5py.File(path, "a") as file:
            file["Turned"] = file["Color_Data"][()][:, ::-1]
    before = rows(built(root))
    path = root / "manifests" / "boxed.yaml"
    path.write_text(path.read_text().replace("Color_Data", "Turned"))
    after = rows(built(root, "--allow-removals"))
    assert [row[:3] for row in after] == [row[:3] for row in before] and after != before


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("kind: hdf5", "HDF5 files need 'frames'"),
        ("kind: hdf5, frames: Color_Data", "HDF5 files need 'frames'"),
        ("kind: hdf5, frames: Color_Data, axes: chw", "an array of all frames has axis 'n'"),
        ("kind: hdf5, frames: Frame_*/array, axes: nchw", "an array of all frames has axis 'n'"),
        ("kind: hdf5, frames: F_*/x_*, axes: chw", "one '\\*' at most"),
        ("kind: hdf5, frames: /Color_Data, axes: nchw", "a path in the file"),
        ("kind: hdf5, frames: a/../b, axes: nchw", "a path in the file"),
        ("kind: hdf5, frames: Color_Data, axes: ncwh", "axes"),
        ("kind: video, frames: Color_Data", "only HDF5 files have 'frames'"),
        ("kind: frames, axes: chw", "only HDF5 files have 'axes'"),
    ],
)
def test_a_manifest_that_says_it_wrongly_is_told(kind: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        load_manifest(manifest(kind), "boxed.yaml")
