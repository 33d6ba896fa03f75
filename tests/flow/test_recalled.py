"""`status`, `failures` and `gc` read a work folder alone: no raw data, no model files, no network, on any machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Place, Said

from mmidd.engine.store import Record, Store

Run = Callable[..., Said]

ELSEWHERE = ["--data", "data/that/is/not/here", "--out", "no/corpus"]
BROKEN = "CelebA/img_align_celeba/000001.jpg"


def _copied(place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The work folder on another machine: neither raw data nor corpus nor any weights are there."""
    work = shutil.copytree(place.work, folder / "elsewhere" / "corpus.work")
    shutil.rmtree(place.root)
    monkeypatch.setenv("MMIDD_MODELS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return work


def _yunet(place: Place, models: Path, monkeypatch: pytest.MonkeyPatch, mmidd: Run) -> None:
    """Another build on the place's work folder, by a detector whose weights are a file; one picture is broken."""
    (place.data / BROKEN).write_bytes(b"no picture")
    monkeypatch.setenv("MMIDD_MODELS", str(models))
    assert mmidd(*place.words("build", "--set", "detector.kind=yunet", "--allow-removals")).code == 3


def test_a_copied_work_folder_tells_of_its_build_without_data_and_models(
    place: Place, shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmidd: Run
) -> None:
    _yunet(place, shared_models, monkeypatch, mmidd)
    here = [mmidd(verb, str(place.work), "--json").document for verb in ("status", "failures")]
    work = _copied(place, tmp_path, monkeypatch)
    status, failures = (mmidd(verb, str(work), *ELSEWHERE, "--json") for verb in ("status", "failures"))
    assert (status.code, failures.code) == (0, 3)
    assert failures.document == here[1] and [each["media"] for each in failures.document] == [BROKEN.partition("/")[2]]
    assert status.document["media"] == here[0]["media"] == {"ok": 10, "failed": 1}
    told = {stage["stage"]: (stage["up_to_date"], stage["to_do"]) for stage in status.document["plan"]["stages"]}
    assert told["extract"] == (11, 0) and told["caption"] == (10, 0) and told["curate"] == (1, 0)


def test_gc_on_a_copied_work_folder_keeps_what_the_builds_read_and_removes_the_rest(
    place: Place, shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmidd: Run
) -> None:
    _yunet(place, shared_models, monkeypatch, mmidd)
    work = _copied(place, tmp_path, monkeypatch)
    before = mmidd("status", str(work), *ELSEWHERE, "--json").document
    removed = mmidd("gc", str(work), *ELSEWHERE, "--json").document  # from now on the folder knows where it is
    assert removed["counts"]["records"] > 0 and removed["behind"] == {}
    after = mmidd("status", str(work), "--json").document
    assert (after["plan"]["stages"], after["media"]) == (before["plan"]["stages"], before["media"])
    assert mmidd("gc", str(work), "--json").document["counts"]["records"] == 0


def test_an_old_note_without_ingredients_is_read_by_those_of_here(place: Place, mmidd: Run) -> None:
    note = json.loads((place.work / "build.json").read_text())
    del note["ingredients"]
    (place.work / "build.json").write_text(json.dumps(note))
    assert mmidd("status", str(place.work), "--json").document["complete"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"recipe": {"name": "x", "datasets": ["Unknown"]}}, "datasets"),
        ({"recipe": {"name": "x", "datasets": ["CelebA"], "of_the_future": 1}}, "of_the_future"),
        ({"recipe": []}, "recipe"),
        ({"only": 3}, "only"),
        ({"worker_memory": "x"}, "worker_memory"),
        ({"engine": "k8s"}, "engine"),
        ({"device": "tpu"}, "device"),
        ({"index": []}, "index"),
        ({"ingredients": []}, "ingredients"),
    ],
)
def test_a_note_of_another_mmidd_is_refused_with_words(
    place: Place, mmidd: Run, change: dict[str, object], told: str
) -> None:
    note = json.loads((place.work / "build.json").read_text())
    (place.work / "build.json").write_text(json.dumps({**note, **change}))
    for words in (["status"], ["failures"], ["failures", "--retry"], ["gc"]):
        said = mmidd(words[0], str(place.work), *words[1:])
        assert said.code == 1 and "cannot be read by this mmidd" in said.err and told in said.err, words


@pytest.mark.parametrize("note", ["", "{", "[]", "null", '{"recipe": {}}'])
def test_a_note_that_is_not_whole_stops_what_would_read_it(place: Place, mmidd: Run, note: str) -> None:
    (place.work / "build.json").write_text(note)
    for words in (["status"], ["failures"], ["failures", "--retry"], ["gc"]):
        said = mmidd(words[0], str(place.work), *words[1:])
        assert said.code == 1 and "no work folder of a build" in said.err


def test_without_a_remembered_build_nothing_is_removed(place: Place, mmidd: Run) -> None:
    before = {path for path in place.work.rglob("*") if path.is_file()}
    for torn in ("{", "[]", '{"x": {"recipe": {}}}'):
        (place.work / "builds.json").write_text(torn)
        for words in (["gc", str(place.work)], place.words("build")):
            said = mmidd(*words)
            assert said.code == 1 and "builds.json is not whole" in said.err
    (place.work / "builds.json").unlink()
    said = mmidd("gc", str(place.work))
    assert said.code == 1 and "Nothing was removed" in said.err
    left = {path for path in place.work.rglob("*") if path.is_file()}
    assert left == before - {place.work / "builds.json"}


def test_a_stage_that_was_not_noted_is_to_do_and_breaks_nothing(place: Place, mmidd: Run) -> None:
    note = json.loads((place.work / "build.json").read_text())
    (place.work / "build.json").write_text(json.dumps({**note, "ingredients": {}}))
    stages = mmidd("status", str(place.work), "--json").document["plan"]["stages"]
    assert {stage["stage"]: stage["to_do"] for stage in stages}["extract"] == 11


@pytest.mark.parametrize("torn", ["", "{", "[]", "null", '{"lines": 5}', '{"lines": [3]}'])
def test_a_takedown_list_that_is_not_whole_stops_every_command(place: Place, mmidd: Run, torn: str) -> None:
    (place.work / "excluded.json").write_text(torn)
    for words in (place.words("build"), place.words("plan"), ["status", str(place.work)], ["gc", str(place.work)]):
        said = mmidd(*words)
        assert said.code == 1 and "excluded.json, the takedown list" in said.err, words


def test_a_stage_alone_does_not_change_what_is_kept_for_a_corpus(place: Place, mmidd: Run) -> None:
    assert mmidd(*place.words("index", "--only", "CelebA")).code == 0
    assert mmidd("gc", str(place.work), "--json").document["counts"]["records"] == 0
    assert mmidd(*place.words("plan"), "--json").document["complete"]


def test_status_of_a_build_whose_captions_a_model_gave_asks_for_no_model(place: Place, mmidd: Run) -> None:
    note = json.loads((place.work / "build.json").read_text())
    note["recipe"]["captioner"] |= {"kind": "transformers", "model": "nobody/has-this"}
    (place.work / "build.json").write_text(json.dumps(note))
    assert mmidd("status", str(place.work)).code == 0


def test_gc_keeps_what_a_build_that_was_killed_would_take_over(place: Place, mmidd: Run) -> None:
    (place.data / BROKEN).unlink()  # the other pictures' unit has another key now: its media are only taken over
    assert mmidd(*place.words("index")).code == 0
    document = mmidd(*place.words("plan"), "--json").document
    told = {stage["stage"]: stage["waits_for"] or stage["to_do"] for stage in document["stages"]}
    assert told["extract"] == 0 and told["caption"] == told["curate"] == "extract" and not document["complete"]
    assert mmidd("gc", str(place.work), "--json").document["behind"] == {"": ["extract", "caption", "curate"]}
    before = _done(place)
    assert mmidd(*place.words("build", "--allow-removals")).code == 0
    new = [record.counts["fresh"] for key, record in _done(place).items() if key not in before]
    assert new == [0, 0] and mmidd(*place.words("plan"), "--json").document["complete"]


def _done(place: Place) -> dict[str, Record]:
    """The commits of extraction and of captioning."""
    return {each.key: each for stage in ("extract", "caption") for each in Store(place.work).records(stage)}


def test_gc_for_a_recipe_of_other_datasets_keeps_their_work(place: Place, mmidd: Run) -> None:
    said = mmidd("gc", str(place.work), "sample", "--dry-run", "--json")
    assert said.code == 0 and "Traceback" not in said.err
    other = place.root / "other.yaml"
    other.write_text("name: other\ndatasets: [UADFV]\ndetector: mtcnn\n")
    assert mmidd("gc", str(place.work), str(other), "--dry-run", "--json").code == 0


@pytest.mark.parametrize(
    "rates",
    [
        "5", '"x"', "{", '{"mtcnn/128/cpu": 5}', '{"mtcnn/128/cpu": {"frames": 0, "worker_seconds": 0}}',
        '{"mtcnn/128/cpu": {"frames": NaN, "worker_seconds": Infinity}}',
    ],
)  # fmt: skip
def test_a_rate_that_is_none_is_as_if_nothing_was_measured(place: Place, mmidd: Run, rates: str) -> None:
    (place.work / "rates.json").write_text(rates)
    for words in (["status", str(place.work)], place.words("plan"), place.words("build", "--set", "crop.margin=1.4")):
        assert mmidd(*words).code == 0


def test_an_index_that_is_gone_is_told_and_nothing_is_guessed(place: Place, mmidd: Run) -> None:
    shutil.rmtree(place.work / "records" / "index")
    for verb in ("status", "failures", "gc"):
        said = mmidd(verb, str(place.work))
        assert said.code == 1 and "the index of FaceForensics++" in said.err and "run `mmidd build` again" in said.err


def test_status_is_of_the_last_build_and_plan_of_the_data_as_they_are_now(place: Place, mmidd: Run) -> None:
    (place.data / BROKEN).write_bytes(b"changed")
    assert mmidd("status", str(place.work), "--json").document["complete"]
    assert not mmidd(*place.words("plan"), "--json").document["complete"]
