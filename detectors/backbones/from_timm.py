"""Networks of timm, by its names or out of a folder that its `save_for_hf` wrote."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from mmidd.errors import UsageError, WrongWeights

from . import files
from .files import RANDOM, Files, Named, Weights, on_meta, unknown
from .towers import TimmTower

TIMM_TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny": ("test_vit", {"img_size": 64, "patch_size": 8}),
    "tiny-cnn": ("test_efficientnet", {}),
    "tiny-swin": (
        "swin_tiny_patch4_window7_224",
        {"img_size": 64, "window_size": 8, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4)},
    ),
}
_TINY_SIDE = 64
_KEPT = ("mean", "std", "input_size", "fixed_input_size")


@dataclass(frozen=True)
class _Plan:
    """How timm builds a network: the architecture's name, arguments of its class, what its card (`pretrained_cfg`) says
    otherwise, the side and classes of the files, and the Hub's repository."""

    architecture: str
    arguments: dict[str, Any]
    card: dict[str, Any]
    side: int
    classes: int
    repo: str | None


def timm_tower(named: Named, weights: Weights) -> TimmTower:
    """Raises UsageError for an unknown network, MissingWeights, WrongWeights."""
    plan = _of_folder(named) if named.folder is not None else _of_name(named)
    kind = _class_of(plan.architecture)
    accepted = inspect.signature(kind).parameters
    strange = sorted(set(plan.arguments) - set(accepted)) or ["in_chans"] * (plan.arguments.get("in_chans", 3) != 3)
    if strange:  # among them what would make timm open other files
        raise WrongWeights(
            f"backbone {named.whole!r}: its config.json has model_args that a {kind.__name__} of colour images is not made "
            f"of: {', '.join(strange)[:80]}"
        )
    arguments = {**plan.arguments, **_sized(plan, named.side, accepted)}
    if "dinov" in plan.architecture:  # GenD, as DINO's authors, takes the class token; timm the mean of the patches
        arguments["global_pool"] = "token"
    if weights == "random" or on_meta():
        with files.loading(named.whole):
            model = _create(plan, arguments, num_classes=0, pretrained_cfg_overlay=plan.card)
        found = None
    else:
        found = _files(named, plan)
        deep = arguments.get("depth", arguments.get("depths", arguments.get("layers", 0)))
        files.check_size(named.whole, found, deep, lambda: _create(plan, arguments, num_classes=plan.classes))
        with files.loading(named.whole), _all_loaded(named.whole, kind):
            card = {**plan.card, "file": str(found.tensors[0]), "source": "", "custom_load": False}
            model = _create(plan, arguments, pretrained=True, num_classes=plan.classes, pretrained_cfg_overlay=card)
            model.reset_classifier(0, *([arguments["global_pool"]] if "global_pool" in arguments else []))
    if hasattr(getattr(model, "patch_embed", None), "patch_size"):
        named.check_side(max(model.patch_embed.patch_size))
    return TimmTower(model.eval(), named.side or plan.side, found.source() if found else RANDOM)


def _create(plan: _Plan, arguments: dict[str, Any], **how: Any) -> Any:
    import timm

    return timm.create_model(plan.architecture, **how, **arguments)


def _of_name(named: Named) -> _Plan:
    import timm

    if named.rest in TIMM_TINY:
        architecture, arguments = TIMM_TINY[named.rest]
        return _Plan(architecture, arguments, {}, _TINY_SIDE, 0, None)
    known = timm.list_pretrained() if "." in named.rest else timm.list_models()
    if named.rest not in known:
        raise unknown(named.whole, [f"timm:{each}" for each in known])
    card = timm.models.get_pretrained_cfg(named.rest)
    return _Plan(named.rest, {}, {}, card.input_size[-1], card.num_classes, card.hf_hub_id or None)


def _of_folder(named: Named) -> _Plan:
    import timm

    assert named.folder is not None
    config = files.read_config(named.whole, named.folder)
    architecture = str(config.get("architecture"))
    if not timm.is_model(architecture):
        raise UsageError(
            f"backbone {named.whole!r}: timm has no architecture {architecture[:60]!r}, which its config.json names"
        )
    try:
        stated = {**config, **(config.get("pretrained_cfg") or {})}
        arguments = dict(config.get("model_args") or {})
        classes = int(arguments.pop("num_classes", config.get("num_classes", 0)))
        base = timm.models.get_pretrained_cfg(architecture, allow_unregistered=True)
        if any(len([float(part) for part in stated[key]]) != 3 for key in ("mean", "std") if key in stated):
            raise ValueError("of three colours")
        if not all(0 < float(part) < math.inf for part in stated.get("std", ())):
            raise ValueError("a spread is over 0")
        if not all(math.isfinite(float(part)) for part in stated.get("mean", ())):
            raise ValueError("a mean is a number")
        size = arguments.get("img_size") or stated.get("input_size") or (base.input_size if base else 224)
        side = int(size if isinstance(size, int) else size[-1])
        if not 0 < side < 10_000 or not 0 <= classes < 1_000_000:
            raise ValueError("of a network of images")
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise WrongWeights(f"backbone {named.whole!r}: its config.json is none that timm writes") from error
    card = {**{key: stated[key] for key in _KEPT if key in stated}, "num_classes": classes}
    return _Plan(architecture, arguments, card, side, classes, None)


def _files(named: Named, plan: _Plan) -> Files:
    if named.folder is not None:
        found = files.in_folder(named.whole, named.folder)
    elif named.rest in TIMM_TINY:
        raise UsageError(f"backbone {named.whole!r} has no pretrained weights, it is for tests: add weights=random")
    elif plan.repo is None:
        raise UsageError(
            f"backbone {named.whole!r}: timm knows no weights of it on the Hub; choose another, give a folder, or "
            "weights=random. Where timm has them at an address of its own, this makes a folder of them once (it opens that "
            'pickle without running what is in it): python -c "import timm; timm.models.save_for_hf(timm.create_model('
            f"'{named.rest}', pretrained=True), 'FOLDER', safe_serialization=True)\""
        )
    else:
        found = files.on_hub(named.whole, plan.repo)
    if len(found.tensors) != 1:
        raise UsageError(
            f"backbone {named.whole!r}: timm reads one model.safetensors, not parts of one; save it as one file"
        )
    return found


def _sized(plan: _Plan, side: int | None, accepted: Any) -> dict[str, Any]:
    """What makes the network take images of another side: positions interpolated as it sees them, else as it loads."""
    if side is None or side == plan.side:
        return {}
    if "dynamic_img_size" in accepted:
        return {"dynamic_img_size": True}
    return {"img_size": side} if "img_size" in accepted else {}


def _class_of(architecture: str) -> Any:
    import timm

    with torch.device("meta"):
        return type(timm.create_model(architecture, num_classes=0))


@contextmanager
def _all_loaded(name: str, kind: Any) -> Iterator[None]:
    """timm loads some networks leniently and says nothing of what stays random: whatever it asks for, every parameter must
    get its value, and none may be left over."""
    own = kind.__dict__.get("load_state_dict")

    def load(self: Any, state: Any, strict: bool = True, assign: bool = False) -> Any:
        values = self.state_dict()
        both = [key for key in values if key in state]
        sizes = [(key, state[key].shape, values[key].shape) for key in both if state[key].shape != values[key].shape]
        files.check_all_loaded(name, set(values) - set(state), set(state) - set(values), sizes)
        return super(kind, self).load_state_dict(state, strict=True, assign=assign)

    kind.load_state_dict = load
    try:
        yield
    finally:
        if own is None:
            del kind.load_state_dict
        else:
            kind.load_state_dict = own
