"""A folder with everything that must travel to a bare machine with a GPU, and the command to run there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.gpu.carry import FIRST_MEDIA, PYTHON, download
from benchmarks.processes import ROOT, BenchmarkError, commit

FOLDER = ".gpu"
MOST_BYTES = 60_000_000
"""Of the folder and the checkout's files together."""
COMMIT = "commit.json"
"""Written first: it also says that a folder is a pack, whose parts may be removed."""
_OURS = ("wheels", "media", "models", "run.sh")
_BUILT_FROM = ("mmidd", "detectors", "manifests", "pipelines", "pyproject.toml", "README.md", "LICENSE")
_RUN = """\
#!/usr/bin/env bash
# Run in the checkout's root, with this folder beside it: bash {folder}/run.sh [options of python -m benchmarks.gpu]
# Where OUT names a folder, the results lie there.
set -euo pipefail
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
cd "$here/.."
site=$(mktemp -d)
"${{PYTHON:-python3}}" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --disable-pip-version-check \\
  --upgrade --target "$site" "$here"/wheels/*.whl
export PYTHONPATH="$site${{PYTHONPATH:+:$PYTHONPATH}}" PYTHONUNBUFFERED=1
export MMIDD_MODELS="$here/models" HF_HUB_OFFLINE=1
set +e
"${{PYTHON:-python3}}" -m benchmarks.gpu --media "$here/media" --models "$here/models" --json "${{OUT:-$here}}/gpu.json" "$@"
code=$?
rm -rf "$site"
exit $code
"""


def pack(folder: Path, media: Path | None, models: Path | None) -> int:
    """Fill the folder, tell the sizes, 0. Raises BenchmarkError where it becomes too large, or a download or build fails.

    Of the media the largest are left behind as far as the room demands, and told.
    """
    folder = folder.resolve()
    for given in (media, models):
        if given is not None and given.is_relative_to(folder):
            raise BenchmarkError(f"{given} lies in {folder}, which is filled anew; give the folder that it came from")
    if folder.exists() and not _may_fill(folder):
        raise BenchmarkError(
            f"{folder} is there, and is no pack of an earlier run: its files stay; give a new or an empty folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COMMIT).write_text(json.dumps(commit()), encoding="utf-8")
    for name in _OURS:
        _remove(folder / name)
    (folder / "wheels").mkdir()
    _wheels(folder / "wheels")
    sizes = {"checkout": _size(_tracked()), "wheels": _size(_files(folder / "wheels"))}
    if models is not None:
        shutil.copytree(models, folder / "models")
    (folder / "models").mkdir(exist_ok=True)
    sizes["models"] = _size(_files(folder / "models"))
    (folder / "media").mkdir()
    left = chosen(media, folder / "media", MOST_BYTES - sum(sizes.values())) if media else []
    sizes["media"] = _size(_files(folder / "media"))
    (folder / "run.sh").write_text(_RUN.format(folder=folder.name), encoding="utf-8")
    for wheel in sorted((folder / "wheels").iterdir()):
        print(f"  {wheel.stat().st_size / 1e6:6.2f} MB  {wheel.name}")
    for name, size in sizes.items():
        print(f"{size / 1e6:8.2f} MB  {name}")
    total = sum(sizes.values())
    print(f"{total / 1e6:8.2f} MB  together, of at most {MOST_BYTES / 1e6:.0f}")
    if left:
        print(f"left behind, for want of room: {', '.join(left)}")
    if total > MOST_BYTES:
        raise BenchmarkError(f"{total / 1e6:.1f} MB are over {MOST_BYTES / 1e6:.0f}; give smaller --media and --models")
    print(f"carry this checkout with {folder} in it; there: bash {folder.name}/run.sh (writes {folder.name}/gpu.json)")
    return 0


def _may_fill(folder: Path) -> bool:
    """Is it empty, or a pack?"""
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        said = json.loads((folder / COMMIT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and said.keys() == commit().keys()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _wheels(folder: Path) -> None:
    """What the machine lacks, and mmidd itself, built from copies: setuptools leaves its own traces where it builds."""
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *download(str(folder))], "download the wheels")
    with tempfile.TemporaryDirectory(prefix="mmidd-wheel-") as place:
        for file in _tracked():
            if file.parts[0] in _BUILT_FROM:
                target = Path(place) / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / file, target)
        code = "import sys, setuptools.build_meta as build; build.build_wheel(sys.argv[1])"
        _run([sys.executable, "-c", code, str(folder.resolve())], "build mmidd's wheel", Path(place))
    strange = [each.name for each in folder.iterdir() if not _fits(each.name)]
    if strange:
        raise BenchmarkError(f"no wheels for Python {PYTHON} on Linux: {', '.join(strange)}")


def _fits(name: str) -> bool:
    """pip was told the Python and the platform; what it builds or copies from elsewhere may be for others."""
    return name.endswith(("-none-any.whl", "x86_64.whl"))


def _run(command: list[str], what: str, cwd: Path = ROOT) -> None:
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if ended.returncode:
        raise BenchmarkError(f"could not {what}: {' '.join((ended.stderr or ended.stdout).strip().splitlines()[-3:])}")


def _tracked() -> list[Path]:
    """The checkout's files as they travel: tracked, and new ones that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True)
    if ended.returncode:
        raise BenchmarkError("this is no git checkout; pack from one")
    names = (Path(name) for name in ended.stdout.decode().split("\0") if name)
    return [name for name in names if (ROOT / name).is_file()]


def chosen(media: Path, target: Path, room: int) -> list[str]:
    """Copy files as long as there is room, those of FIRST_MEDIA first, then the smallest; the names of those that stay."""

    def order(file: Path) -> tuple[int, int, str]:
        name = str(file.relative_to(media))
        first = next((place for place, each in enumerate(FIRST_MEDIA) if fnmatch(name, each)), len(FIRST_MEDIA))
        return first, file.stat().st_size, name

    files = sorted((file for file in _files(media) if file.suffix != ".md"), key=order)
    left = []
    for file in files:
        if file.stat().st_size > room:
            left.append(str(file.relative_to(media)))
            continue
        room -= file.stat().st_size
        place = target / file.relative_to(media)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    return left


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def _size(files: Iterable[Path]) -> int:
    return sum((ROOT / file).stat().st_size for file in files)
