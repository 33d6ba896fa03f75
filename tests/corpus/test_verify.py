"""`verify` finds whatever happened to a corpus after it was built, from its files alone, and says where."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import Build

from mmidd.corpus.about import MANIFEST, SEAL
from mmidd.corpus.target import manifest_bytes
from mmidd.corpus.verify import verify
from mmidd.engine.files import sha256_file
from mmidd.errors import CorpusError

SHARD = "data/train-celeba-00000-of-00001.parquet"
FAKES = "data/train-faceforensics-00000-of-00001.parquet"
MEDIA = "media.parquet"


@pytest.fixture
def corpus(built: Build, tmp_path: Path) -> Path:
    """A corpus to damage."""
    return Path(shutil.copytree(built.out, tmp_path / "corpus"))


def _sign(corpus: Path, *names: str) -> None:
    """Write the present size and checksum of files into `mmidd.json`, as a forger would."""
    about = json.loads((corpus / MANIFEST).read_text())
    for name in names:
        entry = about["files"].setdefault(name, {})
        entry |= {"bytes": (corpus / name).stat().st_size, "sha256": sha256_file(corpus / name)}
    _write_manifest(corpus, about)


def _write_manifest(corpus: Path, about: dict[str, Any]) -> None:
    (corpus / MANIFEST).write_bytes(manifest_bytes({key: value for key, value in about.items() if key != SEAL}))


def _rewrite(corpus: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    table = pq.read_table(corpus / name)
    pq.write_table(change(table), corpus / name)
    _sign(corpus, name)


def _set(table: pa.Table, column: str, values: list[Any]) -> pa.Table:
    place = table.schema.get_field_index(column)
    return table.set_column(place, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def _flip(corpus: Path) -> None:
    data = bytearray((corpus / SHARD).read_bytes())
    data[len(data) // 2] ^= 1
    (corpus / SHARD).write_bytes(data)


def _truncate(corpus: Path) -> None:
    (corpus / SHARD).write_bytes((corpus / SHARD).read_bytes()[:-1])


def _truncate_and_sign(corpus: Path) -> None:
    _truncate(corpus)
    _sign(corpus, SHARD)


def _shard_gone(corpus: Path) -> None:
    (corpus / SHARD).unlink()


def _extra(corpus: Path) -> None:
    shutil.copy(corpus / SHARD, corpus / "data" / "train-extra-00000-of-00001.parquet")


def _media_gone(corpus: Path) -> None:
    (corpus / MEDIA).unlink()


def _card_changed(corpus: Path) -> None:
    (corpus / "README.md").write_text("# something else")


def _row_twice(corpus: Path) -> None:
    _rewrite(corpus, SHARD, lambda table: pa.concat_tables([table, table.slice(0, 1)]))


def _row_gone(corpus: Path) -> None:
    _rewrite(corpus, SHARD, lambda table: table.slice(1))
    about = json.loads((corpus / MANIFEST).read_text())
    about["files"][SHARD]["rows"] -= 1
    _write_manifest(corpus, about)


def _unknown_medium(corpus: Path) -> None:
    _rewrite(corpus, MEDIA, lambda table: table.filter(pc.not_equal(table["media"], "img_align_celeba/000001.jpg")))


def _wrong_id(corpus: Path) -> None:
    _rewrite(corpus, SHARD, lambda table: _set(table, "id", ["0" * 24, *table["id"].to_pylist()[1:]]))


def _wrong_pair(corpus: Path) -> None:
    _rewrite(corpus, FAKES, lambda table: _set(table, "pair", ["1" * 24] * table.num_rows))


def _wrong_count(corpus: Path) -> None:
    _rewrite(corpus, MEDIA, lambda table: _set(table, "samples", [99, *table["samples"].to_pylist()[1:]]))


def _lost_frame(corpus: Path) -> None:
    _rewrite(corpus, MEDIA, lambda table: _set(table, "frames_ok", [0] * table.num_rows))


def _medium_twice(corpus: Path) -> None:
    _rewrite(corpus, MEDIA, lambda table: pa.concat_tables([table, table.slice(0, 1)]))


def _media_schema(corpus: Path) -> None:
    _rewrite(corpus, MEDIA, lambda table: table.drop_columns(["outcome"]))


def _column_gone(corpus: Path) -> None:
    _rewrite(corpus, SHARD, lambda table: table.drop_columns(["method"]))


def _type_changed(corpus: Path) -> None:
    place = 8
    _rewrite(corpus, SHARD, lambda table: table.set_column(place, "frame", pc.cast(table["frame"], pa.int64())))


def _metadata_changed(corpus: Path) -> None:
    _rewrite(corpus, SHARD, lambda table: table.replace_schema_metadata({"huggingface": "{}"}))


def _other_version(corpus: Path) -> None:
    about = json.loads((corpus / MANIFEST).read_text())
    _write_manifest(corpus, about | {"schema_version": 99})


def _manifest_edited(corpus: Path) -> None:
    about = json.loads((corpus / MANIFEST).read_text())
    (corpus / MANIFEST).write_text(json.dumps(about | {"device": "cuda"}, indent=1, sort_keys=True) + "\n")


def _manifest_torn(corpus: Path) -> None:
    (corpus / MANIFEST).write_bytes((corpus / MANIFEST).read_bytes()[:-40])


def _swapped(corpus: Path) -> None:
    (corpus / SHARD).rename(corpus / "swap")
    (corpus / FAKES).rename(corpus / SHARD)
    (corpus / "swap").rename(corpus / FAKES)


def _swapped_and_signed(corpus: Path) -> None:
    _swapped(corpus)
    about = json.loads((corpus / MANIFEST).read_text())
    one, other = about["files"][SHARD], about["files"][FAKES]
    _write_manifest(corpus, about | {"files": {**about["files"], SHARD: other, FAKES: one}})


def _mixed_and_signed(corpus: Path) -> None:
    row = pq.read_table(corpus / FAKES).slice(0, 1)
    _rewrite(corpus, SHARD, lambda table: pa.concat_tables([table, row]))


def _media_cut(corpus: Path) -> None:
    (corpus / MEDIA).write_bytes((corpus / MEDIA).read_bytes()[:-100])


def _medium_unlisted(corpus: Path) -> None:
    _rewrite(corpus, MEDIA, lambda table: table.filter(pc.not_equal(table["outcome"], "dropped")))


def _reason_gone(corpus: Path) -> None:
    _rewrite(corpus, MEDIA, lambda table: _set(table, "reason", [None] * table.num_rows))


def _wrong_frames(corpus: Path) -> None:
    _rewrite(corpus, MEDIA, lambda table: _set(table, "frame_reasons", [[]] * table.num_rows))


def _index_gone(corpus: Path) -> None:
    about = json.loads((corpus / MANIFEST).read_text())
    _write_manifest(corpus, about | {"index": {"CelebA": {"media": "7"}}})


DAMAGE: list[tuple[Callable[[Path], None], str, str]] = [
    (_flip, SHARD, "has another checksum than it should"),
    (_truncate, SHARD, "bytes, should have"),
    (_truncate_and_sign, SHARD, "cannot be read as Parquet"),
    (_shard_gone, SHARD, "is missing"),
    (_extra, "data/train-extra-00000-of-00001.parquet", "is not listed in mmidd.json"),
    (_media_gone, MEDIA, "is missing"),
    (_card_changed, "README.md", "bytes, should have"),
    (_row_twice, SHARD, "occurs 2 times"),
    (_row_twice, SHARD, "rows, should have"),
    (_row_gone, MEDIA, "should have 1 rows, has 0"),
    (_unknown_medium, SHARD, "CelebA/img_align_celeba/000001.jpg has rows and is not in media.parquet"),
    (_wrong_id, SHARD, f"id {'0' * 24} is not that of its row"),
    (_wrong_pair, FAKES, f"pair {'1' * 24} is no row of the corpus"),
    (_wrong_count, MEDIA, "should have 99 rows"),
    (_lost_frame, MEDIA, "frames planned, 0 accounted"),
    (_medium_twice, MEDIA, "lists 1 media twice"),
    (_media_schema, MEDIA, "has other columns or types than the schema"),
    (_column_gone, SHARD, "has other columns or types than the schema"),
    (_type_changed, SHARD, "has other columns or types than the schema"),
    (_metadata_changed, SHARD, "has other Hugging Face features than the schema"),
    (_other_version, MANIFEST, "has schema version 99, this mmidd knows 1"),
    (_manifest_edited, MANIFEST, "its seal does not fit"),
    (_manifest_torn, MANIFEST, "cannot be read"),
    (_swapped, SHARD, "bytes, should have"),
    (_swapped, FAKES, "bytes, should have"),
    (_swapped_and_signed, SHARD, "holds rows of FaceForensics++"),
    (_mixed_and_signed, SHARD, "holds rows of FaceForensics++"),
    (_mixed_and_signed, SHARD, f"occurs 2 times ({SHARD}, {FAKES})"),
    (_media_cut, MEDIA, "bytes, should have"),
    (_medium_unlisted, MEDIA, "were found at indexing"),
    (_reason_gone, MEDIA, "has outcome dropped and 0 rows, reason None"),
    (_wrong_frames, MEDIA, "a reason, of "),
    (_index_gone, MEDIA, "0 were found at indexing"),
]


def test_a_sound_corpus_has_no_finding_and_everything_is_counted(built: Build) -> None:
    found = verify(built.out)
    assert found.findings == ()
    files = [path for path in built.out.rglob("*") if path.is_file() and path.name != MANIFEST]
    assert (found.files, found.rows) == (len(files), built.samples)
    assert found.media == sum(built.media.values())


@pytest.mark.parametrize(("damage", "file", "problem"), DAMAGE, ids=lambda value: getattr(value, "__name__", ""))
def test_damage_is_found_and_named(corpus: Path, damage: Callable[[Path], None], file: str, problem: str) -> None:
    damage(corpus)
    findings = verify(corpus).findings
    assert any(finding.where == (file,) and problem in finding.what for finding in findings), findings


def test_hidden_files_of_a_host_are_no_part_of_a_corpus(corpus: Path) -> None:
    (corpus / ".gitattributes").write_text("*.parquet filter=lfs")
    assert verify(corpus).findings == ()


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "{}", '{"schema_version": 1}', '{"schema_version": 1, "files": []}',
        '{"schema_version": 1, "files": {"a": {"bytes": 1}}}',
        '{"schema_version": 1, "files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}',
        '{"schema_version": 1, "files": {"/etc/passwd": {"bytes": 1, "sha256": ""}}}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_manifest_that_says_nothing_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    assert [finding.where[0] for finding in verify(tmp_path).findings] == [MANIFEST]


def test_a_folder_without_a_manifest_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=MANIFEST):
        verify(tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_one_flipped_bit_anywhere_in_any_file_is_found_and_its_file_named(corpus: Path, seed: int) -> None:
    random = Random(seed)
    files = sorted(path for path in corpus.rglob("*") if path.is_file())
    for path in files:
        data = bytearray(path.read_bytes())
        place = random.choice([random.randrange(len(data)), random.randrange(8), len(data) - 1 - random.randrange(8)])
        data[place] ^= 1 << random.randrange(8)
        whole = path.read_bytes()
        path.write_bytes(data)
        findings = verify(corpus).findings
        assert path.relative_to(corpus).as_posix() in {finding.where[0] for finding in findings}, (path, place)
        path.write_bytes(whole)
    assert verify(corpus).findings == ()


def test_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not a folder"):
        verify(tmp_path / "absent")
