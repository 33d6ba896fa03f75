"""Targets that read text: YAML, recipes and their settings, manifests, label files, takedown lists."""

from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from mmidd import recipe, yamlfile
from mmidd.manifest import Manifest, catalogue, describe, load_manifest, shipped
from mmidd.manifest.tables import BadValue, TableSpec, read_table
from mmidd.raw.listing import Stat
from mmidd.schema import KINDS
from mmidd.stages.index import _media_rows, _other_rows
from mmidd.takedown import Exclusions

from .seeds import LABELS, MADE_UP, PATHS, RECIPES, TAKEDOWN, YAMLS
from .target import Target, refusing, require

CUT = "\n\x1d\n"
"""Between the parts of an input: a recipe and its settings, a manifest and paths."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape" if data[:1] == b"\xff" else "replace")


def run_yaml(data: bytes) -> bool:
    """What is taken has no anchor, tag or key twice, and every scalar is the text that PyYAML's own loader sees."""
    text = _text(data)
    with refusing("f.yaml") as refused:
        document = yamlfile.load(text, "f.yaml")
    if refused:
        return False
    node, tokens = _theirs(text)
    odd = (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)
    require(not any(isinstance(token, odd) for token in tokens), "an anchor, alias or tag was taken")
    _same(document, node, document.data, ())
    return True


def _theirs(text: str) -> tuple[Any, list[Any]]:
    """As PyYAML's own parser reads it; where it refuses what YAML 1.2 allows (`?` in a word of a list), libyaml does."""
    loader: Any = yaml.BaseLoader
    try:
        return yaml.compose(text, Loader=loader), list(yaml.scan(text, Loader=loader))
    except yaml.YAMLError:
        loader = yaml.CBaseLoader
        return yaml.compose(text, Loader=loader), list(yaml.scan(text, Loader=loader))


def _same(document: yamlfile.Document, node: Any, value: Any, path: tuple[str | int, ...]) -> None:
    require(len(path) <= yamlfile.MAX_DEPTH, "nested too deep")
    if node is None:
        require(value is None, "an empty document has a value")
    elif isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        require(isinstance(value, dict) and list(value) == keys, f"keys {keys} became {value!r:.200}")
        for key, below in node.value:
            require(document.line((*path, key.value)) == key.start_mark.line + 1, f"line of {(*path, key.value)}")
            _same(document, below, value[key.value], (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        require(isinstance(value, list) and len(value) == len(node.value), "a list of another length")
        for index, below in enumerate(node.value):
            _same(document, below, value[index], (*path, index))
    elif isinstance(value, str):
        require(value == node.value, f"{node.value!r} became {value!r}")
    else:
        require(not node.style, f"a quoted {node.value!r} became {value!r}")
        _plain_scalar(node.value, value)


def _plain_scalar(text: str, value: Any) -> None:
    if value is None or isinstance(value, bool):
        require(text.lower() in ({"", "~", "null"} if value is None else {str(value).lower()}), f"{text!r} is {value!r}")
    else:
        require(text.isascii() and not set(text) & set("_:, "), f"{text!r} is no number, became {value!r}")
        read = float(int(text, 0) if text[:2] in ("0o", "0x") else float(text))
        require(math.isclose(read, float(value)) and not math.isnan(read), f"{text!r} became {value!r}")


def run_recipe(data: bytes) -> bool:
    """A recipe that is taken has exactly the values that are written, each once, within their limits."""
    text, *settings = _text(data).split(CUT)
    with refusing("r.yaml", "--set") as refused:
        found = recipe.parse(text, "r.yaml", settings)
    if refused:
        return False
    taken = found.model_dump()
    json.dumps(taken, allow_nan=False).encode()
    require(recipe.Recipe.model_validate(taken) == found, "not the same read again")
    if not settings:
        _written(yamlfile.load(text, "r.yaml").data, taken, ())
    for setting in settings[-1:]:
        key, _, value = setting.partition("=")
        _written(_nested(key.split("."), yamlfile.load(value, "--set").data), taken, ())
    return True


def _nested(path: list[str], value: Any) -> Any:
    return {path[0]: _nested(path[1:], value)} if path else value


def _written(written: Any, taken: Any, path: tuple[str, ...]) -> None:
    if isinstance(written, dict):
        require(isinstance(taken, dict) and set(written) <= set(taken), f"{path}: {sorted(written)} not all taken")
        for key, value in written.items():
            _written(value, taken[key], (*path, key))
    elif isinstance(written, list) and isinstance(taken, dict):  # splits: each is what it was
        require({name: name for name in written} == taken, f"{path}: {written}, {taken} taken")
    elif isinstance(written, list):
        require(len(written) == len(taken), f"{path}: {len(written)} items, {len(taken)} taken")
        for index, value in enumerate(written):
            _written(value, taken[index], (*path, str(index)))
    elif path[:1] == ("datasets",) and (len(path) == 2 or path[2:] == ("name",)):
        name = taken["name"] if isinstance(taken, dict) else taken
        require(name in shipped(), f"{written!r} became {name!r}")
    elif path in (("detector",), ("captioner",)) and isinstance(written, str):
        require(taken["kind"] == written, f"{path}: {written!r} became {taken!r}")
    else:
        same = written == taken and (type(written) is type(taken) or (type(written), type(taken)) == (int, float))
        require(same, f"{path}: {written!r} became {taken!r}")


def run_manifest(data: bytes) -> bool:
    """A manifest that is taken compiles, has a digest and a page, and accounts for every path in one place."""
    text, _, tree = _text(data).partition(CUT)
    with refusing("m.yaml") as refused:
        manifest = load_manifest(text, "m.yaml")
    if refused:
        return False
    require(len(manifest.digest) == 64 and manifest.layout.dataset == manifest.name, "no digest")
    require(set(manifest.types) < set(KINDS), f"types {manifest.types}")
    require(_no_escape(catalogue.page({manifest.name: manifest})), "the page of the dataset holds control characters")
    paths = [*tree.split("\n")[:50], *PATHS]
    _account(manifest, paths, {path: b"" for path in paths})
    return True


def _no_escape(text: str) -> bool:
    return all(each == "\n" or unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in text)


def _account(manifest: Manifest, paths: list[str], labels: Mapping[str, bytes]) -> bool:
    """Every path ends in exactly one place, and the media become rows of the index as they do in a build."""
    everything = {*paths, *labels}
    with refusing(*everything) as refused:
        result = describe(manifest, everything, lambda path: labels.get(path, b""))
    if refused:
        return False
    media = [medium.media for medium in result.media]
    frames = [path for clip in result.frames.values() for path in clip.values()]
    whole = [name for name in media if name not in result.frames]
    listed = [*whole, *frames, *result.label_files, *(path for path, _ in result.unmatched)]
    require(len(listed) == len(set(listed)) and set(listed) <= everything, "a path ended in two places")
    require(len(listed) + sum(result.ignored.values()) == len(everything), "a path was lost")
    for medium in result.media:
        parts = medium.media.split("/")
        require(not set(parts) & {"", ".", ".."}, f"{medium.media!r} leaves its root")
        require(medium.label in ("real", "fake") and (medium.label == "fake") >= (medium.pair_media is not None), "label")
        require(medium.split in (None, "train", "validation", "test"), f"split {medium.split!r}")
    stats = {name: Stat(1, 1) for name in (*everything, *result.frames)}
    _media_rows(result.media, stats, {})
    _other_rows(manifest.name, [(path, "unmatched", reason) for path, reason in result.unmatched if _utf8(path)])
    return True


def _utf8(path: str) -> bool:
    """The walk refuses other names before anybody describes them."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def _forms() -> tuple[tuple[TableSpec, str], ...]:
    """Every table of the made-up manifest (first: finds count on its places) and of all others, with a path of its file."""
    manifests = [load_manifest(MADE_UP, "made-up.yaml"), *shipped().values()]
    return tuple(_with_paths(manifests))


def _with_paths(manifests: list[Manifest]) -> Iterator[tuple[TableSpec, str]]:
    for manifest in manifests:
        for table in manifest.layout.tables:
            for pattern in table.files:
                path = next((path for path in _spelled(manifest, pattern.text) if pattern.match(path) is not None), None)
                if path is not None:
                    yield table, path


def _spelled(manifest: Manifest, text: str) -> Iterator[str]:
    for open_field in ("0", "a", "00000", "0_0", "id0"):
        path = text.replace("**", "x").replace("*", "x")
        for name, each in manifest.layout.fields.items():
            path = path.replace("{" + name + "}", each.choices[0] if each.choices else open_field)
        yield path


def run_labels(data: bytes) -> bool:
    """A label file that is taken gives rows whose texts stand in the file, and no key says two things."""
    if not data:
        return False
    table, path = _forms()[data[0] % len(_forms())]
    content = data[1:]
    with refusing(path) as refused:
        found = read_table(table, [path], lambda _: content)
    if refused:
        return False
    (file,) = found.files
    require(len(found.rows) <= (len(content) + 1) * len(table.keys), "more rows than the text can hold")
    for key, row in found.rows.items():
        key.encode()
        require(bool(key) and len(row) == len(table.columns), "a row without key, or of another length")
        for value in row:
            require(isinstance(value, BadValue) or value is None or value.encode() != b"", "an empty value")
    if not any(note.startswith("read ") for note in file.notes):
        _independent(path, content.decode("utf-8-sig"), table)
    return True


def _independent(path: str, text: str, table: TableSpec) -> None:
    if path.endswith(".json"):
        json.loads(text, object_pairs_hook=_once)
    elif path.endswith(".csv"):
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
        require(not table.header or len({len(row) for row in rows}) <= 1, "a CSV of uneven rows was taken")
        names = [name.strip() for name in rows[0]] if rows and table.header else []
        asked = {
            name for template in (*table.keys, *(c.template for c in table.columns.values())) for name in template.names
        }
        require(all(names.count(name) <= 1 for name in asked), "a CSV with a column twice was taken")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    require(len(dict(pairs)) == len(pairs), "a JSON object with a name twice was taken")
    return dict(pairs)


def run_tree(data: bytes) -> bool:
    """All paths of a tree end in one place, whatever the names and whatever the made-up label file says."""
    if not data:
        return False
    manifests = list(shipped().values())
    if data[0] % 4 == 0:
        manifest, label = load_manifest(MADE_UP, "made-up.yaml"), ("lists/train.csv", "lists/pairs.json")[data[0] >> 2 & 1]
    else:
        manifest, label = manifests[(data[0] >> 2) % len(manifests)], ""
    tree, _, content = data[1:].decode("utf-8", "surrogateescape").partition(CUT)
    labels = {label: content.encode("utf-8", "surrogateescape")} if label and content else {}
    return _account(manifest, tree.split("\n")[:200], labels)


def run_takedown(data: bytes) -> bool:
    """What is taken down is what is written, line by line, and stays so when it is written again."""
    text = _text(data)
    with refusing("x.txt") as refused:
        found = Exclusions.parse(text, "x.txt")
    if refused:
        return False
    require(Exclusions.parse("\n".join(found.lines()), "again") == found, "not the same list again")
    lines = [line.strip() for line in text.split("\n")]
    said = [line for line in lines if line and not line.startswith("#")]
    require(len(found.lines()) <= len(said), "more is taken down than is written")
    for kind, *_, name in [("media", *entry) for entry in found.media] + [
        ("identity", *entry) for entry in found.identities
    ]:
        require(any(line.startswith(kind) and name in line for line in said), f"{name!r} is not written")
    return True


def _manifests() -> dict[str, bytes]:
    from importlib import resources

    folder = resources.files("mmidd.manifests")
    files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    shipped_ones = {name: data for name, data in files.items() if len(data) < 8192 and name != "methods.yaml"}
    return {"made-up": (MADE_UP + CUT + "\n".join(PATHS)).encode(), **shipped_ones}


def _trees() -> dict[str, bytes]:
    """A path or two of every rule of every manifest."""
    found = {"made-up": b"\0" + "\n".join(PATHS).encode()}
    for number, manifest in enumerate(shipped().values()):
        paths = [path for rule in manifest.layout.rules for each in rule.paths for path in _spelled(manifest, each.text)]
        found[manifest.slug] = bytes([(number << 2 | 1) % 256]) + "\n".join(paths[:60]).encode()
    return found


_YAML = ("mmidd", "yaml")
_SETTINGS = ("captioner.kind=none", "frames.count=", ".nan", "1e400", "!!python/name:")
_PARTS = ("look_up", "pair", "{clip}", "**/", "any_case", "bundled", "../")

TARGETS = (
    Target("yaml", run_yaml, lambda: YAMLS, _YAML, ("&a", "*a", "!!", "<<: ", "---", "? ", "|\n", "0x"), lines=True),
    Target(
        "recipe", run_recipe, lambda: RECIPES, _YAML, (*recipe.Recipe.model_fields, *_SETTINGS, CUT), lines=True, share=2,
    ),
    Target(
        "manifest", run_manifest, _manifests, _YAML, (*Manifest.model_fields, *_PARTS, CUT), lines=True,
        most_bytes=8192, share=2,
    ),
    Target("labels", run_labels, lambda: LABELS, words=("\\ud800", "[[", "NaN", "1e999", "\ufeff"), lines=True),
    Target("tree", run_tree, _trees, words=("../",), lines=True),
    Target(
        "takedown", run_takedown, lambda: TAKEDOWN, words=("sha256:", "media:", "identity:CelebA/", " #", "\u2028"),
        lines=True,
    ),
)  # fmt: skip
