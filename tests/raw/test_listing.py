"""Finding a dataset's folder under the data root."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmidd.cli import run
from mmidd.manifest import find_manifest
from mmidd.raw.listing import locate
from mmidd.raw.path import Place


def located(data: Path) -> Place | None:
    manifest = find_manifest("CelebA")
    return locate(manifest.name, manifest.folders, data)


@pytest.mark.parametrize("folder", ["CelebA", "celeba", "CELEBA"])
def test_a_dataset_is_found_by_any_accepted_name_in_any_case(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    found = located(tmp_path)
    assert found is not None and found.name == folder


def test_a_file_of_that_name_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "CelebA").write_text("not a folder")
    assert located(tmp_path) is None


def test_whoever_gives_the_dataset_itself_is_told_to_give_the_folder_above(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "CelebA").mkdir()
    (tmp_path / "CelebA" / "notes.txt").write_text("x")
    code = run(["build", "sample", "--data", str(tmp_path / "CelebA"), "--out", str(tmp_path / "out")])
    assert code == 1
    assert "looks like CelebA itself: give the folder above it" in " ".join(capsys.readouterr().err.split())
