"""Images a second from files to a trained network: GenD's way (a list of PNG files, a CLIPProcessor for each image) beside
ours.

Each measure is a process of its own. What is timed begins after the first steps, when the libraries have warmed up.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.detectors.theirs import TheirGenD, gend_files
from benchmarks.processes import BenchmarkError
from mmidd.corpus.read import Corpus

BATCH = 32
WARM = 2
"""Steps that are not counted."""
TINY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
"""A network that costs next to nothing: what is left is the way from files."""


def png_list(corpus: Path, root: Path, split: str = "train") -> Path:
    """The crops of a split as GenD wants them: .../DATASET/{real,fake}/VIDEO/FRAME.png, and a text file that lists them."""
    import cv2
    import numpy as np

    listed = root / f"{split}.txt"
    if listed.is_file():
        return listed
    part = Corpus(corpus).part(split)
    table = part.rows(["label", "media"]).to_pydict()
    videos = {name: number for number, name in enumerate(dict.fromkeys(table["media"]))}
    names = []
    for (name, data), label, media in zip(part.images(), table["label"], table["media"], strict=True):
        path = root / "sample" / ("fake" if label else "real") / f"{videos[media]:05d}" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        names.append(str(path.relative_to(root)))
    listed.write_text("\n".join(names) + "\n", encoding="utf-8")
    return listed


def theirs(peers: Path, listed: Path, folder: Path, how: dict[str, Any]) -> dict[str, Any]:
    """`how`: `steps`, `workers`, `augmented`, `pillow` (the processor that their pinned transformers gives; else that of
    the one installed), `train` (or read alone)."""
    torch.manual_seed(0)
    network = TheirGenD(peers, folder)
    if how["pillow"]:
        from transformers import CLIPImageProcessorPil

        seen = network.encoder._preprocess.image_processor
        network.encoder._preprocess.image_processor = CLIPImageProcessorPil(size=seen.size, crop_size=seen.crop_size)
    data = gend_files(peers, [str(listed)], network.encoder.preprocess, how["augmented"])
    loader = DataLoader(data, BATCH, num_workers=how["workers"], shuffle=True, drop_last=True)
    trained = [each for each in network.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(trained, 3e-4, betas=(0.9, 0.999), weight_decay=0)

    def step(batch: Any) -> None:
        loss = network.loss(batch["image"], batch["label"])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return _timed(_for_ever(loader), step if how["train"] else None, how["steps"])


def ours(corpus: Path, folder: Path, how: dict[str, Any]) -> dict[str, Any]:
    """The same of ours: read alone as the loop reads, or trained by the loop itself, as `mmidd train` does it."""
    asked = {
        "backbone": str(folder), "batch": BATCH, "augment": "gend" if how["augmented"] else "none", "frames": None,
        "steps": how["steps"] + WARM, "precision": "float32", "schedule": "constant", "validate_every": 1e6,
    }  # fmt: skip
    return _trained(corpus, asked, how) if how["train"] else _read(corpus, asked, how["workers"])


def _read(corpus: Path, asked: dict[str, Any], workers: int) -> dict[str, Any]:
    from mmidd.detectors.registry import reference_detector

    from mmidd.runs.asked import options_of
    from mmidd.runs.data import Selection, dataset, loader, sampler, seen
    from mmidd.runs.parts import ready
    from mmidd.runs.processes import here

    detector, at = reference_detector("gend"), here("cpu")
    options, settings = options_of(detector, "gend", "paper", asked)
    look, rows = detector.build(options).input, seen(Corpus(corpus), Selection(), settings).train
    load = loader(dataset(rows, look, settings.augment), sampler(rows, settings, 1, 0, BATCH, at), workers, at)
    return _timed((ready(batch, look) for batch in _for_ever(load)), None, asked["steps"] - WARM)


def _trained(corpus: Path, asked: dict[str, Any], how: dict[str, Any]) -> dict[str, Any]:
    """Of what the loop logs of each step."""
    from mmidd.reference import train

    with tempfile.TemporaryDirectory() as held:
        run = Path(held) / "run"
        train("gend", corpus, run, settings=asked, workers=how["workers"], device="cpu", tell=lambda line: None)
        lines = [json.loads(line) for line in (run / "seed-0" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if line["kind"] == "step"][WARM:]
    if len(steps) != how["steps"]:
        raise BenchmarkError(f"the loop logged {len(steps)} steps of {how['steps']}: nothing can be said of its rate")
    return {
        "images": sum(line["rows"] for line in steps),
        "wall_s": sum(line["seconds"] for line in steps),
        "waited_s": sum(line["waited"] for line in steps),
    }


def _for_ever(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def _timed(batches: Iterator[Any], step: Callable[[Any], None] | None, steps: int) -> dict[str, Any]:
    """The rate after the first steps, and the share of it that was spent waiting for the next batch."""
    waited = 0.0
    for number in range(WARM + steps):
        if number == WARM:
            begun, waited = time.perf_counter(), 0.0
        before = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - before
        if step is not None:
            step(batch)
    return {"images": steps * BATCH, "wall_s": time.perf_counter() - begun, "waited_s": waited}
