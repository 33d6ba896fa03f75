"""InsightFace model packs: a folder of ONNX files, each known by what its network takes and gives.

Nothing is downloaded and nothing but ONNX graphs is read; a graph that keeps its weights in other files is refused.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from mmidd.errors import MissingWeights, WrongWeights, check_memory, sanitised
from mmidd.faces import weights
from mmidd.filestate import State, state

MOST_FILES = 32
MOST_BYTES = 2**30
"""Of one file; the largest of the published packs has 261 MB."""

Role = Literal["detection", "landmarks106", "embedding", "other"]
_CALLED = {
    "detection": "face detection model with five points (SCRFD: nine outputs)",
    "landmarks106": "model of 106 landmarks (192x192 in, 212 numbers out)",
    "embedding": "face embedding (ArcFace: 112x112 in, 512 numbers out)",
}
_PER_FACE: dict[tuple[int, int], Role] = {(192, 212): "landmarks106", (112, 512): "embedding"}
"""Side of the square input and length of the one output."""
_HEADS = (1, 1, 1, 4, 4, 4, 10, 10, 10)
"""Last dimensions of a detection model's outputs: scores, boxes and points at three strides."""

Dims = tuple[int | None, ...]


@dataclass(frozen=True)
class PackFile:
    """One model of a pack. `normalised`: its first layers bring pixels of 0..255 to what it wants themselves; `any_size`:
    the height and width of its input are open."""

    path: Path
    sha256: str
    role: Role
    normalised: bool
    any_size: bool

    def read(self) -> bytes:
        """Its bytes, and only those that were looked at. Raises WrongWeights where it has changed since."""
        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise WrongWeights(f"{self.path} changed while it was read; run the command again")
        return data


@dataclass(frozen=True)
class Pack:
    """The models of a folder, by file name."""

    folder: Path
    files: tuple[PackFile, ...]

    def the(self, role: Role) -> PackFile:
        """The one model for a role. Raises WrongWeights where there is none, or more than one."""
        found = [file for file in self.files if file.role == role]
        if len(found) == 1:
            return found[0]
        names = ", ".join(file.path.name for file in found or self.files)
        if found:
            raise WrongWeights(f"the pack {self.folder} has more than one {_CALLED[role]}: {names}; leave one of them")
        raise WrongWeights(f"the pack {self.folder} has no {_CALLED[role]}; its models are: {names}")


def open_pack(named: str) -> Pack:
    """The pack of that name or folder, every file looked at. Raises MissingWeights, WrongWeights."""
    folder = find_pack(named)
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".onnx")
        stats = [path.stat() for path in paths]
    except OSError as error:
        raise WrongWeights(f"the pack {folder} cannot be read: {error.strerror}") from error
    if not paths:
        raise WrongWeights(f"the pack {folder} has no .onnx file")
    if len(paths) > MOST_FILES:
        raise WrongWeights(f"{folder} is no model pack: it has {len(paths)} .onnx files, a pack at most {MOST_FILES}")
    files = (_known(path, stat.st_size, state(stat)) for path, stat in zip(paths, stats, strict=True))
    return Pack(folder, tuple(files))


def find_pack(named: str) -> Path:
    """Where a pack is: a folder by its path; a name in MMIDD_MODELS, then among InsightFace's own downloads."""
    if named[:1] in ("~", ".") or "/" in named:
        folder = Path(named).expanduser()
        if not folder.exists():
            raise MissingWeights(f"the pack {named} is not there; {_WAYS}")
        if not folder.is_dir():
            raise WrongWeights(f"the pack {named} is no folder; name the folder that holds its .onnx files")
        return folder
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", named):
        raise WrongWeights(f"{named!r} is no name of a pack; give a name such as buffalo_s, or the path of a folder")
    places = [place / named for place in (weights.models_folder(), Path.home() / ".insightface" / "models") if place]
    for place in places:
        if place.is_dir():
            return place
    raise MissingWeights(f"the pack {named} is not in {' or '.join(str(place.parent) for place in places)}; {_WAYS}")


_WAYS = (
    "mmidd downloads none: accept InsightFace's terms (non-commercial research only), get it with InsightFace's own tool or "
    f"from its releases, and unpack it into the folder that {weights.FOLDER_VARIABLE} names, into "
    "~/.insightface/models, or give its folder: --set detector.pack=FOLDER"
)


@lru_cache(maxsize=64)
def _known(path: Path, size: int, now: State) -> PackFile:
    """Look at a file once, as long as it is in that state. Raises WrongWeights."""
    if not path.is_file():
        raise WrongWeights(f"{path} is no regular file")
    if size > MOST_BYTES:
        raise WrongWeights(f"{path} has {size:,} bytes; a model of a pack has at most {MOST_BYTES:,}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongWeights(f"{path} cannot be read: {error.strerror}") from error
    graph = _graph(path, data)
    inputs, outputs = _shapes(graph)
    role = _role(inputs, outputs)
    any_size = len(inputs) == 1 and inputs[0][2:] == (None, None)
    return PackFile(path, hashlib.sha256(data).hexdigest(), role, _normalises(graph), any_size)


def _graph(path: Path, data: bytes) -> Any:
    import onnx

    try:
        graph = onnx.load_from_string(data).graph
    except Exception as error:  # protobuf's DecodeError, or whatever broken bytes make of it
        check_memory(error)
        raise WrongWeights(f"{path} is no ONNX model: {sanitised(str(error)) or type(error).__name__}") from error
    if not graph.input or not graph.output:
        raise WrongWeights(f"{path} is no ONNX model: a network without input or output")
    if any(each.data_location == onnx.TensorProto.EXTERNAL for each in _tensors(graph)):
        raise WrongWeights(f"{path} keeps its weights in other files; mmidd reads models of one file")
    return graph


def _tensors(graph: Any) -> Iterator[Any]:
    """Every constant of a graph and of the graphs in it."""
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            if inner.node:
                yield from _tensors(inner)


def _shapes(graph: Any) -> tuple[list[Dims], list[Dims]]:
    """Sizes of inputs (constants aside) and outputs; None where one is open."""
    constants = {each.name for each in graph.initializer}
    inputs = [_dims(each) for each in graph.input if each.name not in constants]
    return inputs, [_dims(each) for each in graph.output]


def _dims(value: Any) -> Dims:
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim)


def _role(inputs: Sequence[Dims], outputs: Sequence[Dims]) -> Role:
    if len(inputs) != 1 or len(inputs[0]) != 4 or inputs[0][1] != 3:
        return "other"
    if len(outputs) == 1:
        side = inputs[0][2] if inputs[0][2] == inputs[0][3] else None
        return _PER_FACE.get((side or 0, (outputs[0][-1:] or (None,))[0] or 0), "other")
    last = [(dims[-1:] or (None,))[0] for dims in outputs]
    fits = len(last) == len(_HEADS) and all(found in (None, head) for found, head in zip(last, _HEADS, strict=True))
    return "detection" if fits else "other"


def _normalises(graph: Any) -> bool:
    """Models converted from MXNet begin with a subtraction and a multiplication of their own."""
    return {"Sub", "Mul"} <= {node.op_type for node in graph.node[:8]}


def folder_name(named: str) -> str:
    """A pack as it may leave this machine: of a folder its name alone."""
    return Path(os.path.normpath(named)).name if "/" in named or named[:1] in ("~", ".") else named
