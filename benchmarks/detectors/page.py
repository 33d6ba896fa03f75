"""Results as the tables of docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Found = Mapping[str, Any]


def page(document: Found) -> str:
    """The tables of one result, by what it is of."""
    return "\n\n".join([_setting(document), *_PAGES[document["what"]](document)]) + "\n"


def _setting(document: Found) -> str:
    machine, code = document["hardware"], document["commit"]
    return (
        f"{document['made']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB, {machine['os']}; "
        f"python {document['versions']['python']}, torch {document['versions']['torch']}; "
        f"commit {(code['sha'] or 'unknown')[:12]}"
        f"{', files changed since' if code['dirty'] else ''}."
    )


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _table(document: Found) -> list[str]:
    head = (
        "run", "parameters", "trained", "minutes", "validation, of media", "of rows", "test, of media", "of rows",
        "columns alone, validation", "test",
    )  # fmt: skip
    groups = {
        True: "Networks that have seen ImageNet",
        False: "From scratch, a few layers: the figures say nothing of the detector",
    }
    found = []
    for pretrained, told in groups.items():
        rows = [_row(row) for row in document["rows"] if row["pretrained"] == pretrained]
        if rows:
            found += [f"**{told}**", _lines(head, rows)]
    commands = "\n".join(f"    {row['command']}" for row in document["rows"])
    splits = document["splits"].items()
    parts = "; ".join(f"{name} {of['rows']:,} rows, {of['media']:,} media, {of['groups']:,} groups" for name, of in splits)
    found.insert(0, f"{parts}; groups in more than one split: {document['groups_in_two']}.")
    return [*found, f"{sum(row['minutes'] for row in document['rows']):.0f} minutes in all. The commands:", commands]


def _row(row: Found) -> list[str]:
    minutes = f"{row['minutes']:.1f}"
    if "failed" in row:
        return [row["name"], "", "", minutes, f"failed: {row['failed'][-120:]}", *[""] * 5]
    kept, columns = [seed["best"]["validation"] for seed in row["seeds"]], row["columns_alone"]
    areas = [_area(of, level) for of in (kept, row["test"]) for level in ("video", "frame")]
    alone = [_area([columns[split]], "video") if columns[split] else "none" for split in ("validation", "test")]
    network = row["network"]
    return [row["name"], f"{network['parameters']:,}", f"{network['trained']:,}", minutes, *areas, *alone]


def _area(seeds: Sequence[Found], level: str) -> str:
    """The median seed with its interval over groups, and the others."""
    each = sorted((seed[level] for seed in seeds), key=lambda area: area["auroc"])
    middle = each[(len(each) - 1) // 2]
    interval = middle["interval"]
    told = f"{middle['auroc']:.3f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")
    return told + (f" ({each[0]['auroc']:.3f} to {each[-1]['auroc']:.3f})" if len(each) > 1 else "")


def _peers(document: Found) -> list[str]:
    steps = []
    for name, step in document["step"].items():
        alone = document["alone"][name]
        for role in ("theirs", "ours"):
            times, each = step["steps"][role], alone[role]
            steps.append([
                f"{name}, {role}", ", ".join(f"{loss:.5f}" for loss in step["losses"][role]),
                _middle([one["wall_s"] for one in times], 3), _middle([one["cpu_s"] for one in times], 3),
                f"{each['ready_s']:.2f}", f"{each['peak_mib']:,.0f}",
                *(f"{each[what]:,}" for what in ("parameters", "trained", "stored")),
            ])  # fmt: skip
    start = document["start_up"]
    begun = []
    for role, times in start["one"].items():
        cpu = [each["cpu_s"] for each in times]
        whole = f"{median(cpu) * start['weights_of_the_network']:.0f}"
        begun.append([role, _middle([each["wall_s"] for each in times], 3), _middle(cpu, 3), whole])
    files = []
    for way in document["files"]:
        network = f"{way['network']} CLIP" if way["network"] else "none: read alone"
        told = [network, "GenD's" if way["augmented"] else "none", str(way["workers"])]
        for name, rounds in way["rounds"].items():
            rates = [each["images"] / each["wall_s"] for each in rounds]
            waited = median(each["waited_s"] / each["wall_s"] for each in rounds)
            files.append([*told, name, _middle(rates, 1), f"{waited:.0%}" if way["network"] else "-"])
    head = (
        "step", "losses of three steps", "seconds", "of CPU", "seconds until ready", "peak MiB", "parameters", "trained",
        "numbers stored",
    )  # fmt: skip
    return [
        _lines(head, steps),
        _lines((f"one weight of {start['side']} x {start['side']}", "seconds", "of CPU", "CPU seconds of all 96"), begun),
        _lines(("network", "augmentation", "workers", "from files", "images/s", "share spent waiting for them"), files),
    ]  # fmt: skip


def _full(document: Found) -> list[str]:
    rows = [
        [each["detector"], "yes" if each["checkpointing"] else "no", ", ".join(f"{step:.1f}" for step in each["step_s"]),
         f"{each['wall_s']:.0f}", f"{each['peak_mib']:,.0f}", f"{each['parameters']:,}", f"{each['trained']:,}",
         f"{each['kept_bytes'] / 1e6:.2f}"]
        for each in document["runs"]
    ]  # fmt: skip
    head = (
        "CLIP ViT-L/14",
        "checkpointing",
        "seconds of each step",
        "of the whole run",
        "peak MiB",
        "parameters",
        "trained",
        "MB kept",
    )
    return [_lines(head, rows)]


def _middle(values: Sequence[float], places: int) -> str:
    return f"{median(values):.{places}f} ({min(values):.{places}f} to {max(values):.{places}f})"


_PAGES = {"table": _table, "peers": _peers, "full": _full}
