"""What every exporter promises: all rows, the same bytes each time, nothing overwritten, nothing outside, no half export."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from corpus import made
from corpus.served import serve

from mmidd.corpus.read import Corpus
from mmidd.engine.lock import held
from mmidd.engine.units import Outcome
from mmidd.errors import CorpusError, UsageError, WorkError
from mmidd.share.export.marks import ABOUT, LIST, MARK, read_mark
from mmidd.share.export.protocol import EXPORTERS, Exporter, exporter
from mmidd.share.export.run import Exported, export
from mmidd.share.export.sink import FolderSink, check

pytestmark = pytest.mark.parametrize("name", sorted(EXPORTERS.names()))


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus with all that makes exporting hard."""
    return made.corpus(tmp_path_factory.mktemp("made") / "corpus")


@pytest.fixture
def corpus(made_once: Path, tmp_path: Path) -> Corpus:
    """A copy of it."""
    shutil.copytree(made_once, tmp_path / "corpus")
    return Corpus(tmp_path / "corpus")


@dataclass(frozen=True)
class Whole:
    """An uninterrupted export: its files, and how often it passed a fault point."""

    files: dict[str, bytes]
    passes: dict[str, int]


@pytest.fixture(scope="module")
def wholes() -> dict[str, Whole]:
    """By exporter, as far as they were made."""
    return {}


@pytest.fixture
def whole(name: str, wholes: dict[str, Whole], made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The exporter's."""
    if name not in wholes:
        place = tmp_path_factory.mktemp("whole")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(
                "MMIDD_FAULT", ";".join(f"{point}:1000000:kill:{place / point}" for point in ("exported", "marked"))
            )
            export(Corpus(made_once), name, place / "out")
        passes = {path.name: path.stat().st_size for path in place.iterdir() if path.is_file()}
        wholes[name] = Whole(_files(place / "out"), passes)
    return wholes[name]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_row_is_exported_and_told(name: str, corpus: Corpus, tmp_path: Path) -> None:
    done = export(corpus, name, tmp_path / "out" / "deep")
    found = _files(tmp_path / "out" / "deep")
    everything = b"".join(found.values())
    column = "media" if "id" in done.left_out else "id"
    assert all(row[column].encode() in everything for row in corpus.rows([column]).to_pylist())
    assert all((data in everything) == exporter(name).pictures for _, data in corpus.images())
    assert exporter(name).pictures or {"image", "mask"} <= set(done.left_out)
    content = {each: data for each, data in found.items() if each not in (ABOUT, LIST)}
    sizes = {"files": len(content), "bytes": sum(map(len, content.values()))}
    assert done.document() == sizes | {
        "to": name, "out": str(tmp_path / "out" / "deep"), "rows": 28, "kept": 0, "changed": True,
        "left_out": list(done.left_out),
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
    files = (path for path in out.rglob("*") if path.is_file() and not path.name.startswith("."))
    path = max(files, key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(CorpusError, match=f"not as it was exported: .*{path.name} has another checksum"):
        export(corpus, name, out)


def _damage(out: Path) -> list[tuple[Callable[[], None], str, str]]:
    path = next(path for path in sorted(out.rglob("*")) if path.is_file() and not path.name.startswith("."))
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


KILLS = ["exported:1", "exported:1/3", "exported:2/3", "exported:1/1", "marked:1/4", "marked:1/1", "written:1", "written:2",
         "renamed:1", "before_export_rename:1"]  # fmt: skip


def _killed(place: Path, name: str, point: str) -> None:
    """An export of the place's corpus to its `out` that is killed at a point."""

    def child() -> None:
        os.environ["MMIDD_FAULT"] = f"{point}:kill:{place / 'tally'}"
        export(Corpus(place / "corpus"), name, place / "out")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork: Arrow is made for it
        process = multiprocessing.get_context("fork").Process(target=child)  # a new interpreter takes seconds
        process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    (place / "tally").unlink()


@pytest.mark.parametrize("point", KILLS)
def test_a_killed_export_leaves_no_target_and_the_next_one_is_as_if_nothing_had_been(
    name: str, corpus: Corpus, whole: Whole, tmp_path: Path, point: str
) -> None:
    """Points with a fraction are that far into the export, by the passes of an uninterrupted one."""
    out, building = tmp_path / "out", tmp_path / ".out.exporting"
    where, _, share = point.partition(":")
    passes = whole.passes.get(where, 0)
    if "/" in share and not passes:
        assert not exporter(name).pictures  # it reads columns alone and marks nothing
        return
    _killed(tmp_path, name, f"{where}:{max(1, int(passes * Fraction(share))) if '/' in share else share}")
    assert not out.exists() and building.is_dir()
    mark, heard = read_mark(building), list[str]()
    there = {path: path.stat().st_mtime_ns for path in building.rglob("*") if path.suffix in (".jpg", ".png", ".webp")}
    done = export(corpus, name, out, tell=heard.append)
    assert done.kept == (28 if where == "before_export_rename" else mark.rows if mark else 0) and len(heard) <= 1
    assert done.changed and list(check(out)) == [] and _files(out) == whole.files
    now = {path: (out / path.relative_to(building)).stat().st_mtime_ns for path in there}
    assert sum(now[path] == there[path] for path in there) >= done.kept - 1 if there and done.kept else True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "out"]


def test_an_export_that_is_killed_again_and_again_ends_with_the_same_bytes(
    name: str, corpus: Corpus, whole: Whole, tmp_path: Path
) -> None:
    if not exporter(name).pictures:
        return
    for _ in range(4):
        _killed(tmp_path, name, "marked:3")
    done = export(corpus, name, tmp_path / "out")
    assert done.kept > 20 and _files(tmp_path / "out") == whole.files


def _damaged(building: Path) -> None:
    path = max((path for path in building.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    path.write_bytes(bytes(path.stat().st_size))


def _lost(building: Path) -> None:
    next(path for path in sorted(building.rglob("*")) if path.is_file() and not path.name.startswith(".")).unlink()


def _no_mark(building: Path) -> None:
    (building / MARK).write_bytes(b"")


def _leading_out(building: Path) -> None:
    (building / MARK).write_text(
        (building / MARK).read_text().replace('"growing": {', '"growing": {"../corpus/x": [0, ""], ')
    )


def _not_listed(building: Path) -> None:
    (building / LIST).write_bytes(b"")


def _rows(text: str) -> Callable[[Path], None]:
    def change(building: Path) -> None:
        (building / MARK).write_text(re.sub(r'"rows": \d+', f'"rows": {text}', (building / MARK).read_text()))

    return change


def _folder_is_a_link(building: Path) -> None:
    """What is written into this folder would come to lie elsewhere."""
    folder = next((path for path in sorted(building.iterdir()) if path.is_dir()), None)
    if folder is None:  # this layout has none
        return _damaged(building)
    folder.rename(building.with_name("elsewhere"))
    folder.symlink_to(building.with_name("elsewhere"))


def _list_is_a_link(building: Path) -> None:
    (building / LIST).rename(building.with_name("elsewhere"))
    (building / LIST).symlink_to(building.with_name("elsewhere"))


def _foreign_inside(building: Path) -> None:
    (building / "thesis.txt").write_text("years of work")


def _pipe(building: Path) -> None:
    (building / MARK).unlink()
    os.mkfifo(building / MARK)


LEFT = [_damaged, _lost, _no_mark, _leading_out, _not_listed, _rows("28"), _rows("1000000"), _rows("-5"), _rows("Infinity"),
        _folder_is_a_link, _list_is_a_link, _foreign_inside, _pipe]  # fmt: skip


@pytest.mark.parametrize("what", LEFT)
def test_what_a_killed_export_left_and_is_not_right_is_written_anew(
    name: str, corpus: Corpus, whole: Whole, tmp_path: Path, what: Callable[[Path], None]
) -> None:
    if not exporter(name).pictures:
        return
    _killed(tmp_path, name, "marked:9")
    what(tmp_path / ".out.exporting")
    elsewhere, heard = tmp_path / "elsewhere", list[str]()
    before = {path: path.read_bytes() for path in (elsewhere, *elsewhere.rglob("*")) if path.is_file()}
    done = export(corpus, name, tmp_path / "out", tell=heard.append)
    assert done.kept == 0 and "is removed, all is written anew" in heard[0]
    assert _files(tmp_path / "out") == whole.files
    assert {path: path.read_bytes() for path in (elsewhere, *elsewhere.rglob("*")) if path.is_file()} == before


def test_only_an_export_of_the_same_part_in_the_same_layout_goes_on(name: str, corpus: Corpus, tmp_path: Path) -> None:
    if not exporter(name).pictures:
        return
    _killed(tmp_path, name, "marked:9")
    part, heard = corpus.part("train", "alpha"), list[str]()
    done = export(part, name, tmp_path / "out", tell=heard.append)
    assert (done.rows, done.kept) == (7, 0) and "is removed, all is written anew" in heard[0]
    export(part, name, tmp_path / "whole")
    assert _files(tmp_path / "out") == _files(tmp_path / "whole")


def test_a_full_disk_is_told_and_leaves_no_target_and_the_next_one_goes_on(
    name: str, corpus: Corpus, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMIDD_FAULT", f"exported:5:ENOSPC:{tmp_path / 'tally'}")
    with pytest.raises(WorkError, match="the disk is full"):
        export(corpus, name, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "tally", ".out.exporting"}
    monkeypatch.delenv("MMIDD_FAULT")
    assert export(corpus, name, tmp_path / "out").changed and _files(tmp_path / "out") == whole.files


def test_of_two_exports_at_once_the_second_is_refused(name: str, corpus: Corpus, tmp_path: Path) -> None:
    with (
        held(tmp_path / ".out.lock", lambda holder: AssertionError(holder)),
        pytest.raises(CorpusError, match=r"another export is writing .*out \(process \d+"),
    ):
        export(corpus, name, tmp_path / "out")


class _Watching:
    """Counts what progress is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin(self, stage: str, total: int, done: int) -> None:
        self.told.append((stage, total, done))

    def advance(self, outcomes: Sequence[Outcome]) -> None:
        self.told.append(len(outcomes))

    def end(self) -> None:
        self.told.append("end")


def test_rows_are_told_while_they_are_written_and_those_that_were_there_are_not_counted_again(
    name: str, corpus: Corpus, tmp_path: Path
) -> None:
    watching = _Watching()
    export(corpus, name, tmp_path / "whole", progress=watching)
    first, *rows, last = watching.told
    assert (first, sum(rows), last) == (("export", 28, 0), 28, "end") and (len(rows) > 3) == exporter(name).pictures
    if exporter(name).pictures:
        _killed(tmp_path, name, "marked:9")
        watching = _Watching()
        kept = export(corpus, name, tmp_path / "out", progress=watching).kept
        assert watching.told[0] == ("export", 28, kept) and sum(watching.told[1:-1]) == 28 - kept


class _Unplugged(_Watching):
    """Makes a shard of the hub unreadable when some rows are written."""

    def __init__(self, shard: Path) -> None:
        super().__init__()
        self.shard = shard

    def advance(self, outcomes: Sequence[Outcome]) -> None:
        super().advance(outcomes)
        if len(self.told) == 4:
            self.shard.write_bytes(bytes(self.shard.stat().st_size))


def test_a_corpus_on_the_hub_gives_the_same_bytes_also_when_the_hub_fails_in_between(
    name: str, corpus: Corpus, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = next((tmp_path / "corpus" / "data").glob("validation-beta-*"))
    whole_shard = shard.read_bytes()
    with serve(tmp_path / "corpus") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        remote = Corpus("hf://datasets/org/name")
        if exporter(name).pictures:
            with pytest.raises(CorpusError, match=r"validation-beta.* cannot be read"):
                export(remote, name, tmp_path / "out", progress=_Unplugged(shard))
            shard.write_bytes(whole_shard)
        kept = export(remote, name, tmp_path / "out").kept
    assert _files(tmp_path / "out") == whole.files and (kept > 6) == exporter(name).pictures


def test_a_part_is_exported_alone_and_one_without_rows_is_refused(name: str, corpus: Corpus, tmp_path: Path) -> None:
    done = export(corpus.part("train", "Beta"), name, tmp_path / "part")
    assert done.rows == 7
    everything = b"".join(_files(tmp_path / "part").values())
    column = "media" if "id" in done.left_out else "id"
    others = corpus.rows([column], where={"dataset": ["Alpha", "Gamma"]}).to_pylist()
    assert not any(row[column].encode() in everything for row in others)
    with pytest.raises(CorpusError, match="no such rows, so there is nothing to export"):
        export(corpus.part("validation", "Alpha"), name, tmp_path / "none")


def test_whole_images_and_rows_of_which_little_is_known_are_exported(name: str, tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            kept = ("id", "image", "mask", "label", "dataset", "media", "frame")
            row |= {key: None for key in row if key not in kept} | {"geometry": "whole"}

    corpus = Corpus(made.corpus(tmp_path / "corpus", change))
    assert export(corpus, name, tmp_path / "out").rows == 28 and list(check(tmp_path / "out")) == []


HOSTILE = [
    ("id", "../../../../tmp/x", "is no sample id"), ("id", None, "is no sample id"), ("id", "A" * 24, "is no sample id"),
    ("image", b"<script>", "no JPEG, PNG or WebP"), ("image", b"", "no JPEG, PNG or WebP"),
    ("id", made.row("test-gamma", 0)["id"], "holds a sample id twice"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value", "message"), HOSTILE)
def test_a_hostile_corpus_is_an_error_and_leaves_no_target(
    name: str, tmp_path: Path, column: str, value: Any, message: str
) -> None:
    if column == "image" and not exporter(name).pictures:
        return

    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        rows[2][column] = value if shard == "test-gamma" else rows[2][column]

    corpus = Corpus(made.corpus(tmp_path / "corpus", change))
    with pytest.raises(CorpusError, match=message):
        export(corpus, name, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus"}


def test_no_path_of_the_corpus_becomes_a_path_of_the_export(name: str, tmp_path: Path) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row |= {"media": f"../../{row['media']}", "method": "/etc/passwd", "codec": "..\\x"}

    export(Corpus(made.corpus(tmp_path / "corpus", change)), name, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "out"}
    assert not any(word in path.name for path in (tmp_path / "out").rglob("*") for word in ("mp4", "passwd", "\\"))


@pytest.mark.parametrize("label", [99, -1, None])
def test_a_row_that_is_neither_real_nor_fake_is_refused_or_told_and_never_guessed(
    name: str, tmp_path: Path, label: int | None
) -> None:
    def change(shard: str, rows: list[dict[str, Any]]) -> None:
        rows[1]["label"] = label

    corpus = Corpus(made.corpus(tmp_path / "corpus", change))
    try:
        export(corpus, name, tmp_path / "out")
    except CorpusError as error:
        assert "is neither real nor fake" in str(error) and not (tmp_path / "out").exists()
    else:
        assert name not in ("deepfakebench", "workbench")


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
