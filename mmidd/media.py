"""The words for single media that all rooms share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict
from unicodedata import normalize

Name = tuple[str, str]
"""A medium among all: its dataset, and its path relative to the dataset's root."""

Kind = Literal["video", "image", "frames", "hdf5"]
"""What a medium is: `frames` is a folder of numbered images, `hdf5` a file of frames that are arrays."""


class Inside(NamedTuple):
    """Where the frames of an HDF5 file are in it: the path of one array of all of them, or with a `*` where the path of each
    has its number; and the order of its axes, of n (frames), c (colours: RGB), h, w."""

    path: str
    axes: str


FaceMode = Literal["detect", "padded", "keep", "whole"]
"""How a medium's faces are had (docs/manifests.md)."""

Turn = Literal[0, 90, 180, 270, "find"]
"""By how many degrees clockwise a medium's frames, as its file shows them, are turned so that they are upright; `find`: by
where faces are found."""

TURNS = (0, 90, 180, 270)
"""The angles among them."""


PairCheck = Literal[
    "proved", "unseen", "unchecked", "face_elsewhere", "person_elsewhere", "other_picture", "other_time", "other_size",
    "mask_elsewhere",
]  # fmt: skip
"""What a fake's own pixels say of the pair that is claimed for it (docs/recipes.md): the first three let it stand."""

STANDS: frozenset[PairCheck] = frozenset({"proved", "unseen", "unchecked"})
"""The fake is cut where its real was."""

DENIED: frozenset[PairCheck] = frozenset({"other_picture", "other_time"})
"""It is no pair: its frames do not show what the real's frames of these numbers show."""


def composed(name: str) -> str:
    """A name in Unicode's NFC, in which names are compared: disks, archives and lists of macOS have them decomposed."""
    return name if name.isascii() else normalize("NFC", name)


class IndexFacts(TypedDict):
    """What indexing learned of a dataset: sidecars by the pattern that ignores them, and counts of the rest; what came of
    each label file (`manifest.lists.Listed`), and the rules by which no split is official."""

    ignored: Mapping[str, int]
    files: int
    missing_label_files: Sequence[str]
    missing_pairs: int
    empty_folders: Sequence[str]
    lists: Sequence[Mapping[str, Any]]
    partial_rules: Sequence[str]


MASKS = ("mask_frames", "mask_short", "mask_unreadable", "mask_other_size")
"""What extraction counts of the frames of a medium that has a mask: with their mask, and without it, by why."""


class SampleFacts(TypedDict, total=False):
    """What extraction learned of a medium, as far as others ask: digests of its bytes and of its mask's, the frames that
    were planned, where its samples' geometry comes from (several joined by +); of a fake with a pair what its pixels say of
    that; where several people could be meant, how many, and how one was chosen; `pixels` names what its samples show,
    `missing_bytes` says by how much its file is shorter than its header says; where its rule speaks of turning, `turn` is by
    how many degrees clockwise its frames were turned, and where that was looked for, in how many frames, and in how many of
    these there is a face at each turn."""

    sha256: str
    mask_sha256: str
    frames: Sequence[int]
    geometry: str | None
    pixels: str
    missing_bytes: int
    turn: int
    turn_frames: int
    turn_faces: Sequence[int]
    pair_check: PairCheck
    people: int
    choice: str
    mask_frames: int
    mask_short: int
    mask_unreadable: int
    mask_other_size: int


class CurateFacts(TypedDict, total=False):
    """What curation learned beside its verdicts. `two_methods`: equal samples of fakes under two methods, of which one
    stays: both methods, how many, and a medium of each."""

    two_methods: Sequence[Sequence[Any]]


class CaptionFacts(TypedDict, total=False):
    """What a medium's captions took, where a model gave them: replies, tokens, and faults of replies, counted."""

    replies: int
    prompt_tokens: int
    completion_tokens: int
    faults: Mapping[str, int]
