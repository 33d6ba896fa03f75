"""A Python function of the user's as something to score with: code of their own, run only where they name it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from mmidd.engine.files import digest, sha256_file
from mmidd.errors import MmiddError, ScoreError, UsageError
from mmidd.schema import FORGERY_TYPES
from mmidd.scoring.fed import FedPython, document, fed_by
from mmidd.scoring.model import Found, Look, checked

PREFIX = "python:"
_WHAT = "it takes uint8 RGB (n, side, side, 3) and gives (n,), how likely each is forged, or (n, 5), its types"


class PythonModel:
    """See `Model`. `about` has the sha256 of the file that the function is from, where it is from one."""

    def __init__(self, spec: str, function: Callable[[Any], Any], fed: FedPython, source: Path | None, name: str) -> None:
        self.look = Look(fed.side, fed.fit)
        self._function, self._whose = function, f"your function {name} ({spec})"
        sha256 = None if source is None else sha256_file(source)
        about = {"kind": "python", "name": name, "sha256": sha256, "fed": document(fed)}
        about["source"] = None if source is None else source.name
        self.about: Mapping[str, Any] = about | {"digest": digest(sha256, name, about["fed"])[:16]}

    def scores(self, batch: Mapping[str, Any]) -> Found:
        pixels = np.ascontiguousarray(batch["image"].permute(0, 2, 3, 1).numpy())
        rows = len(pixels)
        given = _called(lambda: self._function(pixels), self._whose)
        try:
            found = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
            if found.dtype.kind == "c":  # a cast would drop half of it
                raise TypeError("complex")
            found = found.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ScoreError(f"{self._whose} gave {type(given).__name__}: {_WHAT}") from error
        if found.shape == (rows, len(FORGERY_TYPES)):
            return checked(1 - found[:, 0], found, rows, self._whose)
        if found.shape != (rows,):
            raise ScoreError(f"{self._whose} gave an array of shape {found.shape} for {rows} images: {_WHAT}")
        return checked(found, None, rows, self._whose)


def opened_function(spec: str, words: Any) -> PythonModel:
    """Of `python:module:name` or `python:FILE.py:name`. Raises UsageError for what names no function, ScoreError for what
    its code raises."""
    where, _, name = spec.removeprefix(PREFIX).rpartition(":")
    if not where or not name.isidentifier():
        raise UsageError(f"{spec[:200]}: name a function of yours as python:FILE.py:NAME or python:package.module:NAME")
    fed = fed_by(FedPython, words)
    module = _file(Path(where), spec) if where.endswith(".py") else _module(where, spec)
    function = getattr(module, name, None)
    if not callable(function):
        there = [each for each, value in vars(module).items() if inspect.isfunction(value)][:8]
        raise UsageError(f"{spec}: there is no function {name!r} in {where}; {_WHAT}; it has {', '.join(there) or 'none'}")
    return PythonModel(spec, function, fed, _source(module), name)


def _source(module: Any) -> Path | None:
    found = getattr(module, "__file__", None)
    return Path(found) if found is not None and Path(found).is_file() else None


def _file(path: Path, spec: str) -> Any:
    if not path.is_file():
        raise UsageError(f"{spec}: there is no file {path}")
    made = importlib.util.spec_from_file_location(f"_mmidd_scored_{path.stem}", path)
    assert made is not None and made.loader is not None
    module, loader = importlib.util.module_from_spec(made), made.loader
    sys.modules[made.name] = module  # data classes look there
    _called(lambda: loader.exec_module(module), f"your file {path}, as it is imported,")
    return module


def _module(name: str, spec: str) -> Any:
    try:
        return _called(lambda: importlib.import_module(name), f"your module {name}, as it is imported,")
    except ScoreError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            raise UsageError(
                f"{spec}: {error.__cause__}; a module is found where it is installed: name a file as python:FILE.py:NAME"
            ) from error.__cause__
        raise


def _called(function: Callable[[], Any], whose: str) -> Any:
    """What it gives. What it prints goes to stderr: stdout is our one document."""
    try:
        with redirect_stdout(sys.stderr):
            return function()
    except (MmiddError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a sys.exit() of theirs is no end of ours
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{Path(last.filename).name}, line {last.lineno}"
        raise ScoreError(f"{whose} raised {type(error).__name__}: {str(error)[:300]} ({at}); mend its code") from error
