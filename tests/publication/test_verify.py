from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said

from mmidd.share.publication.stage import stage
from mmidd.share.publication.verify import published as place_if_published
from mmidd.share.publication.verify import verify

from . import sound

Run = Callable[..., Said]


@pytest.fixture(scope="module", params=[(), (sound.FREE,)], ids=["labels and pixels", "all pixels"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    corpus = sound.corpus(root / "corpus")
    return stage(corpus, root / "out", name="faces", only=request.param, manifests=sound.manifests(), workers=0).out


def test_a_publication_is_verified_as_a_corpus_is(published: Path, mmidd: Run) -> None:
    said = mmidd("verify", str(published), "--json")
    assert (said.code, said.document["findings"]) == (0, []) and said.document["rows"] > 0
    assert place_if_published(published) and not place_if_published(published.parent / "corpus")


@pytest.mark.parametrize("name", ["CHANGELOG.md", "media.parquet", "data/*.parquet"])
def test_what_was_changed_is_told_once(published: Path, name: str, tmp_path: Path) -> None:
    out = Path(shutil.copytree(published, tmp_path / "out"))
    path = next(out.glob(name))
    path.write_bytes(path.read_bytes() + b"x")
    found = [each for each in verify(out).findings if each.where == (path.relative_to(out).as_posix(),)]
    assert len(found) == 1 and "bytes, should have" in found[0].what


def test_who_was_taken_down_is_sought_in_a_corpus(published: Path, tmp_path: Path, mmidd: Run) -> None:
    (tmp_path / "list").write_text("media:Alpha/x\n")
    said = mmidd("verify", str(published), "--exclude", str(tmp_path / "list"))
    assert said.code == 2 and "is a publication" in said.err
