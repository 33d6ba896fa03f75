"""`mmidd detectors`: what is said of all without importing one, and of one in full, at any width."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from conftest import Said
from mmidd.detectors import listing
from mmidd.detectors.registry import REFERENCE_DETECTORS, reference_detector
from plugins.conftest import Install
from plugins.conftest import install as install
from rich.console import Console

from mmidd.cli.complete import detectors as offered
from mmidd.errors import MissingExtra, PluginError, UsageError
from mmidd.plugins import plugins
from mmidd.results import Result
from mmidd.runs.detector import Detector
from mmidd.runs.settings import Settings

Run = Callable[..., Said]
NAMES = [row.name for row in REFERENCE_DETECTORS.rows]
MINE = """
from dataclasses import replace
from mmidd.detectors.gend import DETECTOR as gend
from mmidd.errors import MissingWeights

def build(options):
    if options.weights == "random" and options.uniformity == 0.25:
        raise MissingWeights("there are no weights")
    if options.uniformity == 0.75:
        raise ZeroDivisionError("none")
    return gend.build(options)

X = replace(gend, title="Mine [red]?", build=build, presets={"tiny": gend.presets["tiny"]})
odd = replace(X.presets["tiny"], options={**X.presets["tiny"].options, "uniformity": %s})
X = replace(X, presets={**X.presets, "odd": odd})
"""


def told(result: Result, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, emoji=False, soft_wrap=True)
    result.tell(console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def squeezed(text: str) -> str:
    """Without the spaces and ends of lines that folding moves."""
    return re.sub(r"\s+", "", text)


def test_all_are_listed_without_torch() -> None:
    code = "import sys\nfrom mmidd import cli\ncode = cli.run(['detectors'])\nprint(code, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
    assert all(name in done.stdout for name in NAMES)


def test_programs_get_all_that_is_known_of_each(mmidd: Run) -> None:
    found = mmidd("detectors", "--json").document
    assert found == json.loads(json.dumps(listing.detectors().document()))
    assert [row["name"] for row in found["detectors"] if row["source"] == "mmidd"] == NAMES
    for row in found["detectors"][: len(NAMES)]:
        assert 0 < row["trained"] <= row["parameters"] and row["needs"] and row["installed"] and row["code_licence"]


@pytest.mark.parametrize("width", [60, 80, 120, 139, 140, 200])
def test_the_table_says_everything_at_any_width(width: int) -> None:
    text = told(listing.detectors(), width)
    assert "…" not in text and max(map(len, text.splitlines()[:-2])) <= width
    for row in listing.detectors().rows:
        assert row.facts and row.listed.name in text and f"{row.facts.parameters:,}" in text
        words = (row.listed.summary, row.facts.paper, *row.facts.needs) if width < 140 else row.facts.needs
        assert all(squeezed(each) in squeezed(text) for each in words)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_one_says_everything_at_any_width(name: str) -> None:
    about = listing.about(name)
    assert about.document() == json.loads(json.dumps(about.document())) | {
        key: value for key, value in about.document().items() if isinstance(value, tuple)
    }
    detector = reference_detector(name)
    for width in (80, 200):
        text = told(about, width)
        for each in (detector.title, detector.paper, detector.code, *detector.open_questions):
            assert squeezed(each) in squeezed(text)
        assert f"train it: mmidd train {name} CORPUS --out RUN --preset paper" in text
        second = f"stage 2: mmidd train {name} CORPUS --out RUN2 --preset paper-rl --set start=RUN"
        assert (second in text) is ("start" in detector.options.model_fields)
        for key, field in detector.options.model_fields.items():
            assert key in text and squeezed(field.description or "?") in squeezed(text)
    for preset in about.presets:
        assert preset.size is not None, preset.why
        assert Settings(**preset.settings) == Settings(**detector.presets[preset.name].settings)
        assert detector.options(**preset.options) == detector.options(**detector.presets[preset.name].options)


@pytest.mark.parametrize("name", NAMES)
def test_what_an_option_may_be_is_in_words(name: str) -> None:
    for each in listing.about(name).options:
        assert not re.search(r"typing|collections|FieldInfo|tuple", each.values), each
    if name == "explain":
        values = {each.name: each.values for each in listing.about(name).options}
        assert (values["words"], values["rewards"]) == ("[str, str]", "{str: float, ...}")


def test_laying_a_network_out_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    listing.about("explain")
    assert not [str(each.message) for each in recwarn if each.category is FutureWarning]


def test_what_training_holds_is_counted(mmidd: Run) -> None:
    """By hand: four bytes for each parameter, and twelve more for a trained one under Adam."""
    size = next(each.size for each in listing.about("gend").presets if each.name == "paper")
    assert size is not None and size.held_bytes == 4 * 303_968_258 + 12 * 104_450
    assert mmidd("detectors", "gend", "--json").document["presets"][0]["size"]["trained"] == 104_450


def test_an_unknown_name_is_told_with_those_that_there_are(mmidd: Run) -> None:
    said = mmidd("detectors", "yunet")
    assert (
        said.code == 2 and "'yunet'" in said.err and "gend" in said.err and "mmidd plugins lists face detectors" in said.err
    )


def test_one_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "mmidd.runs.detector", None)
        with pytest.raises(MissingExtra, match=r"the reference detector gend needs .*'mmidd\[train\]'"):
            reference_detector("gend")
    with pytest.raises(UsageError, match="no reference detector 'gendd'; did you mean 'gend'"):
        reference_detector("gendd")


def test_another_package_s_is_listed_unread_and_described_when_it_is_asked_for(install: Install, mmidd: Run) -> None:
    install("mine", "[mmidd.detectors]\nmine = mine_net:X\n", {"mine_net.py": MINE % "0.25"}, "0.4")
    row = next(row for row in listing.detectors().rows if row.listed.name == "mine")
    assert row.facts is None and row.listed.version == "0.4" and "mine_net" not in sys.modules
    assert all("mine 0.4" in told(listing.detectors(), width) for width in (80, 160)) and "mine" in offered("mi")
    assert [row.name for row in plugins().rows if row.kind == "reference detector"] == [*NAMES, "mine"]
    said = mmidd("detectors", "mine")
    assert said.code == 0 and "Mine [red]? (from mine 0.4)" in said.out
    assert "its network cannot be made here: there are no weights" in said.out and "119,362 parameters" in said.out
    assert isinstance(reference_detector("mine"), Detector)


def test_another_package_s_fault_is_told_as_its_own(install: Install) -> None:
    install("mine", "[mmidd.detectors]\nmine = mine_net:X\nnone = mine_net:gend.title\n", {"mine_net.py": MINE % "0.75"})
    with pytest.raises(PluginError, match=r"mine 1.0 adds 'mine' to mmidd.detectors, .*ZeroDivisionError: none"):
        listing.about("mine")
    with pytest.raises(PluginError, match=r"adds 'none' .*is no mmidd\.runs\.detector\.Detector"):
        listing.about("none")
