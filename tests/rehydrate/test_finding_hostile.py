"""A poisoned publication names what it likes: nothing outside the data root is read, and nothing is made of its names."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from mmidd.media import Kind
from mmidd.share.rehydrate.checked import check
from mmidd.share.rehydrate.found import Wanted
from mmidd.share.rehydrate.missing import missing
from rehydrate.folders import FF, FILES, below, look, put, tarred, zipped

SECRET = b"what lies outside of the data root"

NAMES = (
    "../secret", "../../secret", "a/../../secret", "/etc/passwd", "{root}/secret", "C:\\secret", "\\\\host\\secret", "..",
    ".", "", "/", "//", "a//b", "x\0y", "../secret\0.mp4", "file://secret", "~/secret", "$(secret)", "\ud800.mp4",
    "\x1b[31mred", "a" * 5000, "a/" * 3000 + "b", "manipulated_sequences/../../secret", "{FF}/../../secret", "%2e%2e/secret",
    "secret",
)  # fmt: skip
DATASETS = (FF, "..", "/", "../../etc", "\0", "", "a/b", "faceforensics", "x" * 3000)


@pytest.mark.parametrize("kind", ["video", "image", "frames"])
@pytest.mark.parametrize("dataset", DATASETS, ids=range(len(DATASETS)))
def test_names_that_lead_elsewhere_lead_nowhere(dataset: str, kind: Kind, tmp_path: Path) -> None:
    put(tmp_path, {"secret": SECRET, **below("data", below(FF, FILES))})
    sha256 = hashlib.sha256(SECRET).hexdigest()
    names = [name.replace("{root}", str(tmp_path)) for name in NAMES]
    asked = [Wanted((dataset, name), kind, len(SECRET), sha256, 1, True) for name in names]
    found = look(tmp_path, *asked)
    assert found.media == () and len(found.lost) == len(names) and found.hashed == (0, 0)
    opened = check(asked, tmp_path / "data", tmp_path / "work")
    assert opened.total("missing") == len(names)
    for each in missing(found.lost, asked, found.folders, tmp_path / "data"):
        assert "\x1b" not in str(each) and "\0" not in str(each)


@pytest.mark.parametrize("size", [-1, 0, 2**63 - 1, 2**80])
@pytest.mark.parametrize("sha256", ["", "x", "../../secret", "0" * 64])
def test_absurd_sizes_and_digests_find_nothing(size: int, sha256: str, tmp_path: Path) -> None:
    put(tmp_path / "data", {"mine/x": b"x", "mine/empty": b""})
    one = Wanted((FF, "a.mp4"), "video", size, sha256, 2**62, True)
    assert look(tmp_path, one).media == ()


def test_no_file_outside_of_the_data_root_is_opened(tmp_path: Path) -> None:
    """Seen by the interpreter's own audit of what is opened."""
    put(
        tmp_path,
        {"secret": SECRET, **below("data", {"a.zip": zipped({"../secret": SECRET, "in": b"in"}), "mine/x": SECRET})},
    )
    put(tmp_path / "data", {"b.tar": tarred({"../../secret": SECRET})})
    (tmp_path / "data/mine/link").symlink_to(tmp_path / "secret")
    (tmp_path / "data/mine/up").symlink_to(tmp_path)
    sha256 = hashlib.sha256(SECRET).hexdigest()
    opened: list[str] = []
    watching = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(str(tmp_path)):
            opened.append(arguments[0])

    sys.addaudithook(note)
    found = look(tmp_path, *(Wanted((FF, name), "video", len(SECRET), sha256, 1, True) for name in ("../secret", "m/0")))
    watching = False
    assert {each.file.name for each in found.media} == {"mine/x"}
    inside = (str(tmp_path / "data"), str(tmp_path / "work"))
    assert opened and all(path.startswith(inside) and "secret" not in path for path in opened)
