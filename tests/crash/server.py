"""Runs mmidd commands in forks of one process that has everything imported: a build in a second instead of five.

A line on stdin is a job {words, env, log, powerless}; two lines on stdout answer it: pid, then exit code.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import traceback
from pathlib import Path

import cv2  # noqa: F401 (these are what takes time)
import onnxruntime  # noqa: F401

import mmidd.project
from mmidd import cli
from mmidd.engine.start import without_pandas


def serve() -> None:
    """Do the jobs, one after the other."""
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(job["words"], job["env"], Path(job["log"]), job["powerless"])
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(words: list[str], env: dict[str, str], log: Path, powerless: bool) -> None:
    code = 99
    try:
        os.setsid()
        os.environ.update(env)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        if powerless:
            _give_up_powers()
        code = cli.run(words)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _give_up_powers() -> None:
    """Drop every capability: root then meets the permissions of its files as everybody does."""
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "cannot give up capabilities")


if __name__ == "__main__":
    if "torch" in sys.argv:
        import torch  # noqa: F401
    assert mmidd.project
    without_pandas()
    serve()
