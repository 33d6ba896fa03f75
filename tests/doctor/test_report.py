"""A report: what it says for programs and for people, and that no look at a machine can break it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest

from mmidd.doctor.report import Check, Examination, ask, attempt, shown
from mmidd.errors import DataError

CHECKS = (
    Check("python", "interpreter", "ok", "here"),
    Check("disk", "work", "note", "a note", "do a"),
    Check("disk", "out", "problem", "bad\x1b[2J\udcff", "mend it"),
    Check("gpu", "torch", "warning", "odd", "look"),
)


def test_the_worst_comes_first_and_the_last_line_sums_up() -> None:
    lines = str(Examination("1", CHECKS)).splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["problem", "warning", "note", "ok", "mend"]
    assert lines[0] == "problem  disk, out: bad?[2J?" and lines[1] == "         -> mend it"
    assert lines[-1] == "mend the problems first: 1 problem, 1 warning, 1 note, 1 checks ok"
    assert str(Examination("1", CHECKS[:1])).splitlines()[-1] == "nothing stands in the way: 1 checks ok"


def test_the_document_holds_every_check_in_order_and_is_utf8() -> None:
    about = Examination("1", CHECKS).document()
    assert json.dumps(about, ensure_ascii=False).encode()
    assert (about["mmidd"], about["sound"]) == ("1", False)
    assert about["counts"] == {"problem": 1, "warning": 1, "note": 1, "ok": 1}
    assert [check["name"] for check in about["checks"]] == ["interpreter", "work", "out", "torch"]
    assert about["checks"][1] == {"group": "disk", "name": "work", "state": "note", "found": "a note", "advice": "do a"}


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ValueError("odd \x1b[1m"), "this check failed: ValueError: odd [1m"),
        (RecursionError(), "this check failed: RecursionError"),
        (KeyError("x"), "this check failed: KeyError: 'x'"),
        (OSError(5, "Input/output error", "/secret/place/x"), "OSError: [Errno 5] Input/output error"),
        (DataError("two of them"), "two of them"),
    ],
)
def test_a_look_that_fails_is_a_problem_behind_what_it_had_found(error: Exception, found: str) -> None:
    def look() -> Iterator[Check]:
        yield CHECKS[0]
        raise error

    first, second = attempt("disk", "work", look)
    assert first is CHECKS[0]
    assert (second.group, second.name, second.state) == ("disk", "work", "problem")
    assert found in second.found and "/secret" not in second.found and second.advice


@pytest.mark.parametrize(("name", "told"), [("a", "a"), ("a\udcffb", "a\\udcffb"), (" a", "' a'"), ("", "''")])
def test_a_name_is_told_so_that_it_is_seen(name: str, told: str) -> None:
    assert shown(name) == told


def test_a_package_that_crashes_hangs_or_talks_costs_its_own_answer_alone() -> None:
    start = time.monotonic()
    found = ask(
        {
            "talks": "print('[1,2]'); print('[[], 1, 2]'); print('hello'); return [1, {'a': None}]",
            "raises": "raise ImportError('libGL.so.1: cannot open /usr/lib/x/libGL.so.1')",
            "leaves": "import sys; sys.exit(3)",
            "crashes": "import os; os.abort()",
            "ends": "import os; os._exit(7)",
            "well": "return 'fine'",
            "hangs": "import time, subprocess as s, sys; s.Popen([sys.executable, '-c', 'import time; time.sleep(50)']); "
            "time.sleep(50)",
        },
        3.0,
    )
    assert time.monotonic() - start < 30
    assert (found["talks"].answer, found["talks"].fault) == ([1, {"a": None}], None)
    assert found["well"].answer == "fine"
    assert found["raises"].fault == "ImportError: libGL.so.1: cannot open libGL.so.1"
    assert found["leaves"].fault == "SystemExit: 3"
    assert found["crashes"].fault == "ended with signal 6"
    assert found["ends"].fault == "ended with exit code 7"
    assert found["hangs"].fault == "gave no answer within 3 s"


def test_a_python_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert ask({"a": "return 1"}, 5.0)["a"].fault == "a second Python ended with exit code 1"
