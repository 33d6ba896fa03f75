"""Charts of an evaluation: ROC, precision and recall, reliability, the matrix of datasets, robustness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmidd.errors import MissingExtra
from mmidd.evaluation.compare import Comparison
from mmidd.evaluation.evaluate import Evaluation
from mmidd.evaluation.families import Degraded
from mmidd.evaluation.files import Named
from mmidd.evaluation.items import Items
from mmidd.evaluation.matrix import Matrix
from mmidd.show import printable
from mmidd.statistics import auroc, precision_recall, reliability, roc

_SETTINGS = {
    "svg.hashsalt": "mmidd",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "figure.constrained_layout.use": True,
}
_MOST_POINTS = 2000
_MOST_CELLS = 144
"""Of a matrix so many cells have their figures written into them."""

Draw = Callable[[Any], None]


def charts(found: Evaluation | Comparison, folder: Path) -> list[str]:
    """Write each as .svg and .png, and give the names of the former. Raises MissingExtra."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("evaluate", "charts") from error
    names = []
    for name, size, draw in _charts(found):
        with rc_context(_SETTINGS):
            figure = Figure(figsize=size)
            FigureCanvasAgg(figure)
            draw(figure)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
        names.append(f"{name}.svg")
    return names


def _charts(found: Evaluation | Comparison) -> Iterator[tuple[str, tuple[float, float], Draw]]:
    files = [each if isinstance(each, Named) else each.named for each in found.files]
    curves = [(file, file.clips.under("counted")) for file in files]
    both = [(file, items) for file, items in curves if len(np.unique(items.fake)) == 2]
    if both:
        yield "roc", (10, 4.6), lambda figure: _roc(figure, both)
        yield "precision-recall", (5.4, 4.6), lambda figure: _precision(figure, both)
    scored = [(file, file.clips.under("scored")) for file in files]
    if some := [(file, items) for file, items in scored if len(items)]:
        yield "reliability", (5.4, 4.6), lambda figure: _reliability(figure, some)
    if isinstance(found, Comparison):
        return
    for number, each in enumerate(found.files, start=1):
        for matrix in each.matrices.get("clip", ())[:1]:
            side = 2.5 + 0.55 * max(len(matrix.reals), len(matrix.fakes))
            name = "matrix" if len(found.files) == 1 else f"matrix-{number}"
            yield name, (side + 2, side), _of_matrix(matrix, each.name)
    if found.robustness:
        yield "robustness", (8, 4.6), lambda figure: _robustness(figure, found.robustness)


def _label(file: Named, items: Items) -> str:
    area = auroc(items.score, items.fake)
    return f"{_short(file.name)}{'' if area is None else f' ({area:.3f})'}"


def _short(text: str, most: int = 40) -> str:
    told = printable(text)
    return told if len(told) <= most else told[: most - 1] + "…"


def _thin(count: int) -> Any:
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).astype(int))


def _roc(figure: Any, files: Sequence[tuple[Named, Items]]) -> None:
    """Beside it with a logarithmic axis: where a detector would be used."""
    left, right = figure.subplots(1, 2)
    for file, items in files:
        curve = roc(items.score, items.fake, thin=True)
        if curve is not None:
            kept = _thin(len(curve))
            for axis in (left, right):
                axis.step(curve.x[kept], curve.y[kept], where="post", label=_label(file, items))
    least = min(0.1, 1 / max(1, max(int((~items.fake).sum()) for _, items in files)))
    left.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    right.set_xscale("log")
    right.xaxis.set_major_formatter(lambda value, _: f"{value:g}")  # its own one needs what "text.parse_math" turns off
    right.xaxis.set_minor_formatter(lambda value, _: "")
    right.set_xlim(least / 2, 1)
    for axis, title in ((left, "ROC of clips, all count"), (right, "the same, FPR logarithmic")):
        axis.set_xlabel("false positive rate")
        axis.set_ylabel("true positive rate")
        axis.set_title(title)
        axis.set_ylim(-0.02, 1.02)
        axis.grid(alpha=0.3)
    left.legend(loc="lower right", fontsize="small", title="AUROC in brackets", title_fontsize="small")


def _precision(figure: Any, files: Sequence[tuple[Named, Items]]) -> None:
    axis = figure.subplots()
    for file, items in files:
        curve = precision_recall(items.score, items.fake, thin=True)
        if curve is not None:
            kept = _thin(len(curve))
            axis.step(curve.x[kept], curve.y[kept], where="post", label=_short(file.name))
    share = float(files[0][1].fake.mean())
    axis.axhline(share, color="0.7", linestyle="--", linewidth=1, label=f"chance ({share:.2f} are fake)")
    axis.set(
        xlabel="recall", ylabel="precision", title="Precision and recall of clips, all count", xlim=(0, 1), ylim=(0, 1.02)
    )
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left", fontsize="small")


def _reliability(figure: Any, files: Sequence[tuple[Named, Items]]) -> None:
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    for file, items in files:
        bins = reliability(items.score, items.fake)
        means, shares = np.array([each.mean for each in bins]), np.array([each.share for each in bins])
        low = shares - np.array([each.interval[0] for each in bins])
        high = np.array([each.interval[1] for each in bins]) - shares
        around = np.maximum(0, np.stack([low, high]))
        axis.errorbar(means, shares, yerr=around, marker="o", markersize=3, capsize=2, linewidth=1, label=_short(file.name))
    axis.set(
        xlabel="score", ylabel="share that is fake", title="Reliability of clips that have a score", xlim=(0, 1), ylim=(0, 1)
    )
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left", fontsize="small")


def _of_matrix(matrix: Matrix, name: str) -> Draw:
    def draw(figure: Any) -> None:
        axis = figure.subplots()
        values = np.array([[np.nan if cell.value is None else cell.value for cell in row] for row in matrix.cells])
        picture = axis.imshow(values, vmin=0, vmax=1, cmap="RdYlBu")
        axis.set_xticks(range(len(matrix.fakes)), [_short(each, 24) for each in matrix.fakes], rotation=45, ha="right")
        axis.set_yticks(range(len(matrix.reals)), [_short(each, 24) for each in matrix.reals])
        if values.size <= _MOST_CELLS:
            for (i, j), value in np.ndenumerate(values):
                dark = value < 0.2 or value > 0.85
                axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
        axis.set(xlabel="fakes of", ylabel="reals of", title=f"Clip AUROC across datasets, all count: {_short(name)}")
        figure.colorbar(picture, ax=axis, shrink=0.8)

    return draw


def _robustness(figure: Any, found: Sequence[Degraded]) -> None:
    """One line a detector and kind of degradation; its clean figure as a dashed one."""
    axis = figure.subplots()
    told = list(dict.fromkeys(each.degradation for each in found))
    place = {name: at for at, name in enumerate(told)}
    for number, model in enumerate(dict.fromkeys(each.model for each in found)):
        mine = [each for each in found if each.model == model and each.auroc.value is not None]
        for kind in dict.fromkeys(each.degradation.partition("=")[0] for each in mine):
            some = [each for each in mine if each.degradation.partition("=")[0] == kind]
            x, y = [place[each.degradation] for each in some], np.array([each.auroc.value for each in some], np.float64)
            edges = [(each.auroc.low, each.auroc.high) if each.auroc.interval else (each.auroc.value,) * 2 for each in some]
            around = np.maximum(0, np.stack([y - np.array([a for a, _ in edges]), np.array([b for _, b in edges]) - y]))
            label = _short(model) if kind == mine[0].degradation.partition("=")[0] else None
            axis.errorbar(x, y, yerr=around, marker="o", capsize=2, color=f"C{number}", linewidth=1, label=label)
            if kind == "none":
                axis.axhline(y[0], color=f"C{number}", linestyle="--", linewidth=0.8, alpha=0.6)
    axis.set_xticks(range(len(told)), [_short(each, 24) for each in told], rotation=45, ha="right")
    axis.set(ylabel="clip AUROC", title="Robustness, all clips count, 95% over groups")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
