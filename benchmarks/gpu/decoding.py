"""NVDEC through torchcodec: does it open every clip, are its frames those of mmidd's decoder, and how fast is it?"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu import cores
from benchmarks.gpu.context import Context, Skipped
from benchmarks.gpu.pictures import clips
from benchmarks.gpu.timing import measured
from mmidd.errors import MediaError
from mmidd.video.choose import open_video
from mmidd.video.picture import Image
from mmidd.video.plan import frame_plan

NEAR = 2
"""Frames before and after a planned one that its picture is compared with."""
SAME = 0.05
"""Grey levels: a neighbour that is nearer by less is the same picture, of a scene that stands still."""
AT_ONCE = 8
_READY = "MMIDD_GPU_LIBRARIES"


def run(context: Context) -> None:
    _with_libraries(context)
    chosen = clips(context)[: 3 if context.toy else 40]
    errors = []
    for place, clip in enumerate(chosen):
        if context.left < 0.5 * context.seconds:
            context.note("not_looked_at", len(chosen) - place)
            break
        found = _compared(clip, context)
        context.note(f"clip_{place:02d}", {"suffix": clip.suffix, "bytes": clip.stat().st_size, **found})
        errors += [found["error"]] if "error" in found else []
    if len(errors) == len(chosen):
        raise Skipped(f"torchcodec opens no clip on {context.device}: {errors[0]}")
    _rates(context, chosen)


def _with_libraries(context: Context) -> None:
    """Begin anew with the libraries that torchcodec looks for at hand: FFmpeg's, which come with PyAV under names of its
    own, and CUDA's, which come as packages. The dynamic linker reads the path when a process begins."""
    if os.environ.get(_READY) or sys.platform != "linux":
        return
    av, nvidia = find_spec("av"), find_spec("nvidia")
    bundled = Path(str(av and av.origin)).parents[1] / "av.libs"
    links = context.scratch / "libraries"
    links.mkdir(exist_ok=True)
    for library in bundled.glob("lib*.so.*"):
        if named := re.fullmatch(r"(lib(?:av|sw)\w+)-\w+(\.so\.\d+)[.\d]*", library.name):
            (links / f"{named[1]}{named[2]}").symlink_to(library)
    cuda = [
        str(folder) for place in (nvidia and nvidia.submodule_search_locations) or () for folder in Path(place).glob("*/lib")
    ]
    given = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    path = ":".join(filter(None, [str(links), str(bundled), *cuda, *given]))
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "LD_LIBRARY_PATH": path, _READY: "1"})


def _opened(clip: Path, device: str) -> Any:
    from torchcodec.decoders import VideoDecoder

    return VideoDecoder(str(clip), dimension_order="NHWC", device=device, num_ffmpeg_threads=1)


def _compared(clip: Path, context: Context) -> dict[str, Any]:
    """Planned frames of both decoders, and of ours their neighbours."""
    try:
        with open_video(clip) as reader:
            count = reader.clip.frame_count
            plan = frame_plan(count, 4 if context.toy else 16, "even")
            near = sorted({index for at in plan for index in range(at - NEAR, at + NEAR + 1) if 0 <= index < count})
            own = {frame.index: frame.picture.whole() for frame in reader.frames(near) if frame.picture is not None}
            told = {"codec": reader.clip.codec, "frames": count, "size": [reader.clip.width, reader.clip.height]}
    except (MediaError, OSError) as error:
        return {"ours": type(error).__name__}
    try:
        decoder = _opened(clip, context.device)
        theirs = decoder.get_frames_at(list(plan)).data.cpu().numpy()
        told |= {"their_frames": len(decoder), "fallback": _fallback(decoder)}
    except ImportError as error:
        raise Skipped(f"torchcodec cannot be imported: {error}"[:300]) from error
    except Exception as error:
        if "Could not load libtorchcodec" in str(error):
            raise Skipped("torchcodec finds no FFmpeg that it knows, or none of CUDA's libraries") from error
        return {**told, "error": f"{type(error).__name__}: {error}"[:200]}
    return {**told, **_judged(plan, own, theirs)}


def _fallback(decoder: Any) -> str:
    return str(getattr(decoder, "cpu_fallback", "unknown"))


def _judged(plan: Sequence[int], own: dict[int, Image], theirs: Any) -> dict[str, Any]:
    """How many planned pictures are nearest to ours of that number, and how far they are from it in grey levels."""
    right, means, most, shapes = 0, [], 0, 0
    for at, picture in zip(plan, theirs, strict=True):
        ours = {index: own[index] for index in range(at - NEAR, at + NEAR + 1) if index in own}
        if at not in ours:
            continue
        if ours[at].shape != picture.shape:
            shapes += 1
            continue
        apart = {index: np.abs(image.astype(np.int16) - picture) for index, image in ours.items()}
        mean = {index: float(difference.mean()) for index, difference in apart.items()}
        right += mean[at] <= min(mean.values()) + SAME
        means.append(mean[at])
        most = max(most, int(apart[at].max()))
    return {
        "planned": len(plan), "right_picture": right, "other_shape": shapes, "exact": sum(mean == 0 for mean in means),
        "mean_difference": float(np.mean(means)) if means else None, "max_difference": most,
    }  # fmt: skip


def _rates(context: Context, chosen: Sequence[Path]) -> None:
    """Frames/s of whole clips, every pixel of each frame: of the smallest and of the largest pictures."""
    most = 16 if context.toy else 48
    sized = {}
    for clip in chosen:
        try:
            with open_video(clip) as reader:
                sized[clip] = reader.clip.width * reader.clip.height, min(most, reader.clip.frame_count)
        except (MediaError, OSError):
            continue
    long = [clip for clip, (_, count) in sized.items() if count == most] or list(sized)
    ends = {"large": max(long, key=lambda clip: sized[clip]), "small": min(long, key=lambda clip: sized[clip])}
    data = {"most": most, **ends}
    with cores.Cores(context.scratch, data) as all_cores:
        for name, clip in ends.items():
            if context.left < 6:
                context.note(f"{name}_rates", "not measured: no time was left")
                return
            count = sized[clip][1]
            context.note(f"{name}_clip", {"pixels": sized[clip][0], "frames": count})
            try:
                _their_rates(context, name, clip, count)
            except RuntimeError as error:
                context.note(f"{name}_theirs", f"not measured: {error}"[:200])
            one = measured(partial(cores.decode, clip, most), count, "cpu", rounds=2, warm=0)
            context.note(f"{name}_ours_one_core", one)
            context.note(f"{name}_ours_all_cores", all_cores.rate(cores.decode, name, "most", rounds=2))


def _their_rates(context: Context, name: str, clip: Path, count: int) -> None:
    """One decoder, and several at once; the frames stay on the device."""

    def whole(_: int = 0) -> int:
        decoder = _opened(clip, context.device)
        for start in range(0, count, 32):
            decoder.get_frames_in_range(start, min(count, start + 32))
        return count

    context.note(f"{name}_theirs", measured(whole, count, context.device, rounds=3, warm=1))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        together = measured(lambda: list(pool.map(whole, range(AT_ONCE))), AT_ONCE * count, context.device, rounds=3, warm=1)
    context.note(f"{name}_theirs_{AT_ONCE}_at_once", together)
