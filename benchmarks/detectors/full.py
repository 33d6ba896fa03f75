"""CLIP ViT-L/14 as large as it is, with random weights, saved as a pretrained one lies and opened by the same path: does
it load, what does a step cost, how much memory."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.processes import must

NAME = "openai/clip-vit-large-patch14"
STEPS, BATCH, ONLY = 2, 4, "DFFD"
"""A dataset of the sample corpus with eight rows to validate on: each costs seconds."""
CASES = (("gend", False), ("gend", True), ("effort", False))
_MAKE = """
import sys, torch
from transformers import CLIPConfig, CLIPModel
from mmidd.detectors.backbones import CLIPS
torch.manual_seed(0)
CLIPModel(CLIPConfig(**CLIPS[sys.argv[1]])).save_pretrained(sys.argv[2])
"""


def backbone(folder: Path) -> Path:
    """A folder of 1.7 GB, kept."""
    made, half = folder / "clip-l14", folder / "clip-l14.half"
    if not made.is_dir():
        shutil.rmtree(half, ignore_errors=True)
        must([sys.executable, "-c", _MAKE, NAME, str(half)])
        half.rename(made)
    return made


def trained(corpus: Path, folder: Path, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Each case by `mmidd train` in a process of its own."""
    weights, found = backbone(folder), []
    tell(f"{weights} is there")
    for detector, checkpointing in CASES:
        out = folder / f"full-{detector}-{checkpointing}"
        shutil.rmtree(out, ignore_errors=True)
        words = ["train", detector, str(corpus), "--out", str(out), "--only", ONLY, "--workers", "0", "--device", "cpu"]
        settings = {"backbone": weights, "steps": STEPS, "batch": BATCH, "precision": "float32", "augment": "none",
                    "checkpointing": str(checkpointing).lower(), "validation_frames": 1, "frames": "null"}  # fmt: skip
        ended = must(
            [sys.executable, "-m", "mmidd", *words, *(w for k, v in settings.items() for w in ("--set", f"{k}={v}"))]
        )
        lines = [json.loads(line) for line in (out / "seed-0" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        result = json.loads((out / "seed-0" / "result.json").read_text(encoding="utf-8"))
        steps = [line["seconds"] for line in lines if line["kind"] == "step"]
        kept = sum(path.stat().st_size for path in (out / "seed-0" / "best").iterdir())
        found.append({
            "detector": detector, "checkpointing": checkpointing, "batch": BATCH, "step_s": steps, "losses": [
                line["loss"] for line in lines if line["kind"] == "step"], **ended.cost.as_json(),
            "parameters": result["parameters"], "trained": result["trained"], "kept_bytes": kept,
        })  # fmt: skip
        tell(f"{detector}, checkpointing {checkpointing}: steps of {steps} s, peak {ended.cost.peak_mib:,.0f} MiB")
        shutil.rmtree(out)
    return found
