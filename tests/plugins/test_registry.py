"""Registries: what is listed without being imported, which name wins, and how what is broken is told."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from mmidd.detectors.registry import reference_detector

from mmidd.captions.choose import CaptionerConfig, captioner_identity
from mmidd.captions.registry import CAPTIONERS
from mmidd.cli import run
from mmidd.errors import MissingExtra, MissingWeights, PluginError, RecipeError
from mmidd.faces.choose import detector_identity, make_detector
from mmidd.faces.detector import DetectorConfig, DetectorMaker, scores_of
from mmidd.faces.registry import DETECTORS
from mmidd.manifest import bundled
from mmidd.plugins import REGISTRIES, plugins
from mmidd.recipe import parse
from mmidd.registry import Registry, Row
from mmidd.video import backend_identity

from .conftest import Install

BASE = "name: t\ndatasets: [CelebA]\n"
BOMB = "raise SystemError('imported')\n"


def rows(kind: str) -> dict[tuple[str, str], Any]:
    return {(row.name, row.source): row for row in plugins().rows if row.kind == kind}


def test_every_row_of_ours_is_there_with_a_module_that_has_its_object() -> None:
    for registry in REGISTRIES:
        for row in registry.rows:
            assert row.summary and row.name in registry.names()
            if registry.attribute and row.installed:
                registry.load(row.name, object)


def test_what_others_add_is_listed_and_not_imported(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    text = "[mmidd.face_detectors]\nbomb = bomb_faces:DETECTOR\n[mmidd.captioners]\nbomb = bomb_faces.words:C\n"
    text += "[mmidd.detectors]\nnet = bomb_faces:NET\n[console_scripts]\nbomb = bomb_faces:main\n"
    install("bomb-pkg", text, {"bomb_faces/__init__.py": BOMB}, "2.5")
    for kind, name in (("face detector", "bomb"), ("captioner", "bomb"), ("reference detector", "net")):
        row = rows(kind)[name, "bomb-pkg"]
        assert (row.version, row.installed, row.note, row.summary) == ("2.5", True, None, "what bomb-pkg adds")
    assert run(["plugins"]) == 0 and "bomb-pkg 2.5" in capsys.readouterr().out
    assert run(["plugins", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == plugins().document()
    assert {"kind": "face detector", "name": "mtcnn", "source": "mmidd", "version": None}.items() <= document["plugins"][
        0
    ].items()
    assert parse(BASE + "captioner: bomb\n", "r.yaml").captioner.kind == "bomb"
    assert parse(BASE + "detector: {kind: bomb, min_score: 0.5}\n", "r.yaml").detector.kind == "bomb"
    assert "bomb_faces" not in sys.modules


def test_a_name_of_ours_wins_and_the_listing_says_so(install: Install) -> None:
    install("rival", "[mmidd.face_detectors]\nyunet = rival_faces:X\n", {"rival_faces.py": BOMB})
    assert rows("face detector")["yunet", "rival"].note == "hidden: mmidd has its own of this name"
    assert DETECTORS.names().count("yunet") == 1
    assert DETECTORS.load("yunet", DetectorMaker).make.__module__ == "mmidd.faces.yunet"


def test_a_name_that_two_packages_claim_is_an_error_that_names_both(install: Install) -> None:
    for name in ("first", "second"):
        install(name, "[mmidd.face_detectors]\nours = x:X\n")
    told = r"face detector 'ours' is in first 1.0 and in second 1.0; uninstall all but one"
    with pytest.raises(PluginError, match=told):
        make_detector(DetectorConfig("ours"))
    with pytest.raises(RecipeError, match=rf"r.yaml:3: key 'detector.kind': {told}"):
        parse(BASE + "detector: ours\n", "r.yaml")
    assert rows("face detector")["ours", "first"].note == "cannot be chosen: second 1.0 claims the same name"


BROKEN = [
    ("bad = gone_module:X", {}, "ModuleNotFoundError: No module named 'gone_module'"),
    ("bad = bad_one:X", {"bad_one.py": "1 / 0\n"}, "ZeroDivisionError: division by zero"),
    ("bad = bad_two:X", {"bad_two.py": ""}, "AttributeError: module 'bad_two' has no attribute 'X'"),
    ("bad = bad_three:X", {"bad_three.py": "X = 3\n"}, "bad_three:X is no mmidd"),
    ("bad = bad_four:X", {"bad_four.py": "X = (\n"}, "SyntaxError"),
    ("bad = bad_five:X", {"bad_five.py": "import sys\nsys.exit(0)\n"}, "SystemExit: 0"),
    ("bad = not a module", {}, "is no 'name = module:object'"),
]


@pytest.mark.parametrize(("point", "files", "told"), BROKEN)
@pytest.mark.parametrize(
    ("group", "choose"),
    [
        ("mmidd.face_detectors", lambda: detector_identity(DetectorConfig("bad"))),
        ("mmidd.captioners", lambda: captioner_identity(CaptionerConfig("bad"))),
        ("mmidd.video_decoders", lambda: backend_identity("bad")),
        ("mmidd.detectors", lambda: reference_detector("bad")),
    ],
)
def test_a_broken_package_is_told_with_its_name_its_group_and_what_failed(
    install: Install, point: str, files: dict[str, str], told: str, group: str, choose: Any
) -> None:
    install("broken", f"[{group}]\n{point}\n", files, "0.3")
    with pytest.raises(PluginError, match=rf"the package broken 0.3 adds 'bad' to {group}, but it does not work: .*{told}"):
        choose()
    assert len(plugins().rows) > 10


def test_what_a_package_raises_later_is_told_likewise_and_errors_of_ours_pass(install: Install) -> None:
    code = (
        "from mmidd.errors import MissingWeights\nfrom mmidd.captions.protocol import CaptionerMaker\n"
        "def identity(config):\n    raise KeyError('x') if config.every == 1 else MissingWeights('get them')\n"
        "X = CaptionerMaker(identity, None, frozenset({'every'}))\n"
    )
    install("late", "[mmidd.captioners]\nlate = late_words:X\n", {"late_words.py": code})
    with pytest.raises(PluginError, match=r"late 1.0 adds 'late' to mmidd.captioners, .*KeyError: 'x'"):
        captioner_identity(CaptionerConfig("late"))
    with pytest.raises(MissingWeights, match="get them"):
        captioner_identity(CaptionerConfig("late", every=2))


def test_a_detector_without_scores_says_so(install: Install) -> None:
    code = "from mmidd.faces.detector import DetectorMaker\nX = DetectorMaker(None, None)\n"
    install("mute", "[mmidd.face_detectors]\nmute = mute_faces:X\n", {"mute_faces.py": code})
    with pytest.raises(PluginError, match=r"'mute' of mute 1\.0 states no scores"):
        scores_of("mute")


@pytest.mark.parametrize(
    "text", ["", "[mmidd.face_detectors]", "[mmidd.face_detectors\nx = y:z", "[mmidd.captioners]\n= a:b\n;c\n"]
)
def test_odd_metadata_harm_nobody(install: Install, text: str) -> None:
    site = install("odd", text)
    next(site.glob("*.dist-info/METADATA")).write_bytes(b"\n")
    assert DETECTORS.names()[:3] == ("mtcnn", "yunet", "scrfd")
    assert len(plugins().rows) >= 12


@pytest.mark.parametrize("value", ["no_such_package", "acme_data.nothing", "acme_data:gone"])
def test_a_package_of_datasets_whose_folder_is_not_there_is_told(install: Install, value: str) -> None:
    install("acme-data", f"[mmidd.datasets]\nacme = {value}\n", {"acme_data/__init__.py": BOMB})
    with pytest.raises(PluginError, match=rf"acme-data 1.0 adds 'acme' to mmidd.datasets, .*{value} is no folder of it"):
        bundled()
    assert "names no folder" in rows("datasets")["acme", "acme-data"].note


def test_a_row_that_is_not_installed_names_its_extra() -> None:
    registry: Registry[None] = Registry(
        "thing", "mmidd.things", "X", (Row("far", "far", "far", None, "far", ("far_module",)),)
    )
    (listed,) = registry.listed()
    assert (listed.installed, listed.extra) == (False, "far")
    with pytest.raises(MissingExtra, match=r"the thing far .*mmidd\[far\]"):
        registry.load("far", object)
    with pytest.raises(KeyError):
        registry.load("near", object)


def test_captioners_of_ours_refuse_options_that_they_do_not_read() -> None:
    assert CAPTIONERS.names() == ("attributes", "transformers", "openai", "none")
