"""What the manifests say, for people: the table of datasets, the page of one, and docs/datasets.md.

`python -m mmidd.manifest.catalogue > docs/datasets.md` writes that page anew.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmidd.errors import DataError
from mmidd.manifest import Manifest, bundled, find_manifest, shipped
from mmidd.manifest.spec import Expected, RuleSpec
from mmidd.raw.listing import entries, locate
from mmidd.raw.path import Place, root_of

COMMAND = "python -m mmidd.manifest.catalogue > docs/datasets.md"
_INTRO = f"""\
# Datasets

Made from the manifests by `{COMMAND}`; do not edit. Counts are those of the
official release, of one compression; a dash: not published, or not known for sure. *Types* are those of forgeries, or
families of [presentation attacks](manifests.md#methods). *Verified* means that layout and
facts come from the authors and not from third parties. `mmidd datasets` shows the same, `mmidd index --check` compares
it with your disk, and [adding a dataset](adding-a-dataset.md) says how one more is read.
"""


def rows(data: str | Path | None = None) -> list[dict[str, Any]]:
    """One row a dataset; `found` is its folder under the data root, null if it is not there or none was given."""
    root = root_of(data) if data is not None else None
    if root is not None and not root.is_dir():
        raise DataError(f"the data root {root} is not a folder")
    under = entries(root) if root is not None else ()
    return [_row(manifest, root, under) for manifest in bundled().values()]


def _row(manifest: Manifest, data: Place | None, under: Sequence[Place] = ()) -> dict[str, Any]:
    root = locate(manifest.name, manifest.folders, data, under) if data is not None else None
    return {
        "name": manifest.name,
        "slug": manifest.slug,
        "year": manifest.year,
        "media": _all_media(manifest),
        "real": _labelled(manifest, "real"),
        "fake": _labelled(manifest, "fake"),
        "types": list(manifest.types),
        "licence": manifest.licence.name,
        "redistributable": manifest.licence.redistributable,
        "verified": manifest.verified,
        "found": root.name if root else None,
    }


def _label_of(manifest: Manifest, entry: Expected) -> str | None:
    rules = {rule.id: rule.label for rule in manifest.rules}
    return entry.label or (rules.get(entry.rule) if entry.rule else "fake" if entry.method else None)


def _labelled(manifest: Manifest, label: str) -> int | None:
    """How many media of a label the official release has (in one compression), by the manifest's counts."""
    mine = [entry for entry in manifest.expected if _label_of(manifest, entry) == label]
    whole = [entry for entry in mine if entry.split is None] or mine
    totals = [entry for entry in whole if entry.rule is None and entry.method is None] or whole
    return sum(entry.count for entry in totals) if totals else None


def _all_media(manifest: Manifest) -> int | None:
    """How many media the official release has; where labels are counted for some splits alone, with the other splits."""
    labelled = [entry for entry in manifest.expected if _label_of(manifest, entry) is not None]
    count = sum(_labelled(manifest, label) or 0 for label in ("real", "fake"))
    if all(entry.split is not None for entry in labelled):
        covered = {entry.split for entry in labelled}
        count += sum(each.count for each in manifest.expected if each not in labelled and each.split not in covered)
    return count or None


def describe(name: str) -> dict[str, Any]:
    """All that a person needs to put a dataset in its place."""
    manifest = find_manifest(name)
    return {
        **_row(manifest, None),
        "access": manifest.access,
        "citation": manifest.citation,
        "known_defects": list(manifest.known_defects),
        "text": _text(manifest),
    }


def _text(manifest: Manifest) -> str:
    also = ", ".join(manifest.folders[1:])
    parts = [
        f"{manifest.name} ({manifest.year}): {manifest.summary}",
        "",
        "layout, under the data root" + (f" (folder also accepted as: {also})" if also else ""),
        *(f"  {line}" for line in tree(manifest)),
        *(f"  {line}" for line in _fields(manifest)),
        "",
        *(f"media: {count:,} {what}" for what, count in _counts(manifest)),
        f"types: {_types(manifest)}",
        f"licence: {manifest.licence.name} ({manifest.licence.url}); crops may be redistributed: "
        + ("yes" if manifest.licence.redistributable else "no"),
        _wrapped("access", manifest.access),
        _wrapped("citation", manifest.citation),
        *([] if manifest.verified else [_wrapped("not verified", manifest.verified_note or "")]),
        *(_wrapped("known defect", defect) for defect in manifest.known_defects),
    ]
    return "\n".join(parts)


def _wrapped(head: str, text: str) -> str:
    return textwrap.fill(f"{head}: {' '.join(text.split())}", 100, subsequent_indent="  ", break_on_hyphens=False)


def _types(manifest: Manifest) -> str:
    unknown = any((rule.type_basis or manifest.type_basis) == "unknown" for rule in manifest.rules if rule.label == "fake")
    return ", ".join([*manifest.types, *(["unknown"] if unknown else [])])


def _counts(manifest: Manifest) -> Iterator[tuple[str, int]]:
    """Every count that the manifest gives, in words."""
    for entry in manifest.expected:
        words = (entry.rule and f"of rule {entry.rule}", entry.label, entry.method, entry.split and f"in {entry.split}")
        yield " ".join(word for word in words if word), entry.count


def tree(manifest: Manifest) -> list[str]:
    """The layout as a tree: every rule's first form with what it is, and the label files."""
    leaves: dict[str, str] = {}
    for rule in manifest.rules:
        known, meaning = leaves.get(rule.path[0]), _meaning(rule)
        leaves[rule.path[0]] = meaning if known is None else " / ".join(dict.fromkeys([*known.split(" / "), meaning]))
    for table in manifest.tables.values():
        leaves.setdefault(table.files[0], "label file")
    nested: dict[str, Any] = {}
    for path, meaning in leaves.items():
        *folders, name = path.split("/")
        place = nested
        for folder in folders:
            place = place.setdefault(f"{folder}/", {})
        place[name] = meaning
    lines = list(_branches(nested, ""))
    width = min(100, max(len(line) for line, _ in lines))
    return [f"{manifest.folders[0]}/", *(f"{line:{width}}  {meaning}".rstrip() for line, meaning in lines)]


def _meaning(rule: RuleSpec) -> str:
    what = rule.label if rule.label == "real" else f"fake, {rule.method}" if rule.method else "fake"
    more = len(rule.path) - 1
    return what + (f" (or {more} other form{'s' if more > 1 else ''})" if more else "")


def _branches(nested: Mapping[str, Any], indent: str) -> Iterator[tuple[str, str]]:
    """Lines with what stands at their end; a folder with one entry shares its line with it."""
    for number, (name, below) in enumerate(nested.items(), 1):
        last = number == len(nested)
        while isinstance(below, dict) and len(below) == 1:
            ((inner, below),) = below.items()
            name += inner
        yield f"{indent}{'`-- ' if last else '|-- '}{name}", "" if isinstance(below, dict) else below
        if isinstance(below, dict):
            yield from _branches(below, indent + ("    " if last else "|   "))


def _fields(manifest: Manifest) -> Iterator[str]:
    """The fields that have a list of choices."""
    used = "".join(path for rule in manifest.rules for path in rule.path)
    for name, field in manifest.fields.items():
        if field.choices and "{" + name + "}" in used:
            yield textwrap.fill(f"{{{name}}}: {', '.join(field.choices)}", 98, subsequent_indent="  ")


def page(manifests: Mapping[str, Manifest]) -> str:
    """docs/datasets.md: a table of all, a section for each."""
    head = ("dataset", "year", "media", "real", "fake", "types", "licence", "redistributable", "verified")
    table = [_line(head), _line(["---"] * len(head)), *(_line(_cells(manifest)) for manifest in manifests.values())]
    parts = [_INTRO, "\n".join(table) + "\n", *(_section(manifest) for manifest in manifests.values())]
    return "\n".join(parts)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cells(manifest: Manifest) -> Sequence[str]:
    row = _row(manifest, None)
    counts = ("-" if row[name] is None else f"{row[name]:,}" for name in ("media", "real", "fake"))
    answers = ("yes" if row[name] else "no" for name in ("redistributable", "verified"))
    return [manifest.name, str(manifest.year), *counts, _types(manifest), manifest.licence.name, *answers]


def _section(manifest: Manifest) -> str:
    layout = "\n".join([*tree(manifest), *_fields(manifest)])
    folders = ", ".join(f"`{folder}`" for folder in manifest.folders)
    licence = f"{manifest.licence.name} (<{manifest.licence.url}>)"
    facts = [
        f"- Folder: {folders}",
        f"- Licence: {licence}; crops may {'' if manifest.licence.redistributable else 'not '}be redistributed",
        f"- Access: {_plain(manifest.access)}",
        f"- Citation: {_plain(manifest.citation)}",
        *(f"- Count: {count:,} {what}" for what, count in _counts(manifest)),
        *([] if manifest.verified else [f"- Not verified: {_plain(manifest.verified_note or '')}"]),
        *(f"- Known defect: {_plain(defect)}" for defect in manifest.known_defects),
    ]
    return f"## {manifest.name}\n\n{_plain(manifest.summary)}\n\n```text\n{layout}\n```\n\n" + "\n".join(facts) + "\n"


def _plain(text: str) -> str:
    """Manifest text as Markdown shows it as it stands, in one line."""
    return " ".join(text.split()).replace("*", "\\*").replace("_", "\\_").replace("<", "\\<")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(page(shipped()))
