"""The engines of one machine: a pool of spawned worker processes, or this process itself."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, TimeoutError, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count, islice
from multiprocessing import get_context, resource_tracker
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from mmidd.engine.start import ONE_THREAD, children_with, without_pandas
from mmidd.engine.temporary import temporary
from mmidd.engine.units import Crash, Resources, Result, StageFunction, Task
from mmidd.errors import WorkError, reason, sanitised

_PR_SET_PDEATHSIG = 1
_MOST_BREAKS = 3
_GRACE_S = 120.0
_MEMORY_LOOK_S = 0.05
_LAST_BYTES, _LAST_LINES = 4096, 5
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")


_TOO_MUCH = 113
"""What a worker that holds too much memory ends with."""
_OUT_OF_MEMORY = Crash("OutOfMemory", "there was not enough memory for it")


@dataclass(frozen=True)
class Inline:
    """Runs tasks here, one after the other: for small work, where starting workers would cost more."""

    resources: Resources = field(default_factory=Resources)

    def map(
        self, function: StageFunction, tasks: Iterable[Task], config: Any, *, time_limit: float | None
    ) -> Iterator[tuple[Task, Result | Crash]]:
        for task in tasks:
            try:
                result: Result | Crash = function(task, config, self.resources)
            except MemoryError:
                result = _OUT_OF_MEMORY
            yield task, result

    def close(self) -> None:
        """Nothing is held."""


def _end_workers(pool: ProcessPool) -> None:
    """End the workers of a pool that stops, once it starts no more: one that is still starting would find the pool's
    semaphores gone, and tell a traceback of it. (pebble ends them only after its semaphores.)"""
    if pool._pool_manager_loop is not None:
        pool._pool_manager_loop.join()
    for worker in list(pool._pool_manager.worker_manager.workers.values()):
        worker.kill()


class Local:
    """A pool of spawned processes, one thread each. A worker that dies or hangs costs its task only.

    Workers start with the first task and stay for the stages that follow, with what they have loaded.
    """

    def __init__(
        self,
        workers: int,
        resources: Resources,
        memory: int | None = None,
        modules: Sequence[str] = (),
        *,
        look: float = 0.5,
        notice: float = 5.0,
    ) -> None:
        """`memory` is what each worker may hold resident, in bytes; one that holds more is stopped, as if it had died.
        `modules` are what workers import when they start. Every `look` seconds dead workers are looked for; the pool is
        given `notice` seconds to find one by itself."""
        self.workers, self.resources = workers, resources
        self.scratch: Path | None = None
        """Where temporaries go, so that somebody clears them should this process be killed; None: the system's place."""
        self._memory, self._modules = memory, tuple(modules)
        self._look, self._notice = look, notice
        self._pool: ProcessPool | None = None
        self._words: Path | None = None
        self._numbers = count()

    def map(
        self, function: StageFunction, tasks: Iterable[Task], config: Any, *, time_limit: float | None
    ) -> Iterator[tuple[Task, Result | Crash]]:
        """Yields in order of completion; at most three tasks a worker are under way, so memory stays bounded."""
        waiting = iter(tasks)
        under_way: dict[Any, tuple[Task, Path]] = {}
        breaks, moved = 0, time.monotonic()
        dying: dict[Any, float] = {}

        def schedule(some: Iterable[Task]) -> None:
            for task in some:
                words = self._place()
                arguments = (words, function, task, config, self.resources)
                under_way[self._schedule(arguments, time_limit)] = task, words

        try:
            with children_with(ONE_THREAD):
                schedule(islice(waiting, 3 * self.workers))
                while under_way:
                    done = wait(under_way, timeout=self._look, return_when=FIRST_COMPLETED).done
                    if not self._running().active or _stalled(moved, time_limit):
                        breaks, moved = breaks + 1, time.monotonic()
                        self._replace(breaks)
                        again = [task for task, _ in under_way.values()]
                        _forget(under_way)
                        schedule(again)
                        continue
                    for future in done:
                        if isinstance(future.exception(), BrokenProcessPool):
                            break
                        (task, words), breaks, moved = under_way.pop(future), 0, time.monotonic()
                        result = _result(future, time_limit, words)
                        schedule(islice(waiting, 1))
                        yield task, result
                    dying = {} if done else _dying(under_way, dying)
                    for future in [each for each, since in dying.items() if time.monotonic() - since > self._notice]:
                        (task, words), moved = under_way.pop(future), time.monotonic()
                        future.cancel()
                        schedule(islice(waiting, 1))
                        _pass_on(words)
                        yield task, Crash("WorkerDied", "the worker process ended")
        finally:
            if under_way:  # stopped half-way: what still runs is of no use to anybody
                self.close()
                _forget(under_way)

    def start(self) -> None:
        """Start the workers before there is work for them."""
        with children_with(ONE_THREAD), _interrupts_held():
            _ = self._running().active

    def close(self) -> None:
        """Stop the workers, at once."""
        if self._pool is not None:
            self._pool.stop()
            _end_workers(self._pool)
            self._pool.join()
            self._pool = None
        if self._words is not None:
            shutil.rmtree(self._words, ignore_errors=True)
            self._words = None

    def _place(self) -> Path:
        """Where a task's stderr goes while it runs, so that it can be read when its worker is dead."""
        if self.scratch is not None:
            self.scratch.mkdir(parents=True, exist_ok=True)
            return temporary(self.scratch)
        if self._words is None:
            self._words = Path(tempfile.mkdtemp(prefix="mmidd-"))
        return self._words / str(next(self._numbers))

    def _running(self) -> ProcessPool:
        if self._pool is None:
            spawn = get_context("spawn")
            about = (os.getpid(), self._memory, self._modules)
            self._pool = ProcessPool(self.workers, context=spawn, initializer=_start_worker, initargs=about)
            try:
                _ = self._pool.active  # it starts here
            except OSError as error:
                self._pool = None
                if error.errno not in (errno.ENOSPC, errno.ENOENT, errno.EACCES, errno.ENOSYS, errno.EROFS):
                    raise
                raise WorkError(
                    f"worker processes need shared memory, and /dev/shm gives none ({error.strerror}): make room in it, "
                    "mount it (of a container: --shm-size=1g), or use --workers 0"
                ) from error
            except BrokenProcessPool as error:
                self.close()
                raise WorkError(
                    f"no worker process can be started: {_refusal(error)}. Then run the same command, or use --workers 0"
                ) from error
        return self._pool

    def _schedule(self, arguments: tuple[Any, ...], time_limit: float | None) -> Any:
        try:
            with _interrupts_held():
                return self._running().schedule(_overheard, args=arguments, timeout=time_limit)
        except RuntimeError:  # the pool is broken, and `map` is about to notice: this never comes back
            return Future()

    def _replace(self, breaks: int) -> None:
        """A worker that dies while it waits breaks the whole pool. It is nobody's fault: all goes to a new one."""
        self.close()
        if breaks > _MOST_BREAKS:
            raise WorkError(
                f"worker processes died {breaks} times in a row before they took up any work; is there enough memory "
                "for them (and in --worker-memory)? Try fewer --workers, or --workers 0 to see what happens. A script "
                'that starts workers puts its call under `if __name__ == "__main__":`. Run the same command to go on.'
            )


def _refusal(error: BrokenProcessPool) -> str:
    """Why the system starts no process, with the way out."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return "the current folder is gone; change to one that is there"
    cause = error.__cause__
    if not isinstance(cause, OSError):
        return f"{type(cause or error).__name__}; look at the limits of this machine"
    if cause.errno == errno.EAGAIN:
        return "too many processes; raise the limit (`ulimit -u`; of a container: of its pids), or use fewer --workers"
    return reason(cause) or f"{cause.strerror}; look at the limits of this machine"


def _dying(under_way: dict[Any, tuple[Task, Path]], since: dict[Any, float]) -> dict[Any, float]:
    """The tasks whose worker has died, and since when, if the pool has not noticed: it may hear of a task's beginning after
    it looked for what the dead worker had."""
    now = time.monotonic()
    return {
        future: since.get(future, now) for future, (_, words) in under_way.items() if not future.done() and _abandoned(words)
    }


def _abandoned(words: Path) -> bool:
    """Was the task taken up, by a worker that is not there any more?"""
    try:
        with words.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except OSError:  # not taken up, at its end, still held; or a file system without locks, on which nobody can tell
        return False


def _forget(under_way: dict[Any, tuple[Task, Path]]) -> None:
    for _, words in under_way.values():
        words.unlink(missing_ok=True)
    under_way.clear()


def _stalled(moved: float, time_limit: float | None) -> bool:
    """Nothing came back for longer than any task may take: one was lost on its way to a worker that was killed."""
    return time_limit is not None and time.monotonic() - moved > time_limit + _GRACE_S


def _result(future: Any, time_limit: float | None, words: Path) -> Result | Crash:
    try:
        result: Result = future.result()
        return result
    except ProcessExpired as error:
        _pass_on(words)
        if error.exitcode == _TOO_MUCH:
            return Crash("OutOfMemory", "its worker needed more than --worker-memory allows")
        return Crash("WorkerDied", f"the worker process ended with {_ending(error.exitcode)}")
    except MemoryError:
        return _OUT_OF_MEMORY
    except TimeoutError:
        _pass_on(words)
        return Crash("TimedOut", f"no result within {time_limit:g} s" if time_limit else "no result in time")


def _ending(code: int | None) -> str:
    """How a process ended, by its exit code: less than 0 for a signal, of which not all have a name."""
    named = {-each.value: each.name for each in signal.Signals}
    return f"signal {named.get(code, -code)}" if code is not None and code < 0 else f"exit code {code}"


def _overheard(words: Path, function: StageFunction, task: Task, config: Any, resources: Resources) -> Result:
    """In a worker: run one task with stderr in a file. It is passed on at the end; of a dead worker the parent reads it.

    The file is locked as long as this worker lives and is at the task.
    """
    kept = os.dup(2)
    with words.open("wb") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        os.dup2(file.fileno(), 2)
        try:
            return function(task, config, resources)
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            with words.open("rb") as said, os.fdopen(kept, "wb") as stderr:
                shutil.copyfileobj(said, stderr)
            words.unlink()


def _pass_on(words: Path) -> None:
    """Say the end of what a dead worker wrote to its stderr, on ours: bounded, without escapes. It is a library's text and
    may quote a path, so it goes into no outcome."""
    try:
        with words.open("rb") as file:
            file.seek(max(0, words.stat().st_size - _LAST_BYTES))
            text = _ESCAPES.sub("", file.read().decode("utf-8", "replace"))
    except FileNotFoundError:  # it died before it took the task up
        return
    words.unlink(missing_ok=True)
    lines = [line for line in map(sanitised, text.splitlines()) if line]
    if lines:
        print(f"a worker's last words: {' | '.join(lines[-_LAST_LINES:])}", file=sys.stderr)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Threads and processes that start here never see Ctrl-C, not even while they still import; we do, at the end."""
    resource_tracker.ensure_running()  # the first worker would start it, and that lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def usable_cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker(parent: int, memory: int | None, modules: Sequence[str]) -> None:
    """In a new worker: leave Ctrl-C to the parent, and never outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_watch, args=(parent, memory), daemon=True).start()
    for module in modules:
        import_module(module)
    if not modules or "pyarrow" in sys.modules:  # who names modules without it does without it
        without_pandas()


def _watch(parent: int, memory: int | None) -> None:
    """End this worker when its parent has gone, or when it holds more memory than it may."""
    while os.getppid() == parent:
        if memory is not None and _resident() > memory:
            os._exit(_TOO_MUCH)
        time.sleep(1.0 if memory is None else _MEMORY_LOOK_S)
    os._exit(1)


def _resident() -> int:
    """The memory that this process holds, in bytes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
