"""InsightFace model packs (buffalo_s, buffalo_l, ...): their SCRFD as a detector, their landmarks and their embedding.

The package `insightface` is not used. It would bring opencv-python, which overwrites the files of opencv-python-headless
and so the pixels of everything else; it unpickles files on import of some models and downloads what it misses. The networks
are ONNX, and what has to be computed around them is little: SCRFD's is in `scrfd`, the rest is here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mmidd.errors import DetectorFault, MmiddError, WrongWeights, check_memory, sanitised
from mmidd.faces.align import apply
from mmidd.faces.dense import computed
from mmidd.faces.detector import DetectorConfig, DetectorIdentity, DetectorMaker, Device, Faces, onnx_libraries, open_for
from mmidd.faces.pack import Pack, PackFile, Role, open_pack
from mmidd.faces.scrfd import ANCHORS, STRIDES, Scrfd, model_of
from mmidd.networks.network import Floats, Model, Network
from mmidd.networks.nodes import outputs_of
from mmidd.networks.onnx_runtime import OnnxNetwork
from mmidd.video.picture import Image

LICENCE = "InsightFace model pack: non-commercial research use only"
LICENCE_NOTE = (
    "insightface uses an InsightFace model pack, licensed for non-commercial research only: "
    "check that your use of the corpus is such (yunet and mtcnn have no such limit)"
)
LANDMARKS, LANDMARK_SIDE, LANDMARK_ROOM = 106, 192, 1.5
EMBEDDING, EMBEDDING_SIDE = 512, 112
_PROBE = (64, 96)
"""Height and width of the black picture on which a detection model has to show that it takes any size."""


class PackModels:
    """The models of a pack that look at one face, each loaded when it is asked for first; not shared between threads."""

    def __init__(self, pack: str | Path, device: Device = "cpu") -> None:
        """Raises MissingWeights or WrongWeights for a pack that cannot be had or read."""
        self._pack, self._device = open_pack(str(pack)), device
        self._loaded: dict[Role, Network] = {}

    def landmarks106(self, image: Image, faces: Faces) -> Floats:
        """(n,106,2) float32: the landmarks of each face, in pixels of the image, (H,W,3) RGB uint8.

        Raises WrongWeights where the pack has no such model or two, DetectorFault where it breaks.
        """
        file, network = self._model("landmarks106")
        found = [_landmarks(network, image, box, file.normalised) for box in faces.boxes]
        return np.stack(found) if found else np.zeros((0, LANDMARKS, 2), np.float32)

    def embed(self, crops: npt.NDArray[np.uint8]) -> Floats:
        """(n,512) float32: the embedding of each crop as the network gives it (not brought to unit length). `crops`
        (n,112,112,3) RGB uint8, aligned to the ArcFace template.

        Raises ValueError for other shapes, WrongWeights and DetectorFault as `landmarks106` does.
        """
        if crops.ndim != 4 or crops.shape[1:] != (EMBEDDING_SIDE, EMBEDDING_SIDE, 3) or crops.dtype != np.uint8:
            raise ValueError(f"crops must be (n, 112, 112, 3) uint8, not {crops.shape} {crops.dtype}")
        file, network = self._model("embedding")
        data = _scaled(crops.transpose(0, 3, 1, 2), file.normalised, 127.5)
        found = [_answer(network, each[None], EMBEDDING) for each in data]
        return np.stack(found) if found else np.zeros((0, EMBEDDING), np.float32)

    def _model(self, role: Role) -> tuple[PackFile, Network]:
        file = self._pack.the(role)
        if role not in self._loaded:
            data = file.read()
            self._loaded[role] = _opened(file, lambda: OnnxNetwork(Model(role, data, outputs_of(data)), self._device))
        return file, self._loaded[role]


def _landmarks(network: Network, image: Image, box: Floats, normalised: bool) -> Floats:
    """(106,2) of one face: the network sees a square of one and a half times the box's longer side about its middle."""
    sides = box[2:] - box[:2]
    scale = LANDMARK_SIDE / (float(sides.max()) * LANDMARK_ROOM)
    middle = (box[:2] + box[2:]) / 2
    matrix = np.array([[scale, 0, 0], [0, scale, 0]], np.float64)
    matrix[:, 2] = LANDMARK_SIDE / 2 - scale * middle
    seen = cv2.warpAffine(image, matrix, (LANDMARK_SIDE, LANDMARK_SIDE), flags=cv2.INTER_LINEAR, borderValue=0.0)
    data = _scaled(np.asarray(seen, np.uint8).transpose(2, 0, 1)[None], normalised, 128)
    found = _answer(network, data, LANDMARKS * 2).reshape(LANDMARKS, 2)
    placed = (found + 1) * (LANDMARK_SIDE / 2)
    return np.asarray(apply(cv2.invertAffineTransform(matrix), placed), np.float32)


def _scaled(pixels: npt.NDArray[np.uint8], normalised: bool, spread: float) -> Floats:
    """Pixels as a network wants them: about -1 to 1, unless it does that itself."""
    return pixels.astype(np.float32) if normalised else (pixels.astype(np.float32) - np.float32(127.5)) / np.float32(spread)


def _answer(network: Network, data: Floats, length: int) -> Floats:
    found = np.asarray(computed(network, data, "a model of the pack failed on a face")[0], np.float32).reshape(-1)
    if len(found) != length or not np.isfinite(found).all():
        raise DetectorFault("a model of the pack gave no numbers for a face")
    return found


def _identity(config: DetectorConfig) -> DetectorIdentity:
    pack = open_pack(str(config.pack))
    pack.the("detection")
    digests = {file.path.name: file.sha256 for file in pack.files}
    return DetectorIdentity(config.kind, digests, onnx_libraries(), LICENCE, LICENCE_NOTE)


def _make(config: DetectorConfig, device: Device) -> Scrfd:
    pack = open_pack(str(config.pack))
    file = pack.the("detection")
    data = file.read()
    try:
        model = model_of("insightface", data, any_size=not file.any_size)
    except MmiddError as error:
        raise WrongWeights(f"{file.path} does not load: {error}") from error
    network = _opened(file, lambda: open_for(config, model, device))
    _probe(pack, file, network)
    return Scrfd(config, network)


def _opened(file: PackFile, opened: Callable[[], Network]) -> Network:
    try:
        return opened()
    except MmiddError:
        raise
    except Exception as error:  # onnx and onnxruntime raise their own kinds
        check_memory(error)
        raise WrongWeights(f"{file.path} does not load: {sanitised(str(error))}") from error


def _probe(pack: Pack, file: PackFile, network: Network) -> None:
    """A network that takes frames of any size and gives scores, boxes and points at the strides that SCRFD has."""
    height, width = _PROBE
    counts = [height * width // stride**2 * ANCHORS for stride in STRIDES]
    wanted = [(count * length) for length in (1, 4, 10) for count in counts]
    fault = f"{file.path} is no SCRFD with five points that takes frames of any size"
    try:
        outputs = computed(network, np.zeros((1, height, width, 3), np.uint8), fault)
    except Exception as error:  # DetectorFault, or onnxruntime's own for an input that it does not take
        check_memory(error)
        raise WrongWeights(f"{fault}: {sanitised(str(error))}") from error
    if [output.size for output in outputs] != wanted:
        raise WrongWeights(f"{fault}: of {width}x{height} pixels it gives {[output.shape for output in outputs]}")


DETECTOR = DetectorMaker(_identity, _make)
