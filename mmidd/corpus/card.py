"""The dataset card and `mmidd.json`: every number comes from the corpus's own tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from mmidd.corpus.about import About
from mmidd.corpus.about import Listed as File
from mmidd.schema import KINDS, SPLITS, columns_of, features, kind_words

if TYPE_CHECKING:
    from mmidd.curation.losses import Losses, Rate
    from mmidd.manifest.lists import Listed

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)


@dataclass(frozen=True)
class DatasetFacts:
    """What the card says of one origin dataset."""

    name: str
    slug: str
    year: int
    citation: str
    licence: str
    url: str
    redistributable: bool


@dataclass(frozen=True)
class ShardFacts:
    """One data file: its name, size, rows, and to which dataset and split it belongs."""

    file: str
    bytes: int
    sha256: str
    rows: int
    dataset: str

    @property
    def split(self) -> str:
        return self.file.removeprefix("data/").split("-")[0]


def card(
    recipe: str,
    description: str,
    datasets: Sequence[DatasetFacts],
    shards: Sequence[ShardFacts],
    counts: Mapping[tuple[str, str, str], int],
    media: pa.Table,
    losses: Losses,
    detector: Mapping[str, str],
    lists: Mapping[str, Sequence[Listed]] | None = None,
) -> str:
    """README.md of a corpus. `counts` are samples by (dataset, one of KINDS, split), `media` its table, `lists`
    what came of each dataset's label files."""
    front = yaml.safe_dump(_front_matter(recipe, datasets, shards), sort_keys=False, allow_unicode=True)
    total = sum(shard.rows for shard in shards)
    sections = [
        f"---\n{front}---\n",
        f"# {escape(recipe)}\n",
        f"{escape(description)}\n" if description else "",
        f"{total:,} samples of {pc.sum(pc.greater(media['samples'], 0)).as_py() or 0:,} media from "
        f"{len({shard.dataset for shard in shards})} datasets. Built with mmidd; `mmidd verify` checks it against "
        "`mmidd.json`.\n",
        _usage(datasets, shards),
        "## Samples by dataset, type and split\n",
        count_table([dataset.name for dataset in datasets], counts),
        "## Where media were lost\n",
        "Every medium that was found has a row in `media.parquet` with its outcome.\n",
        loss_table(media),
        _lists_section(lists or {}),
        "## Losses of real and fake\n",
        _bias(losses),
        _rate_table(losses),
        "## Columns\n",
        column_table(kind for _, kind, _ in counts),
        "## Licences\n",
        _licence_table(datasets, detector),
        "This corpus shows real people. Use it for research on forgery detection, under the terms of every dataset "
        "above; do not try to identify anybody.\n",
        "## Citations\n",
        "\n".join(f"- {escape(d.name)}: {escape(' '.join(d.citation.split()))}" for d in datasets) + "\n",
    ]
    return "\n".join(section for section in sections if section)


def partial(card: str, about: About, files: Mapping[str, File], words: str) -> str:
    """The card of a corpus that holds a part of another (`about`), made of the other's: its front matter is of the shards
    that are among these files, and `words` stand on top."""
    known, body = _split(card)
    names = {each.slug: name for name, each in about.datasets.items()}
    here = [(s, files[s.name], names.get(s.dataset, s.dataset)) for s in about.shards if s.name in files]
    shards = [ShardFacts(shard.name, file.bytes, file.sha256, file.rows or 0, name) for shard, file, name in here]
    slugs = sorted({(name, shard.dataset) for shard, _, name in here})
    datasets = [DatasetFacts(name, slug, 0, "", "", "", False) for name, slug in slugs]
    made = _front_matter("", datasets, shards)
    told = {**known, **{name: made[name] for name in _OF_SHARDS}}
    return f"---\n{yaml.safe_dump(told, sort_keys=False, allow_unicode=True)}---\n\n> {escape(words)}\n{body}"


_OF_SHARDS = ("size_categories", "source_datasets", "configs", "dataset_info")


def _split(card: str) -> tuple[dict[str, Any], str]:
    """The front matter of a card and the rest; none where there is none that can be read."""
    if card.startswith("---\n") and "\n---\n" in card:
        front, _, body = card[4:].partition("\n---\n")
        try:
            known = yaml.safe_load(front)
        except (yaml.YAMLError, ValueError, RecursionError):
            known = None
        if isinstance(known, dict):
            return known, body
    return {}, card


def _front_matter(recipe: str, datasets: Sequence[DatasetFacts], shards: Sequence[ShardFacts]) -> dict[str, Any]:
    total = sum(shard.rows for shard in shards)
    size = next((name for most, name in SIZES if total < most), "n>10M")
    configs = [_config("all", "*", shards) | {"default": True}]
    configs += [_config(d.slug, d.slug, [s for s in shards if s.dataset == d.name]) for d in datasets]
    configs = [config for config in configs if config["data_files"]]
    return {
        "pretty_name": recipe,
        "license": "other",
        "license_name": "see-licences-below",
        "task_categories": ["image-classification"],
        "tags": ["deepfake-detection", "face-forgery", "mmidd"],
        "size_categories": [size],
        "annotations_creators": ["machine-generated"],
        "source_datasets": [dataset.name for dataset in datasets],
        "configs": configs,
        "dataset_info": [_info(config["config_name"], datasets, shards) for config in configs],
    }


def _config(name: str, pattern: str, shards: Sequence[ShardFacts]) -> dict[str, Any]:
    present = [split for split in SPLITS if any(shard.split == split for shard in shards)]
    files = [{"split": split, "path": f"data/{split}-{pattern}{'' if pattern == '*' else '-*'}"} for split in present]
    return {"config_name": name, "data_files": files}


def _info(name: str, datasets: Sequence[DatasetFacts], shards: Sequence[ShardFacts]) -> dict[str, Any]:
    slugs = {dataset.name: dataset.slug for dataset in datasets}
    mine = [shard for shard in shards if name in ("all", slugs[shard.dataset])]
    splits = []
    for split in SPLITS:
        part = [shard for shard in mine if shard.split == split]
        if part:
            sizes = {"num_bytes": sum(s.bytes for s in part), "num_examples": sum(s.rows for s in part)}
            splits.append({"name": split, **sizes})
    size = sum(shard.bytes for shard in mine)
    return {
        "config_name": name,
        "features": [{"name": key, **card_feature(value)} for key, value in features().items()],
        "splits": splits,
        "download_size": size,
        "dataset_size": size,
    }


def card_feature(feature: Mapping[str, Any]) -> dict[str, Any]:
    """A feature in the notation of dataset cards."""
    if feature["_type"] == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(feature["names"])}}}}
    if feature["_type"] == "Image":
        return {"dtype": "image"}
    if feature["_type"] == "List":
        inner = card_feature(feature["feature"])
        return {"list": inner.get("dtype", inner), "length": feature["length"]}
    return {"dtype": feature["dtype"]}


def _usage(datasets: Sequence[DatasetFacts], shards: Sequence[ShardFacts]) -> str:
    one = next((d.slug for d in datasets if any(s.dataset == d.name for s in shards)), "all")
    split = shards[0].split if shards else "train"
    return (
        "```python\nfrom datasets import load_dataset\n\n"
        f'corpus = load_dataset("PATH/TO/THIS/FOLDER", split="{split}")  # or name="{one}" for one dataset\n```\n'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; its cells are escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(escape(str(cell)) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def count_table(datasets: Sequence[str], counts: Mapping[tuple[str, str, str], int]) -> str:
    """Samples by dataset, type and split."""
    rows: list[list[object]] = []
    for dataset in datasets:
        for kind in KINDS:
            cells = [counts.get((dataset, kind, split), 0) for split in SPLITS]
            if any(cells):
                rows.append([dataset, kind_words(kind), *(f"{n:,}" for n in cells), f"{sum(cells):,}"])
    totals = [sum(n for (_, _, s), n in counts.items() if s == split) for split in SPLITS]
    rows.append(["all", "", *(f"{n:,}" for n in totals), f"{sum(totals):,}"])
    return table(["dataset", "type", *SPLITS, "samples"], rows)


def loss_table(media: pa.Table) -> str:
    """How the media of each dataset and method ended."""
    sums = [("frames_planned", "sum"), ("samples", "sum"), ([], "count_all")]
    groups: dict[tuple[str, str], Counter[str]] = {}
    for row in media.group_by(["dataset", "method", "label", "outcome"]).aggregate(sums).to_pylist():
        key = (row["dataset"], row["method"] or (row["label"] or "unread"))
        count, planned, samples = row["count_all"], row["frames_planned_sum"] or 0, row["samples_sum"] or 0
        groups.setdefault(key, Counter()).update(
            {"media": count, row["outcome"]: count, "planned": planned, "samples": samples}
        )
    head = ["dataset", "method", "media", "ok", "dropped", "failed", "frames planned", "samples"]
    names = ("media", "ok", "dropped", "failed", "planned", "samples")
    return table(head, ([*key, *(f"{groups[key][name]:,}" for name in names)] for key in sorted(groups)))


def _lists_section(lists: Mapping[str, Sequence[Listed]]) -> str:
    """The label files that labels, identities and splits come from, by the digest of what was read."""
    rows = [
        [
            dataset, each.path, each.sha256[:12], f"{each.rows:,}", f"{each.here:,}",
            "" if each.expected is None else f"{each.expected:,}",
            "no split is official by it" if each.partial else "", "; ".join(each.notes),
        ]
        for dataset, files in lists.items() for each in files
    ]  # fmt: skip
    head = ["dataset", "label file", "sha256", "rows", "that name media here", "official rows", "not whole", "read"]
    return "## Label files\n\n" + table(head, rows) if rows else ""


def _bias(losses: Losses) -> str:
    """The differences that are flagged, or that there is none; and what was not compared."""
    lines = [
        "A frame is lost if extraction dropped it or failed on it. What is missing can tell real from fake, so both are "
        "compared within each dataset and within pairs, by exact tests over media with Holm's correction.\n",
        *(f"- **Flagged:** {escape(str(finding))}" for finding in losses.findings),
    ]
    if not losses.findings:
        lines.append(f"No significant difference in {len(losses.comparisons):,} comparisons.")
    if losses.one_sided:
        lines.append(f"\nNot compared, with reals or fakes alone: {escape(', '.join(losses.one_sided))}.")
    uneven = [f"{escape(name)}: {sides}" for name, sides in losses.sides.items() if sides.uneven]
    if uneven:
        lines.append(f"\nFrames of one side of a pair alone. {'; '.join(uneven)}.")
    lines += _claims(losses)
    return "\n".join(lines) + "\n"


def _claims(losses: Losses) -> list[str]:
    """What the fakes' own pixels say of their pairs and of whom they are about."""
    told = [f"- {escape(name)}: {escape(line)}." for name, each in losses.claims.items() for line in each.lines]
    told += [f"- **Common:** {escape(str(odd))}." for each in losses.claims.values() for odd in each.findings]
    checked = sum(each.checked for each in losses.claims.values())
    proved = sum(each.checks.get("proved", 0) for each in losses.claims.values())
    head = f"\nOf {checked:,} fakes with a real, {proved:,} prove on their own pixels to be cut where that was.\n"
    return [head, *told] if checked or told else []


def _rate_table(losses: Losses) -> str:
    head = [
        "by", "dataset", "group", "media", "lost a frame", "share (95% interval)", "gave nothing", "frames planned",
        "frames lost", "share", "reasons",
    ]  # fmt: skip
    return table(head, (_rate_cells(rate) for rate in losses.rates if rate.by != "method" or rate.dataset is None))


def _rate_cells(rate: Rate) -> list[object]:
    lost = rate.dropped + rate.failed
    why = [*rate.reasons.items(), *((f"{error} (media)", count) for error, count in rate.errors.items())]
    return [
        rate.by, rate.dataset or "", rate.group, f"{rate.media:,}", f"{rate.media_any:,}",
        rate.share, f"{rate.media_all:,}", f"{rate.planned:,}",
        f"{lost:,}", f"{lost / rate.planned:.1%}" if rate.planned else "", ", ".join(f"{name} {n:,}" for name, n in why[:3]),
    ]  # fmt: skip


def column_table(kinds: Iterable[str]) -> str:
    """The columns of a corpus with rows of these kinds, with their meaning."""
    rows = ([c.name, "/".join(c.classes) if c.classes else c.unit, c.meaning, c.tells] for c in columns_of(kinds))
    return table(["column", "unit", "meaning", "tells of the label"], rows)


def _licence_table(datasets: Sequence[DatasetFacts], detector: Mapping[str, str]) -> str:
    rows = [[d.name, d.licence, "yes" if d.redistributable else "NO", d.url] for d in datasets]
    rows.append([f"face detector {detector['kind']} (weights)", detector["licence"], "", ""])
    return table(["what", "licence", "pixels may be redistributed", "terms"], rows)


_MARKDOWN = re.compile(r"""[\\`*\[\]<>|&~]|(?<![^\W_])_|_(?![^\W_])|^[#=+-]""")
_NUMBERED = re.compile(r"^(\d{1,9})([.)])")


def escape(text: str) -> str:
    """Text that Markdown shows as it is, in one line, whatever is in it: in a table's cell or as a paragraph."""
    line = " ".join("".join(c for c in text if c.isprintable() or c in "\n\r").splitlines()).strip()
    return _NUMBERED.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\g<0>", line))
