"""The peers' own functions, run from copies of their repositories that you bring (`--peers`). Nothing of them is here.

`FOLDER/GenD` is yermandy/GenD (MIT), `FOLDER/Effort` YZY-stack/Effort-AIGI-Detection (CC BY-NC). Lightning, which GenD's
classes derive from, and loralib, which Effort imports and does not use, need not be installed: they get empty names.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import math
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.processes import BenchmarkError

COMMITS = {"GenD": "e03532d", "Effort": "96f5dea"}
"""At which they were read. A copy need not be a checkout, so it is not asked."""
UNFROZEN = ("pre_layrnorm", "layer_norm1", "layer_norm2", "post_layernorm")
"""Of GenD's experiments on CLIP (`src/exp/wacv_rebuttal.py`): parts of names."""
_EFFORT = "DeepfakeBench/training/detectors/effort_detector.py"


def gend_module(peers: Path, name: str) -> Any:
    """A module of GenD, such as `losses.unifalign`."""
    root = peers / "GenD"
    if not (root / "src" / "losses" / "unifalign.py").is_file():
        raise BenchmarkError(f"{root} is no copy of yermandy/GenD: git clone it there")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if "lightning" not in sys.modules and importlib.util.find_spec("lightning") is None:
        stand_in: Any = types.ModuleType("lightning")
        stand_in.LightningDataModule = object
        sys.modules["lightning"] = stand_in
    return importlib.import_module(f"src.{name}")


class TheirGenD(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """GenD's encoder, head and criterion, put together and unfrozen as its `GenD` does (which needs Lightning)."""

    def __init__(self, peers: Path, backbone: Path) -> None:
        super().__init__()
        config = gend_module(peers, "config")
        self.encoder = gend_module(peers, "encoders.clip_encoder").CLIPEncoder(str(backbone))
        self.probe = gend_module(peers, "heads.head").LinearProbe(self.encoder.get_features_dim(), 2, True)
        self.criterion = gend_module(peers, "loss").Loss(config.Loss(ce_labels=1.0, uniformity=0.5, alignment_labels=0.1))
        self.inputs = gend_module(peers, "loss").LossInputs
        self.encoder.requires_grad_(False)
        for name, parameter in self.named_parameters():
            if any(layer in name for layer in UNFROZEN):
                parameter.requires_grad = True

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen = self.probe(self.encoder(images))
        total: torch.Tensor = self.criterion(self.inputs(seen.logits_labels, labels, seen.l2_embeddings)).total
        return total


def gend_files(peers: Path, lists: list[str], preprocess: Callable[[Any], torch.Tensor], augmented: bool) -> Any:
    """GenD's own dataset over its own list of files, with its own augmentation."""
    config = gend_module(peers, "config")
    augment = gend_module(peers, "dataset.augmentations").init_augmentations(config.Augmentations() if augmented else None)
    return gend_module(peers, "dataset.dataset").DeepfakeDataset(lists, preprocess, augmentations=augment, binary=True)


def effort_functions(peers: Path) -> dict[str, Any]:
    """`SVDResidualLinear`, `replace_with_svd_residual` and `apply_svd_residual_to_self_attn` of Effort's one file, without
    the rest of DeepfakeBench, which that file imports."""
    path = peers / "Effort" / _EFFORT
    if not path.is_file():
        raise BenchmarkError(f"there is no {path}: git clone YZY-stack/Effort-AIGI-Detection there, as Effort")
    wanted = {"SVDResidualLinear", "replace_with_svd_residual", "apply_svd_residual_to_self_attn"}
    nodes = [n for n in ast.parse(path.read_text(encoding="utf-8")).body if getattr(n, "name", None) in wanted]
    if {getattr(node, "name", None) for node in nodes} != wanted:
        raise BenchmarkError(f"{path}: not all of {', '.join(sorted(wanted))} are in it: another version?")
    names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, "math": math}
    exec(compile(ast.Module(nodes, []), str(path), "exec"), names)
    return names


class TheirEffort(nn.Module):  # type: ignore[misc]
    """Effort's backbone, changed by its own function to all singular values but one, and its head."""

    def __init__(self, peers: Path, backbone: Path) -> None:
        from transformers import CLIPModel

        super().__init__()
        vision = CLIPModel.from_pretrained(str(backbone)).vision_model
        width = vision.config.hidden_size
        self.backbone = effort_functions(peers)["apply_svd_residual_to_self_attn"](vision, r=width - 1)
        self.head = nn.Linear(width, 2)

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self.head(self.backbone(images)["pooler_output"]), labels)
