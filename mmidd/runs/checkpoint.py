"""Checkpoints: safetensors and JSON in a folder each, which is whole or not there; the last two are kept, and the best one.

    checkpoints/step-00001200/{model,optimiser}.safetensors, state.json     best/{model.safetensors,state.json}

`state.json` holds the sizes and checksums of the other files and one of itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors, fsync_folder, sha256_file
from mmidd.errors import WorkError, reason
from mmidd.runs import tensors
from mmidd.runs.detector import Network

FORMAT = "mmidd checkpoint 1"
KEPT = 2
MODEL, OPTIMISER, STATE = "model.safetensors", "optimiser.safetensors", "state.json"
BEST = "best"
_NAME = re.compile(r"step-(\d{8,})(?:-(\d+))?")
_MOST_STATE = 64 << 20
_TOLD = 3
"""Differences that a message lists."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """After `step` steps: `network` as `Network.stored` names it, the optimiser's tensors by name, and what else is needed
    to go on, JSON (no NaN)."""

    step: int
    network: Mapping[str, torch.Tensor]
    optimiser: Mapping[str, torch.Tensor] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)


class Damaged(Exception):
    """What lies there is no whole checkpoint."""


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Add one to `folder`; the older of them but the last are removed once it is there for good, as is any that is further:
    the run does not go on from it. The folder it lies in.

    Raises WorkError where the disk refuses; then those before are as they were.
    """
    name = f"step-{checkpoint.step:08d}"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        before = _listed(folder)
        again = [_order(path)[1] for path in before if _order(path)[0] == checkpoint.step]
        place = folder / (f"{name}-{max(again) + 1}" if again else name)
        _put(folder / f".{place.name}.writing", place, checkpoint, (MODEL, OPTIMISER))
        sooner = [path for path in before if _order(path) < _order(place)]
        for path in [*sooner[: 1 - KEPT], *(each for each in before if each not in sooner)]:
            _remove(path)
    return place


def latest(folder: Path, tell: Callable[[str], None]) -> Checkpoint | None:
    """The last whole one, None where there is none yet. `tell` hears of damaged and of interrupted ones.

    Raises WorkError where there are some and none is whole: nothing begins anew unasked.
    """
    if not folder.exists():
        return None
    with _reading(folder):
        for path in sorted(folder.glob(".step-*.writing")):
            tell(f"{folder / path.name[1:].removesuffix('.writing')} was interrupted while it was written; it is left out")
        every = _listed(folder)
    for path in reversed(every):
        try:
            return read(path)
        except Damaged as error:
            tell(f"checkpoint {path} is damaged, the one before is taken: {error}")
    if every:
        raise WorkError(
            f"none of the {len(every)} checkpoints in {folder} is whole: get them back from a copy, or remove the folder "
            "to train from the first step again"
        )
    return None


def write_best(run: Path, checkpoint: Checkpoint, beside: Mapping[str, Callable[[Path], None]] | None = None) -> Path:
    """Put the best so far (without its optimiser) into `run`/best in the place of the one before, and `beside` it files that
    these functions write."""
    place, old = run / BEST, run / f".{BEST}.old"
    with disk_errors(place):
        run.mkdir(parents=True, exist_ok=True)
        if old.is_dir() and not place.exists():
            old.rename(place)
        writing = run / f".{BEST}.writing"
        for left in (old, writing):
            _gone(left)
        _write(writing, checkpoint, (MODEL,), beside)
        if place.exists():
            place.rename(old)
            fault("best_between", place)
        writing.rename(place)
        fsync_folder(run)
        _gone(old)
    return place


def read_best(run: Path) -> Checkpoint:
    """What `write_best` put there. Raises WorkError where there is none, or a damaged one."""
    place = next((run / name for name in (BEST, f".{BEST}.old") if (run / name).is_dir()), None)
    if place is None:
        raise WorkError(f"{run} holds no trained network yet (no {BEST}/): train it further, it is made at a validation")
    try:
        return read(place)
    except Damaged as error:
        raise WorkError(f"{place} is damaged: {error}. Get a copy of it, or train again into another folder") from None


def read(path: Path) -> Checkpoint:
    """The checkpoint in a folder. Raises Damaged with what is off, WorkError where it cannot be read at all."""
    with _reading(path):
        try:
            about = _about(path / STATE)
            found = {name: _tensors(path / name, listed) for name, listed in about["files"].items()}
        except FileNotFoundError as error:
            raise Damaged(f"{Path(error.filename or path).name} is missing") from error
    return Checkpoint(about["step"], found[MODEL], found.get(OPTIMISER, {}), about["state"])


def stored(network: Network) -> dict[str, torch.Tensor]:
    """What a checkpoint holds of a network, by name."""
    every = network.state_dict()
    return {name: every[name] for name in network.stored()}


def restore(network: Network, found: Mapping[str, torch.Tensor]) -> None:
    """Put what `stored` gave into a network of the same kind. Raises WorkError, and changes nothing, where names, shapes or
    kinds are others."""
    own = stored(network)
    wrong = [f"{name} is missing" for name in own if name not in found]
    wrong += [f"{name[:80]!r} is unknown" for name in found if name not in own]
    for name in own.keys() & found.keys():
        there, here = found[name], own[name]
        if there.shape != here.shape:
            wrong.append(f"{name} is {tuple(there.shape)}, not {tuple(here.shape)}")
        elif there.dtype != here.dtype:
            wrong.append(f"{name} is {there.dtype}, not {here.dtype}")
    if wrong:
        more = f", and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise WorkError(
            "the checkpoint is of another detector, another backbone or other options than this network: "
            f"{'; '.join(sorted(wrong)[:_TOLD])}{more}. Take the detector and the options that its run.json names"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(found[name])


def _put(writing: Path, place: Path, checkpoint: Checkpoint, names: tuple[str, ...]) -> None:
    _write(writing, checkpoint, names)
    fault("checkpoint_before_rename", place)
    writing.rename(place)
    fault("checkpoint_renamed", place)
    fsync_folder(place.parent)


def _write(
    folder: Path, checkpoint: Checkpoint, names: tuple[str, ...], beside: Mapping[str, Callable[[Path], None]] | None = None
) -> None:
    """All files of one, synced; nothing is left where that fails."""
    folder.mkdir()
    try:
        of = {MODEL: checkpoint.network, OPTIMISER: checkpoint.optimiser}
        files = {}
        for name in names:
            fault("checkpoint_file", folder / name)
            files[name] = tensors.write(folder / name, of[name])
            fault("checkpoint_written", folder / name, folder / name)
        for name, write_it in (beside or {}).items():
            write_it(folder / name)
            with (folder / name).open("rb") as file:
                os.fsync(file.fileno())
        state = json.loads(json.dumps(dict(checkpoint.state), allow_nan=False))  # as it will be read
        about = {"format": FORMAT, "step": checkpoint.step, "files": files, "state": state}
        told = json.dumps({**about, "digest": digest(about)}, indent=1)
        with (folder / STATE).open("x", encoding="utf-8") as file:
            file.write(told + "\n")
            file.flush()
            os.fsync(file.fileno())
        fsync_folder(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # a full disk gets its room back
        raise


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkError(f"cannot read {path}: {reason(error) or os.strerror(error.errno or 0)}") from error


def _about(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        data = file.read(_MOST_STATE + 1)
    if len(data) > _MOST_STATE:
        raise Damaged(f"{STATE} has more than {_MOST_STATE >> 20} MiB")
    try:
        about = json.loads(data)
        said = about.pop("digest")
        form, step, files, state = (about[key] for key in ("format", "step", "files", "state"))
        sound = digest(about) == said
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Damaged(f"{STATE} is no JSON of ours") from None
    if form != FORMAT:
        raise Damaged(f"{STATE} is of another format ({str(form)[:40]!r}, this mmidd writes {FORMAT!r})")
    named = isinstance(files, dict) and MODEL in files and set(files) <= {MODEL, OPTIMISER}
    if not sound or not named or type(step) is not int or step < 0 or not isinstance(state, dict):
        raise Damaged(f"{STATE} was changed: its checksum is another")
    found: dict[str, Any] = about
    return found


def _tensors(path: Path, listed: Any) -> dict[str, torch.Tensor]:
    """Those of a file that is as it is listed."""
    size = path.stat().st_size
    if not isinstance(listed, dict) or listed.get("bytes") != size:
        raise Damaged(f"{path.name} has {size:,} bytes, not those that were written")
    if listed.get("sha256") != sha256_file(path):
        raise Damaged(f"{path.name} was changed: its checksum is another")
    try:
        return tensors.read(path)
    except tensors.NoTensors as error:
        raise Damaged(f"{path.name}: {error}") from error


def _order(path: Path) -> tuple[int, int]:
    found = _NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1]), int(found[2] or 0)


def _listed(folder: Path) -> list[Path]:
    """The checkpoints by step, whole or not."""
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()), key=_order)


def _remove(path: Path) -> None:
    """First its name, so that no half of it is taken for one."""
    gone = path.with_name(f".{path.name}.removed")
    path.rename(gone)
    fault("checkpoint_removing", gone)
    _gone(gone)


def _clear(folder: Path) -> None:
    """What a killed writer left."""
    for path in [*folder.glob(".step-*.writing"), *folder.glob(".step-*.removed")]:
        _gone(path)


def _gone(path: Path) -> None:
    """Remove a folder, or of a link the link alone."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
