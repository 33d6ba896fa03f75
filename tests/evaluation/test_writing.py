"""What is written: one set of figures in every format, names from outside that can do no harm, nothing overwritten."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import Said
from PIL import Image
from rich.console import Console

from evaluation.made import Clip, made, random_clips
from mmidd.errors import WorkError
from mmidd.evaluation.compare import compare
from mmidd.evaluation.evaluate import Evaluation, evaluate
from mmidd.evaluation.formats import tex
from mmidd.evaluation.long import COLUMNS
from mmidd.scores.file import write

Run = Callable[..., Said]
HOSTILE = "<script>alert(1)</script>|`$x$`\\input{/etc/passwd}&_%#\x1b[31m[bold]=1+1\n~^"


def hostile(name: str = "made") -> list[Clip]:
    return [
        Clip(c.media, c.fake, c.scores, HOSTILE if c.dataset == "B" else c.dataset, c.group, c.kind,
             HOSTILE if c.fake else None, c.compression, c.split, c.types)
        for c in random_clips(60, types=True)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(made(hostile(), name=f"={HOSTILE}"), resamples=50)


def test_every_format_has_the_figures_and_escapes_names(found: Evaluation, tmp_path: Path) -> None:
    out = found.write(tmp_path / "out")
    names = {path.name for path in out.iterdir()}
    charts = {f"{name}.{kind}" for name in ("roc", "precision-recall", "reliability", "matrix") for kind in ("svg", "png")}
    assert names == charts | {f"evaluation.{kind}" for kind in ("json", "md", "tex", "csv")} | {"index.html"}
    assert json.loads((out / "evaluation.json").read_text()) == json.loads(json.dumps(found.document()))
    figure = str(found.files[0].figures("clip", "counted")["auroc"]).split()[0]
    texts = {name: (out / name).read_text(encoding="utf-8") for name in names if not name.endswith("png")}
    assert all(figure in texts[name] for name in ("evaluation.md", "evaluation.tex", "index.html"))
    for name, text in texts.items():
        assert "<script" not in text or name in ("evaluation.json", "evaluation.csv")
        assert "\x1b" not in text
    for line in texts["evaluation.tex"].splitlines():
        assert r"\input{" not in line and "$x$" not in line
    parser = _Tags()
    parser.feed(texts["index.html"])
    assert "script" not in parser.tags and {"table", "img"} <= parser.tags
    for name in names:
        if name.endswith("svg"):
            tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(texts[name]).iter()}
            assert "script" not in tags
        elif name.endswith("png"):
            assert min(Image.open(out / name).size) > 300
    rows = list(csv.DictReader(StringIO(texts["evaluation.csv"])))
    assert tuple(rows[0]) == COLUMNS and all(row["file"].startswith("'=") for row in rows)
    value = next(
        r for r in rows if (r["level"], r["policy"], r["subset"], r["metric"]) == ("clip", "counted", "all", "auroc")
    )
    assert float(value["value"]) == found.files[0].figures("clip", "counted")["auroc"].value


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


def test_markdown_tables_keep_their_columns(found: Evaluation, tmp_path: Path) -> None:
    text = (found.write(tmp_path / "out", charts=False) / "evaluation.md").read_text(encoding="utf-8")
    widths: set[int] = set()
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            widths.add(line.replace("\\|", "").count("|"))
        else:
            assert len(widths) <= 1, line
            widths = set()


def test_latex_prints_text_as_it_is() -> None:
    assert tex(r"50% of a_b & {c} \x $1^2~#") == (
        r"50\% of a\_b \& \{c\} \textbackslash{}x \$1\textasciicircum{}2\textasciitilde{}\#"
    )
    assert tex("[x") == "{[x}"


def test_nothing_is_overwritten_and_nothing_is_left_behind(found: Evaluation, mmidd: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    found.write(tmp_path / "out", charts=False)
    with pytest.raises(WorkError, match="nothing is overwritten"):
        found.write(tmp_path / "out", charts=False)
    write(tmp_path / "x.parquet", made(random_clips(20)))
    said = mmidd("evaluate", str(tmp_path / "x.parquet"), "--out", str(tmp_path / "out"))
    assert said.code == 1 and "nothing is overwritten" in said.err
    assert {path.name for path in tmp_path.iterdir()} == {"out", "x.parquet"}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    import os

    found = os.umask(0o077)
    os.umask(found)
    return found


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_narrow_console_folds_tables_and_shows_no_escape(found: Evaluation, width: int) -> None:
    console = Console(file=StringIO(), width=width, highlight=False, emoji=False, soft_wrap=True)
    found.tell(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    figure = str(found.files[0].figures("clip", "counted")["auroc"])
    assert figure in text and "\x1b[31m" not in text
    table = text[text.index("AUROC by subset") :].split("\n\n")[0].splitlines()[1:]
    assert max(map(len, (line for line in table if not line.startswith("  ")))) <= width


def test_a_comparison_is_written_the_same_way(tmp_path: Path) -> None:
    files = [made(hostile(), name=name) for name in (HOSTILE, "b")]
    out = compare(files, resamples=50).write(tmp_path / "out")
    assert {path.name for path in out.iterdir()} >= {
        "comparison.json",
        "comparison.md",
        "comparison.tex",
        "comparison.csv",
        "roc.svg",
    }
    assert "<script" not in (out / "index.html").read_text(encoding="utf-8")


def test_the_verb_writes_and_says_the_most_important_first(mmidd: Run, tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", made([*random_clips(40), *random_clips(40, split="validation")]))
    said = mmidd("evaluate", str(tmp_path / "x.parquet"), "--out", str(tmp_path / "out"), "--resamples", "50")
    assert said.code == 0 and (tmp_path / "out" / "index.html").is_file()
    lines = said.out.splitlines()
    assert "clip AUROC, all count" in lines[2] and "columns alone" in lines[3]
    assert "groups shared with train" in said.out and "Fisher p" in said.out
