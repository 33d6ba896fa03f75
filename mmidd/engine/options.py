"""Which engine runs a build: its kind, and its options as the command line gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmidd.engine.local import Inline, Local
from mmidd.engine.needs import Needs
from mmidd.engine.ray import Ray
from mmidd.engine.run import UnitEngine
from mmidd.engine.slurm import Settings, Slurm
from mmidd.engine.units import Engine, Resources
from mmidd.errors import UsageError

Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def has_gpus(self) -> bool:
        """Whether workers are given GPUs on other machines."""
        return False

    @property
    def at_once(self) -> int:
        """How many sets of `--workers` there are."""
        return 1

    def words(self) -> list[str]:
        """As the command line would give them."""
        given = self.model_dump(exclude={"kind"}, exclude_defaults=True)
        return [f"{key}={value}" for key, value in sorted(given.items())]


class LocalOptions(_Options):
    """Worker processes on this machine: there is nothing to choose beside `--workers`."""

    kind: Literal["local"] = "local"


class RayOptions(_Options):
    """Workers on a Ray cluster: its address (`local` starts one here, `auto` finds one), and a worker's share of a GPU."""

    kind: Literal["ray"] = "ray"
    address: Text = "local"
    gpus: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0

    @property
    def has_gpus(self) -> bool:
        return self.gpus > 0


class SlurmOptions(_Options):
    """Slurm jobs: how many run at once, what each gets, and how often one may be lost in a row without a commit."""

    kind: Literal["slurm"] = "slurm"
    cluster: Literal["slurm", "local"] = "slurm"
    jobs: Annotated[int, Field(ge=1, le=1000)] = 8
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    minutes: Annotated[int, Field(ge=1)] = 1440
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    partition: Text | None = None
    account: Text | None = None
    qos: Text | None = None
    constraint: Text | None = None
    attempts: Annotated[int, Field(ge=1, le=20)] = 3

    @property
    def has_gpus(self) -> bool:
        return self.gpus > 0

    @property
    def at_once(self) -> int:
        return self.jobs

    def settings(self) -> Settings:
        """As the engine and submitit want them."""
        named = {f"slurm_{name}": getattr(self, name) for name in ("partition", "account", "qos", "constraint")}
        asked = {"timeout_min": self.minutes, "gpus_per_node": self.gpus or None, "mem_gb": self.memory_gb, **named}
        given = {name: value for name, value in asked.items() if value is not None}
        return Settings(self.cluster, self.jobs, self.attempts, given)


EngineOptions = LocalOptions | RayOptions | SlurmOptions

KINDS: Mapping[str, type[EngineOptions]] = {"local": LocalOptions, "ray": RayOptions, "slurm": SlurmOptions}


def parse(kind: str, settings: Sequence[str] = ()) -> EngineOptions:
    """Options from `key=value` words. Raises UsageError that names the word, and what could be said instead."""
    known = [name for name in KINDS[kind].model_fields if name != "kind"]
    values: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in known:
            told = f"takes {', '.join(f'{name}=...' for name in known)}" if known else "takes no --engine-set"
            raise UsageError(f"--engine-set {setting}: --engine {kind} {told}")
        values[key] = value
    try:
        return KINDS[kind].model_validate(values)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False)
        raise UsageError(f"--engine-set {first['loc'][0]}={first['input']}: {first['msg']}") from error


def make_engine(
    options: EngineOptions, workers: int | None, cores: int, resources: Resources, paths: Iterable[Path], memory: int | None
) -> Engine | UnitEngine:
    """The engine; nothing starts before it is used.

    `workers` None: one a core of this machine, also in each Slurm job; on a Ray cluster one a core (or GPU share) of it.
    `paths` must be seen by workers on other machines. `memory` is what each worker may hold, in bytes.
    """
    if isinstance(options, LocalOptions):
        count = cores if workers is None else workers
        return Inline(resources) if count == 0 else Local(count, resources, memory)
    if workers == 0:
        raise UsageError(f"--workers 0 is this process alone; leave it out, or give a number, with --engine {options.kind}")
    needs = Needs.here(resources, paths, memory)
    if isinstance(options, RayOptions):
        return Ray(options.address, workers, options.gpus, needs)
    return Slurm(options.settings(), workers or cores, needs)
