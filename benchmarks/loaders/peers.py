"""Other ways to load the same crops, each as its own documentation has it, with what makes it fast.

Each function opens a loader over a place with so many workers and gives its batches. Libraries are imported in it: none
is needed by the others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from benchmarks.loaders.decode import Batches, fast, fast_rows, joined, pillow
from benchmarks.loaders.place import BATCH, SEED, WINDOW, Place

Decoder = Callable[[bytes], torch.Tensor]
COLUMNS = ["id", "label", "image"]


def shuffled(dataset: Any, workers: int, collate: Any = None) -> Batches:
    """torch's loader over a map-style dataset in random order."""
    order = torch.Generator().manual_seed(SEED)
    return iter(DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, collate_fn=collate, generator=order))


# What is in memory already: nothing is read, and no loader is there.


def floor(place: Place, workers: int) -> Batches:
    """simplejpeg into the batch's own memory."""
    import simplejpeg

    items = [(path.read_bytes(), int(path.parent.name), path.stem) for path in sorted(place.jpeg.glob("*/*.jpg"))]
    order, size = torch.randperm(len(items), generator=torch.Generator().manual_seed(SEED)).tolist(), place.size
    for start in range(0, len(items), BATCH):
        part = [items[number] for number in order[start : start + BATCH]]
        images = torch.empty((len(part), size, size, 3), dtype=torch.uint8)
        for image, (data, _, _) in zip(images.numpy(), part, strict=True):
            simplejpeg.decode_jpeg(data, "RGB", buffer=image)
        yield {"image": images.permute(0, 3, 1, 2), "label": torch.tensor([p[1] for p in part]), "id": [p[2] for p in part]}


# WebDataset: tars; shards shuffled, then a window.


def _webdataset(place: Place, workers: int, read: Callable[[Any], Any]) -> Batches:
    import webdataset as wds

    shards = wds.WebDataset(place.tars, shardshuffle=len(place.tars), seed=SEED).shuffle(WINDOW)
    batches = read(shards).batched(BATCH, collation_fn=joined, partial=True)
    return iter(wds.WebLoader(batches, batch_size=None, num_workers=workers))


def webdataset(place: Place, workers: int) -> Batches:
    """With its own decoder, which is Pillow."""
    return _webdataset(place, workers, lambda shards: shards.decode("torchrgb8").to_tuple("jpg", "cls", "__key__"))


def webdataset_fast(place: Place, workers: int) -> Batches:
    """With simplejpeg."""
    return _webdataset(place, workers, lambda shards: shards.to_tuple("jpg", "cls", "__key__").map(_decoded))


def _decoded(item: tuple[bytes, bytes, str]) -> tuple[torch.Tensor, int, str]:
    return fast(item[0]), int(item[1]), item[2]


# Hugging Face datasets: the corpus's own Parquet files, as an Arrow cache and streamed.


def _undecoded(dataset: Any) -> Any:
    from datasets import Image

    return dataset.cast_column("image", Image(decode=False))


def arrow_cache(place: Place, cache: Path | None = None) -> Any:
    """The Arrow cache, written where it is not there yet."""
    from datasets import load_dataset

    where = str(cache or place.arrow)
    return load_dataset("parquet", data_files=place.shards, split="train", cache_dir=where).select_columns(COLUMNS)


def arrow(place: Place, workers: int) -> Batches:
    """Random access; Pillow decodes, in its torch format."""
    return shuffled(arrow_cache(place).with_format("torch"), workers)


def arrow_fast(place: Place, workers: int) -> Batches:
    """Random access; simplejpeg decodes."""
    return shuffled(_undecoded(arrow_cache(place)), workers, fast_rows)


def arrow_cold(place: Place, workers: int) -> Batches:
    """The cache is written first, where there is none."""
    return shuffled(_undecoded(arrow_cache(place, place.cold)), workers, fast_rows)


def _streamed(place: Place) -> Any:
    from datasets import config, load_dataset

    config.SLEEP_TIME_ON_THREADS_SHUTDOWN = (
        0  # it waits 5 s at the end of an epoch: much of a short one, nothing of a real one
    )

    files = {"data_files": place.shards, "split": "train", "streaming": True, "columns": COLUMNS}
    return load_dataset("parquet", cache_dir=str(place.arrow), **files)


def streaming(place: Place, workers: int) -> Batches:
    """Shards shuffled, then a window; Pillow decodes, in its torch format."""
    found = _streamed(place).shuffle(seed=SEED, buffer_size=WINDOW).with_format("torch")
    return iter(DataLoader(found, BATCH, num_workers=workers))


def streaming_fast(place: Place, workers: int) -> Batches:
    """Shards shuffled, then a window; simplejpeg decodes."""
    found = _undecoded(_streamed(place)).shuffle(seed=SEED, buffer_size=WINDOW)
    return iter(DataLoader(found, BATCH, num_workers=workers, collate_fn=fast_rows))


# MosaicML streaming: MDS shards on this disk, in its default shuffle.


def _mosaic(place: Place, workers: int, decode: Decoder) -> Batches:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    class Crops(StreamingDataset):  # type: ignore[misc, unused-ignore]
        def __getitem__(self, at: int) -> Any:
            row = super().__getitem__(at)
            return decode(row["image"]), row["label"], row["id"]

    clean_stale_shared_memory()
    found = Crops(local=str(place.mds), shuffle=True, shuffle_seed=SEED, batch_size=BATCH)
    return iter(DataLoader(found, BATCH, num_workers=workers, collate_fn=joined))


def mosaic(place: Place, workers: int) -> Batches:
    """Pillow decodes, as its column type `jpeg` does."""
    return _mosaic(place, workers, pillow)


def mosaic_fast(place: Place, workers: int) -> Batches:
    """simplejpeg decodes."""
    return _mosaic(place, workers, fast)


# Folders of files.


class _Pngs(Dataset):  # type: ignore[misc]  # torch is not looked into
    """As DeepfakeBench reads its frames: OpenCV, then BGR to RGB."""

    def __init__(self, place: Place) -> None:
        self.root, self.ids, self.labels = place.png, place.ids, place.labels

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, at: int) -> Any:
        import cv2

        name = self.ids[at]
        image = cv2.cvtColor(cv2.imread(str(self.root / name[:2] / f"{name}.png")), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(image).permute(2, 0, 1), self.labels[at], name


def png_folder(place: Place, workers: int) -> Batches:
    return shuffled(_Pngs(place), workers, joined)


def _image_folder(place: Place, workers: int, load: Callable[[str], torch.Tensor]) -> Batches:
    from torchvision.datasets import ImageFolder

    class Named(ImageFolder):  # type: ignore[misc, unused-ignore]
        def __getitem__(self, at: int) -> Any:
            image, label = super().__getitem__(at)
            return image, label, Path(self.samples[at][0]).stem

    return shuffled(Named(str(place.jpeg), loader=load), workers, joined)


def jpeg_folder(place: Place, workers: int) -> Batches:
    """torchvision's ImageFolder with its own loader, which is Pillow."""
    return _image_folder(place, workers, lambda path: pillow(Path(path).read_bytes()))


def jpeg_folder_cv2(place: Place, workers: int) -> Batches:
    import cv2

    def load(path: str) -> torch.Tensor:
        return torch.from_numpy(cv2.imread(path, cv2.IMREAD_COLOR_RGB)).permute(2, 0, 1)

    return _image_folder(place, workers, load)


def jpeg_folder_fast(place: Place, workers: int) -> Batches:
    return _image_folder(place, workers, lambda path: fast(Path(path).read_bytes()))


# torch over pyarrow, as one writes it without a library.


class _RowGroups(Dataset):  # type: ignore[misc]  # torch is not looked into
    """Any row: the row group that holds it is read for each."""

    def __init__(self, place: Place) -> None:
        import pyarrow.parquet as pq

        self.files = [pq.ParquetFile(name) for name in place.shards]
        metas = [(file, group) for file in self.files for group in range(file.num_row_groups)]
        self.groups = [(file, group, file.metadata.row_group(group).num_rows) for file, group in metas]
        self.starts = [0, *accumulate(rows for _, _, rows in self.groups)]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, at: int) -> Any:
        place = bisect_right(self.starts, at) - 1
        file, group, _ = self.groups[place]
        row = _read(file, group).slice(at - self.starts[place], 1).to_pylist()[0]
        return fast(row["image"]["bytes"]), row["label"], row["id"]


def _read(file: Any, group: int) -> Any:
    return file.read_row_group(group, columns=["id", "label", "image.bytes"])


def pyarrow_naive(place: Place, workers: int) -> Batches:
    return shuffled(_RowGroups(place), workers, joined)


class _Streamed(IterableDataset):  # type: ignore[misc]
    """Row groups in random order, and the rows of each."""

    def __init__(self, place: Place) -> None:
        self.read = _RowGroups(place)

    def __iter__(self) -> Iterator[Any]:
        order, info = torch.Generator().manual_seed(SEED), get_worker_info()
        groups = torch.randperm(len(self.read.groups), generator=order).tolist()
        for group in groups[info.id :: info.num_workers] if info else groups:
            rows: list[Mapping[str, Any]] = _read(*self.read.groups[group][:2]).to_pylist()
            for at in torch.randperm(len(rows), generator=order).tolist():
                yield fast(rows[at]["image"]["bytes"]), rows[at]["label"], rows[at]["id"]


def pyarrow_groups(place: Place, workers: int) -> Batches:
    return iter(DataLoader(_Streamed(place), BATCH, num_workers=workers, collate_fn=joined))


def read_table(place: Place, workers: int) -> Batches:
    """No loader: the columns that choose rows, of all of them, and then one row group."""
    import pyarrow.parquet as pq

    pq.read_table(str(place.corpus / "data"), columns=["id", "label", "forgery_type", "method", "dataset", "pair"])
    rows = _read(pq.ParquetFile(place.shards[0]), 0).slice(0, BATCH).to_pylist()
    yield fast_rows(rows)
