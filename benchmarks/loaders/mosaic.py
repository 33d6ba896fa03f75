"""Write the MDS shards, in the interpreter that has `streaming`: python -m benchmarks.loaders.mosaic ROOT"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.loaders.place import Place


def main(root: Path) -> None:
    """The JPEG folder's bytes as they are, in the order of the corpus."""
    from streaming import MDSWriter

    place, half = Place(root), root / "mds.half"
    with MDSWriter(columns={"id": "str", "label": "int", "image": "bytes"}, out=str(half)) as out:
        for name, label in zip(place.ids, place.labels, strict=True):
            out.write({"id": name, "label": label, "image": (place.jpeg / str(label) / f"{name}.jpg").read_bytes()})
    half.rename(place.mds)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
