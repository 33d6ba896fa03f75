"""The dataset card: what Hugging Face reads from it, and that its numbers are those of the corpus."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import Build

from mmidd.corpus.card import DatasetFacts, ShardFacts, card, escape
from mmidd.curation.losses import Loss, measure
from mmidd.schema import COLUMNS, FORGERY_TYPES, SPLITS, features, media_schema


def _front(folder: Path) -> dict[str, Any]:
    _, front, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return dict(yaml.safe_load(front))


def _rows(folder: Path) -> Counter[tuple[str, str, str]]:
    """Samples of a corpus by dataset, type and split, counted from its shards."""
    found: Counter[tuple[str, str, str]] = Counter()
    for path in (folder / "data").iterdir():
        split = path.name.split("-")[0]
        table = pq.read_table(path, columns=["dataset", "forgery_type"])
        for dataset, kind in zip(table["dataset"].to_pylist(), table["forgery_type"].to_pylist(), strict=True):
            found[dataset, "unknown" if kind is None else FORGERY_TYPES[kind], split] += 1
    return found


def test_every_config_has_a_split_exactly_where_it_has_rows_and_states_their_number(built: Build) -> None:
    front, rows = _front(built.out), _rows(built.out)
    slugs = {path.name.split("-")[1] for path in (built.out / "data").iterdir()}
    assert {config["config_name"] for config in front["configs"]} == {"all", *slugs}
    assert [config["config_name"] for config in front["configs"] if config.get("default")] == ["all"]
    for config, info in zip(front["configs"], front["dataset_info"], strict=True):
        assert config["config_name"] == info["config_name"]
        files = {entry["split"]: sorted(built.out.glob(entry["path"])) for entry in config["data_files"]}
        assert list(files) == [split["name"] for split in info["splits"]] == [s for s in SPLITS if s in files]
        for split in info["splits"]:
            mine = files[split["name"]]
            assert split["num_examples"] == sum(pq.read_metadata(path).num_rows for path in mine) > 0
            assert split["num_bytes"] == sum(path.stat().st_size for path in mine)
        assert info["download_size"] == info["dataset_size"] == sum(split["num_bytes"] for split in info["splits"])
    totals = {split["name"]: split["num_examples"] for split in front["dataset_info"][0]["splits"]}
    assert totals == dict(Counter(split for _, _, split in rows.elements()))


def test_the_patterns_of_the_configs_share_no_file(built: Build) -> None:
    """`train-celeba-*` must not match `train-celeba-hq-*`: slugs have no hyphen."""
    configs = [config for config in _front(built.out)["configs"] if config["config_name"] != "all"]
    matched = [path for config in configs for entry in config["data_files"] for path in built.out.glob(entry["path"])]
    assert len(matched) == len(set(matched)) == len(list((built.out / "data").iterdir()))


def test_the_features_of_the_card_are_written_as_datasets_itself_writes_them(built: Build) -> None:
    datasets = pytest.importorskip("datasets")
    wanted = datasets.Features.from_dict(features())
    for info in _front(built.out)["dataset_info"]:
        assert info["features"] == wanted._to_yaml_list()
        assert datasets.Features._from_yaml_list(info["features"]) == wanted


def test_load_dataset_opens_the_folder_under_every_config(built: Build, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    wanted, rows = datasets.Features.from_dict(features()), _rows(built.out)
    slug = {facts: path.name.split("-")[1] for path in (built.out / "data").iterdir()
            for facts in pq.read_table(path, columns=["dataset"])["dataset"].unique().to_pylist()}  # fmt: skip
    cases = [(None, rows), ("all", rows)]
    cases += [(slug[name], Counter({key: n for key, n in rows.items() if key[0] == name})) for name in sorted(slug)]
    for config, mine in cases:
        found = datasets.load_dataset(str(built.out), config, cache_dir=str(tmp_path))
        assert {name: part.num_rows for name, part in found.items()} == dict(Counter(s for *_, s in mine.elements()))
        assert all(part.features == wanted for part in found.values())
    sample = found[next(iter(found))][0]
    assert sample["image"].size == (256, 256)


def test_the_tables_of_the_card_hold_the_counts_of_the_corpus(built: Build) -> None:
    text, rows = (built.out / "README.md").read_text(encoding="utf-8"), _rows(built.out)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    told: Counter[tuple[str, str, str]] = Counter()
    for dataset, kind, *counts in (line for line in lines if len(line) == 6 and line[2].isdecimal()):
        name = "unknown" if "unknown" in kind else kind.split(" ")[0]
        if dataset != "all":
            told.update({(dataset, name, split): int(n) for split, n in zip(SPLITS, counts, strict=False) if int(n)})
            assert sum(map(int, counts[:3])) == int(counts[3])
    assert told == rows
    assert f"{rows.total():,} samples of " in text
    assert {line[0] for line in lines} >= {column.name for column in COLUMNS}


def test_the_licences_of_datasets_and_of_the_detectors_weights_are_on_the_card(built: Build) -> None:
    text = (built.out / "README.md").read_text(encoding="utf-8")
    about = json.loads((built.out / "mmidd.json").read_text())
    assert f"| face detector mtcnn (weights) | {about['detector_licence']} |" in text
    for path in (built.out / "data").iterdir():
        for licence in pq.read_table(path, columns=["license"])["license"].unique().to_pylist():
            assert f"| {escape(licence)} |" in text


def test_the_manifest_names_every_file_and_no_place_of_this_machine(built: Build) -> None:
    text = (built.out / "mmidd.json").read_text()
    about = json.loads(text)
    present = {path.relative_to(built.out).as_posix() for path in built.out.rglob("*") if path.is_file()}
    assert set(about["files"]) == present - {"mmidd.json"}
    for place in (built.out, built.work, built.data, Path.home(), Path(__file__).parents[2]):
        assert str(place) not in text and str(place) not in (built.out / "README.md").read_text()
    assert about["recipe"] == built.recipe.published()
    assert about["models"] and all(len(digest) == 64 for digest in about["models"].values())


def _made(**names: str) -> str:
    facts = DatasetFacts(
        names.get("dataset", "D"), "d", 2020, names.get("citation", "c"), names.get("licence", "l"), "u", False
    )
    shards = [ShardFacts("data/train-d-00000-of-00001.parquet", 9, "0" * 64, 2, facts.name)]
    media = [
        {"dataset": facts.name, "media": "m", "method": names.get("method"), "label": "real", "outcome": "ok",
         "frames_planned": 2, "samples": 2}
    ]  # fmt: skip
    counts = {(facts.name, "REAL", "train"): 2}
    lost = measure(
        _lost(facts.name, f"{label}{i}", names.get("method") or "M") for label in ("real", "fake") for i in range(20)
    )
    table = pa.Table.from_pylist(media, media_schema())
    return card("r", names.get("description", ""), [facts], shards, counts, table, lost, {"kind": "k", "licence": "w"})


def _lost(dataset: str, media: str, method: str) -> Loss:
    """A real that lost nothing, or a fake that gave nothing."""
    fake = media.startswith("fake")
    return Loss(
        dataset, media, "fake" if fake else "real", "FS" if fake else "REAL", method if fake else None, None, 4, 4 * fake, 0,
        {"no_face": 4} if fake else {},
    )  # fmt: skip


def test_a_difference_between_real_and_fake_is_flagged_on_the_card_with_both_counts() -> None:
    text = _made().replace("\\", "")
    (line,) = (line for line in text.splitlines() if "Flagged" in line)
    assert line.startswith("- **Flagged:** D, M: 20 of 20 fakes (100.0%)") and "0 of 20 reals (0.0%)" in line
    assert "| class |  | FS | 20 | 20 | 100.0% (83.9% to 100.0%) | 20 | 80 | 80 | 100.0% | no_face 80 |" in text


def test_a_corpus_without_a_difference_says_so_and_lists_its_losses(built: Build) -> None:
    text = (built.out / "README.md").read_text(encoding="utf-8")
    summary = json.loads((built.out / "mmidd.json").read_text())["losses"]
    assert summary["flagged"] == [] and "Flagged" not in text
    assert f"No significant difference in {summary['compared']} comparisons." in text
    media = pq.read_table(built.out / "media.parquet").to_pylist()
    extracted = [row for row in media if row["frames_planned"] is not None]
    lost = sum(row["frames_dropped"] + row["frames_failed"] for row in extracted)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| class |")]
    assert sum(int(row[3]) for row in cells) == len(extracted)
    assert sum(int(row[7]) for row in cells) == sum(row["frames_planned"] for row in extracted)
    assert sum(int(row[8]) for row in cells) == lost


@pytest.mark.parametrize("where", ["method", "licence", "citation", "description"])
def test_a_name_from_outside_cannot_break_out_of_its_place(where: str) -> None:
    text = _made(**{where: "a | b\n# heading <script> [x](javascript:1) `c` \x1b[31m"})
    plain = _made()
    assert len(text.splitlines()) - len(plain.splitlines()) in (0, 2)
    assert "<script>" not in text.replace("\\<script", "") and "\x1b" not in text and "\n# heading" not in text
    front = yaml.safe_load(text.split("---\n", 2)[1])
    assert front == yaml.safe_load(plain.split("---\n", 2)[1])
