"""The pinned model files: where they are looked for, fetched from, and proof that they are the right ones."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mmidd.errors import MissingExtra, MissingWeights, WrongWeights

FOLDER_VARIABLE = "MMIDD_MODELS"


@dataclass(frozen=True)
class Weights:
    """One model file, pinned by digest. `repo`, `revision`: its place on the Hugging Face Hub, None if it has none."""

    name: str
    sha256: str
    size: int
    licence: str
    licence_note: str | None = None
    repo: str | None = None
    revision: str | None = None


YUNET = Weights(
    name="face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    size=232_589,
    licence="MIT",
    repo="opencv/face_detection_yunet",
    revision="3cc26e7f1014a5ee5d74a42acee58bafc9d0a310",
)
SCRFD = Weights(
    name="scrfd_500m_kps.onnx",
    sha256="517cb1980c72422e676738fc45431700fb7cbee56d0f825b623ee427b3e5ce58",
    size=2_524_095,
    licence="InsightFace model: non-commercial research use only",
    licence_note=(
        "scrfd uses an InsightFace model, licensed for non-commercial research only: "
        "check that your use of the corpus is such (yunet and mtcnn have no such limit)"
    ),
)
MTCNN = tuple(
    Weights(name=name, sha256=sha256, size=size, licence="MIT")
    for name, sha256, size in (
        ("pnet.pt", "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f", 28_570),
        ("rnet.pt", "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86", 403_147),
        ("onet.pt", "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d", 1_559_269),
    )
)
PINNED = {weights.name: weights for weights in (YUNET, SCRFD)}
_OF_DETECTOR = {"yunet": YUNET, "scrfd": SCRFD}


def of_detector(kind: str) -> Weights:
    """The pinned file of a detector that needs one ("yunet", "scrfd"); KeyError for any other."""
    return _OF_DETECTOR[kind]


def find(name: str) -> Path:
    """Where the pinned file `name` is, its digest just checked; `locate` on the table of pins."""
    return locate(PINNED[name])


def read(weights: Weights) -> bytes:
    """The bytes of the file, and only the pinned ones: what is checked is what is used."""
    return _checked(locate(weights), weights)


def read_packaged(weights: Weights) -> bytes:
    """The bytes of a file that facenet-pytorch's wheel carries, and only the pinned ones. Raises MissingExtra,
    WrongWeights."""
    spec = importlib.util.find_spec("facenet_pytorch")
    if spec is None or spec.origin is None:
        raise MissingExtra("faces", "the detector mtcnn")
    return _checked(Path(spec.origin).parent / "data" / weights.name, weights)


def locate(weights: Weights) -> Path:
    """Look in the folder that MMIDD_MODELS names, then in mmidd's cache; else download it into the cache.

    Raises MissingWeights, naming the ways out, and WrongWeights where a file of that name has other bytes. Network
    access is huggingface_hub's own: HF_ENDPOINT and HF_HUB_OFFLINE are honoured.
    """
    for folder in (models_folder(), cache_folder()):
        if folder is not None and (folder / weights.name).is_file():
            _checked(folder / weights.name, weights)
            return folder / weights.name
    return _download(weights)


def models_folder() -> Path | None:
    """The folder that MMIDD_MODELS names; MissingWeights where it names no folder; None where it is not set."""
    value = os.environ.get(FOLDER_VARIABLE)
    if not value:
        return None
    folder = Path(value)
    if not folder.is_dir():
        raise MissingWeights(f"{FOLDER_VARIABLE} names {folder}, which is no folder")
    return folder


def cache_folder() -> Path:
    """Where downloaded models stay: $XDG_CACHE_HOME/mmidd, or ~/.cache/mmidd."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mmidd"


def _checked(path: Path, weights: Weights) -> bytes:
    size = path.stat().st_size
    data = path.read_bytes() if size == weights.size else b""
    digest = hashlib.sha256(data).hexdigest()
    if size != weights.size or digest != weights.sha256:
        found = f"sha256 {digest}" if size == weights.size else f"{size} bytes"
        raise WrongWeights(
            f"{path} is not the pinned model: {found}, expected {weights.size} bytes with sha256 {weights.sha256}; "
            "put the right file there, or delete this one"
        )
    return data


def _download(weights: Weights) -> Path:
    if weights.repo is None:
        raise MissingWeights(_ways_out(weights, "it has no download source"))
    try:
        from huggingface_hub import hf_hub_download

        logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # its retries are told once, by our error
        cache = cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
            got = Path(hf_hub_download(weights.repo, weights.name, revision=weights.revision, local_dir=folder))
            _checked(got, weights)
            got.replace(cache / weights.name)
    except WrongWeights as error:
        raise WrongWeights(
            f"what {weights.repo} gave as {weights.name} is not the pinned model (sha256 {weights.sha256}) "
            "and was thrown away; check HF_ENDPOINT and the proxy"
        ) from error
    except Exception as error:  # hub, proxy, TLS or disk: the ways out are the same
        raise MissingWeights(_ways_out(weights, f"the download failed ({type(error).__name__})")) from error
    return cache / weights.name


def _ways_out(weights: Weights, why: str) -> str:
    ways = [
        f"put the file ({weights.size} bytes, sha256 {weights.sha256}) into the folder that {FOLDER_VARIABLE} names",
        "choose the embedded detector (--set detector=mtcnn)",
    ]
    if weights.repo is not None:
        ways.insert(0, f"let it be downloaded once from huggingface.co/{weights.repo} (network, no HF_HUB_OFFLINE)")
    else:
        ways.append("choose the recommended detector, which can be downloaded (--set detector=yunet)")
    listed = "; ".join(f"({i}) {way}" for i, way in enumerate(ways, 1))
    return f"the model file {weights.name} is not at hand: {why}. Ways out: {listed}"
