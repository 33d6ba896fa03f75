"""The data root: what is there, what is nobody's, and what it may be meant to be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmidd.doctor import raw
from mmidd.doctor.report import Check

from .conftest import by_name

CELEBA = ["CelebA/img_align_celeba/000001.jpg", "CelebA/identity_CelebA.txt"]
FF = "original_sequences/youtube/c23/videos/000.mp4"


def _lay(root: Path, files: Sequence[str]) -> None:
    for name in files:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_the_sample_is_found_whole(sample_data: Path) -> None:
    found = by_name(raw.root(sample_data))
    assert found["root"].found == f"{sample_data} holds 7 of the 36 datasets that are known"
    assert {name for name, each in found.items() if each.state != "ok"} == {"DeepFakeFace", "files"}
    assert found["DeepFakeFace"].state == "note" and "1 of the first" in found["DeepFakeFace"].found


TREES: list[tuple[list[str], str, str, str]] = [
    (CELEBA, "CelebA", "ok", "in CelebA"),
    ([*CELEBA, "CelebA/odd.xyz"], "CelebA", "note", "1 of the first 3 files are in no rule"),
    (["celeba/x/img_align_celeba/000001.jpg"], "CelebA", "warning", "without the folder 'x/' above it"),
    (["celeba/Img_Align_Celeba/000001.JPG"], "CelebA", "warning", "upper and lower case"),
    (["CelebA/pictures/one.gif"], "CelebA", "warning", "none of its first files lies where it should"),
    (["CelebA/"], "CelebA", "problem", "holds no file"),
    (["CelebA/img_align_celeba.zip", "CelebA/identity_CelebA.txt"], "CelebA", "ok", "in CelebA"),
    (["CelebA/a/1.jpg", "celeba/a/1.jpg"], "CelebA", "problem", "twice"),
    ([*CELEBA, "FaceForensic/"], "FaceForensic", "warning", "belongs to no dataset"),
    ([*CELEBA, f"downloads/{FF}", "downloads/original_sequences/youtube/c23/videos/001.mp4"], "downloads", "warning",
     "its files lie as those of FaceForensics++"),
    ([*CELEBA, "more/FFHQ/x.png"], "more", "warning", "but holds some: FFHQ"),
    ([*CELEBA, "zzzzzzzz/"], "zzzzzzzz", "note", "builds leave it alone"),
    ([*CELEBA, "a.tar.gz", "b.zip"], "archives", "note", "2, such as a.tar.gz"),
    ([*CELEBA, "notes.txt"], "files", "note", "1, such as notes.txt"),
    ([*CELEBA, ".DS_Store", "__MACOSX/"], "litter", "note", "2 or more files"),
    ([*CELEBA, "CelebA/._identity_CelebA.txt"], "CelebA: litter", "note", "1 or more files"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "name", "state", "told"), TREES)
def test_what_lies_under_a_root_is_told(files: list[str], name: str, state: str, told: str, tmp_path: Path) -> None:
    _lay(tmp_path, files)
    found = by_name(raw.root(tmp_path))
    assert found[name].state == state and told in found[name].found
    if files[: len(CELEBA)] == CELEBA:
        assert found["root"].state == "ok"
        assert [each.name for each in found.values() if each.state not in ("ok",) and each.name != name] == []


ADVICE = [
    ([f"FaceForensics++/FaceForensics++/{FF}"], "FaceForensics++", "builds read 1 of its first 1 files all the same"),
    ([*CELEBA, "FaceForensic/"], "FaceForensic", "did you mean FaceForensics++? Then rename it"),
    ([*CELEBA, f"down/{FF}"], "down", "rename it to FaceForensics++"),
    ([*CELEBA, "more/FFHQ/x.png"], "more", "--data {root}/more"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "name", "advice"), ADVICE)
def test_a_folder_of_nobody_s_has_a_way_out(files: list[str], name: str, advice: str, tmp_path: Path) -> None:
    _lay(tmp_path, files)
    assert advice.format(root=tmp_path) in (by_name(raw.root(tmp_path))[name].advice or "")


def _only(checks: list[Check]) -> Check:
    return next(check for check in checks if check.name == "root")


def test_a_root_that_is_too_deep_or_too_high_names_the_right_one(tmp_path: Path) -> None:
    _lay(tmp_path, [f"up/{name}" for name in CELEBA])
    high = _only(list(raw.root(tmp_path)))
    assert high.state == "problem" and "but up in it does: CelebA" in high.found and high.advice == f"--data {tmp_path}/up"
    deep = _only(list(raw.root(tmp_path / "up" / "CelebA")))
    assert deep.state == "problem" and "is itself the folder of CelebA" in deep.found
    assert deep.advice == f"give the folder above it: --data {tmp_path}/up"
    _lay(tmp_path, [f"mine/{FF}"])
    renamed = _only(list(raw.root(tmp_path / "mine")))
    assert renamed.state == "problem" and "the folder of FaceForensics++" in renamed.found
    assert "it must be called FaceForensics++" in (renamed.advice or "")
    _lay(tmp_path, ["empty/"])
    none = _only(list(raw.root(tmp_path / "empty")))
    assert none.state == "problem" and "holds no dataset that is known" in none.found


ROOTS = [
    ("{tmp}/absent", "problem", "is not there"),
    ("{tmp}/file", "problem", "is a file"),
    ("file://{tmp}/file", "problem", "is a file"),
    ("s3://bucket/x", "ok", "is remote"),
    ("s3://user:hush@bucket/x", "problem", "is not taken"),
    ("gs://bucket", "problem", "gcsfs is not installed"),
]


@pytest.mark.parametrize(("data", "state", "told"), ROOTS)
def test_a_root_that_is_no_folder_here(data: str, state: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = raw.root(data.format(tmp=tmp_path))
    assert found.state == state and told in found.found and "hush" not in str(found)


def test_a_remote_root_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "find_spec", lambda name: None)
    (found,) = raw.root("s3://bucket/x")
    assert found.state == "problem" and "fsspec and s3fs" in found.found and found.advice == "pip install 'mmidd[remote]'"


def test_a_root_or_a_dataset_that_may_not_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _lay(tmp_path, CELEBA)
    monkeypatch.setattr(os, "access", lambda *words: False)
    (found,) = raw.root(tmp_path)
    assert found.state == "problem" and "cannot be read by this user" in found.found
    monkeypatch.undo()
    real = os.scandir

    def closed(place: Path) -> object:
        if Path(place).name == "CelebA":
            raise PermissionError(13, "Permission denied")
        return real(place)

    monkeypatch.setattr(os, "scandir", closed)
    assert "cannot be read: Permission denied" in by_name(raw.root(tmp_path))["CelebA"].found


def test_a_look_at_a_large_folder_is_bounded_and_sees_every_part(tmp_path: Path) -> None:
    _lay(tmp_path, [f"{part}/{number}.jpg" for part in "abc" for number in range(raw.FILES)])
    files, _ = raw.first_files(tmp_path)
    assert len(files) <= raw.FILES and {name[0] for name in files} == set("abc")


def test_many_strange_folders_are_counted_and_not_all_told(tmp_path: Path) -> None:
    _lay(tmp_path, [*CELEBA, *(f"zz{number:02}/" for number in range(30))])
    found = by_name(raw.root(tmp_path))
    assert found["more folders"].found == "10 more folders belong to no known dataset" and len(found) == 2 + 20 + 1
