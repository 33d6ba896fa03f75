from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import pytest

from mmidd.captions.leaks import leaks
from mmidd.captions.prompts import DEFAULT, bundled, load
from mmidd.errors import MmiddError

GOOD = "both: two pictures, reply with JSON\nalone: one picture, reply with JSON\nagain: once more\n"


def test_several_phrasings_ship_and_none_has_a_word_of_the_leak_list() -> None:
    assert len(bundled()) >= 3 and DEFAULT in bundled()
    for name in bundled():
        prompt = load(name)
        for text in (prompt.both, prompt.alone, prompt.again):
            assert text.strip() and leaks(text) == []
            assert "JSON" in text or '{"face"' in text
        assert {prompt.name, prompt.digest} == {
            name, hashlib.sha256(files("mmidd.captions").joinpath("prompts", f"{name}.yaml").read_bytes()).hexdigest(),
        }  # fmt: skip


def test_a_file_of_ones_own_is_known_by_its_digest_and_never_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    prompt = load(str(path))
    assert prompt.name == "file" and prompt.digest == hashlib.sha256(GOOD.encode()).hexdigest()
    assert prompt.both == "two pictures, reply with JSON"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("once more", "is it fake?"), "again has words that could tell a label: fake"),
        (GOOD.replace("again: once more\n", ""), "exactly the keys both, alone, again"),
        (GOOD + "system: x\n", "exactly the keys"),
        (GOOD.replace("once more", "3"), "again must be a text"),
        (GOOD.replace("once more", '" "'), "again must be a text"),
        ("- a\n", "exactly the keys"),
        ("both: !!python/object/apply:os.system ['true']\n", "mine.yaml"),
        ("both: [", "mine.yaml"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_an_error_that_says_why(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(MmiddError, match=told):
        load(str(path))


def test_a_prompt_that_is_not_there_is_an_error_that_names_the_others(tmp_path: Path) -> None:
    with pytest.raises(MmiddError, match=r"no prompt 'plain': neither a YAML file nor one of .*plain-1"):
        load("plain")
    with pytest.raises(MmiddError, match=r"cannot read the prompt .*gone.yaml: No such file"):
        load(str(tmp_path / "gone.yaml"))
    (tmp_path / "latin.yaml").write_bytes(b"both: \xe9\n")
    with pytest.raises(MmiddError, match="UTF-8"):
        load(str(tmp_path / "latin.yaml"))
