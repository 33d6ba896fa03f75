"""How an error becomes an outcome's message: no library's text, so no piece of the data root, however that is written."""

from __future__ import annotations

import errno
import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from mmidd.engine.units import Item
from mmidd.errors import UnreadableMedia, is_memory
from mmidd.extraction.records import failure_of
from mmidd.video import open_video

ROOTS = (
    "/mnt/secret data/my files", "/srv/o'secret/\"faces\"", "/a:b/secret:c", "../../secret/x", "secret", "C:\\secret\\faces",
    "/secret\nfaces", unicodedata.normalize("NFD", "/sécret/fäces"), "//host/secret", "s3://user:secret@bucket/x?key=secret",
    "~secret/x", "/tmp/mmidd-secret/x", "./secret",
)  # fmt: skip


def of_the_system(path: str) -> Exception:
    return FileNotFoundError(errno.ENOENT, "No such file", path)


def of_a_library_as_the_system(path: str) -> Exception:
    return OSError(errno.EIO, f"cannot read {path}", path)


def without_a_number(path: str) -> Exception:
    return OSError(f"cannot identify image file {path}")


def of_a_library(path: str) -> Exception:
    return ValueError(f"{quote(path)} {path!r} {json.dumps(path)}")


def of_another_package(path: str) -> Exception:
    return UnreadableMedia(f"my decoder cannot open {path}")


def with_a_key(path: str) -> Exception:
    return KeyError(path)


ENDS = [
    (of_the_system, "FileNotFoundError", "No such file or directory"),
    (of_a_library_as_the_system, "OSError", "Input/output error"),
    (without_a_number, "OSError", "unexpected OSError in test_told.raised"),
    (of_a_library, "ValueError", "unexpected ValueError in test_told.raised"),
    (of_another_package, "UnreadableMedia", "unexpected UnreadableMedia in test_told.raised"),
    (with_a_key, "KeyError", "unexpected KeyError in test_told.raised"),
]


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(("make", "kind", "message"), ENDS, ids=[make.__name__ for make, *_ in ENDS])
def test_no_piece_of_a_path_that_a_library_quotes_is_stored(
    make: Callable[[str], Exception], kind: str, message: str, root: str
) -> None:
    outcome = failure_of(Item("set", "a.mp4", ("x",)), ("x",), {}, raised(make(f"{root}/a.mp4")))
    told = str(outcome.message).replace("tests.extraction.", "")
    assert (outcome.error, told.replace("extraction.", "")) == (kind, message)


def test_our_own_words_for_a_medium_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableMedia) as caught:
        open_video(tmp_path / "a.mp4", "pyav").__enter__()
    outcome = failure_of(Item("set", "a.mp4", ("x",)), ("x",), {}, caught.value)
    assert str(outcome.message).startswith("no video container that can be read (")


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: bad allocation"), True),
        (RuntimeError("Failed to allocate memory for requested buffer of size 4096"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"), True),
        (ValueError("malloc of size 1048576 failed"), True),
        (OSError(errno.EIO, "I/O"), False),
        (ValueError("no memory of that"), False),
        (UnreadableMedia("out of memory"), False),
    ],
)
def test_too_little_memory_is_known_by_whatever_name_a_library_gives_it(error: Exception, memory: bool) -> None:
    assert is_memory(error) is memory
    outer = RuntimeError("other")
    outer.__cause__ = error
    assert is_memory(outer) is memory
