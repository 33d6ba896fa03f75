"""The device process: real processes, real networks, real kills."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmidd.errors import MmiddError, WorkError
from mmidd.faces import mtcnn_nets, weights
from mmidd.networks import client as client_module
from mmidd.networks import meeting, wire
from mmidd.networks.client import Channel, Served, counters
from mmidd.networks.network import Floats, Model, NetworkFault, Pixels, Runtime
from mmidd.networks.onnx_runtime import OnnxNetwork
from mmidd.networks.wire import Kind, Message

ROOT = Path(__file__).parents[2]
RUNTIMES: tuple[Runtime, ...] = (
    "onnxruntime",
    *(("torch",) if find_spec("torch") and find_spec("mmidd.networks.torch_run") else ()),
)


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Processes of a test meet in a folder of its own; at its end none may be left."""
    folder = tmp_path / "meeting"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    for channel in client_module._channels.values():
        if not channel.broken:
            channel.close()
    client_module._channels.clear()


def place_in(base: Path) -> Path:
    """The folder in which processes are met, which is not there yet."""
    made = meeting.folder()
    made.close()
    made.path.rmdir()
    assert made.path.parent == base
    return made.path


def left(base: Path) -> list[str]:
    return sorted(path.name for path in base.glob("mmidd-networks-*/*"))


def until(said: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := said()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def ends(process: int) -> bool:
    """Has it ended? One that nobody waits for any more has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def graph(nodes: list[Any], constants: dict[str, Any], output: str = "y") -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    whole = helper.make_graph(nodes, "g", [given], [made], held)
    return bytes(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


def picking() -> Model:
    """(n,1) numbers -> (n,1): the entry of that number in a table of eight; it breaks on any other number."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "i"], ["y"], axis=0),
    ]
    return Model("picking", graph(nodes, {"table": np.arange(8, dtype=np.float32) * 10}), ("y",))


def greedy(values: int) -> Model:
    """(n,1) -> (n, values), wants as much memory as one likes, in `x` of 3 pixels width alone nothing."""
    from onnx import helper

    nodes = [helper.make_node("Expand", ["x", "shape"], ["big"]), helper.make_node("Identity", ["big"], ["y"])]
    return Model("greedy", graph(nodes, {"shape": np.array([1, values], np.int64)}), ("y",))


def endless() -> Model:
    """Never comes to an end."""
    from onnx import TensorProto, helper

    value, floats = helper.make_tensor_value_info, TensorProto.FLOAT
    inner = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Sin", ["a"], ["b"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("a", floats, None)],
        [value("on", TensorProto.BOOL, []), value("b", floats, None)],
    )
    node = helper.make_node("Loop", ["most", "go0", "x"], ["y"], body=inner)
    return Model("endless", graph([node], {"most": np.array(1 << 60), "go0": np.array(True)}), ("y",))


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    """MTCNN's: P-Net on pictures of any size, R-Net and O-Net on crops."""
    makers = (mtcnn_nets.proposals, mtcnn_nets.refinement, mtcnn_nets.output)
    p, r, o = (make(weights.read_packaged(each)) for make, each in zip(makers, weights.MTCNN, strict=True))
    return {"pnet": replace(p, name="pnet", pixels=Pixels(True, 127.5, 128.0)), "rnet": r, "onet": o}


def asked(names: list[str], seed: int) -> list[tuple[str, Any]]:
    """Inputs for MTCNN's networks, of mixed shapes and uneven numbers."""
    rng = np.random.default_rng(seed)
    sizes = [(40, 60), (60, 40), (81, 101)]
    found: list[tuple[str, Any]] = []
    for name in names:
        n = int(rng.integers(1, 20))
        if name == "pnet":
            found.append((name, rng.integers(0, 256, (n, *sizes[rng.integers(3)], 3), np.uint8)))
        else:
            side = 24 if name == "rnet" else 48
            found.append((name, rng.standard_normal((n * 5, 3, side, side)).astype(np.float32)))
    return found


class Here:
    """The same networks in this process, by batches of the same size."""

    def __init__(self, models: dict[str, Model], runtime: Runtime) -> None:
        self._models, self._runtime, self._made = models, runtime, dict[str, Any]()

    def __call__(self, name: str, data: Any) -> list[Floats]:
        size = wire.batch_of(data.shape[1:])
        parts = []
        for at in range(0, len(data), size):
            some = data[at : at + size]
            padded = np.concatenate([some, np.zeros((size - len(some), *data.shape[1:]), data.dtype)])
            parts.append([each[: len(some)] for each in self._run(name, padded)])
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _run(self, name: str, batch: Any) -> list[Floats]:
        if name not in self._made:
            self._made[name] = (self._on_torch if self._runtime == "torch" else OnnxNetwork)(self._models[name])
        found: list[Floats] = self._made[name](batch)
        return found

    def _on_torch(self, model: Model) -> Callable[[Any], list[Floats]]:
        import torch

        from mmidd.networks.torch_run import TorchNetwork

        network = TorchNetwork(model, "cpu")
        return lambda batch: [each.numpy() for each in network(torch.from_numpy(batch))]


def apart(**options: Any) -> Callable[..., Channel]:
    """A channel of its own for each network, as if each were in another process."""

    def made(device: Any, runtime: Any) -> Channel:
        channel = Channel(device, runtime, **options)
        channel.users += 1
        return channel

    return made


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_answers_are_those_of_a_network_here_to_the_bit_whoever_else_asks(
    models: dict[str, Model], runtime: Runtime
) -> None:
    """Six clients, each in a thread with a channel of its own, in an order of its own."""
    here = Here(models, runtime)

    def work(seed: int) -> list[tuple[str, Any, list[Floats]]]:
        rng = np.random.default_rng(seed)
        names = [str(name) for name in rng.permutation(["pnet", "pnet", "rnet", "onet"])]
        nets = {name: Served(models[name], device="cpu", runtime=runtime, channel=apart()) for name in sorted(set(names))}
        done = [(name, data, nets[name](data)) for name, data in asked(names, seed)]
        for net in nets.values():
            net.close()
        return done

    alone = work(0)
    with ThreadPoolExecutor(6) as pool:
        together = [each for done in pool.map(work, range(6)) for each in done]
    assert len(alone) == 4 and len(together) == 24
    for name, data, found in [*alone, *together]:
        wanted = here(name, data)
        assert [each.shape for each in found] == [each.shape for each in wanted]
        assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.skipif("torch" not in RUNTIMES, reason="torch is not here")
def test_torch_refuses_what_it_is_not_taught_and_tells_a_wrong_shape(models: dict[str, Model]) -> None:
    net = Served(models["rnet"], device="cpu", runtime="torch")
    with pytest.raises(MmiddError, match="Loop"):
        Served(endless(), device="cpu", runtime="torch")
    with pytest.raises(NetworkFault):
        net(np.zeros((2, 3, 30, 30), np.float32))
    assert len(net(np.zeros((2, 3, 24, 24), np.float32))) == 2
    net.close()


def test_a_network_of_this_process_shares_one_channel_and_none_is_asked_for_nothing(models: dict[str, Model]) -> None:
    one, two = (Served(models[name], device="cpu", runtime="onnxruntime") for name in ("rnet", "onet"))
    nothing = one(np.zeros((0, 3, 24, 24), np.float32))
    assert [each.shape for each in nothing] == [(0, 2), (0, 4)]
    assert counters("cpu", "onnxruntime")[""]["clients"] == 1
    one.close()
    assert len(two(np.zeros((1, 3, 48, 48), np.float32))) == 3
    with pytest.raises(TypeError):
        two(np.zeros((1, 48, 48, 3), np.uint8))
    told = counters("cpu", "onnxruntime")[""]
    assert (told["batches"], told["pictures"], told["padded"], told["cut"]) == (1, 1, 63, 0)
    two.close()


WORKER = """
import signal, sys, time
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with Ctrl-C ignored
from mmidd.faces import mtcnn_nets, weights
from mmidd.networks.client import Served
model = mtcnn_nets.output(weights.read_packaged(weights.MTCNN[2]))
net = Served(model, device="cpu", runtime="onnxruntime")
print(net._channel.process, flush=True)
data = np.broadcast_to(np.float32(0.5), (int(sys.argv[1]), 3, 48, 48))
net(data[:1])
print("asks", flush=True)
net(data)
print("done", flush=True)
"""


def worker(number: int, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(number)], stdout=subprocess.PIPE, text=True, **options)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


ONE = "from mmidd.networks.client import Channel; print(Channel('cpu', 'onnxruntime').process, flush=True); input()"


def test_of_many_that_start_at_once_all_share_one_process(base: Path) -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([sys.executable, "-c", ONE], **pipes) for _ in range(8)]
    assert len({line(each) for each in workers}) == 1
    for each in workers:
        each.communicate("\n", timeout=60)
    until(lambda: not left(base))


def test_a_client_that_is_killed_in_mid_request_costs_nobody_anything(base: Path, models: dict[str, Model]) -> None:
    net = Served(models["rnet"], device="cpu", runtime="onnxruntime")
    killed = worker(200_000)
    process = int(line(killed))
    assert line(killed) == "asks"
    data = asked(["rnet"], 3)[0][1]
    first = net(data)
    until(lambda: counters("cpu", "onnxruntime")[""]["pictures"] > 100 + len(data))
    killed.kill()
    killed.communicate()
    assert all(np.array_equal(one, other) for one, other in zip(first, net(data), strict=True))
    told = until(lambda: [each for each in counters("cpu", "onnxruntime").values() if each["clients"] == 1])[0]
    assert told["process"] == process and told["pictures"] < 100_000
    net.close()
    until(lambda: not left(base) and ends(process))


def test_a_killed_process_is_told_and_the_next_client_gets_a_new_one(models: dict[str, Model]) -> None:
    net = Served(models["rnet"], device="cpu", runtime="onnxruntime")
    data = np.zeros((1, 3, 24, 24), np.float32)
    _, first = net(data), net._channel.process
    os.kill(first, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(WorkError, match="run the same command"):
            net(data)
    with pytest.raises(WorkError):
        net(np.zeros((1, 3, 25, 25), np.float32))
    again = Served(models["rnet"], device="cpu", runtime="onnxruntime")
    assert len(again(data)) == 2 and again._channel.process != first
    again.close()


def test_a_process_without_clients_ends_and_leaves_nothing(base: Path, models: dict[str, Model]) -> None:
    for _ in range(2):  # one that comes while it lingers keeps it
        net = Served(models["rnet"], device="cpu", runtime="onnxruntime")
        process = net._channel.process
        net.close()
        time.sleep(1)
    assert not ends(process) and len(left(base)) == 3
    started = time.monotonic()
    until(lambda: ends(process))
    assert left(base) == [] and time.monotonic() - started < 4


def test_what_killed_processes_of_other_builds_left_is_taken_away(base: Path, models: dict[str, Model]) -> None:
    place = meeting.folder()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(place.at("0123.4567.sock"))
    (place.path / "0123.4567.log").write_text("killed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as lives:
        lives.bind(place.at("89ab.4567.sock"))
        lives.listen()
        Served(models["rnet"], device="cpu", runtime="onnxruntime").close()
        assert "89ab.4567.sock" in left(base) and not [name for name in left(base) if name.startswith("0123")]
    place.close()


def test_several_gpus_have_a_process_each_and_the_same_number_of_clients(models: dict[str, Model]) -> None:
    """Two, which are no GPUs: their processes compute on the CPU."""
    with ThreadPoolExecutor(6) as pool:
        chosen = pool.map(lambda _: Channel("cpu", "onnxruntime", entries=("7", "GPU-9")), range(6))
    channels = [*chosen]
    processes = [channel.process for channel in channels]
    assert sorted(map(processes.count, set(processes))) == [3, 3]
    environments = {
        re.findall(r"CUDA_VISIBLE_DEVICES=([^\0]*)", Path(f"/proc/{process}/environ").read_text())[0]
        for process in processes
    }
    assert environments == {"7", "GPU-9"}
    emptier = processes[0]
    for channel in channels:
        if channel.process == emptier:
            channel.close()
    time.sleep(0.2)
    late = [Channel("cpu", "onnxruntime", entries=("7", "GPU-9")) for _ in range(3)]
    assert {channel.process for channel in late} == {emptier}
    for channel in {*channels, *late}:
        if not channel.broken:
            channel.close()


@pytest.mark.parametrize(
    ("named", "found"),
    [("0,2", ["0", "2"]), ("GPU-1 , MIG-2", ["GPU-1", "MIG-2"]), ("1,-1,2", ["1"]), ("", None), ("-1", None)],
)
def test_gpus_are_those_that_cuda_would_see(named: str, found: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    if found is not None:
        assert meeting.entries_of("cuda") == found
        return
    with pytest.raises(MmiddError, match="--device cpu"):
        Served(picking(), device="cuda", runtime="onnxruntime")


def test_a_library_without_cuda_is_told_to_every_client_and_nothing_is_left(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is one")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with ThreadPoolExecutor(4) as pool:
        told = [*pool.map(lambda _: _error(lambda: Served(picking(), device="cuda", runtime="onnxruntime")), range(4))]
    assert all(type(error) is MmiddError and "onnxruntime-gpu" in str(error) for error in told)
    until(lambda: not left(base))


def _error(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("what", ["others may write", "a link", "a file"])
def test_a_folder_that_is_not_ours_alone_is_refused(what: str, base: Path, tmp_path: Path) -> None:
    path = place_in(base)
    if what == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "a file":
        path.touch()
    else:
        path.mkdir()
        path.chmod(0o770)
    with pytest.raises(WorkError, match="TMPDIR"):
        Served(picking(), device="cpu", runtime="onnxruntime")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(base: Path) -> None:
    path = place_in(base)
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)
    with pytest.raises(WorkError, match="TMPDIR"):
        Served(picking(), device="cpu", runtime="onnxruntime")


def test_a_long_way_to_temporary_files_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    deep = tmp_path / ("d" * 120) / "e f"
    deep.mkdir(parents=True)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    net = Served(picking(), device="cpu", runtime="onnxruntime")
    assert net(np.ones((1, 1), np.float32))[0].tolist() == [[10.0]] and len(left(deep)) == 3
    net.close()


def test_an_input_on_which_the_network_breaks_is_told_to_its_client_alone(models: dict[str, Model]) -> None:
    other = Served(models["rnet"], device="cpu", runtime="onnxruntime", channel=apart())
    nets = [Served(picking(), device="cpu", runtime="onnxruntime", channel=apart()) for _ in range(4)]
    good, bad = np.arange(70, dtype=np.float32)[:, None] % 8, np.full((200, 1), 99, np.float32)

    def ask(place: int) -> list[Any]:
        return [_error(lambda: nets[place](bad)) if place == 0 else nets[place](good)[0] for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(ask, range(4))
    assert all(isinstance(error, NetworkFault) and "picking" in str(error) for error in first)
    assert all(np.array_equal(found, good * 10) for found in chain(*others))
    assert np.array_equal(nets[0](good)[0], good * 10)
    with pytest.raises(NetworkFault):  # a shape that it does not take
        other(np.zeros((2, 3, 30, 30), np.float32))
    assert len(other(np.zeros((2, 3, 24, 24), np.float32))) == 2
    for net in [*nets, other]:
        net.close()


@pytest.mark.parametrize(
    "model", [Model("broken", b"no network", ("y",)), Model("odd", picking().onnx, ("not there",))], ids=["bytes", "output"]
)
def test_a_model_that_does_not_load_is_refused_and_others_go_on(model: Model) -> None:
    other = Served(picking(), device="cpu", runtime="onnxruntime")
    with pytest.raises((MmiddError, NetworkFault), match=model.name) as told:
        Served(model, device="cpu", runtime="onnxruntime")(np.ones((1, 1), np.float32))
    assert not isinstance(told.value, WorkError)
    assert other(np.ones((1, 1), np.float32))[0].tolist() == [[10.0]]
    other.close()


def test_too_little_memory_is_the_machines_and_nobodys_fault() -> None:
    other = Served(picking(), device="cpu", runtime="onnxruntime", channel=apart())
    net = Served(greedy(1 << 44), device="cpu", runtime="onnxruntime", channel=apart())
    with pytest.raises(WorkError, match=r"not enough memory.*--device cpu"):
        net(np.ones((1, 1), np.float32))
    assert other(np.ones((1, 1), np.float32))[0].tolist() == [[10.0]]
    net.close()
    other.close()


def test_a_process_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel("cpu", "onnxruntime", patience=1.0)
    number = channel.network(picking())
    os.kill(channel.process, signal.SIGSTOP)
    with pytest.raises(WorkError, match=f"process {channel.process}.*not answered"):
        channel.shapes(number, (1,))
    os.kill(channel.process, signal.SIGKILL)
    channel.close()


def changed(monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    """Processes that start have other limits."""
    run = subprocess.run
    code = "import sys; from mmidd.networks import process, work; "
    code += "; ".join(f"{name.replace('__', '.')} = {limit}" for name, limit in limits.items())

    def started(words: list[str], **options: Any) -> Any:
        return run([words[0], "-P", "-c", f"{code}; process.main(sys.argv[1:])", *words[4:]], **options)

    monkeypatch.setattr(subprocess, "run", started)


def test_a_process_with_a_step_that_never_ends_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, process__HANGS_S=0.5)
    net = Served(endless(), device="cpu", runtime="onnxruntime")
    with pytest.raises(WorkError, match="no answer for"):
        net(np.ones((1, 1), np.float32))
    net.close()


def test_one_that_has_much_to_do_says_so_to_whoever_waits(models: dict[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, process__BEAT_S=0.05)
    channel, shape, kinds = Channel("cpu", "onnxruntime"), (3, 48, 48), list[Kind]()
    number = channel.network(models["onet"])
    outputs = channel.shapes(number, shape)
    _ = channel._room(wire.Layout.of(2000, shape, 4, outputs).size)
    wire.send(channel._socket, Message(Kind.RUN, number, 2000, shape=shape))
    while Kind.DONE not in kinds:
        got = wire.receive(channel._socket)
        assert got is not None
        kinds.append(got[0].kind)
    assert {*kinds} == {Kind.WAIT, Kind.DONE}
    found = [np.empty((2000, *each), np.float32) for each in outputs]
    channel.run(number, np.zeros((2000, *shape), np.float32), outputs, found)  # nor is it taken for the answer
    assert np.isclose(found[0].sum(axis=1), 1).all()
    channel.close()


def test_an_idle_process_holds_nothing_that_it_can_make_again(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, work__IDLE_S=0.2)
    net = Served(models["rnet"], device="cpu", runtime="onnxruntime")
    data = asked(["rnet"], 1)[0][1]
    first = net(data)
    until(lambda: counters("cpu", "onnxruntime")[""]["prepared"] == 0)
    assert all(np.array_equal(one, other) for one, other in zip(first, net(data), strict=True))
    net.close()


def message(**fields: Any) -> bytes:
    return Message(**{"kind": Kind.RUN, "count": 1, "shape": (1,), **fields}).encoded()


NONSENSE: list[tuple[str, bytes, int | None]] = [
    ("noise", os.urandom(100), None),
    ("short", b"mmd1", None),
    ("long", message() + b"x" * 70_000, None),
    ("another magic", b"mmd0" + message()[4:], None),
    ("an unknown kind", b"mmd1" + b"\xff" + message()[5:], None),
    ("too many dimensions", message()[:5] + b"\x09" + message()[6:], None),
    ("an empty dimension", message(shape=(0,)), None),
    ("hello again", message(kind=Kind.HELLO), None),
    ("a reply", message(kind=Kind.DONE), None),
    ("no such model", message(model=9), None),
    ("nothing to do", message(count=0), None),
    ("beyond its memory", message(count=4_000_000_000), None),
    ("far beyond it", message(count=4_000_000_000, shape=(4_000_000_000,) * 8), None),
    ("memory without a file", message(kind=Kind.MEMORY, size=4096), None),
    ("memory of a wrong size", message(kind=Kind.MEMORY, size=8192), 4096),
    ("memory that can shrink", message(kind=Kind.MEMORY, size=4096), -1),
    ("a model without a file", message(kind=Kind.MODEL, size=4096), None),
    ("a model of zeros", message(kind=Kind.MODEL, size=4096), 4096),
    ("a huge model", message(kind=Kind.MODEL, size=1 << 60), 4096),
]


def test_a_client_that_talks_nonsense_is_cut_off_and_others_go_on() -> None:
    net = Served(picking(), device="cpu", runtime="onnxruntime")
    for number, (name, data, memory) in enumerate(NONSENSE, 1):
        channel = Channel("cpu", "onnxruntime")
        channel.network(picking())
        channel._room(4096)
        files = [] if memory is None else [wire.new_memory(memory) if memory > 0 else os.memfd_create("x")]
        for file in files[: memory == -1]:
            os.ftruncate(file, 4096)
        with channel._socket:
            socket.send_fds(channel._socket, [data], files)
            assert _closed(channel._socket), name
        for file in files:
            os.close(file)
        assert net(np.ones((3, 1), np.float32))[0].tolist() == [[10.0]] * 3, name
        assert counters("cpu", "onnxruntime")[""]["cut"] == number, name
    process = Path(f"/proc/{net._channel.process}")
    assert until(lambda: len([*(process / "fd").iterdir()]) < 20)
    assert until(lambda: (process / "maps").read_text().count("memfd:mmidd") <= 1)
    net.close()


def _closed(channel: socket.socket) -> bool:
    channel.settimeout(20)
    try:
        return channel.recv(1 << 17) == b""
    except ConnectionResetError:
        return True


def test_nothing_is_imported_from_the_current_folder(
    models: dict[str, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("torch", "pickle", "numpy", "onnxruntime", "json", "mmap"):
        (evil / f"{name}.py").write_text("import os; os.mkdir(os.path.join(os.path.dirname(__file__), 'ran'))\n")
    monkeypatch.chdir(evil)
    monkeypatch.setenv("PYTHONPATH", f":{ROOT}:")
    net = Served(models["rnet"], device="cpu", runtime=RUNTIMES[-1])
    assert len(net(np.zeros((1, 3, 24, 24), np.float32))) == 2
    assert not (evil / "ran").exists()
    assert Path(f"/proc/{net._channel.process}/cwd").readlink() == Path("/")
    net.close()


def test_ctrl_c_at_the_terminal_does_not_reach_it(models: dict[str, Model]) -> None:
    started = worker(200_000, start_new_session=True)
    process = int(line(started))
    assert line(started) == "asks"
    net = Served(models["rnet"], device="cpu", runtime="onnxruntime")
    os.killpg(started.pid, signal.SIGINT)
    started.communicate(timeout=30)
    assert os.getsid(process) != started.pid and net._channel.process == process
    assert len(net(np.zeros((1, 3, 24, 24), np.float32))) == 2
    net.close()


def test_a_process_that_cannot_start_is_told_with_its_last_words(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run

    def broken(words: list[str], **options: Any) -> Any:
        return run([words[0], "-P", "-c", "raise SystemExit('no such thing')"], **options)

    monkeypatch.setattr(subprocess, "run", broken)
    with pytest.raises(WorkError, match=r"cannot be started.*no such thing"):
        Served(picking(), device="cpu", runtime="onnxruntime")


def test_one_that_dies_before_it_is_ready_is_tried_again_and_then_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run, tries = subprocess.run, []

    def dying(words: list[str], **options: Any) -> Any:
        tries.append(words)
        return run([words[0], "-P", "-c", "import sys; sys.stderr.write('killed by the system')"], **options)

    monkeypatch.setattr(subprocess, "run", dying)
    with pytest.raises(WorkError, match=r"cannot be started.*killed by the system"):
        Served(picking(), device="cpu", runtime="onnxruntime")
    assert len(tries) == 3


def test_what_lies_in_the_folder_under_another_name_is_no_obstacle(base: Path) -> None:
    path = place_in(base)
    path.mkdir(mode=0o700)
    (path / "other.lock").mkdir()
    (path / "third.lock").touch()
    (path / "third.one.log").mkdir()
    net = Served(picking(), device="cpu", runtime="onnxruntime")
    assert net(np.ones((1, 1), np.float32))[0].tolist() == [[10.0]]
    net.close()


def test_what_lies_there_under_its_own_name_is_told_with_the_place(base: Path) -> None:
    path = place_in(base)
    path.mkdir(mode=0o700)
    (path / f"{meeting.key_of('cpu', 'onnxruntime')}.lock").mkdir()
    with pytest.raises(WorkError, match=f"in the folder {path}.*remove the folder"):
        Served(picking(), device="cpu", runtime="onnxruntime")


def test_a_limit_on_shared_memory_is_told_with_its_size() -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(WorkError, match=r"bytes of memory that is shared.*ulimit"):
            client_module._memory(100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
