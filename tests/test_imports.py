"""Who may import whom: heavy packages stay out of the door, and dependencies point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mmidd"
MAPPED = {"mmidd.detectors": "detectors", "mmidd.manifests": "manifests", "mmidd.pipelines": "pipelines"}
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(path for folder in MAPPED.values() for path in (ROOT / folder).rglob("*.py"))])


def _imports(path: Path, *, deep: bool) -> Iterator[str]:
    """The modules a file imports: at its top alone, or (deep) in functions as well; never those for type checkers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        elif deep or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def _room(name: str) -> str:
    """The room of `mmidd` that a module name lies in: `mmidd.video.pyav.read` is in `video`."""
    return [*name.split("."), ""][1]


def test_the_walk_over_imports_finds_what_is_there() -> None:
    found = set(_imports(PACKAGE / "cli" / "build.py", deep=True))
    assert {"mmidd.project.Project", "typer"} <= found and "mmidd.flow.indexing.Indexed" not in found
    assert "mmidd.project.Project" not in set(_imports(PACKAGE / "cli" / "build.py", deep=False))


HEAVY = {"torch", "torchvision", "datasets", "transformers", "facenet_pytorch", "onnxruntime", "decord", "torchcodec"} | {
    "insightface", "skimage", "sklearn", "scipy", "matplotlib", "pandas", "ray", "submitit", "mlcroissant",
    "fsspec", "h5py", "s3fs",
}  # fmt: skip


# Who asks for training has torch; of mmidd nothing but the command line and the API know of these rooms.
AT_THE_TOP = {"training": {"torch", "torchvision"}, "runs": {"torch"}, "scoring": {"torch"}, "detectors": {"torch"}}
WITHOUT_TORCH = {"detectors/__init__.py", "detectors/registry.py", "detectors/listing.py"}
"""What lists the detectors."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_nothing_heavy_at_its_top_and_no_mapped_folder_by_its_bare_name(path: Path) -> None:
    top = {name.split(".")[0] for name in _imports(path, deep=False)}
    anywhere = {name.split(".")[0] for name in _imports(path, deep=True)}
    name = path.relative_to(ROOT).as_posix()
    room = name.removeprefix("mmidd/").partition("/")[0]
    assert not top & HEAVY - (set() if name in WITHOUT_TORCH else AT_THE_TOP.get(room, set()))
    assert not anywhere & set(MAPPED.values())


# What each room of mmidd may import of the others, anywhere in its files: cli -> flow -> stages -> extraction, raw -> ...
LEAVES = {
    "", "__version__", "errors", "filestate", "findings", "media", "registry", "results", "schema", "show", "statistics",
    "watch", "yamlfile",
}  # fmt: skip
ALLOWED = {
    "engine": set(),
    "raw": {"engine"},
    "video": set(),
    "networks": {"engine"},
    "faces": {"networks", "video"},
    "llm": set(),
    "manifest": {"raw"},
    "captions": {"faces", "llm", "manifest", "video"},
    "curation": {"faces"},
    "corpus": {"engine"},
    "extraction": {"engine", "raw", "video", "faces", "captions", "curation"},
    "sampledata": set(),
    "doctor": {"engine", "faces", "manifest", "options", "raw"},
    "audit": {"captions", "corpus", "curation", "engine"},
    "share": {"corpus", "engine", "extraction", "manifest", "options", "raw", "recipe"},  # options: one word, or several
    "training": {"corpus"},
    "scores": {"corpus", "engine", "explanations"},  # explanations: what a model said lies beside its scores
    "explanations": set(),
    "runs": {"corpus", "engine", "explanations", "scores", "training"},
    "scoring": {"corpus", "engine", "explanations", "networks", "runs", "scores", "training", "video"},
    "evaluation": {"corpus", "engine", "explanations", "scores"},
    "verdicts": {  # corpus: what mmidd.json says of the extraction; training: an image as a network sees it
        "corpus", "engine", "evaluation", "explanations", "extraction", "faces", "raw", "recipe", "scores", "scoring",
        "stages", "training", "video",
    },
    "studies": {
        "corpus", "curation", "engine", "evaluation", "explanations", "runs", "scores", "scoring",
    },
    "show": set(),
    "flow": {
        "stages", "engine", "extraction", "raw", "video", "faces", "captions", "curation", "corpus", "manifest",
        "networks", "recipe", "options", "takedown",
    },
    "stages": {
        "engine", "extraction", "raw", "video", "faces", "captions", "curation", "corpus", "recipe", "manifest",
    },
}  # fmt: skip


# The one class that a notebook holds has calls into rooms above its own: `corpus.audit()`. They import when they are called.
UPWARDS = {"mmidd/corpus/read.py": {"audit"}}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_dependencies_between_rooms_point_one_way(room: str) -> None:
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        used = {_room(each) for each in _imports(path, deep=True) if each.split(".")[0] == "mmidd"}
        upwards = UPWARDS.get(name, set()) - {_room(each) for each in _imports(path, deep=False)}
        assert used <= ALLOWED[room] | LEAVES | {room} | upwards, f"{name}: {used}"


@pytest.mark.parametrize("room", ["captions", "faces", "manifest", "video"])
def test_no_modules_of_a_room_import_each_other_in_a_circle(room: str) -> None:
    """Not even in functions, nor for type checkers."""
    files = {f"mmidd.{room}.{path.stem}": path for path in (PACKAGE / room).glob("*.py") if path.stem != "__init__"}
    uses = {name: {found for found in files if _uses(path, found)} - {name} for name, path in files.items()}
    assert sum(map(len, uses.values())) > len(files) / 2
    while free := [name for name in uses if not uses[name] & set(uses)]:
        uses = {name: used for name, used in uses.items() if name not in free}
    assert not uses


def _uses(path: Path, module: str) -> bool:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = [f"{node.module}.{alias.name}" for node in tree if isinstance(node, ast.ImportFrom) for alias in node.names]
    return any(name == module or name.startswith(f"{module}.") for name in names)


def test_every_package_folder_is_in_the_wheel_and_every_listed_one_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(project["tool"]["setuptools"]["packages"])
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    ours = {".".join(path.relative_to(ROOT).parts) for path in folders}
    mapped = {
        ".".join([name, *path.relative_to(ROOT / folder).parent.parts])
        for name, folder in MAPPED.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert listed == ours | mapped and set(MAPPED) <= mapped
    assert project["tool"]["setuptools"]["package-dir"] == {"mmidd": "mmidd", **MAPPED}
    assert all((path / "__init__.py").is_file() for path in folders)
    assert all((ROOT / folder / "__init__.py").is_file() for folder in MAPPED.values())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import mmidd", ["torch", "datasets", "pyarrow", "cv2", "av", "numpy", "typer", "pydantic"]),
        ("import mmidd.cli", ["torch", "datasets", "pyarrow", "cv2", "av", "numpy", "pydantic", "yaml"]),
        ("import mmidd.engine.local", ["pyarrow", "numpy", "pydantic", "rich"]),
        (
            "import mmidd.project, mmidd.corpus.verify",
            ["torch", "datasets", "pandas", "onnxruntime", "fsspec"],
        ),
    ],
)
def test_an_import_does_not_load(statement: str, absent: list[str]) -> None:
    code = f"import sys\n{statement}\nprint(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
