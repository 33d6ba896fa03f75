"""`mmidd publish`: corpora to publications on a local Hub, versions, takedown and what the owner does after it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hub.server import Hub as Server
from publication import sound

import mmidd
from mmidd import cli
from mmidd.errors import ShareError, UsageError
from mmidd.share.hub.planned import Planned
from mmidd.share.hub.publish import Published
from mmidd.share.publication.opened import open_publication

REPO = "lab/faces"
GONE = "train-alpha/person1.mp4"
READS = {"whoami", "info", "tree", "paths", "refs", "resolve", "store", "auth-check", "discussions", "commits", "lfs-files"}


@pytest.fixture(autouse=True)
def _here(hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local Hub with its owner's token, no long waits, and manifests of the corpus's datasets."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    for name, free in ((sound.FREE, True), (sound.CLOSED, False), (sound.SILENT, False)):
        (folder / f"{name}.yaml").write_text(sound.manifest(name, redistributable=free))
    for name, value in {**hub.env(tmp_path / "home", xet=False), "MMIDD_MANIFESTS": str(folder)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # LFS by HTTP is quicker
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    sound.corpus(tmp_path / "corpus")
    return tmp_path / "corpus"


def without(folder: Path) -> Path:
    """The corpus again, after one medium was taken down."""
    shutil.rmtree(folder)

    def change(shard: str, rows: sound.Rows) -> None:
        rows[:] = [row for row in rows if row["media"] != GONE]

    sound.corpus(folder, change, lost=[sound.lost(sound.FREE, GONE, "excluded")])
    return folder


def publish(*asked: Any, **more: Any) -> Published:
    found = mmidd.publish(*asked, **more)
    assert isinstance(found, Published)
    return found


def test_a_corpus_is_published_as_its_licences_allow(corpus: Path, hub: Server) -> None:
    done = publish(corpus, REPO)
    assert done.released is not None and done.released.private and done.released.gated == "manual"
    assert {name for name in hub.tree(REPO) if name.startswith("data/")} == {"data/train-alpha-00000-of-00001.parquet"}
    opened = open_publication(f"hf://datasets/{REPO}@v1")
    assert opened.check() == () and opened.about == done.publication and not opened.complete
    assert {each.dataset: each.pixels for each in opened.about.terms} == {"Alpha": True, "Beta": False, "Gamma": False}
    log = len(hub.log)
    again = publish(corpus, REPO)
    assert again.publication == done.publication and not again.changed and len(hub.states(REPO)) == 2
    assert {each.route for each in hub.log[log:]} <= READS


def test_a_complete_publication_is_a_corpus_on_the_hub(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "manifests/Beta.yaml").write_text(sound.manifest("Beta", redistributable=True))
    (tmp_path / "manifests/Gamma.yaml").write_text(sound.manifest("Gamma", redistributable=True))
    publish(corpus, REPO)
    assert mmidd.Corpus(f"hf://datasets/{REPO}").verify().findings == ()


def test_a_takedown_is_a_new_version_and_says_who_still_has_the_rows(corpus: Path, hub: Server) -> None:
    publish(corpus, REPO)
    done = publish(without(corpus), REPO)
    assert done.publication.version == 2 and {*hub.repos[REPO].refs} >= {"refs/tags/v1", "refs/tags/v2"}
    assert [(each["dataset"], each["removed"], each["media_taken_down"]) for each in done.publication.changes] == [
        (sound.FREE, 1, 1)
    ]
    assert {each.ref: each.rows for each in done.holders} == {"v1": 1, "refs/pr/1": 1}
    assert "v1" in str(done) and "--squash-history --yes" in str(done)
    assert publish(corpus, REPO).holders == done.holders


@pytest.mark.parametrize("point", ["", "squash_tags", "squash_squashed", "squash_deleted"])
def test_a_squash_takes_older_versions_away(
    point: str, corpus: Path, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(corpus, REPO)
    publish(without(corpus), REPO)
    with pytest.raises(UsageError, match=r"for good\. Add --yes"):
        publish(corpus, REPO, squash_history=True)
    if point:
        monkeypatch.setenv("MMIDD_FAULT", f"{point}:1:EIO:{tmp_path / 'tally'}")
        with pytest.raises(OSError, match="Input/output"):
            publish(corpus, REPO, squash_history=True, yes=True)
    done = publish(corpus, REPO, squash_history=True, yes=True)
    assert done.squash is not None and done.released is not None
    assert [name for name in hub.repos[REPO].refs if name.startswith("refs/tags/")] == ["refs/tags/v2"]
    assert hub.tree(REPO) == hub.tree(REPO, "v2") and open_publication(REPO).check() == ()
    assert not publish(corpus, REPO, squash_history=True, yes=True).squash
    assert not done.holders


def test_a_word_is_as_good_as_a_list_of_it_and_no_option_is_passed_over(corpus: Path, tmp_path: Path) -> None:
    one = mmidd.publish(corpus, dry_run=True, only="Alpha", redact="paths")
    assert isinstance(one, Planned) and [each.dataset for each in one.plan.terms] == ["Alpha"]
    assert one.plan.redacted == ("paths",)
    wrongs: list[dict[str, Any]] = [{"gated": "nobody"}, {"verify": "hope"}]
    for wrong in wrongs:
        with pytest.raises(UsageError, match="choose one of"):
            mmidd.publish(corpus, dry_run=True, **wrong)


def test_a_dry_run_writes_and_sends_nothing(corpus: Path, hub: Server, tmp_path: Path) -> None:
    before = {*tmp_path.iterdir()}
    found = mmidd.publish(corpus, REPO, dry_run=True)
    assert isinstance(found, Planned) and found.there is None and found.sends == found.bytes > 0
    assert {each.route for each in hub.log} <= READS and {*tmp_path.iterdir()} - before <= {tmp_path / "home"}
    assert "would be made, private and gated" in str(found) and "its licence does not let crops be passed on" in str(found)
    publish(corpus, REPO)
    same = mmidd.publish(corpus, REPO, dry_run=True)
    less = mmidd.publish(without(corpus), REPO, dry_run=True, squash_history=True)
    assert isinstance(same, Planned) and same.sends == 0 and same.there is not None and same.there.version == 1
    assert isinstance(less, Planned) and 0 < less.sends < less.bytes
    assert "Alpha: 7 rows now, 6 then" in str(less) and json.dumps(less.document())


def test_two_commands_do_not_send_one_folder(corpus: Path, hub: Server) -> None:
    found = list[str]()

    def second() -> None:
        with pytest.raises(ShareError, match="another command sends") as error:
            mmidd.publish(corpus, REPO)
        found.append(str(error.value))

    hub.fault("create", before=second)
    publish(corpus, REPO)
    assert len(found) == 1 and not [each.name for each in corpus.parent.iterdir() if each.name.startswith(".")]


def test_a_corpus_that_fails_verify_is_refused_before_there_is_a_repository(corpus: Path, hub: Server) -> None:
    (corpus / "data/train-alpha-00000-of-00001.parquet").write_bytes(b"PAR1 no more PAR1")
    with pytest.raises(ShareError, match="`mmidd verify` finds fault with it"):
        publish(corpus, REPO)
    assert not hub.repos


def test_a_publication_that_was_edited_on_the_hub_is_put_back(corpus: Path, hub: Server) -> None:
    publish(corpus, REPO)
    whole = hub.digest(REPO)
    hub.write(REPO, {"media.parquet": None, "README.md": b"By hand."})
    done = publish(corpus, REPO)
    assert done.edited == ("README.md", "media.parquet") and "put back: README.md" in str(done)
    assert hub.digest(REPO) == whole and done.publication.version == 1


@pytest.mark.parametrize("name", ["CHANGELOG.md", "labels/train-alpha-00000-of-00001.parquet", "README.md"])
@pytest.mark.parametrize("kind", ["other", "gone", "as long"])
def test_an_edit_on_the_hub_stops_no_takedown(name: str, kind: str, corpus: Path, hub: Server) -> None:
    publish(corpus, REPO)
    was = hub.read(REPO, name)
    hub.write(REPO, {name: {"other": b"By hand.", "gone": None, "as long": was[:-1] + b"?"}[kind]})
    done = publish(without(corpus), REPO)
    assert done.edited == (name,) and done.publication.version == 2
    assert [each["removed"] for each in done.publication.changes] == [1] and open_publication(REPO).check() == ()
    assert b"## Version 1" in hub.read(REPO, "CHANGELOG.md")


def test_an_edit_of_a_version_without_a_tag_says_what_to_undo(corpus: Path, hub: Server) -> None:
    publish(corpus, REPO)
    del hub.repos[REPO].refs["refs/tags/v1"]
    hub.write(REPO, {"CHANGELOG.md": b"By hand."})
    with pytest.raises(ShareError, match=r"edited on the Hub \(CHANGELOG\.md\).*undo the edit"):
        publish(corpus, REPO)


def test_what_was_left_out_stays_so_until_none_is_asked_for(corpus: Path, hub: Server, tmp_path: Path) -> None:
    publish(corpus, redact=("identities",))
    told = list[str]()
    first = publish(corpus, REPO, tell=told.append)  # as the folder that was looked at
    assert first.publication.redacted == ("identities",) and "--redact none" in told[0]
    assert publish(corpus, REPO, out=tmp_path / "other").publication == first.publication
    planned = mmidd.publish(corpus, REPO, out=tmp_path / "third", dry_run=True)
    assert isinstance(planned, Planned) and planned.plan.redacted == ("identities",)
    assert cli.run(["publish", str(corpus), REPO, "--redact", "none"]) == 0
    assert open_publication(REPO).about.redacted == ()


@pytest.mark.parametrize(
    ("more", "also"),
    [
        ({"redact": ("identities",)}, ("identities",)),
        ({"redact": ("captions",)}, ("captions",)),
        ({"labels_only": True}, ("pixels of Alpha",)),
    ],
)
def test_what_is_withheld_now_is_said_to_be_in_older_versions(
    more: dict[str, Any], also: tuple[str, ...], corpus: Path, hub: Server
) -> None:
    publish(corpus, REPO)
    done = publish(corpus, REPO, **more)
    assert [(each.ref, each.rows, each.also) for each in done.holders] == [("v1", 0, also), ("refs/pr/1", 0, also)]
    assert f": {also[0]}" in str(done)
    assert not publish(corpus, REPO, squash_history=True, yes=True, **more).holders


def test_an_agreement_that_forbids_captions_now_is_said_of_older_versions(
    corpus: Path, hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(corpus, REPO)
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "manifests", other)
    (other / "Gamma.yaml").write_text(sound.manifest("Gamma", redistributable=False, derivatives=False))
    monkeypatch.setenv("MMIDD_MANIFESTS", str(other))
    assert {each.also for each in publish(corpus, REPO).holders} == {("captions of Gamma",)}


def test_a_pull_request_that_was_not_finished_is_said_to_hold_what_is_withheld_now(
    corpus: Path, hub: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MMIDD_FAULT", f"publish_committed:3:EIO:{tmp_path / 'tally'}")
    with pytest.raises(OSError, match="Input/output"):
        publish(corpus, REPO, commit_bytes=60_000)
    done = publish(corpus, REPO, redact=("identities",))
    assert [(each.ref, each.also) for each in done.holders] == [("refs/pr/1", ("files of a version that was not finished",))]


def test_a_token_of_odd_letters_is_named_as_what_is_wrong(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_grün")
    with pytest.raises(ShareError, match="letters that no token has; check HF_TOKEN"):
        publish(corpus, REPO)


def test_a_repository_made_anew_is_fetched_anew(corpus: Path, hub: Server) -> None:
    hub.fault("merge", status=400)
    with pytest.raises(ShareError):
        publish(corpus, REPO)
    del hub.repos[REPO]
    done = publish(corpus, REPO)
    assert done.released is not None and done.released.fetched == done.files


def test_what_lost_its_gate_meanwhile_is_not_merged(corpus: Path, hub: Server) -> None:
    def open_it() -> None:
        hub.repos[REPO].gated = hub.repos[REPO].private = False

    hub.fault("status", before=open_it)  # as the draft is opened, all is sent and checked
    with pytest.raises(ShareError, match="took the gate"):
        publish(corpus, REPO)
    assert [*hub.tree(REPO)] == [".gitattributes"]
    assert publish(corpus, REPO).released is not None and hub.repos[REPO].gated == "manual"


@pytest.mark.parametrize("damage", [b"{}", b"no JSON", None])
def test_a_damaged_publication_json_is_not_built_upon(damage: bytes | None, corpus: Path, hub: Server) -> None:
    publish(corpus, REPO)
    hub.write(REPO, {"publication.json": damage})
    before = hub.digest(REPO)
    with pytest.raises(ShareError, match=r"is not sound, so nothing is changed|holds files that no publication put there"):
        publish(without(corpus), REPO)
    assert hub.digest(REPO) == before


@pytest.mark.parametrize("name", ["faces", "lab/", "../x/y", "lab/fa ces", "lab/..", "https://hub/lab/faces", "lab/x.git"])
def test_a_name_that_can_be_no_repository_is_refused(name: str, corpus: Path) -> None:
    with pytest.raises(UsageError, match="write ORG/NAME"):
        publish(corpus, name)


def test_the_command_line_publishes_to_a_folder_and_to_the_hub(
    corpus: Path, hub: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cli.run(["publish", str(corpus), "--out", str(out), "--labels-only", "--redact", "identities,paths"]) == 0
    assert "redacted: identities, paths" in capsys.readouterr().out and not (out / "data").exists() and not hub.log
    words = ["--only", "Alpha", "--public", "--gated", "auto", "--commit-bytes", "2000", "--json"]
    assert cli.run(["publish", str(corpus), REPO, *words]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["released"]["private"] is False and told["released"]["gated"] == "auto"
    assert told["released"]["sent"]["commits"] > 2 and [*told["rows"]] == ["Alpha"] and told["complete"]
    assert hub.token not in said.out + said.err and not said.err


@pytest.mark.parametrize(
    ("route", "status"),
    [("whoami", 500), ("create", 403), ("settings", 400), ("lfs-put", 500), ("commit", 403), ("merge", 400)],
)
def test_no_message_holds_the_token_or_a_signed_address(
    route: str, status: int, corpus: Path, hub: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.fault(route, status=status, times=999)
    assert cli.run(["publish", str(corpus), REPO]) == 1
    said = capsys.readouterr()
    assert hub.token not in said.out + said.err and "ignature" not in said.err and "mmidd: " in said.err
    assert "Traceback" not in said.err and (REPO not in hub.repos or {*hub.tree(REPO)} == {".gitattributes"})
