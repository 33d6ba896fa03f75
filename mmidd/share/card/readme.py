"""README.md of a publication: front matter, then what a reader asks, in the order in which it is asked."""

from __future__ import annotations

from collections.abc import Iterable

from mmidd.corpus.card import column_table, count_table, escape, loss_table, table
from mmidd.share.card import made
from mmidd.share.card.citation import bibtex
from mmidd.share.card.facts import Facts, plain
from mmidd.share.card.front import front_matter
from mmidd.share.card.licences import licence_table
from mmidd.share.publication.format import PROOF_COLUMNS

USES = (
    "Training and testing detectors of manipulated faces, and research on how they generalise between sources and methods.",
    "Research on the sources themselves: their overlaps, losses, biases and shortcuts.",
    "Making the same crops again from originals that one holds, so that results can be compared.",
)
FORBIDDEN = (
    "Identifying, recognising, watching or profiling people, or training to do so.",
    "Making, improving or hiding manipulations of real people.",
    "Passing pixels on where the licence of their source does not allow it, and any use that its terms exclude: most of "
    "them exclude commercial use.",
    "Deciding about a person (evidence, moderation, hiring) by a detector that was trained on this alone.",
)
PEOPLE = (
    "The sources show real people, many of whom never agreed to be in a dataset, and manipulations that put words and acts "
    "on them. Faces are biometric data in the law of many countries."
)
_TAKEDOWN = (
    "Anybody who is shown here, or holds rights in a medium, can ask for removal: {where}. Name the rows (`id`, or "
    "`dataset` and `media`) if you can. A removal is a new version without these rows; old versions are removed by the "
    "owner of the repository. Whoever holds a copy deletes them too."
)
_LEAKS = """\
Of rows without pixels, the columns of the table below prove that a crop was made again. What they give away:

- Digests (`media_sha256`, `image_sha256`, `pixels_sha256`, masks likewise) tell whoever already has a file, or the crop of \
it, that it is in this dataset. They show nothing to anybody else.
- `probes` are remainders (by 12 to 16) of 256 of a crop's values, at places drawn from its id: half a byte of one value in \
some hundreds. No picture can be seen in them.
- `phash` is 64 bits of the coarsest light and dark: it finds copies of a picture that one has; no face can be seen in it.
- `box`, `landmarks`, sizes, `timestamp`, `codec` and captions describe the medium; identities{identities} say which rows \
show one person.
- `image_bytes` and most proofs depend on the picture: they are no features to train on.
"""


def readme(facts: Facts, picture: str) -> bytes:
    """The card. `picture` is the name of the picture's file."""
    parts = [
        front_matter(facts),
        f"# {escape(facts.title)}\n",
        _summary(facts),
        f"![{_picture_words(facts)}]({picture})\n",
        "## How to load it\n", _load(facts),
        *(["## How to make the pixels again\n", _rehydrate(facts)] if facts.withheld else []),
        "## What is here and what is withheld\n", _withheld(facts),
        "## Licences\n", _licences(facts),
        "## How it was made\n", _made(facts),
        "## Samples by dataset, type and split\n", count_table([each.name for each in facts.sources], facts.counts),
        "## What was lost\n", _lost(facts),
        "## Audit and known limits\n", _limits(facts),
        "## Intended and forbidden use\n", "Intended:\n", _listed(USES), "Forbidden:\n", _listed(FORBIDDEN),
        "## People shown, and takedown\n", f"{PEOPLE} {people(facts)}\n", f"{takedown(facts)}\n",
        "## Columns\n", column_table(kind for _, kind, _ in facts.counts),
        *(["## Proofs, and what they give away\n", _proofs(facts)] if facts.withheld else []),
        "## Citations\n", "Cite this dataset and every source whose rows you use (also in CITATION.cff).\n", bibtex(facts),
        "## Versions\n", _versions(facts),
    ]  # fmt: skip
    return "\n".join(part for part in parts if part).encode()


def people(facts: Facts) -> str:
    """How far rows say who is shown."""
    if "identities" in facts.publication.redacted:
        return "Identities were removed before publishing; groups still join rows that share one."
    return "The identity columns (numbers or names that the sources gave) and groups join the rows of one person."


def takedown(facts: Facts) -> str:
    """How to have rows removed."""
    where = (
        f"write to the owner of the repository, or open a discussion (it is public) at {facts.url}/discussions"
        if facts.url
        else "write to its publisher"
    )
    return _TAKEDOWN.format(where=where)


def contents(facts: Facts) -> str:
    """What each row has."""
    redacted = facts.publication.redacted
    people = "" if "identities" in redacted else "identities, "
    captions = any(each.captions for each in facts.sources)
    told = "" if facts.told("captioner", "kind") in ("none", "not stated") or not captions else "two captions, "
    return f"Each has its label, type and method of forgery, {people}{told}its pair of real and fake, and a split by groups"


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines) + "\n"


def _summary(facts: Facts) -> str:
    total, sources = facts.total, len(facts.sources)
    shown = sum(source.total for source in facts.shown)
    pixels = (
        "All rows have their pixels."
        if not facts.withheld
        else f"**{shown:,} rows have their pixels**; the other {total - shown:,} have everything but them, and whoever "
        "holds the originals makes these again, bit for bit."
        if shown
        else "**No pixels are here**: the rows have everything but them, and whoever holds the originals makes these again, "
        "bit for bit."
    )
    lines = [
        f"{total:,} samples of faces from {facts.media_used:,} media of {sources} published {_many('dataset', sources)}, "
        "for research on the detection of manipulated faces.",
        f"{contents(facts)}.",
        pixels,
    ]
    description = facts.told("description")
    told = f"{escape(description)}\n" if description not in ("not stated", "") else ""
    return f"{' '.join(lines)}\n\n{told}"


def _many(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _picture_words(facts: Facts) -> str:
    if not facts.shown:
        return "Samples by dataset and type of forgery"
    names = ", ".join(f"{each.name} ({each.terms.licence})" for each in facts.shown)
    return escape(f"Samples of {names}; reals framed blue, fakes orange")


def _load(facts: Facts) -> str:
    split = facts.configs[0].splits[0] if facts.configs and facts.configs[0].splits else "train"
    names = ", ".join(f"`{config.name}`" for config in facts.configs)
    lines = [
        "```python",
        "from datasets import load_dataset",
        "",
        f'rows = load_dataset("{facts.where}", "all", split="{split}")',
    ]
    if facts.publication.complete:
        where = f"hf://datasets/{facts.where}" if facts.repository else facts.where
        lines += ["", "import mmidd", "", f'corpus = mmidd.Corpus("{where}")  # only what is asked for is read']
    told = "" if facts.publication.complete else " `all` and `labels` are every row without pixels."
    if facts.shown and facts.withheld:
        told += " `pixels` are the rows that have them."
    pinned = f' Add `revision="{facts.tag}"` to stay with this version.' if facts.repository else ""
    return (
        "\n".join(
            [
                *lines,
                "```",
                "",
                f"Configs: {names}.{told}{pinned} `croissant.json` says the same to tools that read Croissant.",
            ]
        )
        + "\n"
    )


def _rehydrate(facts: Facts) -> str:
    where = f"{facts.where}@{facts.tag}" if facts.repository else facts.where
    rows = (
        [
            each.name,
            f"{each.total:,}",
            each.manifest.folders[0] if each.manifest else "",
            " ".join(each.manifest.access.split()) if each.manifest else "ask its authors",
        ]
        for each in facts.withheld
    )
    found = (
        "Media are found by their bytes alone, for paths were removed before publishing. "
        if "paths" in facts.publication.redacted
        else ""
    )
    return (
        "Get the originals from their authors, and put each dataset into its folder below one root (archives need not be "
        "unpacked; `mmidd datasets NAME` shows the layout). "
        f"{found}Neither a GPU nor a detector is needed.\n\n"
        "```sh\n"
        f"pip install 'mmidd>={plain(facts.publication.mmidd)}'\n"
        f"mmidd rehydrate {where} --data ROOT --check       # what can be made, before any work\n"
        f"mmidd rehydrate {where} --data ROOT --out CORPUS  # again with more media: what is still lacking\n"
        "```\n\n"
        "Every crop is compared with its digest: with equal versions of the libraries (below) the files are equal to "
        "the publisher's byte for byte; what is missing, or comes from another version of a medium, is listed.\n\n"
        + table(["dataset", "rows", "folder", "how to get it"], rows)
    )


def _withheld(facts: Facts) -> str:
    rows = (
        [
            each.name,
            f"{each.total:,}",
            *map(_yes, (each.terms.pixels, each.terms.masks, each.captions)),
            each.terms.why,
        ]
        for each in facts.sources
    )
    redacted = ", ".join(facts.publication.redacted)
    note = f"\nRemoved from all rows before publishing: {escape(redacted)}.\n" if redacted else ""
    return table(["dataset", "rows", "pixels", "masks", "captions", "why"], rows) + note


def _yes(found: bool) -> str:
    return "here" if found else "withheld"


def _licences(facts: Facts) -> str:
    return (
        "There is no licence for the whole: the terms of each row's source bind whoever uses it, and whoever uses several "
        "sources keeps the terms of all. [LICENSES.md](LICENSES.md) says of each what follows.\n\n" + licence_table(facts)
    )


def _made(facts: Facts) -> str:
    steps = (made.sampling, made.cropping, made.pairing, made.labelling, made.captioning, made.curating)
    named = ("Sampling", "Faces", "Pairs", "Labels", "Captions", "Duplicates and splits")
    lines = [f"- **{name}.** {escape(step(facts))}" for name, step in zip(named, steps, strict=True)]
    libraries = facts.content.get("libraries")
    told = ", ".join(f"{name} {each}" for name, each in libraries.items()) if isinstance(libraries, dict) else ""
    where = "corpus/mmidd.json" if facts.withheld else "mmidd.json"
    end = f"The whole recipe, the models' digests and all versions are in `{where}`." + (
        f" Libraries: {escape(told)}." if told else ""
    )
    return "\n".join(lines) + f"\n\n{end}\n"


def _lost(facts: Facts) -> str:
    flagged = [f"- **Flagged:** {escape(line)}" for line in made.flagged(facts)]
    checks = made.pair_checks(facts)
    lines = [
        f"{escape(made.lost(facts))} Every one has a row in `media.parquet`, with the reason.\n",
        *(flagged or ["No significant difference between what real and fake lost is on record."]),
        *([f"\n{escape(checks)}"] if checks else []),
    ]
    return "\n".join(lines) + "\n\n" + loss_table(facts.media)


def _limits(facts: Facts) -> str:
    return (
        "What is known against this dataset, from its own tables. `mmidd audit CORPUS` looks at more, first of all at what "
        "the columns alone reach: where a model without pixels tells real from fake, find out why first.\n\n"
        + _listed([*made.biases(facts), *made.limits(facts)])
    )


def _proofs(facts: Facts) -> str:
    gone = " (removed here)" if "identities" in facts.publication.redacted else ""
    rows = ([name, str(kind), meaning] for name, kind, meaning in PROOF_COLUMNS)
    return _LEAKS.format(identities=gone) + "\n" + table(["column", "type", "meaning"], rows)


def _versions(facts: Facts) -> str:
    found = facts.publication
    rows = [
        [each.get(name, "") for name in ("dataset", "added", "removed", "changed")]
        for each in found.changes
        if found.version > 1 and any(each.get(name) for name in ("added", "removed", "changed"))
    ]
    changed = table(["dataset", "rows added", "removed", "changed"], rows) if rows else ""
    return (
        f"This is version {found.version} (tag `{facts.tag}`), made with mmidd {escape(found.mmidd)}; digest of the data "
        f"files: `{facts.corpus.digest}`. Each version has a tag; CHANGELOG.md says what changed. Sealed and listed file by "
        f"file, with sha256, in `publication.json`.\n\n{changed}"
    )
