"""What DeepfakeBench calls datasets and labels: a dataset is one JSON file, a label a key in it that `label_dict` maps to 0
or 1. Facts of its documentation and its yaml files (SCLBD/DeepfakeBench; DF40: YZY-stack/DF40); none of its code."""

from __future__ import annotations

import re
from typing import NamedTuple

LEVELS = ("raw", "c23", "c40")
"""Compressions; DeepfakeBench's own default is the second."""
LEVELLED = frozenset({"FaceForensics++", "FaceShifter", "DeepFakeDetection", "FF-DF", "FF-F2F", "FF-FS", "FF-NT"})
"""The datasets whose splits are divided by compression."""


class Place(NamedTuple):
    """Where a clip is listed: the dataset (the name of its JSON file), and the label's name in it."""

    dataset: str
    label: str


_BY_LABEL = {
    "celebdf_v1": ("Celeb-DF-v1", "CelebDFv1_real", "CelebDFv1_fake"),
    "celebdf_v2": ("Celeb-DF-v2", "CelebDFv2_real", "CelebDFv2_fake"),
    "deeperforensics": ("DeeperForensics-1.0", "DF_real", "DF_fake"),
    "dfdc": ("DFDC", "DFDC_Real", "DFDC_Fake"),
    "uadfv": ("UADFV", "UADFV_Real", "UADFV_Fake"),
}
_PREVIEW = {"DFDCP-A": "DFDCP_FakeA", "DFDCP-B": "DFDCP_FakeB"}
_FOUR = {"Deepfakes": "FF-DF", "Face2Face": "FF-F2F", "FaceSwap": "FF-FS", "NeuralTextures": "FF-NT"}


def places(slug: str, method: str | None, media: str, *, fake: bool) -> tuple[Place, ...]:
    """Where a clip is listed, by its dataset's slug, its method and its path. FaceForensics++ is several datasets there, and
    its reals are in each of them; what DeepfakeBench does not know is `SLUG_Real` and `SLUG_Fake`."""
    if slug == "faceforensics":
        return _faceforensics(method, media, fake=fake)
    if slug in _BY_LABEL:
        name, real, forged = _BY_LABEL[slug]
        return (Place(name, forged if fake else real),)
    if slug == "dfdcp":
        return (Place("DFDCP", _PREVIEW.get(method or "", "DFDCP_Fake") if fake else "DFDCP_Real"),)
    if slug == "df40":
        return (Place("DF40", f"{word(method or 'unknown')}_Fake" if fake else "DF40_Real"),)
    return (Place(word(slug), f"{word(slug)}_{'Fake' if fake else 'Real'}"),)


def _faceforensics(method: str | None, media: str, *, fake: bool) -> tuple[Place, ...]:
    if not fake:
        if "actors" in media.split("/"):
            return (Place("DeepFakeDetection", "DFD_real"),)
        return tuple(Place(name, "FF-real") for name in ("FaceForensics++", "FaceShifter", *_FOUR.values()))
    if method in _FOUR:
        return Place("FaceForensics++", _FOUR[method]), Place(_FOUR[method], _FOUR[method])
    if method == "FaceShifter":
        return (Place("FaceShifter", "FF-FH"),)
    if method == "DeepFakeDetection":
        return (Place("DeepFakeDetection", "DFD_fake"),)
    return (Place("FaceForensics++", f"FF-{word(method or 'unknown')}"),)


def level(compression: str | None, media: str) -> str:
    """The compression that a clip is listed under: its own, what its path says, or DeepfakeBench's default."""
    said = [each for each in (compression, *media.split("/")) if each in LEVELS]
    return said[0] if said else LEVELS[1]


def word(name: str) -> str:
    """A name of plain letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "unknown"
