"""The options of verbs: each word once, given to a verb by the name of its field of `Options`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmidd.cli import complete
from mmidd.options import Options

if TYPE_CHECKING:
    from mmidd.engine.local import Local


class Device(StrEnum):
    """Where models run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class EngineKind(StrEnum):
    """Who runs the workers."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


Data = Annotated[
    str, typer.Option("--data", metavar="ROOT", help="The folder above the datasets' folders, or its s3://... address.")
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Worker processes (default: one a core; 0: this process alone).")
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="DATASET", help="Only this dataset (repeatable).", autocompletion=complete.datasets),
]
FollowLinks = Annotated[
    list[str] | None,
    typer.Option("--follow-links", metavar="ROOT", help="Links in the data may lead into this folder (repeatable)."),
]

WORDS: dict[str, Any] = {
    "recipe": Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe file, or a bundled one: sample, ff++, mmi-dd, mmi-dd-test, lnclip, lnclip-test.",
            autocompletion=complete.recipes,
        ),
    ],
    "data": Data,
    "out": Annotated[Path, typer.Option("--out", metavar="CORPUS", help="The corpus folder to make or to update.")],
    "work": Annotated[Path | None, typer.Option("--work", metavar="DIR", help="The work folder (default: CORPUS.work).")],
    "workers": Workers,
    "worker_memory": Annotated[
        float | None,
        typer.Option("--worker-memory", metavar="GB", min=0.1, help="Stop a worker that holds more; its medium is charged."),
    ],
    "device": Annotated[Device, typer.Option("--device", help="What finds faces; auto is the CPU.")],
    "engine": Annotated[EngineKind, typer.Option("--engine", help="Who does the work: this machine, or a cluster.")],
    "engine_settings": Annotated[
        list[str] | None,
        typer.Option("--engine-set", metavar="KEY=VALUE", help="ray: address, gpus. slurm: jobs, partition, minutes, ..."),
    ],
    "only": Only,
    "settings": Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe.")],
    "exclude": Annotated[
        Path | None,
        typer.Option("--exclude", metavar="FILE", help="Takedown list (sha256:, media:, identity: lines), kept for good."),
    ],
    "follow_links": FollowLinks,
    "require_all": Annotated[bool, typer.Option("--require-all", help="Fail if a dataset of the recipe is not there.")],
    "allow_removals": Annotated[bool, typer.Option("--allow-removals", help="Let rows of the existing corpus go.")],
}
"""Every option of a build, by its field of `Options`."""

STAGE_WORK = Annotated[Path, typer.Option("--work", metavar="DIR", help="The work folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]
RuleWord = Annotated[
    str, typer.Option("--rule", metavar="RULE", help="How validation chooses the threshold: eer, balanced, fpr=0.05.")
]
Holdout = Annotated[
    float | None,
    typer.Option("--holdout", metavar="SHARE", help="Validate on this share of train's groups, not on validation."),
]
TrainedOn = Annotated[
    Device, typer.Option("--device", help="Where networks are computed; auto is a GPU where there is one.")
]
MovedData = Annotated[
    str | None,
    typer.Option("--data", metavar="ROOT", help="Of a work folder that was moved or copied: the raw data's place."),
]
MovedOut = Annotated[
    Path | None, typer.Option("--out", metavar="CORPUS", help="Of a work folder that was moved or copied: its corpus.")
]
WorkFolder = Annotated[Path, typer.Argument(metavar="WORK", help="The work folder of a build (by default CORPUS.work).")]

_WHAT = ("recipe", "data")
_HOW = (
    "workers", "worker_memory", "device", "engine", "engine_settings", "only", "settings", "exclude", "follow_links",
    "require_all",
)  # fmt: skip
STAGE = (*_WHAT, "work", *_HOW)
"""What a single stage is told."""
CORPUS = (*_WHAT, "out", "work", *_HOW)
"""What a command is told that has to do with a corpus."""
REMOVING = (*CORPUS, "allow_removals")

Verb = Callable[..., int]


def takes(*names: str) -> Callable[[Verb], Verb]:
    """Give a verb these options: it is called with an `Options`, and with its own parameters by name.

    Typer reads a function's signature; this writes it. `out` is required where it is taken, `work` where `out` is not.
    """
    defaults = {each.name: None if each.default is MISSING else each.default for each in fields(Options)}

    def parameter(name: str) -> inspect.Parameter:
        required = name in ("recipe", "data", "out") or (name == "work" and "out" not in names)
        kind = STAGE_WORK if name == "work" and required else WORDS[name]
        default = inspect.Parameter.empty if required else defaults[name] if defaults[name] != () else None
        default = Device.auto if name == "device" else EngineKind.local if name == "engine" else default
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)

    def decorate(verb: Verb) -> Verb:
        own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]

        def command(**given: Any) -> int:
            told: dict[str, Any] = {name: given.pop(name) for name in names}
            return verb(Options(**{name: _plain(each) for name, each in told.items()}), **given)

        given = [*map(parameter, names), *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own)]
        command.__name__, command.__doc__ = verb.__name__, verb.__doc__
        command.__signature__ = inspect.Signature(given)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in given}
        return command

    return decorate


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, StrEnum) else value


@contextmanager
def early(options: Options) -> Iterator[Local | None]:
    """The local engine, whose workers start while this process still imports what it needs: for a first build alone, which
    is known to have work for them."""
    if options.engine != EngineKind.local or options.workers == 0 or options.work_folder.exists():
        yield None
        return
    from mmidd.engine.local import Local, usable_cores
    from mmidd.engine.units import Resources

    loaded = ["mmidd.stages.extract", "onnxruntime", "onnx"]
    engine = Local(options.workers or usable_cores(), Resources(), options.memory_bytes, loaded)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()
