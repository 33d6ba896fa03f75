"""The page of a run: what was trained on what, its curves, what its figures mean. Made of the run folder's files alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from mmidd.runs.charts import Level, Series, chart
from mmidd.runs.curves import METRICS, RESULT, RUN, lines, read_json, seeds_of
from mmidd.runs.figures import titled
from mmidd.show.pages import page as shell
from mmidd.show.pages import told

NAME = "index.html"
FEW_GROUPS = 30
_STAGES = {"align": ", stage 1 (align)", "reinforce": ", stage 2 (reinforce)"}
"""Of a detector that is trained in two."""
_MEANING = """from the same datasets as the training rows: they do not say how the detector does on another dataset, another
generator or in the wild.</li>
<li>The network that is kept was chosen by its validation figure, so that figure is a little too good. The test split was not
touched: score it once, at the end.</li>
<li>An interval is over groups of the validation rows (bootstrap). It does not hold what another seed would change: that is
what several seeds show.</li>
<li>The columns alone are a logistic regression on sharpness, size, frame rate and such, fitted on train. Where they reach a
figure, a detector that reaches it may have learnt how the files were made, and nothing of forgeries.</li>"""


@dataclass(frozen=True)
class _Seed:
    """What lies in one seed's folder."""

    name: str
    steps: Sequence[Mapping[str, Any]]
    validations: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any] | None

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The validation whose network is kept."""
        measured = [each for each in self.validations if each.get("best") and _is_number(each.get("video_auroc"))]
        return measured[-1] if measured else None


def page(run: Path) -> str:
    """The page of a run folder, as HTML that needs nothing beside it. Raises RunError and WorkError as reading does."""
    about = read_json(run / RUN) or {}
    seeds = [_seed(path) for path in seeds_of(run)]
    title = f"{_at(about, 'detector', 'title') or _at(about, 'asked', 'detector', 'name')} on {_at(about, 'corpus', 'name')}"
    body = "".join(
        (
            f"<h1>{told(title)}</h1>",
            *_summary(about, seeds),
            _headline(about, seeds),
            _table_of(seeds),
            _curves(about, seeds),
            _left_out(about, seeds),
            _meaning(about, seeds),
            _use(about, run),
            _configuration(about),
        )
    )
    return shell(title, body)


def _seed(path: Path) -> _Seed:
    logged = lines(path / METRICS)
    of = {kind: [each for each in logged if each["kind"] == kind] for kind in ("step", "validation")}
    return _Seed(path.name.replace("-", " "), of["step"], of["validation"], read_json(path / RESULT))


def _summary(about: Mapping[str, Any], seeds: Sequence[_Seed]) -> Iterator[str]:
    done = sum(each.result is not None for each in seeds)
    reached = ", ".join(
        f"{each.name} at step {each.steps[-1]['step']:,}" for each in seeds if each.result is None and each.steps
    )
    state = "finished" if seeds and done == len(seeds) else f"not finished ({reached or 'no step yet'})"
    options = _map(_at(about, "asked", "detector", "options"))
    stage = _STAGES.get(str(options.get("stage")), "")
    stage += f", from {told(options['start'])}" if stage and options.get("start") else ""
    yield (
        f"<p>{told(_at(about, 'detector', 'paper') or '')}. Preset <b>{told(about.get('preset', ''))}</b>{stage}; "
        f"{len(seeds)} seed{'s' * (len(seeds) != 1)}, {told(state)}; "
        f"begun {told(_at(about, 'surroundings', 'begun') or '?')}.</p>"
    )
    for split in ("train", "validation"):
        rows = _map(_at(about, "rows", split))
        yield f"<p>{split.capitalize()}: {_count(rows.get('rows'))} rows{_classes(rows)}.</p>"
    if network := _map(about.get("network")):
        sizes = [float(network[key]) if _is_number(network.get(key)) else 0.0 for key in ("trained", "parameters")]
        share = sizes[0] / max(1, sizes[1])
        size = _count(network.get("parameters"))
        yield f"<p>{size} parameters, {_count(network.get('trained'))} trained ({share:.2%}).</p>"
    for place, source in _map(about.get("sources")).items():
        said = ", ".join(f"{key} {value}" for key, value in _map(source).items() if isinstance(value, str | int))
        random = _at(source, "weights") == "random"
        note = " <span class='warn'>Random weights: it shows that training runs, and nothing of the detector.</span>"
        yield f"<p>Backbone {told(place)}: {told(said)}.{note if random else ''}</p>"


def _classes(rows: Mapping[str, Any]) -> str:
    parts = [
        ", ".join(f"{told(name)} {_count(count)}" for name, count in _map(rows.get(key)).items())
        for key in ("label", "forgery_type", "attack")
    ]
    return "".join(f" ({part})" for part in parts if part)


def _headline(about: Mapping[str, Any], seeds: Sequence[_Seed]) -> str:
    best = [(seed, seed.best) for seed in seeds if seed.best is not None]
    if not best:
        return '<p class="big">No validation yet.</p>'
    values = [float(each["video_auroc"]) for _, each in best if each is not None]
    several = f", the mean of {len(values)} seeds ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    first = best[0][1] or {}
    interval = _interval(first.get("video"))
    alone = _at(about, "columns_alone", "video_auroc")
    beside = (
        f"The numeric columns of the corpus alone, without a pixel, reach <b>{alone:.3f}</b> on the same clips."
        if _is_number(alone)
        else "What the numeric columns alone reach could not be measured: train has one class, or none of them differs."
    )
    lows = [_low(each) for _, each in best]
    worse = _is_number(alone) and mean(values) <= alone
    weak = _is_number(alone) and any(low is not None and low <= alone for low in lows)
    verdict = (
        "<p class='warn'>The detector is no better than that: its figure says nothing of forgeries.</p>"
        if worse
        else "<p class='warn'>An interval reaches down to that: it is not shown that the detector sees a forgery.</p>"
        if weak
        else "<p class='warn'>Chance lies in the interval.</p>"
        if any(low is not None and low <= 0.5 for low in lows)
        else ""
    )
    return (
        f'<div class="big"><p>Video AUROC on validation: <strong>{mean(values):.3f}</strong>{several}; '
        f"{told(best[0][0].name)} has {interval}.</p><p>{beside}</p>{verdict}</div>"
    )


def _table_of(seeds: Sequence[_Seed]) -> str:
    heads = (
        "seed", "steps", "best at", "video AUROC", "frame AUROC", "video AP", "video EER", "types right", "loss", "minutes",
        "waiting",
    )  # fmt: skip
    rows = [[*_row(seed)] for seed in seeds]
    if not rows:
        return ""
    return (
        "<h2>Seeds</h2><p class='soft'>Each by the network that is kept. In brackets: 95% interval over groups. Waiting: "
        f"the share of time in which training waited for data.</p>{_table(heads, rows, 'short')}"
    )


def _row(seed: _Seed) -> Iterator[str]:
    best, result = seed.best or {}, seed.result or {}
    yield seed.name
    yield _count(result.get("steps", seed.steps[-1]["step"] if seed.steps else 0))
    yield _count(best.get("step"))
    for key in ("video", "frame"):
        area = best.get(key)
        yield f"{_figure(best.get(f'{key}_auroc'))} {_brackets(area)}".strip()
    yield _figure(_at(best, "video", "average_precision"))
    yield _figure(_at(best, "video", "equal_error_rate"))
    yield _figure(best.get("type_accuracy"))
    yield _figure(best.get("loss"))
    minutes, waiting = result.get("minutes"), result.get("waiting for data")
    yield f"{minutes:.1f}" if _is_number(minutes) else "–"
    yield f"{waiting:.0%}" if _is_number(waiting) else "–"


def _curves(about: Mapping[str, Any], seeds: Sequence[_Seed]) -> str:
    alone = _at(about, "columns_alone", "video_auroc")
    level = Level("columns alone", float(alone)) if _is_number(alone) else None
    areas = [
        Series(
            seed.name,
            _points(seed.validations, "video_auroc"),
            [
                (each["step"], *map(float, bounds))
                for each in seed.validations
                if _are_bounds(bounds := _at(each, "video", "interval"))
            ],
        )
        for seed in seeds
    ]
    terms, figures = (
        list(dict.fromkeys(name for seed in seeds for each in seed.steps for name in _map(each.get(key))))
        for key in ("terms", "told")
    )
    small = [
        chart("Loss of training, all terms", [Series(seed.name, _points(seed.steps, "loss")) for seed in seeds]),
        chart("Loss of validation", [Series(seed.name, _points(seed.validations, "loss")) for seed in seeds], dots=True),
        *(
            chart(f"Term: {name}", [Series(seed.name, _points(seed.steps, "terms", name)) for seed in seeds])
            for name in (terms if len(terms) > 1 else ())
        ),
        *(chart(titled(name), [Series(seed.name, _points(seed.steps, "told", name)) for seed in seeds]) for name in figures),
        chart("Learning rate", [Series(seed.name, _points(seed.steps, "rate")) for seed in seeds[:1]]),
        chart("Norm of the gradient", [Series(seed.name, _points(seed.steps, "norm")) for seed in seeds]),
    ]
    validated = chart("Video AUROC on validation, with its 95% interval over groups", areas, level, dots=True)
    return f'<h2>Curves</h2>{validated}<div class="pair">{"".join(small)}</div>'


def _points(logged: Sequence[Mapping[str, Any]], *keys: str) -> list[tuple[float, float]]:
    found = ((each["step"], _at(each, *keys)) for each in logged)
    return [(float(step), float(value)) for step, value in found if _is_number(value)]


def _left_out(about: Mapping[str, Any], seeds: Sequence[_Seed]) -> str:
    rows = [["the selection", why, _count(count)] for why, count in _map(_at(about, "rows", "left_out")).items()]
    for seed in seeds:
        for key, of in (("left_out", "validation"), ("left_out_by_terms", "terms of the loss, in validation")):
            found = _map((seed.best or {}).get(key))
            rows += [[f"{seed.name}: {of}", why, _count(count)] for why, count in found.items()]
        result = seed.result or {}
        for key, of in (
            ("left out by the order", "the order of training"),
            ("left out by terms", "terms of the loss, in training"),
        ):
            rows += [[f"{seed.name}: {of}", why, _count(count)] for why, count in _map(result.get(key)).items()]
        if result.get("rows skipped"):
            rows.append([f"{seed.name}: training", "cannot be read", _count(result["rows skipped"])])
    rows = [row for row in rows if row[-1] != "0"]
    if not rows:
        return "<h2>Rows left out</h2><p>None.</p>"
    return f"<h2>Rows left out</h2>{_table(('by', 'why', 'rows'), rows)}"


def _meaning(about: Mapping[str, Any], seeds: Sequence[_Seed]) -> str:
    best = next((seed.best for seed in seeds if seed.best is not None), None) or {}
    groups = best.get("groups")
    few = (
        f"<li class='warn'>The validation rows are of {groups} groups (identities, clips that belong together). So few say "
        "little: others could give any figure of the interval, and some beyond it.</li>"
        if isinstance(groups, int) and groups < FEW_GROUPS
        else ""
    )
    held = _at(about, "asked", "selection", "holdout")
    which = "groups of train that were held out" if held else "the corpus's validation split"
    return f"<h2>What these figures mean</h2><ul>{few}<li>They are of {which}, {_MEANING}</ul>"


def _use(about: Mapping[str, Any], run: Path) -> str:
    command = _at(about, "surroundings", "command") or ""
    name = run.resolve().name  # `--out .` has none
    place = shlex.quote(name)
    code = (
        "from mmidd.reference import open_trained\n\n"
        f"trained = open_trained({name + '/seed-0'!r})  # trained.network, and what it sees: trained.input\n"
    )
    return (
        "<h2>Going on</h2><p>The same command goes on where this run stopped:</p>"
        f"<pre>{told(command)}</pre><p>Its curves live: <code>tensorboard --logdir {told(place)}</code>. In Python:</p>"
        f"<pre>{''.join(told(line) + chr(10) for line in code.splitlines())}</pre>"
    )


def _configuration(about: Mapping[str, Any]) -> str:
    asked = _map(about.get("asked"))
    rows = [
        [f"{part}.{key}" if part else key, _shown(value)]
        for part, held in (
            ("options", _at(asked, "detector", "options")), ("settings", asked.get("settings")),
            ("selection", asked.get("selection")), ("data", asked.get("data")), ("", about.get("surroundings")),
        )
        for key, value in _map(held).items()
    ]  # fmt: skip
    return f"<h2>Configuration</h2><details><summary>All of it</summary>{_table(('key', 'value'), rows)}</details>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    head = "".join(f"<th>{told(each)}</th>" for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{told(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide {kind}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "–"


def _figure(value: Any) -> str:
    return f"{value:.3f}" if _is_number(value) else "–"


def _brackets(area: Any) -> str:
    bounds = _at(area, "interval")
    return f"[{bounds[0]:.2f}, {bounds[1]:.2f}]" if _are_bounds(bounds) else ""


def _are_bounds(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _interval(area: Any) -> str:
    told_it = _brackets(area)
    return f"{_figure(_at(area, 'auroc'))} {told_it}, 95% over groups" if told_it else "no interval: too few groups"


def _low(validation: Any) -> float | None:
    bounds = _at(validation, "video", "interval")
    return float(bounds[0]) if _are_bounds(bounds) else None


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return "none" if value is None else str(value)
