"""Folders of tiny pictures and the lists that name them, as DeepfakeBench's tools write both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FF = "FaceForensics++"
YOUTUBE = f"{FF}/original_sequences/youtube/c23/frames"
MADE = f"{FF}/manipulated_sequences"


def picture(path: Path, seed: int, side: int = 40) -> None:
    """A PNG (or what the name's ending says) of smooth noise that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(path)


def clip(root: Path, folder: str, numbers: Iterable[int] = (0, 10, 20), seed: int = 0) -> list[str]:
    """A folder of frames below the root; returns their paths as they are there."""
    names = [f"{folder}/{number:03d}.png" for number in numbers]
    for place, name in enumerate(names):
        picture(root / name, seed=1000 * seed + place)
    return names


def windows(paths: Iterable[str], drive: str = "F:\\rgb") -> list[str]:
    """Paths as a list of another machine has them."""
    return [f"{drive}\\" + path.replace("/", "\\") for path in paths]


def entry(label: str, frames: list[str], **more: Any) -> dict[str, Any]:
    return {"label": label, "frames": frames, **more}


def wrote(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def bench(root: Path) -> dict[str, Any]:
    """A FaceForensics++ tree with two reals and two fakes, one with masks and a frame that is gone; and its list."""
    reals = {name: clip(root, f"{YOUTUBE}/{name}", seed=number) for number, name in enumerate(("000", "003"), 1)}
    swap = clip(root, f"{MADE}/Deepfakes/c23/frames/000_003", seed=3)
    masks = clip(root, f"{MADE}/Deepfakes/c23/masks/000_003", seed=4)
    other = clip(root, f"{MADE}/Face2Face/c23/frames/003_000", (0, 20, 30), seed=5)
    gone = f"{MADE}/Deepfakes/c23/frames/000_003/099.png"
    compressed: Mapping[str, Any] = {name: entry("FF-real", windows(frames)) for name, frames in reals.items()}
    return {
        FF: {
            "FF-real": {"train": {"c23": compressed}, "val": {"c23": {}}, "test": {}},
            "FF-DF": {"train": {"c23": {"000_003": entry("FF-DF", windows([*swap, gone]), masks=windows(masks))}}},
            "FF-F2F": {"train": {"c23": {"003_000": entry("FF-F2F", windows(other))}}},
        }
    }
