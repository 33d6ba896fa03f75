"""A part's own process: `python -m benchmarks.gpu.inside SPEC`. What comes of it is in the files that SPEC names."""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context, Skipped


def main() -> int:
    faulthandler.enable()
    here = str(Path(__file__).resolve().parents[2])
    # Packages come before the checkout, where mmidd lies too, but without what setuptools maps into it.
    sys.path[:] = [*(entry for entry in sys.path if entry not in ("", here)), here]
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    outcome = _outcome(spec)
    Path(spec["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")
    return 0 if outcome["state"] in ("done", "skipped") else 1


def _outcome(spec: dict[str, Any]) -> dict[str, str]:
    missing = [name for name in spec["needs"] if importlib.util.find_spec(name) is None]
    if missing:
        return {"state": "broken" if spec["must"] else "skipped", "why": f"not installed: {', '.join(missing)}"}
    paths = {name: Path(spec[name]) for name in ("scratch", "results")}
    folders = {name: Path(spec[name]) if spec[name] else None for name in ("media", "models")}
    context = Context(spec["device"], spec["toy"], spec["seconds"], **folders, **paths)  # type: ignore[arg-type]
    try:
        importlib.import_module(spec["module"]).run(context)
    except Skipped as error:
        return {"state": "broken" if spec["must"] else "skipped", "why": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"state": "broken", "why": f"{type(error).__name__}: {error}"[:500]}
    return {"state": "done", "why": ""}


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
