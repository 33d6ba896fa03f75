"""The Hub on loopback says yes and no where the real one does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .access import Who
from .git import MAIN
from .server import Hub
from .watch import watched

X: dict[str, Any] = {"repo_id": "lab/x", "repo_type": "dataset"}


@pytest.fixture
def api(hub: Hub) -> HfApi:
    """The owner's, with a repository that has something."""
    hub.create("lab/x", private=True)
    hub.write("lab/x", {"a.txt": b"a", "folder/b.txt": b"b", "folder/deep/c.parquet": b"c"})
    return HfApi(endpoint=hub.url, token=hub.token)


def put(path: str, text: str) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(path, text.encode())]


def status(do: Callable[[], object]) -> int:
    with pytest.raises(HfHubHTTPError) as error:
        do()
    return error.value.response.status_code


def test_who_may_do_what(api: HfApi, hub: Hub, tmp_path: Path) -> None:
    def of(token: str) -> HfApi:
        return HfApi(endpoint=hub.url, token=token)

    def read(token: str) -> str:
        return of(token).hf_hub_download("lab/x", "a.txt", repo_type="dataset", local_dir=tmp_path / (token or "none"))

    writer = hub.add(Who("writer", ("lab",)))
    assert status(lambda: of("hf_nobody").whoami()) == 401
    for token, seen in ((hub.token, None), (hub.reading, None), (writer, None), (hub.stranger, RepositoryNotFoundError)):
        if seen:
            with pytest.raises(seen):
                of(token).dataset_info("lab/x")
        else:
            assert of(token).dataset_info("lab/x").private
    assert status(lambda: of(hub.reading).create_commit(**X, operations=put("x", "x"), commit_message="x")) == 403
    assert status(lambda: of(hub.stranger).create_repo("lab/y", repo_type="dataset")) == 403
    assert status(lambda: of(hub.reading).create_repo("lab/y", repo_type="dataset")) == 403
    hub.repos["lab/x"].private, hub.repos["lab/x"].gated = False, "manual"
    assert of(hub.stranger).dataset_info("lab/x").gated == "manual"
    with pytest.raises(GatedRepoError):
        read(hub.stranger)
    api.grant_access("lab/x", "stranger", repo_type="dataset")
    assert Path(read(hub.stranger)).read_bytes() == b"a"


def test_commits(api: HfApi, hub: Hub) -> None:
    head = api.dataset_info("lab/x").sha
    done = api.create_commit(
        **X,
        operations=[
            *put("new.txt", "new"),
            CommitOperationDelete("a.txt"),
            CommitOperationDelete("folder/deep/"),
            CommitOperationCopy("folder/b.txt", "copy.txt"),
        ],
        commit_message="many things",
        parent_commit=head,
    )
    assert sorted(hub.tree("lab/x")) == [".gitattributes", "copy.txt", "folder/b.txt", "new.txt"]
    assert hub.states("lab/x")[-2:] == [head, done.oid]
    assert status(lambda: api.create_commit(**X, operations=put("x", "x"), commit_message="late", parent_commit=head)) == 412
    with pytest.raises(EntryNotFoundError):
        api.delete_file("gone.txt", **X)
    assert len(hub.states("lab/x")) == 3
    assert [each.title for each in api.list_repo_commits(**X)] == ["many things", "somebody else", "initial commit"]


@pytest.mark.parametrize("needs_base", (False, True))
@pytest.mark.parametrize("meanwhile", ({}, {"other.txt": b"o"}, {"p.txt": b"theirs"}), ids=("alone", "other", "conflict"))
def test_merging_a_pull_request(meanwhile: dict[str, bytes | None], needs_base: bool, api: HfApi, hub: Hub) -> None:
    hub.merge_needs_base = needs_base
    pull = api.create_pull_request(title="a change", **X)
    assert (pull.status, pull.git_reference) == ("draft", "refs/pr/1")
    api.create_commit(**X, operations=put("p.txt", "ours"), commit_message="x", revision="refs/pr/1")
    assert "p.txt" not in hub.tree("lab/x")
    if meanwhile:
        hub.write("lab/x", meanwhile)
    before = hub.states("lab/x")[-1]
    assert status(lambda: api.merge_pull_request(**X, discussion_num=1)) == 400  # a draft
    api.change_discussion_status(**X, discussion_num=1, new_status="open")
    if "p.txt" in meanwhile or (meanwhile and needs_base):
        assert status(lambda: api.merge_pull_request(**X, discussion_num=1)) == 409
        assert hub.states("lab/x")[-1] == before
        return
    api.merge_pull_request(**X, discussion_num=1)
    assert hub.read("lab/x", "p.txt") == b"ours" and {*meanwhile} <= {*hub.tree("lab/x")}
    details = api.get_discussion_details(**X, discussion_num=1)
    assert (details.status, details.merge_commit_oid) == ("merged", hub.states("lab/x")[-1])
    assert hub.repos["lab/x"].commits[details.merge_commit_oid or ""].parents == (before,)
    late = put("late.txt", "x")
    assert status(lambda: api.create_commit(**X, operations=late, commit_message="x", revision="refs/pr/1")) == 403


def test_refs_and_history(api: HfApi, hub: Hub) -> None:
    first = api.dataset_info("lab/x").sha or ""
    api.create_tag(**X, tag="v1")
    assert status(lambda: api.create_tag(**X, tag="v1")) == 409
    api.create_branch(**X, branch="b", revision="v1")
    api.create_commit(**X, operations=put("x.txt", "x"), commit_message="more")
    api.super_squash_history(**X)
    assert len(api.list_repo_commits(**X)) == 1 and "x.txt" in hub.tree("lab/x")
    assert api.dataset_info("lab/x", revision=first).sha == first  # the tag still holds it
    api.delete_tag(**X, tag="v1")
    api.delete_branch(**X, branch="b")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info("lab/x", revision=first)
    refs = api.list_repo_refs(**X, include_pull_requests=True)
    assert [each.ref for each in refs.branches] == [MAIN] and refs.tags == [] and refs.pull_requests == []


def test_large_files_go_for_good(api: HfApi, hub: Hub) -> None:
    listed = list(api.list_lfs_files(**X))
    assert [each.filename for each in listed] == ["folder/deep/c.parquet"]
    api.permanently_delete_lfs_files(lfs_files=listed, **X)
    assert sorted(hub.tree("lab/x")) == [".gitattributes", "a.txt", "folder/b.txt"]
    assert not hub.objects.has(listed[0].file_oid) and list(api.list_lfs_files(**X)) == []


def test_lists_come_in_pages(api: HfApi, hub: Hub) -> None:
    hub.page = 1
    for number in range(3):
        api.create_pull_request(title=f"change {number}", **X)
    assert [each.num for each in api.get_repo_discussions(**X, discussion_type="pull_request")] == [3, 2, 1]
    assert len(list(api.list_repo_tree(**X, recursive=True))) == 6
    assert [each.path for each in api.list_repo_tree(**X, path_in_repo="folder")] == ["folder/deep", "folder/b.txt"]
    assert [each.path for each in api.get_paths_info(**X, paths=["a.txt", "gone", "folder"])] == ["a.txt", "folder"]


def test_what_no_route_knows_fails_the_test(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    assert status(lambda: HfApi(endpoint=hub.url, token=hub.token).list_liked_repos("owner")) == 501
    assert hub.wrong and "no such route" in hub.wrong[0]
    hub.close()


def test_a_reader_meets_the_states_of_main_and_judges_each(api: HfApi, hub: Hub) -> None:
    def look(tree: object) -> str | None:
        assert isinstance(tree, dict)
        return "half" if ("one" in tree) != ("two" in tree) else None

    with watched(hub, "lab/x", look):
        hub.write("lab/x", {"one": b"1", "two": b"2"})
    with pytest.raises(AssertionError, match="half"), watched(hub, "lab/x", look):
        hub.write("lab/x", {"one": None})
        hub.write("lab/x", {"two": None})
