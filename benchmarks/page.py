"""The tables of docs/performance.md, made from results."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.processes import BenchmarkError

BEGIN, END = "<!-- figures: made by `python -m benchmarks --markdown`, not by hand -->", "<!-- figures end -->"
# how a count is called where not by its name; a zero is told only where a rate is of it, media that are not ok are told
_CALLED = {
    "indexed": "files", "indexed_media": "media", "frames_in_media": "frames in them", "judged": "rows judged",
    "curated_out": "dropped", "files": "Parquet files", "failed": "failed",
}  # fmt: skip


def into(before: str, tables: str) -> str:
    """The page with what stands between its markers replaced. BenchmarkError where they are not there once each."""
    if before.count(BEGIN) != 1 or before.count(END) != 1 or before.index(BEGIN) > before.index(END):
        raise BenchmarkError(f"the page needs one line {BEGIN!r} and after it one line {END!r}")
    return f"{before[: before.index(BEGIN)]}{BEGIN}\n\n{tables}\n{before[before.index(END) :]}"


def page(documents: Sequence[dict[str, Any]]) -> str:
    """The tables of results, one section each."""
    return "\n".join(_section(document) for document in documents)


def _section(document: dict[str, Any]) -> str:
    asked = document["arguments"]
    blocks = [
        f"### {_media(document)}, {asked['workers']} workers, {asked['device']}",
        _setting(document),
        _table(
            ["", "items", "wall, median (min, max)", "CPU", "peak of one process", "rate"],
            [_row(measure) for measure in document["measures"]],
        ),
        _ratios(document),
        *(_parts(measure) for measure in document["measures"] if "parts" in measure),
        "\n".join(f"- {measure['name']}: `{measure['what']}`" for measure in document["measures"]),
        *([_absent(document)] if document["absent"] else []),
        f"GPU: {_gpu(document)}",
    ]
    return "\n\n".join(blocks) + "\n"


def _media(document: dict[str, Any]) -> str:
    media, asked = document["media"], document["arguments"]
    kinds = ", ".join(f"{media[kind]:,} {kind}" for kind in ("videos", "images") if media[kind])
    frames = next(
        (measure["counts"]["frames_in_media"] for measure in document["measures"] if measure["name"] == "extract"), None
    )
    distinct = f"{media['distinct_files']:,} files {asked['repeat']} times each; " if asked["repeat"] > 1 else ""
    return f"{kinds} ({distinct}{frames:,} frames, {media['bytes'] / 1e6:.1f} MB)"


def _setting(document: dict[str, Any]) -> str:
    machine, commit, asked = document["hardware"], document["commit"], document["arguments"]
    libraries = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    sha = f"commit {commit['sha'][:12]}{' with changes' if commit['dirty'] else ''}" if commit["sha"] else "no checkout"
    loads = ", ".join(f"{load:.1f}" for load in document["load_average"])
    changed = f", {' '.join(asked['set'])}" if asked["set"] else ""
    return (
        f"{document['made']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB, {machine['os']}; "
        f"{libraries}; {sha}. {asked['detector']}, {asked['frames']} frames a clip{changed}; {_rounds(asked['rounds'])}, "
        f"everything in turn; load average as each began: {loads}."
    )


def _rounds(number: int) -> str:
    return "one round" if number == 1 else f"{number} rounds"


def _row(measure: dict[str, Any]) -> list[str]:
    walls = [cost["wall_s"] for cost in measure["rounds"]]
    cpu = median(cost["cpu_s"] for cost in measure["rounds"])
    peak = max(cost["peak_mib"] for cost in measure["rounds"])
    counts, rate_of = measure["counts"], measure["rate_of"]
    told = [name for name, count in counts.items() if (count and name != "media_ok") or name == rate_of]
    items = ", ".join(f"{counts[name]:,} {_called(name)}" for name in told)
    rate = f"{counts[rate_of] / median(walls):,.1f} {_called(rate_of)}/s"
    return [measure["name"], items, _spread(walls, " s"), f"{cpu:.2f} s", f"{peak:.0f} MiB", rate]


def _called(count: str) -> str:
    return _CALLED.get(count, count.replace("_", " "))


def _spread(numbers: Sequence[float], unit: str = "") -> str:
    return f"{median(numbers):.2f}{unit} ({min(numbers):.2f}, {max(numbers):.2f})"


def _ratios(document: dict[str, Any]) -> str:
    if document["ratios_to_floor"] is None:
        return "No ratio to the floor: it is taken where all media are videos."
    rows = [[name, _spread(ratio["wall_s"]), _spread(ratio["cpu_s"])] for name, ratio in document["ratios_to_floor"].items()]
    return _table(["times the floor, pair by pair", "wall, median (min, max)", "CPU, median (min, max)"], rows)


def _parts(measure: dict[str, Any]) -> str:
    """CPU by part, medians over the rounds; parts below half a percent together."""
    rounds = measure["parts"]
    names = dict.fromkeys(name for each in rounds for name in each)
    seconds = {name: median(each.get(name, 0.0) for each in rounds) for name in names}
    whole = sum(seconds.values())
    large = {name: cpu for name, cpu in sorted(seconds.items(), key=lambda part: -part[1]) if cpu >= whole / 200}
    large["all else"] = whole - sum(large.values())
    rows = [[name, f"{cpu:.2f} s", f"{cpu / whole:.0%}"] for name, cpu in large.items()]
    return _table(["part of extraction, in one process", "CPU", "share"], rows)


def _absent(document: dict[str, Any]) -> str:
    return "Not measured: " + "; ".join(f"{name}: {why}" for name, why in document["absent"].items()) + "."


def _gpu(document: dict[str, Any]) -> str:
    if document["gpu"] is None:
        return "not measured."
    told = []
    for name, rounds in document["gpu"].items():
        seen = [found for found in rounds if found]
        if seen:
            busy, most = median(found["mean_percent"] for found in seen), max(found["max_mib"] for found in seen)
            told.append(f"{name} {busy:.0f}% busy, {most:.0f} MiB")
    return f"{document['hardware']['gpu']}, sampled by nvidia-smi: {'; '.join(told) or 'no sample'}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
