"""The pinned model files of face detectors: where they are, and whether they are the right ones. Nothing is fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from mmidd.doctor.report import Check, attempt, shown
from mmidd.faces.weights import FOLDER_VARIABLE, MTCNN, SCRFD, YUNET, Weights, cache_folder


def models(environ: Mapping[str, str]) -> Iterator[Check]:
    """MMIDD_MODELS, and every pinned file."""
    value = environ.get(FOLDER_VARIABLE)
    named = Path(value) if value else None
    if named is not None and not named.is_dir():
        advice = f"name a folder that exists, or unset {FOLDER_VARIABLE}"
        yield Check("models", FOLDER_VARIABLE, "problem", f"names {shown(named)}, which is no folder", advice)
        named = None
    folders = [folder for folder in (named, cache_folder()) if folder is not None]
    for detector, weights in (("yunet", YUNET), ("scrfd", SCRFD)):
        yield from attempt("models", detector, partial(_file, detector, weights, folders, environ))
    yield from attempt("models", "mtcnn", _packaged)


def _file(detector: str, weights: Weights, folders: list[Path], environ: Mapping[str, str]) -> Iterator[Check]:
    for folder in folders:
        path = folder / weights.name
        if path.is_file():
            yield _judged(detector, path, weights)
            return
    looked = " and ".join(shown(folder) for folder in folders)
    put = (
        f"put {weights.name} ({weights.size} bytes, sha256 {weights.sha256}) into a folder and name it in {FOLDER_VARIABLE}"
    )
    if weights.repo is None:
        other = "only recipes with `detector: scrfd` want it; its licence is for non-commercial research"
        yield Check("models", detector, "note", f"not in {looked}; it has no download source", f"{put}; {other}")
        return
    offline = environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    found = f"not in {looked}; " + ("HF_HUB_OFFLINE forbids the download" if offline else "a build fetches it once")
    advice = f"without a network: {put}; or choose the embedded detector (--set detector=mtcnn)"
    yield Check("models", detector, "warning" if offline else "note", found, advice)


def _judged(detector: str, path: Path, weights: Weights) -> Check:
    size = path.stat().st_size
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if size == weights.size else None
    if digest == weights.sha256:
        return Check("models", detector, "ok", f"{shown(path)}, digest right")
    why = f"{size} bytes and not {weights.size}" if digest is None else f"its sha256 is {digest}"
    advice = f"put the right file there (sha256 {weights.sha256}), or delete this one"
    return Check("models", detector, "problem", f"{shown(path)} is not the pinned model: {why}", advice)


def _packaged() -> Iterator[Check]:
    """MTCNN's three networks, which lie in facenet-pytorch's wheel."""
    spec = find_spec("facenet_pytorch")
    if spec is None or spec.origin is None:
        found = "facenet-pytorch, which carries its networks, is not installed"
        yield Check("models", "mtcnn", "note", found, "pip install 'mmidd[faces]'; yunet needs no extra")
        return
    folder = Path(spec.origin).parent / "data"
    for weights in MTCNN:
        path = folder / weights.name
        if not path.is_file():
            found, again = f"{shown(path)} is not there", "pip install --force-reinstall --no-deps facenet-pytorch==2.5.3"
            yield Check("models", "mtcnn", "problem", found, again)
            return
        judged = _judged("mtcnn", path, weights)
        if judged.state != "ok":
            yield judged
            return
    yield Check("models", "mtcnn", "ok", f"{len(MTCNN)} networks in {shown(folder)}, digests right")
