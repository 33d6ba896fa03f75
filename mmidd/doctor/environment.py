"""The environment variables that mmidd and the Hub's library read. No value that may be secret is ever shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from mmidd.doctor.report import Check, attempt, shown
from mmidd.errors import MmiddError
from mmidd.yamlfile import nearest

SECRET = "MMIDD_API_KEY"
KNOWN = ("MMIDD_MODELS", "MMIDD_MANIFESTS", "MMIDD_CACHE", "MMIDD_CACHE_GB", SECRET)
OF_TESTS = ("MMIDD_FAULT", "MMIDD_CRASH", "MMIDD_CLUSTER", "MMIDD_FUZZ")
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def environment(environ: Mapping[str, str]) -> Iterator[Check]:
    """Every variable that is set, and what it does."""
    mine = sorted(name for name in environ if name.startswith("MMIDD_"))
    if not mine:
        yield Check("environment", "MMIDD_*", "ok", "none is set")
    for name in mine:
        yield from attempt("environment", shown(name), partial(_mine, name, environ[name]))
    yield from attempt("environment", "HF_ENDPOINT", partial(_hub, environ))
    yield from attempt("environment", "token of the Hub", partial(_token, environ))


def _mine(name: str, value: str) -> Iterator[Check]:
    if name == SECRET:
        yield Check("environment", name, "ok", "is set" if value else "is set to nothing")
    elif name in OF_TESTS:
        yield Check("environment", name, "warning", "is set: it is for mmidd's own tests", f"unset {name}")
    elif name not in KNOWN:
        close = nearest(name, KNOWN)
        advice = f"did you mean {close}?" if close else f"known: {', '.join(KNOWN)}"
        yield Check("environment", shown(name), "warning", "is set, but nothing reads it", advice)
    elif name == "MMIDD_MANIFESTS" and value:
        yield _manifests(value)
    elif name == "MMIDD_CACHE_GB" and not _is_size(value):
        found = f"{shown(value)} is no size in GB"
        yield Check("environment", name, "problem", found, "give a number above 0, or unset it (20)")
    elif name == "MMIDD_CACHE" and value and not Path(value).is_absolute():
        found = f"{shown(value)} is a relative path: each folder that mmidd is started in has another cache"
        yield Check("environment", name, "warning", found, "give an absolute path")
    else:
        yield Check("environment", name, "ok", shown(value))


def _manifests(value: str) -> Check:
    from mmidd.manifest import shipped, standing

    try:
        more = len(standing()) - len(shipped())
    except MmiddError as error:
        return Check("environment", "MMIDD_MANIFESTS", "problem", shown(error), "mend that file, or unset MMIDD_MANIFESTS")
    return Check("environment", "MMIDD_MANIFESTS", "ok", f"{shown(value)} adds {more} datasets")


def _is_size(value: str) -> bool:
    try:
        return 0 < float(value) < 1e9
    except ValueError:
        return False


def _hub(environ: Mapping[str, str]) -> Iterator[Check]:
    value = environ.get("HF_ENDPOINT")
    if value:
        try:
            parts = urlsplit(value)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in ("http", "https") or not host:
            found, advice = "is no address (not shown: it may hold a password)", "give https://HOST, or unset HF_ENDPOINT"
            yield Check("environment", "HF_ENDPOINT", "problem", found, advice)
        else:
            at = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
            yield Check("environment", "HF_ENDPOINT", "note", f"the Hub is {shown(at)}", "models are fetched from there")
    if environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        advice = "models must lie in the folder that MMIDD_MODELS names, or in the caches"
        yield Check("environment", "HF_HUB_OFFLINE", "note", "is set: nothing is fetched from the Hub", advice)


def _token(environ: Mapping[str, str]) -> Iterator[Check]:
    """Only whether there is one: mmidd needs none but to publish."""
    home = Path(environ.get("HF_HOME") or Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface")
    names = [name for name in TOKENS if environ.get(name)]
    kept = Path(environ.get("HF_TOKEN_PATH") or home / "token")
    found = f"is set ({', '.join(names)})" if names else "is set (a file of huggingface_hub's)" if kept.is_file() else "none"
    yield Check("environment", "token of the Hub", "ok", found)
