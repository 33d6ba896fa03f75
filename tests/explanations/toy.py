"""A detector that gives reasons without a language model: what it says of a picture goes by the picture's brightness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from runs.networks import Toy, ToyOptions

from mmidd.explanations.reply import Said, read
from mmidd.registry import Registry, Row
from mmidd.runs.detector import Batch, Detector, Preset, Scores
from mmidd.runs.train import train
from mmidd.scoring.run_model import RunModel, opened_run

HOSTILE = (
    "<script>alert(1)</script> \x1b[31mred\x1b[0m [link](http://x.y) | a `b` **c** \u202egnp.exe =1+1 the mouth shows "
    + "ha " * 2_000
)
REPLIES = (
    "<think>I look at the eyes and the mouth. The eyes are blurred.</think><answer>{}</answer>",
    "<think>No seam at the hairline. The skin is smooth.</think><answer>{}</answer>",
    "<think>I look at the chin.</think><answer>real</answer><answer>fake</answer>",
    "<think>An Asian man, looks sick. This is Obama. The nose is odd.</think><answer>{}</answer>",
    "I look at the eyes",
    "<think></think><answer>{}</answer>",
    f"<think>{HOSTILE}</think><answer>{{}}</answer>",
    "<think>The background and the edges of the face are of one light.</think><answer>{}</answer>",
)


class ExplainingToy(Toy):
    """Its scores are those of `Toy`; behind reasons they are higher by a tenth of the way to 1."""

    explains = True

    def explain(self, batch: Batch) -> tuple[Scores, list[Said]]:
        direct = self.scores(self.features(batch)).fake
        fake = direct + (1 - direct) / 10
        places = (batch["image"].double().flatten(1).sum(1) * 1e4).round().long().abs() % len(REPLIES)
        said = [self._said(int(place), float(score)) for place, score in zip(places, direct, strict=True)]
        return Scores(fake), said

    def _said(self, place: int, direct: float) -> Said:
        text = REPLIES[place].format("fake" if direct + (1 - direct) / 10 > 0.5 else "real")
        found = read(text, ("real", "fake"), cut=place == 4)
        return Said(
            text, found.chain, found.answer, found.wrong, len(text) // 4, place == 4, direct, 0.25 if found.chain else None
        )


def _built(options: ToyOptions) -> ExplainingToy:
    return ExplainingToy(options.width, options.weights, options.types, options.clip)


DETECTOR = Detector(
    title="Toy", paper="none", code="none", code_licence="none", backbone="none", backbone_licence="none",
    options=ToyOptions, build=_built,
    presets={"tiny": Preset({}, {"batch": 32, "epochs": 1, "lr": 0.05, "precision": "float32"})},
)  # fmt: skip
KNOWN: Registry[Any] = Registry(
    "reference detector",
    "mmidd.none",
    "DETECTOR",
    (Row("toy", "explanations.toy", "a toy", "train"), Row("mute", "runs.networks", "a toy", "train")),
)


def trained(corpus: Path, out: Path, name: str = "toy") -> Path:
    """A run of it (`mute`: of one that gives no reasons)."""
    detector = DETECTOR if name == "toy" else __import__("runs.networks", fromlist=["DETECTOR"]).DETECTOR
    train(detector, name, corpus, out, preset="tiny", workers=0, device="cpu", tell=lambda line: None)
    return out


def opened(run: Path) -> RunModel:
    return opened_run(run, KNOWN, torch.device("cpu"), download=False)
