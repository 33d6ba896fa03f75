"""Score files made of arrays: what a detector said of clips, without a corpus behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mmidd.scores.file import SCHEMA, About, ScoreFile
from mmidd.scores.named import digest

MODEL = {"kind": "imported", "name": "made", "digest": "0" * 16}


@dataclass(frozen=True)
class Clip:
    """`scores`: of its frames; None: there is no score. `types`: of the clip and of each frame."""

    media: str
    fake: bool
    scores: Sequence[float | None]
    dataset: str = "A"
    group: str | None = None
    kind: str | None = None
    method: str | None = None
    compression: str | None = None
    split: str = "test"
    types: Sequence[float] | None = None


def made(
    clips: Sequence[Clip],
    *,
    model: Mapping[str, Any] | None = None,
    name: str | None = None,
    degradation: str | None = None,
    named: str = "",
    corpus: Mapping[str, Any] | None = None,
) -> ScoreFile:
    """A score file of these clips; `name`: of the model."""
    frames, whole = [], []
    for clip in clips:
        kind = clip.kind or ("FS" if clip.fake else "REAL")
        both = {
            "split": clip.split, "dataset": clip.dataset, "media": clip.media,
            "group": clip.group or f"{clip.dataset}/{clip.media}",
            "label": "fake" if clip.fake else "real", "forgery_type": None if kind == "?" else kind,
            "method": clip.method or ("M" if clip.fake else None), "compression": clip.compression,
        }  # fmt: skip
        known = [score for score in clip.scores if score is not None]
        for number, score in enumerate(clip.scores):
            frames.append(
                {**both, "level": "frame", "frame": number, "face": 0, "id": f"{clip.dataset}/{clip.media}#{number}",
                 **_scored(score, clip.types), "frames": int(score is not None), "frames_named": 1}
            )  # fmt: skip
        mean = float(np.mean(known)) if known else None
        whole.append(
            {**both, "level": "clip", "frame": None, "face": None, "id": None, **_scored(mean, clip.types),
             "frames": len(known), "frames_named": len(clip.scores)}
        )  # fmt: skip
    order = lambda row: (row["level"] != "frame", row["split"], row["dataset"], row["media"], row["frame"] or 0)  # noqa: E731
    table = pa.Table.from_pylist(sorted([*frames, *whole], key=order), SCHEMA)
    told = {**(model or MODEL), **({"name": name, "digest": name} if name else {})}
    splits = tuple(sorted({clip.split for clip in clips}))
    return ScoreFile(
        table, About(told, corpus or {"name": "made", "digest": "c" * 16}, splits, (), named or digest(table), degradation)
    )


def _scored(score: float | None, types: Sequence[float] | None) -> dict[str, Any]:
    if score is None:
        return {"status": "missing", "reason": "no_face", "score": None, "types": None}
    return {"status": "ok", "reason": None, "score": score, "types": types}


def random_clips(
    count: int,
    *,
    seed: int = 0,
    frames: int = 3,
    groups: int = 20,
    datasets: Sequence[str] = ("A", "B"),
    split: str = "test",
    types: bool = False,
    shift: float = 1.0,
    lost: float = 0.0,
) -> list[Clip]:
    """Clips of both classes in every dataset, whose scores tell them apart somewhat."""
    from mmidd.schema import FORGERY_TYPES

    chance, clips = np.random.default_rng(seed), []
    for number in range(count):
        fake, dataset = bool(number % 2), datasets[number // 2 % len(datasets)]
        logit = chance.normal(shift if fake else -shift, 1.5)
        scores = (1 / (1 + np.exp(-(logit + chance.normal(0, 0.3, frames))))).round(6).tolist()
        gone = chance.random() < lost
        kind = ("FS", "FR", "EFS", "FE")[number % 8 // 2] if fake else "REAL"
        told = chance.dirichlet(np.where(np.array(FORGERY_TYPES) == kind, 3.0, 1.0)).tolist() if types else None
        clips.append(
            Clip(
                f"{split}-{number:05d}", fake, [None] * frames if gone else scores, dataset,
                f"{split}-{dataset}-{chance.integers(groups)}", kind, f"M{number % 3}" if fake else None,
                ("c23", "c40")[number % 5 // 3], split, told,
            )
        )  # fmt: skip
    return clips
