"""Targets that read what people import: DeepfakeBench's JSON lists, and tables of files."""

from __future__ import annotations

import itertools
import json
import re
from functools import cache
from pathlib import Path

from mmidd.manifest import describe
from mmidd.manifest.folders import Folder, know
from mmidd.manifest.format import load_manifest
from mmidd.manifest.methods import ForgeryType, lasting
from mmidd.share.imports import types
from mmidd.share.imports.places import place
from mmidd.share.imports.protocol import Choices, Item, Notes, importer
from mmidd.share.imports.root import Root
from mmidd.share.imports.written import Dataset, as_yaml, manifest, methods, tables

from .guard import sandbox
from .target import Target, refusing, require

_PLAIN = re.compile(r"(?:clips|images|videos)(?:/[A-Za-z0-9][A-Za-z0-9_-]*){2,3}")
_FILES = ("a/x/000.png", "a/x/010.png", "a/y/000.png", "b/000_003/000.png", "b/000/000.png", "one.jpg", "film.mp4")
_count = itertools.count()


@cache
def _root() -> Path:
    root = sandbox() / "images"
    for name in _FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "out").symlink_to("/etc")
    return root


def _run(kind: str, data: bytes) -> bool:
    path = sandbox() / f"list{next(_count)}"
    path.write_bytes(data)
    notes, choices = Notes(), Choices("Fuzzed")
    try:
        with refusing() as refused:
            items = importer(kind).read([path], Root(_root()), choices, notes)
            own = types.settle(items, {}, notes)
        if refused or not items:
            return False
        _check(items, own)
        return True
    finally:
        path.unlink()


def _check(items: list[Item], own: dict[str, ForgeryType]) -> None:
    allowed = {str(_root().resolve() / name) for name in _FILES}
    require(all(file.path in allowed for item in items for file in item.files.values()), "a file outside was taken")
    media = place(items)
    require(all(_PLAIN.fullmatch(where) for where, _ in media), "a place is no plain name")
    require(len({where.casefold() for where, _ in media}) == len(media), "two media have one place")
    came = [(where if item.kind == "frames" else f"{where}.png", item) for where, item in media]
    about = Dataset("Fuzzed", "fuzzed", "fuzzed", "other", "keep")
    know([Folder(Path("fuzzed"), "the fuzzer names", (("methods.yaml", as_yaml(methods(own))),))] if own else [])
    files = dict(tables(came, {item.key: where for where, item in came}))
    paths = [f"{where}/000.png" if item.kind == "frames" else where for where, item in came]
    found = describe(load_manifest(as_yaml(manifest(about, came)), "fuzzed.yaml"), [*files, *paths], files.__getitem__)
    said = {medium.media: (medium.label, medium.method, medium.split) for medium in found.media}
    wanted = {where: (i.label, (i.method or "unknown") if i.label == "fake" else None, i.split) for where, i in came}
    require(said == wanted, f"the manifest says {said}, the list {wanted}: {found.unmatched}")


def run_json(data: bytes) -> bool:
    """What is taken is below the images, at a plain place of its own, and is said again by the manifest."""
    return _run("deepfakebench", data)


def run_csv(data: bytes) -> bool:
    """The same of a table."""
    return _run("csv", data)


def _json() -> dict[str, bytes]:
    lasting()  # it is read once, before anybody watches
    real = {"000": {"label": "FF-real", "frames": ["F:\\rgb\\b\\000\\000.png"]}}
    fake = {"000_003": {"label": "FF-DF", "frames": ["/x/b/000_003/000.png"], "masks": ["/x/b/000_003/000.png"]}}
    plain = {"x": {"label": "UADFV_Real", "frames": ["a/x/000.png", "a/x/010.png"]}}
    return {
        "ff": json.dumps({"FF": {"FF-real": {"train": {"c23": real}}, "FF-DF": {"train": {"c23": fake}}}}).encode(),
        "uadfv": json.dumps({"UADFV": {"UADFV_Real": {split: plain for split in ("train", "val", "test")}}}).encode(),
        "df40": json.dumps({"New_ff": {"New_Fake": {"test": {"y": {"frames": ["a/y/000.png"]}}}}}).encode(),
    }


def _csv() -> dict[str, bytes]:
    lasting()
    head = b"path,label,method,type,identity,source_identity,split,pair\n"
    return {
        "table": head + b"one.jpg,real,,,Ann,,val,\na/x,fake,New,FS,Ann,Bob,train,one.jpg\n",
        "semicolons": b"label;path\n0;film.mp4\n1;a/y\n",
    }


TARGETS = (
    Target("import_json", run_json, _json, words=("FF-F2F", '"frames":', "..", "\\\\", "out/hostname", "_Fake"), lines=True),
    Target("import_csv", run_csv, _csv, words=("..", "out/hostname", "one.jpg", "EFS", "real", "fake"), lines=True),
)
