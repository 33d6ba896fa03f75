"""The device process: one a GPU, which computes networks for all worker processes. One thread; it ends with its last client.

`python -m mmidd.networks.process`, by whoever finds none (`meeting.start`).
"""

from __future__ import annotations

import faulthandler
import json
import math
import mmap
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from mmidd.errors import MmiddError, sanitised, told
from mmidd.networks import meeting, wire
from mmidd.networks.batches import Request
from mmidd.networks.lanes import Computer, computer
from mmidd.networks.meeting import Folder
from mmidd.networks.network import Device, Runtime
from mmidd.networks.wire import Garbage, Kind, Layout, Message, Shape
from mmidd.networks.work import Work

LINGERS_S, BROKEN_S = 2.0, 5.0
HANGS_S = 100.0
"""A step that takes longer will not end: the process does."""
BEAT_S = 20.0
"""How often whoever waits is told that it goes on."""
_AGAIN_S = 0.1


@dataclass(eq=False)
class Memory:
    """A client's memory, mapped here; `view` is the same for who computes."""

    map: mmap.mmap
    view: Any


@dataclass(eq=False)
class Client:
    channel: socket.socket
    welcome: bool = False
    hello: bool = False
    asks: bool = False
    """It came to ask for counters alone."""
    gone: bool = False
    models: dict[int, str] = field(default_factory=dict)
    memory: Memory | None = None
    request: Request | None = None

    @property
    def waits(self) -> bool:
        return self.request is not None or (self.hello and not self.welcome)


class Server:
    """Clients, their requests, and what computes them."""

    def __init__(self, listener: socket.socket, make: Callable[[], Computer]) -> None:
        """`make` loads what computes; meanwhile clients come and are counted."""
        self._listener, self._make = listener, make
        self._selector = selectors.DefaultSelector()
        self._clients: set[Client] = set()
        self._work: Work | None = None
        self._broken: Message | None = None
        self._hidden = False
        self._left = self._beaten = time.monotonic()
        self._cut_off, self._waited = 0, 0.0

    def serve(self, leave: Callable[[Callable[[], bool]], bool]) -> None:
        """Until the last client has gone and `leave` let us: it is given what says whether somebody came after all."""
        self._listener.setblocking(False)
        ready, tell = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(ready, selectors.EVENT_READ, partial(self._loaded, ready))
        threading.Thread(target=self._load, args=(tell,), daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()
        while not self._over(leave):
            self._hear()
            if self._work is not None and self._broken is None:
                self._work.go()
                if self._work.broken is not None:
                    self._break(self._work.broken)

    def counters(self) -> dict[str, Any]:
        """`clients`; `batches`, `pictures`, `padded` (places without one), `bytes` in and out, `faults`, `cut` (clients that
        said nonsense); seconds `computing`, and `waiting` for requests while clients are there; `prepared`, `captured`,
        `refused`: how often, by reason."""
        clients = sum(not client.asks for client in self._clients)
        own = self._work.counters() if self._work is not None else {}
        return {"process": os.getpid(), "clients": clients, "cut": self._cut_off, "waiting": self._waited, **own}

    # -- its life

    def _load(self, tell: socket.socket) -> None:
        try:
            self._made: Computer | Message = self._make()
        except MmiddError as error:
            self._made = Message.saying(Kind.REFUSED, str(error))
        except BaseException as error:
            traceback.print_exc()
            self._made = Message.saying(
                Kind.LOST, f"the device process cannot compute: {told(error)}: {sanitised(str(error))}"
            )
        tell.send(b".")

    def _loaded(self, ready: socket.socket) -> None:
        self._selector.unregister(ready)
        if isinstance(self._made, Message):
            self._break(self._made)
        else:
            self._work = Work(self._made, self._complete)
        for client in [*self._clients]:
            self._welcome(client)

    def _welcome(self, client: Client) -> None:
        if self._broken is not None:
            self._say(client, self._broken)
        elif self._work is not None and client.hello and not client.welcome:
            client.welcome = True
            self._say(client, Message(Kind.WELCOME, count=os.getpid()))

    def _break(self, message: Message) -> None:
        """Nobody gets anything any more but this message."""
        print(message.text, file=sys.stderr)
        self._broken = message
        self._left = time.monotonic()
        for client in [*self._clients]:
            self._say(client, message)

    def _over(self, leave: Callable[[Callable[[], bool]], bool]) -> bool:
        since = time.monotonic() - self._left
        if self._broken is not None:
            self._hidden = self._hidden or leave(lambda: False)  # a new process may be there from now on
            return self._hidden and (since > BROKEN_S or not self._came())
        return not self._clients and since >= LINGERS_S and leave(self._came)

    def _came(self) -> bool:
        self._accept()
        return bool(self._clients)

    def _watch(self) -> None:
        """End the process where one step does not end: whoever waits is told, and the next command gets a new process."""
        step, since = -1, time.monotonic()
        while True:
            time.sleep(min(1.0, HANGS_S / 4))
            work = self._work
            if work is None or step != work.step or not work.busy:
                step, since = work.step if work is not None else -1, time.monotonic()
            elif time.monotonic() - since > HANGS_S:
                faulthandler.dump_traceback()
                print(f"the device gave no answer for {HANGS_S:g} s", file=sys.stderr, flush=True)
                os._exit(1)

    # -- clients

    def _hear(self) -> None:
        """Take in what clients say; wait for it where there is nothing to compute."""
        rests, started = self._work is None or self._broken is not None or self._work.rests, time.monotonic()
        for key, _ in self._selector.select(self._patience(started) if rests else 0):
            key.data()
        now = time.monotonic()
        if now - self._beaten > BEAT_S:
            self._beaten = now
            for client in [each for each in self._clients if each.waits]:
                self._say(client, Message(Kind.WAIT))
        if rests and self._clients:
            self._waited += now - started
        frees = self._work.frees() if rests and self._work is not None and self._broken is None else None
        if frees is not None and now > frees and self._work is not None:
            self._work.free()

    def _patience(self, now: float) -> float | None:
        """How long nothing has to be done unless somebody says something."""
        if self._broken is not None:
            return _AGAIN_S
        until = [self._left + LINGERS_S] if not self._clients else []
        frees = self._work.frees() if self._work is not None else None
        until += [frees] if frees is not None else []
        until += [self._beaten + BEAT_S] if any(client.waits for client in self._clients) else []
        return max(min(until) - now, _AGAIN_S) if until else None

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                channel, _ = self._listener.accept()
                channel.setblocking(False)
                client = Client(channel)
                self._clients.add(client)
                self._selector.register(channel, selectors.EVENT_READ, partial(self._heard, client))

    def _heard(self, client: Client) -> None:
        if client.gone:
            return
        file = None
        try:
            got = wire.receive(client.channel)
            if got is None:
                self._cut(client)
                return
            message, file = got
            reply = self._broken or self._answer(client, message, file)
        except BlockingIOError:
            return
        except (Garbage, OSError) as error:
            print(f"a client was cut off: {error}", file=sys.stderr)
            self._cut_off += 1
            self._cut(client)
            return
        finally:
            if file is not None:
                os.close(file)
        if reply is not None:
            self._say(client, reply)

    def _answer(self, client: Client, message: Message, file: int | None) -> Message | None:
        """The reply; None where it comes later. Raises Garbage."""
        if message.kind == Kind.COUNT:
            self._accept()  # whoever chose us before is to be counted
            client.asks = not client.hello
            return Message.saying(Kind.COUNTERS, json.dumps(self.counters()))
        if message.kind == Kind.HELLO and not client.hello:
            client.hello = True
            self._welcome(client)
            return None
        work = self._work
        if not client.welcome or client.request is not None or work is None:
            raise Garbage("it spoke out of turn")
        if message.kind == Kind.MODEL:
            return self._keep(work, client, message, file)
        if message.kind == Kind.MEMORY:
            return self._map(work, client, message, file)
        size = math.prod(message.shape)
        if (
            message.kind not in (Kind.SHAPES, Kind.RUN)
            or message.model not in client.models
            or not 0 < size <= wire.MOST_VALUES
        ):
            raise Garbage("no request")
        outputs = work.shapes(client.models[message.model], message.shape)
        if isinstance(outputs, Message):
            return outputs
        if message.kind == Kind.SHAPES:
            return Message(Kind.OUTPUTS, body=wire.packed(outputs))
        self._add(work, client, message, outputs)
        return None

    def _keep(self, work: Work, client: Client, message: Message, file: int | None) -> Message:
        digest, model = wire.read_model(file, message.size)
        refused = work.add_model(digest, model)
        if refused is None:
            client.models[message.model] = digest
        return refused or Message(Kind.KEPT)

    def _map(self, work: Work, client: Client, message: Message, file: int | None) -> Message:
        self._release(client)
        mapped = mmap.mmap(wire.check_memory_file(file, message.size), message.size)
        client.memory = Memory(mapped, work.attach(mapped))
        return Message(Kind.MAPPED)

    def _add(self, work: Work, client: Client, message: Message, outputs: tuple[Shape, ...]) -> None:
        digest = client.models[message.model]
        layout = Layout.of(message.count, message.shape, wire.item_of(work.models[digest]), outputs)
        if client.memory is None or layout.size > len(client.memory.map) or not message.count:
            raise Garbage("a request beyond its memory")
        client.request = Request(client, client.memory, digest, message.shape, message.count, layout, outputs)
        work.add(client.request)

    def _say(self, client: Client, message: Message) -> None:
        try:
            wire.send(client.channel, message)
        except OSError:  # it has gone, or does not listen
            self._cut(client)

    def _cut(self, client: Client) -> None:
        """It has gone. What is under way for it comes to its end first."""
        if client.gone:
            return
        client.gone = True
        self._clients.discard(client)
        if not client.asks:
            self._left = time.monotonic()
        self._selector.unregister(client.channel)
        client.channel.close()
        if self._work is not None:
            self._work.drop(client)
        if client.request is None or client.request.given == client.request.done:
            self._release(client)

    def _release(self, client: Client) -> None:
        """Unmap its memory, with nothing under way for it."""
        if client.memory is not None and self._work is not None:
            memory, client.memory, client.request = client.memory, None, None
            self._work.detach(memory.view)
            memory.view = None
            with suppress(BufferError):
                memory.map.close()

    def _complete(self, request: Request) -> None:
        """A request has come to its end; its client may be gone."""
        client = cast(Client, request.client)
        client.request = None
        if client.gone:
            self._release(client)
        else:
            self._say(client, request.fault or Message(Kind.DONE))


def main(words: list[str]) -> None:
    """Serve what the starter of this process opened; the starter goes on as soon as we live."""
    listener, folder, key, name, device, runtime = words
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for fd in (int(listener), int(folder)):
        os.set_inheritable(fd, False)
    place = Folder.inherited(int(folder))
    with socket.socket(fileno=int(listener)) as listening:
        server = Server(listening, partial(computer, cast(Device, device), cast(Runtime, runtime)))
        server.serve(partial(meeting.leave, place, key, name))
        sys.stderr.flush()
        os._exit(0)  # a library may still be loading in a thread, and nothing is left to be done


if __name__ == "__main__":
    main(sys.argv[1:])
