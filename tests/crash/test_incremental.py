"""A change costs what it touches and nothing else: `plan` says so before, the commits prove it after."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmidd.engine.store import Store

from .conftest import Commands, Ground, Site

IMAGES = "CelebA/img_align_celeba"
VIDEOS = "FaceForensics++/{}/c23/videos/{}.mp4"
REAL, FAKE = "original_sequences/youtube", "manipulated_sequences/Deepfakes"


def _add(data: Path) -> None:
    (data / IMAGES / "000099.jpg").write_bytes((data / IMAGES / "000001.jpg").read_bytes() + b"more")


def _remove(data: Path) -> None:
    (data / IMAGES / "000001.jpg").unlink()


def _replace_image(data: Path) -> None:
    shutil.copyfile(data / IMAGES / "000002.jpg", data / IMAGES / "000001.jpg")


def _replace_fake(data: Path) -> None:
    shutil.copyfile(data / VIDEOS.format(FAKE, "003_000"), data / VIDEOS.format(FAKE, "000_003"))


def _replace_real(data: Path) -> None:
    shutil.copyfile(data / VIDEOS.format(REAL, "003"), data / VIDEOS.format(REAL, "000"))


def _touch(data: Path) -> None:
    for path in data.rglob("*.mp4"):
        path.touch()


def _relabel(data: Path) -> None:
    path = data / "CelebA" / "identity_CelebA.txt"
    path.write_text(path.read_text().replace("000001.jpg ", "000001.jpg 9"))


def _nothing(data: Path) -> None: ...


@dataclass(frozen=True)
class Change:
    """What is changed in the data, which settings; what `plan` says of it, and what is done."""

    data: Callable[[Path], None]
    settings: tuple[str, ...]
    planned: dict[str, int]
    done: dict[str, int]


CHANGES = {
    "nothing": Change(_nothing, (), {}, {}),
    "an image more": Change(_add, (), {"index": 1, "extract": 1}, {"index": 1, "extract": 1, "caption": 1}),
    "an image less": Change(_remove, (), {"index": 1}, {"index": 1}),
    "another image": Change(_replace_image, (), {"index": 1, "extract": 1}, {"index": 1, "extract": 1, "caption": 1}),
    "another fake": Change(_replace_fake, (), {"index": 1, "extract": 1}, {"index": 1, "extract": 1, "caption": 1}),
    "another real": Change(_replace_real, (), {"index": 1, "extract": 2}, {"index": 1, "extract": 2, "caption": 2}),
    "new times": Change(_touch, (), {"extract": 4}, {}),
    "the margin": Change(_nothing, ("crop.margin=1.5",), {"extract": 11}, {"extract": 11, "caption": 11}),
    "a label file": Change(_relabel, (), {"index": 1, "curate": 1}, {"index": 1}),
    "the splits": Change(_nothing, ("seed=3",), {"curate": 1}, {}),
    "the shards": Change(_nothing, ("shards.max_bytes=100000",), {"shard": 5, "corpus": 1}, {}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_costs_what_it_touches(name: str, ground: Ground, commands: Commands, tmp_path: Path) -> None:
    change, site = CHANGES[name], ground.copy(tmp_path)
    change.data(site.data)
    settings = [word for setting in change.settings for word in ("--set", setting)]
    before = site.fresh()
    assert site.plan(commands, *settings) == change.planned
    assert commands.run(site.building(0, *settings), site.log) == 0, site.told()
    done = {stage: count - before[stage] for stage, count in site.fresh().items() if count != before[stage]}
    assert {stage: count for stage, count in done.items() if stage in ("index", "extract", "caption")} == change.done
    assert site.plan(commands, *settings) == {}


def test_captions_alone_are_done_where_only_they_are_missing(ground: Ground, commands: Commands, tmp_path: Path) -> None:
    site = ground.place(tmp_path, older=True)
    before = site.fresh()
    assert site.plan(commands, "--set", "seed=5") == {"caption": 11}
    assert commands.run(site.building(0, "--set", "seed=5"), site.log) == 0, site.told()
    after = site.fresh()
    assert (after["index"], after["extract"], after["caption"]) == (before["index"], before["extract"], 11)


MANIFEST = """\
name: Mine
slug: mine
year: 2026
folders: [Mine]
summary: a test
access: none
citation: none
licence: {{id: other, name: None, url: "https://example.org", redistributable: false}}
verified: false
verified_note: made up
type_basis: stated
fields: {{clip: '\\d+'}}
rules:
  - {{id: real, path: "real/{{clip}}.jpg", label: real}}
  - {{id: fake, path: "fake/{{clip}}.jpg", label: fake, method: {method}}}
"""


def test_a_label_in_a_manifest_touches_no_pixel(ground: Ground, commands: Commands, tmp_path: Path) -> None:
    images = sorted((ground.data / IMAGES).iterdir())
    for number, path in enumerate(images[:6]):
        target = tmp_path / "data" / "Mine" / ("real" if number < 3 else "fake") / f"{number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    detector = ground.recipe.read_text().splitlines()[-1]
    (tmp_path / "recipe.yaml").write_text(f"name: mine\ndatasets: [Mine]\n{detector}\n")
    site, own = Site(tmp_path, tmp_path / "data"), tmp_path / "manifests"
    own.mkdir()
    (own / "mine.yaml").write_text(MANIFEST.format(method="FaceSwap"))
    assert commands.run(site.building(0), site.log, MMIDD_MANIFESTS=str(own)) == 0, site.told()
    before, corpus = site.fresh(), site.digests()
    (own / "mine.yaml").write_text(MANIFEST.format(method="SimSwap"))
    assert commands.run(site.building(0), site.log, MMIDD_MANIFESTS=str(own)) == 0, site.told()
    after = site.fresh()
    assert after["extract"] == before["extract"] == 6 and after["caption"] == before["caption"]
    assert after["index"] == 2 and site.digests() != corpus
    assert len(list(Store(site.work).records("extract"))) == 1
