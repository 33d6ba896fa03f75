"""Small raw datasets in the official layouts of seven published ones, made on the spot from two free pictures.

They exercise the pipeline from raw files to corpus; they are no benchmark.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from mmidd.errors import DataError, UsageError

MARKER = "mmidd-sample.json"
VERSION = 1
MAX_MARKER = 4 << 20  # bytes

Size = Literal["small", "tiny"]
Report = Callable[[str, int, int], None]

README = """\
Raw sample datasets, made by `mmidd sample`
===========================================
These folders have the layout, the file names and the label files of FaceForensics++ (with FaceShifter and
DeepFakeDetection), Celeb-DF-v2, DFDC, DeepFakeFace, DFFD, CelebA and FFHQ. Their contents are not from there:
every image and video here was made on this machine from two pictures that are free of rights, NASA's portrait of
Eileen Collins (skimage.data.astronaut) and the US Navy's portrait of Grace Hopper (matplotlib's grace_hopper.jpg).

Ten pseudo-identities are strong shape and colour warps of these two, filmed by a moving camera on generated
backgrounds; the same ten appear in every dataset. The fakes are classical: blended swaps (face swapping), expression
warps (reenactment), morphs of several people (entire face synthesis), local edits (face editing). The names of the
methods are those of the official folders; no such method made these files.

The sample exercises the pipeline from raw files to corpus. It is no benchmark: a score measured on it says nothing
about forgery detection. On purpose it holds a byte-identical pair of images (CelebA), the same clips in two
compressions (FaceForensics++), a clip with uneven frame times (Celeb-DF-v2), one with rotation metadata (DFDC) and a
file that belongs to nothing (DeepFakeFace/notes.txt).
"""


def write_sample(root: str | Path, *, size: Size = "small", report: Report | None = None) -> dict[str, int]:
    """Write the sample's seven dataset folders below `root`; returns the number of files per dataset.

    The folder appears whole or not at all. One that already holds this intact sample is left as it is; any other that
    is not empty is refused. Same machine class and library versions: same bytes.

    `report` is called with (dataset, files done, files in all) after each file.

    Raises DataError if `root` holds something else, holds a damaged sample or cannot be written, MissingExtra if a
    package with a source picture is not installed.
    """
    if size not in get_args(Size):
        raise UsageError(f"size {size!r}: choose one of {', '.join(get_args(Size))}")
    try:
        root = Path(root).resolve()
        counts = _existing(root, size) if root.exists() else None
        if counts is not None:
            return counts
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as beside:
            made = Path(beside) / "sample"
            counts = _make(made, size, report)
            made.rename(root)
    except OSError as error:
        raise DataError(f"cannot write the sample to {root}: {error.strerror or error}") from error
    return counts


def _make(made: Path, size: Size, report: Report | None) -> dict[str, int]:
    from mmidd.sampledata.layouts import plan

    files = plan(tiny=size == "tiny")
    totals, done = Counter(file.dataset for file in files), Counter[str]()
    digests: dict[str, str] = {}
    for file in files:
        name = f"{file.dataset}/{file.path}"
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        file.write(path)
        digests[name] = _digest(path)
        done[file.dataset] += 1
        if report:
            report(file.dataset, done[file.dataset], totals[file.dataset])
    (made / "README.txt").write_text(README, encoding="utf-8")
    marker = {"version": VERSION, "size": size, "files": digests}
    (made / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    return dict(totals)


def _existing(root: Path, size: Size) -> dict[str, int] | None:
    """The counts of an intact sample at `root`; None if the folder is empty; DataError for everything else."""
    if not root.is_dir():
        raise DataError(f"{root} exists and is not a folder; name another place for the sample")
    if not any(root.iterdir()):
        return None
    marker = _marker(root)
    if marker["version"] != VERSION or marker["size"] != size:
        raise DataError(f"{root} holds another sample ({marker['size']}, version {marker['version']}); remove it first")
    for name, digest in marker["files"].items():
        path = root / name
        if not path.is_file() or _digest(path) != digest:
            what = "changed" if path.exists() else "missing"
            raise DataError(f"{root} holds a damaged sample: {name} is {what}; remove the folder and make it again")
    return dict(Counter(name.split("/")[0] for name in marker["files"]))


def _marker(root: Path) -> dict[str, Any]:
    foreign = DataError(f"{root} is not empty and holds no mmidd sample; name an empty or a new folder")
    path = root / MARKER
    if not path.is_file() or path.stat().st_size > MAX_MARKER:
        raise foreign
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise foreign from None
    known = isinstance(marker, dict) and {"version", "size", "files"} <= marker.keys()
    if not known or not isinstance(marker["files"], dict):
        raise foreign
    for name in marker["files"]:
        if name.startswith("/") or ".." in name.split("/"):
            raise foreign
    return dict(marker)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
