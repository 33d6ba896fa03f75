"""What mmidd is compared with: the decoder's floor, and other tools' flows where they are installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.place import Bench, Found, Measure
from benchmarks.processes import BenchmarkError, Ended, must, together


def floor(bench: Bench) -> Measure:
    """The least that reading the clips can cost: a plain decode of every frame, as many at a time as there are workers."""
    workers, ffmpeg = bench.asked.workers, shutil.which("ffmpeg")
    if ffmpeg:
        what = f"ffmpeg -threads 1 -i CLIP -f null -, {workers} at a time (sound is decoded too, where there is any)"
        head = [ffmpeg, "-nostdin", "-v", "error", "-threads", "1", "-i"]
        commands = [[*head, video, "-f", "null", "-"] for video in bench.videos]
    else:
        what = f"PyAV decodes every frame, one thread, {workers} processes (no ffmpeg on PATH)"
        head = [sys.executable, "-m", "benchmarks.inside", "decode"]
        commands = [[*head, *bench.videos[first::workers]] for first in range(min(workers, len(bench.videos)))]
    return Measure("floor", what, "media", partial(_run_floor, commands, workers, bool(ffmpeg)))


def _run_floor(commands: Sequence[Sequence[str]], workers: int, ffmpeg: bool, folder: Path) -> Found:
    ended, cost = together(commands, workers)
    if ffmpeg:
        failed = sum(each.code != 0 for each in ended)
        return {"cost": cost.as_json(), "counts": {"media": len(ended) - failed, "failed": failed}}
    documents = [_document(each) for each in ended]
    return {"cost": cost.as_json(), "counts": {name: sum(found[name] for found in documents) for name in documents[0]}}


def _document(ended: Ended) -> dict[str, Any]:
    if ended.code:
        raise BenchmarkError(f"the PyAV floor ended with {ended.code}: {ended.err.strip()[-400:]}")
    found: dict[str, Any] = json.loads(ended.out)
    return found


def peers(bench: Bench, absent: dict[str, str]) -> list[Measure]:
    """Other tools' flows on the same clips; those that are not installed go to `absent`."""
    measures = []
    if not bench.videos:
        absent["peers"] = "they read videos, and there is none"
        return []
    if importlib.util.find_spec("facenet_pytorch") is None:
        absent["FastMTCNN flow"] = "not installed"
    else:
        measures += [_fastmtcnn(bench, resize) for resize in (0.5, 1.0)]
    peer = bench.asked.deepfakebench
    if peer is None:
        absent["DeepfakeBench preprocess.py"] = "not installed (--deepfakebench names your copy)"
    elif missing := [name for name in ("dlib", "imutils", "skimage", "tqdm") if importlib.util.find_spec(name) is None]:
        absent["DeepfakeBench preprocess.py"] = f"not installed ({', '.join(missing)})"
    else:
        measures.append(_deepfakebench(bench, peer.resolve()))
    return measures


def _fastmtcnn(bench: Bench, resize: float) -> Measure:
    workers, device, frames = bench.asked.workers, bench.asked.device, bench.asked.frames
    what = f"facenet-pytorch MTCNN, {frames} frames of a clip as one batch, frames resized by {resize:g}, {workers} threads"

    def run(round_: Path) -> Found:
        out = round_ / f"fastmtcnn-{resize:g}"
        out.mkdir()
        head = [sys.executable, "-m", "benchmarks.inside", "fastmtcnn"]
        ended = must([*head, str(resize), str(frames), str(workers), device, str(out), *bench.videos])
        return {"cost": ended.cost.as_json(), "counts": json.loads(ended.out)}

    return Measure(f"FastMTCNN flow, resize {resize:g}", what, "crops", run)


def _deepfakebench(bench: Bench, folder: Path) -> Measure:
    """Run where it lies, with a configuration of its own: nothing is written into the folder, nothing is copied."""
    script, model = folder / "preprocess.py", folder / "dlib_tools" / "shape_predictor_81_face_landmarks.dat"
    if not script.is_file() or not model.is_file():
        raise BenchmarkError(f"--deepfakebench {folder}: needs preprocess.py and dlib_tools/{model.name} in it")
    clips = [video for video in bench.videos if video.endswith(".mp4")]
    if len(clips) < 2:
        raise BenchmarkError("--deepfakebench: needs two .mp4 clips or more")

    def run(round_: Path) -> Found:
        place = round_ / "deepfakebench"
        for number, clip in enumerate(clips):
            target = place / "UADFV" / ("real", "fake")[number % 2] / f"{number:06d}.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clip, target)
        (place / "logs").mkdir()
        (place / "dlib_tools").symlink_to(folder / "dlib_tools")
        keys = {"dataset_name": "UADFV", "dataset_root_path": str(place), "comp": "c23", "mode": "fixed_num_frames"}
        numbers = {"stride": 10, "num_frames": bench.asked.frames}
        config = {"preprocess": {name: {"default": value} for name, value in {**keys, **numbers}.items()}}
        (place / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
        ended = must([sys.executable, str(script)], cwd=place)
        crops = sum(1 for _ in (place / "UADFV").rglob("*.png"))
        return {"cost": ended.cost.as_json(), "counts": {"media": len(clips), "crops": crops}}

    return Measure("DeepfakeBench preprocess.py", "python preprocess.py, UADFV layout, as it is", "crops", run)
