"""What is run inside processes of its own: counts of a work folder, a build's parts, and peers. Prints one JSON document.

python -m benchmarks.inside counts WORK
python -m benchmarks.inside parts WORD ...      (an mmidd command without its --workers)
python -m benchmarks.inside decode FILE ...
python -m benchmarks.inside fastmtcnn RESIZE FRAMES THREADS DEVICE OUT FILE ...
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self


def counts(work: str) -> dict[str, int]:
    """What the stages committed in a work folder that was made for one run: media by how they ended, frames, rows."""
    import pyarrow.compute as pc

    from mmidd.engine import tables
    from mmidd.engine.store import Store

    store = Store(Path(work))
    found = Counter[str]()
    for record in store.records("index"):
        status = tables.read_rows(store, record, ["status"])["status"].to_pylist()
        found.update(indexed=len(status), indexed_media=status.count("media"))
    for record in store.records("caption"):
        found["captions"] += record.counts["rows"]
    for record in store.records("curate"):
        rows = tables.read_rows(store, record, ["drop"])
        found.update(judged=rows.num_rows, curated_out=rows.num_rows - rows["drop"].null_count)
    for record in store.records("extract"):
        rows = tables.read_rows(store, record, ["faces_found"])
        found["crops"] += rows.num_rows
        found["faces_found"] += pc.sum(rows["faces_found"]).as_py() or 0
        for outcome in tables.read_outcomes(store, record):
            found.update(
                {
                    f"media_{outcome.status}": 1,
                    "media": 1,
                    "frames_in_media": outcome.facts.get("frame_count", 0),
                    "frames_planned": outcome.planned,
                    "frames_ok": outcome.ok,
                    "frames_dropped": outcome.dropped,
                    "frames_failed": outcome.failed,
                }
            )
    return dict(found)


# the innermost function of mmidd that runs, by its module -> what it is doing; other modules go by their own names
DOES = {
    "video/pyav": "decode", "video/container": "decode", "video/decord": "decode", "video/torchcodec": "decode",
    "video/still": "decode", "video/yuv": "convert to RGB, reduce", "video/picture": "convert to RGB, reduce",
    "video/orientation": "convert to RGB, reduce", "faces/detector": "detect", "faces/yunet": "detect",
    "faces/mtcnn": "detect", "faces/scrfd": "detect", "faces/dense": "detect", "faces/align": "align, warp",
    "networks/onnx_runtime": "detect", "networks/client": "detect",
    "faces/encode": "encode", "curation/quality": "measure",
}  # fmt: skip
_TICK_S = 0.002


class Profile:
    """CPU seconds by part, while it is entered: a timer looks every few milliseconds of CPU time at what the main thread
    does, and the CPU time since the last look (all threads) counts for that."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = 0.0

    def __enter__(self) -> Self:
        self._last = time.process_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, _TICK_S, _TICK_S)
        return self

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _look(self, number: int, frame: FrameType | None) -> None:
        now = time.process_time()
        part = _part(frame)
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now


def _part(frame: FrameType | None) -> str:
    while frame is not None:
        file = frame.f_code.co_filename
        if "importlib" in file:
            return "imports"
        _, inside, module = file.rpartition("/mmidd/")
        if inside:
            return DOES.get(module.removesuffix(".py"), module.removesuffix(".py"))
        frame = frame.f_back
    return "start"


def parts(*words: str) -> dict[str, Any]:
    """Where the CPU time of `mmidd WORDS --workers 0` goes: one process, everything as in a build."""
    with Profile() as profile:
        from mmidd import cli

        code = cli.run([*words, "--workers", "0"])
    return {"code": code, "parts": {name: round(cpu, 3) for name, cpu in sorted(profile.seconds.items())}}


def _decode_all(file: str) -> int:
    """Decode a clip's first video stream with one thread, converting nothing; how many frames came."""
    import av

    with av.open(file) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def decode(files: Sequence[str]) -> dict[str, Any]:
    """The floor where there is no ffmpeg: every frame of every clip."""
    found = Counter[str](failed=0)
    for file in files:
        try:
            found["frames"] += _decode_all(file)
            found["media"] += 1
        except (OSError, ValueError):  # PyAV's errors are these; the clip counts as failed
            found["failed"] += 1
    return dict(found)


def fastmtcnn(resize: float, count: int, threads: int, device: str, out: str, files: Sequence[str]) -> dict[str, Any]:
    """The flow that facenet-pytorch's FastMTCNN example popularised, on evenly chosen frames.

    OpenCV decodes from the start to the last frame wanted; the frames, resized by `resize`, go through MTCNN as one batch
    a clip (factor 0.6, keep_all); every box is cut out of the full frame and written as JPEG 95.
    """
    import cv2
    import torch
    from facenet_pytorch import MTCNN

    torch.set_num_threads(threads)
    mtcnn = MTCNN(keep_all=True, factor=0.6, device=device)
    found = Counter[str](frames=0, frames_with_face=0, faces=0, crops=0)
    for number, file in enumerate(files):
        frames = _opencv_frames(file, count)
        small = [cv2.resize(frame, None, fx=resize, fy=resize) if resize != 1 else frame for frame in frames]
        boxes = mtcnn.detect([cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) for frame in small])[0] if frames else []
        found.update(media=1, frames=len(frames))
        for place, (frame, of_frame) in enumerate(zip(frames, boxes, strict=True)):
            faces = [] if of_frame is None else [[round(side / resize) for side in box] for box in of_frame]
            found.update(frames_with_face=bool(faces), faces=len(faces))
            for face, (x0, y0, x1, y1) in enumerate(faces):
                crop = frame[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
                if crop.size:
                    cv2.imwrite(f"{out}/{number}-{place}-{face}.jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 95])
                    found["crops"] += 1
    return dict(found)


def _opencv_frames(file: str, count: int) -> list[Any]:
    """Evenly chosen frames, by the count that the container states; those that do not come are missing."""
    import cv2

    video = cv2.VideoCapture(file)
    stated = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = {(2 * k + 1) * stated // (2 * count) for k in range(count)}
    frames = []
    for index in range(max(wanted, default=-1) + 1):
        if not video.grab():
            break
        if index in wanted:
            ok, frame = video.retrieve()
            frames += [frame] if ok else []
    video.release()
    return frames


_COMMANDS: dict[str, Callable[..., dict[str, Any]]] = {
    "counts": counts,
    "parts": parts,
    "decode": lambda *files: decode(files),
    "fastmtcnn": lambda resize, count, threads, device, out, *files: fastmtcnn(
        float(resize), int(count), int(threads), device, out, files
    ),
}

if __name__ == "__main__":
    print(json.dumps(_COMMANDS[sys.argv[1]](*sys.argv[2:])))
