"""A command that is started in a folder with Python files in it runs none of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Place

MODULES = "selectors pickle struct tempfile hashlib json socket numpy cv2 av pyarrow pebble typer rich yaml decimal uuid"
ENTRIES = [
    ("the command", ["{bin}/mmidd"], {}),
    ("python -m", ["{python}", "-m", "mmidd"], {}),
    ("python -E -m", ["{python}", "-E", "-m", "mmidd"], {}),
    ("an empty part of PYTHONPATH", ["{bin}/mmidd"], {"PYTHONPATH": ":/nonexistent"}),
    ("PYTHONSAFEPATH is empty", ["{python}", "-m", "mmidd"], {"PYTHONSAFEPATH": "", "PYTHONPATH": ":"}),
]


@pytest.mark.parametrize(("words", "environment"), [entry[1:] for entry in ENTRIES], ids=[entry[0] for entry in ENTRIES])
def test_a_build_runs_nothing_that_lies_in_the_current_folder(
    words: list[str], environment: dict[str, str], place: Place, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for module in MODULES.split():
        mark = f"open({str(tmp_path / 'ran')!r}, 'a').write('{module} '); raise SystemExit(3)"
        (hostile / f"{module}.py").write_text(mark)
    command = [word.format(bin=Path(sys.executable).parent, python=sys.executable) for word in words]
    more = ["--workers", "1", "--only", "CelebA", "--allow-removals", "--set", "captioner=none", "--set", "crop.size=64"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*command, *place.words("build")[:-2], *more], cwd=hostile, env=inherited | environment, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert done.returncode == 0, done.stderr
