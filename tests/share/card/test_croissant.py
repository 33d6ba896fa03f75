"""croissant.json, as mlcroissant validates and loads it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import Build
from PIL import Image, ImageChops

from mmidd.corpus.about import MANIFEST
from mmidd.share.publication.opened import open_publication

_RAI = (
    "dataCollection", "dataCollectionType", "dataCollectionMissingData", "dataPreprocessingProtocol",
    "dataAnnotationProtocol", "annotationsPerItem", "machineAnnotationTools", "dataBiases", "dataLimitations",
    "dataUseCases", "dataSocialImpact", "personalSensitiveInformation", "dataReleaseMaintenancePlan",
)  # fmt: skip


def _document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "croissant.json").read_bytes())
    return found


def _loaded(folder: Path) -> Any:
    return pytest.importorskip("mlcroissant").Dataset(str(folder / "croissant.json"))


def test_it_is_valid_and_only_the_date_is_missing_that_would_change_its_bytes(published: Path) -> None:
    issues = _loaded(published).metadata.ctx.issues
    assert not issues.errors
    (warning,) = issues.warnings
    assert "datePublished" in warning


def test_the_rai_vocabulary_is_read(published: Path) -> None:
    read, written = _loaded(published).metadata, _document(published)
    assert all(written[f"rai:{name}"] for name in _RAI)
    assert read.data_biases == written["rai:dataBiases"] and read.data_use_cases == written["rai:dataUseCases"]
    assert read.data_collection and read.data_release_maintenance_plan and read.personal_sensitive_information


def test_every_parquet_file_is_listed_with_its_digest(published: Path) -> None:
    files = open_publication(published).about.files
    listed = {each["@id"]: each for each in _document(published)["distribution"] if each["@type"] == "cr:FileObject"}
    assert set(listed) == {name for name in files if name.endswith(".parquet")}
    assert all(each["sha256"] == files[name].sha256 for name, each in listed.items())
    assert all(each["contentSize"] == f"{files[name].bytes} B" for name, each in listed.items())


def test_records_are_those_of_the_rows_with_images_and_labels(published: Path) -> None:
    opened, dataset = open_publication(published), _loaded(published)
    for config in {"all": None, "pixels": None} if opened.pixels and not opened.complete else {"all": None}:
        folder = "data" if config == "pixels" or opened.complete else "labels"
        rows = {}
        for path in sorted((published / folder).glob("*.parquet")):
            for row in pq.read_table(path).to_pylist():
                rows[row["id"].encode()] = (path.name.split("-")[0], row)
        found = list(dataset.records(config))
        assert {each[f"{config}/id"] for each in found} == set(rows) and len(found) == len(rows)
        for each in found:
            split, row = rows[each[f"{config}/id"]]
            assert each[f"{config}/split"] == split.encode()
            assert each[f"{config}/label"] == row["label"] and each[f"{config}/forgery_type"] == row["forgery_type"]
            assert each[f"{config}/box"] == row["box"] and each[f"{config}/landmarks"] == row["landmarks"]
            if folder == "data":
                wanted = Image.open(io.BytesIO(row["image"]["bytes"]))
                assert ImageChops.difference(each[f"{config}/image"], wanted).getbbox() is None
            else:
                assert each[f"{config}/probes"] == row["probes"]


def test_the_classes_are_named(mixed: Path) -> None:
    found = list(_loaded(mixed).records("classes/label"))
    assert [(int(each["classes/label/number"]), each["classes/label/name"]) for each in found] == [(0, "real"), (1, "fake")]


def test_nothing_of_the_machine_and_no_time_is_in_any_file(mixed: Path, built: Build) -> None:
    for name in ("README.md", "croissant.json", "CITATION.cff", "LICENSES.md"):
        text = (mixed / name).read_text(encoding="utf-8")
        assert not any(part in text for part in (str(mixed.parent), str(built.out), str(Path.home()), os.uname().nodename))
    assert "date" not in _document(mixed)["version"] and "datePublished" not in _document(mixed)


_AGAIN = """
import sys
from pathlib import Path
from mmidd.corpus.read import Corpus
from mmidd.manifest import bundled
from mmidd.share import card
from mmidd.share.publication.opened import open_publication
folder = Path(sys.argv[2])
made = card.files(Corpus(sys.argv[1]), open_publication(folder).about, bundled(), "my-lab/faces")
print(*[name for name, data in made.items() if (folder / name).read_bytes() != data])
"""


def test_another_process_writes_the_same_bytes(mixed: Path, built: Build) -> None:
    env = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    words = [sys.executable, "-c", _AGAIN, str(built.out), str(mixed)]
    assert subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.split() == []


def test_a_complete_publication_is_a_corpus_that_lists_the_card(complete: Path) -> None:
    listed = json.loads((complete / MANIFEST).read_bytes())["files"]
    assert {"README.md", "croissant.json", "CITATION.cff", "LICENSES.md", "samples.jpg"} <= set(listed)
