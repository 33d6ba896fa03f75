"""How requests become batches, and what becomes of batches, on a device that computes while we go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import numpy as np
import pytest

from mmidd.errors import MmiddError
from mmidd.faces import mtcnn_nets, weights
from mmidd.networks.batches import PATIENT, Batch, Queue, Request
from mmidd.networks.lanes import Lost, OnnxComputer, classified, computer
from mmidd.networks.network import NetworkFault
from mmidd.networks.onnx_runtime import OnnxNetwork
from mmidd.networks.process import Memory
from mmidd.networks.wire import Garbage, Kind, Layout, Message, Shape, packed, unpacked
from mmidd.networks.work import Work

CROP, FRAME = (3, 24, 24), (3, 100, 100)


@dataclass(eq=False)
class Client:
    name: str
    gone: bool = False


def request(client: str | Client, count: int, shape: Shape = CROP, model: str = "m") -> Request:
    return Request(client, None, model, shape, count, Layout.of(count, shape, 4, ()), ())


def pieces(batch: Batch | None) -> list[tuple[Any, int, int, int]]:
    assert batch is not None
    return [(piece.request.client, piece.first, piece.count, piece.at) for piece in batch.pieces]


def test_batches_are_filled_across_clients_in_order_of_arrival() -> None:
    queue = Queue()
    for each in (request("a", 40), request("b", 3, FRAME), request("c", 100), request("d", 3)):
        queue.add(each)
    assert pieces(queue.next(idle=True)) == [("a", 0, 40, 0), ("c", 0, 24, 40)]
    assert pieces(queue.next(idle=False)) == [("c", 24, 64, 0)]  # full, so it may overtake what is not
    assert queue.next(idle=False) is None
    assert pieces(queue.next(idle=True)) == [("b", 0, 3, 0)]
    assert pieces(queue.next(idle=True)) == [("c", 88, 12, 0), ("d", 0, 3, 12)]
    assert not queue and queue.next(idle=True) is None


def test_different_models_and_shapes_never_come_together() -> None:
    queue = Queue()
    for each in (request("a", 1), request("b", 1, FRAME), request("c", 1, model="n")):
        queue.add(each)
    assert [pieces(queue.next(idle=True)) for _ in range(3)] == [[(name, 0, 1, 0)] for name in "abc"]


def test_a_rare_shape_does_not_wait_for_ever() -> None:
    queue = Queue()
    queue.add(request("busy", 1000))
    queue.add(request("rare", 1, FRAME))
    taken = [pieces(queue.next(idle=False))[0][0] for _ in range(PATIENT + 1)]
    assert taken == ["busy"] * PATIENT + ["rare"]


def test_what_is_dropped_is_computed_no_more() -> None:
    queue = Queue()
    for each in (request("a", 100), request("b", 5)):
        queue.add(each)
    assert queue.next(idle=True) is not None
    queue.drop(lambda each: each.client == "a")
    assert pieces(queue.next(idle=True)) == [("b", 0, 5, 0)] and not queue


class Later(OnnxComputer):
    """Two lanes, on which everything is computed when it is waited for: at the latest possible moment."""

    lanes = 2

    def __init__(self, fails: Callable[[Batch], Exception | None]) -> None:
        super().__init__("cpu")
        self.under_way: dict[int, Batch] = {}
        self.fails, self.most, self.freed = fails, 0, 0
        self.free_fails: Exception | None = None

    def begin(self, lane: int, batch: Batch) -> None:
        assert lane not in self.under_way
        self.under_way[lane] = batch
        self.most = max(self.most, len(self.under_way))

    def wait(self, lane: int) -> None:
        batch = self.under_way.pop(lane)
        if (error := self.fails(batch)) is not None:
            raise error
        super().begin(lane, batch)

    def free(self) -> None:
        assert not self.under_way
        self.freed += 1
        super().free()
        if self.free_fails is not None:
            raise self.free_fails


class Place:
    """A `Work` with clients, as the server has them."""

    def __init__(self, fails: Callable[[Batch], Exception | None] = lambda batch: None) -> None:
        self.computer = Later(fails)
        self.told: dict[str, Message | None] = {}
        self.work = Work(self.computer, lambda request: self.told.update({request.client.name: request.fault}))
        self.model = mtcnn_nets.refinement(weights.read_packaged(weights.MTCNN[1]))
        assert self.work.add_model("m", self.model) is None
        self.outputs = self.work.shapes("m", CROP)
        self.asked: dict[str, tuple[Request, Any]] = {}

    def ask(self, name: str, count: int) -> Client:
        assert not isinstance(self.outputs, Message)
        data = np.random.default_rng(count).standard_normal((count, *CROP)).astype(np.float32)
        layout, client = Layout.of(count, CROP, 4, self.outputs), Client(name)
        memory = mmap(-1, layout.size)
        memory[: data.nbytes] = data.tobytes()
        made = Request(client, Memory(memory, self.work.attach(memory)), "m", CROP, count, layout, self.outputs)
        self.asked[name] = made, data
        self.work.add(made)
        return client

    def run(self) -> None:
        while not self.work.rests and self.work.broken is None:
            self.work.go()

    def right(self, name: str) -> bool:
        request, data = self.asked[name]
        here = [np.concatenate(each) for each in zip(*map(OnnxNetwork(self.model), np.split(data, len(data))), strict=True)]
        view, starts = request.memory.view, request.layout.outputs
        found = [
            view[at : at + each.nbytes].view(np.float32).reshape(each.shape) for at, each in zip(starts, here, strict=True)
        ]
        return all(np.allclose(one, other, atol=1e-5) for one, other in zip(found, here, strict=True))


def test_two_lanes_take_turns_and_everybody_gets_his_own() -> None:
    place = Place()
    names = {f"client {count}": count for count in (1, 7, 64, 130, 300, 3)}
    for name, count in names.items():
        place.ask(name, count)
    place.run()
    assert place.told == dict.fromkeys(names) and all(map(place.right, names))
    told = place.work.counters()
    assert place.computer.most == 2
    assert (told["batches"], told["pictures"], told["padded"]) == (8, 505, 7)


def test_a_failure_on_a_lane_is_its_clients_alone() -> None:
    def fails(batch: Batch) -> Exception | None:
        return NetworkFault("bad") if any(piece.request.client.name == "bad" for piece in batch.pieces) else None

    place = Place(fails)
    for name, count in (("before", 30), ("bad", 200), ("after", 50)):
        place.ask(name, count)
    place.run()
    assert place.told["bad"] is not None and place.told["bad"].kind == Kind.FAULT
    assert place.told["before"] is place.told["after"] is None and place.right("before") and place.right("after")


def test_a_client_that_goes_is_told_of_once_nothing_is_under_way_for_it() -> None:
    place = Place()
    gone = place.ask("gone", 1000)
    place.ask("stays", 10)
    place.work.go()  # one lane is still at work for it
    gone.gone = True
    place.work.drop(gone)
    assert "gone" not in place.told
    place.run()
    assert {*place.told} == {"gone", "stays"} and place.right("stays")
    assert place.work.counters()["pictures"] < 300


@pytest.mark.parametrize(("times", "kind"), [(1, None), (2, Kind.LOST)])
def test_too_little_memory_is_tried_once_more_alone(times: int, kind: Kind | None) -> None:
    errors = [RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")] * times
    place = Place(
        lambda batch: errors.pop() if errors and any(p.request.client.name == "big" for p in batch.pieces) else None
    )
    place.ask("big", 64)
    place.ask("other", 100)
    place.run()
    told = place.told["big"]
    assert (told.kind if told else None) == kind and place.computer.freed == 1
    assert place.told["other"] is None and place.right("other") and place.work.broken is None


def test_a_lost_device_is_the_end() -> None:
    place = Place(lambda batch: RuntimeError("CUDA error: an illegal memory access was encountered"))
    place.ask("one", 64)
    place.ask("two", 64)
    place.run()
    assert place.work.broken is not None and "illegal memory access" in place.work.broken.text and not place.told


@pytest.mark.parametrize("lost", [True, False])
def test_what_fails_as_memory_is_given_back_ends_only_a_lost_device(lost: bool) -> None:
    place = Place()
    place.computer.free_fails = RuntimeError("CUDA error: unspecified launch failure" if lost else "captures_underway")
    place.work.free()
    assert (place.work.broken is not None) == lost


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), MemoryError),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), MemoryError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), MemoryError),
        (RuntimeError("GET was unable to find an engine to execute this computation"), MemoryError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), MemoryError),
        (RuntimeError("CUDA error: unspecified launch failure"), Lost),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), Lost),
        (RuntimeError("CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED"), Lost),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), NetworkFault),
        (IndexError("indices element out of data bounds"), NetworkFault),
    ],
)
def test_errors_of_libraries_are_told_apart(error: Exception, kind: type[Exception]) -> None:
    assert type(classified(error)) is kind


@pytest.mark.parametrize(
    ("cuda", "says"), [("13.0", "torch, built for CUDA 13.0, finds no"), (None, "torch, built without CUDA, f")]
)
def test_a_torch_that_finds_no_gpu_is_told_with_its_cuda(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, says: str
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr("mmidd.networks.torch_run.exact", lambda: None)
    with pytest.raises(MmiddError, match=says):
        computer("cuda", "torch")


def test_shapes_and_messages_come_back_as_they_were_sent() -> None:
    shapes = ((), (4,), (1, 2, 3, 4, 5, 6, 7, 8))
    assert unpacked(packed(shapes)) == shapes
    sent = Message(Kind.RUN, 3, 17, 1 << 40, (720, 1280, 3), b"words")
    assert Message.decoded(sent.encoded()) == sent
    for bad in (b"\x02\x01\x00\x00\x00", b"\xff"):
        with pytest.raises(Garbage):
            unpacked(bad)


def test_nothing_of_a_request_overlaps() -> None:
    layout = Layout.of(3, (5, 7, 3), 1, [(2,), (), (4, 3)])
    assert (layout.input, layout.outputs, layout.size) == (0, (320, 384, 448), 640)
