from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from corpus import made

from mmidd.corpus.pictures import decoded
from mmidd.corpus.read import Corpus
from mmidd.corpus.verify import verify
from mmidd.errors import CorpusError, ShareError, UsageError
from mmidd.schema import COLUMNS, sample_id
from mmidd.share.publication.labels import write_labels
from mmidd.share.publication.opened import open_publication
from mmidd.share.publication.proofs import proof
from mmidd.share.publication.stage import Staged, plan, stage
from mmidd.watch import NOBODY, Nobody

from . import sound

NAME = "lab/faces"
PATHS = (b"/person", b"secret.csv")


def staged(corpus: Corpus, out: Path, **more: object) -> Staged:
    return stage(corpus, out, name=NAME, manifests=sound.manifests(), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return sound.corpus(tmp_path_factory.mktemp("sound") / "corpus")


@pytest.fixture(scope="module")
def mixed(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return staged(corpus, tmp_path_factory.mktemp("mixed") / "out")


def test_pixels_go_where_a_licence_lets_them_and_labels_of_all(corpus: Corpus, mixed: Staged) -> None:
    found = sound.files(mixed.out)
    assert sorted(name for name in found if name.startswith("data/")) == ["data/train-alpha-00000-of-00001.parquet"]
    assert [shard.name.replace("labels", "data") for shard in mixed.opened.shards] == [s.name for s in corpus.shards]
    assert found["data/train-alpha-00000-of-00001.parquet"] == Path(corpus.place.path(corpus.shards[1].name)).read_bytes()
    assert {"media.parquet", "corpus/mmidd.json", "corpus/README.md", "CHANGELOG.md", "README.md"} < set(found)
    assert "mmidd.json" not in found and mixed.opened.check() == ()
    assert not [path.name for path in mixed.out.parent.iterdir() if path != mixed.out]


def test_labels_are_the_rows_without_pixels_and_prove_them(corpus: Corpus, mixed: Staged) -> None:
    columns = [column.name for column in COLUMNS if column.name not in ("image", "mask")]
    silent = {"face_caption", "environment_caption", "captioner", "caption_status"}
    opened = mixed.opened
    for before, shard in zip(corpus.shards, opened.shards, strict=True):
        here = pq.read_table(corpus.place.path(before.name))
        there = pq.read_table(mixed.out / shard.name)
        same = [name for name in columns if before.dataset != "gamma" or name not in silent]
        assert there.select(same).to_pydict().__repr__() == here.select(same).to_pydict().__repr__()
        assert opened.row_groups(shard) == corpus.row_groups(before)
        for told, row in zip(there.to_pylist(), here.to_pylist(), strict=True):
            image, mask = row["image"]["bytes"], row["mask"] and row["mask"]["bytes"]
            wanted = proof(row["id"], image, decoded(image, ""))
            assert (told["image_bytes"], told["image_sha256"]) == (wanted.size, wanted.sha256)
            assert (told["pixels_sha256"], told["probes"]) == (wanted.pixels, wanted.probes)
            covered = proof(row["id"], mask, decoded(mask, "")) if mask else None
            assert told["mask_sha256"] == (covered and covered.sha256)
            assert told["mask_pixels_sha256"] == (covered and covered.pixels)


def test_captions_are_withheld_where_a_licence_forbids_derivatives(mixed: Staged) -> None:
    rows = mixed.opened.rows(["dataset", "face_caption", "captioner", "caption_status"]).to_pylist()
    for row in rows:
        is_silent = row["dataset"] == sound.SILENT
        assert (row["caption_status"] == "withheld") == is_silent == (row["captioner"] is None)
    assert any(row["face_caption"] for row in rows)


def test_where_all_pixels_may_go_a_publication_is_a_corpus(corpus: Corpus, tmp_path: Path) -> None:
    found = staged(corpus, tmp_path / "out", only=["alpha"])
    opened = found.opened
    assert opened.complete and not (found.out / "labels").exists() and verify(found.out).findings == ()
    assert len(Corpus(found.out)) == len(opened) == made.ROWS
    again = tmp_path / "again"
    (again / "data").mkdir(parents=True)
    for name, data in sound.files(found.out).items():
        where = name.removeprefix("corpus/")
        if name.startswith(("data/", "corpus/")) or name == "media.parquet":
            (again / where).write_bytes(data)
    assert verify(again).findings == () and len(Corpus(again)) == made.ROWS


def test_only_some_datasets_cut_pairs_that_go(tmp_path: Path) -> None:
    def pair(shard: str, rows: sound.Rows) -> None:
        if shard == "train-beta":
            other = sample_id("Alpha", "train-alpha/person0.mp4", 0, 0)
            rows[1] |= {"pair": other, "pair_media": "Alpha:train-alpha/person0.mp4"}

    corpus = sound.corpus(tmp_path / "corpus", pair)
    assert verify(corpus.place).findings == ()
    found = staged(corpus, tmp_path / "out", only=["Beta"]).opened
    assert {row["dataset"] for row in found.rows(["dataset"]).to_pylist()} == {"Beta"}
    pairs = found.rows(["media", "pair"]).to_pylist()
    assert {row["media"] for row in pairs if row["pair"] is None} >= {"train-beta/person1.mp4"}
    assert found.media["dataset"].unique().to_pylist() == ["Beta"]


@pytest.mark.parametrize("labels_only", [False, True])
def test_redaction_names_nobody_and_no_file(corpus: Corpus, tmp_path: Path, labels_only: bool) -> None:
    found = staged(corpus, tmp_path / "out", redact=["paths", "identities", "captions"], labels_only=labels_only).opened
    rows = found.rows([*found.schema.names] if not found.complete else ["media"]).to_pylist()
    told = repr((rows, found.media.to_pylist(), found.about)).encode()
    told += b"".join(data for name, data in sound.files(tmp_path / "out").items() if ".parquet" not in name)
    assert not any(each in told for each in (*PATHS, b"who1", b"words-1"))
    assert {row["media"] for row in rows} == {f"m/{sound.digest(m)[:32]}" for m in _media(corpus)}
    ids = {row["id"] for row in rows}
    assert {row["pair"] for row in rows} - {None} <= ids
    assert all(row["id"] == sample_id(row["dataset"], row["media"], 0, 0) for row in rows)
    assert not ids & set(corpus.rows(["id"])["id"].to_pylist())


def _media(corpus: Corpus) -> list[str]:
    return corpus.rows(["media"])["media"].to_pylist()  # type: ignore[no-any-return]


def test_copies_of_one_medium_are_told_apart_when_paths_are_redacted(tmp_path: Path) -> None:
    def copied(shard: str, rows: sound.Rows) -> None:
        rows[2]["media_sha256"] = rows[0]["media_sha256"]

    corpus = sound.corpus(tmp_path / "corpus", copied, lost=[sound.lost("Alpha", "train-alpha/unread.mp4", "not_selected")])
    media = staged(corpus, tmp_path / "out", redact=["paths"]).opened.media["media"].to_pylist()
    assert len(set(media)) == len(media) and sum(name.endswith("-2") for name in media) == len(corpus.shards)


def test_bytes_depend_on_nothing_but_the_corpus_and_what_is_asked(corpus: Corpus, tmp_path: Path) -> None:
    first = staged(corpus, tmp_path / "a" / "first", workers=0)
    second = staged(corpus, tmp_path / "b" / "second", workers=2)
    assert sound.files(first.out) == sound.files(second.out) and first.digest == second.digest


def test_the_same_again_writes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    first = staged(corpus, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in first.out.rglob("*")}
    again = staged(corpus, tmp_path / "out")
    assert first.changed and not again.changed and again.publication.version == 1
    assert before == {path: path.stat().st_mtime_ns for path in again.out.rglob("*")}
    (first.out / "README.md").write_text("edited")
    mended = staged(corpus, tmp_path / "out")
    assert mended.changed and mended.digest == first.digest and mended.opened.check() == ()


REFUSED = {
    "something else": lambda out: (out / "notes.txt").write_text("mine"),
    "another file in it": lambda out: (out / "data" / "notes.txt").write_text("mine"),
    "its label is broken": lambda out: (out / "publication.json").write_text("{}"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_folder_that_holds_something_else_is_left(what: str, corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if what == "something else":
        out.mkdir()
    else:
        staged(corpus, out)
    REFUSED[what](out)
    before = sound.files(out)
    with pytest.raises(ShareError, match="nothing was touched"):
        staged(corpus, out)
    assert sound.files(out) == before and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_publication_of_another_name_and_what_is_in_the_way_are_left(corpus: Corpus, tmp_path: Path) -> None:
    stage(corpus, tmp_path / "out", name="other", manifests=sound.manifests())
    with pytest.raises(ShareError, match="holds the publication 'other'"):
        staged(corpus, tmp_path / "out")
    (tmp_path / ".new.publishing").mkdir()
    (tmp_path / ".new.publishing" / "mine").touch()
    with pytest.raises(ShareError, match=r"\.new\.publishing is in the way"):
        staged(corpus, tmp_path / "new")


def test_a_corpus_that_does_not_verify_is_refused(tmp_path: Path) -> None:
    corpus = sound.corpus(tmp_path / "corpus")
    with (tmp_path / "corpus" / corpus.shards[0].name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ShareError, match=r"`mmidd verify` finds fault with it: data/test-gamma.*has .* bytes"):
        staged(corpus, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_places_and_names_that_are_none_are_refused(corpus: Corpus, mixed: Staged, tmp_path: Path) -> None:
    root = Path(corpus.place.path(""))
    for out in (root, root / "publication", root.parent):
        with pytest.raises(UsageError, match="is no place for a publication"):
            staged(corpus, out)
    for more in ({"only": ["alhpa"]}, {"redact": ["path"]}):
        with pytest.raises(UsageError, match="unknown; did you mean"):
            staged(corpus, tmp_path / "out", **more)
    with pytest.raises(CorpusError, match="mmidd rehydrate"):
        Corpus(mixed.out)
    complete = staged(corpus, tmp_path / "whole", only=["alpha"])
    with pytest.raises(ShareError, match="is a publication itself"):
        staged(Corpus(complete.out), tmp_path / "out")


def test_a_plan_says_what_would_come(corpus: Corpus, mixed: Staged) -> None:
    found = plan(corpus, manifests=sound.manifests())
    assert found.terms == tuple(mixed.publication.terms) and found.rows == mixed.publication.rows
    assert [each.dataset for each in found.terms if not each.pixels] == ["Beta", "Gamma"] and found.silent == ("Gamma",)
    assert found.files.keys() == {name for name in mixed.publication.files if name.startswith(("data/", "media"))}


def test_a_corpus_that_is_built_anew_meanwhile_is_refused(tmp_path: Path) -> None:
    class Rebuilds(Nobody):
        def begin(self, what: str, total: int, done: int, of: str = "steps") -> None:
            made.sign(tmp_path / "corpus", {**made.about(tmp_path / "corpus"), "mmidd": "another"})

    corpus = sound.corpus(tmp_path / "corpus")
    with pytest.raises(ShareError, match="changed while it was published"):
        staged(corpus, tmp_path / "out", watch=Rebuilds())
    assert not (tmp_path / "out").exists()
    assert staged(Corpus(tmp_path / "corpus"), tmp_path / "out").opened.check() == ()


def test_an_image_that_is_none_is_told(tmp_path: Path) -> None:
    def broken(shard: str, rows: sound.Rows) -> None:
        rows[3]["image"] = b"no image"

    corpus = sound.corpus(tmp_path / "corpus", broken)
    with pytest.raises(CorpusError, match=r"row 3: the image cannot be decoded"):
        write_labels(corpus, tmp_path / "out", corpus.shards, workers=0, watch=NOBODY)


POINTS = (
    "publication_begun:1:kill", "redacted_written:2:tear", "redacted:1:kill", "publication_linked:1:kill",
    "labels_written:1:tear", "labels_renamed:3:kill", "publication_written:1:kill", "before_publication_swap:1:kill",
    "publication_swapped:1:kill", "publication_cleared:1:kill", "publication_cleared:3:kill",
    "exchange:1:ENOSYS;between_publication_renames:1:kill",
)  # fmt: skip


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus and its next version (`old`, `new`), and the publication of the one after the other (`first`, `second`)."""

    def more(shard: str, rows: sound.Rows) -> None:
        del rows[-1]

    root = tmp_path_factory.mktemp("versions")
    first = staged(sound.corpus(root / "old"), root / "first", redact=["paths"], workers=0)
    shutil.copytree(first.out, root / "second")
    staged(sound.corpus(root / "new", more), root / "second", redact=["paths"], workers=0)
    return root


def killed(corpus: Path, out: Path, orders: str, tally: Path) -> int:
    """Stage in a process that meets these faults: what it ends with."""
    child = os.fork()
    if child == 0:
        os.environ["MMIDD_FAULT"] = ";".join(f"{each}:{tally}-{n}" for n, each in enumerate(orders.split(";")))
        try:
            staged(Corpus(corpus), out, redact=["paths"], workers=0)
        finally:
            os._exit(0)
    return -os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


FRESH = ("publication_begun:1:kill", "labels_written:1:tear", "before_publication_swap:1:kill", "publication_swapped:1:kill")


@pytest.mark.parametrize(("orders", "update"), [*((each, True) for each in POINTS), *((each, False) for each in FRESH)])
def test_a_killed_command_goes_on_to_the_same_bytes(orders: str, update: bool, versions: Path, tmp_path: Path) -> None:
    """At any moment there is the old publication or the new one, but between two renames."""
    out = tmp_path / "out"
    if update:
        shutil.copytree(versions / "first", out)
    wanted = sound.files(versions / ("second" if update else "first"))
    corpus = versions / ("new" if update else "old")
    assert killed(corpus, out, orders, tmp_path / "tally") == signal.SIGKILL
    if update and "between" not in orders:
        now = open_publication(out)
        assert now.check() == () and now.about.version in (1, 2)
    assert staged(Corpus(corpus), out, redact=["paths"], workers=0).publication.version == (2 if update else 1)
    assert sound.files(out) == wanted
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_kill_keeps_the_labels_that_were_made(versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert killed(versions / "old", tmp_path / "out", "labels_renamed:3:kill", tmp_path / "tally") == signal.SIGKILL
    made = sound.files(tmp_path / ".out.publishing" / "made" / "labels")
    assert len(made) == 3
    monkeypatch.setenv("MMIDD_FAULT", f"labels_written:2:kill:{tmp_path}/again")  # more than one is not written any more
    assert staged(Corpus(versions / "old"), tmp_path / "out", redact=["paths"], workers=0).opened.check() == ()
