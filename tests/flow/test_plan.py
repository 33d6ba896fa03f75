"""`plan` and `status`: what is up to date, stale and why, missing; and that looking changes nothing."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Place, Said

from mmidd.engine.store import Record, Store
from mmidd.flow.forecast import Space
from mmidd.flow.plan import differing

Run = Callable[..., Said]

REAL = "FaceForensics++/original_sequences/youtube/c23/videos/000.mp4"
FAKE = "FaceForensics++/manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"
IMAGE = "CelebA/img_align_celeba/000001.jpg"


_ALL: dict[str, int | str] = {"extract": 11, **dict.fromkeys(("caption", "curate", "shard", "corpus"), "extract")}
_CURATE: dict[str, int | str] = {"curate": 1, "shard": "curate", "corpus": "curate"}
_CORPUS: dict[str, int | str] = {"corpus": 1}


def _plan(mmidd: Run, place: Place, *more: str) -> Any:
    said = mmidd(*place.words("plan", *more), "--json")
    assert said.code == 0, said.err
    return said.document


def _to_do(document: Any) -> dict[str, int | str]:
    """How many items each stage has to do, or the stage that it waits for; those with nothing to do left out."""
    stages = {stage["stage"]: stage["waits_for"] or stage["to_do"] for stage in document["stages"]}
    return {name: left for name, left in stages.items() if left}


def _why(document: Any, stage: str) -> dict[str, int]:
    (found,) = [entry["why"] for entry in document["stages"] if entry["stage"] == stage]
    return dict(found)


def _state(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*") if path.is_file()}


def test_after_a_build_everything_is_up_to_date(mmidd: Run, small: Place) -> None:
    document = _plan(mmidd, small)
    assert document["complete"] and _to_do(document) == {}
    assert {stage["stage"]: stage["up_to_date"] for stage in document["stages"]} == {
        "index": 2, "extract": 11, "caption": 11, "curate": 1, "shard": 4, "corpus": 1,
    }  # fmt: skip
    assert document["work"]["needs"] == 0 and document["hours"] == 0


def test_before_a_build_everything_is_missing_and_space_and_time_are_told(mmidd: Run, small: Place, tmp_path: Path) -> None:
    shutil.copy(small.recipe, tmp_path)
    words = ["plan", str(tmp_path / "recipe.yaml"), "--data", str(small.data), "--out", str(tmp_path / "corpus")]
    document = mmidd(*words, "--json").document
    assert _to_do(document) == {"index": 2, **_ALL}
    assert _why(document, "extract") == {"missing: never extracted": 11}
    assert document["samples"] == 4 * 2 + 7 and document["hours"] > 0 and document["absent"] == ["FFHQ"]
    for place in (document["work"], document["corpus"]):
        assert 0 < place["needs"] < place["free"]
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]
    assert "never extracted" in mmidd(*words).out


CHANGES: list[tuple[list[str], dict[str, int | str], str, str]] = [
    (["crop.margin=1.5"], _ALL, "extract", "stale: crop.margin 1.3 -> 1.5"),
    (["detector.size=160"], _ALL, "extract", "stale: detector.size 128 -> 160"),
    (["image.quality=90"], _ALL, "extract", "stale: image.quality 95 -> 90"),
    (["seed=5", "crop.margin=1.5"], _ALL, "extract", "stale: crop.margin 1.3 -> 1.5"),
    (["curation.exact_duplicates=false"], _CURATE, "curate", "stale: curation.exact_duplicates True -> False"),
    (["seed=5"], _CURATE, "curate", "stale: seed 0 -> 5"),
    (["captioner=none"], {"shard": 4, **_CORPUS}, "shard", "missing, or its rows, captions, labels or verdicts changed"),
    (["shards.max_bytes=200000"], {"shard": 4, **_CORPUS}, "shard", "stale: shards.max_bytes 500000000 -> 200000"),
    (["description=other"], _CORPUS, "corpus", "card, media table or mmidd.json are written anew"),
]


@pytest.mark.parametrize(("settings", "to_do", "stage", "why"), CHANGES, ids=lambda value: str(value)[:40])
def test_a_changed_setting_makes_stale_what_reads_it_and_nothing_else(
    mmidd: Run, small: Place, settings: list[str], to_do: dict[str, int | str], stage: str, why: str
) -> None:
    document = _plan(mmidd, small, *(word for setting in settings for word in ("--set", setting)))
    assert _to_do(document) == to_do
    if why:
        assert list(_why(document, stage)) == [why]


def test_more_frames_concern_the_videos_alone(mmidd: Run, small: Place) -> None:
    document = _plan(mmidd, small, "--set", "frames.count=3")
    assert _to_do(document)["extract"] == 4
    reasons = _why(document, "extract")
    assert sum(reasons.values()) == 4 and any("frames" in reason for reason in reasons)


def test_after_another_captioner_only_captions_are_to_do(mmidd: Run, place: Place) -> None:
    assert mmidd(*place.words("build", "--set", "captioner=none", "--allow-removals")).code == 0
    for record in (place.work / "records" / "caption").rglob("*.json"):
        record.unlink()
    document = _plan(mmidd, place)
    assert _to_do(document) == {"caption": 11, "shard": "caption", "corpus": "caption"}
    assert list(_why(document, "caption")) == ["missing: not captioned"]
    said = mmidd(*place.words("build"))
    assert said.code == 0 and "extract: 0" not in said.err
    assert _plan(mmidd, place)["complete"]


def test_a_touched_file_costs_no_work(mmidd: Run, place: Place) -> None:
    os.utime(place.data / IMAGE, ns=(1, 1))
    document = _plan(mmidd, place)
    assert _to_do(document).get("extract", 0) in (0, 1)
    said = mmidd(*place.words("build"))
    assert said.code == 0 and "(unchanged)" in said.err
    assert _plan(mmidd, place)["complete"]


@pytest.mark.parametrize(("name", "work"), [(IMAGE, 1), (FAKE, 1), (REAL, 2)])
def test_a_replaced_file_costs_itself_and_the_fakes_that_follow_it(mmidd: Run, place: Place, name: str, work: int) -> None:
    other = {
        IMAGE: "CelebA/img_align_celeba/000002.jpg",
        FAKE: FAKE.replace("000_003", "003_000"),
        REAL: REAL.replace("000", "003"),
    }
    shutil.copyfile(place.data / other[name], place.data / name)
    document = _plan(mmidd, place)
    assert _to_do(document)["extract"] == work
    assert all(reason.startswith("stale: ") for reason in _why(document, "extract"))
    assert mmidd(*place.words("build", "--allow-removals")).code == 0
    assert _plan(mmidd, place)["complete"]


def test_a_new_and_a_removed_file_are_noticed(mmidd: Run, place: Place) -> None:
    shutil.copyfile(place.data / IMAGE, place.data / "CelebA/img_align_celeba/000099.jpg")
    (place.data / FAKE).unlink()
    document = _plan(mmidd, place)
    assert _to_do(document)["index"] == 2 and _to_do(document)["extract"] == 2
    why = _why(document, "extract")
    assert why.pop("missing: never extracted") == 1
    assert list(why.values()) == [1]  # the real of the fake that went: nobody follows it any more


def test_a_changed_label_file_touches_no_pixel(mmidd: Run, place: Place) -> None:
    path = place.data / "CelebA" / "identity_CelebA.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1].split(" ")[0] + " 99"]) + "\n")
    assert _to_do(_plan(mmidd, place)) == {"index": 1, **_CURATE}
    said = mmidd(*place.words("build"))
    assert said.code == 0
    assert _plan(mmidd, place)["complete"]


def test_looking_changes_nothing(mmidd: Run, place: Place) -> None:
    os.utime(place.data / IMAGE, ns=(1, 1))
    before = _state(place.root)
    for words in (place.words("plan"), ["status", str(place.work)], ["failures", str(place.work)]):
        assert mmidd(*words).code == 0
    assert _state(place.root) == before


def test_status_tells_how_far_the_last_build_is(mmidd: Run, place: Place) -> None:
    found = mmidd("status", str(place.work), "--json").document
    assert found["complete"] and found["media"] == {"ok": 11} and found["samples"] == 14
    assert found["corpus"] == str(place.out)
    assert "stopped or killed" not in mmidd("status", str(place.work)).out
    (place.data / IMAGE).write_text("no picture")
    mmidd(*place.words("build", "--allow-removals"))
    found = mmidd("status", str(place.work), "--json").document
    assert found["media"] == {"ok": 10, "failed": 1} and found["reasons"] == {"UnreadableMedia": 1}
    shutil.rmtree(place.out)
    found = mmidd("status", str(place.work))
    assert found.code == 0 and "not written yet" in found.out and "stopped or killed" in found.out


TREES: list[tuple[Any, Any, Iterable[str]]] = [
    ({"a": 1}, {"a": 1}, []),
    ({"recipe": {"crop": {"margin": 1.3}}}, {"recipe": {"crop": {"margin": 1.2}}}, ["crop.margin 1.3 -> 1.2"]),
    ({"version": 1}, {"version": 2}, ["version 1 -> 2"]),
    ({"models": {"a": "0" * 64}}, {"models": {"a": "1" * 64}}, [f"models.a {'0' * 12}… -> {'1' * 12}…"]),
    ({"libraries": {"numpy": "1"}}, {"libraries": {}}, ["libraries.numpy 1 -> None"]),
]


@pytest.mark.parametrize(("before", "after", "told"), TREES)
def test_changed_ingredients_are_told_by_their_leaves(before: Any, after: Any, told: list[str]) -> None:
    assert list(differing(before, after)) == told


def test_a_place_that_is_too_small_is_told() -> None:
    assert Space("x", 5, 5).fits and not Space("x", 6, 5).fits


def test_the_records_are_read_once_a_dataset_however_many_media_are_to_do(
    mmidd: Run, small: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, read = Store.records, Counter[str]()

    def counted(store: Store, stage: str) -> Iterator[Record]:
        read[stage] += 1
        return records(store, stage)

    monkeypatch.setattr(Store, "records", counted)
    assert _to_do(_plan(mmidd, small, "--set", "crop.margin=1.5"))["extract"] == 11
    assert read["extract"] <= 2 + 2  # by each level for what can be taken over, and for each of two datasets


@pytest.mark.parametrize("harm", ["file", "foreign", "torn", "lies in the data"])
def test_what_a_build_refuses_at_once_plan_refuses_in_the_same_words(mmidd: Run, place: Place, harm: str) -> None:
    words = place.words("plan")
    if harm == "lies in the data":
        words = [word if word != str(place.out) else str(place.data / "corpus") for word in words]
    elif harm == "torn":
        (place.out / "mmidd.json").write_text("{")
    else:
        shutil.rmtree(place.out)
        place.out.write_text("x") if harm == "file" else (place.out / "thesis").mkdir(parents=True)
    planned, built = mmidd(*words), mmidd("build", *words[1:], "--workers", "0")
    assert planned.code == built.code != 0 and planned.err == built.err


def test_a_shard_that_is_gone_from_the_corpus_is_told(mmidd: Run, place: Place) -> None:
    shard = next((place.out / "data").iterdir())
    beside = place.out.with_name(".corpus.building") / "data"
    beside.mkdir(parents=True)
    shard.rename(beside / shard.name)
    assert not _plan(mmidd, place)["complete"]
    assert "(unchanged)" not in mmidd(*place.words("build")).err and _plan(mmidd, place)["complete"]


def test_what_a_build_says_of_the_data_the_plan_says_before(mmidd: Run, small: Place, tmp_path: Path) -> None:
    shutil.copytree(small.data, tmp_path / "data")
    shutil.copy(small.recipe, tmp_path)
    (tmp_path / "data/CelebA/identity_CelebA.txt").unlink()
    shutil.rmtree(tmp_path / "data/FaceForensics++/dataset")
    (tmp_path / "data/FFHQ_1024").mkdir()
    words = [str(tmp_path / "recipe.yaml"), "--data", str(tmp_path / "data")]
    plan = mmidd("plan", *words, "--out", str(tmp_path / "corpus"))
    index = mmidd("index", *words, "--work", str(tmp_path / "work"), "--workers", "0")
    missing = "CelebA: label files missing: identity_CelebA.txt (table 'identities'); without them what they would say"
    for said in (plan, index):
        told = " ".join(said.out.split())
        assert missing in told, said.out
        assert "is FFHQ_1024/ meant for FFHQ?" in told, said.out
        assert "(table 'splits'); without them what they would name is split by hash" in told, said.out


def test_what_a_takedown_only_regroups_is_not_told_as_nothing(mmidd: Run, small: Place, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f"media:{IMAGE}\n")
    said = mmidd(*small.words("plan", "--exclude", str(tmp_path / "list")))
    assert said.code == 0 and "what is there is copied into other groups" in said.out
