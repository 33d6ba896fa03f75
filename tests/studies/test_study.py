"""A study's trials are units: done once, gone on with after any death, failures recorded."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from once import Once

from mmidd.corpus.read import Corpus
from mmidd.engine.files import disk_errors
from mmidd.errors import CorpusError, MmiddError, RunError, UsageError, WorkError
from mmidd.scores import file as scorefile
from mmidd.studies.forecast import Forecast
from mmidd.studies.measure import Chance
from mmidd.studies.page import page
from mmidd.studies.study import Study, validate
from studies import small

FEW: dict[str, Any] = {
    "detectors": ["toy"], "studies": ["in-domain"], "seeds": (0,), "settings": ("steps=2",), "preset": "tiny",
}  # fmt: skip


@pytest.fixture(scope="module")
def corpus(once: Once) -> Path:
    return once("study-corpus", small.corpus)


def do(corpus: Path, out: Path, **more: Any) -> Study:
    usual: dict[str, Any] = {"chance": Chance(resamples=50), "workers": 0, "device": "cpu", "tell": lambda line: None}
    found = validate(corpus, out, train=small.trained, registry=small.DETECTORS, **{**usual, **FEW, **more})
    assert isinstance(found, Study)
    return found


@pytest.fixture(scope="module")
def whole(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    out = tmp_path_factory.mktemp("study") / "study"
    return out, do(corpus, out, studies=("in-domain", "leave-one-out", "pairs"), seeds=(0, 1))


def test_a_study_trains_scores_and_tells_every_line(whole: tuple[Path, Study]) -> None:
    out, study = whole
    assert study.changed and not study.failed and study.found["trials"] == {"all": 10, "done": 10, "failed": 0, "to do": 0}
    assert [line["line"] for line in study.found["lines"]] == list(range(1, 8))
    for line in study.found["lines"]:
        areas = [each["auroc"] for each in line["seeds"]]
        assert line["range"] == [min(areas), max(areas)] and line["figures"]["counted"]["auroc"]["value"] == min(areas)
        figures = line["figures"]
        assert figures["coverage"] == {"real": 1, "fake": 1} and figures["columns_alone"]["auroc"]["value"] == 1
        assert figures["operating"]["split"] == "validation"
    assert {path.name for path in out.iterdir()} == {
        "study.json", "results.json", "results.md", "results.csv", "index.html", "runs", "scores", "trials", "times",
    }  # fmt: skip


def test_the_left_out_dataset_is_in_no_training_row_and_is_all_that_is_scored(whole: tuple[Path, Study]) -> None:
    out, study = whole
    (folder,) = (out / "runs").glob("*without-alpha")
    run = json.loads((folder / "run.json").read_bytes())
    assert run["asked"]["selection"]["only"] == ["Beta"] and run["rows"]["train"]["rows"] == 64
    (path,) = (out / "scores").glob("*without-alpha.seed-0/*.parquet")
    assert set(scorefile.read(path).table["dataset"].to_pylist()) == {"Alpha"}
    left, also = (line for line in study.found["lines"] if line["study"] == "leave-one-out" and line["tested_on"] == "Alpha")
    assert (left["rows"], also["rows"]) == (64, 128) and left["figures"]["clips"] == also["figures"]["clips"]


def test_paired_and_unpaired_have_as_many_rows(whole: tuple[Path, Study]) -> None:
    lines = {line["title"]: line["rows"] for line in whole[1].found["lines"] if line["study"] == "pairs"}
    assert len(set(lines.values())) == 1


def test_where_paired_and_unpaired_have_not_as_many_rows_that_is_told(tmp_path: Path, whole: tuple[Path, Study]) -> None:
    def lone(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["group"] = None

    made = small.corpus(tmp_path / "corpus", lone)
    found = do(made, tmp_path / "study", studies=("pairs",)).found
    first, second = (line["rows"] for line in found["lines"])
    said = f"Paired and unpaired have not as many rows of train (toy: {first} and {second})"
    assert first != second and any(each.startswith(said) for each in found["says"])
    assert not [each for each in whole[1].found["says"] if "not as many rows" in each]


def test_what_is_called_in_domain_or_cross_domain_and_is_not_is_told(tmp_path: Path, whole: tuple[Path, Study]) -> None:
    made = small.corpus(tmp_path / "corpus", shards=("train-alpha", "validation-alpha", "test-alpha", "test-gamma"))

    def elsewhere(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row |= {"media": f"b/{row['media']}", "group": f"b/{row['group']}", "pair_media": None}
            row |= {"media_sha256": hashlib.sha256(row["media"].encode()).hexdigest()}

    other = small.corpus(tmp_path / "other", elsewhere, ("test-alpha",))
    says = do(made, tmp_path / "study", tests=[other]).found["says"]
    assert any(each.startswith("Train has no row of Gamma, which the test split has") for each in says)
    assert any(each.startswith("Alpha of other is trained on too") for each in says)
    assert not [each for each in whole[1].found["says"] if "no row of" in each or "trained on too" in each]


def test_done_again_nothing_is_done_and_every_byte_stays(corpus: Path, whole: tuple[Path, Study]) -> None:
    before = _files(whole[0])
    again = do(corpus, whole[0], studies=("in-domain", "leave-one-out", "pairs"), seeds=(0, 1))
    assert not again.changed and again.found == whole[1].found and _files(whole[0]) == before


def test_more_is_asked_for_and_only_that_is_done(corpus: Path, tmp_path: Path) -> None:
    do(corpus, tmp_path / "study")
    first = _files(tmp_path / "study" / "runs")
    told: list[str] = []
    more = do(corpus, tmp_path / "study", seeds=(0, 1), tell=told.append)
    assert more.found["trials"]["done"] == 2 and "2 trials, 1 of them done" in told
    after = _files(tmp_path / "study" / "runs")
    assert all(after[path] == data for path, data in first.items() if "seed-0" in path)


def test_a_score_file_that_was_changed_is_made_again(corpus: Path, tmp_path: Path) -> None:
    study = do(corpus, tmp_path / "study")
    (path,) = (tmp_path / "study" / "scores").glob("*/*.parquet")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    again = do(corpus, tmp_path / "study")
    assert again.changed and again.found == study.found and path.read_bytes() == data


@pytest.mark.parametrize("change", [('"value": 1.0', '"value": 0.9'), ('"files"', '"fises"'), ('"test": {', '"tess": {')])
def test_a_record_that_was_changed_is_no_record(corpus: Path, tmp_path: Path, change: tuple[str, str]) -> None:
    study = do(corpus, tmp_path / "study")
    (path,) = (tmp_path / "study" / "trials").iterdir()
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    again = do(corpus, tmp_path / "study")
    assert again.changed and again.found == study.found and path.read_text() == text


def test_a_network_that_is_damaged_fails_its_trial_alone_and_is_trained_anew_once_removed(
    corpus: Path, tmp_path: Path
) -> None:
    straight = do(corpus, tmp_path / "study", seeds=(0, 1))
    (path,) = (tmp_path / "study" / "runs").glob("*/seed-0/best/model.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    shutil.rmtree(tmp_path / "study" / "scores")
    found = do(corpus, tmp_path / "study", seeds=(0, 1)).found
    assert found["trials"] == {"all": 2, "done": 1, "failed": 1, "to do": 0} and "damaged" in found["failed"][0]["why"]
    assert "runs/RUN/seed-N" in (tmp_path / "study" / "index.html").read_text()
    shutil.rmtree(path.parent.parent)
    assert do(corpus, tmp_path / "study", seeds=(0, 1)).found == straight.found


@pytest.mark.parametrize("within", [disk_errors, contextlib.nullcontext])
def test_a_full_disk_stops_the_study_and_is_no_trials_failure(corpus: Path, tmp_path: Path, within: Any) -> None:
    with pytest.raises((WorkError, OSError)):
        _raising(corpus, tmp_path / "study", OSError(errno.ENOSPC, "no space"), within(tmp_path))
    assert not (tmp_path / "study" / "trials").exists()


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no file", "weights.bin"), OSError("no such model")])
def test_a_file_that_one_detector_lacks_is_its_trials_failure(corpus: Path, tmp_path: Path, error: OSError) -> None:
    found = _raising(corpus, tmp_path / "study", error, contextlib.nullcontext()).found
    assert found["trials"]["failed"] == 1 and found["failed"][0]["at"] == "training"


def _raising(corpus: Path, out: Path, error: OSError, within: Any) -> Study:
    def fails(detector: str, *given: Any, **more: Any) -> Any:
        with within:
            raise error

    found = validate(corpus, out, train=fails, registry=small.DETECTORS, workers=0, tell=lambda line: None, **FEW)
    assert isinstance(found, Study)
    return found


def test_a_failure_is_recorded_the_others_go_on_and_it_is_tried_again(corpus: Path, tmp_path: Path) -> None:
    def fails(detector: str, *given: Any, **more: Any) -> Any:
        if detector == "other":
            raise RunError(f"no memory in {tmp_path}/study/x")
        return small.trained(detector, *given, **more)

    asked: dict[str, Any] = {"detectors": ["other", "toy"]}
    found = validate(
        corpus, tmp_path / "study", train=fails, registry=small.DETECTORS, chance=Chance(resamples=50), workers=0,
        tell=lambda line: None, **FEW | asked,
    )  # fmt: skip
    assert isinstance(found, Study) and found.failed == 1 and found.found["trials"]["done"] == 1
    (failed,) = found.found["failed"]
    assert failed["at"] == "training" and failed["why"] == "no memory in STUDY/x" and str(tmp_path) not in str(found.found)
    assert "no memory in" in (tmp_path / "study" / "index.html").read_text()
    again = do(corpus, tmp_path / "study", **asked)
    assert not again.failed and again.found["trials"]["done"] == 2


@pytest.mark.parametrize(
    ("more", "at", "why"),
    [
        ({"settings": ("hungry=true", "steps=1")}, "training", "memory"),
        ({"settings": ("nan=0", "steps=1")}, "training", "no finite number|NaN|not finite"),
        ({"studies": ["scaling"], "settings": ("steps=1", "batch=500")}, "training", "batch|fewer"),
    ],
)
def test_what_fails_in_a_run_itself_is_its_record(
    corpus: Path, tmp_path: Path, more: dict[str, Any], at: str, why: str
) -> None:
    found = do(corpus, tmp_path / "study", **more).found
    assert found["failed"] and found["failed"][0]["at"] == at
    assert re.search(why, found["failed"][0]["why"]), found["failed"]


def _leak(shard: str, rows: list[dict[str, Any]]) -> None:
    if shard in ("train-alpha", "test-alpha"):
        rows[0]["group"] = "shared"


REFUSED: list[tuple[dict[str, Any], type[MmiddError], str]] = [
    ({"studies": ["in-house"]}, UsageError, "--studies in-house: there are in-domain, leave-one-out"),
    ({"holdout": float("nan")}, UsageError, "holdout nan: a share"),
    ({"holdout": 1.0}, UsageError, "at most 0.9"),
    ({"seeds": (1, 1)}, UsageError, "different whole numbers"),
    ({"detectors": []}, UsageError, "no detector"),
    ({"studies": []}, UsageError, "no study"),
    ({"tests": ["self"]}, UsageError, "the corpus itself"),
]


@pytest.mark.parametrize(("more", "kind", "why"), REFUSED)
def test_what_cannot_be_asked_for_is_refused_and_nothing_is_written(
    corpus: Path, tmp_path: Path, more: dict[str, Any], kind: type[MmiddError], why: str
) -> None:
    tests = [corpus for _ in more.get("tests", ())]
    with pytest.raises(kind, match=why):
        do(corpus, tmp_path / "study", **{**more, "tests": tests})
    assert not (tmp_path / "study").exists()


def test_a_corpus_that_trains_on_what_it_tests_is_refused_before_anything(corpus: Path, tmp_path: Path) -> None:
    leaking = small.corpus(tmp_path / "leaking", _leak)
    said = r"train on what its own test split is to test: .* belong to a group.*Nothing was trained"
    with pytest.raises(CorpusError, match=said):
        do(leaking, tmp_path / "study")
    other = small.corpus(tmp_path / "other", shards=("test-alpha", "train-beta"), change=_renamed)
    with pytest.raises(CorpusError, match=r"are trained on too.*without Alpha .take it out of the recipe's datasets."):
        do(corpus, tmp_path / "study", tests=[other])
    assert not (tmp_path / "study").exists()


def _renamed(shard: str, rows: list[dict[str, Any]]) -> None:
    if shard == "test-alpha":
        rows[0] |= {"media": "train-alpha/0.mp4"}


def test_another_corpus_is_a_test_of_all_but_leave_one_out(corpus: Path, once: Once, tmp_path: Path) -> None:
    other = once("study-further", small.further)
    found = do(corpus, tmp_path / "study", tests=[other], studies=("in-domain", "leave-one-out")).found
    (line,) = (each for each in found["lines"] if each["title"] == "cross-domain")
    assert line["tested_on"].startswith("corpus study-further") and line["figures"]["groups"] == 8
    assert found["tests"]["study-further"]["datasets"] == ["Gamma"]


def test_folders_of_others_are_left_alone(corpus: Path, once: Once, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match=r"holds something else \('letter.txt'"):
        do(corpus, tmp_path / "mine")
    do(corpus, tmp_path / "study")
    changed = small.corpus(tmp_path / "changed", lambda shard, rows: rows[0].update(sharpness=3.5))
    with pytest.raises(RunError, match="a study of another corpus, or of another state of it"):
        do(changed, tmp_path / "study")


def test_a_dry_run_says_runs_hours_memory_and_disk_and_writes_nothing(corpus: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"studies": ["in-domain", "scaling"], "settings": ("epochs=2",), "tell": lambda line: None}
    usual: dict[str, Any] = {"train": small.trained, "registry": small.DETECTORS, "workers": 0, **FEW, **asked}
    found = validate(corpus, tmp_path / "study", dry_run=True, **usual)
    assert isinstance(found, Forecast) and not (tmp_path / "study").exists()
    assert (found.trials, found.done, found.lines) == (3, 0, 4) and found.hours > 0 and found.disk > 1000 and found.memory
    assert "measured now" in found.kinds[0].basis and "3 runs for 4 lines" in str(found)
    validate(corpus, tmp_path / "study", **usual)
    again = validate(corpus, tmp_path / "study", dry_run=True, **usual | {"seeds": (0, 1)})
    assert isinstance(again, Forecast) and (again.trials, again.done) == (6, 3) and again.memory is None
    assert again.kinds[0].basis == "3 of these runs, done here"


def test_a_dry_run_says_which_runs_cannot_be(tmp_path: Path) -> None:
    def poor(shard: str, rows: list[dict[str, Any]]) -> None:
        if shard == "validation-beta":
            rows[:] = [row for row in rows if row["label"]]

    made = small.corpus(tmp_path / "corpus", poor)
    found = validate(
        made, tmp_path / "study", train=small.trained, registry=small.DETECTORS, workers=0, dry_run=True,
        **FEW | {"studies": ["leave-one-out"]},
    )  # fmt: skip
    assert isinstance(found, Forecast)
    assert [name for name, _ in found.fails] == [each for each, _ in found.fails if "without-alpha" in each] != []
    assert "no real" in found.fails[0][1] and "would fail" in str(found)


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"detectors": ["toy", "other"], "seeds": (0, 1), "settings": ("steps=4", "save_every=1")}
    straight = do(corpus, tmp_path / "straight" / "study", **asked)
    chance, kills = random.Random(17), 0
    out = tmp_path / "killed" / "study"
    while kills < 8:
        child = os.fork()
        if not child:
            try:
                do(corpus, out, **asked)
            finally:
                os._exit(0)
        time.sleep(0.05 + chance.random() * 0.5)
        os.kill(child, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            break
        kills += 1
    assert kills > 2
    assert do(corpus, out, **asked).found == straight.found
    for name in ("results.json", "results.md", "results.csv", "index.html"):
        assert (out / name).read_bytes() == (tmp_path / "straight" / "study" / name).read_bytes()


def test_killed_between_a_score_file_and_its_parts_it_leaves_no_parts(corpus: Path, tmp_path: Path) -> None:
    do(corpus, tmp_path / "study")
    before = set(_files(tmp_path / "study"))
    (path,) = (tmp_path / "study" / "scores").glob("*/test.parquet")
    parts = path.with_name(".test.parquet.parts")
    parts.mkdir()
    (parts / "asked").write_text("as it was")
    shutil.rmtree(tmp_path / "study" / "trials")
    do(corpus, tmp_path / "study")
    assert set(_files(tmp_path / "study")) == before
    shutil.rmtree(tmp_path / "study" / "trials")
    assert do(corpus, tmp_path / "study").found["trials"]["done"] == 1  # and where there are none


def test_stopped_by_ctrl_c_it_says_where_and_goes_on(corpus: Path, tmp_path: Path) -> None:
    told: list[str] = []

    def stops(detector: str, *given: Any, **more: Any) -> Any:
        if more["seeds"] == (1,):
            raise KeyboardInterrupt
        return small.trained(detector, *given, **more)

    with pytest.raises(KeyboardInterrupt):
        validate(
            corpus, tmp_path / "study", train=stops, registry=small.DETECTORS, workers=0, tell=told.append,
            chance=Chance(resamples=50), **FEW | {"seeds": (0, 1)},
        )  # fmt: skip
    assert "1 of 2 trials are done" in told[-1]
    assert json.loads((tmp_path / "study" / "results.json").read_bytes())["trials"]["to do"] == 1
    assert do(corpus, tmp_path / "study", seeds=(0, 1)).found["trials"]["done"] == 2


def test_two_at_once_are_refused(corpus: Path, tmp_path: Path) -> None:
    def meanwhile(detector: str, *given: Any, **more: Any) -> Any:
        with pytest.raises(RunError, match="another study writes"):
            do(corpus, tmp_path / "study")
        return small.trained(detector, *given, **more)

    validate(
        corpus, tmp_path / "study", train=meanwhile, registry=small.DETECTORS, workers=0, tell=lambda line: None,
        chance=Chance(resamples=50), **FEW,
    )  # fmt: skip


def test_an_older_versions_record_is_made_anew_without_training_again(corpus: Path, tmp_path: Path) -> None:
    first = do(corpus, tmp_path / "study")
    (path,) = (tmp_path / "study" / "trials").iterdir()
    record = json.loads(path.read_bytes())
    record["made_of"]["mmidd"] = "0.0.1"
    path.write_text(json.dumps(record))
    weights = _files(tmp_path / "study" / "runs")
    again = do(corpus, tmp_path / "study")
    assert again.changed and again.found == first.found and _files(tmp_path / "study" / "runs") == weights


def test_names_from_outside_are_escaped_everywhere(corpus: Path, tmp_path: Path) -> None:
    evil = tmp_path / "<script>alert(1)<x>|`y`"
    shutil.copytree(corpus, evil)
    study = do(evil, tmp_path / "study")
    page, text = ((tmp_path / "study" / name).read_text() for name in ("index.html", "results.md"))
    assert "<script" not in page and "http://" not in page and "https://" not in page and "src=" not in page
    assert "<script" not in text and "&lt;script" in page and "Nothing here reproduces a paper" in page
    assert Corpus(evil).name in study.found["corpus"]["name"]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def attacked(once: Once, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    out = tmp_path_factory.mktemp("attacks") / "study"
    return out, do(once("study-attacks", small.attacks), out, studies=("leave-domain-out", "leave-family-out"))


def test_a_domain_is_left_out_and_tested_whole_at_both_thresholds(attacked: tuple[Path, Study]) -> None:
    out, study = attacked
    lines = [line for line in study.found["lines"] if line["study"] == "leave-domain-out"]
    assert not study.failed and [(line["title"], line["tested_on"]) for line in lines] == [
        ("from Alpha, Beta", "Gamma (train and test)"), ("from Alpha, Gamma", "Beta (train and test)"),
        ("from Beta, Gamma", "Alpha (train and test)"),
    ]  # fmt: skip
    (path,) = (out / "scores").glob("*.without-gamma.seed-0/*.parquet")
    table = scorefile.read(path).table
    assert set(table["split"].to_pylist()) == {"train", "test"} and set(table["dataset"].to_pylist()) == {"Gamma"}
    figures = lines[0]["figures"]
    assert figures["clips"] == {"real": 16, "fake": 16} and figures["attacks"]["hter@oracle"]["value"] is not None
    balanced = figures["counted"]["balanced_accuracy@validation"]["value"]
    assert figures["attacks"]["hter@validation"]["value"] == pytest.approx(1 - balanced)
    for name in ("results.md", "index.html"):
        assert "HTER dev / oracle" in (out / name).read_text() and "looks at the answers" in (out / name).read_text()
    assert "hter@oracle" in (out / "results.csv").read_text().splitlines()[0]


def test_a_family_of_attacks_is_left_out_of_training_and_all_that_is_tested(attacked: tuple[Path, Study]) -> None:
    out, study = attacked
    lines = [line for line in study.found["lines"] if line["study"] == "leave-family-out"]
    assert [(line["title"], line["tested_on"].rpartition(" and ")[2]) for line in lines[:2]] == [
        ("left out of training", "mask3d"), ("trained on as well", "mask3d"),
    ]  # fmt: skip
    left, also = lines[:2]
    assert left["rows"] < also["rows"] and left["figures"]["clips"] == also["figures"]["clips"] == {"real": 24, "fake": 6}
    (folder,) = (out / "runs").glob("*unseen-attack-mask3d*")
    run = json.loads((folder / "run.json").read_bytes())
    assert run["asked"]["selection"]["where"] == {"attack": [None, "print", "replay"]}
    assert run["rows"]["train"]["label"] == {"real": 96, "fake": 72}


def test_a_page_folds_published_figures_that_nothing_stands_beside_and_has_no_column_of_dashes(
    whole: tuple[Path, Study],
) -> None:
    found = {**whole[1].found, "lines": [{**line, "range": None} for line in whole[1].found["lines"]]}
    shown = page(found)
    beside, folded = shown.split("<details>")
    assert "nothing here to put beside it" in folded and "nothing here to put beside it" not in beside
    assert "range of seeds</th>" not in shown and "groups</th>" in shown


def test_a_study_of_forgeries_tells_nothing_of_attacks(whole: tuple[Path, Study]) -> None:
    assert "HTER" not in (whole[0] / "results.md").read_text() + (whole[0] / "index.html").read_text()


def test_a_domain_that_shares_a_file_with_the_others_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    made = small.attacks(tmp_path / "corpus", twins=True)
    with pytest.raises(CorpusError, match=r"byte for byte.*Nothing was trained: build it again without one"):
        do(made, tmp_path / "study", studies=("leave-domain-out",))
    assert not (tmp_path / "study").exists()
