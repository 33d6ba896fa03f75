"""What a study came to, from the records of its trials alone: one document, the same whatever was killed on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmidd.studies.ablations import ABLATIONS, SAYS
from mmidd.studies.facts import Facts
from mmidd.studies.grid import Asked, Grid, Line, Test, Trial
from mmidd.studies.published import Ours, beside, published

FORMAT = "mmidd study 1"
FEW_GROUPS = 30
Records = Mapping[str, Mapping[str, Any]]
"""By the names of trials; absent: not done yet."""


def document(
    asked: Asked,
    facts: Facts,
    grid: Grid,
    records: Records,
    tests: Mapping[str, Mapping[str, Any]],
    shares: Sequence[str] = (),
) -> dict[str, Any]:
    """JSON, without a time in it. `tests`: of each further corpus name, digest, datasets, and what it shares with the
    training corpus; `shares`: what its own test split shares with what is trained on."""
    states = {trial.name: records.get(trial.name, {}).get("state", "to do") for trial in grid.trials}
    lines = [_line(number, line, grid, records, facts) for number, line in enumerate(grid.lines, 1)]
    ours = [
        found for line in zip(lines, grid.lines, strict=True) if (found := _ours(asked, *line, grid, records, facts, tests))
    ]
    return {
        "format": FORMAT,
        "corpus": {
            "name": facts.corpus, "digest": facts.digest, "datasets": [facts.name(each) for each in facts.datasets],
            "shares": list(shares),
        },
        "tests": {name: dict(held) for name, held in tests.items()},
        "asked": asked.document(),
        "trials": {
            "all": len(states), **{state: list(states.values()).count(state) for state in ("done", "failed", "to do")}
        },
        "lines": lines,
        "failed": [
            {"trial": name, **records[name]["failed"]} for name, state in states.items() if state == "failed"
        ],
        "left_out": list(grid.left_out),
        "says": [*caveats(grid, records, lines), *_domains(facts, tests)],
        "published": [each.document() for each in beside(published(), ours)],
    }  # fmt: skip


def _line(number: int, line: Line, grid: Grid, records: Records, facts: Facts) -> dict[str, Any]:
    """A line of the table. All its figures but the range are those of one seed, that of the median AUROC (of an even number
    the lower), so that they belong together."""
    first = grid.trial(line.trials[0])
    held = {name: _found(records, name, line.test) for name in line.trials}
    seeds = [
        {
            "trial": name, "seed": grid.trial(name).seed, "state": records.get(name, {}).get("state", "to do"),
            "auroc": _value(found, "counted", "auroc"),
        }
        for name, found in held.items()
    ]  # fmt: skip
    ranked = sorted((each for each in seeds if each["auroc"] is not None), key=lambda each: (each["auroc"], each["seed"]))
    middle = ranked[(len(ranked) - 1) // 2] if ranked else None
    shown = held[middle["trial"]] if middle else next((found for found in held.values() if found), None)
    return {
        "line": number,
        "study": line.study,
        "title": line.title,
        "detector": first.detector,
        "preset": first.preset,
        "settings": list(first.settings),
        "trained_on": str(first.chosen) if not first.chosen.without else _without(first, facts),
        "tested_on": _tested(line.test, facts),
        "seeds": seeds,
        "median_seed": middle["seed"] if middle else None,
        "range": [ranked[0]["auroc"], ranked[-1]["auroc"]] if ranked else None,
        "rows": _rows(records, line),
        "figures": shown,
    }


def _found(records: Records, name: str, test: Test) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = records.get(name, {}).get("tests", {}).get(test.name)
    return found


def _value(found: Mapping[str, Any] | None, *keys: str) -> float | None:
    value: Any = found
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value["value"] if isinstance(value, Mapping) else None


def _without(trial: Trial, facts: Facts) -> str:
    return f"all datasets but {', '.join(facts.name(slug) for slug in trial.chosen.without)}"


def _tested(test: Test, facts: Facts) -> str:
    if test.corpus:
        return f"corpus {test.corpus}"
    names = ", ".join(facts.name(slug) for slug in test.only) if test.only else "test split"
    whole = f" ({' and '.join(test.splits)})" if test.splits != ("test",) else ""
    return names + whole + (f": live and {test.attacks[1]}" if test.attacks else "")


def _rows(records: Records, line: Line) -> int | None:
    """Rows of train, which the seeds share."""
    runs = [records[name]["run"] for name in line.trials if "run" in records.get(name, {})]
    return runs[0]["rows"]["train"] if runs else None


def _ours(
    asked: Asked,
    shown: Mapping[str, Any],
    line: Line,
    grid: Grid,
    records: Records,
    facts: Facts,
    tests: Mapping[str, Mapping[str, Any]],
) -> Ours | None:
    """What a line was measured on; None where nothing of it is done."""
    trial = grid.trial(line.trials[0])
    runs = [records[name]["run"] for name in line.trials if "run" in records.get(name, {})]
    if not runs:
        return None
    if line.test.corpus:
        tested = frozenset(tests[line.test.corpus]["datasets"])
    else:
        slugs = line.test.only or tuple(each.dataset for each in facts.rows if each.split == "test")
        tested = frozenset(facts.name(slug) for slug in slugs)
    chosen, given = trial.chosen, 0 if line.study in ABLATIONS else len(asked.settings)
    train = frozenset(facts.name(slug) for slug in facts.datasets if slug not in chosen.without)
    whole = chosen.fraction == 1 and chosen.paired is None and chosen.holdout is None and not chosen.unseen
    return Ours(
        shown["line"], trial.detector, trial.preset, trial.settings[given:], train, tested, shown["rows"] or 0,
        runs[0]["random"], whole, asked.settings,
    )  # fmt: skip


def caveats(grid: Grid, records: Records, lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """What these figures are not, told from how they were made."""
    runs = [held["run"] for held in records.values() if "run" in held]
    told = []
    presets = sorted({trial.preset for trial in grid.trials} - {"paper"})
    if presets:
        told.append(
            f"Nothing here reproduces a paper: every run has the preset {', '.join(presets)}, which is another network, "
            "with other settings and fewer steps, than any paper's."
        )
    if random := sum(run["random"] for run in runs):
        told.append(
            f"{random:,} of {len(runs):,} networks began with random weights: they show that all fits together, and nothing "
            "of what the detector can do."
        )
    if cpus := sum("CPU" in str(run["device"]) for run in runs):
        told.append(f"{cpus:,} of {len(runs):,} runs were trained on a CPU, none of the field's are.")
    groups = [line["figures"]["groups"] for line in lines if line["figures"]]
    if groups and min(groups) < FEW_GROUPS:
        told.append(
            f"Test sets have {min(groups):,} to {max(groups):,} groups (identities, clips that belong together). Under "
            f"{FEW_GROUPS} of them an interval says little, under 5 there is none."
        )
    if below := [line["line"] for line in lines if _below(line["figures"])]:
        told.append(
            f"In line{'s' * (len(below) > 1)} {ranges(below)} the numeric columns alone, without a pixel, reach as much as "
            "the detector, or its interval reaches down to them: such a figure says nothing of forgeries."
        )
    told += _unequal(lines)
    told += [f"{name}: {SAYS[name]}" for name in SAYS if any(line["study"] == name for line in lines)]
    told += _by_seed(lines)
    if seeds := {len(line["seeds"]) for line in lines if len(line["seeds"]) < 3}:
        told.append(
            f"Of a line there are {min(seeds)} seed{'s' * (min(seeds) != 1)}: how far chance in training moves a figure is "
            "not shown."
        )
    return told + _dashes(lines)


def _by_seed(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of ablations, the AUROC of every seed: two lines may show different seeds, and are then not to be subtracted."""
    mine = [line for line in lines if line["study"] in ABLATIONS and len(line["seeds"]) > 1]
    each = "; ".join(f"line {line['line']}: {', '.join(map(_one_seed, line['seeds']))}" for line in mine)
    told = (
        "A line shows its own median seed, replies included: two lines may show different ones. What was taken away is to "
        f"be compared seed by seed. AUROC by seed: {each}."
    )
    return [told] if mine else []


def _one_seed(seed: Mapping[str, Any]) -> str:
    return f"{seed['seed']} {'none' if seed['auroc'] is None else format(seed['auroc'], '.3f')}"


def _domains(facts: Facts, tests: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Where lines are called in-domain, or cross-domain, and are not."""
    tested = {each.dataset for each in facts.rows if each.split == "test" and each.real + each.fake}
    trained = {facts.name(slug) for slug in facts.datasets}
    told = []
    if abroad := sorted({facts.name(slug) for slug in tested} - trained):
        told.append(
            f"Train has no row of {', '.join(abroad)}, which the test split has: tested on that, nothing is in-domain."
        )
    for name, held in tests.items():
        if home := sorted(trained & set(held["datasets"])):
            told.append(
                f"{', '.join(home)} of {name} is trained on too, in other media: tested on that, nothing is cross-domain."
            )
    return told


def _unequal(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Paired and unpaired of one detector that do not have as many rows of train, as their comparison needs."""
    rows: dict[str, dict[str, int]] = {}
    for line in lines:
        if line["study"] == "pairs" and line["rows"]:
            rows.setdefault(line["detector"], {})[line["title"]] = line["rows"]
    apart = {name: each for name, each in rows.items() if 1.05 * min(each.values()) < max(each.values())}
    said = "; ".join(f"{name}: {' and '.join(f'{count:,}' for count in each.values())}" for name, each in apart.items())
    told = f"Paired and unpaired have not as many rows of train ({said}): their difference is of that too."
    return [told] if apart else []


def _dashes(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why figures of the table are missing."""
    names = {
        "auroc": "AUROC", "tpr_at_fpr_0.05": "true positive rate at 5% false positives", "type_accuracy": "type accuracy",
    }  # fmt: skip
    why: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        for name, said in names.items():
            found = (line["figures"] or {}).get("counted", {}).get(name)
            if found and found["value"] is None and found["why"]:
                why.setdefault((said, found["why"]), []).append(line["line"])
    told = []
    for name in names.values():
        reasons = {reason: of for (said, reason), of in why.items() if said == name}
        if reasons:
            first, more = next(iter(reasons)), len(reasons) - 1
            every = [number for of in reasons.values() for number in of]
            like = f" (and {more} reason{'s' * (more > 1)} like it)" if more else ""
            told.append(f"No {name} in line{'s' * (len(every) > 1)} {ranges(every)}: {first}{like}.")
    return told


def ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as 1-3, 7."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def _below(found: Mapping[str, Any] | None) -> bool:
    if not found or not found["columns_alone"].get("auroc"):
        return False
    bar, mine = found["columns_alone"]["auroc"]["value"], found.get("scored", found["counted"])["auroc"]  # of the same clips
    low = mine["low"] if mine["low"] is not None else mine["value"]
    return bar is not None and low is not None and low <= bar
