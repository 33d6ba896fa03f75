"""What every exporter promises: all rows, the same bytes each time, nothing overwritten, nothing outside, no half export."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus import made

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, UsageError, WorkError
from mmidd.share.export.protocol import EXPORTERS, Exporter, exporter
from mmidd.share.export.run import Exported, export
from mmidd.share.export.sink import ABOUT, LIST, FolderSink, check

pytestmark = pytest.mark.parametrize("name", sorted(EXPORTERS.names()))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """A small corpus with all that makes exporting hard."""
    return Corpus(made.corpus(tmp_path / "corpus"))


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_row_is_exported_and_told(name: str, corpus: Corpus, tmp_path: Path) -> None:
    done = export(corpus, name, tmp_path / "out" / "deep")
    found = _files(tmp_path / "out" / "deep")
    everything = b"".join(found.values())
    assert all(row["id"].encode() in everything for row in corpus.rows(["id"]).to_pylist())
    assert all(data in everything for _, data in corpus.images())
    content = {each: data for each, data in found.items() if each not in (ABOUT, LIST)}
    sizes = {"files": len(content), "bytes": sum(map(len, content.values()))}
    assert done.document() == sizes | {
        "to": name, "out": str(tmp_path / "out" / "deep"), "rows": 28, "left_out": list(done.left_out), "changed": True,
    }  # fmt: skip
    assert set(done.left_out) <= set(corpus.columns)
    listed = (line.partition("  ") for line in found[LIST].decode().splitlines())
    assert {each for _, _, each in listed} == set(content)
    assert sorted(path.name for path in tmp_path.rglob(".*")) == [ABOUT, LIST]


def test_the_same_corpus_gives_the_same_bytes_and_a_second_export_changes_nothing(
    name: str, corpus: Corpus, tmp_path: Path
) -> None:
    first, second = export(corpus, name, tmp_path / "a"), export(corpus, name, tmp_path / "b")
    assert _files(tmp_path / "a") == _files(tmp_path / "b") and first.changed and second.changed
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")}
    again = export(corpus, name, tmp_path / "a")
    assert not again.changed and {**again.document(), "changed": True} == first.document()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")} == before


def _file(out: Path) -> None:
    out.write_text("years of work")


def _foreign(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")


def _link(out: Path) -> None:
    (out.parent / "elsewhere").mkdir()
    out.symlink_to("elsewhere")


def _broken_link(out: Path) -> None:
    out.symlink_to("nowhere")


def _leftover_of_others(out: Path) -> None:
    _foreign(out.with_name(f".{out.name}.exporting"))


@pytest.mark.parametrize("there", [_file, _foreign, _link, _broken_link, _leftover_of_others])
def test_what_is_there_is_left_alone(name: str, corpus: Corpus, tmp_path: Path, there: Callable[[Path], None]) -> None:
    out = tmp_path / "place" / "out"
    out.parent.mkdir()
    there(out)
    before = {path: path.is_file() and path.read_bytes() for path in out.parent.rglob("*")}
    with pytest.raises(CorpusError, match=r"nothing was touched|is in the way"):
        export(corpus, name, out)
    assert {path: path.is_file() and path.read_bytes() for path in out.parent.rglob("*")} == before


def test_an_empty_folder_is_filled_and_one_that_fills_meanwhile_is_not(
    name: str, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    assert export(corpus, name, tmp_path / "out").changed
    (tmp_path / "late").mkdir()
    layout = exporter(name).layout

    def late(corpus: Corpus, sink: Any) -> tuple[str, ...]:
        (tmp_path / "late" / "thesis.txt").write_text("years of work")
        return layout(corpus, sink)

    monkeypatch.setattr("mmidd.share.export.run.exporter", lambda name: Exporter(late))
    with pytest.raises(CorpusError, match="was filled while the export ran"):
        export(corpus, name, tmp_path / "late")
    assert [path.name for path in (tmp_path / "late").iterdir()] == ["thesis.txt"]


def test_an_export_of_another_corpus_and_a_damaged_one_are_refused(name: str, corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(corpus, name, out)
    with pytest.raises(CorpusError, match="an export of another corpus"):
        export(corpus.part("train"), name, out)
    path = max((path for path in out.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(CorpusError, match=f"not as it was exported: .*{path.name} has another checksum"):
        export(corpus, name, out)


def _damage(out: Path) -> list[tuple[Callable[[], None], str, str]]:
    path = next(path for path in sorted(out.rglob("*")) if path.is_file() and path.suffix in (".jpg", ".png", ".webp"))
    name = path.relative_to(out).as_posix()

    def linked() -> None:
        path.rename(out.parent / "away")
        path.symlink_to(out.parent / "away")

    def written(place: Path, text: str) -> Callable[[], None]:
        return lambda: print(place.write_text(text))

    return [
        (path.unlink, name, "is missing"),
        (linked, name, "is missing"),
        (written(out / "new.txt", "?"), "new.txt", "is not of the export"),
        (written(out / LIST, "0  ../../etc/passwd\n"), LIST, "is not the list that was written"),
        ((out / ABOUT).unlink, ABOUT, "does not say that the export is whole"),
    ]


@pytest.mark.parametrize("number", range(5))
def test_an_export_is_checked_from_its_files_alone(name: str, corpus: Corpus, tmp_path: Path, number: int) -> None:
    out = tmp_path / "out"
    export(corpus, name, out)
    assert list(check(out)) == []
    damage, file, what = _damage(out)[number]
    damage()
    assert [(finding.where, finding.what) for finding in check(out)] == [((file,), what)]


KILLS = ["exported:1", "exported:9", "written:1", "written:2", "renamed:1", "before_export_rename:1"]


@pytest.mark.parametrize("point", KILLS)
def test_a_killed_export_leaves_no_target_and_the_next_one_is_whole(
    name: str, corpus: Corpus, tmp_path: Path, point: str
) -> None:
    out = tmp_path / "out"
    code = (
        "import sys, pathlib; from mmidd.corpus.read import Corpus; from mmidd.share.export.run import export; "
        "export(Corpus(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]))"
    )
    environment = {**os.environ, "MMIDD_FAULT": f"{point}:kill:{tmp_path / 'tally'}"}
    command = [sys.executable, "-c", code, str(tmp_path / "corpus"), name, str(out)]
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    assert not out.exists() and (tmp_path / ".out.exporting").is_dir()
    assert export(corpus, name, out).changed and list(check(out)) == []
    shutil.rmtree(tmp_path / "corpus")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tally"]


def test_a_full_disk_is_told_and_leaves_no_target(
    name: str, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMIDD_FAULT", f"exported:5:ENOSPC:{tmp_path / 'tally'}")
    with pytest.raises(WorkError, match="the disk is full"):
        export(corpus, name, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "tally"}
    monkeypatch.delenv("MMIDD_FAULT")
    assert export(corpus, name, tmp_path / "out").changed


HOSTILE = [
    ("id", "../../../../tmp/x", "is no sample id"), ("id", None, "is no sample id"), ("id", "A" * 24, "is no sample id"),
    ("image", b"<script>", "no JPEG, PNG or WebP"), ("image", b"", "no JPEG, PNG or WebP"),
    ("id", made.row("test-gamma", 0)["id"], "holds a sample id twice"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value", "message"), HOSTILE)
def test_a_hostile_corpus_is_an_error_and_leaves_no_target(
    name: str, tmp_path: Path, column: str, value: Any, message: str
) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        rows[2][column] = value if shard == "test-gamma" else rows[2][column]

    corpus = Corpus(made.corpus(tmp_path / "corpus", change))
    with pytest.raises(CorpusError, match=message):
        export(corpus, name, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus"}


def test_no_path_of_the_corpus_becomes_a_path_of_the_export(name: str, tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row |= {"media": f"../../{row['media']}", "method": "/etc/passwd", "codec": "..\\x", "label": 99}

    export(Corpus(made.corpus(tmp_path / "corpus", change)), name, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "out"}
    assert not any(word in path.name for path in (tmp_path / "out").rglob("*") for word in ("mp4", "passwd", "\\"))


@pytest.mark.parametrize("file", ["../x", "/x", "a//b", "a/../b", "", ".x", "a b", "ü", "a/.b", "x\n", "C:/x"])
def test_the_sink_takes_plain_names_alone(name: str, tmp_path: Path, file: str) -> None:
    with FolderSink(tmp_path) as sink, pytest.raises(CorpusError, match="names are plain words alone"):
        sink.put(file, b"")
    assert [path.name for path in tmp_path.rglob("*")] == [LIST]


def test_an_export_into_the_corpus_and_an_unknown_layout_are_refused(name: str, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lies in the corpus, whose files are sealed"):
        export(corpus, name, tmp_path / "corpus" / "out")
    with pytest.raises(UsageError, match=r"there is no exporter 'imagefoldre'; there are: .*imagefolder"):
        export(corpus, "imagefoldre", tmp_path / "out")
    assert EXPORTERS.listed() and isinstance(export(corpus, name, tmp_path / "out"), Exported)
