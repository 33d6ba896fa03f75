"""The layout and the JSON lists of DeepfakeBench, so that its trainers read a corpus of ours.

    dataset_json/DATASET.json  label_dict.yaml  README.md  index/DATASET.jsonl
    SPLIT/LABEL/frames/CLIP/FRAME.jpg  SPLIT/LABEL/masks/CLIP/FRAME.jpg  SPLIT/LABEL/landmarks5/CLIP/FRAME.npy

Written from its documented schema, without its code. What its loader does decides some names: it finds a mask by putting
`masks` for `frames` in a frame's path, sorts frames by the number that is their name, and its metrics take videos whose
folders are called alike for one video. So `frames` stands in a path once, a mask has its frame's whole name (pictures are
known by their bytes), and a CLIP is a digest of dataset, medium and face. The splits are the corpus's own.
"""

from __future__ import annotations

import hashlib
import io
import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError
from mmidd.share.export.benchnames import LEVELLED, level, places
from mmidd.share.export.protocol import Exporter, Sink
from mmidd.share.export.rows import compressions, ending, label_of, told, walk_parts

_SPLITS = {"train": "train", "validation": "val", "test": "test"}
_ENDINGS = ("jpg", "png", "webp")


@dataclass(slots=True)
class _Clip:
    """A video as the lists have it: its folder, and of each frame one number (index, ending, whether it has a mask)."""

    split: str
    folder: str
    name: str
    frames: array[int] = field(default_factory=lambda: array("q"))

    def add(self, frame: int, file: str, *, masked: bool) -> None:
        self.frames.append((frame * len(_ENDINGS) + _ENDINGS.index(file.rpartition(".")[2])) * 2 + masked)

    def entry(self, label: str) -> dict[str, Any]:
        """What a list says of it under a label."""
        files = [(f"{self.name}/{code // 6:06d}.{_ENDINGS[code // 2 % 3]}", code % 2) for code in sorted(self.frames)]
        entry: dict[str, Any] = {"label": label, "frames": [f"{self.folder}/frames/{file}" for file, _ in files]}
        masks = [f"{self.folder}/masks/{file}" for file, masked in files if masked]
        return {**entry, "masks": masks} if masks else entry


def layout(corpus: Corpus, sink: Sink) -> tuple[str, ...]:
    """Every row as a frame, with mask and landmarks, and the lists of them. No column is left out: `index` has them."""
    for split, slug, _, _, rows in walk_parts(corpus, sink):
        for row in rows:
            _tell(corpus, sink, _SPLITS[split], slug, row)
    packed = compressions(corpus)
    labels: dict[str, int] = {}
    for slug in corpus.datasets:
        if len(corpus.part(dataset=slug)):
            labels |= _lists(sink, slug, packed)
    sink.put("label_dict.yaml", _label_dict(labels))
    sink.put("README.md", _README.encode())
    return ()


def _tell(corpus: Corpus, sink: Sink, split: str, slug: str, row: Mapping[str, Any]) -> None:
    """A row's frame, mask and landmarks, and its line of the index."""
    folder, clip = f"{split}/{label_of(corpus, row)}", _clip(row)
    if row["frame"] is None or not 0 <= row["frame"] < 1 << 31:
        raise CorpusError(f"{corpus.place.path('')}: sample {row['id']} has no frame number; see `mmidd verify`")
    stem = f"{clip}/{row['frame']:06d}"
    name = f"{stem}.{ending(corpus, row['id'], row['image'])}"
    sink.put(f"{folder}/frames/{name}", row["image"]["bytes"])
    line: dict[str, Any] = {"file": f"{folder}/frames/{name}", "mask": None, "landmarks5": None, "split": split}
    if row["mask"] is not None:
        ending(corpus, row["id"], row["mask"])
        line["mask"] = f"{folder}/masks/{name}"
        sink.put(f"{folder}/masks/{name}", row["mask"]["bytes"])
    points = landmarks_in_crop(row["landmarks"], row["transform"])
    if points is not None:
        line["landmarks5"] = f"{folder}/landmarks5/{stem}.npy"
        sink.put(line["landmarks5"], points)
    sink.add(f"index/{slug}.jsonl", json.dumps(line | told(row), allow_nan=False).encode() + b"\n")


def _clip(row: Mapping[str, Any]) -> str:
    """The name of a clip's folder: no other clip of any dataset has it, and nothing of the medium's path is in it."""
    return hashlib.sha256(f"{row['dataset']}\0{row['media']}\0{row['face']}".encode()).hexdigest()[:16]


def landmarks_in_crop(landmarks: Any, transform: Any) -> bytes | None:
    """The five points in pixels of the crop, float32 (5, 2), as an .npy file; None for a whole image, which has none."""
    if landmarks is None or transform is None:
        return None
    affine = np.asarray(transform, np.float64).reshape(2, 3)
    points = np.asarray(landmarks, np.float64) @ affine[:, :2].T + affine[:, 2]
    data = io.BytesIO()
    np.save(data, points.astype(np.float32), allow_pickle=False)
    return data.getvalue()


def _lists(sink: Sink, slug: str, packed: Mapping[tuple[str, str], str]) -> dict[str, int]:
    """The JSON files that list a dataset, made from its index. Gives the labels that they name, and what they mean."""
    clips: dict[str, _Clip] = {}
    trees: dict[str, dict[str, Any]] = {}
    labels: dict[str, int] = {}
    for text in sink.read(f"index/{slug}.jsonl"):
        line = json.loads(text)
        folder, _, name = (line["file"].rpartition("/")[0]).partition("/frames/")
        if name not in clips:
            clips[name] = clip = _Clip(line["split"], folder, name)
            fake = line["label"] == "fake"
            for place in places(slug, line["method"], line["media"] or "", fake=fake):
                labels[place.label] = int(fake)
                splits = trees.setdefault(place.dataset, {}).setdefault(place.label, {key: {} for key in _SPLITS.values()})
                found = packed.get((line["dataset"], line["media"]))
                said = [level(found, line["media"])] if place.dataset in LEVELLED else []
                _into(splits, [clip.split, *said], clip)
        clips[name].add(line["frame"], line["file"], masked=line["mask"] is not None)
    for dataset, tree in trees.items():
        if dataset in LEVELLED:
            _fill(tree)
        for piece in _pieces({dataset: tree}, ""):
            sink.add(f"dataset_json/{dataset}.json", piece.encode())
        sink.end(f"dataset_json/{dataset}.json")
    return labels


def _into(tree: dict[str, Any], keys: list[str], clip: _Clip) -> None:
    for key in keys:
        tree = tree.setdefault(key, {})
    tree[clip.name] = clip


def _fill(tree: dict[str, Any]) -> None:
    """Every split of a levelled dataset has every compression that one has: its loader asks for them by name."""
    levels = {key for splits in tree.values() for videos in splits.values() for key in videos}
    for splits in tree.values():
        for videos in splits.values():
            for key in levels:
                videos.setdefault(key, {})


def _pieces(tree: Any, label: str, depth: int = 0) -> Iterator[str]:
    """The text of a list, a video a piece. The second level's keys are the labels."""
    if isinstance(tree, _Clip):
        yield json.dumps(tree.entry(label))
        return
    yield "{"
    for number, key in enumerate(sorted(tree)):
        yield f"{',' if number else ''}\n{json.dumps(key)}: "
        yield from _pieces(tree[key], key if depth == 1 else label, depth + 1)
    yield "}\n" if depth == 0 else "}"


def _label_dict(labels: Mapping[str, int]) -> bytes:
    lines = "".join(f"  {name}: {labels[name]}\n" for name in sorted(labels))
    return f"# for the yaml files of DeepfakeBench's detectors\nlabel_dict:\n{lines}".encode()


_README = """\
# A corpus of mmidd in the layout of DeepfakeBench

In the yaml files of DeepfakeBench set

- `dataset_json_folder` to the folder `dataset_json` here;
- `rgb_dir` to this folder: frames are listed relative to it, with `/`. It must be reachable by a relative path in which the
  word "frames" does not stand;
- `label_dict` to what `label_dict.yaml` here says (or add its lines);
- `train_dataset` and `test_dataset` to names of files in `dataset_json`, without `.json`.

What is other than what its own preprocessing writes:

- The splits are the corpus's: no clip is in two of them. DeepfakeBench's own lists of Celeb-DF, DeepFakeDetection, UADFV and
  DeeperForensics have test clips in `train`. `validation` is called `val`.
- A frame is the picture as the corpus stores it, often a JPEG, and its name ends so; DeepfakeBench writes PNG. Its loader
  knows pictures by their bytes. A mask has its frame's name, whatever its bytes, for that is where the loader looks.
- Videos are called by a digest, because its video metrics take videos of one name for one video, whatever their method.
  `index/*.jsonl` says of every frame which sample, medium and frame it is, with all other columns of the corpus.
- `landmarks5` has five points in pixels of the crop (eyes, nose, mouth corners, image left first; float32, 5 x 2). There is
  no folder `landmarks`: DeepfakeBench wants 81 points of dlib there, and no model here gives those. Where a file of it is
  missing, its loader takes zeros and says nothing. So do not train what needs the 81 points with this: FWA, Face X-ray, SBI,
  LSDA, and whatever else sets `with_landmark`.
- Labels of datasets that DeepfakeBench does not know are `NAME_Real` and `NAME_Fake`; those of DF40 are `METHOD_Fake` and
  `DF40_Real`. The lists FF-DF, FF-F2F, FF-FS, FF-NT and FaceShifter name frames that FaceForensics++ names too.
"""

EXPORTER = Exporter(layout)
