"""What is measured of mmidd: each command as a whole process, and where extraction's time goes."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.others import floor, peers
from benchmarks.place import Bench, Found, Measure
from benchmarks.processes import BenchmarkError, must
from mmidd.errors import MmiddError
from mmidd.faces import weights

MEASURES = ("stages", "build", "detectors", "peers", "parts")
DETECTORS = ("yunet", "mtcnn", "scrfd")
AS_FAR = ("detector.size=1080", "detector.min_score=0.7")
"""With these `mtcnn` looks as far as the FastMTCNN flow, which takes 960 pixels of a 1080p frame and scores from 0.7 on."""
_CROPS = (
    "media", "media_ok", "media_dropped", "media_failed", "frames_in_media", "frames_planned", "frames_ok", "frames_dropped",
    "frames_failed", "crops", "faces_found",
)  # fmt: skip


def described(bench: Bench) -> dict[str, Any]:
    """The arguments, without paths of this machine."""
    asked = bench.asked
    plain = {name: getattr(asked, name) for name in ("rounds", "repeat", "workers", "device", "detector", "frames", "set")}
    return {**plain, "measure": list(asked.measure), "deepfakebench": asked.deepfakebench is not None}


def plan(bench: Bench) -> tuple[list[Measure], dict[str, str]]:
    """The measures of a round, in order (the floor right before extraction), and why others cannot be had."""
    main, wanted = bench.asked.detector, bench.asked.measure
    if why := _lacking(main):
        raise BenchmarkError(f"detector {main}: {why}; choose another --detector, or set {weights.FOLDER_VARIABLE}")
    others = [kind for kind in DETECTORS if kind != main] if "detectors" in wanted else []
    absent = {f"extract with {kind}": why for kind in others if (why := _lacking(kind))}
    measures = [_mmidd(bench, "index")] if "stages" in wanted else []
    measures += [floor(bench)] if bench.videos else []
    measures.append(_mmidd(bench, "extract"))
    if "stages" in wanted:
        measures += [_mmidd(bench, verb) for verb in ("caption", "curate", "shard", "verify")]
    measures += [_mmidd(bench, "build")] if "build" in wanted else []
    measures += [_mmidd(bench, "extract", kind) for kind in others if f"extract with {kind}" not in absent]
    if "peers" in wanted:
        measures += [_mmidd(bench, "extract", "mtcnn", AS_FAR)] if bench.videos and not _lacking("mtcnn") else []
        measures += peers(bench, absent)
    measures += [_parts(bench)] if "parts" in wanted else []
    return measures, absent


def _lacking(kind: str) -> str | None:
    """Why a detector cannot be had without a download; None where it can."""
    needs = {"yunet": (), "mtcnn": ("facenet_pytorch",), "scrfd": ()}[kind]
    if missing := [name for name in needs if importlib.util.find_spec(name) is None]:
        return f"not installed ({', '.join(missing)})"
    if kind == "mtcnn":
        return None
    name = weights.of_detector(kind).name
    try:
        folders = (weights.models_folder(), weights.cache_folder())
    except MmiddError as error:
        raise BenchmarkError(str(error)) from error
    return None if any(folder and (folder / name).is_file() for folder in folders) else f"weights not found ({name})"


_STAGE = ("RECIPE", "--data", "ROOT", "--work", "WORK", "--device", "DEVICE")
_WORKERS = ("--workers", "N")
# verb -> the words after it, what its rate is of, and the counts that are told of it
_WORDS: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "index": (("RECIPE", "--data", "ROOT", "--work", "INDEX"), "indexed", ("indexed", "indexed_media")),
    "extract": ((*_STAGE, *_WORKERS), "crops", _CROPS),
    "caption": ((*_STAGE, *_WORKERS), "captions", ("captions",)),
    "curate": (_STAGE, "judged", ("judged", "curated_out")),
    "shard": ((*_STAGE, *_WORKERS, "--out", "CORPUS"), "rows", ("files", "rows")),
    "verify": (("CORPUS", "--json"), "rows", ()),
    "build": (
        ("RECIPE", "--data", "ROOT", "--out", "WHOLE", "--device", "DEVICE", *_WORKERS), "crops", (*_CROPS, "files", "rows"),
    ),
}  # fmt: skip
_ENDS = (0, 3)


def _mmidd(bench: Bench, verb: str, other: str | None = None, more: Sequence[str] = ()) -> Measure:
    """An mmidd command as a whole process, with another detector than the run's, and `more` settings. Extraction begins
    with an empty work folder; later stages go on there."""
    words, rate_of, _ = _WORDS[verb]
    flags = [] if verb == "verify" else _flags(bench, other or bench.asked.detector, more)
    shown = {"N": str(bench.asked.workers), "DEVICE": bench.asked.device}
    what = " ".join(["mmidd", verb, *(shown.get(word, word) for word in words), *flags])
    name = ", ".join([f"{verb} with {other}" if other else verb, *more])
    run = partial(_run_mmidd, bench, verb, flags, f"work-{other}-{len(more)}" if other else "work")
    return Measure(name, what, rate_of, run)


def _flags(bench: Bench, detector: str, more: Sequence[str] = ()) -> list[str]:
    settings = (f"detector.kind={detector}", *bench.asked.set, *more)
    return [word for setting in settings for word in ("--set", setting)]


def _meant(bench: Bench, folder: Path, work: str) -> dict[str, Any]:
    """What the words of a command stand for in a round's folder."""
    return {
        "RECIPE": bench.recipe, "ROOT": bench.data, "INDEX": folder / "index", "WORK": folder / work,
        "CORPUS": folder / "corpus", "WHOLE": folder / "whole", "N": bench.asked.workers, "DEVICE": bench.asked.device,
    }  # fmt: skip


def _run_mmidd(bench: Bench, verb: str, flags: Sequence[str], work: str, folder: Path) -> Found:
    meant = _meant(bench, folder, work)
    command = [sys.executable, "-m", "mmidd", verb, *(str(meant.get(word, word)) for word in _WORDS[verb][0]), *flags]
    ended = must(command, env=_env(bench), accept=_ENDS)
    work_folder = folder / {"index": "index", "build": "whole.work"}.get(verb, work)
    corpus = {"shard": meant["CORPUS"], "build": meant["WHOLE"]}.get(verb)
    counts = _verified(json.loads(ended.out)) if verb == "verify" else _counts(bench, verb, work_folder, corpus)
    return {"cost": ended.cost.as_json(), "counts": counts}


def _counts(bench: Bench, verb: str, work: Path, corpus: Path | None) -> dict[str, int]:
    """What the command did, by what it left behind; asked in processes that are not measured."""
    found: dict[str, int] = {}
    if verb != "shard":
        found |= _asked(bench, [sys.executable, "-m", "benchmarks.inside", "counts", str(work)])
    if corpus is not None:
        found |= _verified(_asked(bench, [sys.executable, "-m", "mmidd", "verify", str(corpus), "--json"]))
    return {name: found.get(name, 0) for name in _WORDS[verb][2]}


def _verified(document: dict[str, Any]) -> dict[str, int]:
    return {"files": document["files"], "rows": document["rows"], "findings": len(document["findings"])}


def _env(bench: Bench) -> Mapping[str, str]:
    return {"MMIDD_MANIFESTS": str(bench.place / "manifests")}


def _asked(bench: Bench, command: Sequence[str]) -> dict[str, Any]:
    """The document that a command prints; not measured."""
    found: dict[str, Any] = json.loads(must(command, env=_env(bench)).out)
    return found


def _parts(bench: Bench) -> Measure:
    """Extraction in one process under a profiler; its costs are those of the profiled run."""
    words, flags = _WORDS["extract"][0], _flags(bench, bench.asked.detector)

    def run(folder: Path) -> Found:
        meant = _meant(bench, folder, "work-parts")
        kept = [str(meant.get(word, word)) for word in words if word not in _WORKERS]
        ended = must([sys.executable, "-m", "benchmarks.inside", "parts", "extract", *kept, *flags], env=_env(bench))
        found = json.loads(ended.out.splitlines()[-1])
        if found["code"] not in _ENDS:
            raise BenchmarkError(f"mmidd extract, profiled, ended with {found['code']}: {ended.err.strip()[-400:]}")
        counts = _counts(bench, "extract", meant["WORK"], None)
        return {"cost": ended.cost.as_json(), "counts": counts, "parts": found["parts"]}

    return Measure("parts", "mmidd extract --workers 0, profiled", "crops", run)


def ratios(results: Mapping[str, Sequence[Found]], bench: Bench) -> dict[str, Any] | None:
    """Wall and CPU of what reads the pixels over those of the floor in the same round. None where media hold images:
    the floor reads clips alone."""
    if "floor" not in results or bench.media["images"]:
        return None
    floor = [found["cost"] for found in results["floor"]]
    whole = [name for name in results if name.startswith(("extract", "build", "FastMTCNN", "DeepfakeBench"))]
    return {
        name: {
            key: [round(found["cost"][key] / below[key], 3) for found, below in zip(results[name], floor, strict=True)]
            for key in ("wall_s", "cpu_s")
        }
        for name in whole
    }
