"""Links, pointers and broken files where media should lie: a build stops before its work, and says the way out."""

from __future__ import annotations

import re
import shlex
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import pytest
from conftest import Place, Said
from PIL import Image
from place import lay

Run = Callable[..., Said]
REALS = "FaceForensics++/original_sequences/youtube/c23/videos"
FAKES = "FaceForensics++/manipulated_sequences/Deepfakes/c23/videos"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


@pytest.fixture
def raw(sample_data: Path, tmp_path: Path) -> Place:
    """The small raw data, of which nothing is built."""
    place = Place.whole(tmp_path)
    lay(place, sample_data)
    return place


def _folder(place: Place, disk: Path) -> None:
    """The reals lie on another disk, and a link to their folder where they were."""
    disk.mkdir(parents=True)
    shutil.move(place.data / REALS, disk / "videos")
    (place.data / REALS).symlink_to(disk / "videos")


def _snapshot(place: Place, disk: Path) -> None:
    """Every file of the dataset is a link to one in a cache that is called by its digest."""
    disk.mkdir(parents=True)
    for number, path in enumerate(sorted((place.data / "FaceForensics++").rglob("*.*"))):
        if path.is_file():
            path.rename(disk / f"{number:040x}")
            path.symlink_to(disk / f"{number:040x}")


@pytest.mark.parametrize("laid", [_folder, _snapshot])
def test_links_to_another_disk_stop_a_build_which_names_the_option_that_follows_them(
    laid: Callable[[Place, Path], None], small: Place, raw: Place, tmp_path: Path, mmidd: Run
) -> None:
    disk = tmp_path / "other disk [1]"
    laid(raw, disk)
    for verb in ("plan", "build"):
        said = mmidd(*raw.words(verb))
        assert said.code == 1 and "links" in said.err and not raw.out.exists()
    assert not list((raw.work / "records").glob("extract/**/*.json"))
    words = shlex.split(re.findall(r"(--follow-links .*?); or", said.err)[0])
    assert words[0] == "--follow-links" and len(words) == 2
    followed = mmidd(*raw.words("build"), *words)
    assert followed.code == 0, followed.err
    assert list(map(Path.read_bytes, _shards(raw))) == list(map(Path.read_bytes, _shards(small)))
    assert mmidd("failures", str(raw.work), "--retry").code == 0  # which knows what was allowed


def _shards(place: Place) -> list[Path]:
    return sorted((place.out / "data").iterdir())


@pytest.mark.parametrize("root", ["/", "nowhere"])
def test_what_can_be_no_root_of_links_is_refused(raw: Place, root: str, mmidd: Run) -> None:
    said = mmidd(*raw.words("plan"), "--follow-links", root)
    assert said.code == 2 and f"--follow-links {root}" in said.err


def test_a_link_that_no_rule_asks_for_stops_nothing(raw: Place, tmp_path: Path, mmidd: Run) -> None:
    (tmp_path / "notes").mkdir()
    (raw.data / "CelebA/notes").symlink_to(tmp_path / "notes")
    (raw.data / "CelebA/more.txt").symlink_to("/etc/passwd")
    said = mmidd(*raw.words("plan"))
    assert said.code == 0, said.err


def test_one_link_among_files_is_refused_and_told_and_stops_nothing(raw: Place, tmp_path: Path, mmidd: Run) -> None:
    (tmp_path / "disk").mkdir()
    (raw.data / "CelebA/img_align_celeba/000001.jpg").rename(tmp_path / "disk/1.jpg")
    (raw.data / "CelebA/img_align_celeba/000001.jpg").symlink_to(tmp_path / "disk/1.jpg")
    assert mmidd(*raw.words("plan")).code == 0
    said = mmidd(*raw.words("index"))
    assert said.code == 0 and "--follow-links" in said.out and "link that leaves the dataset's root" in said.out


def _pointers(place: Place) -> None:
    for path in (place.data / REALS).iterdir():
        path.write_bytes(POINTER)


def _unfinished(place: Place) -> None:
    for path in (place.data / REALS).iterdir():
        path.rename(f"{path}.part")


def _dangling(place: Place) -> None:
    for path in (place.data / REALS).iterdir():
        path.unlink()
        path.symlink_to("/nowhere/at/all")


@pytest.mark.parametrize(
    ("spoil", "told"), [(_pointers, "git lfs pull"), (_unfinished, "unfinished download"), (_dangling, "link to nothing")]
)
def test_a_dataset_of_which_all_reals_were_refused_is_not_built_of_its_fakes(
    spoil: Callable[[Place], None], told: str, raw: Place, mmidd: Run
) -> None:
    spoil(raw)
    said = mmidd(*raw.words("build"))
    assert said.code == 1 and "would have no real medium" in said.err and told in said.err and not raw.out.exists()
    assert mmidd(*raw.words("index")).code == 0
    assert mmidd(*raw.words("index", "--check")).code == 4


def test_one_pointer_among_reals_is_told_and_the_rest_is_built(raw: Place, mmidd: Run) -> None:
    (raw.data / REALS / "000.mp4").write_bytes(POINTER)
    assert mmidd(*raw.words("plan")).code == 0
    assert "000.mp4: a Git LFS pointer" in mmidd(*raw.words("index")).out


def test_a_label_file_that_is_a_pointer_or_leads_nowhere_stops_a_build(raw: Place, mmidd: Run) -> None:
    (raw.data / "FaceForensics++/dataset/splits/train.json").write_bytes(POINTER)
    said = mmidd(*raw.words("build"))
    assert said.code == 1 and "train.json" in said.err and "git lfs pull" in said.err


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>quota exceeded", b"PK\3\4cut"])
def test_an_archive_of_all_reals_that_cannot_be_read_stops_a_build(page: bytes, tmp_path: Path, mmidd: Run) -> None:
    root = tmp_path / "data/DeepFakeFace"
    root.mkdir(parents=True)
    (tmp_path / "picture.jpg").write_bytes(b"")
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.jpg")
    with zipfile.ZipFile(root / "insight.zip", "w") as made:
        made.write(tmp_path / "picture.jpg", "insight/00/1.jpg")
    (root / "wiki.zip").write_bytes(page)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: dff\ndatasets: [DeepFakeFace]\ndetector: {kind: mtcnn}\n")
    said = mmidd("plan", str(recipe), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"))
    assert said.code == 1 and "no real medium" in said.err and "wiki.zip" in said.err
    assert ("HTML page" in said.err) is page.startswith(b"<!")


LISTS = {
    "원본영상_training_메타데이터.csv": "영상ID,UUID\n가나_1.mp4,p1\n",
    "원본영상_validation_메타데이터.csv": "영상ID,UUID\n다라_2.mp4,p2\n",
    "변조영상_training_메타데이터.csv": "영상ID,타겟UUID,소스UUID,타겟영상,변조모델\n마바_3.mp4,p1,p2,가나_1.mp4,dffs\n",
    "변조영상_validation_메타데이터.csv": "영상ID,타겟UUID,소스UUID,타겟영상,변조모델\n사아_4.mp4,p2,p1,다라_2.mp4,dffs\n",
}
CLIPS = ("1.Training/가나_1.mp4", "2.Validation/다라_2.mp4", "1.Training/변조/마바_3.mp4", "2.Validation/변조/사아_4.mp4")


@pytest.mark.parametrize(("names", "lists"), [("NFC", "NFC"), ("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD")])
def test_a_copy_with_decomposed_names_is_indexed_as_the_one_with_composed_names(
    names: str, lists: str, tmp_path: Path, mmidd: Run
) -> None:
    root = tmp_path / "data/KoDF"
    for path in (*CLIPS, *LISTS):
        place = root / normalize(names, path)  # type: ignore[arg-type]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(normalize(lists, LISTS.get(path, path)))  # type: ignore[arg-type]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: kodf\ndatasets: [KoDF]\ndetector: {kind: mtcnn}\n")
    words = ("--data", str(tmp_path / "data"), "--work", str(tmp_path / "work"), "--json")
    found = mmidd("index", str(recipe), *words, "--check").document["datasets"][0]
    counts = {(each["rule"], each["split"]): each["found"] for each in found["counts"]}
    assert counts == {
        ("aihub-original", "train"): 1, ("aihub-original", "validation"): 1,
        ("aihub-synthesized", "train"): 1, ("aihub-synthesized", "validation"): 1,
    }  # fmt: skip
    assert not [each for each in found["findings"] if each["kind"] != "same file twice"]


def test_a_takedown_line_hits_a_medium_however_its_name_is_composed(tmp_path: Path) -> None:
    from mmidd.takedown import Exclusions

    name = "1.Training/가나_1.mp4"
    assert Exclusions.parse(normalize("NFD", f"media:KoDF/{name}"), "list").media == {("KoDF", name)}


def test_litter_in_frames_takes_no_number_and_is_told_in_one_line(tmp_path: Path, mmidd: Run) -> None:
    clip = tmp_path / "data/DF40/blendface/ff/frames/004_982"
    clip.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(clip / f"{number:03d}.png")
        (clip / f"._{number:03d}.png").write_bytes(b"\0\5\x16\7Mac OS X")
    (clip / ".DS_Store").write_bytes(b"x")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: df40\ndatasets: [DF40]\ndetector: {kind: mtcnn}\n")
    words = ["index", str(recipe), "--data", str(tmp_path / "data"), "--work", str(tmp_path / "work")]
    found = mmidd(*words, "--json").document
    counts = found["datasets"][0]
    assert (counts["files"], counts["litter"], [each["found"] for each in counts["counts"]]) == (4, 5, [1])
    assert not [each for each in counts["findings"] if each["kind"] in ("in no rule", "refused")]
    told = mmidd(*words)
    assert told.out.count("programs left behind") == 1 and "._" not in told.out.replace("(._*", "")


def test_files_in_no_rule_are_told_by_kind_and_what_matters_first(raw: Place, mmidd: Run) -> None:
    for number in range(30):
        (raw.data / f"FaceForensics++/license_{number}.txt").write_text("x")
        (raw.data / f"CelebA/img_align_celeba/{number:06d}.JPG").write_bytes(b"%d" % number)
    said = mmidd(*raw.words("index"))
    lines = [line for line in said.out.splitlines() if "unmatched: " in line]
    assert len(lines) == 2, said.out
    assert "29 more such: there is a rule for it but for upper and lower case" in lines[0]
    assert "license_0.txt and 29 more such" in lines[1]


def test_a_folder_near_a_datasets_name_is_told(raw: Place, mmidd: Run) -> None:
    (raw.data / "FaceForensics++").rename(raw.data / "FaceForensics++_C23")
    said = mmidd(*raw.words("index"))
    assert "FaceForensics++_C23/ meant for FaceForensics++" in said.out + said.err
    shutil.rmtree(raw.data / "CelebA")
    said = mmidd(*raw.words("index"))
    assert said.code == 1 and "FaceForensics++_C23/ meant for FaceForensics++" in said.err
