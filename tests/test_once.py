"""What tests share is made once, whole, and stays as it was made; and what waits is known by its files."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import WAITING, group_of
from once import Once


def test_all_who_ask_at_the_same_time_get_what_one_of_them_made(tmp_path: Path) -> None:
    made: list[int] = []

    def make(folder: Path) -> None:
        made.append(1)
        time.sleep(0.05)
        (folder / "file").write_text("whole")

    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: Once(tmp_path)("thing", make), range(4)))
    assert {(folder / "file").read_text() for folder in folders} == {"whole"} and made == [1]


def test_what_failed_half_way_is_made_anew(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError

    with pytest.raises(OSError):
        Once(tmp_path)("thing", fails)
    folder = Once(tmp_path)("thing", lambda folder: (folder / "file").touch())
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("change", ["longer", None])
def test_a_change_of_what_all_share_is_told(tmp_path: Path, change: str | None) -> None:
    once = Once(tmp_path)
    folder = once("thing", lambda folder: (folder / "file").write_text("x"))
    once.check()
    if change:
        (folder / "file").write_text(change)
    else:
        (folder / "more").touch()
    with pytest.raises(AssertionError, match=r"a test changed what all share, .*\['(file|more)'\]"):
        once.check()


def test_the_files_whose_tests_wait_are_there_and_are_one_group() -> None:
    here = Path(__file__).parent
    assert [name for name in WAITING if not (here / name).exists()] == []
    assert {group_of(f"tests/{name}x::test_a[b::c]") for name in WAITING if name.endswith("/")} == {"waiting"}
    assert group_of("tests/test_once.py::test_a[b::c]") == "tests/test_once.py"
