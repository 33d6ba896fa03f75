"""Tables of words: what the console, Markdown, LaTeX and HTML show alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmidd.evaluation.compare import Comparison
from mmidd.evaluation.comparing import Pair
from mmidd.evaluation.evaluate import Evaluated, Evaluation
from mmidd.evaluation.figures import Figure, shown
from mmidd.evaluation.leaks import Coverage
from mmidd.evaluation.measures import CALIBRATION, RANKING, THRESHOLDS, TYPES
from mmidd.evaluation.presented import ATTACKS
from mmidd.evaluation.presented_table import of_attacks
from mmidd.evaluation.subsets import ALL
from mmidd.evaluation.table import Table as Table
from mmidd.evaluation.table import word
from mmidd.schema import FORGERY_TYPES
from mmidd.statistics import RATES

ORDER = (
    *RANKING, *(f"{name}@{at}" for at in THRESHOLDS for name in RATES), *TYPES,
    *(f"{name}{end}" for end in ("", "_tempered") for name in CALIBRATION),
)  # fmt: skip
SCORED = ("rows", "reals scored", "fakes scored", "p")
_INTERVALS = 4
"""Up to so many columns a matrix shows intervals; all are in the long table."""


def of_evaluation(found: Evaluation) -> Iterator[Table]:
    """The most important first: what each file comes to, then its parts, then what several files show."""
    yield headlines(found.files)
    for each in found.files:
        yield figures(each)
        yield beside(each)
        yield coverage(each.coverage, f"{each.name}: rows with a score")
        yield from of_attacks(each)
        yield subsets(each)
        yield from matrices(each)
        yield from confusion(each)
        yield from gaps_of(each)
    yield from families(found)


def families(found: Evaluation) -> Iterator[Table]:
    """Degradations, and seeds."""
    if found.robustness:
        rows = tuple(
            (each.model, each.degradation, str(each.auroc), str(each.difference), _p(each.adjusted))
            for each in found.robustness
        )
        heads = ("detector", "degradation", "clip AUROC", "less the clean", "p (Holm)")
        yield Table("Robustness: clip AUROC, all clips count", heads, rows)
    if found.seeds:
        rows = tuple(
            (
                each.model,
                word(each.metric),
                shown(each.mean),
                f"{shown(each.low)} to {shown(each.high)}",
                str(len(each.values)),
            )
            for each in found.seeds
        )
        yield Table("Seeds of one detector: clips, all count", ("detector", "figure", "mean", "range", "seeds"), rows)


def headlines(files: Sequence[Evaluated]) -> Table:
    """One row a file."""
    rows = []
    for each in files:
        counted, scored = (each.figures("clip", policy)["auroc"] for policy in ("counted", "scored"))
        real, fake = each.coverage[0].share("real"), each.coverage[0].share("fake")
        rows.append(
            (
                each.name,
                str(counted),
                str(scored),
                str(each.leaks.clip),
                f"{percent(real)} / {percent(fake)}",
                str(counted.groups),
            )
        )
    heads = ("file", "clip AUROC, all count", "scored alone", "columns alone", "scored: reals / fakes", "groups")
    return Table("Clip AUROC, and what stands beside it", heads, tuple(rows))


def figures(each: Evaluated) -> Table:
    """Every figure of all rows: clips, frames; and of those that have a score, where any has none."""
    kinds = [("clip", "counted"), ("clip", "scored"), ("frame", "counted"), ("frame", "scored")]
    there = {(line.level, line.policy) for line in each.lines if line.subset == ALL}
    held = {kind: each.figures(kind[0], kind[1]) for kind in kinds if kind in there}
    heads = tuple(f"{level}s, {'all count' if policy == 'counted' else 'scored alone'}" for level, policy in held)
    rows, why = [], dict[str, dict[str, None]]()
    for metric in ORDER:
        cells = [found.get(metric) for found in held.values()]
        if any(cell is not None and cell.value is not None for cell in cells):
            rows.append((word(metric), *("" if cell is None else str(cell) for cell in cells)))
        for cell in cells:
            if cell is not None and cell.why and not (cell.value is not None and cell.interval):
                why.setdefault(cell.why, {})[word(metric)] = None
    known = {(line.level, line.policy, line.subset, line.metric): line.figure for line in each.lines}
    means = [known.get((*kind, "mean over datasets", "auroc")) for kind in held]
    rows.append(("mean AUROC over datasets", *("" if mean is None else str(mean) for mean in means)))
    for mean in means:
        if mean is not None:
            why.setdefault(mean.why, {})["mean AUROC"] = None
    notes = tuple(f"{', '.join(names)}: {reason}" for reason, names in why.items())
    return Table(f"{each.name}: figures", ("figure", *heads), tuple(rows), notes)


def beside(each: Evaluated) -> Table:
    """What leaks."""
    leaks, whole = each.leaks, each.coverage[0]
    (lost_real, reals), (lost_fake, fakes) = whole.lacking("real"), whole.lacking("fake")
    shared = "not looked at" if leaks.shared is None else f"{leaks.shared} of {leaks.train_groups:,} groups of train"
    rows = (
        ("the corpus's numeric columns alone, clip AUROC", f"{leaks.clip} {_why(leaks.clip)}".strip()),
        ("the same, frame AUROC", f"{leaks.frame} {_why(leaks.frame)}".strip()),
        (
            "clips without a score",
            f"{lost_real:,} of {reals:,} reals, {lost_fake:,} of {fakes:,} fakes, Fisher p {_p(whole.p)}",
        ),
        ("groups shared with train (must be none)", f"{shared}{f' ({leaks.why})' if leaks.why else ''}"),
        ("groups behind the clip figures", f"{each.named.clips.groups:,}"),
        ("threshold", str(each.chosen.operating) if each.chosen.operating else f"0.5 alone: {each.chosen.without}"),
    )
    return Table(f"{each.name}: what stands beside them", ("what", "found"), rows)


def coverage(found: Sequence[Coverage], title: str) -> Table:
    """By level and dataset, where something is missing."""
    lacking = [each for each in found if each.lacking("real")[0] or each.lacking("fake")[0]]
    whole = ", ".join(f"{each.level}s: {each.subset}" for each in found if each not in lacking)
    rows = tuple((f"{each.level}s: {each.subset}", *_scored(each)) for each in lacking)
    return Table(title, SCORED, rows, (f"every one has a score: {whole}",) if whole else ())


def _scored(each: Coverage) -> tuple[str, str, str]:
    """How many have a score, of each class, and p."""
    cells = []
    for label in ("real", "fake"):
        lost, total = each.lacking(label)
        cells.append(f"{total - lost:,} of {total:,} ({percent(each.share(label))})" if total else "none named")
    return cells[0], cells[1], _p(each.p)


def subsets(each: Evaluated) -> Table:
    """AUROC, clip and frame, of every subset."""
    rows, notes = [], []
    known = {(line.level, line.policy, line.subset, line.metric): line.figure for line in each.lines}
    for name in each.subsets():
        if name == ALL or name.startswith(("matrix", "mean", ATTACKS)):
            continue
        clip = known.get(("clip", "counted", name, "auroc"), Figure(None, why="no clips"))
        frame = known.get(("frame", "counted", name, "auroc"), Figure(None, why="no frames"))
        scored = known.get(("clip", "scored", name, "auroc"))
        rows.append((name, str(clip), str(scored or clip), str(frame), f"{clip.rows:,} / {clip.groups:,}"))
        if clip.why:
            notes.append(f"{name}: {clip.why}")
    heads = ("subset", "clips, all count", "scored alone", "frames, all count", "clips / groups")
    return Table(f"{each.name}: AUROC by subset", heads, tuple(rows), tuple(notes))


def matrices(each: Evaluated) -> Iterator[Table]:
    """Clips alone; frames are in the other files."""
    for found in each.matrices.get("clip", ()):
        wide = len(found.fakes) > _INTERVALS
        cells = (tuple(shown(cell.value, 2) if wide else str(cell) for cell in row) for row in found.cells)
        rows = tuple((name, *row) for name, row in zip(found.reals, cells, strict=True))
        policy = "all count" if found.policy == "counted" else "scored alone"
        note = f"mean off the diagonal: {found.off} {_why(found.off)}".strip()
        heads = ("reals of, fakes of:", *found.fakes)
        yield Table(
            f"{each.name}: clip AUROC of the reals of one dataset, the fakes of another, {policy}", heads, rows, (note,)
        )


def confusion(each: Evaluated) -> Iterator[Table]:
    found = each.confusion.get("clip")
    if found is not None:
        rows = tuple((name, *map(str, row)) for name, row in zip(FORGERY_TYPES, found, strict=True))
        yield Table(f"{each.name}: clips by type, and the type told", ("is, told:", *FORGERY_TYPES, "none"), rows)


def gaps_of(each: Evaluated) -> Iterator[Table]:
    if each.gaps:
        rows = tuple(
            (f"{gap.attribute}: {gap.value}", word(gap.metric), str(gap.figure), str(gap.others), str(gap.difference),
             _p(gap.adjusted))
            for gap in each.gaps
        )  # fmt: skip
        heads = ("clips with", "figure", "these", "others", "difference", "p (Holm)")
        notes = tuple(
            f"{gap.attribute}: {gap.value}, {word(gap.metric)}: {gap.difference.why}"
            for gap in each.gaps
            if gap.difference.why
        )
        yield Table(f"{each.name}: gaps between clips, all count", heads, rows, notes)


def of_comparison(found: Comparison) -> Iterator[Table]:
    """The ranking first."""
    for each in found.rankings:
        rows = tuple(
            (
                str(place),
                name,
                str(each.figures[name]),
                ", ".join(each.alike.get(name, ())) or ("none" if each.alike else "–"),
            )
            for place, name in enumerate(each.order, start=1)
        )
        heads = ("", "file", f"{found.level} AUROC", "not shown to differ from")
        yield Table(f"Ranking: {_policy(each.policy)}", heads, rows)
    pairs: list[tuple[str, ...]] = []
    for pair in found.pairs:
        pairs.append(
            (f"{pair.first} minus {pair.second}", _rows(pair.policy), word(pair.metric), str(pair.difference), _test(pair),
             "yes" if pair.apart else "no")
        )  # fmt: skip
    columns = ("pair", "rows", "figure", "difference", "p (Holm)", "differ")
    note = (
        "p after Holm over all pairs: of DeLong's test with whole groups for AUROC, of resamples of whole groups for the "
        "others and where that has none; DeLong's as if rows were independent, as others print it, is in the JSON and CSV"
    )
    whys = {f"{word(pair.metric)}: {pair.difference.why}": None for pair in found.pairs if pair.difference.why}
    at = dict.fromkeys(each for pair in found.pairs if pair.at for each in pair.at.split("; "))
    yield Table("Pairs", columns, tuple(pairs), (note, f"thresholds of the balanced accuracy: {'; '.join(at)}", *whys))
    covered = tuple((each.name, *_scored(one)) for each, one in zip(found.files, found.coverage, strict=True))
    yield Table(f"{found.level}s with a score", ("file", *SCORED[1:]), covered)


def _policy(name: str) -> str:
    return "all count, what has no score is wrong" if name == "counted" else f"of what is {name}"


def _rows(policy: str) -> str:
    return "all count" if policy == "counted" else policy


def _test(pair: Pair) -> str:
    return _p(pair.adjusted_clustered if pair.adjusted_clustered is not None else pair.adjusted_p)


def percent(share: float | None) -> str:
    """A share that is not all is never 100%."""
    if share is None:
        return "–"
    return "100%" if share == 1 else f"{min(share, 0.9999):.2%}"


def _p(value: float | None) -> str:
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def _why(figure: Figure) -> str:
    return f"({figure.why})" if figure.why else ""
