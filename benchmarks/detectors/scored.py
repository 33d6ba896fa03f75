"""A finished run on rows that nothing was chosen by, and columns alone on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmidd.corpus.read import Corpus
from mmidd.reference import open_trained
from mmidd.runs.columns_alone import alone
from mmidd.runs.data import Selection, dataset, seen
from mmidd.runs.processes import here
from mmidd.runs.settings import Settings
from mmidd.runs.validation import validate
from mmidd.training.select import select


def tested(corpus: Path, run: Path, seeds: list[int]) -> dict[str, Any]:
    """Of each seed's network, which was kept for its validation: AUROC on the test split. Of columns alone: on both
    splits."""
    whole, found = Corpus(corpus), []
    test = select(whole, split="test")
    for seed in seeds:
        opened = open_trained(run / f"seed-{seed}")
        settings = Settings(**opened.about["asked"]["settings"])
        found.append(validate(opened.network, dataset(test, opened.input), settings, here("cpu")).document())
    rows = seen(whole, Selection(**opened.about["asked"]["selection"]), settings)
    of_test = alone(rows.train, test, settings, opened.input.frames)
    columns = {"validation": opened.about["columns_alone"], "test": of_test.document() if of_test else None}
    return {"test": found, "columns_alone": columns, "network": opened.about["network"]}


def splits(corpus: Path) -> dict[str, Any]:
    """Of each split rows, media and groups, and how many groups are in more than one."""
    whole, found = Corpus(corpus), {}
    groups: dict[str, set[str]] = {}
    for split in whole.splits:
        table = whole.part(split).rows(["dataset", "media", "group"]).to_pylist()
        groups[split] = {row["group"] or f"{row['dataset']}/{row['media']}" for row in table}
        media = {(row["dataset"], row["media"]) for row in table}
        found[split] = {"rows": len(table), "media": len(media), "groups": len(groups[split])}
    every = [group for each in groups.values() for group in each]
    return {"splits": found, "groups_in_two": len(every) - len(set(every))}
