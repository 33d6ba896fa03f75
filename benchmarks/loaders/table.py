"""The tables of docs/performance.md's section on loaders, from a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.loaders.cases import FLOOR, OURS, PNG

_NONE = "-"


def tables(document: dict[str, Any]) -> str:
    """Rates on one core, workers and memory, start-up; what is absent, and why."""
    blocks = [_setting(document), _rates(document), _goal(document), _workers(document), _starts(document)]
    blocks += [f"Not measured: {name}: {why}." for name, why in document["absent"].items()]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _setting(document: dict[str, Any]) -> str:
    machine, code = document["hardware"], document["commit"]
    others = ", ".join(f"{name} {version}" for name, version in document["other_versions"].items())
    return (
        f"{document['made']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB, {machine['os']}; "
        + ", ".join(f"{name} {version}" for name, version in document["versions"].items())
        + (f"; in its own interpreter {others}" if others else "")
        + f"; commit {(code['sha'] or 'unknown')[:12]}{', files changed since' if code['dirty'] else ''}. "
        f"{document['rows']:,} crops of {document['size']} pixels, batches of {document['batch']}, "
        f"{document['rounds']} rounds, all in turn; load average as each began: "
        f"{', '.join(map(str, document['load_average']))}."
    )


def rate(found: dict[str, Any]) -> float:
    """Images a second after the first batch."""
    return float(found["after_first"] / found["after_first_s"])


def cpu_rate(found: dict[str, Any]) -> float:
    """The same by the processor's time instead of the clock's."""
    return float(found["after_first"] / found["after_first_cpu_s"])


def ratios(document: dict[str, Any], name: str, of: Callable[[dict[str, Any]], float] = rate) -> list[float]:
    """How many times as fast as this our random order is on one core, round by round."""
    ours, other = (_rounds(document, each, "0") for each in (OURS, name))
    return [of(mine) / of(theirs) for mine, theirs in zip(ours, other, strict=False)]


def _rounds(document: dict[str, Any], name: str, workers: str) -> list[dict[str, Any]]:
    found = next((case for case in document["cases"] if case["name"] == name), None)
    return [] if found is None else found["workers"].get(workers, [])


def _rates(document: dict[str, Any]) -> str:
    rows = []
    for case in sorted(document["cases"], key=lambda case: -_middle(map(rate, case["workers"].get("0", [])))):
        rounds, check = case["workers"].get("0", []), case["check"]
        if rounds:
            rows.append([
                case["name"], case["decoder"], case["order"], f"{check['images']:,}", _spread(map(rate, rounds), "{:,.0f}"),
                _spread(map(cpu_rate, rounds), "{:,.0f}"), _spread(ratios(document, case["name"]), "{:.2f}"),
                _spread(ratios(document, case["name"], cpu_rate), "{:.2f}"),
                f"{check['difference']:.3f}, {check['worst']:.3f}",
            ])  # fmt: skip
    head = ["no worker, one core", "decoder", "order", "images", "images/s", "images/s of CPU", f"{OURS}: times this",
            "by CPU", "grey levels off, mean and worst image"]  # fmt: skip
    return _table(head, rows)


def _goal(document: dict[str, Any]) -> str:
    """Ours beside the best peer as it comes, the best with a faster decoder put in, the PNG folder and the floor."""
    peers = [case for case in document["cases"] if case["workers"].get("0") and not _is_ours(case["name"])]
    if not _rounds(document, OURS, "0"):
        return ""
    told = []
    for which, called in ((True, "the best peer as it comes"), (False, "the best peer with a faster decoder put in")):
        found = [case for case in peers if case["as_it_comes"] is which and case["name"] != FLOOR]
        if found:
            best = max(found, key=lambda case: median(map(rate, case["workers"]["0"])))["name"]
            told.append(f"{called} ({best}) {_spread(ratios(document, best), '{:.2f}')}")
    names = [case["name"] for case in peers]
    told += [f"{called} {_spread(ratios(document, name), '{:.2f}')}"
             for name, called in ((PNG, "the PNG folder"), (FLOOR, "the floor")) if name in names]  # fmt: skip
    return f"On one core {OURS} is, pair by pair within a round, times " + "; times ".join(told) + "."


def _is_ours(name: str) -> bool:
    return name.startswith("mmidd")


def _workers(document: dict[str, Any]) -> str:
    rows = []
    for case in document["cases"]:
        one, two = (case["workers"].get(workers, []) for workers in ("1", "2"))
        none = case["workers"].get("0", [])
        memory = [worker for found in two for worker in found.get("workers", []) if worker]
        rows.append([
            case["name"], *(_spread(map(rate, found), "{:,.0f}") for found in (one, two)),
            *(_spread([found[key] for found in none], "{:.2f} s") for key in ("first_s", "first_with_imports_s")),
            _spread([found["first_s"] for found in two], "{:.2f} s"),
            *(_spread([worker[key] for worker in memory], "{:,.0f}") for key in ("pss_mib", "own_mib", "rss_mib")),
        ])  # fmt: skip
    head = ["", "images/s, 1 worker", "2 workers", "first batch, no worker", "with imports", "2 workers",
            "a worker's share (PSS), MiB", "its own", "resident"]  # fmt: skip
    return _table(head, rows)


def _starts(document: dict[str, Any]) -> str:
    if not document["starts"]:
        return ""
    rows = []
    for case in document["starts"]:
        rounds = case["rounds"]
        firsts = (_spread([found[key] for found in rounds], "{:.2f} s") for key in ("first_s", "first_with_imports_s"))
        images = f"{rounds[0]['first_images']}" if rounds else _NONE
        rows.append([case["name"], case["order"], images, *firsts, _spread([r["peak_mib"] for r in rounds], "{:,.0f}")])
    head = [f"first batch of {document['million']:,} rows", "order", "images", "time", "with imports", "peak, MiB"]
    return _table(head, rows)


def _middle(values: Iterable[float]) -> float:
    return median(list(values) or [0.0])


def _spread(values: Iterable[float], shape: str) -> str:
    """Median, and least and most."""
    found = list(values)
    if not found:
        return _NONE
    unit = shape.partition("}")[0] + "}"
    return f"{shape.format(median(found))} ({unit.format(min(found))}, {unit.format(max(found))})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Nothing where there are no rows."""
    if not rows:
        return ""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
