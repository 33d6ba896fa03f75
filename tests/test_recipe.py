"""Recipes: what parses, what is refused with file, line, key and the nearest known key, and what settings change."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from mmidd.errors import MmiddError, RecipeError, UsageError
from mmidd.recipe import LATER, PRESETS, Part, Recipe, bundled, parse, read

BASE = "name: t\ndatasets: [CelebA]\n"


def _error(text: str, *settings: str) -> str:
    with pytest.raises(MmiddError) as caught:
        parse(text, "r.yaml", settings)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(bundled()))
def test_every_bundled_recipe_parses_under_its_own_name(name: str) -> None:
    assert read(name).name == name


def test_the_bundled_recipes_are_the_promised_ones_with_the_promised_detectors() -> None:
    papers = ("ff++", "lnclip", "lnclip-test", "mmi-dd", "mmi-dd-test")
    faces = ("ocim", "oulu-p1", "oulu-p1-test", "oulu-p2", "oulu-p2-test")
    wanted = {**dict.fromkeys(papers, "yunet"), **dict.fromkeys((*faces, "sample"), "mtcnn")}
    assert {name: read(name).detector.kind for name in bundled()} == wanted


def test_defaults_are_those_of_the_issue() -> None:
    recipe = parse(BASE, "r.yaml")
    assert (recipe.frames.count, recipe.frames.spacing) == (32, "even")
    assert (recipe.crop.size, recipe.crop.margin, recipe.crop.pairs) == (256, 1.3, "shared")
    assert (recipe.image.format, recipe.image.quality, recipe.image.subsampling) == ("jpeg", 95, "444")
    assert (recipe.detector.kind, recipe.captioner.kind, recipe.decoder) == ("mtcnn", "attributes", "pyav")


ONE = "name: t\ndatasets: [{{name: FaceForensics++, {}}}]\n"
FAULTS = [
    ("name: t\ndatsets: [CelebA]\n", "r.yaml:2: key 'datsets': unknown; did you mean 'datasets'?"),
    ("datasets: [CelebA]\n", "r.yaml:1: key 'name': missing"),
    (BASE + "crop:\n  margin: 1.3\n  sise: 3\n", "r.yaml:5: key 'sise': unknown; did you mean 'size'?"),
    (BASE + "crop: {size: big}\n", "r.yaml:3: key 'crop.size': input should be a valid integer"),
    (BASE + "crop: {size: 8}\n", "r.yaml:3: key 'crop.size': input should be greater than or equal to 32 (got 8)"),
    (BASE + "seed: 1.5\n", "r.yaml:3: key 'seed': input should be a valid integer (got 1.5)"),
    (BASE + "seed: '3'\n", "r.yaml:3: key 'seed': input should be a valid integer (got '3')"),
    (BASE + "seed: true\n", "r.yaml:3: key 'seed': input should be a valid integer (got True)"),
    (BASE + "seed:\n", "r.yaml:3: key 'seed': input should be a valid integer (got nothing)"),
    (
        BASE + "curation: {exact_duplicates: yes}\n",
        "r.yaml:3: key 'curation.exact_duplicates': input should be a valid boolean",
    ),
    (BASE + "crop: {margin: nan}\n", "r.yaml:3: key 'crop.margin': input should be a valid number (got 'nan')"),
    (BASE + "time_limit: 1e400\n", "r.yaml:3: key 'time_limit': input should be a finite number"),
    (BASE + "frames: 32\n", "r.yaml:3: frames: expected keys with values (`key: value`)"),
    (BASE + "detector: mtcn\n", "r.yaml:3: key 'detector.kind': input should be 'mtcnn', 'yunet', 'scrfd' or "),
    (BASE + "detector: mtcn\n", "'insightface'; did you mean 'mtcnn'? (got 'mtcn')"),
    (
        BASE + "detector: insightface\n",
        "r.yaml:3: key 'detector': the detector insightface needs a pack: --set",
    ),
    (BASE + "detector:\n  kind: yunet\n  pack: buffalo_s\n", "r.yaml:3: key 'detector': the detector yunet takes no pack"),
    (
        BASE + "decoder: torchcodek\n",
        "r.yaml:3: key 'decoder': input should be 'pyav', 'decord' or 'torchcodec'; did",
    ),
    (BASE + "captioner: {kind: gpt}\n", "r.yaml:3: key 'captioner.kind': input should be 'attributes'"),
    (BASE + "preset: deepfake\n", "r.yaml:3: key 'preset': input should be 'deepfakebench' (got 'deepfake')"),
    (BASE + "shards: {max_bytes: 500MB}\n", "r.yaml:3: key 'shards.max_bytes': input should be a valid integer"),
    (BASE + "curation:\n  splits: {train: 0.5}\n", "r.yaml:4: key 'curation.splits': train + validation + test must be 1"),
    ("name: a/b\ndatasets: [CelebA]\n", "r.yaml:1: key 'name': string should match pattern"),
    ("name: t\ndatasets: []\n", "r.yaml:2: key 'datasets': at least one dataset is needed"),
    ("name: t\ndatasets: CelebA\n", "r.yaml:2: key 'datasets': input should be a list (got 'CelebA')"),
    (
        "name: t\ndatasets:\n  - CelebA\n  - Celebb\n",
        "r.yaml:4: key 'datasets[1].name': dataset 'Celebb': unknown; did you mean",
    ),
    ("name: t\ndatasets:\n  - CelebA\n  - {name: FFHQ, subset: 2}\n", "r.yaml:4: key 'datasets[1].subset': input should be"),
    (
        ONE.format("splits: [train, tests]"),
        "r.yaml:2: key 'datasets[0].splits': input should be 'train', 'validation', 'test' or 'none'",
    ),
    (ONE.format("splits: test"), "r.yaml:2: datasets[0].splits: expected keys with values"),
    (ONE.format("splits: []"), "r.yaml:2: key 'datasets[0].splits': name at least one split, or leave the key out"),
    (ONE.format("splits: {none: test}"), "what has no official split goes by curation.splits (none: none)"),
    (ONE.format("splits: {test: none}"), "what has no official split goes by curation.splits (none: none)"),
    (ONE.format("methods: [Deepfake]"), "method of FaceForensics++ 'Deepfake': unknown; did you mean 'Deepfakes'?"),
    (
        ONE.format("methods: [SimSwap]"),
        "r.yaml:2: key 'datasets[0].methods': method of FaceForensics++ 'SimSwap': unknown; ",
    ),
    ("name: t\ndatasets: [CelebA, celeba]\n", "r.yaml:2: key 'datasets': named twice: CelebA"),
    (BASE + "name: u\n", "r.yaml:3: key 'name' is already on line 1"),
    ("name: &x t\ndatasets: [*x]\n", "r.yaml:1: anchors and aliases"),
    (BASE + "frames: !!python/object:os.system {}\n", "r.yaml:3: tags"),
    (BASE + "crop: [\n", "r.yaml:4: "),
    ("", "r.yaml: a recipe is a mapping of keys, this is empty"),
    ("- CelebA\n", "r.yaml: a recipe is a mapping of keys, this is a list"),
    ("3\n", "r.yaml: a recipe is a mapping of keys, this is a number"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_a_fault_is_told_with_file_line_and_key(text: str, message: str) -> None:
    assert message in _error(text).splitlines()[-1]


def test_every_fault_of_a_recipe_is_told_at_once_in_order_of_line() -> None:
    lines = _error("nam: t\ndatasets: [3]\ncrop: {size: 8}\n").splitlines()
    assert [line.split(": ")[0] for line in lines] == ["r.yaml:1", "r.yaml:1", "r.yaml:2", "r.yaml:3"]


SETTINGS = [
    ("seed=7", "seed", 7),
    ("crop.margin=1.5", "crop.margin", 1.5),
    ("crop.margin=2", "crop.margin", 2.0),
    ("crop={size: 128}", "crop.size", 128),
    ("detector=yunet", "detector.kind", "yunet"),
    ("detector.kind=scrfd", "detector.kind", "scrfd"),
    ("captioner=none", "captioner.kind", "none"),
    ("captioner.kind=openai", "captioner.kind", "openai"),
    ("curation.exact_duplicates=false", "curation.exact_duplicates", False),
    ("description=a=b", "description", "a=b"),
    ("preset=deepfakebench", "image.format", "png"),
]


@pytest.mark.parametrize(("setting", "key", "value"), SETTINGS)
def test_a_setting_changes_its_key_and_keeps_the_rest(setting: str, key: str, value: object) -> None:
    text = BASE + "crop: {border: reflect}\ncaptioner: {kind: transformers, model: m}\n"
    recipe = parse(text, "r.yaml", [setting])
    found: object = recipe
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value and type(found) is type(value)
    assert recipe.crop.border == "reflect"


def test_settings_follow_each_other_and_the_last_word_counts() -> None:
    recipe = parse(BASE, "r.yaml", ["detector=yunet", "detector.size=320", "seed=1", "seed=2"])
    assert (recipe.detector.kind, recipe.detector.size, recipe.seed) == ("yunet", 320, 2)


def test_settings_that_are_right_only_together_are_taken_together() -> None:
    recipe = parse(BASE, "r.yaml", ["curation.splits.train=0.9", "curation.splits.validation=0"])
    assert recipe.curation.splits.model_dump() == {"train": 0.9, "validation": 0.0, "test": 0.1}


BAD_SETTINGS = [
    (["seed"], UsageError, "--set takes key=value"),
    (["=3"], UsageError, "--set takes key=value"),
    (["seed="], RecipeError, "--set seed=: key 'seed': input should be a valid integer (got nothing)"),
    (["sed=3"], RecipeError, "--set sed=3: key 'sed': unknown; did you mean 'seed'?"),
    (["border=reflect"], RecipeError, "--set border=reflect: key 'border': unknown; did you mean 'crop.border'?"),
    (["min_face=3"], RecipeError, "--set min_face=3: key 'min_face': unknown; did you mean 'detector.min_face'?"),
    (["crop.sise=3"], RecipeError, "--set crop.sise=3: key 'sise': unknown; did you mean 'size'?"),
    (["seed=1", "crop.size=big"], RecipeError, "--set crop.size=big: key 'crop.size': input should be a valid integer"),
    (["detector=yunt"], RecipeError, "--set detector=yunt: key 'detector.kind': input should be"),
    (["seed.x=1"], RecipeError, "--set seed.x=1: key 'seed': input should be a valid integer"),
    (["datasets=FFHQ"], RecipeError, "--set datasets=FFHQ: key 'datasets': input should be a list"),
    (["name=&x y"], MmiddError, "--set name:1: anchors and aliases"),
]


@pytest.mark.parametrize(("settings", "kind", "message"), BAD_SETTINGS)
def test_a_bad_setting_is_named(settings: list[str], kind: type[MmiddError], message: str) -> None:
    with pytest.raises(kind) as caught:
        parse(BASE, "r.yaml", settings)
    assert str(caught.value).startswith(message)


def test_a_preset_is_laid_under_the_keys_that_are_written() -> None:
    recipe = parse(BASE + "preset: deepfakebench\ncrop: {margin: 1.5}\n", "r.yaml", ["frames.count=8"])
    assert (recipe.crop.margin, recipe.frames.count) == (1.5, 8)
    assert (recipe.crop.pairs, recipe.frames.spacing, recipe.image.format) == ("independent", "linspace", "png")


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_holds_only_known_keys(preset: str) -> None:
    assert parse(BASE + f"preset: {preset}\n", "r.yaml").preset == preset


@pytest.mark.parametrize("name", ["faceforensics++", "faceforensics", "FaceForensics++"])
def test_a_dataset_answers_to_all_its_names_and_keeps_its_options(name: str) -> None:
    (entry,) = parse(f"name: t\ndatasets: [{{name: {name}, frames: 4}}]\n", "r.yaml").datasets
    assert (entry.name, entry.frames) == ("FaceForensics++", 4)


def test_splits_and_methods_of_a_dataset_have_short_forms_and_other_names() -> None:
    entry = parse(ONE.format("splits: [test, none], methods: [df, Face2Face, DF]"), "r.yaml").datasets[0]
    assert entry.splits == {"test": "test", "none": "none"}
    assert entry.methods == ("Deepfakes", "Face2Face")
    assert parse(ONE.format("splits: {validation: test}, methods: []"), "r.yaml").datasets[0].methods == ()


def test_a_recipe_cannot_be_changed() -> None:
    recipe = parse(BASE, "r.yaml")
    for part, key in ((recipe, "seed"), (recipe.crop, "size"), (recipe.datasets[0], "name")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, key, getattr(part, key))


PUBLISHED = {"ff++": "8a134b5e637fecce", "sample": "a4c34a6c58e90846"}
DUMPED = {"ff++": "0f958f5deba66e27", "sample": "e5e32da9937e2125"}
"""Of the recipes that say now what they said then."""


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_is_written_as_it_was_before_there_were_later_keys(name: str) -> None:
    """In this order of keys, too: work folders and corpora of older versions hold it."""
    recipe = read(name)
    assert (_digest(recipe.published()), _digest(recipe.model_dump(mode="json"))) == (PUBLISHED[name], DUMPED[name])


def test_a_later_key_is_written_only_where_it_is_not_at_its_default() -> None:
    class Inner(Part):
        old: int = 1
        new: Annotated[int, LATER, Field(ge=0)] = 2

    class Outer(Part):
        inner: Inner = Inner()
        more: Annotated[Inner, LATER] = Inner()
        few: Annotated[tuple[int, ...], LATER, Field(strict=False)] = ()

    assert Outer().model_dump() == {"inner": {"old": 1}}
    assert json.loads(Outer().model_dump_json()) == {"inner": {"old": 1}}
    changed = Outer(inner=Inner(old=2, new=0), more=Inner(old=3), few=(1,))
    written = {"inner": {"old": 2, "new": 0}, "more": {"old": 3}, "few": [1]}
    assert changed.model_dump(mode="json") == written and Outer.model_validate(written) == changed
    assert changed.model_dump(mode="json", include={"inner"}) == {"inner": {"old": 2, "new": 0}}
    assert changed.model_dump(mode="json", exclude={"more", "few"}) == {"inner": {"old": 2, "new": 0}}


@pytest.mark.parametrize("name", sorted(bundled()))
def test_a_recipe_survives_being_written_as_json_and_read_again(name: str) -> None:
    recipe = read(name)
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.yaml", None, "cannot read the recipe"),
        ("latin.yaml", "name: é\n".encode("latin-1"), "it is not UTF-8 text"),
        ("binary.yaml", b"\x00\x01", "binary.yaml"),
        ("folder.yaml", "folder", "cannot read the recipe"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_name(
    tmp_path: Path, name: str, content: bytes | str | None, message: str
) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(MmiddError) as caught:
        read(str(path))
    assert message in str(caught.value) and name in str(caught.value)


def test_a_name_that_is_neither_file_nor_bundled_gets_the_list_and_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'sampl': .*ff\+\+, .*mmi-dd, .*sample; did you mean 'sample'\?"):
        read("sampl")
