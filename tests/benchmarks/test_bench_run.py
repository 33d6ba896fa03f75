"""The benchmarks: what they count on tiny clips, and that the page's figures are those of the results kept beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import mmidd
from benchmarks import inside
from mmidd.faces import weights

pytestmark = pytest.mark.timeout(900)  # a dozen whole processes

ROOT = Path(__file__).parents[2]
FRAMES = 6
SIDES = 512, 600
"""Of a clip: large enough that looking for faces takes longer than the profile waits between two looks."""


def _bench(*words: str, models: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **({weights.FOLDER_VARIABLE: str(models)} if models else {})}
    command = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def _clip(path: Path, shift: int) -> None:
    """A face that moves, one pixel a frame."""
    import matplotlib.cbook

    shipped = Path(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    found = cv2.imdecode(np.frombuffer(shipped.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert found is not None
    picture = cv2.resize(found, SIDES, interpolation=cv2.INTER_AREA)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIDES, "yuv420p"
        for number in range(FRAMES):
            moved = np.ascontiguousarray(np.roll(picture, number + shift, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """One round over two clips and a note that is no medium, by a detector whose weights are at hand."""
    folder = tmp_path_factory.mktemp("bench")
    media = folder / "secret-name"
    media.mkdir()
    for number in range(2):
        _clip(media / f"clip{number}.mp4", number)
    (media / "notes.txt").write_text("no medium")
    named = os.environ.get(weights.FOLDER_VARIABLE)
    folders = (Path(named) if named else None, ROOT.parent / "shared" / "models", weights.cache_folder())
    models = next((place for place in folders if place and (place / weights.YUNET.name).is_file()), None)
    words = ["--rounds", "1", "--frames", "3", "--workers", "1", "--detector", "yunet" if models else "mtcnn"]
    out = folder / "result.json"
    done = _bench(str(media), *words, "--measure", "stages", "build", "parts", "--json", str(out), models=models)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), out


EXTRACTED = {
    "media": 2, "media_ok": 2, "media_dropped": 0, "media_failed": 0, "frames_in_media": 2 * FRAMES,
    "frames_planned": 6, "frames_ok": 6, "frames_dropped": 0, "frames_failed": 0, "crops": 6, "faces_found": 6,
}  # fmt: skip
COUNTS = {
    "index": {"indexed": 2, "indexed_media": 2},
    "extract": EXTRACTED,
    "caption": {"captions": 6},
    "curate": {"judged": 8, "curated_out": 0},
    "verify": {"findings": 0, "rows": 6},
    "build": {**EXTRACTED, "rows": 6},
    "parts": EXTRACTED,
}


def test_a_run_counts_exactly_what_every_stage_did(result: tuple[dict[str, Any], Path]) -> None:
    found = {measure["name"]: measure["counts"] for measure in result[0]["measures"]}
    assert list(found) == ["index", "floor", "extract", "caption", "curate", "shard", "verify", "build", "parts"]
    assert found["floor"]["media"] == 2 and found["floor"]["failed"] == 0
    assert found["shard"] == {name: found["verify"][name] for name in ("files", "rows")}
    for name, counts in COUNTS.items():
        assert {key: found[name][key] for key in counts} == counts, name


def test_every_measure_has_its_costs_round_by_round_and_a_ratio_to_the_floor(result: tuple[dict[str, Any], Path]) -> None:
    document = result[0]
    for measure in document["measures"]:
        (cost,) = measure["rounds"]
        assert min(cost["wall_s"], cost["cpu_s"], cost["peak_mib"]) > 0, measure["name"]
        assert measure["counts"][measure["rate_of"]] > 0, measure["name"]
    assert set(document["ratios_to_floor"]) == {"extract", "build"}
    (profiled,) = document["measures"][-1]["parts"]
    assert {"decode", "detect", "imports"} <= set(profiled)
    assert sum(profiled.values()) <= document["measures"][-1]["rounds"][0]["cpu_s"]


def test_the_profile_names_modules_that_are_there() -> None:
    assert all((Path(mmidd.__file__).parent / f"{module}.py").is_file() for module in inside.DOES)


def test_the_result_says_what_ran_and_keeps_this_machine_to_itself(result: tuple[dict[str, Any], Path]) -> None:
    document, file = result
    assert document["hardware"].keys() == {"cpu", "cores", "memory_gib", "gpu", "os"}
    assert {"python", "av", "numpy"} <= set(document["versions"]) and set(document["commit"]) == {"sha", "dirty"}
    assert (document["media"]["videos"], document["media"]["images"], document["media"]["ignored_files"]) == (2, 0, 1)
    text = file.read_text() + _bench("--markdown", str(file)).stdout
    private = ["secret-name", "clip0", os.uname().nodename, str(ROOT), str(file.parent), str(Path.home())]
    assert not [word for word in private if len(word) > 5 and word in text]


def test_tables_go_between_the_markers_and_nothing_else_of_the_page_changes(
    result: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    before = (ROOT / "docs" / "performance.md").read_text()
    page = tmp_path / "page.md"
    page.write_text(before)
    assert _bench("--markdown", str(result[1]), "--into", str(page)).returncode == 0
    head, tail = before.split("<!-- figures:")[0], before.split("<!-- figures end -->")[1]
    after = page.read_text()
    assert after.startswith(head) and after.endswith(tail) and "| verify |" in after and "GPU:" in after


def test_the_pages_figures_are_those_of_the_kept_results(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "performance.md").read_text())
    kept = sorted(map(str, (ROOT / "benchmarks" / "results").glob("*.json")))
    assert kept and _bench("--markdown", *kept, "--into", str(page)).returncode == 0
    assert page.read_text() == (ROOT / "docs" / "performance.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no/such/folder"], "is no folder"),
        (["docs"], "no video or image"),
        (["--markdown", "no.json"], "No such file"),
        (["docs", "--json", "no/such/folder/x.json"], "there is no such folder"),
    ],
)
def test_a_user_error_is_one_line(words: list[str], said: str) -> None:
    done = _bench(*words)
    assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1


SMI = """#!/bin/sh
case "$1" in
  --query-gpu=name) echo "Some GPU" ;;
  *) while :; do echo "40, 1000"; echo "60, 3000"; sleep 0.02; done ;;
esac
"""


def _costs(code: str, path: str) -> Any:
    """What `benchmarks.processes` finds with another PATH, as JSON."""
    env = {**os.environ, "PATH": path}
    code = f"import json, sys\nfrom benchmarks.processes import hardware, must\nprint(json.dumps({code}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_gpu_is_sampled_where_there_is_nvidia_smi_and_null_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    code = "[hardware()['gpu'], must([sys.executable, '-c', 'import time; time.sleep(0.5)']).cost.gpu]"
    name, seen = _costs(code, f"{tmp_path}:/bin:/usr/bin")
    assert name == "Some GPU" and seen.pop("samples") >= 2
    assert seen["mean_percent"] == pytest.approx(50, abs=10) and (seen["max_percent"], seen["max_mib"]) == (60, 3000)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert _costs(code, str(empty)) == [None, None]


def test_cpu_time_and_peak_memory_of_children_count(tmp_path: Path) -> None:
    child = "import time; kept = bytearray(200 << 20)\nwhile time.process_time() < 0.5: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    cpu, peak = _costs(f"(lambda cost: [cost.cpu_s, cost.peak_mib])(must([sys.executable, '-c', {parent!r}]).cost)", "/bin")
    assert cpu >= 0.5 and 200 <= peak < 300
