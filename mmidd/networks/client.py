"""A network that a device process computes: pictures go there through memory that both have mapped."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from mmidd.errors import MmiddError, WorkError, reason, sanitised
from mmidd.networks import meeting, wire
from mmidd.networks.meeting import Folder
from mmidd.networks.network import Device, Floats, Model, NetworkFault, Runtime
from mmidd.networks.wire import Garbage, Kind, Message, Shape

PATIENCE_S = 120.0
"""How long the process may say nothing. It says that it is at work, and ends itself where it is stuck (`process`)."""
WAITS_S = meeting.LOCK_S + PATIENCE_S
"""How long a client may wait where the process, or whoever starts it, hangs; then it says so."""
_ASK_S = 3.0
_TRIES = 3
_AT_ONCE = 32 << 20
"""Bytes of input that travel together, where that is more than a batch."""
_WHOLE = 2 << 20


class Ended(Exception):
    """The process is not there any more."""


class Channel:
    """What this process has to do with one device process: a connection, memory, the models that were sent.

    Networks of one runtime share it. One exchange at a time.
    """

    def __init__(
        self, device: Device, runtime: Runtime, *, entries: Sequence[str] | None = None, patience: float = PATIENCE_S
    ) -> None:
        """Finds the process with the fewest clients, or starts one. `entries`: the GPUs, as CUDA_VISIBLE_DEVICES names each.
        Raises WorkError, MmiddError."""
        if not hasattr(os, "memfd_create"):
            raise WorkError("device processes need Linux; use detector.runtime=onnxruntime and --device cpu")
        self._patience, self._models = patience, dict[str, int]()
        self._memory: mmap.mmap | None = None
        self._lock, self.users, self.broken = threading.Lock(), 0, False
        self._place = meeting.folder()
        entries = entries if entries is not None else meeting.entries_of(device)
        try:
            self._name, self._socket, self.process = self._met(entries, device, runtime)
        except OSError as error:
            self._place.close()
            raise WorkError(
                f"a device process cannot be reached in the folder {self._place.path} ({reason(error) or error.strerror}): "
                f"if that lasts, remove the folder; {meeting.GO_ON}"
            ) from error
        except BaseException:
            self._place.close()
            raise

    def _met(self, entries: Sequence[str], device: Device, runtime: Runtime) -> tuple[str, socket.socket, int]:
        """A process that is ready. One may die while we knock."""
        key = meeting.key_of(device, runtime)
        for _ in range(_TRIES):
            with self._place.locked(key):
                entry = _least(self._place, key, entries)
                name = meeting.name_of(key, entry)
                channel = meeting.connect(self._place, name, self._patience)
                if channel is None:
                    meeting.start(self._place, key, entry, device, runtime)
                    channel = meeting.connect(self._place, name, self._patience)
                if channel is not None:  # heard under the lock, so that the next to choose finds us counted
                    with suppress(OSError):
                        wire.send(channel, Message(Kind.HELLO))
            self._name = name
            if channel is None:  # it died at once
                continue
            self._socket, self.process = channel, 0
            try:
                return name, channel, self._said(Kind.WELCOME).count
            except Ended:
                channel.close()
            except BaseException:
                channel.close()
                raise
        raise WorkError(
            f"the device process cannot be started{meeting.last_words(self._place, self._name)}; {meeting.GO_ON}"
        )

    def network(self, model: Model) -> int:
        """The number by which the process knows the model from now on."""
        data = wire.encoded_model(model)
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            if digest not in self._models:
                number, file = len(self._models), _memory(len(data))
                try:
                    _write(file, data)
                    self._asked(Message(Kind.MODEL, number, size=len(data)), Kind.KEPT, file)
                finally:
                    os.close(file)
                self._models[digest] = number
            return self._models[digest]

    def shapes(self, number: int, shape: Shape) -> tuple[Shape, ...]:
        """The shapes of the outputs for one sample of this shape."""
        with self._lock:
            try:
                return wire.unpacked(self._asked(Message(Kind.SHAPES, number, shape=shape), Kind.OUTPUTS).body)
            except Garbage as error:
                raise self._off(f"the device process said what nobody asked ({error}); {meeting.GO_ON}") from error

    def run(self, number: int, data: npt.NDArray[Any], outputs: Sequence[Shape], found: Sequence[Floats]) -> None:
        """Have samples computed, into `found`."""
        shape = data.shape[1:]
        layout = wire.Layout.of(len(data), shape, data.itemsize, outputs)
        with self._lock:
            memory = self._room(layout.size)
            np.frombuffer(memory, data.dtype, data.size, layout.input).reshape(data.shape)[:] = data
            self._asked(Message(Kind.RUN, number, len(data), shape=shape), Kind.DONE)
            for start, into in zip(layout.outputs, found, strict=True):
                into[:] = np.frombuffer(memory, np.float32, into.size, start).reshape(into.shape)

    def close(self) -> None:
        self.broken = True
        self._socket.close()
        self._place.close()
        if self._memory is not None:
            with suppress(BufferError):  # an exception on its way still looks at it
                self._memory.close()
            self._memory = None

    def _room(self, size: int) -> mmap.mmap:
        """Memory of at least this size, known to the process."""
        if self._memory is None or len(self._memory) < size:
            whole = max(size, 0 if self._memory is None else len(self._memory) * 3 // 2) // _WHOLE * _WHOLE + _WHOLE
            file = _memory(whole)
            try:
                self._asked(Message(Kind.MEMORY, size=whole), Kind.MAPPED, file)
                self._memory = mmap.mmap(file, whole)
            finally:
                os.close(file)
        return self._memory

    def _asked(self, message: Message, wanted: Kind, file: int | None = None) -> Message:
        if self.broken:
            raise WorkError(f"the device process is not there any more; {meeting.GO_ON}")
        try:
            with suppress(OSError):  # its last word may be there to be read
                wire.send(self._socket, message, file)
            return self._said(wanted)
        except Ended as error:
            words = meeting.last_words(self._place, self._name)
            raise self._off(
                f"the device process, which computes networks for all workers, has ended{words}; {meeting.GO_ON}"
            ) from error
        except (NetworkFault, MmiddError):
            raise
        except BaseException:  # such as Ctrl-C: the answer, which is on its way, must not be taken for the next one's
            self._off("")
            raise

    def _said(self, wanted: Kind) -> Message:
        """The next message. Raises what it tells; Ended; WorkError where none comes in time, or nonsense."""
        try:
            while (got := wire.receive(self._socket)) is not None and got[0].kind == Kind.WAIT:
                pass
        except TimeoutError as error:
            raise self._off(
                f"the device process (process {self.process}) has not answered for {self._patience:g} s: is the machine "
                f"overloaded, or the device lost? End that process, and {meeting.GO_ON}"
            ) from error
        except ConnectionError as error:
            raise Ended from error
        except Garbage as error:
            raise self._off(f"the device process said what nobody asked ({error}); {meeting.GO_ON}") from error
        if got is None:
            raise Ended
        message, file = got
        if file is not None:
            os.close(file)
        if message.kind == Kind.FAULT:
            raise NetworkFault(message.text)
        if message.kind == Kind.REFUSED:
            raise MmiddError(message.text)
        if message.kind != wanted:
            raise self._off(
                message.text if message.kind == Kind.LOST else f"the device process answered {message.kind.name}"
            )
        return message

    def _off(self, text: str) -> WorkError:
        """This channel is of no use any more."""
        self.broken = True
        self._socket.close()
        return WorkError(text)


def _memory(size: int) -> int:
    """Memory to be shared, as `wire.new_memory` makes it. Raises WorkError: it is no fault of what is computed."""
    try:
        return wire.new_memory(size)
    except OSError as error:
        raise WorkError(
            f"{size} bytes of memory that is shared with the device process cannot be had "
            f"({reason(error) or error.strerror}): look at the limits of this session (`ulimit -a`), and {meeting.GO_ON}"
        ) from error


def _write(file: int, data: bytes) -> None:
    at = 0
    while at < len(data):
        at += os.pwrite(file, data[at:] if at else data, at)


def _least(place: Folder, key: str, entries: Sequence[str]) -> str:
    """The GPU whose process has the fewest clients; under the lock."""
    if len(entries) == 1:
        return entries[0]
    counted = [_clients(place, meeting.name_of(key, entry)) for entry in entries]
    return entries[counted.index(min(counted))]


def _clients(place: Folder, name: str) -> float:
    """How many clients a process has; 0 for one that does not run, and one that does not answer is the last to be taken."""
    try:
        told = _counters(place, name)
    except (OSError, Garbage, ValueError):
        return float("inf")
    return 0 if told is None else float(told["clients"])


def _counters(place: Folder, name: str) -> dict[str, Any] | None:
    channel = meeting.connect(place, name, _ASK_S)
    if channel is None:
        return None
    with channel:
        wire.send(channel, Message(Kind.COUNT))
        got = wire.receive(channel)
        if got is None:
            return None
        found: dict[str, Any] = json.loads(got[0].body)
        return found


def counters(device: Device, runtime: Runtime) -> dict[str, dict[str, Any]]:
    """What each process of this build has done so far, by the GPU's name in CUDA_VISIBLE_DEVICES ('' on the CPU); none is
    started. `process.Server.counters` says what is in it."""
    place, key = meeting.folder(), meeting.key_of(device, runtime)
    try:
        entries = meeting.entries_of(device)
        told = {entry: _counters(place, meeting.name_of(key, entry)) for entry in entries}
    except (OSError, Garbage, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else None
        raise WorkError(f"a device process does not answer ({why or sanitised(str(error))})") from error
    finally:
        place.close()
    return {entry: each for entry, each in told.items() if each is not None}


_channels: dict[tuple[Any, ...], Channel] = {}
_choosing = threading.Lock()


def _shared(device: Device, runtime: Runtime) -> Channel:
    """The one channel of this process: all its networks are computed on one GPU."""
    with _choosing:
        mine = os.getpid(), device, runtime
        channel = _channels.get(mine)
        if channel is None or channel.broken:
            channel = _channels[mine] = Channel(device, runtime)
        channel.users += 1
        return channel


class Served:
    """A network computed by a device process, which is started where there is none."""

    most = wire.FRAMES

    def __init__(
        self, model: Model, *, device: Device, runtime: Runtime, channel: Callable[[Device, Runtime], Channel] = _shared
    ) -> None:
        """Raises MmiddError where this model or device cannot be had, WorkError where the process does not come up."""
        self._channel, self._pixels = channel(device, runtime), model.pixels is not None
        self._open, self._outputs = True, dict[Shape, tuple[Shape, ...]]()
        try:
            self._number = self._channel.network(model)
        except BaseException:
            self.close()
            raise

    def __call__(self, data: npt.NDArray[np.uint8] | Floats) -> list[Floats]:
        """As `Network` promises."""
        shape = data.shape[1:]
        if data.dtype != (np.uint8 if self._pixels else np.float32) or not shape or 0 in shape:
            raise TypeError(f"not for this network: {data.dtype} {data.shape}")
        if shape not in self._outputs:
            self._outputs[shape] = self._channel.shapes(self._number, shape)
        outputs = self._outputs[shape]
        found = [np.empty((len(data), *output), np.float32) for output in outputs]
        step = max(wire.batch_of(shape), _AT_ONCE // max(data[:1].nbytes, 1))
        for start in range(0, len(data), step):
            some = slice(start, start + step)
            self._channel.run(self._number, data[some], outputs, [each[some] for each in found])
        return found

    def close(self) -> None:
        """Leave the process, with the last network of this runtime."""
        with _choosing:
            if self._open:
                self._open = False
                self._channel.users -= 1
                if self._channel.users <= 0:
                    self._channel.close()
