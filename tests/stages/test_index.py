"""Index: what is hashed is what is parsed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmidd.engine.units import Resources
from mmidd.errors import DataError
from mmidd.manifest import find_manifest
from mmidd.raw import listing
from mmidd.stages import index

REAL, FAKE = (f"dfdc_train_part_0/{letter * 10}.mp4" for letter in "ab")
SOUND = '{"aaaaaaaaaa.mp4": {"label": "REAL"}, "bbbbbbbbbb.mp4": {"label": "FAKE"}}'
INVERTED = '{"aaaaaaaaaa.mp4": {"label": "FAKE"}, "bbbbbbbbbb.mp4": {"label": "REAL"}}'


def test_a_label_file_that_is_swapped_after_it_was_hashed_is_not_parsed(tmp_path: Path) -> None:
    manifest, labels = find_manifest("DFDC"), tmp_path / "dfdc_train_part_0/metadata.json"
    labels.parent.mkdir()
    for name in (REAL, FAKE):
        (tmp_path / name).write_bytes(b"clip")
    labels.write_text(SOUND)

    def run() -> dict[str, str]:
        rows = index.run(unit.tasks[0], None, Resources()).rows.to_pylist()
        return {row["media"]: row["label"] for row in rows if row["status"] == "media"}

    unit = index.plan(manifest, tmp_path, listing.walk(tmp_path))
    assert run() == {REAL: "real", FAKE: "fake"}
    labels.write_text(INVERTED)
    with pytest.raises(DataError, match=r"metadata\.json changed while it was read; run the same command again"):
        run()
    unit = index.plan(manifest, tmp_path, listing.walk(tmp_path))
    assert run() == {REAL: "fake", FAKE: "real"}
