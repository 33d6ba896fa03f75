"""What each part found, in a few lines for people: the figures that somebody would ask for first."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Found = Mapping[str, Any]


def headlines(name: str, found: Found) -> list[str]:
    """The lines of a part; none where it found too little for one."""
    try:
        return LINES[name](found) if name in LINES else []
    except (KeyError, IndexError, TypeError, ValueError):  # it was ended, or broke, before it had the figure
        return []


def _matching(found: Found, pattern: str) -> list[tuple[re.Match[str], Any]]:
    return [
        (match, value) for key, value in found.items() if (match := re.fullmatch(pattern, key)) and isinstance(value, dict)
    ]


def _machine(found: Found) -> list[str]:
    matmul, copy = found["matmul_bfloat16"]["tflops"], found["copy_on_device"]["gigabytes_s"]
    name = found["gpu"].get("name", "CPU")
    return [f"{name}: bf16 {matmul:.3g} TFLOP/s, copies {copy:.3g} GB/s"]


def _detectors(found: Found) -> list[str]:
    return [
        f"{match[1]} {value['faces']} faces (CPU {value['faces_there']}), boxes within {value['box_pixels']['max']:.2g} px"
        for match, value in _matching(found, r"(\w+)_torch_against_cpu")
    ]


def _extraction(found: Found) -> list[str]:
    return [
        f"{match[1]} {match[2]} on {match[3]}, {match[4]} workers: {value['count']} faces, {_rate(value)}{_busy(value)}"
        for match, value in _matching(found, r"(\w+?)_(torch|onnxruntime)_on_(\w+)_(\d+)_workers")
        if "count" in value
    ]


def _rate(value: Found) -> str:
    """Faces a second of workers that are at work, and of the whole run."""
    at_work = value.get("rate_at_work")
    return f"{at_work:.0f}/s at work, {value['rate']:.0f}/s with start and end" if at_work else f"{value['rate']:.1f}/s"


def _busy(value: Found) -> str:
    gpu = value.get("gpu")
    return f", GPU {gpu['mean_percent']:.0f}% busy" if gpu else ""


def _corpus(found: Found) -> list[str]:
    same = [
        f"{match[1]} twice {'the same' if value['right'] else 'OTHER'} bytes"
        for match, value in _matching(found, r"(\w+)_same_bytes_with_other_workers")
    ]
    against = [
        f"{match[1]} {value['equal_crops']} of {value['rows']} crops byte-equal to the CPU's, boxes within "
        f"{value['box_pixels_max']:.2g} px"
        for match, value in _matching(found, r"(\w+)_corpus_of_device_against_cpu")
    ]
    return [*same, *against]


def _rates(found: Found) -> list[str]:
    wanted = r"(yunet|scrfd|pnet)_(\d+)_batch16_(graph|eager)"
    best: dict[str, float] = {}
    for match, value in _matching(found, wanted):
        key = f"{match[1]} at {match[2]} px"
        best[key] = max(best.get(key, 0.0), value["rate"])
    return [f"{key} {rate:,.0f} frames/s" for key, rate in best.items()]


def _training(found: Found) -> list[str]:
    rows = _matching(found, r"(\w+) bf16")
    return [
        f"{match[1]} {value['images_per_s']:.0f} images/s ({value['share_of_bf16_peak']:.0%} of peak)"
        for match, value in rows
        if "images_per_s" in value
    ]


def _decoding(found: Found) -> list[str]:
    clips = [value for _, value in _matching(found, r"clip_\d+") if "planned" in value]
    right, planned = (sum(clip[key] for clip in clips) for key in ("right_picture", "planned"))
    exact = sum(clip["exact"] for clip in clips)
    theirs, ours = found["large_theirs_8_at_once"]["rate"], found["large_ours_all_cores"]["rate"]
    return [
        f"{right} of {planned} planned frames are the right picture, {exact} of them with mmidd's pixels",
        f"{theirs:.0f} frames/s, mmidd's decoder on all cores {ours:.0f}",
    ]


def _pixels(found: Found) -> list[str]:
    return [
        f"{what} {found[f'{what}_on_device']['rate']:,.0f}/s, all cores {found[own]['rate']:,.0f}/s"
        for what, own in (
            ("warp", "warp_all_cores"),
            ("encode", "encode_opencv_all_cores"),
            ("decode", "decode_simplejpeg_all_cores"),
        )
        if f"{what}_on_device" in found
    ]


def _captions(found: Found) -> list[str]:
    rows = [
        (value["replies_per_s"], match[1]) for match, value in _matching(found, r"batch (\d+)") if "replies_per_s" in value
    ]
    rate, batch = max(rows)
    token, there = found.get("token", {}), found.get("token_on_device", {})
    device = (
        [f"a token of {token['requests']} replies {token['wall_ms']:.0f} ms, {there['ms']:.0f} of them the device's"]
        if "ms" in there
        else []
    )
    return [f"{rate:.1f} replies/s at batch {batch}, {found['checkpoint']['parameters'] / 1e9:.2g} billion weights", *device]


def _grpo(found: Found) -> list[str]:
    steps = [value for _, value in _matching(found, r"step \d+") if "seconds" in value]
    last = steps[-1]
    return [f"{last['seconds']:.1f} s a step of {last['completions']} completions, {last['completion_tokens']} tokens"]


LINES: Mapping[str, Callable[[Found], list[str]]] = {
    "machine": _machine, "detectors": _detectors, "extraction": _extraction, "corpus": _corpus, "rates": _rates,
    "training": _training, "decoding": _decoding, "pixels": _pixels, "captions": _captions, "grpo": _grpo,
}  # fmt: skip
