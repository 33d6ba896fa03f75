"""An evaluation or a comparison as a folder: JSON, Markdown, LaTeX, CSV, HTML, charts; made beside it, renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from mmidd.engine.files import disk_errors, fsync_folder
from mmidd.errors import WorkError
from mmidd.evaluation.charts import charts as draw
from mmidd.evaluation.compare import Comparison
from mmidd.evaluation.evaluate import Evaluation
from mmidd.evaluation.formats import latex, long_csv, markdown, page
from mmidd.evaluation.long import rows
from mmidd.evaluation.tables import of_comparison, of_evaluation
from mmidd.evaluation.words import sentences


def write(folder: Path, found: Evaluation | Comparison, *, charts: bool = True) -> Path:
    """Raises WorkError where `folder` is there and holds anything, MissingExtra without matplotlib."""
    check(folder)
    kind = "comparison" if isinstance(found, Comparison) else "evaluation"
    tables = list(of_comparison(found) if isinstance(found, Comparison) else of_evaluation(found))
    title, words = f"mmidd {kind}", sentences(found)
    place = folder.absolute()
    with disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name[:40]}.", suffix=".tmp", dir=place.parent))
        try:
            pictures = draw(found, beside) if charts else []
            texts = {
                f"{kind}.json": json.dumps(found.document(), indent=1, ensure_ascii=True, allow_nan=False) + "\n",
                f"{kind}.md": markdown(title, tables, words),
                f"{kind}.tex": latex(tables),
                f"{kind}.csv": long_csv(rows(found)),
                "index.html": page(title, tables, words, pictures),
            }
            for name, text in texts.items():
                with (beside / name).open("w", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
            beside.chmod(0o777 & ~_umask())
            check(folder)
            beside.rename(place)  # over an empty folder, or over nothing
            fsync_folder(place.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return folder


def check(folder: Path) -> None:
    """Raises WorkError where a folder cannot be written."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise WorkError(f"{folder} is there already: nothing is overwritten, give --out another folder")


def _umask() -> int:
    found = os.umask(0o077)
    os.umask(found)
    return found
