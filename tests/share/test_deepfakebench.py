"""DeepfakeBench's layout, read by a reader that is written from its documented schema."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from corpus import made
from PIL import Image

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError
from mmidd.schema import media_schema, sample_id
from mmidd.share.export.benchnames import Place, places
from mmidd.share.export.run import export

SPLITS = {"train": "train", "val": "validation", "test": "test"}


class Frame(NamedTuple):
    """A frame as a list names it."""

    dataset: str
    label: str
    split: str
    level: str | None
    video: str
    path: str
    mask: str | None


def _levelled(videos: dict[str, Any]) -> dict[str | None, dict[str, Any]]:
    return {None: videos} if all("frames" in each for each in videos.values()) and videos else videos  # type: ignore[return-value]


def read(root: Path) -> Iterator[Frame]:
    """{dataset: {label: {split: {[compression:] {video: {label, frames, masks}}}}}}; frames by number."""
    for path in sorted((root / "dataset_json").iterdir()):
        ((dataset, labels),) = json.loads(path.read_bytes()).items()
        assert path.name == f"{dataset}.json"
        for label, splits in labels.items():
            assert set(splits) == {"train", "val", "test"}
            for split, found in splits.items():
                for level, videos in _levelled(found).items():
                    for video, entry in videos.items():
                        assert entry["label"] == label and entry["frames"]
                        numbers = [int(Path(frame).stem) for frame in entry["frames"]]
                        assert numbers == sorted(set(numbers))
                        masks = {frame: frame.replace("frames", "masks") for frame in entry["frames"]}
                        there = {mask for mask in masks.values() if (root / mask).is_file()}
                        assert there == set(entry.get("masks", ()))
                        for frame in entry["frames"]:
                            assert Path(frame).parent.name == video and frame.count("frames") == 1
                            mask = masks[frame] if masks[frame] in there else None
                            yield Frame(dataset, label, split, level, video, frame, mask)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus in the layout."""
    folder = tmp_path_factory.mktemp("deepfakebench")
    export(Corpus(made.corpus(folder / "corpus")), "deepfakebench", folder / "out")
    return folder / "out"


def _index(root: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for path in sorted((root / "index").iterdir()) for line in path.read_text().splitlines()]
    return {line["file"]: line for line in lines}


def test_the_lists_give_the_same_samples_labels_splits_and_masks(exported: Path) -> None:
    written = {made.row(shard, n)["id"]: (shard, made.row(shard, n)) for shard in made.SHARDS for n in range(made.ROWS)}
    index, classes = _index(exported), yaml.safe_load((exported / "label_dict.yaml").read_text())["label_dict"]
    frames = list(read(exported))
    assert len(frames) == len(index) == len(written) == 28
    for frame in frames:
        line = index[frame.path]
        shard, row = written.pop(line["id"])
        split, slug = shard.split("-")
        assert (exported / frame.path).read_bytes() == row["image"] and SPLITS[frame.split] == split
        assert (frame.dataset, frame.label) == (slug, f"{slug}_{('Real', 'Fake')[row['label']]}")
        assert classes[frame.label] == row["label"] and (frame.level, line["frame"]) == (None, row["frame"])
        assert (exported / frame.mask).read_bytes() == row["mask"] if frame.mask else row["mask"] is None
        assert {name: line[name] for name in ("media", "dataset", "method", "box", "group")} == {
            name: row[name] for name in ("media", "dataset", "method", "box", "group")
        }
    assert not written


def test_no_two_videos_are_called_alike_whatever_their_dataset_and_method(exported: Path) -> None:
    videos = Counter((frame.dataset, frame.video) for frame in read(exported))
    assert len({video for _, video in videos}) == len(videos) == 28


def _faceforensics(shard: str, rows: list[dict[str, Any]]) -> None:
    """Clips of FaceForensics++ in the place of Gamma: two compressions, every method, two frames a clip."""
    if not shard.endswith("gamma"):
        return
    kinds = [
        ("original_sequences/youtube/c23/videos/000.mp4", None),
        ("manipulated_sequences/Deepfakes/c23/videos/000_003.mp4", "Deepfakes"),
        ("manipulated_sequences/FaceShifter/c23/videos/000_003.mp4", "FaceShifter"),
        ("original_sequences/actors/c23/videos/01__walking.mp4", None),
        ("manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walking__A.mp4", "DeepFakeDetection"),
        ("other.mp4", "Face2Face"),
    ]
    for number, row in enumerate(rows):
        media, method = kinds[min(number, 6) % 6]
        row |= {"media": media, "method": method, "label": int(method is not None), "frame": 11 - number, "dataset": "Gamma"}
        row["id"] = sample_id("Gamma", media, row["frame"], 0)


def test_faceforensics_is_the_datasets_and_labels_that_deepfakebench_knows(tmp_path: Path) -> None:
    folder = made.corpus(tmp_path / "corpus", _faceforensics)
    about = made.about(folder)
    for name in [name for name in about["files"] if "gamma" in name]:
        (folder / name).rename(folder / name.replace("gamma", "faceforensics"))
        about["files"][name.replace("gamma", "faceforensics")] = about["files"].pop(name)
    about["index"]["Gamma"]["slug"] = "faceforensics"
    media = [{"dataset": "Gamma", "media": "other.mp4", "compression": "c40"}]
    pq.write_table(pa.Table.from_pylist(media, media_schema()), folder / "media.parquet")
    about["files"]["media.parquet"] = made.listed(folder / "media.parquet")
    made.sign(folder, about)
    export(Corpus(folder).part("test"), "deepfakebench", tmp_path / "out")
    found = Counter((frame.dataset, frame.label, frame.level) for frame in read(tmp_path / "out"))
    assert found == {
        **{(name, "FF-real", "c23"): 2 for name in ("FaceForensics++", "FaceShifter", "FF-DF", "FF-F2F", "FF-FS", "FF-NT")},
        ("FaceForensics++", "FF-DF", "c23"): 1, ("FF-DF", "FF-DF", "c23"): 1, ("FaceShifter", "FF-FH", "c23"): 1,
        ("FaceForensics++", "FF-F2F", "c40"): 1, ("FF-F2F", "FF-F2F", "c40"): 1,
        ("DeepFakeDetection", "DFD_real", "c23"): 1, ("DeepFakeDetection", "DFD_fake", "c23"): 1,
    }  # fmt: skip
    lists = json.loads((tmp_path / "out" / "dataset_json" / "FaceForensics++.json").read_bytes())["FaceForensics++"]
    assert all(set(levels) == {"c23", "c40"} for splits in lists.values() for levels in splits.values())
    both = lists["FF-real"]["test"]["c23"].values()
    assert [[int(Path(path).stem) for path in entry["frames"]] for entry in both] == [[5, 11]]


NAMES = [
    ("celebdf_v1", None, False, "Celeb-DF-v1", "CelebDFv1_real"), ("celebdf_v2", "X", True, "Celeb-DF-v2", "CelebDFv2_fake"),
    ("dfdc", "X", True, "DFDC", "DFDC_Fake"), ("dfdcp", "DFDCP-A", True, "DFDCP", "DFDCP_FakeA"),
    ("dfdcp", "DFDCP-B", True, "DFDCP", "DFDCP_FakeB"), ("dfdcp", None, False, "DFDCP", "DFDCP_Real"),
    ("deeperforensics", "X", True, "DeeperForensics-1.0", "DF_fake"), ("uadfv", None, False, "UADFV", "UADFV_Real"),
    ("df40", "SimSwap", True, "DF40", "SimSwap_Fake"), ("df40", None, False, "DF40", "DF40_Real"),
    ("df40", "../x y", True, "DF40", "x-y_Fake"), ("kodf", None, False, "kodf", "kodf_Real"),
    ("faceforensics", "New", True, "FaceForensics++", "FF-New"),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "method", "fake", "dataset", "label"), NAMES)
def test_datasets_and_labels_have_the_names_of_deepfakebench(
    slug: str, method: str | None, fake: bool, dataset: str, label: str
) -> None:
    assert places(slug, method, "a/b.mp4", fake=fake) == (Place(dataset, label),)


def test_the_five_points_are_in_pixels_of_the_crop_and_called_five(tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["transform"] = [2.0, 0.0, 10.0, 0.0, 3.0, -1.0] if row["label"] else None

    export(Corpus(made.corpus(tmp_path / "corpus", change)), "deepfakebench", tmp_path / "out")
    lines = list(_index(tmp_path / "out").values())
    assert sum(line["landmarks5"] is not None for line in lines) == sum(line["label"] == "fake" for line in lines) == 12
    for line in lines:
        if line["landmarks5"]:
            points = np.load(tmp_path / "out" / line["landmarks5"], allow_pickle=False)
            assert points.dtype == np.float32 and points.tolist() == [[12.0, 5.0]] * 5
    assert not list((tmp_path / "out").rglob("landmarks"))
    assert "81 points" in (tmp_path / "out" / "README.md").read_text()


def test_a_mask_is_found_by_its_frames_name_whatever_the_frames_format(exported: Path) -> None:
    masked = [frame for frame in read(exported) if frame.mask]
    assert {Path(frame.path).suffix for frame in masked} == {".png", ".webp", ".jpg"}
    for frame in masked:
        assert Image.open(io.BytesIO((exported / str(frame.mask)).read_bytes())).mode == "L"


def test_a_frame_that_a_clip_has_twice_is_refused(tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row |= {"media": "one.mp4", "frame": 3, "label": 0, "image": made.picture(1, "PNG")}

    with pytest.raises(CorpusError, match="twice"):
        export(Corpus(made.corpus(tmp_path / "corpus", change)), "deepfakebench", tmp_path / "out")
