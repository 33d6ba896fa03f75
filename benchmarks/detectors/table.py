"""Every reference detector trained on one small corpus by the commands that stand in the docs, and what came of it.

A row is one `mmidd train` in a process of its own; what is known of it is kept as it ends, so that a run that was broken
off goes on with the next row.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.detectors.scored import tested
from benchmarks.processes import run


@dataclass(frozen=True)
class Row:
    """One command: `words` come after `mmidd train DETECTOR CORPUS --out RUN`; `{NAME}` in them is the backbone folder of
    that name. `pretrained`: has the image network seen ImageNet? If not, the figures say nothing of the detector."""

    name: str
    detector: str
    pretrained: bool
    words: str


_FLOAT = "--seeds 0,1,2 --set precision=float32"
_NORMS = "--preset small --set backbone={mobilenetv2}@160 --set epochs=6 " + _FLOAT
_CNN = "--preset small --set backbone={mobilenetv2} --set side=128 --set epochs=8 --set frames=8 " + _FLOAT
_ONE = _CNN.replace("--seeds 0,1,2", "--seeds 0")
_PLAIN = ("--preset small --set backbone={mobilenetv2}@160 --set epochs=12 --set normalise=false --set uniformity=0 "
          "--set alignment=0 ")  # fmt: skip
_SD2 = ("--preset small --set backbone={mobilenetv2}@160 --set text={minilm} --set lora_rank=0 --set lr=1e-3 --set epochs=6 "
        "--set batch=32 --set checkpointing=false ") + _FLOAT  # fmt: skip
_TINY = "--preset tiny --set epochs=8 --seeds 0,1,2"
ROWS = (
    Row("univfd", "univfd", True, "--preset small --set backbone={mobilenetv2}@160 " + _FLOAT),
    Row("gend", "gend", True, _NORMS),
    Row("gend-paired", "gend", True, _PLAIN + "--paired --fraction 0.5 " + _FLOAT),
    Row("gend-unpaired", "gend", True, _PLAIN + "--unpaired " + _FLOAT),
    Row("lnclip", "lnclip", True, _NORMS),
    Row("xception", "xception", True, _ONE),
    Row("xception-efficientnet", "xception", True, _ONE.replace("mobilenetv2", "efficientnet_lite0")),
    Row("xception-self-blended", "xception", True, _ONE + " --self-blended"),
    Row("spsl", "spsl", True, _CNN),
    Row("sd2", "sd2", True, _SD2),
    Row("sd2-no-captions", "sd2", True, _SD2 + " --set captions=none"),
    Row("recce", "recce", False, _TINY),
    Row("aide", "aide", False, _TINY),
    Row("effort", "effort", False, _TINY),
    Row("clip-lora", "clip-lora", False, _TINY),
    Row("forensics-adapter", "forensics-adapter", False, _TINY),
    Row("tall", "tall", False, _TINY),
    Row("explain", "explain", False, _TINY),
    Row("rft-fas", "rft-fas", False, _TINY),
)
CPU = ("--device", "cpu")


@dataclass(frozen=True)
class Place:
    """What a table is made over. `backbones`: folders by name; `more`: words at the end of each command, of a run that
    only tries them out."""

    corpus: Path
    runs: Path
    backbones: Mapping[str, Path]
    more: tuple[str, ...] = ()

    def command(self, row: Row) -> list[str]:
        """As the docs have it, of real paths."""
        words = shlex.split(row.words.format(**{name: str(path) for name, path in self.backbones.items()}))
        return [
            "mmidd",
            "train",
            row.detector,
            str(self.corpus),
            "--out",
            str(self.runs / row.name),
            *words,
            *CPU,
            *self.more,
        ]

    def shown(self, words: Sequence[str]) -> str:
        """A command without this machine's paths."""
        names = {str(self.runs): "runs", str(self.corpus): "sample/corpus"}
        names |= {str(path): f"backbones/{name}" for name, path in self.backbones.items()}
        text = shlex.join(words)
        for path, name in names.items():
            text = text.replace(path, name)
        return text


def trained(place: Place, row: Row, tell: Callable[[str], None]) -> dict[str, Any]:
    """One row, or what is known of it. What fails is a row too, with what was said."""
    words, done = place.command(row), place.runs / f"{row.name}.json"
    shown = place.shown(words)
    if done.is_file() and (known := json.loads(done.read_text(encoding="utf-8")))["command"] == shown:
        tell(f"{row.name}: known, {known['minutes']:.1f} min")
        return dict(known)
    ended = run([sys.executable, "-m", *words, "--json"])
    cost = {"minutes": ended.cost.wall_s / 60, "cpu_minutes": ended.cost.cpu_s / 60, "peak_mib": ended.cost.peak_mib}
    found: dict[str, Any] = {
        "name": row.name,
        "detector": row.detector,
        "pretrained": row.pretrained,
        "command": shown,
        **cost,
    }
    if ended.code != 0:
        tell(f"{row.name}: {found['minutes']:.1f} min, FAILED: {ended.err.strip()[-800:]}")
        return {**found, "failed": " ".join(ended.err.split())[-400:]}
    found["seeds"] = json.loads(ended.out)["seeds"]
    found |= tested(place.corpus, place.runs / row.name, [seed["seed"] for seed in found["seeds"]])
    done.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    values = ", ".join(f"{seed['best']['validation']['video_auroc']:.3f}" for seed in found["seeds"])
    tell(f"{row.name}: {found['minutes']:.1f} min, validation video AUROC {values}")
    return found
