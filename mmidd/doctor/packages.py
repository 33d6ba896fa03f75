"""Python, mmidd itself, and the packages that it needs or can use. Versions come from metadata; nothing is imported here."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mmidd import __version__
from mmidd.doctor.report import Check, ask, shown

NAME = "mmidd"
IN_PLACE_OF: Mapping[str, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-rocm", "onnxruntime-openvino", "onnxruntime-directml"),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
}
"""Packages that bring the same module as one that mmidd requires."""
FACENET = "2.5.3"
_MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_ASK_S = 60.0


def interpreter() -> Iterator[Check]:
    """Python and the platform."""
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.platform()}, {sys.executable}"
    lowest = _requires_python()
    if not _within(platform.python_version(), lowest):
        advice = f"mmidd needs Python {lowest}: make a virtual environment with such a Python and install mmidd into it"
        yield Check("python", "interpreter", "problem", shown(found), advice)
    elif sys.platform != "linux":
        yield Check("python", "interpreter", "warning", shown(found), "mmidd was only ever tried on Linux")
    else:
        yield Check("python", "interpreter", "ok", shown(found))


def _requires_python() -> str:
    try:
        return metadata.metadata(NAME)["Requires-Python"] or ">=3.11"
    except (metadata.PackageNotFoundError, KeyError):
        return ">=3.11"


def installation() -> Iterator[Check]:
    """mmidd's version, and where it is installed from."""
    here = Path(__file__).parents[1]
    try:
        found = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        what = f"{__version__} in {shown(here)}, which is not installed"
        yield Check(
            "python", NAME, "warning", what, "what it requires cannot be looked up: pip install -e . in its checkout"
        )
        return
    origin = _origin(found)
    what = f"{__version__} in {shown(here)}" + (f", installed from {shown(origin)}" if origin else "")
    version = _version(NAME)
    if version != __version__:
        advice = "what is installed is older or newer than the code that runs: install it again (make setup, or pip install)"
        yield Check("python", NAME, "warning", f"{what}; its metadata say {version or 'no version'}", advice)
    else:
        yield Check("python", NAME, "ok", what)


def _origin(found: metadata.Distribution) -> str | None:
    """The folder or address that pip installed from, without whatever is secret in it; None for a package index."""
    try:
        about = json.loads(found.read_text("direct_url.json") or "null")
        parts = urlsplit(str(about["url"]))
    except (ValueError, TypeError, LookupError):
        return None
    if parts.scheme == "file":
        return unquote(parts.path) + (" (editable)" if about.get("dir_info", {}).get("editable") else "")
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else None


@dataclass(frozen=True)
class Need:
    """A package that mmidd requires, by `extra` (None: always). `range` is None where it could not be read."""

    name: str
    range: str | None
    extra: str | None
    extras: tuple[str, ...] = ()


@cache
def _packaging() -> Any:
    """packaging, which others bring along; None where it is not there."""
    try:
        import packaging.requirements as found
        import packaging.specifiers  # noqa: F401
    except Exception:
        return None
    return found


def needs() -> list[Need]:
    """What mmidd's metadata require. Raises PackageNotFoundError where mmidd is not installed."""
    found = []
    for line in metadata.requires(NAME) or ():
        extra = _EXTRA.search(line)
        need = _need(line, extra[1] if extra else None)
        if need is not None:
            found.append(need)
    return found


def _need(line: str, extra: str | None) -> Need | None:
    """One line of metadata; None where it is for another platform."""
    packaging = _packaging()
    if packaging is None:
        name = _NAME.match(line)
        inside = re.match(r"[^\[;]*\[([^\]]*)\]", line)
        words = tuple(word.strip() for word in inside[1].split(",")) if inside else ()
        return Need(_canonical(name[0]), None, extra, words) if name else None
    read = packaging.Requirement(line)
    if read.marker is not None and not read.marker.evaluate({"extra": extra or ""}):
        return None
    return Need(_canonical(read.name), str(read.specifier), extra, tuple(sorted(read.extras)))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(name: str) -> str | None:
    """The installed version; None where the package is not there, "" where its metadata are broken."""
    try:
        return metadata.version(name) or ""
    except metadata.PackageNotFoundError:
        return None
    except Exception:  # metadata without a version, or that cannot be read
        return ""


def _within(version: str, wanted: str | None) -> bool:
    """Is a version in a range? True where nobody can say."""
    if _packaging() is None or not wanted:
        return True
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _fault(need: Need) -> str | None:
    """What is wrong with a package that is needed: one clause, None if nothing is."""
    version = _version(need.name)
    if version is None:
        return None if any(_version(other) for other in IN_PLACE_OF.get(need.name, ())) else "not installed"
    if not version:
        return "its metadata are broken"
    if not _within(version, need.range):
        return f"{version}, but {need.range} is needed"
    return None if _has_module(need.name) else f"{version} by its metadata, but its module is not there"


def _has_module(name: str) -> bool:
    """Is the module of a required package there? True for packages whose module has a name that is not known here."""
    module = _MODULES.get(name, name.replace("-", "_"))
    try:
        found = find_spec(module) is not None
    except (ImportError, ValueError):
        return False
    return found or (name not in _MODULES and not _is_required(name))


@cache
def _is_required(name: str) -> bool:
    return any(need.name == name and need.extra is None for need in needs())


def requirements() -> Iterator[Check]:
    """Everything that mmidd cannot do without."""
    try:
        required = [need for need in needs() if need.extra is None]
    except metadata.PackageNotFoundError:
        return  # said by `installation`
    if _packaging() is None:
        advice = "pip install packaging"
        yield Check(
            "packages", "packaging", "note", "not installed: versions are not compared with what mmidd needs", advice
        )
    for need in required:
        fault = _fault(need)
        if fault is None:
            yield Check("packages", need.name, "ok", _installed(need))
        else:
            again = "--force-reinstall --no-deps " if "metadata" in fault else ""
            yield Check("packages", need.name, "problem", fault, f"pip install {again}'{need.name}{need.range or ''}'")


def _installed(need: Need) -> str:
    version = _version(need.name)
    if version is not None:
        return version
    other = next(name for name in IN_PLACE_OF[need.name] if _version(name))
    return f"{other} {_version(other)} in its place"


def clashes() -> Iterator[Check]:
    """Packages that write over each other, and one whose other versions do not work."""
    opencv = ("opencv-python-headless", *IN_PLACE_OF["opencv-python-headless"])
    for name, kind in (("OpenCV", opencv), ("onnxruntime", ("onnxruntime", *IN_PLACE_OF["onnxruntime"]))):
        there = [package for package in kind if _version(package) is not None]
        if len(there) > 1:
            keep = there[0] if name == "OpenCV" else there[1]
            advice = f"pip uninstall -y {' '.join(there)}, then pip install {keep}"
            yield Check("packages", f"one {name}", "warning", f"{' and '.join(there)} overwrite each other's files", advice)
        else:
            yield Check("packages", f"one {name}", "ok", f"one package brings it ({', '.join(there) or 'none'})")
    version = _version("facenet-pytorch")
    if version is not None and version != FACENET:
        found = f"{version or 'broken metadata'}: only {FACENET} is known to work with this torch and numpy"
        yield Check("packages", "facenet-pytorch", "warning", found, f"pip install 'facenet-pytorch=={FACENET}'")


IMPORTS = {
    "av": "import av; return {'libraries': {k: list(v) for k, v in av.library_versions.items()}}",
    "cv2": "import cv2; return cv2.__version__",
    "numpy": "import numpy; return numpy.__version__",
    "pyarrow": "import pyarrow; return pyarrow.__version__",
}
"""Packages of compiled code: whether they load shows only in a process that tries."""


def imports() -> Iterator[Check]:
    """Do the compiled packages load, and which FFmpeg does PyAV carry?"""
    there = {name: source for name, source in IMPORTS.items() if find_spec(name) is not None}
    for name, asked in ask(there, _ASK_S).items():
        if asked.fault is not None:
            package = {"av": "av", "cv2": "opencv-python-headless"}.get(name, name)
            advice = f"pip install --force-reinstall {package}; a missing lib*.so comes from the system's packages"
            yield Check("packages", f"import {name}", "problem", f"cannot be imported: {asked.fault}", advice)
        elif name == "av":
            yield Check("packages", "FFmpeg in PyAV", "ok", _libraries(asked.answer))
        else:
            yield Check("packages", f"import {name}", "ok", f"loads, {asked.answer}")


def _libraries(answer: Any) -> str:
    found = ", ".join(f"{name} {'.'.join(map(str, of))}" for name, of in answer["libraries"].items())
    return found or "names no libraries"


def extras() -> Iterator[Check]:
    """Every extra: complete, or what it lacks."""
    try:
        names = metadata.metadata(NAME).get_all("Provides-Extra") or []
        every = needs()
    except metadata.PackageNotFoundError:
        return
    for extra in names:
        faults = {need.name: fault for need in _of_extra(extra, every) if (fault := _fault(need)) is not None}
        if not faults:
            yield Check("extras", extra, "ok", "complete")
            continue
        lacks = [name for name, fault in faults.items() if fault == "not installed"]
        wrong = [f"{name} is {fault}" for name, fault in faults.items() if fault != "not installed"]
        found = "; ".join(([f"lacks {', '.join(lacks)}"] if lacks else []) + wrong)
        yield Check("extras", extra, "warning" if wrong else "note", found, f"pip install '{NAME}[{extra}]'")


def _of_extra(extra: str, every: list[Need], seen: frozenset[str] = frozenset()) -> Iterator[Need]:
    """What an extra needs, those of other extras of mmidd that it names included."""
    for need in every:
        if need.extra != extra:
            continue
        if need.name != NAME:
            yield need
            continue
        for other in need.extras:
            if other not in seen | {extra}:
                yield from _of_extra(other, every, seen | {extra})
