"""The detector protocol, what a detector returns, how one says what it is, and what detectors have in common."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from mmidd.errors import PluginError
from mmidd.faces.registry import DETECTORS, Scores
from mmidd.faces.weights import Weights
from mmidd.networks.choose import open_network, runtime_of
from mmidd.networks.network import Device as Device  # detectors take it from here
from mmidd.networks.network import Model, Network, Runtime
from mmidd.video.picture import Image, Picture

FIRST_LOOK = 160
"""The working size that is tried before any other."""
_CELL, _ROOM, _NEARLY = 64, 1.1, 0.75
"""Of the second working size: what it is a multiple of, how much larger than needed it is, and from which share of the full
size on that is taken instead."""

LEAST_SIZE = 64
MOST_SIZE = 4096
SMALLEST_FACE = 12


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one frame, in pixels of that frame (continuous coordinates, not clipped to its edges).

    `boxes` (n,4) float32 is x0, y0, x1, y1; `landmarks` (n,5,2) float32 is x, y of the eye on the image's left, the
    eye on its right (of an upright face: the order is the subject's right, left), the nose tip, the mouth corners
    left and right; `scores` (n,) float32 lies in [0,1]. Ordered by score, descending, then by x0, then by y0.
    Raises ValueError on wrong shapes, dtypes, values or order; `Faces.ordered` sorts first.
    """

    boxes: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.scores)
        for name, shape in (("boxes", (n, 4)), ("landmarks", (n, 5, 2)), ("scores", (n,))):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} must be {shape} float32, not {array.shape} {array.dtype}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite")
        if not (self.boxes[:, 2:] > self.boxes[:, :2]).all():
            raise ValueError("every box needs x1 > x0 and y1 > y0")
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise ValueError("scores lie in [0, 1]")
        if not np.array_equal(_order(self.boxes, self.scores), np.arange(n)):
            raise ValueError("faces must be ordered by score (descending), x0, y0; see Faces.ordered")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Faces:
        """No face."""
        return cls(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))

    @classmethod
    def ordered(
        cls, boxes: npt.NDArray[np.float32], landmarks: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]
    ) -> Faces:
        """The same faces, brought into the order that the type demands."""
        order = _order(boxes, scores)
        return cls(boxes[order], landmarks[order], scores[order])


def _order(boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    return np.lexsort((boxes[:, 1], boxes[:, 0], -scores))


@dataclass(frozen=True)
class DetectorConfig:
    """Which detector, and what it looks for.

    `size`: the long side in pixels of the working frame: larger frames are reduced to it, smaller ones are left.
    `min_score`: faces below it are not found; None takes the kind's own.
    `min_face`: faces whose longer side has fewer pixels of the working frame are not found.
    `enough`: a working frame of 160 pixels is tried first, then one as large as the longer side of the largest face
    needs to have so many pixels: that is enough, and smaller faces than it shows are not found. 0: always look at `size`.
    `pack`: the model pack of the kind that reads one, by name or folder.
    `runtime`: what computes the networks; auto is onnxruntime on a CPU, torch on a GPU.
    `pinned`: the weights that were named in keys (name, sha256), sorted; the detector is made of these or not at all. Empty:
    of those that are there.
    """

    kind: str
    size: int = 640
    min_score: float | None = None
    min_face: int = 20
    enough: int = 64
    pack: str | None = None
    runtime: Literal["auto", "onnxruntime", "torch"] = "auto"
    pinned: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        row = DETECTORS.own(self.kind)
        if self.kind not in DETECTORS:
            raise ValueError(f"no detector is called {self.kind!r}; there are {', '.join(DETECTORS.names())}")
        reads = row is not None and "pack" in row.facts.options
        if reads and not self.pack:
            raise ValueError(f"the detector {self.kind} needs a pack: --set detector.pack=NAME, or a folder")
        if self.pack is not None and not reads:
            raise ValueError(f"the detector {self.kind} takes no pack; leave it out")
        if row is None and self.runtime != "auto":
            raise ValueError(f"the detector {self.kind} chooses by itself what computes it; leave runtime out")
        if not LEAST_SIZE <= self.size <= MOST_SIZE:
            raise ValueError(f"size must lie in {LEAST_SIZE}..{MOST_SIZE} pixels, not {self.size}")
        if not SMALLEST_FACE <= self.min_face <= self.size:
            raise ValueError(f"min_face must lie in {SMALLEST_FACE}..{self.size} (size) pixels, not {self.min_face}")
        if self.enough < 0:
            raise ValueError(f"enough must be 0 or more pixels, not {self.enough}")
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score must lie in 0..1, not {self.min_score}")

    @property
    def threshold(self) -> float:
        """The least score of a face."""
        return scores_of(self.kind).least if self.min_score is None else self.min_score

    @property
    def first(self) -> int:
        """The working size that is looked at first."""
        return FIRST_LOOK if self.enough and self.size > FIRST_LOOK else self.size


def open_for(config: DetectorConfig, model: Model, device: Device) -> Network:
    """One of a detector's networks, computed by what `config` says."""
    return open_network(model, device, runtime_of(config.runtime, device))


class Detector(Protocol):
    """Finds faces. Made by `make_detector`; not shared between threads."""

    @property
    def kind(self) -> str: ...

    def detect(self, frames: Sequence[Picture]) -> list[Faces]:
        """The faces of each frame, one `Faces` a frame, in pixels of that frame as it was given.

        `frames` are of any sizes; what is found in one does not depend on the others. Raises `DetectorFault` (a
        MediaError) where the model breaks on a frame.
        """
        ...


@dataclass(frozen=True)
class DetectorIdentity:
    """What shapes a detector's results: for commit keys, `mmidd.json` and the card.

    `weights` maps file names to sha256, `libraries` distribution names to exact versions; `licence` is the weights'
    own, `licence_note` a warning that users are to see, or None.
    """

    kind: str
    weights: dict[str, str]
    libraries: dict[str, str]
    licence: str
    licence_note: str | None


@dataclass(frozen=True)
class DetectorMaker:
    """What the file of a detector says of it, as its `DETECTOR`.

    `identity` names weights and libraries and loads none of them; `make` loads the detector; both raise MissingWeights or
    WrongWeights where the weights are not at hand. `scores`: of an entry point of another package; ours are in their rows.
    """

    identity: Callable[[DetectorConfig], DetectorIdentity]
    make: Callable[[DetectorConfig, Device], Detector]
    scores: Scores | None = None


def scores_of(kind: str) -> Scores:
    """What the scores of a detector mean. Raises KeyError for an unknown kind; of another package's it loads the code, and
    raises PluginError where that is broken."""
    row = DETECTORS.own(kind)
    scores = DETECTORS.load(kind, DetectorMaker).scores if row is None else row.facts.scores
    if scores is None:
        plugin = DETECTORS.plugin(kind)
        raise PluginError(f"the face detector {kind!r} of {plugin.source if plugin else kind} states no scores")
    return scores


@dataclass(frozen=True)
class Reduced:
    """A working frame, and the factors (x, y) that bring its pixels back to the original frame's."""

    image: Image
    scale: tuple[float, float]


def reduce(frame: Picture, size: int) -> Reduced:
    """The frame at a long side of at most `size` pixels (area averaging)."""
    image = frame.small(size)
    return Reduced(image, (frame.width / image.shape[1], frame.height / image.shape[0]))


def stepwise(frames: Sequence[Picture], config: DetectorConfig, look: Callable[[list[Reduced]], list[Faces]]) -> list[Faces]:
    """Look at all frames in the first working size; where that was not enough, in the one that the largest face needs;
    where there was none or that was not enough either, in the full one.

    `look` finds the faces of working frames, in pixels of the original ones.
    """
    found = [Faces.empty()] * len(frames)
    sizes = dict.fromkeys(range(len(frames)), config.first)
    while sizes:
        working = [reduce(frames[place], size) for place, size in sizes.items()]
        left = {}
        for (place, size), frame, faces in zip(sizes.items(), working, look(working), strict=True):
            found[place] = faces
            if size < config.size and frame.scale != (1.0, 1.0) and not _enough(faces, frame, config):
                left[place] = _larger(faces, frame, frames[place], config) if size == config.first else config.size
        sizes = left
    return found


def _longest(faces: Faces, frame: Reduced) -> tuple[float, float]:
    """Of the largest face: its longer side in pixels of the working frame, and its score."""
    sides = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1)
    largest = int(sides.argmax())
    return float(sides[largest]) / max(frame.scale), float(faces.scores[largest])


def _enough(faces: Faces, frame: Reduced, config: DetectorConfig) -> bool:
    """Does the largest of the faces show well in the working frame?"""
    if not len(faces):
        return False
    side, score = _longest(faces, frame)
    return side >= config.enough and score >= scores_of(config.kind).sure


def _larger(faces: Faces, frame: Reduced, original: Picture, config: DetectorConfig) -> int:
    """The working size in which the largest face that was found will be large enough; the full one if it is near."""
    if not len(faces):
        return config.size
    needed = max(2.0, _ROOM * config.enough / _longest(faces, frame)[0])
    size = math.ceil(config.first * needed / _CELL) * _CELL
    return size if size < _NEARLY * min(config.size, max(original.width, original.height)) else config.size


def gather(
    boxes: npt.ArrayLike, landmarks: npt.ArrayLike, scores: npt.ArrayLike, config: DetectorConfig, frame: Reduced
) -> Faces:
    """A model's raw finds in pixels of the working frame -> the faces that `config` asks for, in original pixels.

    Left out, as no faces in the sense of `config`: scores below the threshold, boxes smaller than `min_face`, and
    finds that are not finite or whose box is inside out.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    landmarks = np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    scores = np.asarray(scores, np.float32).reshape(-1)
    sides = boxes[:, 2:] - boxes[:, :2]
    with np.errstate(invalid="ignore"):
        keep = (scores >= np.float32(config.threshold)) & (sides.max(1) >= config.min_face) & (sides.min(1) >= 1)
    keep &= np.isfinite(boxes).all(1) & np.isfinite(landmarks).all((1, 2))
    scale = np.array(frame.scale)
    found = (boxes[keep] * np.tile(scale, 2)).astype(np.float32)
    points = (landmarks[keep] * scale).astype(np.float32)
    return Faces.ordered(found, points, np.minimum(scores[keep], np.float32(1)))


_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
_ONNXRUNTIME = ("onnxruntime", "onnxruntime-gpu")


def pinned_identity(kind: str, pinned: Sequence[Weights], *libraries: str) -> DetectorIdentity:
    """The identity of a detector with pinned weights of one licence; `libraries` shape its results too."""
    digests = {each.name: each.sha256 for each in pinned}
    return DetectorIdentity(kind, digests, onnx_libraries(*libraries), pinned[0].licence, pinned[0].licence_note)


def onnx_libraries(*more: str) -> dict[str, str]:
    """The exact versions of `more` libraries and of those that shape what a detector finds on onnxruntime."""
    return dict(_installed(names) for names in (*((name,) for name in more), _ONNXRUNTIME, ("onnx",), ("numpy",), _OPENCV))


def computed_by(libraries: dict[str, str], runtime: Runtime) -> dict[str, str]:
    """Of a detector whose networks `runtime` computes: onnxruntime's version is torch's where that does."""
    if runtime == "onnxruntime":
        return libraries
    others = {name: version for name, version in libraries.items() if name not in _ONNXRUNTIME}
    return others | dict([_installed(("torch",))])


def _installed(names: tuple[str, ...]) -> tuple[str, str]:
    for name in names:
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return names[0], "unknown"
