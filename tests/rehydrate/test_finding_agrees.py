"""Rehydration finds the files that a build reads: of every dataset, unpacked and packed, without its label files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from flow.test_listed import READ_AS_THEY_LIE, SAMPLES, Form, as_it_is, beside, whole, within, write

from mmidd.engine.units import Resources
from mmidd.flow.placing import Dataset, Placed
from mmidd.manifest import find_manifest, names_a_folder
from mmidd.manifest.listed import listed
from mmidd.raw.bytes import open_all
from mmidd.recipe import DatasetEntry
from mmidd.share.rehydrate.finding import find
from mmidd.share.rehydrate.found import Wanted
from mmidd.stages.index import plan
from mmidd.stages.index import run as index_run

FORMS: dict[str, Form] = {"unpacked": as_it_is, "zips": beside, "zips without the folder": within, "one tar.gz": whole}


def built(dataset: str, root: Path, kept: Path) -> list[tuple[Wanted, Any]]:
    """What a build takes of a dataset: the media as they would be published, and what it reads them from."""
    manifest = find_manifest(dataset)
    found = listed(manifest, root, kept, keep=True)
    table = index_run(plan(manifest, root, found).tasks[0], None, Resources()).rows
    rows = table.filter(pc.equal(table["status"], "media")).to_pylist()
    masks = {row["mask"] for row in rows if row["mask"] and names_a_folder(row["mask"])}
    folders = {row["media"] for row in rows if row["kind"] == "frames"} | masks
    placed = Placed.of(Dataset(DatasetEntry(name=dataset), manifest, root, found), folders, pa.chunked_array(table["media"]))
    taken = [placed.selected(row, placed.mask(row["mask"], own=True) if row["mask"] else None) for row in rows]
    digests = {id(one): source.sha256() for one, source in open_all(((each, each.file) for each in taken), lambda one: None)}
    return [
        (Wanted((dataset, each.media), each.file.kind, each.file.bytes, digests[id(each)], 1, each.mask is not None), each)
        for each in taken
    ]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("dataset", sorted(SAMPLES))
def test_the_same_files_are_found_as_a_build_reads(dataset: str, form: Form, tmp_path: Path) -> None:
    if form is not as_it_is and dataset in READ_AS_THEY_LIE:
        pytest.skip("its archives are its media's names")
    manifest = find_manifest(dataset)
    root = write(tmp_path / "data" / manifest.folders[0], form(SAMPLES[dataset], manifest.folders[0]))
    media = built(dataset, root, tmp_path / "kept")
    labels = {path for path in root.rglob("*") if path.suffix in (".json", ".csv", ".txt")}
    for path in labels:
        path.unlink()
    found = find([each for each, _ in media], tmp_path / "data", tmp_path / "work")
    assert media and not found.lost and found.hashed == (0, 0)
    assert [(each.wanted.name[1], each.file, each.mask) for each in found.media] == sorted(
        ((one.media, one.file, one.mask) for _, one in media), key=lambda each: each[0]
    )
