"""What indexing costs: a million files on disk, and archives of a hundred thousand members, each twice.

Run as `python -m benchmarks.indexing FOLDER`; the trees are made in FOLDER (which has to be on a disk with a million
free inodes) and stay there.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.processes import hardware, must

PARTS = ("wiki", "text2img", "inpainting", "insight")
FILES, MEMBERS, FRAMES = 1_000_000, 100_000, 100
PICTURE = bytes(range(256))


def portraits(count: int) -> Iterator[str]:
    """Names as DeepFakeFace's, in its hundred folders."""
    return (f"{number % 100:02d}/{number}_1950-01-01_2010.jpg" for number in range(count))


def folders(root: Path) -> None:
    for part in PARTS:
        for number in range(100):
            (root / part / f"{number:02d}").mkdir(parents=True)
        for name in portraits(FILES // len(PARTS)):
            (root / part / name).touch()


def in_zip(root: Path) -> None:
    root.mkdir(parents=True)
    with zipfile.ZipFile(root / "wiki.zip", "w") as made:
        for name in portraits(MEMBERS):
            made.writestr(f"wiki/{name}", PICTURE)


def in_tar(root: Path) -> None:
    (root / "real_train").mkdir(parents=True)
    with tarfile.open(root / "real_train/1.tar.gz", "w:gz", compresslevel=1) as made:
        for number in range(MEMBERS):
            info = tarfile.TarInfo(f"./1/real/{number // FRAMES}/{number % FRAMES}.png")
            info.size = len(PICTURE)
            made.addfile(info, io.BytesIO(PICTURE))


CASES: dict[str, tuple[str, Callable[[Path], None], int]] = {
    "files": ("DeepFakeFace", folders, FILES),
    "zip": ("DeepFakeFace", in_zip, MEMBERS),
    "tar.gz": ("WildDeepfake", in_tar, MEMBERS),
}


def measure(place: Path, name: str) -> Iterator[dict[str, object]]:
    """Index once with an empty work folder, once with what the first left there."""
    dataset, make, count = CASES[name]
    data, work, recipe = place / name / "data", place / name / "work", place / name / "recipe.yaml"
    if not data.exists():
        make(data / dataset)
    shutil.rmtree(work, ignore_errors=True)
    recipe.write_text(f"name: bench\ndatasets: [{dataset}]\n", encoding="utf-8")
    command = [sys.executable, "-m", "mmidd", "index", str(recipe), "--data", str(data), "--work", str(work)]
    for turn in ("first", "again"):
        cost = must(command).cost
        yield {
            "what": name, "turn": turn, "count": count, "wall_s": round(cost.wall_s, 1), "cpu_s": round(cost.cpu_s, 1),
            "peak_mib": round(cost.peak_mib), "per_s": round(count / cost.wall_s),
        }  # fmt: skip


def main(place: Path) -> None:
    print(json.dumps(hardware()))
    for name in CASES:
        for figures in measure(place, name):
            print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.indexing FOLDER")
    main(Path(sys.argv[1]))
