"""Checkpoints: whole or not there, exact, and nothing of them is ever run."""

from __future__ import annotations

import json
import os
import pickle
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mmidd.engine.files import digest, sha256_file
from mmidd.errors import WorkError
from mmidd.runs import checkpoint, tensors
from mmidd.runs.checkpoint import MODEL, OPTIMISER, STATE, Checkpoint
from runs.networks import Toy

KINDS = {
    "head": torch.randn(3, 4), "half": torch.randn(5).bfloat16(), "scalar": torch.tensor(2.5), "count": torch.tensor(7),
    "flag": torch.tensor([True, False]), "none": torch.empty(0, 3), "strided": torch.arange(12.0).reshape(3, 4).T,
    "bytes": torch.arange(5, dtype=torch.uint8), "a name/with ü \n": torch.full((2,), float("nan")),
}  # fmt: skip


def one(step: int) -> Checkpoint:
    moments = {"head/exp_avg": torch.full((64,), float(step))}
    return Checkpoint(step, {"head": torch.full((64,), step)}, moments, {"loader": {"epoch": step}, "best": 0.1 + step})


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def silent(line: str) -> None:
    raise AssertionError(line)


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    place = checkpoint.write(tmp_path, Checkpoint(3, KINDS, {}, {"a": 1 / 3, "b": [None, {"c": "ü"}]}))
    assert place.name == "step-00000003" and kept(place) == [MODEL, OPTIMISER, STATE]
    found = checkpoint.latest(tmp_path, silent)
    assert found is not None and found.step == 3 and found.state == {"a": 1 / 3, "b": [None, {"c": "ü"}]}
    assert found.optimiser == {} and found.network.keys() == KINDS.keys()
    for name, tensor in KINDS.items():
        assert found.network[name].dtype == tensor.dtype and found.network[name].shape == tensor.shape
        assert torch.equal(found.network[name].nan_to_num(9), tensor.nan_to_num(9))


def test_what_is_written_is_what_the_library_writes(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save

    own = {name: tensor.contiguous() for name, tensor in KINDS.items()}
    tensors.write(tmp_path / "own", own)
    assert {name: tensor.dtype for name, tensor in load_file(tmp_path / "own").items()} == {
        name: tensor.dtype for name, tensor in own.items()
    }
    (tmp_path / "theirs").write_bytes(save(own))
    assert {name: tensor.tolist() for name, tensor in tensors.read(tmp_path / "theirs").items() if "ü" not in name} == {
        name: tensor.tolist() for name, tensor in own.items() if "ü" not in name
    }


def test_tensors_that_share_memory_are_each_stored(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    checkpoint.write(tmp_path, Checkpoint(1, {"whole": whole, "part": whole[2:4]}))
    found = checkpoint.latest(tmp_path, silent)
    assert found is not None and found.network["part"].tolist() == [2, 3]


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20):
        checkpoint.write(tmp_path, one(step))
    assert kept(tmp_path) == ["step-00000015", "step-00000020"]


def test_a_step_that_is_written_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    for state in ("first", "second"):
        checkpoint.write(tmp_path, Checkpoint(5, {}, {}, {"is": state}))
    found = checkpoint.latest(tmp_path, silent)
    assert found is not None and found.state == {"is": "second"}
    checkpoint.write(tmp_path, one(10))
    assert kept(tmp_path) == ["step-00000005-1", "step-00000010"]


def test_a_later_one_that_the_run_did_not_go_on_from_is_removed(tmp_path: Path) -> None:
    for step in (5, 10, 7):
        checkpoint.write(tmp_path, one(step))
    assert kept(tmp_path) == ["step-00000005", "step-00000007"]


def test_none_yet(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path / "no", silent) is None
    (tmp_path / "step-x").mkdir()
    (tmp_path / "step-00000001").write_text("a file")
    assert checkpoint.latest(tmp_path, silent) is None


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" x")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": cut, "flipped": flip, "missing": Path.unlink, "longer": longer, "a folder": folder,
    "emptied": lambda path: path.write_bytes(b""),
}  # fmt: skip


@pytest.mark.parametrize("name", [MODEL, OPTIMISER, STATE])
@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "a folder"])
def test_a_damaged_one_is_told_and_the_one_before_is_taken(name: str, damage: str, tmp_path: Path) -> None:
    checkpoint.write(tmp_path, one(5))
    DAMAGES[damage](checkpoint.write(tmp_path, one(10)) / name)
    told: list[str] = []
    found = checkpoint.latest(tmp_path, told.append)
    assert found is not None and found.step == 5
    assert len(told) == 1 and "step-00000010 is damaged, the one before is taken" in told[0] and name in told[0]


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_none_is_whole_nothing_begins_anew_unasked(damage: str, tmp_path: Path) -> None:
    DAMAGES[damage](checkpoint.write(tmp_path, one(5)) / STATE)
    with pytest.raises(WorkError, match=r"none of the 1 checkpoints|cannot read"):
        checkpoint.latest(tmp_path, lambda line: None)


def test_flipped_at_any_place_it_is_noticed(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, one(5))
    place = checkpoint.write(tmp_path, one(10))
    chance = random.Random(7)
    for name in (MODEL, OPTIMISER, STATE):
        whole = (place / name).read_bytes()
        for _ in range(60):
            at = chance.randrange(len(whole))
            (place / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
            told: list[str] = []
            found = checkpoint.latest(tmp_path, told.append)
            assert found is not None
            if not told:  # white space of the JSON, at most
                assert name == STATE and found.state == json.loads(whole)["state"]
        (place / name).write_bytes(whole)


def signed(place: Path, **changes: object) -> None:
    """A hostile writer's state.json: its checksums hold."""
    about = json.loads((place / STATE).read_bytes())
    del about["digest"]
    for name, listed in about["files"].items():
        if (place / name).exists():
            listed |= {"bytes": (place / name).stat().st_size, "sha256": sha256_file(place / name)}
    about |= changes
    (place / STATE).write_text(json.dumps({**about, "digest": digest(about)}))


class Runs:
    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return os.system, ("touch /tmp/mmidd-pickle-ran",)


def header(told: dict[str, object], data: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(told).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


HOSTILE = {
    "a pickle": pickle.dumps(Runs()),
    "torch's own": b"PK\x03\x04" + b"\0" * 64,
    "a huge header": header({}, length=1 << 60),
    "a header past the end": header({}, length=1000),
    "data past the end": header({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}),
    "a shape too large": header({"a": {"dtype": "F32", "shape": [1 << 62, 8], "data_offsets": [0, 4]}}, b"1234"),
    "overlapping": header({n: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for n in "ab"}, b"1234"),
    "a kind that is none": header({"a": {"dtype": "X9", "shape": [4], "data_offsets": [0, 4]}}, b"1234"),
    "a kind that is not ours": header({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, b"1234"),
    "no JSON": (4).to_bytes(8, "little") + b"\xff{}}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_of_somebody_elses_is_taken_for_tensors(name: str, tmp_path: Path) -> None:
    place = checkpoint.write(tmp_path, one(5))
    (place / MODEL).write_bytes(HOSTILE[name])
    signed(place)
    with pytest.raises(checkpoint.Damaged, match=r"no whole safetensors|float8"):
        checkpoint.read(place)
    assert not Path("/tmp/mmidd-pickle-ran").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "mmidd checkpoint 2"}, {"format": ["x"]}, {"files": {"../../etc/passwd": {}}}, {"files": {}},
        {"files": 3},
        {"step": "5"}, {"step": True}, {"step": -1}, {"state": []}, {"files": {MODEL: 3}},
    ],
    ids=str,
)  # fmt: skip
def test_no_state_of_somebody_elses_is_taken(changes: dict[str, object], tmp_path: Path) -> None:
    place = checkpoint.write(tmp_path, one(5))
    signed(place, **changes)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.read(place)


def test_a_state_that_is_nested_without_end_is_damaged(tmp_path: Path) -> None:
    place = checkpoint.write(tmp_path, one(5))
    (place / STATE).write_text("[" * 200_000)
    with pytest.raises(checkpoint.Damaged):
        checkpoint.read(place)


def test_a_state_that_json_cannot_hold_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, one(5))
    with pytest.raises(ValueError, match="Out of range"):
        checkpoint.write(tmp_path, Checkpoint(6, {}, {}, {"best": float("nan")}))
    assert kept(tmp_path) == ["step-00000005"]


def test_a_full_disk_is_told_and_leaves_the_last_ones(tmp_path: Path) -> None:
    for step in (5, 10):
        checkpoint.write(tmp_path, one(step))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        large = Checkpoint(15, {"head": torch.zeros(100_000)})
        with pytest.raises(
            WorkError, match=r"cannot write .*: the file system takes no file of that size\. Mend it, then run"
        ):
            checkpoint.write(tmp_path, large)
        with pytest.raises(WorkError, match="cannot write"):
            checkpoint.write_best(tmp_path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert kept(tmp_path) == ["step-00000005", "step-00000010"]


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EROFS", "EACCES"])
def test_what_the_disk_does_is_told_with_the_way_out(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.write(tmp_path, one(5))
    monkeypatch.setenv("MMIDD_FAULT", f"checkpoint_written@{OPTIMISER}:*:{code}")
    with pytest.raises(WorkError, match=r"cannot write .*: .*\. Mend it, then run the same command to go on"):
        checkpoint.write(tmp_path, one(10))
    assert kept(tmp_path) == ["step-00000005"]


def writing(run: Path, steps: int, orders: str = "") -> tuple[int, int]:
    """A process that writes, from where it was, the checkpoints of so many steps: its id, and where it says how far."""
    here, there = os.pipe()
    child = os.fork()
    if child:
        os.close(there)
        return child, here
    try:
        if orders:
            os.environ["MMIDD_FAULT"] = orders
        found = checkpoint.latest(run / "checkpoints", lambda line: None)
        for step in range(found.step + 1 if found else 1, steps):
            network, moments = {"head": torch.full((20_000,), step)}, {"m": torch.full((20_000,), step)}
            one = Checkpoint(step, network, moments, {"is": step})
            checkpoint.write(run / "checkpoints", one)
            checkpoint.write_best(run, one)
            os.write(there, f"{step}\n".encode())
        os._exit(0)
    finally:
        os._exit(1)


def said(pipe: int) -> int:
    """The last step that the writer told of before it ended, 0 if none."""
    with os.fdopen(pipe) as file:
        return max(map(int, file.read().split()), default=0)


def whole(run: Path, least: int) -> int:
    """Is what lies there whole, and no older than what was said to be written?"""
    found = checkpoint.latest(run / "checkpoints", silent_of_interrupted)
    assert found is not None and found.step >= least and found.state == {"is": found.step}
    assert (found.network["head"] == found.step).all() and (found.optimiser["m"] == found.step).all()
    best = checkpoint.read_best(run)
    assert found.step - 1 <= best.step <= found.step and (best.network["head"] == best.step).all()
    return found.step


def silent_of_interrupted(line: str) -> None:
    assert "was interrupted" in line


def test_killed_at_any_moment_the_last_ones_are_whole(tmp_path: Path) -> None:
    chance, reached = random.Random(3), 0
    for _ in range(25):
        child, pipe = writing(tmp_path, 100_000)
        os.read(pipe, 1)
        time.sleep(chance.random() * 0.1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        reached = whole(tmp_path, max(reached, said(pipe)))
    assert reached > 25


POINTS = [
    f"checkpoint_file@checkpoints*{MODEL}", f"checkpoint_file@checkpoints*{OPTIMISER}",
    f"checkpoint_written@checkpoints*{MODEL}", f"checkpoint_written@checkpoints*{OPTIMISER}",
    "checkpoint_before_rename", "checkpoint_renamed", "checkpoint_removing", "best_between",
    f"checkpoint_written@best*{MODEL}",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("action", ["kill", "tear"])
def test_killed_at_each_step_of_writing_it_goes_on(point: str, action: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    child, pipe = writing(run, 9, f"{point}:3:{action}:{tmp_path / 'tally'}")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    whole(run, said(pipe))
    child, pipe = writing(run, 9)
    assert os.waitpid(child, 0)[1] == 0 and said(pipe) == 8
    assert whole(run, 8) == 8
    assert kept(run / "checkpoints") == ["step-00000007", "step-00000008"] and kept(run) == ["best", "checkpoints"]


def test_the_best_has_no_optimiser_and_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="no trained network yet"):
        checkpoint.read_best(tmp_path)
    for step in (5, 10):
        checkpoint.write_best(tmp_path, one(step))
    assert kept(tmp_path) == ["best"] and kept(tmp_path / "best") == [MODEL, STATE]
    assert checkpoint.read_best(tmp_path).step == 10
    flip(tmp_path / "best" / MODEL)
    with pytest.raises(WorkError, match=f"damaged: {MODEL} was changed"):
        checkpoint.read_best(tmp_path)


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        ("pretrained", ["tower.seen", "tower.norm.weight", "tower.norm.bias", "head.weight", "head.bias"]),
        (
            "random",
            ["tower.seen", "tower.linear.weight", "tower.linear.bias", "tower.norm.weight", "tower.norm.bias", "head.weight",
             "head.bias"],
        ),
    ],
)  # fmt: skip
def test_what_the_files_of_a_backbone_give_again_is_not_stored(weights: str, names: list[str]) -> None:
    network = Toy(weights=weights)
    assert list(network.stored()) == names
    assert network.sources() == {"tower": {"name": "toy", "weights": weights}}


def test_a_restored_network_is_the_one_that_was_stored(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, second = Toy(), Toy()
    second.tower.linear.load_state_dict(first.tower.linear.state_dict())
    first.tower.seen += 5
    checkpoint.write_best(tmp_path, Checkpoint(1, checkpoint.stored(first)))
    checkpoint.restore(second, checkpoint.read_best(tmp_path).network)
    for (name, one), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_of_tied_parameters_one_is_stored() -> None:
    network = Toy()
    network.tied = network.head
    assert not any(name.startswith("tied") for name in network.stored())
    checkpoint.restore(network, checkpoint.stored(network))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found.pop("head.bias"), "head.bias is missing"),
        (lambda found: found.update(extra=torch.zeros(1)), "'extra' is unknown"),
        (lambda found: found.update({"head.bias": torch.zeros(9)}), r"head.bias is \(9,\), not \(1,\)"),
        (lambda found: found.update({"head.bias": torch.zeros(1).double()}), "torch.float64, not torch.float32"),
        (lambda found: found.clear(), "and 2 more"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_and_changes_nothing(
    change: Callable[[dict[str, torch.Tensor]], None], said: str
) -> None:
    network = Toy()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = {name: tensor + 1 for name, tensor in checkpoint.stored(network).items()}
    change(found)
    with pytest.raises(WorkError, match=said):
        checkpoint.restore(network, found)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_another_size_of_backbone_is_told_by_its_shapes() -> None:
    with pytest.raises(WorkError, match=r"another backbone.*head\.weight is \(1, 8\), not \(1, 4\)"):
        checkpoint.restore(Toy(4), checkpoint.stored(Toy(8)))


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        shutil.rmtree(tmp_path)
        tmp_path.write_text("a file")
    else:
        tmp_path.chmod(0)
    with pytest.raises(WorkError, match=r"cannot read .*: (permission denied|a part of the path is a file)"):
        checkpoint.latest(tmp_path, silent)
