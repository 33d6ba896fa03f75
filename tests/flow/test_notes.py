"""Notes of a work folder: what is lost or odd never widens what is removed, a refused command leaves no trace, and a folder
that was moved or copied does not speak for its original."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Place, Said

from mmidd.engine.store import Store
from mmidd.flow import traces

Run = Callable[..., Said]
BROKEN = "CelebA/img_align_celeba/000001.jpg"


def _second(place: Place) -> list[str]:
    """A build of a second corpus on the same work folder, with other crops."""
    where = ["--data", str(place.data), "--out", str(place.root / "second"), "--work", str(place.work), "--workers", "0"]
    return ["build", str(place.recipe), *where, "--set", "crop.margin=1.5"]


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", ["gone", "of one corpus alone", "{}"])
def test_gc_stops_where_a_corpus_of_the_folder_is_not_remembered(place: Place, mmidd: Run, how: str) -> None:
    assert mmidd(*_second(place)).code == 0
    notes = place.work / "builds.json"
    known = json.loads(notes.read_text())
    if how == "gone":
        notes.unlink()
        assert mmidd(*place.words("build")).code == 0  # it notes itself alone
    else:
        kept = {} if how == "{}" else {out: each for out, each in known.items() if out == str(place.out)}
        notes.write_text(json.dumps(kept))
    before = _files(place.work)
    said = mmidd("gc", str(place.work))
    assert said.code == 1 and "builds.json has lost the build of" in said.err and "Nothing was removed" in said.err
    assert _files(place.work) == before
    for words in (place.words("build"), _second(place)):
        assert mmidd(*words).code == 0
    assert mmidd("gc", str(place.work)).code == 0
    assert mmidd(*_second(place), "--dry-run", "--json").document["complete"]


def test_a_folder_of_an_earlier_mmidd_without_builds_is_not_collected(place: Place, mmidd: Run) -> None:
    (place.work / "mmidd-work.json").write_text('{"format":1}')
    (place.work / "builds.json").unlink()
    for words in (place.words("build"), ["gc", str(place.work)]):
        said = mmidd(*words)
        assert said.code == 1 and "builds.json is gone" in said.err, words


@pytest.mark.parametrize(
    "torn", ["", "{", "[]", '{"format": 2}', '{"format": 1, "builds": 5}', '{"format": 1, "takedown": 5}']
)
def test_a_marker_that_is_not_whole_stops_what_would_remove_or_show(place: Place, mmidd: Run, torn: str) -> None:
    (place.work / "mmidd-work.json").write_text(torn)
    before = _files(place.work)
    for words in (["gc", str(place.work)], place.words("build")):
        assert mmidd(*words).code == 1, words
    assert _files(place.work) == before


def _refused(place: Place, mmidd: Run) -> list[Said]:
    """Commands that are refused, of each kind."""
    (place.data / "CelebA/img_align_celeba/000002.jpg").rename(place.root / "aside.jpg")
    removals = mmidd(*place.words("build", "--only", "FaceForensics++"))
    order = mmidd(*place.words("caption", "--only", "CelebA", "--set", "crop.margin=1.4"))
    data = mmidd(*place.words("build", "--require-all"))
    recipe = mmidd(*place.words("build", "--set", "datasets=[{name: FaceForensics++, compression: c40}]"))
    (place.root / "aside.jpg").rename(place.data / "CelebA/img_align_celeba/000002.jpg")
    return [removals, order, data, recipe]


def test_a_refused_command_changes_no_later_report(place: Place, mmidd: Run) -> None:
    (place.data / BROKEN).write_bytes(b"no picture")
    (place.data / "CelebA/odd.xyz").write_text("in no rule")
    assert mmidd(*place.words("build", "--allow-removals")).code == 3
    reports = [["failures", str(place.work), "--json"], ["status", str(place.work), "--json"]]
    told = [mmidd(*words).document for words in reports]
    notes = {name: (place.work / name).read_bytes() for name in ("build.json", "builds.json")}
    assert len(told[0]) == 2
    for said in _refused(place, mmidd):
        assert said.code == 1, said.err
        assert {name: (place.work / name).read_bytes() for name in notes} == notes, said.err
    assert mmidd(*reports[0]).document == told[0]
    assert mmidd(*reports[1]).document["plan"]["stages"] == told[1]["plan"]["stages"]


def test_a_first_command_that_is_refused_leaves_no_build(small: Place, tmp_path: Path, mmidd: Run) -> None:
    place = Place(tmp_path, small.data)
    assert mmidd(*place.words("caption")).code == 1
    said = mmidd("status", str(place.work))
    assert said.code == 1 and "is no work folder of a build" in said.err


def test_a_corpus_given_for_its_work_folder_is_asked_about(small: Place, mmidd: Run) -> None:
    said = mmidd("status", str(small.out))
    assert said.code == 1 and f"did you mean {small.work}?" in said.err


@pytest.fixture
def copied(place: Place, tmp_path: Path) -> Place:
    """A copy of the place, whose notes are those of the original; a picture had failed."""
    return Place.whole(shutil.copytree(place.root, tmp_path / "copy"))


def test_a_copied_work_folder_asks_where_its_data_and_corpus_are(place: Place, copied: Place, mmidd: Run) -> None:
    original, before = _files(place.root), _files(copied.root)
    for words in (["status"], ["failures"], ["failures", "--retry"], ["gc"], ["status", "--data", str(copied.data)]):
        said = mmidd(words[0], str(copied.work), *words[1:])
        assert said.code == 1 and str(place.work) in said.err and "--data ROOT and --out CORPUS" in said.err, words
    assert _files(place.root) == original and _files(copied.root) == before
    here = ["--data", str(copied.data), "--out", str(copied.out)]
    status = mmidd("status", str(copied.work), *here, "--json").document
    assert (status["corpus"], status["samples"]) == (str(copied.out), 14)
    assert mmidd("gc", str(copied.work), *here, "--json").document["counts"]["records"] == 0
    for words in (["status"], ["failures"], ["gc"]):  # asked once
        assert mmidd(words[0], str(copied.work)).code == 0
    assert _files(place.root) == original


def test_a_retry_on_a_copied_work_folder_leaves_the_original_alone(place: Place, copied: Place, mmidd: Run) -> None:
    original = _files(place.root)
    here = ["--data", str(copied.data), "--out", str(copied.out)]
    assert mmidd("failures", str(copied.work), "--retry", *here).code == 0
    assert _files(place.root) == original
    assert mmidd("failures", str(copied.work), "--retry").code == 0


def test_a_stage_alone_on_a_copied_work_folder_takes_no_corpus_of_the_original_over(
    place: Place, copied: Place, mmidd: Run
) -> None:
    assert mmidd(*copied.words("index")).code == 0
    assert json.loads((copied.work / "build.json").read_text())["out"] is None
    original = _files(place.root)
    assert mmidd("failures", str(copied.work), "--retry").code == 0
    assert _files(place.root) == original


def test_a_build_says_where_a_moved_work_folder_belongs_now(place: Place, tmp_path: Path, mmidd: Run) -> None:
    moved = Place.whole(place.root.rename(tmp_path / "moved"))
    assert mmidd("status", str(moved.work)).code == 1
    said = mmidd(*moved.words("build"))
    assert said.code == 0 and "(unchanged)" in said.err
    assert mmidd("status", str(moved.work)).code == 0
    link = tmp_path / "link"
    link.symlink_to(moved.work)
    assert mmidd("status", str(link)).code == 0  # the same folder by another name


def test_the_build_that_removes_what_was_taken_down_is_the_one_that_was_run(tmp_path: Path) -> None:
    note = {"asked": ["sample", "seed=2"], "data": "my data", "out": "out", "only": ["A"], "follow_links": ["/a disk"]}
    words = "mmidd build sample --data 'my data' --out out --work w --set seed=2 --only A --follow-links '/a disk'"
    assert traces._command(note, Store(Path("w"))) == words
