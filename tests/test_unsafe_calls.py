"""Nothing that reads foreign bytes may run code, and no secret of the environment is ever written."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Place, Said

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for room in ("mmidd", "detectors") for path in (ROOT / room).rglob("*.py"))

MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.unsafe_load",
    "yaml.full_load", "pandas.read_pickle", "tar.extractall", "zip.extractall",
}  # fmt: skip
NEEDED = {"torch.load": ("weights_only", True)}
FORBIDDEN = {"shell": True, "allow_pickle": True, "trust_remote_code": True}


def _name(call: ast.expr) -> str:
    return f"{_name(call.value)}.{call.attr}" if isinstance(call, ast.Attribute) else getattr(call, "id", "?")


def unsafe(text: str) -> Iterator[str]:
    """What in a source could run what it reads."""
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (f"line {node.lineno}: {name}" for name in names if name.split(".")[0] in MODULES)  # type: ignore[attr-defined]
        if isinstance(node, ast.Dict):
            stated: dict[object, ast.expr] = {
                k.value: v for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)
            }
            yield from _options(node, stated)
        if isinstance(node, ast.Call):
            name = _name(node.func)
            options: dict[object, ast.expr] = {each.arg: each.value for each in node.keywords}
            if name in CALLS or name.endswith(".extractall"):
                yield f"line {node.lineno}: {name}()"
            if name in NEEDED and not _is(options.get(NEEDED[name][0]), NEEDED[name][1]):
                yield f"line {node.lineno}: {name}() without {NEEDED[name][0]}"
            yield from _options(node, options)


def _options(node: ast.expr, options: dict[object, ast.expr]) -> Iterator[str]:
    for key, value in FORBIDDEN.items():
        if key in options and not _is(options[key], not value):
            yield f"line {node.lineno}: {key} may be {value}"


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_can_run_what_it_reads(path: Path) -> None:
    assert list(unsafe(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "eval(x)", "yaml.load(x)", "torch.load(x)",
        "torch.load(x, weights_only=w)", "np.load(x, allow_pickle=True)", "subprocess.run(x, shell=shell)",
        "f(**{'trust_remote_code': True})",
        "AutoModel.from_pretrained(x, trust_remote_code=flag)", "tarfile.open(x).extractall(y)",
    ],
)  # fmt: skip
def test_each_of_them_would_be_found(text: str) -> None:
    assert list(unsafe(text))


SECRETS = {
    name: f"secret-{name.lower()}-0123456789abcdef"
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "OPENAI_API_KEY",
        "MMIDD_API_KEY",
        "ANTHROPIC_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
    )
}


def test_no_token_is_printed_or_written(
    place: Place, mmidd: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (place.data / "CelebA/img_align_celeba/000001.jpg").write_bytes(b"broken")
    built = mmidd(*place.words("build", "--set", "crop.margin=1.4", "--allow-removals"))
    assert built.code == 3, built.err
    said = [built, *(mmidd(verb, str(place.work)) for verb in ("status", "failures")), mmidd("verify", str(place.out))]
    told = "".join(each.out + each.err for each in said) + caplog.text
    written = [path for folder in (place.out, place.work) for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 10
    for value in SECRETS.values():
        assert value not in told
        assert [path for path in written if value.encode() in path.read_bytes()] == []
