from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmidd.corpus.place import Folder
from mmidd.corpus.target import manifest_bytes
from mmidd.errors import CorpusError, MmiddError, ShareError
from mmidd.share.publication.format import PUBLICATION, labels_schema
from mmidd.share.publication.opened import address, open_publication
from mmidd.share.publication.stage import stage
from mmidd.share.publication.written import parsed, publication_bytes

from . import sound

LABELS = "labels/train-beta-00000-of-00001.parquet"
Content = dict[str, Any]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    return stage(sound.corpus(root / "corpus"), root / "out", name="lab/faces", manifests=sound.manifests(), workers=0).out


@pytest.fixture
def out(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "out"))


def said(folder: Path) -> Content:
    found: Content = json.loads((folder / PUBLICATION).read_bytes())
    del found["seal"]
    return found


def say(folder: Path, content: Content) -> None:
    (folder / PUBLICATION).write_bytes(manifest_bytes(content))


def test_a_publication_reads_back_as_it_was_written(published: Path) -> None:
    data = (published / PUBLICATION).read_bytes()
    assert publication_bytes(parsed(data, "here")) == data
    opened = open_publication(published)
    assert len(opened.digest) == 32 and opened.digest == json.loads(data)["seal"]
    assert open_publication(Folder(published)).about == opened.about
    assert opened.read("corpus/README.md").startswith(b"---")


@pytest.mark.parametrize(
    ("where", "wanted"),
    [("lab/faces", "hf://datasets/lab/faces"), ("lab/faces@v1", "hf://datasets/lab/faces@v1"), ("./lab/faces", None),
     ("a/b/c", None), ("hf://datasets/lab/faces", None), ("faces", None), ("../faces", None)],
)  # fmt: skip
def test_a_repository_may_be_named_without_its_address(where: str, wanted: str | None) -> None:
    assert address(where) == (wanted or where)


def _file(content: Content, name: str, **more: Any) -> None:
    content["files"][name] = {"bytes": 1, "sha256": "0" * 64, **more}


def _term(content: Content, number: int, **more: Any) -> Any:
    return content["terms"][number].update(more)


BAD: dict[str, Callable[[Content], Any]] = {
    "a format of the future": lambda c: c.update(publication_format=2),
    "a format that is none": lambda c: c.update(publication_format=True),
    "a huge format": lambda c: c.update(publication_format=10**400),
    "a schema of the future": lambda c: c["corpus"].update(schema_version=99),
    "no corpus": lambda c: c.update(corpus={"schema_version": 1}),
    "one more key": lambda c: c.update(more=1),
    "no version": lambda c: c.update(version=0),
    "a name with lines": lambda c: c.update(name="a\nb"),
    "an empty name": lambda c: c.update(name=""),
    "a file above": lambda c: _file(c, "../outside"),
    "a file above in between": lambda c: _file(c, "labels/../../outside"),
    "an absolute file": lambda c: _file(c, "/etc/passwd"),
    "a file of Windows": lambda c: _file(c, "C:/x"),
    "a file with backslashes": lambda c: _file(c, "..\\x"),
    "a hidden file": lambda c: _file(c, ".git/config"),
    "a file with a control character": lambda c: _file(c, "a\x1b[2Jb"),
    "a name that is too long": lambda c: _file(c, "a" * 300),
    "itself": lambda c: _file(c, PUBLICATION),
    "a huge size": lambda c: c["files"]["README.md"].update(bytes=1 << 62),
    "a size below zero": lambda c: c["files"]["README.md"].update(bytes=-1),
    "a size that is a word": lambda c: c["files"]["README.md"].update(bytes="1"),
    "a digest that is none": lambda c: c["files"]["README.md"].update(sha256="x"),
    "labels of no shard": lambda c: _file(c, "labels/train-beta-00001-of-00002.parquet", rows=1),
    "labels that lack": lambda c: c["files"].pop(LABELS),
    "labels with other rows": lambda c: c["files"][LABELS].update(rows=6),
    "pixels that its terms forbid": lambda c: c["files"].update({
        "data/train-beta-00000-of-00001.parquet": c["corpus"]["files"]["data/train-beta-00000-of-00001.parquet"]
    }),
    "terms that its pixels forbid": lambda c: _term(c, 0, pixels=False),
    "terms for all": lambda c: [_term(c, number, pixels=True) for number in range(3)],
    "other pixels": lambda c: _file(c, "data/train-alpha-00000-of-00001.parquet", rows=7),
    "no media table": lambda c: c["files"].pop("media.parquet"),
    "another media table": lambda c: _file(c, "media.parquet"),
    "another manifest of the corpus": lambda c: _file(c, "corpus/mmidd.json"),
    "no readme of the corpus": lambda c: c["files"].pop("corpus/README.md"),
    "a manifest though it is no corpus": lambda c: _file(c, "mmidd.json"),
    "terms of nothing": lambda c: c["terms"].pop(),
    "no terms": lambda c: c.update(terms=[]),
    "terms twice": lambda c: c["terms"].append(c["terms"][0]),
    "terms with more": lambda c: _term(c, 0, more=1),
    "a slug that leaves": lambda c: _term(c, 0, slug="../x"),
    "terms that say neither": lambda c: _term(c, 0, pixels="yes"),
    "rows that nobody has": lambda c: c["rows"]["Beta"].update(train=8),
    "rows below zero": lambda c: c["rows"]["Beta"].update(train=-1),
    "rows of a split that is none": lambda c: c["rows"]["Beta"].update(dev=1),
    "shards in a folder below": lambda c: c["corpus"]["files"].update({
        "data/x/train-beta-0.parquet": {"bytes": 1, "sha256": "0" * 64, "rows": 0}
    }),
    "shards of a split that is none": lambda c: c["corpus"]["files"].update({
        "data/dev-beta-0.parquet": {"bytes": 1, "sha256": "0" * 64, "rows": 0}
    }),
    "a redaction that is none": lambda c: c.update(redacted=["faces"]),
    "changes that are none": lambda c: c.update(changes=[{"dataset": "Beta", "added": "all"}]),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_hostile_publication_is_refused_when_it_is_opened(what: str, out: Path) -> None:
    content = said(out)
    BAD[what](content)
    say(out, content)
    with pytest.raises(ShareError) as caught:
        open_publication(out)
    assert str(out) in str(caught.value) and "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b"\xff", b'{"publication_format": 1}', b"[" * 100_000, b'{"a": "\\ud800"}', b"1" * 5000,
     b'{"publication_format": NaN}', b'{"publication_format": 1e999}'],
)  # fmt: skip
def test_what_is_no_publication_is_an_error_and_no_crash(data: bytes, out: Path) -> None:
    (out / PUBLICATION).write_bytes(data)
    with pytest.raises(ShareError):
        open_publication(out)


def test_an_edited_publication_and_none_at_all_are_told(out: Path, tmp_path: Path) -> None:
    (out / PUBLICATION).write_bytes((out / PUBLICATION).read_bytes().replace(b"lab/faces", b"lab/facet"))
    with pytest.raises(ShareError, match="its seal does not fit"):
        open_publication(out)
    (out / PUBLICATION).unlink()
    with pytest.raises(CorpusError, match="it is no publication of mmidd"):
        open_publication(out)
    with pytest.raises(CorpusError, match="is not a folder"):
        open_publication(tmp_path / "nothing")


def _relabelled(folder: Path, table: pa.Table) -> None:
    """Write other labels, and say so."""
    pq.write_table(table, folder / LABELS, compression="zstd")
    content, data = said(folder), (folder / LABELS).read_bytes()
    content["files"][LABELS] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    say(folder, content)


def _column(table: pa.Table, name: str, value: Any) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array([value] * len(table), table.schema.field(name).type))


HOSTILE: dict[str, Callable[[pa.Table], pa.Table]] = {
    "media that leave": lambda t: _column(t, "media", "../../etc/passwd"),
    "absolute media": lambda t: _column(t, "media", "/etc/passwd"),
    "media with a zero": lambda t: _column(t, "media", "a\0b"),
    "a row less": lambda t: t.slice(1),
    "a column less": lambda t: t.drop_columns(["probes"]),
    "pixels in between": lambda t: t.append_column("image", pa.nulls(len(t), pa.binary())),
    "another type": lambda t: t.set_column(0, "id", pa.array(range(len(t)))),
    "no columns at all": lambda t: pa.table({"x": [1] * len(t)}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_labels_are_an_error_where_they_are_read(what: str, out: Path) -> None:
    _relabelled(out, HOSTILE[what](pq.read_table(out / LABELS, schema=labels_schema())))
    opened = open_publication(out)
    with pytest.raises(MmiddError, match="labels/train-beta"):
        opened.rows(["id", "media", "probes"])


def test_a_bomb_of_text_is_not_unpacked(out: Path) -> None:
    table = _column(pq.read_table(out / LABELS, schema=labels_schema()), "face_caption", "x" * (48 << 20))
    _relabelled(out, table)
    with pytest.raises(CorpusError, match="unpack to more than"):
        open_publication(out).rows(["face_caption"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, should have"),
        (lambda path: path.write_bytes(b"x" * path.stat().st_size), "another checksum"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/passwd")), "is a link out of"),
        (lambda path: (path.parent / "more").touch(), "is not listed"),
    ],
)
def test_every_file_is_compared(change: Callable[[Path], Any], told: str, out: Path) -> None:
    change(out / "corpus" / "README.md")
    (finding,) = open_publication(out).check()
    assert told in finding.what
    assert finding.where == ("corpus/more" if "listed" in told else "corpus/README.md",)


def test_what_was_changed_is_not_read(out: Path) -> None:
    (out / "corpus" / "README.md").write_bytes(b"other")
    opened = open_publication(out)
    with pytest.raises(ShareError, match="is another file than"):
        opened.read("corpus/README.md")
    with pytest.raises(ShareError, match="lists no nothing"):
        opened.read("nothing")
    with pytest.raises(ShareError, match="no column 'image'"):
        opened.rows(["image"])
