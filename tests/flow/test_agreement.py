"""What `plan` says is what a build then does: for every key of a recipe, one at a time."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from llm.stub import Stub
from pydantic import BaseModel

from mmidd.engine.store import Store
from mmidd.engine.units import Outcome
from mmidd.errors import MmiddError
from mmidd.options import Options
from mmidd.project import Project
from mmidd.recipe import DatasetEntry, Recipe

RECIPE = """\
name: agree
datasets: [FaceForensics++, CelebA]
frames: {count: 2}
detector: {kind: mtcnn, size: 128}
"""
FILES = (
    "CelebA/*.txt",
    "CelebA/img_align_celeba/00000[12].jpg",
    "FaceForensics++/dataset/splits/*.json",
    "FaceForensics++/original_sequences/youtube/c23/videos/000.mp4",
    "FaceForensics++/manipulated_sequences/Deepfakes/c23/videos/000_003.mp4",
)
CHANGES = {
    "name": "other",
    "description": "other",
    "preset": "deepfakebench",
    "seed": "5",
    "datasets": "[CelebA]",
    "datasets.compression": "[{{name: FaceForensics++, compression: c23}}, CelebA]",
    "datasets.frames": "[{{name: FaceForensics++, frames: 1}}, CelebA]",
    "datasets.cap_per_method": "[{{name: FaceForensics++, cap_per_method: 1}}, CelebA]",
    "datasets.subset": "[{{name: FaceForensics++, subset: 0.3}}, CelebA]",
    "datasets.splits": "[FaceForensics++, {{name: CelebA, splits: {{train: test, none: none}}}}]",
    "datasets.media": '[{{name: FaceForensics++, media: ["original_sequences/**"]}}, CelebA]',
    "datasets.methods": "[{{name: FaceForensics++, methods: []}}, CelebA]",
    "decoder": "decord",
    "frames.count": "3",
    "frames.spacing": "linspace",
    "crop.size": "128",
    "crop.margin": "1.5",
    "crop.template": "arcface",
    "crop.border": "reflect",
    "crop.pairs": "independent",
    "crop.choice": "central",
    "crop.least_face": "20",
    "image.format": "png",
    "image.quality": "90",
    "image.subsampling": "'420'",
    "detector.kind": "yunet",
    "detector.size": "160",
    "detector.min_score": "0.8",
    "detector.min_face": "24",
    "detector.enough": "32",
    "detector.pack": "buffalo_s",
    "detector.runtime": "torch",
    "captioner.kind": "{{kind: none, model: null, base_url: null}}",
    "captioner.every": "2",
    "captioner.model": "other",
    "captioner.revision": "other",
    "captioner.prompt": "brief-1",
    "captioner.max_tokens": "100",
    "captioner.base_url": "{url}",
    "captioner.concurrency": "2",
    "captioner.timeout": "60",
    "captioner.temperature": "0.5",
    "captioner.dtype": "float32",
    "captioner.device": "cpu",
    "captioner.batch": "2",
    "curation.exact_duplicates": "false",
    "curation.splits.train": "{{train: 0.7, validation: 0.2, test: 0.1}}",
    "curation.splits.validation": "{{train: 0.8, validation: 0.2, test: 0.0}}",
    "curation.splits.test": "{{train: 0.8, validation: 0.0, test: 0.2}}",
    "shards.max_bytes": "200000",
    "shards.row_group_rows": "2",
    "shards.row_group_bytes": "20000",
    "time_limit": "500",
}
"""Another value for every key. A fraction of the splits cannot change alone."""
REFUSED = {"captioner.dtype", "captioner.device", "captioner.batch", "detector.pack"}
"""A served model, and mtcnn, take none of these: plan and build say so alike."""


def _key(changed: str) -> str:
    """The key that is set: some parts only hold together, and datasets are a list."""
    return (
        changed.rpartition(".")[0]
        if changed.startswith(("curation.splits", "datasets.")) or changed == "captioner.kind"
        else changed
    )


def _leaves(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field_ in model.model_fields.items():
        kind = field_.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _leaves(kind, f"{above}{name}.")
        else:
            yield above + name


@pytest.mark.parametrize("key", CHANGES)
def test_a_recipe_is_changed_as_it_is_read(key: str, tmp_path: Path) -> None:
    (tmp_path / "agree.yaml").write_text(RECIPE)
    name = _key(key)
    try:
        wanted = Recipe.read(str(tmp_path / "agree.yaml"), [f"{name}={CHANGES[key].format(url='http://x')}"])
    except MmiddError:
        assert key == "detector.pack"
        return
    assert Recipe.read(str(tmp_path / "agree.yaml")).changed([f"{name}={CHANGES[key].format(url='http://x')}"]) == wanted


def test_every_key_of_a_recipe_is_tried() -> None:
    assert set(CHANGES) >= set(_leaves(Recipe)) - {
        "manifests"
    }  # it makes datasets known, and says nothing of how they are built
    assert set(CHANGES) >= {f"datasets.{name}" for name in DatasetEntry.model_fields} - {"datasets.name"}


@dataclass
class Watch:
    """Counts what a build found to do, by stage."""

    to_do: Counter[str] = field(default_factory=Counter)

    def begin(self, stage: str, total: int, done: int) -> None:
        self.to_do[stage.split()[0]] += total - done

    def advance(self, outcomes: Sequence[Outcome]) -> None:
        return

    def end(self) -> None:
        return


@dataclass(frozen=True)
class Ground:
    """A finished build by a recipe whose captions a served model gives."""

    root: Path
    data: Path
    url: str

    def project(self, *settings: str, watch: Watch | None = None) -> Project:
        served = ("captioner.kind=openai", "captioner.model=tiny", f"captioner.base_url={self.url}")
        options = Options(
            str(self.root / "agree.yaml"), str(self.data), self.root / "corpus", settings=(*served, *settings), workers=0,
            allow_removals=True,
        )  # fmt: skip
        return Project(options, progress=watch)

    def verdicts(self) -> int:
        """How often curation was done."""
        return sum(1 for _ in Store(self.root / "corpus.work").records("curate"))


@pytest.fixture(scope="module")
def finished(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    root = tmp_path_factory.mktemp("agree")
    for path in (path for pattern in FILES for path in sample_data.glob(pattern)):
        target = root / "data" / path.relative_to(sample_data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    (root / "built").mkdir()
    (root / "built" / "agree.yaml").write_text(RECIPE)
    with Stub() as stub:
        ground = Ground(root / "built", root / "data", stub.url)
        ground.project().build()
        yield ground


@pytest.fixture
def ground(finished: Ground, tmp_path: Path) -> Ground:
    return Ground(shutil.copytree(finished.root, tmp_path / "built"), finished.data, finished.url)


@pytest.mark.parametrize("key", CHANGES)
def test_a_build_does_what_the_plan_said(ground: Ground, key: str, request: pytest.FixtureRequest) -> None:
    if key == "detector.kind":
        models = request.getfixturevalue("shared_models")
        request.getfixturevalue("monkeypatch").setenv("MMIDD_MODELS", str(models))
    name = _key(key)
    setting = f"{name}={CHANGES[key].format(url=ground.url.replace('127.0.0.1', 'localhost'))}"
    watch = Watch()
    try:
        plan = ground.project(setting).plan()
    except MmiddError as error:
        with pytest.raises(type(error)) as again:
            ground.project(setting).build()
        assert str(again.value) == str(error) and (key in REFUSED or key == "decoder")
        return
    assert key not in REFUSED
    before = ground.verdicts()
    report = ground.project(setting, watch=watch).build()
    did = {**watch.to_do, "curate": ground.verdicts() - before, "corpus": int(report.built.changed)}
    for stage in plan.stages:
        if stage.waits_for is None:
            assert (stage.stage, stage.to_do) == (stage.stage, did.get(stage.stage, 0))
        else:
            assert did[stage.waits_for] > 0
    if plan.complete:
        assert not any(did.values())
    assert ground.project(setting).plan().complete


def test_a_plan_tells_of_rows_that_a_build_would_refuse_to_remove(ground: Ground) -> None:
    options = Options(
        str(ground.root / "agree.yaml"), str(ground.data), ground.root / "corpus", only=("CelebA",), workers=0,
        settings=ground.project().options.settings,
    )  # fmt: skip
    Project(options).curate()
    plan = Project(options).plan()
    assert plan.refused is not None and "would remove" in plan.refused and not plan.complete
    with pytest.raises(MmiddError, match="would remove") as stopped:
        Project(options).build()
    assert str(stopped.value) == plan.refused
