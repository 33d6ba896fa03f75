"""Importing: into a folder beside the target, proved from its files, and moved into place in one step."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmidd.engine.faults import fault
from mmidd.engine.files import digest, disk_errors, sha256_file, write_text
from mmidd.engine.run import Progress, Silent
from mmidd.engine.units import Outcome
from mmidd.errors import DataError, UsageError
from mmidd.manifest import taken
from mmidd.manifest.methods import ForgeryType
from mmidd.recipe import read as read_recipe
from mmidd.results import Result
from mmidd.share.beside import alone, move
from mmidd.share.imports import types
from mmidd.share.imports.copying import Copier, NotTaken
from mmidd.share.imports.folder import ABOUT, LIST, clear, label, prove
from mmidd.share.imports.places import masks_of, place, slug
from mmidd.share.imports.protocol import LOST, Choices, Item, Notes, importer, labels_of, types_of
from mmidd.share.imports.root import File, Root, is_sane
from mmidd.share.imports.written import Dataset, as_yaml, manifest, methods, recipe, shown, tables
from mmidd.show import data as show

if TYPE_CHECKING:
    from rich.console import Console

FINDINGS = "import-findings.csv"
_SHOWN = 3


@dataclass(frozen=True, repr=False)
class Imported(Result):
    """What was imported. `media` counts by label, `kinds` by kind, `mapped` the files by what their listed paths had before
    the part that is below the images; `findings` by kind, of which `lost` say that something was not imported."""

    importer: str
    name: str
    out: str
    media: dict[str, int]
    kinds: dict[str, int]
    splits: dict[str, int]
    methods: dict[str, int]
    own_methods: dict[str, str]
    pairs: int
    masks: int
    files: int
    bytes: int
    linked: int
    mapped: dict[str, int]
    findings: dict[str, int]
    lost: int
    changed: bool
    examples: tuple[tuple[str, str, str], ...] = ()

    def tell(self, console: Console) -> None:
        show.imported(console, self)

    def document(self) -> dict[str, Any]:
        """Everything as JSON."""
        return {**asdict(self), "examples": [list(each) for each in self.examples]}


def import_dataset(
    kind: str,
    lists: Sequence[str | Path],
    images: str | Path,
    out: str | Path,
    choices: Choices,
    progress: Progress | None = None,
) -> Imported:
    """Make a dataset at `out` of what lists name and `images` holds; a recipe lies in it that builds it.

    Nothing that is there is overwritten: `out` is new or empty, or holds this very import, which is then checked. A killed
    import leaves a folder beside it that the next one clears. Raises UsageError for names that need a choice or are taken,
    DataError for lists that cannot be read and for a folder that holds something else.
    """
    chosen = importer(kind)
    target = _checked(Path(out), Path(images))
    about = _about(choices, target, chosen.faces)
    notes = Notes()
    items = chosen.read([Path(each) for each in lists], Root(Path(images)), choices, notes)
    own = types.settle(items, choices.types, notes)
    media = place(items)
    wanted = digest(kind, chosen.version, asdict(about), choices.link, own, list(_input(media)), len(notes.findings))
    with alone(target, "import", DataError):
        if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
            return _there(target, wanted)
        if not items:
            raise DataError(f"nothing can be imported: {_most(notes)}")
        building = target.with_name(f".{target.name}.importing")
        with disk_errors(target):
            clear(building)
            try:
                done = _write(building, kind, about, media, own, choices, notes, wanted, progress or Silent())
                fault("before_import_rename", target)
                move(building, target, "import", DataError)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return Imported(**{**done, "out": str(target), "changed": True})


def _checked(out: Path, images: Path) -> Path:
    target = out.parent.resolve() / out.name if out.name not in ("", "..") else out.resolve()
    if not target.name or target.name.startswith((".", "_")) or not is_sane(target.name) or len(target.name) > 200:
        raise UsageError(f"--out {out} is no place for a dataset; name a folder in it, with a plain name")
    if target.is_relative_to(images.resolve()) or images.resolve().is_relative_to(target):
        raise UsageError(f"--out {out} and --images {images} lie in each other; choose a place beside it")
    return target


def _about(choices: Choices, target: Path, faces: Any) -> Dataset:
    name, licence = choices.name, choices.licence
    if not all(is_sane(each) and 0 < len(each) <= 100 and each == each.strip() for each in (name, licence)):
        raise UsageError("--name and --licence are words of 1 to 100 characters, without control characters")
    short = slug(name).lower().replace("-", "_").strip("_")
    short = short if short[:1].isalpha() else f"set_{short}".rstrip("_")
    for word, dataset in taken((name, short, target.name)):
        option = "--out, a folder with another name" if word == target.name else "another --name"
        raise UsageError(f"{word!r} is a name of the dataset {dataset}; choose {option}")
    return Dataset(name, short, target.name, licence, choices.faces or faces)


def _input(media: Sequence[tuple[str, Item]]) -> Iterator[str]:
    """What is imported, in words: another file, size or label is another import."""
    for where, item in media:
        said = (item.label, item.method, item.target, item.source, item.split, item.pair, item.compression)
        sizes = [[number, file.size] for number, file in item.files.items()]
        yield digest(where, said, item.original, sizes, [[number, file.size] for number, file in item.masks.items()])


def _write(
    building: Path, kind: str, about: Dataset, media: list[tuple[str, Item]], own: dict[str, ForgeryType],
    choices: Choices, notes: Notes, wanted: str, progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """Write all files and what says so, and prove them. Returns what the result says, but for place and change."""
    building.mkdir()
    write_text(building / ABOUT, json.dumps({"importer": kind, "input": wanted}) + "\n", scratch=building)
    copier = Copier(building, choices.link)
    came = _bring(media, copier, notes, progress)
    if not came:
        raise DataError(f"nothing can be imported: {_most(notes)}")
    places = {item.key: where for where, item in came}
    for item in (item for _, item in came if item.pair is not None and item.pair not in places):
        notes.add("pair that is none", "its real was not imported; it has none", item.place)
        item.pair = None
    used = {name: type_ for name, type_ in own.items() if any(item.method == name for _, item in came)}
    _describe(copier, about, came, used, places)
    copier.write(FINDINGS, _findings(notes))
    listed = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(copier.digests))
    (building / LIST).write_text(listed)
    done = {
        "importer": kind, "name": about.name,
        "media": _counts(item.label for _, item in came),
        "kinds": _counts(item.kind for _, item in came),
        "splits": _counts(item.split or "none" for _, item in came),
        "methods": _counts(item.method or "unknown" for _, item in came if item.label == "fake"),
        "own_methods": dict(used),
        "pairs": sum(item.pair is not None for _, item in came),
        "masks": sum(bool(item.masks) for _, item in came),
        "files": len(copier.digests), "bytes": copier.size, "linked": copier.linked,
        "mapped": dict(notes.mapped.most_common(20)), "findings": notes.counts, "lost": notes.lost,
        "examples": _examples(notes),
    }  # fmt: skip
    whole = {**done, "input": wanted, "list_sha256": sha256_file(building / LIST)}
    write_text(building / ABOUT, json.dumps(whole, indent=1) + "\n", scratch=building)
    prove(building, whole)
    return done


def _bring(media: list[tuple[str, Item]], copier: Copier, notes: Notes, progress: Progress) -> list[tuple[str, Item]]:
    """Every medium's files. Returns the media of which something came, each under the name that it has now."""
    came: list[tuple[str, Item]] = []
    progress.begin("import", len(media), 0)
    try:
        for where, item in media:
            name = _medium(where, item, copier, notes)
            if name is not None:
                came.append((name, item))
            progress.advance([Outcome("", where, "ok" if name is not None else "failed", ())])
    finally:
        progress.end()
    return came


def _medium(where: str, item: Item, copier: Copier, notes: Notes) -> str | None:
    if item.kind != "frames":
        bring = copier.image if item.kind == "image" else copier.video
        name = _file(item, item.files[0], where, bring, notes)
        return name
    item.files = {number: file for number, file in item.files.items() if _numbered(item, file, where, number, copier, notes)}
    if not item.files:
        notes.add("no frames", "none of its frames was imported", item.place)
        return None
    drawn = {number: file for number, file in item.masks.items() if number in item.files}
    item.masks = {n: file for n, file in drawn.items() if _numbered(item, file, masks_of(where), n, copier, notes)}
    return where


def _numbered(item: Item, file: File, where: str, number: int, copier: Copier, notes: Notes) -> bool:
    return _file(item, file, f"{where}/{number:03d}", copier.image, notes) is not None


def _file(item: Item, file: File, where: str, bring: Any, notes: Notes) -> str | None:
    try:
        name: str = bring(file, where)
    except NotTaken as fault_:
        notes.add(fault_.check, fault_.what, item.place, file.path.rpartition("/")[2])
        return None
    return name


def _describe(
    copier: Copier, about: Dataset, came: list[tuple[str, Item]], own: dict[str, ForgeryType], places: dict[Any, str]
) -> None:
    """Label tables, manifest, methods and recipe; each is read back before it is believed."""
    for name, data in tables(came, places):
        copier.write(name, data)
    copier.write(f"manifests/{about.slug}.yaml", as_yaml(manifest(about, came)).encode())
    if own:
        copier.write("manifests/methods.yaml", as_yaml(methods(own)).encode())
    copier.write("recipe.yaml", as_yaml(recipe(about, came)).encode())
    read_recipe(str(copier.root / "recipe.yaml"))


def _findings(notes: Notes) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("kind", "lost", "what", "where", "more"))
    for each in notes.findings:
        where = [*map(shown, each.where), "", ""][:2]
        writer.writerow((each.check, "yes" if each.check in LOST else "no", shown(each.what), *where))
    return text.getvalue().encode()


def _counts(words: Any) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _examples(notes: Notes) -> list[list[str]]:
    """The first few findings of each kind."""
    seen: Counter[str] = Counter()
    found = []
    for each in notes.findings:
        seen[each.check] += 1
        if seen[each.check] <= _SHOWN:
            found.append([each.check, shown(each.what), ", ".join(map(shown, each.where))])
    return sorted(found, key=lambda row: row[0])


def _most(notes: Notes) -> str:
    told = ", ".join(f"{check} {count}" for check, count in notes.counts.items())
    first = notes.findings[0] if notes.findings else None
    example = f"; the first: {', '.join(map(shown, first.where))}: {shown(first.what)}" if first is not None else ""
    return f"{told or 'the lists name nothing'}{example}. Look at --images"


def _there(out: Path, wanted: str) -> Imported:
    """The import that is there already, if it is this one and whole. Raises DataError for anything else."""
    found = label(out) if out.is_dir() and not out.is_symlink() else None
    if found is None:
        raise DataError(f"{out} holds something that is no import of mmidd; nothing was touched. Choose another --out")
    if found["input"] != wanted:
        raise DataError(f"{out} holds an import of other lists, files or choices; remove it, or choose another --out")
    prove(out, found)
    known = {name: value for name, value in found.items() if name not in ("input", "list_sha256")}
    try:
        known["examples"] = tuple(map(tuple, known["examples"]))
        return Imported(**{**known, "out": str(out), "changed": False})
    except (KeyError, TypeError) as error:
        raise DataError(f"{out / ABOUT} is not as it was written; remove the folder and import again") from error


__all__ = ["Choices", "Imported", "import_dataset", "labels_of", "types_of"]
