"""Did a change of the code leave corpora and work folders as they were? `make same BASE=COMMIT`.

Builds the sample, and a small tree of real clips where some are at hand, with the code of another commit and with the code
of this checkout, each in an environment of its own. Compares the corpora byte by byte and the commit records by their names
(which are their keys), then lets this code plan and build on the other's work folders: nothing may be left to do.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_CLIPS = 6
CLIPS = """\
name: clips
datasets: [FaceForensics++]
frames: {count: 6}
crop: {choice: central, least_face: 24}
detector: {kind: yunet, size: 480}
curation: {exact_duplicates: false}
shards: {max_bytes: 1000000}
"""
INDEPENDENT = ("name=independent", "crop.pairs=independent", "detector=mtcnn", "image.format=png", "frames.spacing=linspace")


@dataclass(frozen=True)
class Case:
    """One build: its recipe, its raw data, and settings."""

    name: str
    recipe: str
    data: Path
    settings: tuple[str, ...] = ()

    def words(self, verb: str, folder: Path) -> list[str]:
        """The command, for a corpus and a work folder below `folder`."""
        settings = [word for setting in self.settings for word in ("--set", setting)]
        return [verb, self.recipe, "--data", str(self.data), "--out", str(folder / self.name), *settings]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; 0 if nothing differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.same", description=__doc__)
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "same", help="made anew, and left there")
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media" / "videos", help="real clips")
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models", help="detectors' weights")
    asked = parser.parse_args(arguments)
    shutil.rmtree(asked.folder, ignore_errors=True)
    asked.folder.mkdir(parents=True)
    os.environ["MMIDD_MODELS"] = str(asked.models) if asked.models.is_dir() else ""
    base = _checked_out(asked.base, asked.folder / "code")
    cases = list(_cases(base, asked.folder, asked.media))
    differences = [line for case in cases for line in _compare(case, base, asked.folder)]
    print("\n".join(differences) or f"the same: {', '.join(case.name for case in cases)}")
    return int(bool(differences))


def _checked_out(commit: str, folder: Path) -> Path:
    """The code of a commit with an environment of its own; its Python."""
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder, check=True)
    subprocess.run(["make", "--silent", "setup"], cwd=folder, check=True)
    return folder / ".venv" / "bin" / "python"


def _cases(base: Path, folder: Path, media: Path) -> Iterator[Case]:
    _mmidd(base, ["sample", str(folder / "data")])
    yield Case("sample", "sample", folder / "data")
    clips = sorted(media.glob("*.mp4"))[:MOST_CLIPS]
    if not clips:
        print(f"no clips in {media}: only the sample is compared")
        return
    recipe = folder / "clips.yaml"
    recipe.write_text(CLIPS)
    _lay_out(clips, folder / "clips-data" / "FaceForensics++")
    yield Case("clips", str(recipe), folder / "clips-data")
    yield Case("independent", str(recipe), folder / "clips-data", INDEPENDENT)


def _lay_out(clips: Sequence[Path], root: Path) -> None:
    """Real clips as FaceForensics++ lies: reals, and of each a fake with the same pixels in other bytes."""
    real, fake = (root / f"{part}/c23/videos" for part in ("original_sequences/youtube", "manipulated_sequences/Deepfakes"))
    for number, clip in enumerate(clips):
        other = (number + 1) % len(clips)
        made = fake / f"{number:03d}_{other:03d}.mp4"
        for target in (real / f"{number:03d}.mp4", made):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clip, target)
        with made.open("ab") as file:
            file.write((8).to_bytes(4, "big") + b"free")  # an empty box behind the film


def _compare(case: Case, base: Path, folder: Path) -> Iterator[str]:
    """What differs between the builds of the two commits, a line each."""
    before, after = folder / "before", folder / "after"
    for python, where in ((base, before), (Path(sys.executable), after)):
        where.mkdir(exist_ok=True)
        _mmidd(python, case.words("build", where))
    yield from _files(before / case.name, after / case.name, f"{case.name}: corpus")
    keys = [{path.relative_to(work).as_posix() for path in work.rglob("*.json")} for work in _records(case, before, after)]
    yield from (f"{case.name}: record {name} is new" for name in sorted(keys[1] - keys[0]))
    yield from (f"{case.name}: record {name} is gone" for name in sorted(keys[0] - keys[1]))
    plan = json.loads(_mmidd(Path(sys.executable), [*case.words("plan", before), "--json"]))
    if not plan["complete"]:
        yield f"{case.name}: the base's work folder is not up to date: {plan['stages']}"
    told = _mmidd(Path(sys.executable), case.words("build", before))
    if "(unchanged)" not in told:
        yield f"{case.name}: a build on the base's work folder changed its corpus"


def _records(case: Case, *folders: Path) -> list[Path]:
    return [folder / f"{case.name}.work" / "records" for folder in folders]


def _files(first: Path, second: Path, what: str) -> Iterator[str]:
    names = [{path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} for root in (first, second)]
    yield from (f"{what}: {name} is in one alone" for name in sorted(names[0] ^ names[1]))
    for name in sorted(names[0] & names[1]):
        if not filecmp.cmp(first / name, second / name, shallow=False):
            yield f"{what}: {name} differs"


def _mmidd(python: Path, words: Sequence[str]) -> str:
    """Run a command of mmidd; its stdout and stderr. One that ends with anything but 0 or 3 ends this."""
    done = subprocess.run([str(python), "-m", "mmidd", *words], capture_output=True, text=True, cwd=python.parents[2])
    if done.returncode not in (0, 3):
        raise SystemExit(f"{python} -m mmidd {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout if "--json" in words else done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
