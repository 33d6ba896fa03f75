"""Every step of a commit, on the toy stage: killed there, the next run gives the same files and leaves nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mmidd.engine.faults import VARIABLE, fault
from mmidd.engine.local import Inline
from mmidd.engine.lock import held
from mmidd.engine.store import Store
from mmidd.engine.temporary import left_over, temporary
from mmidd.errors import WorkError

from .toy import Bench, item, unit

DATA, RECORDS = "/data/toy/", "/records/toy/"
STEPS = [
    ("before_write@toy/", "kill"), (f"written@{DATA}", "kill"), (f"written@{DATA}", "tear"), (f"written@{DATA}", "exit"),
    (f"before_rename@{DATA}", "kill"), (f"renamed@{DATA}", "kill"), (f"before_record@{RECORDS}", "kill"),
    (f"record_written@{RECORDS}", "tear"), (f"recorded@{RECORDS}", "kill"), (f"recorded@{RECORDS}", "tear"),
]  # fmt: skip
UNITS = [unit(item("a"), item("b", "drop"), name="set/0"), unit(item("c"), item("d", "fail"), name="set/1")]


def forked(do: Callable[[], object], orders: str | None = None) -> int:
    """Run something in a fork of this process; its exit code, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        try:
            if orders is not None:
                os.environ[VARIABLE] = orders
            do()
        except WorkError:
            os._exit(1)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    bench = Bench(tmp_path_factory.mktemp("straight"))
    return {name: bench.files(record) for name, record in bench.run(*UNITS, engine=Inline()).items()}


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("point", "action"), STEPS, ids=str)
def test_a_run_that_is_killed_at_a_step_of_a_commit_ends_with_the_same_files(
    point: str, action: str, number: int, links: bool, tmp_path: Path, straight: dict[str, dict[str, bytes]]
) -> None:
    (tmp_path / "bench").mkdir()
    bench, tally = Bench(tmp_path / "bench"), tmp_path / "tally"
    orders = f"{point}:{number}:{action}:{tally}" + ("" if links else ";link:*:ENOTSUP")
    code = forked(lambda: bench.run(*UNITS, engine=Inline()), orders)
    assert code == (7 if action == "exit" else -signal.SIGKILL) and tally.stat().st_size == number
    for record in bench.store.records("toy"):
        assert bench.files(record) == straight[record.unit]  # what a reader can see is whole
    with bench.store.held(lambda line: None):
        records = bench.run(*UNITS, engine=Inline())
    assert {name: bench.files(record) for name, record in records.items()} == straight
    assert list(bench.store.scratch.iterdir()) == []


def test_without_an_order_a_point_does_nothing_and_other_places_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    fault("written", "anything", tmp_path)
    monkeypatch.setenv(VARIABLE, f"written@b?c:2:EIO:{tmp_path / 'tally'}")
    fault("written", "abxcd")
    fault("written", "abd")
    fault("other", "abxcd")
    with pytest.raises(OSError, match="Input/output error"):
        fault("written", "abxcd")
    fault("written", "abxcd")  # the second pass alone


def test_who_comes_second_is_told_who_holds_the_lock_and_a_dead_holder_is_nobody(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "work")
    told: list[str] = []
    with store.held(told.append) as locks:
        assert locks and told == []
        with pytest.raises(WorkError, match=rf"is writing .*: process {os.getpid()} on .*, since 20.* UTC\. Wait"):
            store.held(told.append).__enter__()
    assert not (store.root / "lock").exists()

    def die() -> None:
        with store.held(told.append):
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(die) == -signal.SIGKILL and (store.root / "lock").exists()
    with store.held(told.append):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"])
def test_a_holder_that_has_not_written_its_name_is_refused_all_the_same(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lock"
    with held(path, WorkError):
        path.write_bytes(content)
        with pytest.raises(WorkError, match="has not said its name yet"), held(path, WorkError):
            pass


def test_temporaries_of_the_living_stay(tmp_path: Path) -> None:
    mine = temporary(tmp_path)
    mine.touch()
    assert forked(lambda: temporary(tmp_path).write_text("four")) == 0
    left = left_over(tmp_path)
    assert len(left.paths) == 1 and left.bytes == 4
    left.remove()
    assert list(tmp_path.iterdir()) == [mine]
    assert left_over(tmp_path / "absent").paths == ()


def test_a_scratch_folder_that_is_a_link_holds_others_files_as_well(tmp_path: Path) -> None:
    elsewhere, scratch = tmp_path / "elsewhere", tmp_path / "tmp"
    elsewhere.mkdir()
    scratch.symlink_to(elsewhere)
    own, theirs = f"{'0' * 12}-1-{'0' * 32}.tmp", "of another program.tmp"
    for name in (own, theirs):
        (elsewhere / name).touch()
        os.utime(elsewhere / name, (0, 0))
    (elsewhere / "folder.tmp").mkdir()
    assert [path.name for path in left_over(scratch).paths] == [own]
    assert {path.name for path in left_over(elsewhere).paths} == {own, theirs}
