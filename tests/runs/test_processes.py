"""Real processes: killed at any moment, asked to stop, and two of them beside each other, by the command line."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Said

from mmidd.runs import checkpoint
from runs import toy

Run = Callable[..., Said]
BIN = Path(sys.executable).parent
STEPS = 14
LONG = 200


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.corpus(tmp_path_factory.mktemp("processes") / "corpus")


def _words(corpus: Path, out: Path, *more: str) -> list[str]:
    sets = ["batch=8", "micro=4", "augment=gend", f"steps={STEPS}", "save_every=3", "validate_every=0.5", "lr=0.01", *more]
    return ["train", "gend", str(corpus), "--out", str(out), "--preset", "tiny", "--workers", "0", "--device", "cpu",
            *(word for each in sets for word in ("--set", each))]  # fmt: skip


def _start(words: list[str], processes: int = 1) -> subprocess.Popen[str]:
    command = [str(BIN / "mmidd")]
    if processes > 1:
        command = [str(BIN / "torchrun"), f"--nproc-per-node={processes}", "--standalone", "-m", "mmidd"]
    return subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def _end(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=250)
    assert process.returncode == code, err[-3000:]
    return out, err


def _wait(process: subprocess.Popen[str], out: Path, step: int) -> None:
    """Until that step was logged."""
    metrics, until = out / "seed-0/metrics.jsonl", time.monotonic() + 200
    while time.monotonic() < until and process.poll() is None:
        if metrics.exists() and f'"step": {step},' in metrics.read_text():
            return
        time.sleep(0.005)
    assert process.poll() is not None or time.monotonic() < until, "it never came so far"


def _files(out: Path) -> dict[str, bytes]:
    """Checkpoints that are whole, and the best."""
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.glob("seed-0/*/**/*.safetensors")}
    found |= {path.relative_to(out).as_posix(): path.read_bytes() for path in out.glob("seed-0/best/*.safetensors")}
    assert any("best" in name for name in found) and any(f"step-{STEPS:08d}" in name for name in found)
    return found


@pytest.mark.timeout(900)
def test_killed_at_random_steps_it_ends_with_the_files_of_an_uninterrupted_run(
    corpus: Path, tmp_path: Path, mmidd: Run
) -> None:
    assert mmidd(*_words(corpus, tmp_path / "whole")).code == 0
    chance = random.Random(os.getpid())
    for step in sorted(chance.sample(range(1, STEPS), 3)):
        process = _start(_words(corpus, tmp_path / "cut"))
        _wait(process, tmp_path / "cut", step)
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.communicate()
    _, err = _end(_start(_words(corpus, tmp_path / "cut")))
    assert _files(tmp_path / "cut") == _files(tmp_path / "whole"), err


@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGTERM, True)])
def test_asked_to_stop_it_does_after_the_step_with_a_checkpoint(
    corpus: Path, tmp_path: Path, number: signal.Signals, group: bool
) -> None:
    """A group with its workers, as `timeout` and Slurm ask it."""
    words = _words(corpus, tmp_path / "run", f"steps={LONG}", "save_every=1000", "validate_every=100")
    process = _start([*words, "--workers", "2"] if group else words)
    _wait(process, tmp_path / "run", 2)
    os.killpg(process.pid, number) if group else process.send_signal(number)
    _, err = _end(process, 130)
    assert "run the same command to go on" in err
    found = checkpoint.latest(tmp_path / "run/seed-0/checkpoints", print)
    assert found is not None and 2 <= found.step < LONG
    lines = (tmp_path / "run/seed-0/metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == found.step


@pytest.mark.timeout(900)
def test_two_processes_are_as_one_with_the_same_batch_and_go_on_after_a_kill(
    corpus: Path, tmp_path: Path, mmidd: Run
) -> None:
    whole = ("contrast=whole", "optimiser=sgd")
    assert mmidd(*_words(corpus, tmp_path / "one", *whole)).code == 0
    out, err = _end(_start(_words(corpus, tmp_path / "two", *whole), 2))
    assert out.count("seed 0:") == 1, err
    process = _start(_words(corpus, tmp_path / "cut", *whole), 2)
    _wait(process, tmp_path / "cut", 6)
    ranks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for each in (process.pid, *map(int, ranks)):
        os.kill(each, signal.SIGKILL)
    process.communicate()
    _end(_start(_words(corpus, tmp_path / "cut", *whole), 2))
    one, two, cut = (checkpoint.latest(tmp_path / name / "seed-0/checkpoints", print) for name in ("one", "two", "cut"))
    assert one is not None and two is not None and cut is not None and one.step == two.step == cut.step == STEPS
    for name, weight in one.network.items():
        torch.testing.assert_close(two.network[name], weight, rtol=1e-3, atol=1e-5)
        assert torch.equal(cut.network[name], two.network[name])


@pytest.mark.timeout(600)
def test_rows_that_one_process_cannot_read_leave_the_step_of_the_others_rows(tmp_path: Path, mmidd: Run) -> None:
    corpus = toy.broken(tmp_path / "corpus")
    asked = ("contrast=whole", "optimiser=sgd", "lr=0.1", "batch=36", "micro=null", "steps=4", "augment=none")
    assert mmidd(*_words(corpus, tmp_path / "one", *asked)).code == 0
    _end(_start(_words(corpus, tmp_path / "two", *asked), 2))
    one, two = (json.loads((tmp_path / name / "seed-0/result.json").read_text()) for name in ("one", "two"))
    assert one["rows skipped"] == two["rows skipped"] == 4
    found = [checkpoint.latest(tmp_path / name / "seed-0/checkpoints", print) for name in ("one", "two")]
    assert found[0] is not None and found[1] is not None
    assert found[0].state["skipped"] == found[1].state["skipped"] == 4
    for name, weight in found[0].network.items():
        torch.testing.assert_close(found[1].network[name], weight, rtol=1e-5, atol=1e-6)


def _both(script: str) -> None:
    """Run a script in two processes, `at` each."""
    begin = "import sys; sys.path.insert(0, 'tests')\nfrom mmidd.runs.processes import here\nat = here('cpu')\n"
    command = [str(BIN / "torchrun"), "--nproc-per-node=2", "--standalone", "--no-python", sys.executable, "-c"]
    done = subprocess.run(
        [*command, begin + script], capture_output=True, text=True, timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_processes_begin_with_what_the_first_one_has() -> None:
    _both("""
import torch
held = [torch.full((2, 3), float(at.rank)).T, torch.tensor(at.rank), torch.ones(4) * at.rank]
at.same(held)
assert all(float(each.abs().sum()) == 0 for each in held), held
""")


def test_what_is_no_number_names_the_rows_of_whoever_has_them() -> None:
    _both("""
from mmidd.errors import RunError
from mmidd.runs import optim
from mmidd.runs.settings import Settings
from mmidd.runs.step import Step
from runs import toy
network = toy.Toy(toy.ToyOptions(nan=1 if at.rank else None)).train()
settings, parameters = Settings(batch=8, micro=2, precision="float32"), optim.trained(network)
batch = toy.batch(4)
batch["id"] = [f"row {4 * at.rank + place}" for place in range(4)]
try:
    Step(network, optim.optimiser(settings, parameters), parameters, settings, 0, at).take(batch, 0, 1e-3)
except RunError as error:
    assert "rows row 6, row 7. Try" in str(error), error
else:
    raise AssertionError
""")
