"""What the manifests tell people: the table, a dataset's page, docs/datasets.md; and a dataset added as the docs say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said

from mmidd.errors import ManifestError
from mmidd.manifest import bundled, find_manifest, shipped
from mmidd.manifest.catalogue import COMMAND, describe, page, rows, tree

Run = Callable[..., Said]
DOCS = Path(__file__).parents[2] / "docs"
ADDING = (DOCS / "adding-a-dataset.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```yaml (\S+)\n(.*?)^```", ADDING, re.MULTILINE | re.DOTALL))
PATHS = ["real/0001.png", "real/0002.png", "real/0003.png", "fake/swapper/0001_0002.png", "fake/painter/0003.png"]


def test_the_page_of_datasets_is_what_the_manifests_say() -> None:
    written = (DOCS / "datasets.md").read_text(encoding="utf-8")
    assert written == page(shipped()), f"docs/datasets.md is out of date; run: {COMMAND}"


def test_the_command_writes_the_page() -> None:
    done = subprocess.run([sys.executable, "-m", "mmidd.manifest.catalogue"], capture_output=True, check=True)
    assert done.stdout.decode("utf-8") == page(shipped())


def test_the_page_has_a_row_and_a_section_for_every_dataset() -> None:
    text = page(shipped())
    for manifest in shipped().values():
        assert f"\n| {manifest.name} | {manifest.year} |" in text and f"\n## {manifest.name}\n" in text


COUNTS = [
    ("FaceForensics++", 1000 + 363 + 5000 + 3068, 1363, 8068),
    ("Celeb-DF-v2", 6529, 890, 5639),
    ("DFDC", 119154 + 4000 + 5000, 23654, 104500),
    ("CelebA", 202599, 202599, None),
    ("FFHQ", 70000, 70000, None),
]


@pytest.mark.parametrize(("name", "media", "real", "fake"), COUNTS)
def test_counts_are_those_of_the_release_and_count_nothing_twice(name: str, media: int, real: int, fake: int | None) -> None:
    (row,) = (row for row in rows(None) if row["name"] == name)
    assert (row["media"], row["real"], row["fake"]) == (media, real, fake)


def test_the_tree_shows_folders_once_and_what_stands_in_them() -> None:
    assert tree(find_manifest("Celeb-DF-v2")) == [
        "Celeb-DF-v2/",
        "|-- Celeb-real/",
        "|   |-- {target}_{clip}.mp4              real (or 1 other form)",
        "|   `-- frames/{target}_{clip}           real",
        "|-- YouTube-real/",
        "|   |-- {youtube}.mp4                    real (or 1 other form)",
        "|   `-- frames/{youtube}                 real",
        "|-- Celeb-synthesis/",
        "|   |-- {target}_{source}_{clip}.mp4     fake, Celeb-DF (or 1 other form)",
        "|   `-- frames/{target}_{source}_{clip}  fake, Celeb-DF",
        "`-- List_of_testing_videos.txt           label file",
    ]
    assert "|-- {part}/" in tree(find_manifest("DFDC"))
    assert "|   |-- {clip}.mp4     real / fake" in tree(find_manifest("DFDC"))


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_dataset_s_page_says_how_it_lies_how_it_is_had_and_what_is_wrong_with_it(name: str) -> None:
    manifest, text = find_manifest(name), " ".join(describe(name)["text"].split())
    assert manifest.folders[0] in text and " ".join(manifest.citation.split()) in text
    assert " ".join(manifest.access.split()) in text and manifest.licence.url in text
    for defect in manifest.known_defects:
        assert " ".join(defect.split()) in text
    assert ("not verified:" in text) is not manifest.verified


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of manifests as the page lays it out."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    for name in ("tiny_portraits.yaml", "methods.yaml"):
        (folder / name).write_text(FILES[name])
    monkeypatch.setenv("MMIDD_MANIFESTS", str(folder))
    return folder


def _disk(root: Path) -> Path:
    for path in PATHS:
        place = root / "data" / "TinyPortraits" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.encode())
    (root / "data/TinyPortraits/split.csv").write_text("name,part\n0001,learn\n0002,learn\n0003,judge\n")
    (root / "tiny.yaml").write_text(FILES["tiny.yaml"])
    return root / "data"


def test_a_dataset_added_as_the_page_says_is_listed_indexed_and_clean(mmidd: Run, mine: Path, tmp_path: Path) -> None:
    data = _disk(tmp_path)
    (row,) = (row for row in mmidd("datasets", "--data", str(data), "--json").document if row["found"])
    assert (row["name"], row["media"], row["types"]) == ("Tiny Portraits", 5, ["REAL", "FS", "EFS"])
    words = ["index", str(tmp_path / "tiny.yaml"), "--data", str(data), "--work", str(tmp_path / "work"), "--check"]
    said = mmidd(*words, "--json")
    (found,) = said.document["datasets"]
    assert said.code == 0 and found["clean"] and found["files"] == 6
    assert {(each["method"], each["split"]): each["found"] for each in found["counts"]} == {
        (None, "train"): 2, (None, "test"): 1, ("TinySwap", "train"): 1, ("TinyPaint", "test"): 1,
    }  # fmt: skip
    assert "all as in the official releases" in mmidd(*words).out
    (data / "TinyPortraits/real/0003.png").unlink()
    said = mmidd(*words, "--json")
    (found,) = said.document["datasets"]
    told = {each["kind"]: each["names"] for each in found["findings"]}
    assert said.code == 4 and told == {"real not on disk": ["fake/painter/0003.png"]}
    assert [each["difference"] for each in found["expected"]] == [-1, 0, 0]


def test_the_page_s_program_prints_every_medium_with_its_pair(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _disk(tmp_path).rename(tmp_path / "DATA")
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"^```python\n(.*?)^```", ADDING, re.MULTILINE | re.DOTALL)
    exec(compile(program, "adding-a-dataset.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [re.findall(r" media='(.*?)'.* pair_media='?(.*?)'?,", line) for line in lines] == [
        [("fake/painter/0003.png", "real/0003.png")],
        [("fake/swapper/0001_0002.png", "real/0001.png")],
        *([(f"real/000{number}.png", "None")] for number in (1, 2, 3)),
    ]


def test_without_the_variable_nothing_of_it_is_known_and_the_page_never_shows_it(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Tiny Portraits" in bundled() and "Tiny Portraits" not in page(shipped())
    monkeypatch.delenv("MMIDD_MANIFESTS")
    assert "Tiny Portraits" not in bundled()


CLASHES = [
    ("tiny_portraits.yaml", "name: Tiny Portraits", "name: FFHQ", "a second manifest is named FFHQ"),
    ("tiny_portraits.yaml", "slug: tiny_portraits", "slug: celeba", "'celeba' already names CelebA"),
    ("tiny_portraits.yaml", "[TinyPortraits]", "[ffhq-dataset]", "'ffhq-dataset' already names FFHQ"),
    ("methods.yaml", "TinySwap:", "Deepfakes:", "'deepfakes' already names method 'Deepfakes'"),
    ("tiny_portraits.yaml", "pair:", "pairs:", "did you mean 'pair'?"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), CLASHES)
def test_a_clash_or_a_fault_in_a_manifest_of_one_s_own_is_an_error_that_names_the_file(
    mine: Path, file: str, old: str, new: str, message: str
) -> None:
    (mine / file).write_text((mine / file).read_text().replace(old, new))
    with pytest.raises(ManifestError, match=re.escape(message)) as error:
        bundled()
    assert str(mine / file) in str(error.value)


def test_a_folder_of_manifests_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MMIDD_MANIFESTS", str(tmp_path / "absent"))
    with pytest.raises(ManifestError, match="MMIDD_MANIFESTS names"):
        bundled()
