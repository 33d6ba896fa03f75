"""The API key: a bad one is one clear error, and in whatever form it comes back, it goes nowhere."""

from __future__ import annotations

import base64
import html
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import Said

from mmidd.engine.needs import Needs
from mmidd.engine.units import Resources
from mmidd.errors import RecipeError, UsageError
from mmidd.llm.client import ChatClient, Refused
from mmidd.llm.health import ServerDown
from mmidd.llm.key import KEY_VARIABLE, Key
from mmidd.options import Options
from mmidd.project import Project
from mmidd.recipe import parse

from .stub import CAPTION, Stub, chat, refuse
from .test_client import QUICK, ask, question

KEY = "sk-Ab3/x+9_Zq~0123456789"
PLAIN = "The face looks straight ahead; nothing of it is hidden, and the light is even."


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (f"{KEY}\nAuthorization: x", "a line break"),
        (f"{KEY}\r\n{KEY}", "a line break"),
        (f"{KEY} two", "blanks"),
        (f"{KEY}\x00", "a control character"),
        (f"{KEY}\u00a0x", "blanks"),
        (f"{KEY}é", "outside ASCII"),
        (f"{KEY}\udcff", "a control character"),
    ],
)
def test_a_key_that_no_header_can_hold_is_a_usage_error_that_does_not_repeat_it(
    key: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "\0" in key:
        with pytest.raises(UsageError, match=told):
            Key(key)
        return
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(UsageError, match=told) as caught:
        ChatClient("http://localhost:1/v1", "m", QUICK)
    assert "sk-" not in str(caught.value) and KEY_VARIABLE in str(caught.value)


def test_a_bad_key_stops_a_command_before_anything_is_asked(
    place: object, mmidd: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\nx")
    with Stub() as stub:
        model = ("captioner.kind=openai", "captioner.model=m", f"captioner.base_url={stub.url}")
        words = [word for each in model for word in ("--set", each)]
        said = mmidd(*place.words("plan"), *words)  # type: ignore[attr-defined]
        assert (said.code, stub.asked) == (2, []), said.err
    assert "a line break" in said.err and "sk-" not in said.err and "Traceback" not in said.err


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "percent-encoded": lambda key: quote(key, safe=""),
    "percent-encoded twice": lambda key: quote(quote(key, safe="")),
    "every byte percent-encoded": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 of the header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64 of user and key": lambda key: base64.b64encode(f"u:{key}:x".encode()).decode(),
    "base64 for addresses": lambda key: base64.urlsafe_b64encode(f"a{key}".encode()).decode().rstrip("="),
    "hex": lambda key: key.encode().hex(),
    "JSON escapes": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "JSON in JSON": lambda key: json.dumps(json.dumps(key).replace("/", "\\/")),
    "entities": lambda key: "".join(f"&#{ord(c)};" for c in key),
    "escaped for HTML": html.escape,
    "in two lines": lambda key: f"{key[:9]}\n{key[9:]}",
    "with dots": ".".join,
    "full width": lambda key: "".join(chr(ord(c) + 0xFEE0) for c in key),
    "after Bearer": lambda key: f"Authorization: Bearer {key}",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_key_is_known_in_every_form(form: Callable[[str], str]) -> None:
    assert Key(KEY).is_in(f"a face {form(KEY)} in the middle")
    assert not Key(KEY).is_in(f"a face {form('sk-another-one/than+this')} in the middle", PLAIN, None, CAPTION)


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("EMPTY", "an empty room", False),
        ("EMPTY", "the key is EMPTY", True),
        ("hunter2", "it is hunter2.", True),
        ("x", "x marks the spot", False),
        ("", "anything", False),
    ],
)
def test_a_word_that_stands_for_no_key_does_not_cost_captions(key: str, text: str, found: bool) -> None:
    assert Key(key).is_in(text) is found


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_reply_that_repeats_the_key_is_none(form: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    caption = json.dumps({"face": f"The face says {form(KEY)} to the viewer.", "environment": "A plain grey backdrop."})
    with Stub(lambda request, number: chat("ok" if request.text == "Say ok." else caption)) as stub:
        (answer,) = ask(stub.url, [question()], replace(QUICK, start=60.0))
    assert answer == Refused(False, "what it said repeats the API key, so it is shown and kept nowhere")
    with Stub(lambda request, number: refuse(401, "x" * 70 + form(KEY))) as stub, pytest.raises(ServerDown) as caught:
        ask(stub.url, [question()])
    assert form(KEY)[:9] not in str(caught.value) and "is not accepted" in str(caught.value)


def test_a_key_stays_in_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("MMIDD_MODELS", "/models")
    needs = Needs.here(Resources(), [])
    assert needs.environment["MMIDD_MODELS"] == "/models" and KEY not in str(needs.environment)
    assert KEY.encode() not in pickle.dumps(needs)
    assert repr(Key(KEY)) == "Key(***)"
    with pytest.raises(TypeError):
        pickle.dumps(Key(KEY))


ADDRESSES = ("https://user:s3cret@host/v1", "https://host/v1?key=s3cret", "htps://u:s3cret@host", "https://host/v1#s3cret")


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_with_a_secret_is_shown_nowhere(address: str, mmidd: Callable[..., Said], tmp_path: Path) -> None:
    text = f"name: x\ndatasets: [CelebA]\ncaptioner: {{kind: openai, model: m, base_url: '{address}'}}\n"
    with pytest.raises(RecipeError, match="must hold no user") as caught:
        parse(text, "x.yaml")
    setting = f"captioner.base_url={address}"
    with pytest.raises(RecipeError) as other:
        parse("name: x\ndatasets: [CelebA]\n", "x.yaml", [setting])
    options = Options("sample", address, tmp_path / "out", settings=(setting,))
    said = mmidd("plan", "sample", "--data", address, "--out", str(tmp_path / "out"), "--set", setting)
    shown = [str(caught.value), str(other.value), repr(options), repr(Project(options)), said.out, said.err]
    assert said.code != 0 and [each for each in shown if "s3cret" in each] == []


def test_a_model_that_a_server_knows_by_its_folder_is_named_without_the_path(tmp_path: Path) -> None:
    from mmidd.captions.choose import make_captioner
    from mmidd.captions.protocol import CaptionerConfig

    with Stub() as stub:
        captioner = make_captioner(CaptionerConfig("openai", model="/home/me/secret/Qwen-7B", base_url=stub.url))
    assert captioner is not None and captioner.name.startswith("openai:Qwen-7B:")
    captioner.close()
