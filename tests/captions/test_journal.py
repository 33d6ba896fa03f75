from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mmidd.captions.journal import Journal, JournalError
from mmidd.llm.answer import Answer

KEYS = [f"{number:032x}" for number in range(200)]


def filled(folder: Path, count: int = 3) -> Path:
    journal = Journal(folder)
    for number, key in enumerate(KEYS[:count]):
        journal.put(key, Answer(f"reply {number} ü\n\x1b", "stop", "m", 10, number))
    journal.close()
    (path,) = folder.glob("*.log")
    return path


def test_what_was_put_is_there_at_once_and_for_who_comes_later(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.get(KEYS[0]) is None and len(journal) == 0 and list(tmp_path.iterdir()) == []
    journal.put(KEYS[0], Answer("a", "stop", "m", 1, 2, True, 3, 0.5))
    for each in (journal, Journal(tmp_path)):
        assert each.get(KEYS[0]) == Answer("a", "stop", "m", 1, 2, True, 3, 0.5)
        assert each.get(KEYS[1]) is None


def test_the_first_reply_stays_unless_another_is_wished_and_nothing_is_ever_rewritten(tmp_path: Path) -> None:
    path = filled(tmp_path)
    before = path.read_bytes()
    later = Journal(tmp_path)
    later.put(KEYS[0], Answer("unasked for"))
    later.put(KEYS[1], Answer("new"), instead=True)
    later.put(KEYS[1], Answer("newer"), instead=True)
    assert later.get(KEYS[0]) == Journal(tmp_path).get(KEYS[0]) != Answer("unasked for")
    assert later.get(KEYS[1]) == Answer("newer") == Journal(tmp_path).get(KEYS[1])
    assert path.read_bytes() == before and len(list(tmp_path.glob("*.log"))) == 2


@pytest.mark.parametrize("lost", [1, 5, 30])
def test_a_torn_last_line_counts_as_absent_and_the_others_stay(tmp_path: Path, lost: int) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes()[:-lost])
    journal = Journal(tmp_path)
    assert journal.get(KEYS[2]) is None
    assert [journal.get(key) is not None for key in KEYS[:2]] == [True, True]
    journal.put(KEYS[2], Answer("again"))
    assert Journal(tmp_path).get(KEYS[2]) == Answer("again")


def test_an_altered_line_counts_as_absent(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"reply 1", b"reply X"))
    journal = Journal(tmp_path)
    assert journal.get(KEYS[1]) is None and journal.get(KEYS[0]) is not None and journal.get(KEYS[2]) is not None


def test_foreign_bytes_are_passed_over(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "000000-x.log").write_bytes(b"\x00\xff" * 3000 + b"\n\n" + b"z" * 32 + b" 00000000 {}\n" + b"{}" * 10)
    (tmp_path / "notes.txt").write_text("not a journal")
    journal = Journal(tmp_path)
    assert len(journal) == 3 and journal.get(KEYS[0]) is not None


def test_threads_share_one_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)

    def add(part: int) -> None:
        for key in KEYS[part::4]:
            journal.put(key, Answer(key * 20))

    threads = [threading.Thread(target=add, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = Journal(tmp_path)
    assert all(each.get(key) == Answer(key * 20) for each in (journal, again) for key in KEYS)


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"cannot be used: Not a directory.*run the same command"):
        Journal(tmp_path / "file" / "journal").put(KEYS[0], Answer("a"))
