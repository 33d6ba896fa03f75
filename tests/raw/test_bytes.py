"""Wherever a medium's bytes lie (file, zip, tar, compressed tar, folder of frames), the same pixels come out of them."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from conftest import walk_here
from PIL import Image

from mmidd.engine.units import Outcome, Resources
from mmidd.manifest import archive_paths, load_manifest
from mmidd.raw import archives, listing
from mmidd.recipe import read
from mmidd.stages import extract

FOLDER = "made"
HEAD = """\
name: Made Up
slug: made_up
year: 2024
folders: [made]
summary: s
access: a
citation: c
licence: {id: other, name: n, url: u, redistributable: false}
verified: true
type_basis: stated
fields: {name: '[a-z]+'}
archives: ["box.zip", "box.tar", "box.tgz"]
rules:
"""
RULES = "".join(
    f"""\
  - {{id: {kind}-{mode}-{where}, path: "{prefix}{kind}/{mode}/{{name}}{ending}", kind: {kind}, faces: {mode}, label: real}}
"""
    for where, prefix in (("plain", ""), ("zip", "box.zip/"), ("tar", "box.tar/"), ("tgz", "box.tgz/"))
    for kind, ending in (("video", ".mp4"), ("image", ".jpg"), ("frames", ""))
    for mode in ("detect", "padded", "keep")
)


@pytest.fixture(scope="module")
def files(sample_data: Path) -> dict[str, bytes]:
    """A video, an image, and a clip of three numbered frames of which one is no image."""
    video = min((sample_data / "DFDC").rglob("*.mp4")).read_bytes()
    image = min((sample_data / "CelebA").rglob("*.jpg")).read_bytes()
    out = io.BytesIO()
    Image.open(io.BytesIO(image)).save(out, "PNG")
    clip = {"frames/detect/clip/9.png": out.getvalue(), "frames/detect/clip/10.png": out.getvalue()}
    kept = {path.replace("detect", "keep"): data for path, data in clip.items()}
    return {
        "video/detect/a.mp4": video, "image/detect/a.jpg": image, "image/padded/a.jpg": image, "image/keep/a.jpg": image,
        **clip, "frames/detect/clip/11.png": b"no image", **kept,
    }  # fmt: skip


def _plain(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def _zip(root: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(root / "box.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)


def _tar(name: str, mode: Any) -> Callable[[Path, dict[str, bytes]], None]:
    def pack(root: Path, files: dict[str, bytes]) -> None:
        with tarfile.open(root / name, mode) as tar:
            for path, data in files.items():
                info = tarfile.TarInfo(f"./{path}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    return pack


PACKS = {"": _plain, "box.zip/": _zip, "box.tar/": _tar("box.tar", "w"), "box.tgz/": _tar("box.tgz", "w:gz")}


def extracted(data: Path | str, work: Path) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Outcome]]:
    """Index and extract all of the made-up dataset, which lies in the folder `made` of `data`: rows and outcome of each
    medium."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMIDD_MANIFESTS", str(_manifests(work)))
        recipe = read("sample", ["datasets=[{name: Made Up}]"])
        setup, walked = walk_here(recipe, data, work, "index", run=True)
    assert set(walked.index.table["status"].to_pylist()) == {"media"}
    units = extract.plan(walked.index.selected.values(), recipe, setup.digests, {}, {})
    config = extract.config(recipe)
    found: dict[str, list[dict[str, Any]]] = {}
    outcomes = {}
    for unit in units:
        for task in unit.tasks:
            result = extract.run(task, config, Resources())
            outcomes.update({outcome.media: outcome for outcome in result.outcomes})
            for row in result.rows.to_pylist():
                found.setdefault(row["media"], []).append(row)
    return found, outcomes


def _manifests(work: Path) -> Path:
    folder = work.with_name(f"{work.name}-manifests")
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "made.yaml").write_text(HEAD + RULES)
    return folder


def root_in(folder: Path) -> Path:
    """The made-up dataset's folder in a new data root."""
    root = folder / "root" / FOLDER
    root.mkdir(parents=True)
    return root


@pytest.fixture(scope="module")
def plain(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("plain")
    _plain(root_in(folder), files)
    return extracted(folder / "root", folder / "work")


@pytest.mark.parametrize("prefix", [prefix for prefix in PACKS if prefix])
def test_an_archives_media_give_what_the_files_give(
    prefix: str, files: dict[str, bytes], plain: Any, tmp_path: Path
) -> None:
    PACKS[prefix](root_in(tmp_path), files)
    rows, outcomes = extracted(tmp_path / "root", tmp_path / "work")
    wanted = {f"{prefix}{media}": [{**row, "media": f"{prefix}{media}"} for row in each] for media, each in plain[0].items()}
    assert rows == wanted
    assert {media: (o.status, o.reasons, o.facts["sha256"]) for media, o in outcomes.items()} == {
        f"{prefix}{media}": (o.status, o.reasons, o.facts["sha256"]) for media, o in plain[1].items()
    }
    assert not any(path.name.endswith((".png", ".mp4", ".jpg")) for path in tmp_path.rglob("*"))


def test_a_clip_of_frames_is_planned_by_number_and_a_bad_frame_costs_itself_alone(
    files: dict[str, bytes], plain: Any
) -> None:
    rows, outcome = plain[0]["frames/detect/clip"], plain[1]["frames/detect/clip"]
    assert [row["frame"] for row in rows] == [9, 10]
    assert outcome.reasons == ((11, "failed", "undecodable_frame"),)
    assert {(row["fps"], row["timestamp"], row["codec"]) for row in rows} == {(None, None, "png")}
    names = ("9.png", "10.png", "11.png")
    lines = [f"{hashlib.sha256(files[f'frames/detect/clip/{n}']).hexdigest()}  {n}\n" for n in names]
    assert outcome.facts["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_frames_whose_names_the_disk_has_decomposed_give_what_composed_ones_give(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    clip = {f"frames/keep/clip/é{number}.png": files["frames/keep/clip/9.png"] for number in (1, 2)}
    for form in ("NFC", "NFD"):
        _plain(root_in(tmp_path / form), {normalize(form, name): data for name, data in clip.items()})
    composed, decomposed = (extracted(tmp_path / form / "root", tmp_path / form / "work") for form in ("NFC", "NFD"))
    assert [row["frame"] for row in composed[0]["frames/keep/clip"]] == [1, 2] and composed == decomposed


@pytest.mark.parametrize("media", ["image/keep/a.jpg", "frames/keep/clip"])
def test_a_picture_that_is_kept_has_its_own_size_and_no_geometry(media: str, files: dict[str, bytes], plain: Any) -> None:
    size = Image.open(io.BytesIO(files["image/keep/a.jpg"])).size
    for row in plain[0][media]:
        assert (row["geometry"], row["box"], row["landmarks"], row["transform"], row["face_size"]) == ("whole", *[None] * 4)
        assert Image.open(io.BytesIO(row["image"])).size == size == (row["width"], row["height"])


def test_a_face_that_fills_its_picture_is_found_within_a_border(plain: Any) -> None:
    (found,), (seen,) = plain[0]["image/padded/a.jpg"], plain[0]["image/detect/a.jpg"]
    assert found["geometry"] == "own"
    assert found["landmarks"] != seen["landmarks"]
    difference = max(abs(a - b) for p, q in zip(found["landmarks"], seen["landmarks"], strict=True)
                     for a, b in zip(p, q, strict=True))  # fmt: skip
    assert difference < 0.1 * found["face_size"]


def test_a_compressed_tar_is_listed_once_and_read_once_a_task(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PACKS["box.tgz/"](root_in(tmp_path), {f"image/keep/{name}.jpg": files["image/keep/a.jpg"] for name in "abcdef"})
    opened: list[Path] = []
    real = archives._tar_file

    def noting(path: Path) -> Any:
        opened.append(path)
        return real(path)

    monkeypatch.setattr(archives, "_tar_file", noting)
    assert len(extracted(tmp_path / "root", tmp_path / "work")[0]) == 6
    assert len(opened) == 2
    extracted(tmp_path / "root", tmp_path / "work")
    assert len(opened) == 3


def test_a_broken_archive_is_refused_by_name(files: dict[str, bytes], tmp_path: Path) -> None:
    PACKS["box.zip/"](tmp_path, files)
    shutil.copy(tmp_path / "box.zip", tmp_path / "box.tar")
    found = listing.walk(tmp_path)
    members = archive_paths(load_manifest(HEAD + RULES, "made.yaml"), found.files)
    found = listing.open_archives("Made Up", members, tmp_path, found, None)
    assert list(found.refused) == ["box.tar"] and "damaged" in found.refused["box.tar"]
    assert list(found.archives) == ["box.zip"]
