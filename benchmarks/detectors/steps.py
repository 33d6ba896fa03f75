"""One training step beside the peers': the same backbone, head, batch, precision and optimiser; equal losses first, then
ABBA."""

from __future__ import annotations

import importlib
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.detectors.theirs import TheirEffort, TheirGenD, effort_functions, gend_module
from benchmarks.processes import BenchmarkError

BATCH, CLOSE = 8, 5e-5
"""Rows of a step; how far apart losses may be, of which both are computed in float32 and in another order of summing."""
SHAPE = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 6}
FULL = 1024
"""The side of a weight of attention in CLIP ViT-L/14, of which there are 96."""
ROLES = ("theirs", "ours")


@dataclass(frozen=True)
class Side:
    """One of the two. `step` makes one optimiser's step and gives the loss before it."""

    module: nn.Module
    step: Callable[[], float]


@dataclass(frozen=True)
class Case:
    """`head` is the name of the linear head in theirs; ours is `head`."""

    detector: str
    theirs: Callable[[Path, Path], nn.Module]
    head: str
    optimiser: Callable[..., torch.optim.Optimizer]
    settings: Mapping[str, Any]


CASES = {
    "GenD": Case(
        "gend", TheirGenD, "probe.linear", torch.optim.AdamW, {"lr": 3e-4, "betas": (0.9, 0.999), "weight_decay": 0.0}
    ),
    "Effort": Case(
        "effort", TheirEffort, "head", torch.optim.Adam, {"lr": 2e-4, "betas": (0.9, 0.999), "weight_decay": 5e-4}
    ),
}


def backbone(root: Path, shape: Mapping[str, int] = SHAPE, side: int = 224) -> Path:
    """A random CLIP with a processor, as both open it: a folder."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = root / f"clip-{shape['hidden_size']}-{shape['num_hidden_layers']}-{side}"
    if not (folder / "config.json").is_file():
        torch.manual_seed(0)
        text = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
        patch = 16 if side % 16 == 0 else 14
        vision = {**shape, "patch_size": patch, "image_size": side, "projection_dim": 64}
        CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=64)).save_pretrained(folder)
        tokenizer = CLIPTokenizer(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}, merges=[])
        seen = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        CLIPProcessor(seen, tokenizer).save_pretrained(folder)
    return folder


def side(case: Case, role: str, peers: Path, folder: Path) -> Side:
    """Their step or ours, on the same tensors in memory."""
    torch.manual_seed(1)
    blurred = torch.randn(BATCH, 3, 7, 7)  # of white noise a random network gives all but one vector
    images, labels = F.interpolate(blurred, size=224, mode="bicubic"), torch.arange(BATCH) % 2
    head = {"weight": torch.randn(2, SHAPE["hidden_size"]), "bias": torch.zeros(2)}
    module, loss = (_theirs if role == "theirs" else _ours)(case, peers, folder, head)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = case.optimiser(trained, **case.settings)
    module.train()

    def step() -> float:
        found = loss(images, labels)
        found.backward()
        optimiser.step()
        optimiser.zero_grad()
        return float(found.detach())

    return Side(module, step)


def _theirs(case: Case, peers: Path, folder: Path, head: Mapping[str, torch.Tensor]) -> Any:
    module: Any = case.theirs(peers, folder)
    module.get_submodule(case.head).load_state_dict(head)
    return module, module.loss


def _ours(case: Case, peers: Path, folder: Path, head: Mapping[str, torch.Tensor]) -> Any:
    detector = importlib.import_module(f"mmidd.detectors.{case.detector}").DETECTOR
    network = detector.build(detector.options(backbone=str(folder)))
    network.head.load_state_dict(head)

    def loss(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        batch = {"image": images, "label": labels}
        terms = network.losses(network.features(batch), batch, network.rows(batch)).terms
        return torch.stack(list(terms.values())).sum()

    return network, loss


def compared(name: str, peers: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Losses over three steps, then rounds of theirs, ours, ours, theirs. Raises BenchmarkError where the losses are not
    equal."""
    case, sides = CASES[name], {}
    for role in ROLES:
        sides[role] = side(case, role, peers, folder)
    losses = {role: [sides[role].step() for _ in range(3)] for role in ROLES}
    apart = max(abs(a - b) for a, b in zip(losses["theirs"], losses["ours"], strict=True))
    if apart > CLOSE:
        raise BenchmarkError(f"{name}: losses of theirs and ours are {apart:.2g} apart ({losses}): no step is compared")
    times: dict[str, list[dict[str, float]]] = {role: [] for role in ROLES}
    for _ in range(rounds):
        for role in ("theirs", "ours", "ours", "theirs"):
            times[role].append(timed(sides[role].step))
    return {"losses": losses, "apart": apart, "steps": times}


def timed(call: Callable[[], Any]) -> dict[str, float]:
    """Seconds by the clock and of this process's CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def alone(name: str, role: str, peers: Path, folder: Path) -> dict[str, Any]:
    """In a process of its own: how long it takes to be ready, the peak of memory over three steps, and what is kept of
    it."""
    from mmidd.runs import checkpoint

    case = CASES[name]
    _imported(case, peers)
    wall = time.perf_counter()
    found = side(case, role, peers, folder)
    ready = time.perf_counter() - wall
    ready_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        found.step()
    every = list(found.module.parameters())
    state = checkpoint.stored(found.module) if role == "ours" else found.module.state_dict()
    return {
        "ready_s": ready,
        "ready_mib": ready_kib / 1024,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "parameters": sum(each.numel() for each in every),
        "trained": sum(each.numel() for each in every if each.requires_grad),
        "stored": sum(each.numel() for each in state.values()),
        "stored_mib": sum(each.numel() * each.element_size() for each in state.values()) / 2**20,
    }


def _imported(case: Case, peers: Path) -> None:
    """Libraries are not what is compared."""
    from transformers import CLIPModel  # noqa: F401

    importlib.import_module(f"mmidd.detectors.{case.detector}")
    gend_module(peers, "encoders.clip_encoder")


def start_up(peers: Path, times: int) -> dict[str, Any]:
    """One weight of CLIP ViT-L/14's size made ready, theirs and ours in turn."""
    from mmidd.detectors.effort import Residual

    replace = effort_functions(peers)["replace_with_svd_residual"]
    makers: dict[str, Callable[[nn.Linear], Any]] = {
        "theirs": lambda linear: replace(linear, FULL - 1),
        "ours": lambda each: Residual(each, 1),
    }
    found: dict[str, list[dict[str, float]]] = {role: [] for role in ROLES}
    torch.manual_seed(2)
    for number in range(times):
        weight = torch.randn(FULL, FULL) / FULL**0.5
        for role in ROLES if number % 2 else ROLES[::-1]:
            linear = nn.Linear(FULL, FULL)
            linear.weight.data.copy_(weight)
            found[role].append(timed(lambda make=makers[role], each=linear: make(each)))  # type: ignore[misc]
    return {"side": FULL, "weights_of_the_network": 96, "one": found}
