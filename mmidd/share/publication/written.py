"""`publication.json`, written and read back. It came from outside: whatever is not as a publication has it is an error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, get_args

from mmidd.corpus.about import SEAL, Listed, is_inside
from mmidd.corpus.target import is_written, manifest_bytes
from mmidd.engine.files import canonical
from mmidd.errors import ShareError
from mmidd.schema import SCHEMA_VERSION, SPLITS
from mmidd.share.publication.format import FORMAT, MOST_BYTES, PUBLICATION, Publication, Redaction, Terms

VERSION = "publication_format"
_KEYS = {VERSION, "name", "version", "mmidd", "corpus", "terms", "redacted", "files", "rows", "changes", SEAL}
_MOST, _MOST_NAME = 1 << 53, 255
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SLUG = re.compile(r"[a-z][a-z0-9_]*")


def document(publication: Publication) -> dict[str, Any]:
    """What `publication.json` says, but its seal."""
    return {
        VERSION: FORMAT,
        **{name: getattr(publication, name) for name in ("name", "version", "mmidd")},
        "corpus": dict(publication.corpus),
        "terms": [asdict(each) for each in publication.terms],
        "redacted": list(publication.redacted),
        "files": {name: each.document() for name, each in publication.files.items()},
        "rows": {dataset: dict(splits) for dataset, splits in publication.rows.items()},
        "changes": [dict(each) for each in publication.changes],
    }


def publication_bytes(publication: Publication) -> bytes:
    """`publication.json`, sealed, in the one way that `parsed` accepts."""
    return manifest_bytes(document(publication))


def parsed(data: bytes, where: str) -> Publication:
    """A publication from the bytes of its `publication.json`; `where` begins the error's words. Raises ShareError."""

    def wrong(why: str) -> ShareError:
        return ShareError(f"{where}: {PUBLICATION} {why}; get the publication again, or ask who published it")

    if len(data) > MOST_BYTES:
        raise wrong(f"has more than {MOST_BYTES >> 20} MiB, which no publication has")
    try:
        content = json.loads(data)
        canonical(content).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError):
        raise wrong("is no JSON text") from None
    if not isinstance(content, dict) or VERSION not in content:
        raise wrong("is not one of mmidd")
    if not _is_count(content[VERSION]) or content[VERSION] != FORMAT:
        newer = _is_count(content[VERSION]) and content[VERSION] > FORMAT
        raise ShareError(
            f"{where} is a publication of format {str(content[VERSION])[:20]}, this mmidd knows {FORMAT}"
            + ("; install a newer mmidd: pip install --upgrade mmidd" if newer else "")
        )
    if set(content) != _KEYS:
        raise wrong("has other keys than a publication")
    said = {key: value for key, value in content.items() if key != SEAL}
    try:
        sealed = is_written(said, data)
    except RecursionError:
        sealed = False
    if not sealed:
        raise wrong("is not as it was written: its seal does not fit")
    if faulty := next((key for key, is_sound in _SOUND.items() if not is_sound(said[key])), None):
        raise wrong(f"says of {faulty} what no publication says")
    version = said["corpus"].get("schema_version")
    if version != SCHEMA_VERSION:
        raise ShareError(
            f"{where} is of a corpus of schema version {str(version)[:20]}, this mmidd knows {SCHEMA_VERSION}; "
            "install the mmidd that knows it"
        )
    return Publication(
        said["name"], said["version"], said["mmidd"], said["corpus"], tuple(Terms(**each) for each in said["terms"]),
        tuple(said["redacted"]),
        {name: Listed(each["bytes"], each["sha256"], each.get("rows")) for name, each in said["files"].items()},
        said["rows"], tuple(said["changes"]),
    )  # fmt: skip


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _is_text(value: Any, most: int = 4000) -> bool:
    return isinstance(value, str) and len(value) <= most


def _is_label(value: Any) -> bool:
    """One visible line."""
    return _is_text(value, 200) and bool(value) and value.isprintable()


def is_file(name: str) -> bool:
    """May a publication list a file of this name: inside its folder, visible, and nowhere a hidden one?"""
    hidden = any(part.startswith(".") for part in name.split("/"))
    return is_inside(name) and not hidden and name.isprintable() and len(name.encode()) <= _MOST_NAME and name != PUBLICATION


def _are_terms(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 10_000 and all(map(_is_terms, value))


_TRUTHS = ("pixels", "masks", "captions")


def _is_terms(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {field.name for field in fields(Terms)}
        and all(isinstance(value[name], bool) for name in _TRUTHS)
        and (value["redistributable"] is None or isinstance(value["redistributable"], bool))
        and _is_label(value["dataset"])
        and _is_text(value["slug"], 200)
        and _SLUG.fullmatch(value["slug"]) is not None
        and all(_is_text(value[name]) for name in ("licence", "url", "why"))
    )


def _are_files(value: Any) -> bool:
    return isinstance(value, dict) and all(is_file(name) and _is_listed(each) for name, each in value.items())


def _is_listed(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) - {"rows"} == {"bytes", "sha256"}
        and _is_count(value["bytes"])
        and _is_text(value["sha256"], 64)
        and _DIGEST.fullmatch(value["sha256"]) is not None
        and _is_count(value.get("rows", 0))
    )


def _are_rows(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_label(name) and isinstance(each, dict) and set(each) <= set(SPLITS) and all(map(_is_count, each.values()))
        for name, each in value.items()
    )


def _are_changes(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and _is_label(each.get("dataset"))
        and all(_is_label(key) and (key == "dataset" or _is_count(found)) for key, found in each.items())
        for each in value
    )


_SOUND: Mapping[str, Callable[[Any], bool]] = {
    "name": _is_label,
    "version": lambda value: _is_count(value) and value > 0,
    "mmidd": _is_label,
    "corpus": lambda value: isinstance(value, dict) and SEAL not in value,
    "terms": _are_terms,
    "redacted": lambda value: isinstance(value, list) and all(each in get_args(Redaction) for each in value),
    "files": _are_files,
    "rows": _are_rows,
    "changes": _are_changes,
}


def names(files: Sequence[str] | Mapping[str, Any], folder: str) -> list[str]:
    """The listed files of a folder of a publication, sorted."""
    return sorted(name for name in files if name.startswith(f"{folder}/"))
