"""What a device process and its clients say to each other: small messages over a Unix socket, and pictures in memory that
both have mapped. Nothing that is read here can run code, and every number is checked by whoever reads it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from mmidd.networks.network import Model, Pixels

Shape = tuple[int, ...]

FRAMES, CROPS = 16, 64
"""How many pictures a network is always given at once, whoever asked for how many: what is said of a picture then depends on
nothing but the picture. Small ones, of at most 64 x 64 pixels, go by more."""
MOST_VALUES = 1 << 30
"""Of one sample."""
_SMALL = 3 * 64 * 64
_ALIGNED = 64
_MOST_DIMENSIONS, _MOST_BODY, _MOST_FILES = 8, 60_000, 1
_MOST_MODEL = 1 << 31
_HEAD = struct.Struct(f"<4sBBHIIQ{_MOST_DIMENSIONS}I")
_MAGIC = b"mmd1"
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Garbage(Exception):
    """What was read is not what this side of the wire may be told."""


class Kind(IntEnum):
    """What a message is about. Those of a client, with their replies; FAULT, REFUSED and LOST may answer any of them."""

    HELLO, WELCOME = 1, 2  # may I ask, once you are ready?
    MODEL, KEPT = 3, 4  # this is `model`, its `size` bytes in the file that comes along
    MEMORY, MAPPED = 5, 6  # my `size` bytes of memory, the file that comes along
    SHAPES, OUTPUTS = 7, 8  # what are the shapes of the outputs for one sample of `shape`?
    RUN, DONE = 9, 10  # compute `model` for `count` samples of `shape`, which lie in my memory
    COUNT, COUNTERS = 11, 12  # what have you done so far?
    FAULT = 20  # the network broke on what it was given
    REFUSED = 21  # this model, or this device, cannot be had
    LOST = 22  # the device is lost or full
    WAIT = 23  # I am at work: the reply comes later


@dataclass(frozen=True)
class Message:
    """`shape`: of one sample; `body`: words, or what `packed` or JSON made."""

    kind: Kind
    model: int = 0
    count: int = 0
    size: int = 0
    shape: Shape = ()
    body: bytes = b""

    @classmethod
    def saying(cls, kind: Kind, text: str) -> Message:
        return cls(kind, body=text.encode("utf-8", "replace")[:_MOST_BODY])

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def encoded(self) -> bytes:
        dims = [*self.shape, *[0] * (_MOST_DIMENSIONS - len(self.shape))]
        return _HEAD.pack(_MAGIC, self.kind, len(self.shape), 0, self.model, self.count, self.size, *dims) + self.body

    @classmethod
    def decoded(cls, data: bytes) -> Message:
        """Raises Garbage."""
        if not _HEAD.size <= len(data) <= _HEAD.size + _MOST_BODY:
            raise Garbage("a message of a wrong length")
        magic, kind, dimensions, zero, model, count, size, *dims = _HEAD.unpack_from(data)
        if magic != _MAGIC or zero or dimensions > _MOST_DIMENSIONS or any(dims[dimensions:]):
            raise Garbage("no message")
        try:
            return cls(Kind(kind), model, count, size, tuple(dims[:dimensions]), data[_HEAD.size :])
        except ValueError as error:
            raise Garbage("an unknown message") from error


def send(channel: socket.socket, message: Message, file: int | None = None) -> None:
    """Raises OSError."""
    socket.send_fds(channel, [message.encoded()], [] if file is None else [file])


def receive(channel: socket.socket) -> tuple[Message, int | None] | None:
    """A message with the file that came along, which the caller closes; None at the end. Raises Garbage, OSError."""
    data, files, flags, _ = socket.recv_fds(channel, _HEAD.size + _MOST_BODY + 1, _MOST_FILES, socket.MSG_CMSG_CLOEXEC)
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(files) > _MOST_FILES:
            raise Garbage("a message that is too long")
        if not data and not files:
            return None
        return Message.decoded(data), (files.pop() if files else None)
    finally:
        for file in files:
            os.close(file)


def packed(shapes: Sequence[Shape]) -> bytes:
    """Shapes as the body of a message."""
    return b"".join(struct.pack(f"<B{len(shape)}I", len(shape), *shape) for shape in shapes)


def unpacked(body: bytes) -> tuple[Shape, ...]:
    """Raises Garbage."""
    shapes, at = [], 0
    while at < len(body):
        form = struct.Struct(f"<{body[at]}I")
        if body[at] > _MOST_DIMENSIONS or len(body) < at + 1 + form.size:
            raise Garbage("no shapes")
        shapes.append(form.unpack_from(body, at + 1))
        at += 1 + form.size
    return tuple(shapes)


def batch_of(shape: Shape) -> int:
    """How many samples of this shape are always computed at once."""
    return CROPS if math.prod(shape) <= _SMALL else FRAMES


@dataclass(frozen=True)
class Layout:
    """Where input and outputs of one request lie in a client's memory: starts in bytes, each of a whole block."""

    input: int
    outputs: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, count: int, shape: Shape, item: int, outputs: Sequence[Shape]) -> Layout:
        """For `count` samples of `shape`, `item` bytes a value (1: pictures, 4: floats), the outputs float32."""
        starts, at = [], 0
        for each, width in [(shape, item), *((output, 4) for output in outputs)]:
            starts.append(at)
            at += -(-count * math.prod(each) * width // _ALIGNED) * _ALIGNED
        return cls(starts[0], tuple(starts[1:]), at)


def item_of(model: Model) -> int:
    """Bytes of a value of the model's input as it is sent."""
    return 4 if model.pixels is None else 1


def new_memory(size: int) -> int:
    """An anonymous file of this size, which never changes; the caller closes it. It takes no room in /dev/shm."""
    file = os.memfd_create("mmidd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(file, size)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(file)
        raise
    return file


def check_memory_file(file: int | None, size: int) -> int:
    """The file, if it is anonymous memory of that size that nobody can make smaller under us. Raises Garbage."""
    with suppress(OSError):
        if (
            file is not None
            and fcntl.fcntl(file, fcntl.F_GET_SEALS) & _SEALS == _SEALS
            and os.fstat(file).st_size == size > 0
        ):
            return file
    raise Garbage("no memory of that size came along")


def encoded_model(model: Model) -> bytes:
    """A model as bytes; equal models give equal bytes."""
    pixels = None if model.pixels is None else [model.pixels.bgr, model.pixels.mean, model.pixels.spread]
    head = json.dumps([model.name, list(model.outputs), pixels]).encode()
    return struct.pack("<I", len(head)) + head + model.onnx


def read_model(file: int | None, size: int) -> tuple[str, Model]:
    """A model and its digest, from the file that came along. Raises Garbage."""
    if size > _MOST_MODEL:
        raise Garbage("a model that is too large")
    data, opened = bytearray(), check_memory_file(file, size)
    while len(data) < size and (part := os.pread(opened, size - len(data), len(data))):
        data += part
    return hashlib.sha256(data).hexdigest(), _decoded_model(bytes(data))


def _decoded_model(data: bytes) -> Model:
    try:
        (length,) = struct.unpack_from("<I", data)
        name, outputs, pixels = json.loads(data[4 : 4 + length])
        return Model(_word(name), data[4 + length :], tuple(_word(each) for each in outputs), _pixels(pixels))
    except (ValueError, TypeError, struct.error, RecursionError) as error:
        raise Garbage("no model") from error


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _pixels(value: Any) -> Pixels | None:
    if value is None:
        return None
    bgr, mean, spread = value
    return Pixels(bool(bgr), float(mean), float(spread))
