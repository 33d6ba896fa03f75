"""The front matter: what the Hub's own classes read of it, and what `datasets` loads by it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from mmidd.schema import SPLITS, features
from mmidd.share.publication.opened import open_publication


def front(folder: Path) -> dict[str, Any]:
    """The front matter of the card of a publication."""
    _, text, _ = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_hub_reads_it_and_it_stands_first_and_short(published: Path) -> None:
    cards = pytest.importorskip("huggingface_hub")
    text = (published / "README.md").read_text(encoding="utf-8")
    data = cards.DatasetCard(text).data
    assert (data.license, data.license_name) == ("other", "terms-of-each-source")
    assert data.license_link == "https://huggingface.co/datasets/my-lab/faces/blob/main/LICENSES.md"
    assert data.pretty_name == "faces" and data.annotations_creators == ["machine-generated"]
    assert cards.DatasetCardData(**data.to_dict()).to_dict() == data.to_dict()
    assert text.isascii() or text.split("---\n", 2)[1].isascii()
    assert len(text.split("---\n", 2)[1]) < 20_000
    assert list(front(published))[:3] == ["pretty_name", "license", "license_name"]


def test_who_asks_for_access_is_told_what_is_agreed_to(published: Path) -> None:
    found = front(published)
    prompt = found["extra_gated_prompt"]
    assert all(word in prompt for word in ("LICENSES.md", "find out who is shown", "delete", "warranty"))
    assert ("pixels are not here" in prompt) == (not open_publication(published).complete)
    kinds = [each["type"] if isinstance(each, dict) else each for each in found["extra_gated_fields"].values()]
    assert set(kinds) == {"text", "country", "select", "checkbox"} and kinds.count("checkbox") == 3
    assert {"extra_gated_heading", "extra_gated_button_content"} <= set(found)


def test_every_config_names_the_files_and_rows_that_are_there(published: Path) -> None:
    found, opened = front(published), open_publication(published)
    names = [config["config_name"] for config in found["configs"]]
    slugs = [each.slug for each in opened.about.terms]
    between = [] if opened.complete else ["labels", "pixels"] if opened.pixels else ["labels"]
    assert names == ["all", *between, *slugs] and "data" not in names
    assert [config["config_name"] for config in found["configs"] if config.get("default")] == ["all"]
    for config, info in zip(found["configs"], found["dataset_info"], strict=True):
        files = {each["split"]: sorted(published.glob(each["path"])) for each in config["data_files"]}
        assert config["config_name"] == info["config_name"] and list(files) == [split for split in SPLITS if split in files]
        for split in info["splits"]:
            mine = files[split["name"]]
            assert split["num_examples"] == sum(pq.read_metadata(path).num_rows for path in mine) > 0
            assert split["num_bytes"] == sum(path.stat().st_size for path in mine)
        assert info["download_size"] == sum(split["num_bytes"] for split in info["splits"])
        folder = "data" if config["config_name"] == "pixels" or opened.complete else None
        pixels = {each.slug for each in opened.about.terms if each.pixels}
        folder = folder or ("data" if config["config_name"] in pixels else "labels")
        assert all(path.parent.name == folder for paths in files.values() for path in paths)


def test_load_dataset_opens_every_config_with_its_features(published: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    opened, found = open_publication(published), front(published)
    with_pixels = datasets.Features.from_dict(features())
    for info in found["dataset_info"]:
        loaded = datasets.load_dataset(str(published), info["config_name"], cache_dir=str(tmp_path))
        assert {name: part.num_rows for name, part in loaded.items()} == {
            each["name"]: each["num_examples"] for each in info["splits"]
        }
        part = next(iter(loaded.values()))
        if "image" in part.features:
            assert part.features == with_pixels and part[0]["image"].size == (256, 256)
        else:
            assert "image_sha256" in part.features and len(part[0]["probes"]) == 128
        if "features" in info:
            assert info["features"] == part.features._to_yaml_list()
    rows = Counter(opened.rows(["dataset"])["dataset"].to_pylist())
    whole = datasets.load_dataset(str(published), cache_dir=str(tmp_path))
    assert Counter(name for part in whole.values() for name in part["dataset"]) == rows


def test_no_config_of_a_dataset_takes_the_name_of_another(mixed: Path) -> None:
    from dataclasses import replace

    from mmidd.share.card.facts import Source

    terms = open_publication(mixed).about.terms[0]
    slugs = ("all", "data", "labels", "pixels", "ffhq", "dataset_data")
    named = {slug: Source(replace(terms, slug=slug), None, {}).config for slug in slugs}
    assert named == {
        "all": "dataset_all", "data": "dataset_data", "labels": "dataset_labels", "pixels": "dataset_pixels", "ffhq": "ffhq",
        "dataset_data": "dataset_dataset_data",
    }  # fmt: skip


def test_its_globs_take_no_file_of_another_dataset(mixed: Path) -> None:
    own = [each for each in front(mixed)["configs"] if not re.fullmatch("all|labels|pixels", each["config_name"])]
    for config in own:
        for each in config["data_files"]:
            assert all(f"-{config['config_name']}-" in path.name for path in mixed.glob(each["path"]))
