"""Sending: nothing before the repository is private and gated, main gets all at once, a second run and a killed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hub.server import Hub as Server
from huggingface_hub import HfApi

from mmidd.errors import MmiddError, ShareError
from mmidd.share.hub.client import Hub, connect
from mmidd.share.hub.pull import title
from mmidd.share.hub.repository import state, user
from mmidd.share.hub.send import Access, Released, check_ours, send
from mmidd.share.hub.staged import Staged
from mmidd.share.hub.takedown import holders
from mmidd.share.hub.upload import Change, batches
from mmidd.share.publication.format import Publication
from mmidd.watch import NOBODY

from .staged_by_hand import staged

REPO = "lab/faces"
ONE = {"train-faces-00000-of-00002": ["a", "b"], "train-faces-00001-of-00002": ["c"]}
TWO = {"train-faces-00000-of-00001": ["a", "b"]}


@pytest.fixture
def at(hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The repository on a local Hub, asked with its owner's token, without long waits."""
    for name, value in hub.env(tmp_path / "home", xet=False).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # LFS by HTTP is quicker
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return connect(REPO)


def go(at: Hub, what: Staged, previous: Publication | None = None, **more: Any) -> Released:
    found = state(at)
    if found is not None:
        check_ours(at, found, previous, what.publication.name)
    access = Access(more.pop("private", None), more.pop("gated", None))
    asked: dict[str, Any] = {"most": 10**9, "checked": "served", "watch": NOBODY} | more
    return send(at, user(at), found, previous, what, access, **asked)


def test_a_publication_is_sent_checked_merged_and_tagged(at: Hub, hub: Server, tmp_path: Path) -> None:
    what = staged(tmp_path / "one", ONE)
    done = go(at, what, most=600)
    tree = hub.tree(REPO)
    assert {name: tree[name].sha256 for name in tree if name != ".gitattributes"} == {
        name: each.sha256 for name, each in what.files.items()
    }
    assert done.sent.commits > 1 and done.fetched == len(what.files) and (done.private, done.gated) == (True, "manual")
    assert hub.tree(REPO, "v1") == tree and len(hub.states(REPO)) == 2
    assert not what.notes.exists()
    assert all(each.private and each.gated for each in hub.asked("preupload", "xet-write", "lfs-batch", "commit"))


WRITES = (
    "create",
    "settings",
    "discussion-create",
    "preupload",
    "lfs-batch",
    "lfs-put",
    "commit",
    "status",
    "merge",
    "tag-create",
)


def test_a_second_run_writes_nothing(at: Hub, hub: Server, tmp_path: Path) -> None:
    what = staged(tmp_path / "one", ONE)
    first = go(at, what)
    before = len(hub.log)
    again = go(at, what, what.publication)
    assert (again.sent.files, again.sent.commits, again.pull, again.tagged) == (0, 0, None, False)
    assert again.commit == first.commit
    assert not [each for each in hub.log[before:] if each.route in WRITES]


POINTS = (
    "publish_created", "publish_gated", "publish_pull_request", "publish_uploaded", "publish_committed", "publish_sent",
    "publish_checked", "publish_verified", "publish_opened", "publish_merged", "publish_tagged", "publish_read_back",
    "publish_public",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_broke_off_anywhere_goes_on(
    point: str, at: Hub, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = staged(tmp_path / "one", ONE)
    monkeypatch.setenv("MMIDD_FAULT", f"{point}:1:EIO:{tmp_path / 'tally'}")
    with pytest.raises(OSError, match="Input/output"):
        go(at, what, most=600, private=False)
    read = len(hub.asked("resolve"))
    done = go(at, what, what.publication if "publication.json" in hub.tree(REPO) else None, most=600, private=False)
    assert hub.tree(REPO) == hub.tree(REPO, "v1") and not done.private and done.gated == "manual"
    assert {*hub.tree(REPO)} == {*what.files, ".gitattributes"}
    assert len(hub.states(REPO)) == 2 and len(hub.repos[REPO].discussions) == 1
    assert len(hub.asked("commit")) == len(batches(Change(tuple(what.files)), what.files, 600)) > 2
    assert point != "publish_verified" or len(hub.asked("resolve")) == read + 1  # of main alone
    assert done.pull is None or done.fetched == len(what.files)  # by this run or by the one before


@pytest.mark.parametrize("route", WRITES)
@pytest.mark.parametrize("how", [{"drop": "after"}, {"drop": "before"}, {"status": 429, "times": 2}], ids=str)
def test_what_passes_is_waited_for_and_nothing_is_done_twice(
    route: str, how: dict[str, Any], at: Hub, hub: Server, tmp_path: Path
) -> None:
    what = staged(tmp_path / "one", ONE)
    fault = hub.fault(route, **how)
    go(at, what)
    assert fault.met == fault.times
    assert hub.tree(REPO) == hub.tree(REPO, "v1") and {*hub.tree(REPO)} == {*what.files, ".gitattributes"}
    assert len(hub.states(REPO)) == 2 and len(hub.repos[REPO].discussions) == 1


@pytest.mark.parametrize("route", ["resolve", "store"])
@pytest.mark.parametrize("how", [{"drop": "middle", "times": 3}, {"status": 503}, {"status": 429}], ids=str)
def test_a_broken_answer_is_read_on(route: str, how: dict[str, Any], at: Hub, hub: Server, tmp_path: Path) -> None:
    fault = hub.fault(route, **how)
    go(at, staged(tmp_path / "one", ONE))
    assert fault.met == fault.times and hub.tree(REPO) == hub.tree(REPO, "v1")


@pytest.mark.parametrize(("route", "path"), [("resolve", "README"), ("store", "[0-9a-f]{64}")])
def test_a_hub_that_serves_other_bytes_keeps_main_as_it_was(
    route: str, path: str, at: Hub, hub: Server, tmp_path: Path
) -> None:
    what = staged(tmp_path / "one", ONE)
    hub.fault(route, path=path, wrong=True, times=1)
    with pytest.raises(ShareError, match=r"serves other bytes .* of 1 of .* main was not touched"):
        go(at, what)
    assert {*hub.tree(REPO)} == {".gitattributes"}
    read = len(hub.asked("resolve"))
    go(at, what)  # a second look: it was the line
    assert {*hub.tree(REPO)} == {*what.files, ".gitattributes"} and len(hub.asked("resolve")) < read + len(what.files)


def test_listed_digests_are_compared_where_that_is_asked(at: Hub, hub: Server, tmp_path: Path) -> None:
    done = go(at, staged(tmp_path / "one", ONE), checked="listed")
    assert done.fetched == 0 and len(hub.asked("resolve")) == 1  # publication.json of main


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"model.bin": b"x"}, "holds files that no publication put there .*model.bin"),
        ({"README.md": b"---\nlicense: mit\n---\n# A thing\nBy hand.\n"}, "README.md"),
        ({"data/train-faces-00009-of-00009.parquet": b"x"}, "no publication"),
    ],
)
def test_foreign_content_is_left_alone(files: dict[str, bytes], told: str, at: Hub, hub: Server, tmp_path: Path) -> None:
    hub.create(REPO, private=False)
    hub.write(REPO, files)
    with pytest.raises(ShareError, match=told):
        go(at, staged(tmp_path / "one", ONE))
    assert not hub.repos[REPO].gated and not hub.asked(*WRITES)


def test_the_stub_of_a_new_repository_is_replaced(at: Hub, hub: Server, tmp_path: Path) -> None:
    hub.create(REPO, private=True)
    hub.write(REPO, {"README.md": b"---\nlicense: mit\n---\n"})
    go(at, staged(tmp_path / "one", ONE))
    assert b"# corpus" in hub.read(REPO, "README.md")


def test_the_publication_of_another_corpus_is_left_alone(at: Hub, hub: Server, tmp_path: Path) -> None:
    first = staged(tmp_path / "one", ONE)
    go(at, first)
    with pytest.raises(ShareError, match="holds the publication of corpus, not of other"):
        go(at, staged(tmp_path / "two", TWO, name="other"), first.publication)


def test_a_file_that_was_added_on_the_hub_is_in_the_way(at: Hub, hub: Server, tmp_path: Path) -> None:
    first = staged(tmp_path / "one", ONE)
    go(at, first)
    hub.write(REPO, {"notes.txt": b"x"})
    with pytest.raises(ShareError, match=r"notes\.txt"):
        go(at, staged(tmp_path / "two", TWO, version=2), first.publication)


@pytest.mark.parametrize(
    ("token", "told"),
    [("reading", "may only read"), ("stranger", "the token has no right"), ("none", "no token|does not know the token")],
)
def test_a_token_without_rights_changes_nothing(
    token: str, told: str, at: Hub, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = getattr(hub, token, "")
    monkeypatch.setenv("HF_TOKEN", given)
    with pytest.raises(ShareError, match=told) as error:
        go(at, staged(tmp_path / "one", ONE))
    assert not hub.repos and (not given or given not in str(error.value))


def test_a_stranger_may_not_publish_to_a_public_repository(
    at: Hub, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.create(REPO, private=False)
    monkeypatch.setenv("HF_TOKEN", hub.stranger)
    with pytest.raises(ShareError, match="no right"):
        go(at, staged(tmp_path / "one", ONE))


@pytest.mark.parametrize(("route", "skip"), [("discussion-create", 0), ("commit", 1), ("resolve", 2), ("status", 0)])
def test_a_main_that_moved_meanwhile_is_never_mixed(route: str, skip: int, at: Hub, hub: Server, tmp_path: Path) -> None:
    what = staged(tmp_path / "one", ONE)
    hub.fault(route, skip=skip, after=lambda: hub.write(REPO, {"foreign.txt": b"x"}))
    with pytest.raises(ShareError, match="changed by somebody else meanwhile"):
        go(at, what, most=600)
    assert {*hub.tree(REPO)} == {".gitattributes", "foreign.txt"}


def test_a_pull_request_that_is_changed_after_the_check_is_not_merged(at: Hub, hub: Server, tmp_path: Path) -> None:
    hub.fault("status", before=lambda: hub.write(REPO, {"data/evil.parquet": b"x"}, "refs/pr/1"))
    with pytest.raises(ShareError, match="changed by somebody else after it was checked"):
        go(at, staged(tmp_path / "one", ONE))
    assert {*hub.tree(REPO)} == {".gitattributes"}
    go(at, staged(tmp_path / "one", ONE))
    assert "data/evil.parquet" not in hub.tree(REPO)


def test_a_settings_request_that_is_not_kept_sends_nothing(at: Hub, hub: Server, tmp_path: Path) -> None:
    hub.fault("settings", after=lambda: setattr(hub.repos[REPO], "gated", False), times=9)
    with pytest.raises(ShareError, match=r"is not as it was set .*gated: no"):
        go(at, staged(tmp_path / "one", ONE))
    assert not hub.asked("commit", "preupload", "xet-write")


def test_a_new_version_replaces_the_old_at_once_and_tells_who_still_has_its_rows(
    at: Hub, hub: Server, tmp_path: Path
) -> None:
    one, two = staged(tmp_path / "one", ONE), staged(tmp_path / "two", TWO, version=2)
    first = go(at, one, gated="auto", private=False)
    done = go(at, two, one.publication)
    assert (done.private, done.gated) == (False, "auto")
    assert {*hub.tree(REPO)} == {*two.files, ".gitattributes"} and hub.tree(REPO, "v1") != hub.tree(REPO, "v2")
    assert [({*hub.tree(REPO, each)} - {".gitattributes"}) for each in hub.states(REPO)] == [
        set(),
        {*one.files},
        {*two.files},
    ]
    assert done.sent.files == 2  # its shard and publication.json: the card and the media table are the same
    found = {each.ref: each.rows for each in holders(at, two, done.commit)}
    assert found == {"v1": 1, "refs/pr/1": 1} and hub.repos[REPO].refs["refs/tags/v1"] == first.commit


def test_a_version_that_was_merged_and_not_tagged_is_tagged_by_the_next(
    at: Hub, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = staged(tmp_path / "one", ONE), staged(tmp_path / "two", TWO, version=2)
    monkeypatch.setenv("MMIDD_FAULT", f"publish_merged:1:EIO:{tmp_path / 'tally'}")
    with pytest.raises(OSError, match="Input"):
        go(at, one)
    go(at, two, one.publication)
    assert {*hub.tree(REPO, "v1")} == {*one.files, ".gitattributes"}


def test_a_tag_of_something_else_is_never_moved(at: Hub, hub: Server, tmp_path: Path) -> None:
    one = staged(tmp_path / "one", ONE)
    go(at, one)
    hub.repos[REPO].refs["refs/tags/v2"] = hub.repos[REPO].refs["refs/tags/v1"]
    with pytest.raises(ShareError, match="has a tag v2 already, of something else"):
        go(at, staged(tmp_path / "two", TWO, version=2), one.publication)
    assert len(hub.repos[REPO].discussions) == 1


def test_nothing_that_is_said_holds_the_token(at: Hub, hub: Server, tmp_path: Path) -> None:
    with pytest.raises(MmiddError) as error:
        hub.fault("commit", status=400, times=9)
        go(at, staged(tmp_path / "one", ONE))
    told = repr(error.value) + str(error.value.__cause__)
    assert hub.token not in told and "cannot send" in told


@pytest.mark.parametrize("fault", [{}, {"status": 500}, {"drop": "after"}], ids=str)
def test_large_files_go_by_xet_where_that_is_there(
    fault: dict[str, Any], at: Hub, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    what = staged(tmp_path / "one", ONE)
    hub.fault("xet-write", **fault)
    go(at, what)
    assert hub.asked("xet-write") and not hub.asked("lfs-put")
    assert {*hub.tree(REPO)} == {*what.files, ".gitattributes"} and len(hub.repos[REPO].discussions) == 1


@pytest.mark.parametrize("route", ["xet-write", "xet-xorb", "xet-shard"])
@pytest.mark.parametrize("code", [400, 403])
def test_a_store_that_refuses_is_not_asked_again(
    route: str, code: int, at: Hub, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    fault = hub.fault(route, status=code, times=99)
    with pytest.raises(ShareError, match=f"storage of large files refused it .*{code}") as error:
        go(at, staged(tmp_path / "one", ONE))
    assert fault.met == 1 and "://" not in str(error.value)
    assert {*hub.tree(REPO)} == {".gitattributes"}


def test_a_pull_request_of_somebody_else_is_not_used_whatever_its_title(
    at: Hub, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = staged(tmp_path / "one", ONE)
    base = hub.create(REPO, private=False, gated="auto").refs["refs/heads/main"]
    other = HfApi(endpoint=hub.url, token=hub.stranger)
    other.create_pull_request(REPO, title(1, what.digest, base), repo_type="dataset")
    done = go(at, what)
    assert done.pull == 2 and not done.resumed


def test_ours_on_an_older_main_is_closed(at: Hub, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = staged(tmp_path / "one", ONE)
    monkeypatch.setenv("MMIDD_FAULT", f"publish_sent:1:EIO:{tmp_path / 'tally'}")
    with pytest.raises(OSError, match="Input"):
        go(at, what)
    hub.write(REPO, {"README.md": b"# faces\n"})
    assert go(at, what).pull == 2
    assert [each.status for each in hub.repos[REPO].discussions] == ["closed", "merged"]


def test_long_waits_are_told(at: Hub, hub: Server, tmp_path: Path) -> None:
    said = list[str]()
    hub.fault("merge", status=429, retry_after=40)
    go(Hub(at.api, at.repo, said.append), staged(tmp_path / "one", ONE))
    assert len(said) == 1 and "could not merge pull request 1 (429" in said[0] and "in 40 s" in said[0]
