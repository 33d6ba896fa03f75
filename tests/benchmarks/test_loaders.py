"""The loader benchmark at toy size: every loader that is there gives the same images, and what is not there is told."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from corpus import made

import mmidd.training
from benchmarks.loaders import make
from benchmarks.loaders.cases import CASES, FLOOR, OURS, PNG, STARTS
from benchmarks.loaders.table import ratios, tables
from benchmarks.processes import BenchmarkError
from mmidd.corpus.read import Corpus

pytestmark = pytest.mark.timeout(600)  # a dozen whole processes that import torch

ROOT = Path(__file__).parents[2]
SIZE, ROWS = 32, 90
FEW = (FLOOR, "WebDataset", PNG)
"""Of the loaders as many as a test may take, each a process that imports torch: one of memory, tars and files."""
BEGUN = ("datasets, Arrow, first time", "pyarrow, columns read alone")


def _crops(shard: str, rows: list[dict[str, Any]]) -> None:
    """JPEG of one size instead; each fake is of the real before it."""
    for place, row in enumerate(rows):
        pixels = np.random.default_rng([place, len(shard)]).integers(0, 256, (4, 4, 3), np.uint8)
        smooth = cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        row["image"], row["mask"] = simplejpeg.encode_jpeg(smooth, 90, "RGB", "420"), None
        row["pair"] = rows[place - 1]["id"] if row["label"] else None


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.corpus(tmp_path_factory.mktemp("source") / "corpus", _crops)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.loaders", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def result(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """One round without and with workers, and a start; and the tables."""
    folder = tmp_path_factory.mktemp("loaders")
    only = [*FEW, OURS, "MosaicML streaming", *BEGUN]
    words = [str(folder / "made"), "--corpus", str(source), "--rows", str(ROWS), "--million", "90", "--rounds", "1"]
    done = _run(*words, "--workers", "0", "2", "--only", *only, "--json", str(folder / "result.json"))
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "result.json").read_text()), done.stdout


def _cases(result: tuple[dict[str, Any], str]) -> Mapping[str, Any]:
    return {case["name"]: case for case in result[0]["cases"]}


def test_every_loader_gives_every_row_once_and_the_same_pixels(result: tuple[dict[str, Any], str]) -> None:
    found = _cases(result)
    assert set(FEW) <= set(found) and result[0]["wrong"] == []
    for name, case in found.items():
        check = case["check"]
        assert (check["images"], check["distinct"], check["wrong"]) == (ROWS, ROWS, []), name
        assert check["worst"] <= 2, name
    exact = {case.name for case in CASES if case.exact} & set(found)
    assert len(exact) >= 2 and len({found[name]["check"]["checksum"] for name in exact}) == 1


def test_a_rate_is_of_the_images_after_the_first_batch_and_memory_is_of_each_worker(
    result: tuple[dict[str, Any], str],
) -> None:
    for name, case in _cases(result).items():
        for workers, rounds in case["workers"].items():
            (found,) = rounds
            assert found["images"] == found["distinct"] == found["first_images"] + found["after_first"] == ROWS, name
            assert min(found["first_s"], found["after_first_s"], found["peak_mib"]) > 0, name
            assert found["first_with_imports_s"] > found["first_s"] and len(found["workers"]) <= int(workers), name
    memory = _cases(result)[PNG]["workers"]["2"][0]["workers"]
    assert not Path("/proc/self/smaps_rollup").exists() or len([each for each in memory if each["pss_mib"] > 1]) == 2


def test_what_is_not_there_is_told_with_its_reason(result: tuple[dict[str, Any], str]) -> None:
    absent, text = result[0]["absent"], result[1]
    assert "--streaming-python" in absent["MosaicML streaming"] and {"FFCV", "NVIDIA DALI"} <= set(absent)
    if not hasattr(mmidd.training, "Loader"):
        assert OURS in absent
    assert all(f"Not measured: {name}: {why}." in text for name, why in absent.items())


def test_the_tables_have_every_measure_and_nothing_of_this_machines_folders(result: tuple[dict[str, Any], str]) -> None:
    document, text = result
    for start in document["starts"]:
        assert 0 < start["rounds"][0]["first_images"] <= 64 and f"| {start['name']} |" in text
    assert set(BEGUN) <= {start["name"] for start in document["starts"]}
    assert all(f"| {name} |" in text for name in _cases(result))
    assert str(Path(sys.prefix)) not in text and "/tmp" not in text and tables(document) == text


def test_ratios_are_of_pairs_of_one_round() -> None:
    def case(name: str, *seconds: float) -> dict[str, Any]:
        return {"name": name, "workers": {"0": [{"after_first": 100, "after_first_s": each} for each in seconds]}}

    document = {"cases": [case(OURS, 1, 2), case("other", 2, 2)]}
    assert ratios(document, "other") == [2, 1] and ratios(document, "none") == []


def test_copies_are_rows_of_their_own_whose_fakes_keep_the_real_of_their_copy(source: Path, tmp_path: Path) -> None:
    place = make.crops(source, tmp_path / "crops", ROWS)
    corpus, base = Corpus(place.corpus), Corpus(source)
    table = corpus.rows(["id", "media", "pair", "label"]).to_pylist()
    assert len({row["id"] for row in table}) == ROWS == len(place.ids)
    media = {row["id"]: row["media"] for row in table}
    pairs = [(row["media"], media[row["pair"]]) for row in table if row["pair"]]
    assert len(pairs) == sum(row["label"] for row in table)
    assert all(fake.split("/")[0] == real.split("/")[0] for fake, real in pairs)
    originals = [data for _, data in base.images()]
    assert [data for _, data in corpus.images()] == [originals[source] for source in place.sources]
    kept = (place.corpus / "mmidd.json").stat().st_mtime_ns
    make.crops(source, tmp_path / "crops", ROWS)
    assert (place.corpus / "mmidd.json").stat().st_mtime_ns == kept


def test_a_corpus_of_other_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="not JPEG of one size"):
        make.crops(made.corpus(tmp_path / "corpus"), tmp_path / "crops", 10)


def test_every_case_names_a_function_and_no_two_have_one_name() -> None:
    for cases in (CASES, STARTS):
        assert len({case.name for case in cases}) == len(cases)
        for case in cases:
            module, _, function = case.opens.partition(":")
            spec = importlib.util.find_spec(f"benchmarks.loaders.{module}")
            assert spec is not None and spec.origin is not None
            assert f"def {function}(" in Path(spec.origin).read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--markdown", "no.json"], "No such file"),
        (["made", "--corpus", "no/such"], "is not a folder"),
        (["made", "--only", "datsets*"], "no such loader"),
        (["made", "--rows", "8"], "from 65"),
    ],
)
def test_a_user_error_is_one_line(words: list[str], said: str, tmp_path: Path) -> None:
    words = [str(tmp_path / "made") if word == "made" else word for word in words]
    done = _run(*words)
    assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1
