"""What DeepfakeBench's label names and clip names say: real or fake, by which method; whose face, on whose clip."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from mmidd.manifest.accounting import Label
from mmidd.manifest.methods import ForgeryType, Methods
from mmidd.share.imports.protocol import Known

_NAMES: dict[str, tuple[Label, str | None]] = {
    "ff-real": ("real", None),
    "ff-df": ("fake", "Deepfakes"),
    "ff-f2f": ("fake", "Face2Face"),
    "ff-fs": ("fake", "FaceSwap"),
    "ff-nt": ("fake", "NeuralTextures"),
    "ff-fh": ("fake", "FaceShifter"),
    "ff-sh": ("fake", "FaceShifter"),
    "dfd_real": ("real", None),
    "dfd_fake": ("fake", "DeepFakeDetection"),
    "celebdfv1_real": ("real", None),
    "celebdfv1_fake": ("fake", "Celeb-DF"),
    "celebdfv2_real": ("real", None),
    "celebdfv2_fake": ("fake", "Celeb-DF"),
    "dfdcp_real": ("real", None),
    "dfdcp_fakea": ("fake", "DFDCP-A"),
    "dfdcp_fakeb": ("fake", "DFDCP-B"),
    "dfdc_real": ("real", None),
    "dfdc_fake": ("fake", None),  # eight methods, published for no clip
    "df_real": ("real", None),
    "df_fake": ("fake", "DeeperForensics"),
    "uadfv_real": ("real", None),
    "uadfv_fake": ("fake", None),  # a swap by a method that nobody names
}
"""The label names of DeepfakeBench's lists, in lower case, and the method of each by a name of methods.yaml."""

_TYPES: dict[str, ForgeryType] = {"uadfv_fake": "FS", "fsall_fake": "FS", "frall_fake": "FR", "efsall_fake": "EFS"}
"""Of fakes whose method no name says, the type that their name says."""

_ENDING = re.compile(r"(?:(?P<head>.+)[_-])?(?P<label>real|fake)", re.IGNORECASE)
_DOMAIN = re.compile(r"[_-](?:ff|cdf)$", re.IGNORECASE)


def meaning(name: str, dataset: str, methods: Methods, given: Mapping[str, Label]) -> Known | None:
    """What a label name says; None where it has to be asked. `given` is what whoever imports said of names.

    A method is a name of the registry where it knows it, else as the label writes it. DF40's lists say `roop_Fake` of
    several methods: then the dataset's name says which.
    """
    ending = _ENDING.fullmatch(name)
    if name in given:
        head = _DOMAIN.sub("", (ending and ending["head"]) or name)
        found = methods.find(head)
        return given[name], found.id if found and given[name] == "fake" else None, None
    fold = name.casefold()
    if fold in _NAMES:
        label, method = _NAMES[fold]
        return label, methods.resolve(method).id if method else None, _TYPES.get(fold)
    if ending is None:
        return None
    if ending["label"].casefold() == "real":
        return "real", None, None
    if fold in _TYPES or not ending["head"]:
        return "fake", None, _TYPES.get(fold)
    head = _DOMAIN.sub("", ending["head"])
    other = methods.find(_DOMAIN.sub("", dataset))
    found = other if head.casefold() == "roop" and other is not None else methods.find(head)
    return "fake", found.id if found else head, None


class Clip(NamedTuple):
    """What a clip's name says: whom it shows, who lent the face (None of a real), the real that it was made from, and
    whether identities of this kind come in small sets, so that they may keep media together."""

    target: str
    source: str | None
    real: str | None
    join: bool


_FF = re.compile(r"(?P<target>\d{3})(?:_(?P<source>\d{3}))?")
_DFD = re.compile(r"(?P<target>\d{2})(?:_(?P<source>\d{2}))?__(?P<scene>[A-Za-z0-9_-]+?)(?:__(?P<take>[A-Z0-9]{8}))?")
_CELEB = re.compile(r"id(?P<target>\d+)(?:_id(?P<source>\d+))?_(?P<number>\d{4})")


def clip(label_name: str, dataset: str, video: str, label: Label) -> Clip | None:
    """What the name of a clip of FaceForensics++, DeepFakeDetection or Celeb-DF says; None for any other."""
    family = f"{label_name} {dataset}".casefold()
    if family.startswith("dfd_") or label_name.casefold().startswith("dfd_"):
        found, scheme = _DFD.fullmatch(video), "{target}__{scene}"
    elif "celeb" in family or dataset.casefold().endswith("_cdf"):
        found, scheme = _CELEB.fullmatch(video), "id{target}_{number}"
    elif label_name.casefold().startswith("ff-") or dataset.casefold().endswith("_ff"):
        found, scheme = _FF.fullmatch(video), "{target}"
    else:
        return None
    if found is None or (found["source"] is None) != (label == "real"):
        return None
    fields = {name: value for name, value in found.groupdict().items() if value is not None}
    real = None if label == "real" else scheme.format(**fields)
    return Clip(fields["target"], fields.get("source"), real, join=scheme == "{target}")
