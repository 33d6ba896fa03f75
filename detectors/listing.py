"""What `mmidd detectors` says: all reference detectors by what is known without importing one, and all about one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from mmidd.errors import MmiddError, sanitised
from mmidd.registry import OURS, Listed
from mmidd.results import Result
from mmidd.show import detectors as show

from .registry import REFERENCE_DETECTORS, Facts, reference_detector

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from mmidd.runs.detector import Detector, DetectorOptions, Network, Preset
    from mmidd.runs.settings import Settings


@dataclass(frozen=True)
class Known:
    """A reference detector as the table has it; `facts` only of mmidd's own."""

    listed: Listed
    facts: Facts | None

    def document(self) -> dict[str, Any]:
        told = asdict(self.listed)
        del told["kind"]
        return told | ({} if self.facts is None else asdict(self.facts))


@dataclass(frozen=True, repr=False)
class Detectors(Result):
    """The reference detectors, of mmidd and of other packages, here and now."""

    rows: tuple[Known, ...]

    def tell(self, console: Console) -> None:
        show.detectors(console, self)

    def document(self) -> dict[str, Any]:
        return {"detectors": [row.document() for row in self.rows]}


def detectors() -> Detectors:
    """Every reference detector; none is imported."""
    own = {row.name: row.facts for row in REFERENCE_DETECTORS.rows}
    listed = REFERENCE_DETECTORS.listed()
    return Detectors(tuple(Known(each, own.get(each.name) if each.source == OURS else None) for each in listed))


@dataclass(frozen=True)
class Option:
    """`values`: what it may be, in words."""

    name: str
    default: Any
    values: str
    meaning: str


@dataclass(frozen=True)
class Size:
    """A network by its preset: `side` and `frames` of what it sees, its parameters, those that are trained, and the bytes
    that these take as they are held, with gradients and the optimiser's state in float32, activations not counted.
    `compares`: the terms that compare rows."""

    side: int
    frames: int
    parameters: int
    trained: int
    held_bytes: int
    compares: tuple[str, ...]


@dataclass(frozen=True)
class PresetFacts:
    """`options` and `settings`: all that differ from the defaults. `size`: None where the network could not be made, for
    `why`."""

    name: str
    options: dict[str, Any]
    settings: dict[str, Any]
    size: Size | None
    why: str | None = None


@dataclass(frozen=True, repr=False)
class About(Result):
    """All about one reference detector. `version`: of another package that brings it. `needs`: columns that it cannot be
    trained without, with its options as they are by default, and what to do without one, empty where nothing can be done.
    `then`: the command of its second stage, empty where it has none."""

    name: str
    source: str
    version: str | None
    title: str
    paper: str
    code: str
    code_licence: str
    backbone: str
    backbone_licence: str
    needs: dict[str, str]
    uses: tuple[str, ...]
    open_questions: tuple[str, ...]
    presets: tuple[PresetFacts, ...]
    options: tuple[Option, ...]
    command: tuple[str, ...]
    then: tuple[str, ...]

    def tell(self, console: Console) -> None:
        show.about(console, self)

    def document(self) -> dict[str, Any]:
        return asdict(self)


def about(name: str) -> About:
    """All about the reference detector of that name; it is imported, and its networks are laid out without memory. Errors as
    `reference_detector`'s."""
    detector = reference_detector(name)
    return REFERENCE_DETECTORS.ask(name, _about, name, detector)


def _about(name: str, detector: Detector) -> About:
    plugin = REFERENCE_DETECTORS.plugin(name)
    needs = {**dict.fromkeys(detector.needs, ""), **detector.options().needs()}
    return About(
        name, plugin.package if plugin else OURS, plugin.version if plugin else None,
        detector.title, detector.paper, detector.code, detector.code_licence, detector.backbone, detector.backbone_licence,
        needs, tuple(each for each in detector.uses if each not in needs), detector.open_questions,
        tuple(_preset(detector, each, preset) for each, preset in detector.presets.items()),
        tuple(options_of(detector.options)),
        ("mmidd", "train", name, "CORPUS", "--out", "RUN", "--preset", next(iter(detector.presets), "paper")),
        _then(name, detector),
    )  # fmt: skip


def _then(name: str, detector: Detector) -> tuple[str, ...]:
    later = next((each for each, preset in detector.presets.items() if preset.options.get("stage") == "reinforce"), None)
    return ("mmidd", "train", name, "CORPUS", "--out", "RUN2", "--preset", later, "--set", "start=RUN") if later else ()


def _preset(detector: Detector, name: str, preset: Preset) -> PresetFacts:
    from mmidd.runs.settings import Settings

    options, settings = detector.options(**preset.options), Settings(**preset.settings)
    changed = _changed(options, detector.options()), _changed(settings, Settings())
    try:
        network = laid_out(detector, options)
    except (MmiddError, ImportError) as error:
        return PresetFacts(name, *changed, None, sanitised(str(error)))
    return PresetFacts(name, *changed, _size(network, settings))


def _changed(given: BaseModel, defaults: BaseModel) -> dict[str, Any]:
    """By their JSON values."""
    usual = defaults.model_dump(mode="json")
    return {key: value for key, value in given.model_dump(mode="json").items() if value != usual[key]}


def laid_out(detector: Detector, options: DetectorOptions) -> Network:
    """The detector's network on torch's `meta` device: without memory or values, and no file of weights is read."""
    import torch

    with torch.device("meta"):
        return detector.build(options)


_MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}


def _size(network: Network, settings: Settings) -> Size:
    trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    every = sum(each.numel() for each in network.parameters())
    held = sum(each.numel() * each.element_size() for each in network.parameters())
    seen = network.input
    return Size(
        seen.side, seen.frames, every, trained, held + 4 * trained * (1 + _MOMENTS[settings.optimiser]), network.compares
    )


def options_of(options: type[BaseModel]) -> Iterator[Option]:
    """Each field of a detector's options, or of `Settings`, in their order."""
    defaults = options().model_dump(mode="json")
    for name, field in options.model_fields.items():
        yield Option(name, defaults[name], _values(field.annotation), field.description or "")


def _values(annotation: Any) -> str:
    """A type in words: `float`, `pretrained | random`, `int | null`."""
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_values, get_args(annotation)))
    if annotation is type(None):
        return "null"
    if get_origin(annotation) is Annotated:
        return _values(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        return f"[{', '.join(map(_values, get_args(annotation)))}]"
    if get_origin(annotation) is Mapping:
        name, value = map(_values, get_args(annotation))
        return f"{{{name}: {value}, ...}}"
    return annotation.__name__ if type(annotation) is type else str(annotation)
