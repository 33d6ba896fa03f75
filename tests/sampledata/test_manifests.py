"""The sample's trees are what the bundled manifests describe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mmidd.manifest import bundled, describe
from mmidd.manifest.accounting import Accounting


def _reader(folder: Path) -> Callable[[str], bytes]:
    return lambda path: (folder / path).read_bytes()


def _accounts(root: Path) -> dict[str, Accounting]:
    accounts: dict[str, Accounting] = {}
    for name, manifest in bundled().items():
        folder = root / name
        if folder.is_dir():
            paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
            accounts[name] = describe(manifest, paths, _reader(folder))
    return accounts


def test_every_file_but_the_stray_one_is_accounted_for(tiny: Path) -> None:
    accounts = _accounts(tiny)
    assert set(accounts) == {path.name for path in tiny.iterdir() if path.is_dir()}
    strays = [(name, path) for name, account in accounts.items() for path, _ in account.unmatched]
    assert strays == [("DeepFakeFace", "notes.txt")]


def test_all_five_types_and_three_splits_are_there_and_pairs_exist(tiny: Path) -> None:
    media = [medium for account in _accounts(tiny).values() for medium in account.media]
    assert {medium.forgery_type for medium in media} >= {"REAL", "FS", "FR", "EFS", "FE"}
    by_split = Counter((medium.split, medium.label) for medium in media)
    assert all(by_split[split, label] for split in ("train", "validation", "test") for label in ("real", "fake"))
    known = {(medium.dataset, medium.media) for medium in media}
    paired = [medium for medium in media if medium.pair_media]
    assert paired
    assert [medium.media for medium in paired if (medium.pair_dataset, medium.pair_media) not in known] == []
