"""Faked environments, made for real: packages in a folder on the path, of this process and of those it starts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mmidd.doctor import packages
from mmidd.doctor.report import Check

Install = Callable[..., None]
Look = Callable[[Iterable[Check]], dict[str, Check]]


def by_name(checks: Iterable[Check]) -> dict[str, Check]:
    """The checks by their names, of which no two are equal, and each not ok has a way out."""
    found = list(checks)
    named = {check.name: check for check in found}
    assert len(named) == len(found), [check.name for check in found]
    assert all(check.advice or (check.state == "note" and check.name == "NVIDIA") for check in found if check.state != "ok")
    return named


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package before all others: its metadata (`version` None: broken ones) and, with `code`, its module."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", str(place))

    def put(name: str, version: str | None, more: str = "", module: str | None = None, code: str | None = None) -> None:
        info = place / f"{name.replace('-', '_')}-{version or '0'}.dist-info"
        info.mkdir()
        stated = f"Version: {version}\n" if version else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n{stated}{more}\n")
        if code is not None:
            folder = place / (module or name.replace("-", "_"))
            folder.mkdir()
            (folder / "__init__.py").write_text(code)
            for known in [each for each in sys.modules if each.split(".")[0] == folder.name]:
                monkeypatch.delitem(sys.modules, known)
        importlib.invalidate_caches()
        packages._is_required.cache_clear()

    return put
