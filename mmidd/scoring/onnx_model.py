"""An ONNX file as something to score with, computed by onnxruntime: its input and its output are as the user tells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmidd.engine.files import digest, sha256_file
from mmidd.errors import MmiddError, ScoreError, UsageError, is_memory, reason, sanitised
from mmidd.networks.onnx_runtime import session
from mmidd.schema import FORGERY_TYPES
from mmidd.scoring.fed import FedOnnx, document, fed_by
from mmidd.scoring.model import Found, Look, checked

MOST_MODEL, MOST_WEIGHTS = (2 << 30) - 1, 16 << 30
"""Bytes of the file (a protobuf is under 2 GiB), and of the files of weights beside it together."""
_INPUTS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_COLUMNS = {"probability": 1, "logit": 1, "probabilities": 2, "logits": 2, "types": 5, "type_logits": 5}
"""Values of each output for one image."""
_UPGRADE = "install a newer onnxruntime, or export the model again for an older opset and with standard operators alone"
_INSTEAD = "or score by a function around it: python:FILE.py:NAME"


@dataclass(frozen=True)
class Layout:
    """Of the input: where the channels lie, its side and its batch (None: open), its kind of number."""

    name: str
    order: Literal["NCHW", "NHWC"]
    side: int | None
    batch: int | None
    kind: Any


class OnnxModel:
    """See `Model`. `about` has the sha256 of the file and of the weights beside it, and how it is fed."""

    def __init__(self, path: Path, fed: FedOnnx, device: Literal["cpu", "cuda"]) -> None:
        self._whose = f"the ONNX file {path}"
        given, sha256 = _read(path)
        self._session = _session(given, device, self._whose)
        self._layout = _layout(self._session.get_inputs(), self._whose)
        self._output = _output(self._session.get_outputs(), fed, self._whose)
        self._fed = fed.model_copy(update={"side": _side(fed, self._layout, self._whose)})
        if self._layout.kind is np.uint8 and (fed.mean, fed.std) != ((0.0,) * 3, (1.0,) * 3):
            raise UsageError(f"{self._whose} takes bytes (uint8): neither mean nor std goes with that")
        assert self._fed.side is not None
        self.look = Look(self._fed.side, fed.fit)
        about = {"kind": "onnx", "name": path.stem, "sha256": sha256, "fed": document(self._fed)}
        about["order"] = self._layout.order
        self.about: Mapping[str, Any] = about | {"digest": digest(sha256, about["fed"])[:16], "device": device}

    def scores(self, batch: Mapping[str, Any]) -> Found:
        """In batches of the file's own size, the last one filled up with black, where that is fixed."""
        pixels: npt.NDArray[np.uint8] = batch["image"].permute(0, 2, 3, 1).numpy()
        size = self._layout.batch or len(pixels)
        parts = [self._run(pixels[start : start + size], size) for start in range(0, len(pixels), size)]
        return read_as(np.concatenate(parts), self._fed, len(pixels), self._whose)

    def _run(self, pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.float64]:
        count = len(pixels)
        if count < size:
            pixels = np.concatenate([pixels, np.zeros((size - count, *pixels.shape[1:]), np.uint8)])
        try:
            found = self._session.run([self._output], {self._layout.name: _fed(pixels, self._fed, self._layout)})[0]
        except Exception as error:
            _check_memory(error, self._whose)
            raise ScoreError(f"{self._whose} breaks on {size} images of {self._fed.side} pixels: {_said(error)}") from error
        found = np.asarray(found)
        if found.shape[:1] != (size,):
            told = f"{self._whose} gives an output of shape {found.shape} for {size} images"
            raise ScoreError(f"{told}, not one row an image; {_INSTEAD}")
        return found[:count].astype(np.float64)


def opened_onnx(path: Path, words: Any, device: Literal["cpu", "cuda"]) -> OnnxModel:
    """Raises ScoreError for what is no model that can be run here, UsageError for what does not fit it."""
    return OnnxModel(path, fed_by(FedOnnx, words, path.with_suffix(".json")), device)


def read_as(given: npt.NDArray[np.float64], fed: FedOnnx, rows: int, whose: str) -> Found:
    """An output as scores. Raises ScoreError where it is of another shape, or no shares of one where it should be."""
    flat = given.reshape(rows, -1)
    width = _COLUMNS[fed.output or "probability"]
    if flat.shape[1] != width:
        told = f"{whose}: output={fed.output} has {width} values an image, it gives {flat.shape[1]}"
        raise ScoreError(f"{told}; {_could(flat)}")
    with np.errstate(over="ignore", invalid="ignore"):
        if fed.output == "logit":
            flat = 1 / (1 + np.exp(-flat))
        elif fed.output in ("logits", "type_logits"):
            flat = np.exp(flat - flat.max(1, keepdims=True))
            flat /= flat.sum(1, keepdims=True)
    hint = f"{whose}, read as output={fed.output} (is it {'a logit' if width == 1 else 'logits'}?)"
    if width == len(FORGERY_TYPES):
        return checked(np.where(np.isfinite(flat[:, 0]), 1 - flat[:, 0], np.nan), flat, rows, hint)
    return checked(flat[:, fed.fake if width == 2 else 0], None, rows, hint)


def _could(flat: npt.NDArray[np.float64]) -> str:
    fits = [name for name, width in _COLUMNS.items() if width == flat.shape[1]]
    return f"of {flat.shape[1]} values there are {', '.join(fits)}" if fits else _INSTEAD


def _fed(pixels: npt.NDArray[np.uint8], fed: FedOnnx, layout: Layout) -> npt.NDArray[Any]:
    ordered: npt.NDArray[Any] = pixels
    if layout.kind is not np.uint8:
        mean, std = (np.array(each, np.float32) for each in (fed.mean, fed.std))
        ordered = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    ordered = ordered[..., ::-1] if fed.colours == "bgr" else ordered
    ordered = ordered.transpose(0, 3, 1, 2) if layout.order == "NCHW" else ordered
    return np.ascontiguousarray(ordered, layout.kind)


def _read(path: Path) -> tuple[bytes | str, dict[str, str]]:
    """What a session is made of (the very bytes that were hashed; the path where weights lie beside it), and digests."""
    try:
        size = path.stat().st_size
        if not path.is_file() or size > MOST_MODEL:
            raise ScoreError(f"{path} is no ONNX file: one has at most 2 GiB, larger weights lie beside it ({size:,} bytes)")
        data = path.read_bytes()
    except OSError as error:
        raise ScoreError(f"{path} cannot be read: {reason(error) or error.strerror or type(error).__name__}") from error
    digests = {path.name: hashlib.sha256(data).hexdigest()}
    beside = _weights(path, data)
    if not beside:
        return data, digests
    total = 0
    for place in beside:
        if not place.is_file():
            raise ScoreError(f"{path} has weights in {place.name!r}, which is not there: put it beside the model")
        total += place.stat().st_size
    if total > MOST_WEIGHTS:
        most = MOST_WEIGHTS >> 30
        raise ScoreError(f"{path}: {total:,} bytes of weights lie beside it; at most {most} GiB are read, {_INSTEAD}")
    return str(path), digests | {str(place.relative_to(path.parent)): sha256_file(place) for place in beside}


def _weights(path: Path, data: bytes) -> list[Path]:
    """The files of weights beside a model. Raises ScoreError for what is no model, and for files that lie elsewhere."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
        named = {
            entry.value
            for tensor in _tensors(model.graph)
            if tensor.data_location == onnx.TensorProto.EXTERNAL
            for entry in tensor.external_data
            if entry.key == "location"
        }
        if not model.graph.node or not model.opset_import:
            raise ScoreError(f"{path} is no ONNX model: it has no operators; export one with torch.onnx.export")
    except ScoreError:
        raise
    except Exception as error:  # protobuf's own
        _check_memory(error, f"the ONNX file {path}")
        raise ScoreError(f"{path} is no ONNX model; export one with torch.onnx.export, {_INSTEAD}") from error
    for name in sorted(named):
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ScoreError(f"{path} has weights outside its folder ({name[:80]!r}), which are not read: export it again")
        if not (path.parent / name).resolve().is_relative_to(path.parent.resolve()):
            raise ScoreError(f"{path} has weights behind a link ({name[:80]!r}), which is not followed: copy them there")
    return [path.parent / name for name in sorted(named)]


def _tensors(graph: Any) -> Iterator[Any]:
    """All tensors of a graph, and of the graphs in its operators."""
    yield from graph.initializer
    for each in graph.sparse_initializer:
        yield from (each.values, each.indices)
    for attribute in (each for node in graph.node for each in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from _tensors(inner)


def _session(given: bytes | str, device: Literal["cpu", "cuda"], whose: str) -> Any:
    try:
        return session(given, device)
    except MmiddError:
        raise
    except Exception as error:  # onnxruntime's own have no common base
        _check_memory(error, whose)
        raise ScoreError(f"{whose} cannot be run by onnxruntime here ({_said(error)}): {_UPGRADE}; {_INSTEAD}") from error


def _check_memory(error: Exception, whose: str) -> None:
    if is_memory(error):
        raise ScoreError(f"{whose}: there is not enough memory to run it here") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {sanitised(str(error))}"


def _layout(inputs: Any, whose: str) -> Layout:
    """Raises ScoreError for what does not take one batch of images."""
    told = "; ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)[:300]
    shapes = "(n, 3, side, side) or (n, side, side, 3)"
    wrong = ScoreError(f"{whose} does not take a batch of images {shapes} and nothing else: {told}; {_INSTEAD}")
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _INPUTS:
        raise wrong
    batch, *sides = (each if isinstance(each, int) and each > 0 else None for each in inputs[0].shape)
    order: Literal["NCHW", "NHWC"] = "NHWC" if sides[2] == 3 and sides[0] != 3 else "NCHW"
    channels, tall, wide = sides if order == "NCHW" else (sides[2], sides[0], sides[1])
    if channels not in (3, None) or (None not in (tall, wide) and tall != wide):
        raise wrong
    return Layout(inputs[0].name, order, tall or wide, batch, _INPUTS[inputs[0].type])


def _side(fed: FedOnnx, layout: Layout, whose: str) -> int:
    if fed.side is None and layout.side is None:
        raise UsageError(f"{whose} leaves the size of its images open: say --set side=224, or write it into its .json")
    if fed.side is not None and layout.side not in (None, fed.side):
        raise UsageError(f"side={fed.side}: {whose} takes images of {layout.side} pixels; leave it out")
    side = fed.side or layout.side
    assert side is not None
    return side


def _output(outputs: Any, fed: FedOnnx, whose: str) -> str:
    names = [each.name for each in outputs]
    if fed.output_name is not None and fed.output_name not in names:
        raise UsageError(f"output_name={fed.output_name}: {whose} has {', '.join(names)[:300]}")
    if fed.output_name is None and len(names) > 1:
        raise UsageError(f"{whose} has several outputs: say --set output_name=, one of {', '.join(names)[:300]}")
    name: str = fed.output_name or names[0]
    if fed.output is None:
        shape = next(each.shape for each in outputs if each.name == name)
        kinds = ", ".join(f"{kind} ({width})" for kind, width in _COLUMNS.items())
        raise UsageError(
            f"{whose} does not tell what its output {name} {shape} means: say --set output=, one of {kinds} (values an "
            "image; two classes are real, fake unless fake=0), or write it into its .json"
        )
    return name
