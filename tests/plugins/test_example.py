"""The package of docs/plugins.md: what the page shows is what is installed here, builds a corpus and trains on it."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from conftest import Said
from contract import test_reference_detectors as contract
from mmidd.detectors.explain.options import ExplainOptions
from mmidd.detectors.explain.rewards.chosen import chosen
from mmidd.detectors.explain.rewards.protocol import Asked
from PIL import Image
from training import corpora

import mmidd
from mmidd.corpus.verify import verify
from mmidd.explanations.reply import read as parsed
from mmidd.faces.choose import detector_identity
from mmidd.faces.detector import DetectorConfig
from mmidd.manifest import bundled
from mmidd.plugins import plugins
from mmidd.recipe import read
from mmidd.stages import caption, extract

from .conftest import Install

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(acme_faces/[\w./]+)`[^\n]*\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
(PROJECT,) = (tomllib.loads(text) for text in re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
RECIPE = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[-1]


def installed(install: Install, version: str = PROJECT["project"]["version"]) -> None:
    groups = PROJECT["project"]["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
    install(PROJECT["project"]["name"], "\n".join(lines), {"acme_faces/__init__.py": "", **FILES}, version)


def portraits(root: Path) -> None:
    for place, (side, person) in enumerate((side, person) for side in ("real", "fake") for person in ("001", "002")):
        pixels = np.random.default_rng(place).integers(0, 256, (200, 160, 3), np.uint8)
        (root / "AcmePortraits" / side).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "AcmePortraits" / side / f"{person}.png")


def test_the_page_s_package_is_listed_and_builds_a_corpus(install: Install, tmp_path: Path) -> None:
    assert sorted(FILES) == [
        f"acme_faces/{name}" for name in ("colour.py", "manifests/acme_portraits.yaml", "middle.py", "plain.py", "short.py")
    ]
    installed(install)
    mine = {(row.kind, row.name) for row in plugins().rows if row.source == "acme-faces" and row.version == "1.2"}
    assert mine == {
        ("face detector", "acme_middle"), ("captioner", "acme_plain"), ("datasets", "acme"),
        ("reference detector", "acme-colour"), ("reward", "acme-short"),
    }  # fmt: skip
    assert bundled()["Acme Portraits"].types == ("REAL", "FS")
    portraits(tmp_path / "data")
    (tmp_path / "acme.yaml").write_text(RECIPE, encoding="utf-8")
    mmidd.build(str(tmp_path / "acme.yaml"), data=tmp_path / "data", out=tmp_path / "corpus", workers=0)
    assert not verify(tmp_path / "corpus").findings
    rows = [row for file in (tmp_path / "corpus" / "data").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert sorted((row["label"], row["media"]) for row in rows) == [
        (0, "real/001.png"), (0, "real/002.png"), (1, "fake/001.png"), (1, "fake/002.png"),
    ]  # fmt: skip
    said = {(row["captioner"], row["face_caption"], row["environment_caption"]) for row in rows}
    assert said == {("acme-plain-1", "A face.", "A picture of 160 by 200 pixels.")}
    about = json.loads((tmp_path / "corpus" / "mmidd.json").read_text(encoding="utf-8"))
    assert about["libraries"]["acme-faces"] == "1.2" and about["recipe"]["detector"]["kind"] == "acme_middle"


def test_the_page_s_reference_detector_keeps_the_contract_and_is_trained_by_its_name(
    install: Install, tmp_path: Path, mmidd: Callable[..., Said]
) -> None:
    installed(install)
    for name, test in vars(contract).items():
        if name.startswith("test_") and inspect.signature(test).parameters.keys() == {"name"}:
            test("acme-colour")
    assert "Acme's mean colour (from acme-faces 1.2)" in mmidd("detectors", "acme-colour").out
    words = ("train", "acme-colour", str(corpora.corpus(tmp_path / "corpus")), "--out", str(tmp_path / "run"))
    said = mmidd(*words, "--preset", "tiny", "--set", "steps=2", "--set", "batch=8", "--workers", "0")
    assert said.code == 0 and "2 steps" in said.out, said.err
    assert list((tmp_path / "run").rglob("model.safetensors"))


def test_the_page_s_reward_is_chosen_by_its_name(install: Install) -> None:
    installed(install)
    options = ExplainOptions(rewards={"acme-short": 0.5})
    texts = [f"<think>{chain}</think><answer>fake</answer>" for chain in ("a seam", "word " * 21, "")]
    judged = chosen(options).judged(Asked(texts, [parsed(text, options.words) for text in texts], [1, 1, 0], options.words))
    assert judged.total == [0.5, 0, 0] and judged.counts == {"no reasons to count": 1}


def test_a_new_version_of_the_package_makes_its_crops_and_captions_stale(install: Install, tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(RECIPE, encoding="utf-8")
    found = []
    for version in ("1.2", "1.3"):  # the newer one lies first in the path
        installed(install, version)
        recipe = read(str(tmp_path / "acme.yaml"))
        crops, captions = (stage.ingredients(recipe, "cpu")["libraries"] for stage in (extract, caption))
        found.append((crops["acme-faces"], captions["plugin"]))
        assert detector_identity(DetectorConfig("acme_middle")).libraries["acme-faces"] == version
    assert found == [("1.2", "acme-faces 1.2"), ("1.3", "acme-faces 1.3")]
