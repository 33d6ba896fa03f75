"""Two people side by side, the smaller one manipulated: whom samples show, by policy and by mask, from disk to corpus."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from conftest import Said
from PIL import Image

from mmidd.faces.align import invert
from mmidd.sampledata import fakes, media, people, scenes
from mmidd.sampledata.people import PEOPLE
from mmidd.sampledata.scenes import Scene

Run = Callable[..., Said]
Pixels = npt.NDArray[np.uint8]

FF = "FaceForensics++"
REAL = "original_sequences/youtube/c23/videos/000.mp4"
FAKE = "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"
MASK = "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4"
SIDE, FRAMES = 240, 6
LARGE = Scene(11, SIDE, SIDE, FRAMES, eye_distance=60, motion=0.2)
SMALL = Scene(23, SIDE, SIDE, FRAMES, eye_distance=38, motion=0.2)
OTHERS = replace(LARGE, seed=5), replace(SMALL, seed=7)
RECIPE = """\
name: masks
datasets: [FaceForensics++]
frames: {count: 3}
crop: {size: 64}
image: {format: png}
detector: {kind: mtcnn, size: 480}
captioner: none
curation: {exact_duplicates: false}
"""


def _beside(left: Iterator[Pixels], right: Iterator[Pixels]) -> Iterator[Pixels]:
    return (np.ascontiguousarray(np.hstack(both)) for both in zip(left, right, strict=True))


def _film(scene: Scene, number: int) -> Iterator[Pixels]:
    return scenes.film_clip(scene, fakes.act(people.portrait_of(PEOPLE[number]), fakes.talk(number)))


def _swapped(scene: Scene, target: int, source: int) -> Iterator[Pixels]:
    portraits = people.portrait_of(PEOPLE[target]), people.portrait_of(PEOPLE[source])
    return scenes.film_clip(scene, fakes.swapped_act(*portraits, fakes.SWAPS["Deepfakes"], fakes.talk(target), 7))


def _marked(scene: Scene, number: int) -> Iterator[Pixels]:
    mask = fakes.manipulated(people.portrait_of(PEOPLE[number]), fakes.SWAPS["Deepfakes"])
    return scenes.film_mask(scene, mask)


def _nothing() -> Iterator[Pixels]:
    return (np.zeros((SIDE, SIDE, 3), np.uint8) for _ in range(FRAMES))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real of two people (the large one left), a fake of it in which the right one is swapped, masks of each kind."""
    root = tmp_path_factory.mktemp("films")
    films: dict[str, Iterator[Pixels]] = {
        "real": _beside(_film(LARGE, 0), _film(SMALL, 3)),
        "another": _beside(_film(OTHERS[0], 1), _film(OTHERS[1], 2)),
        "left_swapped": _beside(_swapped(LARGE, 0, 6), _film(SMALL, 3)),
        "fake": _beside(_film(LARGE, 0), _swapped(SMALL, 3, 6)),
        "right": _beside(_nothing(), _marked(SMALL, 3)),
        "left": _beside(_marked(LARGE, 0), _nothing()),
        "empty": _beside(_nothing(), _nothing()),
        "narrow": _marked(SMALL, 3),
    }
    for name, frames in films.items():
        media.write_video(root / f"{name}.mp4", frames, fps=25)
    media.write_video(root / "short.mp4", list(_beside(_nothing(), _marked(SMALL, 3)))[:4], fps=25)
    media.write_video(root / "half.mp4", list(_beside(_film(LARGE, 0), _swapped(SMALL, 3, 6)))[:4], fps=25)
    (root / "torn.mp4").write_bytes((root / "right.mp4").read_bytes()[:200])
    return root


class Bench:
    """A data root with that pair, and builds of it."""

    def __init__(self, root: Path, films: Path, run: Run) -> None:
        self.root, self.films, self.run = root, films, run
        self.put(REAL, "real")
        self.put(FAKE, "fake")

    def put(self, path: str, film: str) -> None:
        target = self.root / "data" / FF / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.films / f"{film}.mp4", target)

    def build(self, *settings: str, workers: int = 0) -> Said:
        (self.root / "masks.yaml").write_text(RECIPE)
        words = [word for setting in settings for word in ("--set", setting)]
        places = ["--data", str(self.root / "data"), "--out", str(self.out), "--workers", str(workers)]
        return self.run("build", str(self.root / "masks.yaml"), *places, "--allow-removals", *words)

    @property
    def out(self) -> Path:
        return self.root / "corpus"

    def rows(self, *settings: str) -> dict[str, list[dict[str, Any]]]:
        """The samples of real and fake after a build, in order of frame and face. The corpus is sound."""
        assert self.build(*settings).code == 0
        verified = self.run("verify", str(self.out))
        assert verified.code == 0, verified.out
        found = [row for shard in sorted(self.out.glob("data/*.parquet")) for row in pq.read_table(shard).to_pylist()]
        found.sort(key=lambda row: (row["frame"], row["face"]))
        return {name: [row for row in found if row["media"] == path] for name, path in (("real", REAL), ("fake", FAKE))}

    def facts(self) -> dict[str, dict[str, Any]]:
        """What the last build noted of real and fake."""
        found: dict[str, tuple[int, dict[str, Any]]] = {}
        for path in (self.root / "corpus.work").glob("data/extract/*/*outcomes.parquet"):
            for row in pq.read_table(path).to_pylist():
                about = (path.stat().st_mtime_ns, json.loads(row["facts"]))
                found[row["media"]] = max(found.get(row["media"], (0, {})), about, key=lambda each: each[0])
        return {name: found[path][1] for name, path in (("real", REAL), ("fake", FAKE))}


@pytest.fixture
def bench(tmp_path: Path, films: Path, mmidd: Run) -> Bench:
    return Bench(tmp_path, films, mmidd)


def side(row: dict[str, Any]) -> str:
    return "left" if (row["box"][0] + row["box"][2]) / 2 < SIDE else "right"


def sides(rows: list[dict[str, Any]]) -> list[str]:
    return [side(row) for row in rows]


def pixels(image: dict[str, Any]) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(image["bytes"])))


@pytest.mark.parametrize("policy", ["shared", "independent"])
def test_without_a_mask_a_pair_shows_whom_the_fake_changed(bench: Bench, policy: str) -> None:
    rows = bench.rows(f"crop.pairs={policy}")
    assert sides(rows["real"]) == sides(rows["fake"]) == ["right"] * 3
    assert [row["pair"] for row in rows["fake"]] == [row["id"] for row in rows["real"]]
    assert [row["mask"] for row in rows["fake"]] == [None] * 3
    facts = bench.facts()
    assert (facts["real"]["choice"], facts["fake"]["choice"]) == ("largest", "difference")
    assert facts["real"]["people"] == 2 and facts["fake"]["pair_check"] == "proved"
    media = {row["media"]: row for row in pq.read_table(bench.out / "media.parquet").to_pylist()}
    assert media[REAL]["frame_reasons"] == [{"reason": "other_person", "count": 3}]
    assert (media[REAL]["samples"], media[FAKE]["pair_check"]) == (3, "proved")


def test_two_fakes_that_changed_different_people_each_show_theirs_and_their_real_both(bench: Bench) -> None:
    other = FAKE.replace("000_003", "000_004")
    bench.put(other, "left_swapped")
    rows = bench.rows()
    found = [row for shard in bench.out.glob("data/*.parquet") for row in pq.read_table(shard).to_pylist()]
    assert sides([row for row in found if row["media"] == other]) == ["left"] * 3
    assert sides(rows["fake"]) == ["right"] * 3 and sides(rows["real"]) == ["left", "right"] * 3
    ids = {row["id"] for row in rows["real"]}
    assert {row["pair"] for row in found if row["pair"]} == ids


@pytest.mark.parametrize("policy", ["shared", "independent"])
def test_a_fake_that_shows_another_clip_than_its_real_has_no_pair_and_is_told(bench: Bench, policy: str) -> None:
    bench.put(FAKE, "another")
    rows = bench.rows(f"crop.pairs={policy}")
    assert {(row["geometry"], row["pair"]) for row in rows["fake"]} == {("own", None)} and sides(rows["real"]) == [
        "left"
    ] * 3
    media = {row["media"]: row for row in pq.read_table(bench.out / "media.parquet").to_pylist()}
    assert (media[REAL]["pair_check"], media[FAKE]["pair_check"]) == (None, "other_picture")
    told = " ".join(bench.build(f"crop.pairs={policy}").err.split())
    assert "Deepfakes: 1 of 1 fakes (100.0%) show another picture than their reals" in told
    checks = json.loads((bench.out / "mmidd.json").read_text())["losses"]["pair_checks"][FF]
    assert (checks["checked"], checks["other_picture"]) == (1, 1)


def test_of_a_fake_that_follows_nobody_it_is_told_that_it_may_show_the_wrong_person(bench: Bench) -> None:
    (bench.root / "data" / FF / REAL).unlink()
    bench.put(REAL.replace("000", "001"), "real")
    told = bench.build()
    words = "1 of 1 fakes (100.0%) show several people, and nothing tells which of them was manipulated"
    assert told.code == 0 and f"{FF}, Deepfakes: {words}" in " ".join(told.err.split())
    assert words in (bench.out / "README.md").read_text()


def test_a_changed_person_who_is_too_small_is_not_replaced_by_another(bench: Bench) -> None:
    rows = bench.rows("crop.least_face=110")
    assert sides(rows["real"]) == ["left"] * 3 and rows["fake"] == []
    assert bench.facts()["fake"]["pair_check"] == "person_elsewhere"


def test_a_mask_points_fake_and_real_at_the_manipulated_person_and_is_cut_with_the_fake(bench: Bench) -> None:
    bench.put(MASK, "right")
    rows = bench.rows()
    assert sides(rows["real"]) == sides(rows["fake"]) == ["right"] * 3
    assert [row["mask"] for row in rows["real"]] == [None] * 3
    assert [row["geometry"] for row in rows["fake"]] == ["shared"] * 3
    assert [row["pair"] for row in rows["fake"]] == [row["id"] for row in rows["real"]]
    facts = bench.facts()
    assert (facts["real"]["choice"], facts["fake"]["mask_frames"]) == ("mask", 3)
    white = next(iter(_beside(_nothing(), _marked(SMALL, 3)))).max(axis=2)
    for row in rows["fake"]:
        mask, image = pixels(row["mask"]), pixels(row["image"])
        assert row["mask"]["path"] == f"{row['id']}-mask.png" and mask.shape == image.shape[:2] == (64, 64)
        matrix = invert(np.array(row["transform"], np.float32).reshape(2, 3)).astype(np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        wanted = cv2.warpAffine(white, matrix, (64, 64), flags=flags).astype(int)
        assert np.abs(mask.astype(int) - wanted).mean() < 12  # the file is lossy, and the camera moved a little
        assert 0.1 < (mask > 127).mean() < 0.9

    independent = bench.rows("crop.pairs=independent")
    assert sides(independent["real"]) == sides(independent["fake"]) == ["right"] * 3
    assert [row["geometry"] for row in independent["fake"]] == ["own"] * 3
    assert all(row["mask"] for row in independent["fake"])


@pytest.mark.parametrize("missing", [(), (3,)], ids=["whole", "one is not there"])
def test_a_folder_of_numbered_images_is_a_mask(bench: Bench, missing: tuple[int, ...]) -> None:
    """The large face is marked, so that it is the folder and not the difference that is followed."""
    folder = bench.root / "data" / FF / MASK.replace("videos", "images").removesuffix(".mp4")
    folder.mkdir(parents=True)
    for number, frame in enumerate(_beside(_marked(LARGE, 0), _nothing())):
        if number not in missing:
            Image.fromarray(frame).save(folder / f"{number:04d}.png")
    bench.put(FAKE, "left_swapped")
    rows = bench.rows()
    planned = [row["frame"] for row in rows["fake"]]
    assert sides(rows["real"]) == sides(rows["fake"]) == ["left"] * 3
    assert [row["mask"] is not None for row in rows["fake"]] == [frame not in missing for frame in planned]
    facts = bench.facts()
    short = sum(frame in missing for frame in planned)
    assert facts["real"]["choice"] == "mask" and facts["fake"]["mask_frames"] == 3 - short
    assert facts["fake"].get("mask_short", 0) == short
    places = ["--data", str(bench.root / "data"), "--work", str(bench.root / "work")]
    checked = bench.run("index", str(bench.root / "masks.yaml"), *places, "--check", "--json")
    assert checked.document["datasets"][0]["masks"] == {"fakes": 1, "found": 1}
    first = folder / f"{planned[0]:04d}.png"
    Image.fromarray(np.zeros((SIDE, 2 * SIDE, 3), np.uint8)).save(first)
    assert pixels(bench.rows()["fake"][0]["mask"]).max() == 0  # a changed image of it is noticed


def test_all_faces_are_samples_with_ids_of_their_own_and_frames_are_counted_once(bench: Bench) -> None:
    bench.put(MASK, "right")
    for setting in ("shared", "independent"):
        rows = bench.rows("crop.choice=all", f"crop.pairs={setting}")
        for name in rows:
            assert [(side(row), row["face"]) for row in rows[name]] == [("left", 0), ("right", 1)] * 3
            assert len({row["id"] for row in rows[name]}) == 6
        assert [row["pair"] for row in rows["fake"]] == [row["id"] for row in rows["real"]]
        marked = [(pixels(row["mask"]) > 127).mean() for row in rows["fake"]]
        assert max(marked[::2]) == 0 and min(marked[1::2]) > 0.1
        media = {row["media"]: row for row in pq.read_table(bench.out / "media.parquet").to_pylist()}
        assert all((media[path]["frames_ok"], media[path]["samples"]) == (3, 6) for path in (REAL, FAKE))
    planned = bench.run("plan", str(bench.root / "masks.yaml"), "--data", str(bench.root / "data"), "--out", str(bench.out))
    assert planned.code == 0

    large = bench.rows("crop.choice=all", "crop.least_face=110")
    assert sides(large["real"]) == ["left"] * 3 and bench.facts()["real"]["small_tracks"] == 1


def test_a_person_who_is_pointed_at_but_too_small_is_not_replaced_by_another(bench: Bench) -> None:
    bench.put(MASK, "right")
    assert bench.build("crop.least_face=110").code == 1  # nothing is left
    assert bench.run("status", str(bench.root / "corpus.work"), "--json").document["reasons"] == {"small_face": 2}


def test_the_central_policy_takes_whom_the_picture_is_about(bench: Bench) -> None:
    wide = np.zeros((SIDE, 2 * SIDE + 240, 3), np.uint8)
    frames = []
    for frame in _beside(_film(LARGE, 0), _film(SMALL, 3)):
        picture = wide.copy()
        picture[:, : 2 * SIDE] = frame
        frames.append(picture)
    media.write_video(bench.root / "data" / FF / REAL, frames, fps=25)
    assert sides(bench.rows("crop.choice=central")["real"]) == ["right"] * 3
    assert bench.facts()["real"]["choice"] == "central"
    assert sides(bench.rows()["real"]) == ["left"] * 3


@pytest.mark.parametrize(
    ("film", "side_of_both", "fact", "masks"),
    [
        ("empty", "right", {"mask_empty": True, "mask_frames": 3}, 3),
        ("narrow", "right", {"mask_other_size": 3}, 0),
        ("short", "right", {"mask_frames": 2, "mask_short": 1}, 2),
        ("torn", "right", {"mask_unreadable": 3}, 0),
    ],
)
def test_what_a_mask_lacks_is_counted_and_costs_no_sample(
    bench: Bench, film: str, side_of_both: str, fact: dict[str, Any], masks: int
) -> None:
    bench.put(MASK, film)
    rows = bench.rows()
    assert sides(rows["real"]) == sides(rows["fake"]) == [side_of_both] * 3
    assert sum(row["mask"] is not None for row in rows["fake"]) == masks
    facts = bench.facts()["fake"]
    assert {name: value for name, value in facts.items() if name.startswith("mask_") and name != "mask_sha256"} == fact
    assert ("of 6 frames of media with a mask have none" in " ".join(bench.build().err.split())) is (masks < 3)


def test_masks_in_a_compressed_tar_are_those_in_the_folder(bench: Bench) -> None:
    bench.put(MASK, "right")
    unpacked = bench.rows()
    folder = bench.root / "data" / FF
    shutil.move(folder, bench.root / "unpacked")
    folder.mkdir()
    with tarfile.open(folder / "all.tar.gz", "w:gz") as archive:
        for path in sorted((bench.root / "unpacked").iterdir()):
            archive.add(path, path.name)
    assert bench.rows() == unpacked and all(row["mask"] for row in unpacked["fake"])


def test_a_fake_whose_mask_lies_elsewhere_than_its_real_is_cut_on_its_own(bench: Bench) -> None:
    """Two fakes of one real with different people swapped: the real follows the first, the second says why it does not."""
    other = FAKE.replace("000_003", "000_004")
    bench.put(MASK, "left")
    bench.put(other, "fake")
    bench.put(MASK.replace("000_003", "000_004"), "right")
    rows = bench.rows()
    assert sides(rows["real"]) == sides(rows["fake"]) == ["left"] * 3
    found = [row for shard in bench.out.glob("data/*.parquet") for row in pq.read_table(shard).to_pylist()]
    second = [row for row in found if row["media"] == other]
    assert sides(second) == ["right"] * 3
    assert {(row["geometry"], row["pair"]) for row in second} == {("own", None)}


def test_a_changed_mask_costs_the_media_it_steers_and_workers_change_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.put(MASK, "right")
    assert bench.build().code == 0
    files = {path.name: path.read_bytes() for path in bench.out.rglob("*") if path.is_file()}
    again = bench.build()
    assert again.code == 0 and "(unchanged)" in again.err
    shutil.rmtree(tmp_path / "corpus.work")
    shutil.rmtree(bench.out)
    assert bench.build(workers=2).code == 0
    assert {path.name: path.read_bytes() for path in bench.out.rglob("*") if path.is_file()} == files

    (bench.root / "data" / FF / MASK).touch()
    assert "(unchanged)" in bench.build().err
    bench.put(MASK, "left")
    rows = bench.rows()
    assert sides(rows["real"]) == sides(rows["fake"]) == ["left"] * 3


def test_a_pair_that_lost_frames_on_one_side_is_told_at_the_end_on_the_card_and_in_the_corpus(bench: Bench) -> None:
    bench.put(FAKE, "half")
    built = bench.build()
    told = "1 of 1 pairs have frames on one side alone (1 of the real, 0 of the fake)"
    assert built.code == 0 and f"{FF}: {told}" in built.err
    assert told in (bench.out / "README.md").read_text()
    counts = {"pairs": 1, "uneven": 1, "only_real": 1, "only_fake": 0}
    assert json.loads((bench.out / "mmidd.json").read_text())["losses"]["sides"] == {FF: counts}
    status = bench.run("status", str(bench.root / "corpus.work"), "--json").document["losses"]["sides"][FF]
    pair = {"fake": f"{FF}/{FAKE}", "real": f"{FF}/{REAL}", "only_real": 1, "only_fake": 0}
    assert status == {**counts, "each": [pair]}


def test_index_check_says_how_many_fakes_have_a_mask(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "masks.yaml").write_text(RECIPE)
    places = ["--data", str(tmp_path / "data"), "--work", str(tmp_path / "work")]
    for count in (0, 1):
        checked = bench.run("index", str(tmp_path / "masks.yaml"), *places, "--check", "--json").document
        assert checked["datasets"][0]["masks"] == {"fakes": 1, "found": count}
        bench.put(MASK, "right")
