"""What is compared, and what each needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OURS = "mmidd, random"
FLOOR = "floor: decoding alone"
PNG = "PNG folder, as DeepfakeBench reads it"
FEW = 256
"""Images of an epoch that are taken of what is so slow that all would take the run's whole time."""


@dataclass(frozen=True)
class Case:
    """A loader. `opens`: its function, MODULE:NAME in this package. `needs`: modules that are imported before it is opened.
    `as_it_comes`: it decodes as its own documentation does, not by a faster decoder that was put in. `once`: every row comes
    exactly once in an epoch. `exact`: its pixels are to be those of simplejpeg. `streaming`: it runs in the interpreter that
    --streaming-python names. `most`: so many images are taken of its epoch. `workers`: with how many it is measured."""

    name: str
    opens: str
    needs: tuple[str, ...]
    decoder: str
    order: str
    as_it_comes: bool = True
    once: bool = True
    exact: bool = False
    streaming: bool = False
    most: int | None = None
    workers: tuple[int, ...] = (0, 1, 2)


_MMIDD = ("torch", "simplejpeg", "pyarrow.parquet", "mmidd.training")
_DATASETS = ("torch", "datasets", "simplejpeg")
_WINDOW = "shards, then a window of 1,000"

CASES = (
    Case(FLOOR, "peers:floor", ("torch", "simplejpeg"), "simplejpeg", "any row, from memory", exact=True, workers=(0,)),
    Case(OURS, "ours:shuffled", _MMIDD, "its own", "any row"),
    Case("mmidd, stream", "ours:streamed", _MMIDD, "its own", "row groups, then a window"),
    Case("mmidd, pairs", "ours:paired", _MMIDD, "its own", "any fake, and its real", once=False),
    Case("WebDataset", "peers:webdataset", ("torch", "webdataset"), "Pillow", _WINDOW),
    Case(
        "WebDataset, simplejpeg", "peers:webdataset_fast", ("torch", "webdataset", "simplejpeg"), "simplejpeg", _WINDOW,
        exact=True, as_it_comes=False,
    ),
    Case("datasets, Arrow", "peers:arrow", _DATASETS, "Pillow", "any row"),
    Case(
        "datasets, Arrow, simplejpeg", "peers:arrow_fast", _DATASETS, "simplejpeg", "any row", exact=True, as_it_comes=False,
    ),
    Case("datasets, streaming Parquet", "peers:streaming", _DATASETS, "Pillow", _WINDOW),
    Case(
        "datasets, streaming Parquet, simplejpeg", "peers:streaming_fast", _DATASETS, "simplejpeg", _WINDOW, exact=True,
        as_it_comes=False,
    ),
    Case("MosaicML streaming", "peers:mosaic", ("torch", "streaming"), "Pillow", "its default (py1e)", streaming=True),
    Case(
        "MosaicML streaming, simplejpeg", "peers:mosaic_fast", ("torch", "streaming", "simplejpeg"), "simplejpeg",
        "its default (py1e)", exact=True, streaming=True, as_it_comes=False,
    ),
    Case(PNG, "peers:png_folder", ("torch", "cv2"), "OpenCV, PNG", "any row", exact=True),
    Case("JPEG folder, torchvision", "peers:jpeg_folder", ("torch", "torchvision"), "Pillow", "any row"),
    Case(
        "JPEG folder, OpenCV", "peers:jpeg_folder_cv2", ("torch", "torchvision", "cv2"), "OpenCV", "any row",
        as_it_comes=False,
    ),
    Case(
        "JPEG folder, simplejpeg", "peers:jpeg_folder_fast", ("torch", "torchvision", "simplejpeg"), "simplejpeg", "any row",
        exact=True, as_it_comes=False,
    ),
    Case(
        "torch over pyarrow, a row group an image", "peers:pyarrow_naive", ("torch", "pyarrow.parquet", "simplejpeg"),
        "simplejpeg", "any row", exact=True, as_it_comes=False, most=FEW, workers=(0,),
    ),
    Case(
        "torch over pyarrow, row groups shuffled", "peers:pyarrow_groups", ("torch", "pyarrow.parquet", "simplejpeg"),
        "simplejpeg", "row groups, then within each", exact=True, as_it_comes=False,
    ),
)  # fmt: skip

_COLUMNS = ("torch", "pyarrow.parquet", "simplejpeg")
STARTS = (
    Case(OURS, "ours:shuffled", _MMIDD, "its own", "any row"),
    Case("mmidd, stream", "ours:streamed", _MMIDD, "its own", "row groups, then a window"),
    Case("mmidd, pairs", "ours:paired", _MMIDD, "its own", "any fake, and its real"),
    Case("mmidd, fakes of one type", "ours:chosen", _MMIDD, "its own", "any row of them"),
    Case("datasets, Arrow, first time", "peers:arrow_cold", _DATASETS, "simplejpeg", "any row"),
    Case("datasets, Arrow, again", "peers:arrow_fast", _DATASETS, "simplejpeg", "any row"),
    Case("datasets, streaming Parquet", "peers:streaming_fast", _DATASETS, "simplejpeg", _WINDOW),
    Case("torch over pyarrow, row groups shuffled", "peers:pyarrow_groups", _COLUMNS, "simplejpeg", "row groups"),
    Case("pyarrow, columns read alone", "peers:read_table", _COLUMNS, "simplejpeg", "the first rows"),
)
"""Those that are started over the million rows."""

LEFT_OUT: Mapping[str, str] = {
    "FFCV": "has no wheel: it is compiled against OpenCV and libjpeg-turbo; not tried",
    "NVIDIA DALI": "is made to decode on a GPU, and its wheels are built for CUDA; not tried",
    "WebDataset over a million rows": "has no index: it opens one tar, and cannot choose rows by columns",
}
