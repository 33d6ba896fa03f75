"""Are backbone folders what they are said to be? Real photographs classified, and the same numbers as the other
library's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

PHOTOGRAPHS = {"chelsea": 285, "coffee": 967}
"""Of scikit-image's own, and what they show as ImageNet counts: Egyptian cat, espresso."""


def checks(folder: Path) -> dict[str, Any]:
    """What can be said of one backbone folder, by its name."""
    return _CHECKS[folder.name](folder)


def photographs(folder: Path) -> dict[str, float]:
    """The probability of what each photograph shows, with the weights as timm opens them."""
    from timm.data import create_transform, resolve_data_config

    model = _open(folder)
    transform = create_transform(**resolve_data_config({}, model=model))
    found = {}
    for name, shown in PHOTOGRAPHS.items():
        with torch.inference_mode():
            found[name] = float(model(transform(_photograph(name))[None]).softmax(1)[0, shown])
    return found


def _photograph(name: str) -> Any:
    import skimage.data
    from PIL import Image

    return Image.fromarray(getattr(skimage.data, name)())


def _open(folder: Path) -> Any:
    import timm

    return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()


def _mobilenet(folder: Path) -> dict[str, Any]:
    """torchvision's own network, with the tensors put back by the same order, gives the same logits."""
    import torchvision

    from benchmarks.detectors.weights import renamed

    model, theirs = _open(folder), torchvision.models.mobilenet_v2().eval()
    theirs.load_state_dict(renamed(model.state_dict(), theirs.state_dict()))
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 3, 224, 224), np.float32))
    with torch.inference_mode():
        apart = float((model(images) - theirs(images)).abs().max())
    return {"photographs": photographs(folder), "torchvision_logits_apart": apart}


def _text(folder: Path) -> dict[str, Any]:
    """Sentences of one meaning lie nearer than those of two: cosine of mean-pooled tokens."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    texts = ["a photo of a real human face", "an authentic picture of a person's face", "a red car parked in the street"]
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        seen = model(**tokens).last_hidden_state * tokens["attention_mask"][..., None]
    unit = torch.nn.functional.normalize(seen.sum(1), dim=1)
    return {"alike": float(unit[0] @ unit[1]), "unlike": float(unit[0] @ unit[2])}


_CHECKS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "mobilenetv2": _mobilenet,
    "efficientnet_lite0": lambda folder: {"photographs": photographs(folder)},
    "minilm": _text,
}
