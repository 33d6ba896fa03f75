"""A publication on the Hub: fetched at one commit, checked, and gone on with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Build, Said
from hub.server import Hub
from place import digests

from mmidd.corpus.read import Corpus
from mmidd.errors import CorpusError, ShareError, UsageError
from mmidd.share.rehydrate.rehydrate import check, rehydrate

NAME = "lab/tiny"


@pytest.fixture
def served(hub: Hub, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The mixed publication in a gated repository that the user may read."""
    for name, value in hub.env(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    hub.create(NAME)
    hub.write(NAME, {path.relative_to(mixed).as_posix(): path.read_bytes() for path in mixed.rglob("*") if path.is_file()})
    return hub


def again(built: Build, out: Path, where: str = NAME, **more: Any) -> Any:
    return rehydrate(where, built.data, out, workers=0, **more)


def test_it_is_fetched_and_the_corpus_is_made(served: Hub, built: Build, tmp_path: Path) -> None:
    found = again(built, tmp_path / "out")
    assert found.original and digests(tmp_path / "out") == digests(built.out)
    assert not (tmp_path / "out.rehydrate").exists()


def test_only_what_is_needed_is_fetched(served: Hub, built: Build, tmp_path: Path) -> None:
    again(built, tmp_path / "out", f"hf://datasets/{NAME}", only=["CelebA"])
    asked = [each.path for each in served.asked("resolve")]
    assert any("labels/" in each for each in asked) and not any("/data/" in each or "CHANGELOG" in each for each in asked)


def test_a_check_needs_no_place_keeps_nothing_and_tells_what_is_included(
    mmidd: Callable[..., Said], served: Hub, built: Build, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    found = check(NAME, built.data)
    assert sorted(tmp_path.iterdir()) == before
    assert found.complete and found.total("included") and found.total("rows") == len(Corpus(built.out))
    with pytest.raises(UsageError, match="--out CORPUS"):
        check(NAME, built.data, digests=True)
    said = mmidd("rehydrate", NAME, "--data", built.data, "--check")
    assert said.code == 0 and "next: the same command without --check" in said.out
    said = mmidd("rehydrate", NAME, "--data", built.data)
    assert said.code == 2 and "--out CORPUS is missing" in said.err


def test_wrong_bytes_are_refused_and_the_next_run_goes_on(served: Hub, built: Build, tmp_path: Path) -> None:
    met = served.fault("store", wrong=True, times=1)
    with pytest.raises(ShareError, match="serves another"):
        again(built, tmp_path / "out")
    assert met.met == 1
    assert not (tmp_path / "out").exists()
    assert again(built, tmp_path / "out").original
    assert digests(tmp_path / "out") == digests(built.out)


@pytest.mark.parametrize("name", ["publication.json", "media.parquet"])
def test_a_file_that_is_larger_than_it_may_be_is_not_fetched(
    name: str, served: Hub, built: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmidd.share.rehydrate.fetched.MOST_BYTES", 1 << 17)
    served.write(NAME, {name: b" " * (1 << 18)})
    with pytest.raises(ShareError, match=f"{name} is larger than it may be"):
        again(built, tmp_path / "out")
    assert not any(name in each.path for each in served.asked("resolve", "store"))


@pytest.mark.parametrize("module", ["httpx", "httpx2"])
def test_a_lost_connection_is_told_whatever_the_client_is_made_of(
    module: str, served: Hub, built: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = type("HTTPError", (Exception,), {"__module__": module})

    def fetch(*asked: Any, **how: Any) -> Any:
        raise lost("gone")

    monkeypatch.setattr("huggingface_hub.errors.HTTPError", lost)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    with pytest.raises(ShareError, match=r"publication.json cannot be fetched \(HTTPError\)"):
        again(built, tmp_path / "out")


def test_what_was_fetched_serves_without_the_hub(served: Hub, built: Build, tmp_path: Path) -> None:
    data = Path(shutil.copytree(built.data, tmp_path / "data"))
    kept = shutil.move(data / "CelebA", tmp_path / "kept")
    first = rehydrate(NAME, data, tmp_path / "out", workers=0)
    assert not first.complete and (tmp_path / "out.rehydrate").is_dir()
    shutil.move(kept, data / "CelebA")
    served.fault("*", drop="before", times=1000)
    found = rehydrate(NAME, data, tmp_path / "out", workers=0)
    assert found.original and any("cannot be reached" in note for note in found.notes)
    with pytest.raises(CorpusError):
        rehydrate(NAME, data, tmp_path / "other", workers=0)


def test_an_older_version_is_named_by_its_revision(served: Hub, built: Build, tmp_path: Path) -> None:
    first = served.repos[NAME].refs["refs/heads/main"]
    served.write(NAME, {"publication.json": b"{}"})
    with pytest.raises(ShareError):
        again(built, tmp_path / "out")
    assert again(built, tmp_path / "out", f"{NAME}@{first}").original


def test_the_token_is_nowhere_told(
    mmidd: Callable[..., Said], served: Hub, built: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", served.stranger)
    served.repos[NAME].private = True
    said = mmidd("rehydrate", NAME, "--data", str(built.data), "--out", str(tmp_path / "out"))
    assert said.code == 1 and "private or gated" in said.err
    assert served.stranger not in said.out + said.err and served.token not in said.out + said.err
