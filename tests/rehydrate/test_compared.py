"""How a row that was made again is beside the published one; and geometry that no build made costs its row alone."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmidd.extraction.replay import ABSENT, NO_CUT, OTHER_SIZE, Cutting, Lost, Made, Stored, pixels_of, replay
from mmidd.faces.encode import ImageConfig, encode_mask
from mmidd.raw.bytes import MediaFile
from mmidd.raw.sources import of_file
from mmidd.share.publication.proofs import Image as Pixels
from mmidd.share.publication.proofs import pixels_sha256, proof
from mmidd.share.rehydrate.compared import Compared, Proofs, Status, compared, is_accepted, medium_is

PICTURE = np.random.default_rng(3).integers(16, 240, (48, 64, 3), dtype=np.uint8)
MASK = encode_mask(PICTURE[:, :, 0])


def png(image: Pixels, level: int = 6) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", compress_level=level)
    return out.getvalue()


WANTED = Proofs("s" * 24, proof("s" * 24, png(PICTURE), PICTURE), None)
MASKED = Proofs(WANTED.id, WANTED.image, (hashlib.sha256(MASK).hexdigest(), pixels_sha256(pixels_of(MASK))))


@pytest.mark.parametrize(
    ("made", "wanted", "status", "words"),
    [
        (Made(png(PICTURE), None), WANTED, "exact", None),
        (Made(png(PICTURE, 1), None), WANTED, "pixels", None),
        (Made(png(PICTURE + 1), None), WANTED, "within_1", None),
        (Made(png(PICTURE - 1), None), WANTED, "within_1", None),
        (Made(png(PICTURE + 3), None), WANTED, "differs", "by 3 grey levels or more"),
        (Made(png(255 - PICTURE), None), WANTED, "differs", "by 7 grey levels or more"),
        (Made(png(PICTURE[:24]), None), WANTED, "differs", "grey levels"),
        (Made(png(PICTURE + 15), None), WANTED, "differs", "grey levels"),
        (Made(png(PICTURE - 16), None), WANTED, "differs", "grey levels"),
        (Lost(ABSENT, "it has no frame 7"), WANTED, "missing", "no frame 7"),
        (Made(png(PICTURE), MASK), MASKED, "exact", None),
        (Made(png(PICTURE), png(PICTURE[:, :, 0], 1)), MASKED, "pixels", None),
        (Made(png(PICTURE + 1), MASK), MASKED, "within_1", None),
        (Made(png(PICTURE), encode_mask(PICTURE[:, :, 1])), MASKED, "differs", "mask is another"),
        (Made(png(PICTURE), None), MASKED, "differs", "mask was not found"),
        (Made(png(PICTURE), b"none"), MASKED, "differs", "mask is another"),
    ],
)
def test_a_row_has_the_worse_status_of_its_image_and_its_mask(
    made: Made | Lost, wanted: Proofs, status: Status, words: str | None
) -> None:
    found = compared(made, wanted)
    assert found.status == status
    assert (found.seen is None) if words is None else words in (found.seen or "")


def test_what_is_accepted() -> None:
    told = {accept: [is_accepted(each, accept) for each in ("exact", "pixels", "within_1", "differs", "missing")]
            for accept in ("exact", "pixels", "within-1", "any")}  # fmt: skip
    assert told == {
        "exact": [True, False, False, False, False], "pixels": [True, True, False, False, False],
        "within-1": [True, True, True, False, False], "any": [True, True, True, True, False],
    }  # fmt: skip


DIFFERS, EXACT = Compared("differs", "pixels_differ", "crops differ"), Compared("exact")


@pytest.mark.parametrize(
    ("rows", "same", "kind"),
    [
        ([EXACT, EXACT], None, "same"),
        ([EXACT, Compared("pixels")], True, "same"),
        ([EXACT], False, "other_bytes"),
        ([EXACT, DIFFERS], False, "other_version"),
        ([EXACT, DIFFERS], True, "same"),
        ([Compared("missing", "frame_undecodable", "frame 1 cannot be decoded")], False, "unreadable"),
    ],
)
def test_what_a_medium_is(rows: Sequence[Compared], same: bool | None, kind: str) -> None:
    assert medium_is(rows, same)[0] == kind


NAN, BIG = math.nan, 3e38
ROWS = {
    "whole": (Stored(0, 64, 48, None, False), None),
    "a crop": (Stored(0, 64, 48, (1, 0, 0, 0, 1, 0), False), None),
    "not a number": (Stored(0, 64, 48, (NAN, 0, 0, 0, 1, 0), False), NO_CUT),
    "no inverse": (Stored(0, 64, 48, (1, 1, 0, 1, 1, 0), False), NO_CUT),
    "far outside": (Stored(0, 64, 48, (1, 0, BIG, 0, 1, 0), False), NO_CUT),
    "half of a transform": (Stored(0, 64, 48, (1, 0, 0), False), NO_CUT),
    "a far frame": (Stored(2**31 - 1, 64, 48, None, False), ABSENT),
    "a frame before the first": (Stored(-1, 64, 48, None, False), ABSENT),
    "another size": (Stored(0, 48, 64, None, False), OTHER_SIZE),
}


def test_geometry_that_no_build_made_costs_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(PICTURE))
    about = path.stat()
    file = MediaFile(tmp_path, "a.png", "image", about.st_size, about.st_mtime_ns)
    cutting = Cutting(32, "black", ImageConfig("png"), "pyav")
    found = dict(replay(file, of_file(file), [(row, name) for name, (row, _) in ROWS.items()], cutting))
    assert {name: each.reason if isinstance(each, Lost) else None for name, each in found.items()} == {
        name: reason for name, (_, reason) in ROWS.items()
    }
    whole = found["whole"]
    assert isinstance(whole, Made) and np.array_equal(pixels_of(whole.image), PICTURE)
