"""What a device process has under way: batches on lanes, and what becomes of one that fails."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from mmidd.errors import MmiddError
from mmidd.networks.batches import Batch, Queue, Request
from mmidd.networks.lanes import Computer, Lost, classified
from mmidd.networks.network import Model
from mmidd.networks.wire import Kind, Message, Shape

IDLE_S = 5.0

_FULL = (
    "the device has not enough memory for the networks: use a smaller detector.size, end what else runs there, or use "
    "--device cpu; then run the same command to go on"
)
_GONE = "the device broke down ({}); run the same command to go on"


class Work:
    """Models, requests that wait for them, and the batches under way. `complete` is told of every request that has come to
    its end: its `fault` says whether it is answered.

    `broken`: what everybody is to be told, once the device is lost; nothing may be asked any more.
    """

    def __init__(self, computer: Computer, complete: Callable[[Request], None]) -> None:
        self._computer, self._complete = computer, complete
        self.models: dict[str, Model] = {}
        self.broken: Message | None = None
        self.step, self.busy = 0, False
        self._outputs: dict[tuple[str, Shape], tuple[Shape, ...]] = {}
        self._queue = Queue()
        self._free = [*range(computer.lanes)]
        self._under_way: deque[tuple[int, Batch]] = deque()
        self._ended = self._since = time.monotonic()
        self._held = False
        self._seconds = 0.0
        self._counts: Counter[str] = Counter()

    @property
    def rests(self) -> bool:
        return not self._queue and not self._under_way

    def counters(self) -> dict[str, Any]:
        return {**self._counts, "computing": self._seconds, **self._computer.counters()}

    def frees(self) -> float | None:
        """When (by the monotonic clock) memory is given back if nothing is asked before; None with nothing to give."""
        return self._ended + IDLE_S if self._held else None

    def free(self) -> None:
        """What is held to be faster is given back, as far as the device lets go of it."""
        self._held = False
        try:
            self._computer.free()
        except Exception as error:
            meant = classified(error)
            if isinstance(meant, Lost) and self.broken is None:
                self.broken = Message.saying(Kind.LOST, _GONE.format(meant))

    def attach(self, memory: Any) -> Any:
        return self._computer.attach(memory)

    def detach(self, view: Any) -> None:
        self._computer.detach(view)

    def add_model(self, digest: str, model: Model) -> Message | None:
        """None, or why it cannot be had."""
        if digest not in self.models:
            try:
                self._guarded(lambda: self._computer.add(digest, model))
            except MmiddError as error:
                return Message.saying(Kind.REFUSED, str(error))
            except Exception as error:
                reply = self._refusal(model, error)
                return reply if reply.kind == Kind.LOST else Message.saying(Kind.REFUSED, f"{reply.text} (as it was loaded)")
            self.models[digest] = model
        return None

    def shapes(self, digest: str, shape: Shape) -> tuple[Shape, ...] | Message:
        """Those of the outputs for one sample, or what is wrong."""
        try:
            if (digest, shape) not in self._outputs:
                self._outputs[digest, shape] = self._guarded(lambda: self._computer.shapes(digest, shape))
        except Exception as error:
            return self._refusal(self.models[digest], error)
        return self._outputs[digest, shape]

    def add(self, request: Request) -> None:
        self._counts["bytes"] += request.layout.size
        self._queue.add(request)

    def drop(self, client: Any) -> None:
        """Compute nothing more for a client."""
        self._queue.drop(lambda request: request.client is client)

    def go(self) -> None:
        """Have batches computed as long as there are lanes for them, and bring the oldest to its end."""
        self.step += 1
        self.busy = True
        while self.broken is None and self._free and (batch := self._queue.next(idle=not self._under_way)) is not None:
            self._begin(batch)
        if self.broken is None and self._under_way:
            self._finish()
        self.busy = False

    def _begin(self, batch: Batch) -> None:
        if not self._under_way:
            self._since = time.monotonic()
        self.step += 1
        lane = self._free.pop()
        self._held = True
        self._counts.update(batches=1, pictures=batch.filled, padded=batch.size - batch.filled)
        try:
            self._computer.begin(lane, batch)
        except Exception as error:
            self._free.append(lane)
            self._failed(batch, error)
        else:
            self._under_way.append((lane, batch))

    def _finish(self) -> None:
        lane, batch = self._under_way.popleft()
        try:
            self._computer.wait(lane)
        except Exception as error:
            self._free.append(lane)
            self._failed(batch, error)
        else:
            self._free.append(lane)
            self._done(batch)
        self._ended = time.monotonic()
        self._seconds += self._ended - self._since
        self._since = self._ended

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """What `work` gives; where there is too little memory, again with all that can be freed."""
        self.step, self.busy = self.step + 1, True
        try:
            return work()
        except MmiddError:
            raise
        except Exception as error:
            if not isinstance(classified(error), MemoryError):
                raise
        while self._under_way:
            self._finish()
        self.free()
        return work()

    def _alone(self, batch: Batch) -> None:
        self.step += 1
        self._computer.begin(self._free[-1], batch)
        self._computer.wait(self._free[-1])

    def _refusal(self, model: Model, error: Exception) -> Message:
        """The reply where a network does not work, by what the error means."""
        meant = classified(error)
        if isinstance(meant, Lost):
            self.broken = Message.saying(Kind.LOST, _GONE.format(meant))
        if isinstance(meant, MemoryError | Lost):
            return self.broken or Message.saying(Kind.LOST, _FULL)
        if isinstance(meant, MmiddError):
            return Message.saying(Kind.REFUSED, str(meant))
        self._counts["faults"] += 1
        return Message.saying(Kind.FAULT, f"{model.name}: {meant}")

    def _failed(self, batch: Batch, error: Exception, *, again: bool = True) -> None:
        """A batch that was not computed: tried once more, alone or each client's apart, before anybody is told."""
        meant = classified(error)
        if self.broken is not None:
            return
        if isinstance(meant, Lost):
            self.broken = Message.saying(Kind.LOST, _GONE.format(meant))
            return
        if isinstance(meant, MemoryError) and again:
            while self._under_way:
                self._finish()
            self.free()
        apart = batch.apart()
        if again and (len(apart) > 1 or isinstance(meant, MemoryError)):
            for each in [batch] if isinstance(meant, MemoryError) else apart:
                try:
                    self._alone(each)
                except Exception as second:
                    self._failed(each, second, again=False)
                else:
                    self._done(each)
            return
        reply = self._refusal(self.models[batch.model], error)
        for each in apart:
            self._give_up(each.pieces[0].request, reply, sum(piece.count for piece in each.pieces))

    def _give_up(self, request: Request, reply: Message, count: int) -> None:
        request.fault = reply
        request.done += count
        self._queue.drop(lambda each: each is request)
        self._settle(request)

    def _done(self, batch: Batch) -> None:
        for piece in batch.pieces:
            piece.request.done += piece.count
            self._settle(piece.request)

    def _settle(self, request: Request) -> None:
        """Tell of it, once nothing is under way for it and nothing of it waits to be."""
        if request.done == request.given and (not request.left or request.fault is not None or request.client.gone):
            self._complete(request)
