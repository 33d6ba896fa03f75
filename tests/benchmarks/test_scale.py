"""The simulation of many media: every command runs over a few hundred, and its counts are those of the media."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.scale import METHODS, PERSON, names

ROOT = Path(__file__).parents[2]
MEDIA = 300


def test_media_are_reals_before_their_fakes_and_one_in_ten_is_a_clip() -> None:
    made = list(names(10 * PERSON))
    assert len(set(made)) == len(made) and sum(name.endswith(".mp4") for name in made) == len(made) // 10
    for place, name in enumerate(made):
        kind, _, rest = name.partition("/")
        assert kind == "real" or (kind in METHODS and f"real/{rest}" in made[:place])


def test_every_command_runs_and_a_kill_costs_what_was_not_committed(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks.scale", str(tmp_path / "made"), "--media", str(MEDIA), "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (size,) = json.loads(out.read_text())["sizes"]
    phases: dict[str, dict[str, Any]] = {phase["what"]: phase for phase in size["phases"]}
    counts = {what: phase["counts"] for what, phase in phases.items()}
    killed, resumed = counts["extract, killed at half of the units"], counts["extract, resumed"]
    assert 0 < killed["media"] < MEDIA and resumed["media"] == MEDIA - killed["media"] and resumed["units"] > 0
    assert counts["curate"] == counts["build, nothing to do"] == {"media": MEDIA, "rows": MEDIA + MEDIA // 10}
    assert counts["shard"]["rows"] == MEDIA + MEDIA // 10
    assert all(min(phase["wall_s"], phase["cpu_s"], phase["peak_mib"]) > 0 for phase in phases.values())
    assert not any((tmp_path / "made").iterdir())
    assert all(f"| {what} |" in done.stdout for what in phases)
