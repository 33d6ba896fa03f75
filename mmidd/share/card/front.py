"""The front matter of the card: what the Hub reads of it, and the text behind which the repository is gated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from mmidd.corpus.card import SIZES, card_feature
from mmidd.schema import features
from mmidd.share.card.facts import Config, Facts
from mmidd.share.publication.format import PIXELS, PROOF_COLUMNS

_SIZES = (*SIZES, (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))
_FEATURES = {
    True: features(),
    False: features(without=PIXELS) | {name: {"dtype": str(kind), "_type": "Value"} for name, kind, _ in PROOF_COLUMNS},
}
"""With pixels, and without."""

_GATE = """\
This repository is about pictures and videos of real people, and manipulations of them. It is for research on the detection \
of manipulated faces, and for nothing else. By asking for access you agree, for yourself and for your institution:

1. You keep the terms of every source (LICENSES.md) whose rows you use. Access here gives you no right in any source, and \
is no licence for its media. {pixels}
2. You do not try to find out who is shown, link rows to people or to other data about them, or recognise, watch, profile \
or train to recognise anybody.
3. You do not use it to make, improve or hide manipulations of real people.
4. You pass on neither files nor crops made again from them, unless the licence of their source lets you; others ask for \
access themselves. In a publication you show a face only as its source allows.
5. You have the approvals, and the basis in data protection law, that your country and your institution ask of work with \
pictures of people.
6. You keep it safe from others. When a version removes rows, you delete those rows, and crops made again from them, \
within 30 days.
7. You cite this dataset and each source whose rows you use.

Rights that the licence of a source gives you in its media are not limited by this. It is offered as it is, without any \
warranty. The owners of this repository see what you fill in, use it to decide on access and to reach you about removals, \
and may end your access.
"""
_HERE = "Their terms, the limit to non-commercial use where they have it among them, bind you for the pixels that are here."
_NOT_HERE = "Where a source's pixels are not here, you get its media from its authors, under an agreement of your own."


def front_matter(facts: Facts) -> str:
    """The YAML between its lines of dashes; only ASCII stands in it, so that no name can end it or start another key."""
    size = next((name for most, name in _SIZES if facts.total < most), "n>1T")
    content = {
        "pretty_name": facts.title,
        "license": "other",
        "license_name": "terms-of-each-source",
        "license_link": f"{facts.url}/blob/main/LICENSES.md" if facts.url else "LICENSES.md",
        "task_categories": ["image-classification"],
        "size_categories": [size],
        "annotations_creators": ["machine-generated"],
        "source_datasets": [f"extended|other-{source.terms.slug}" for source in facts.sources],
        "tags": ["deepfake-detection", "face-forgery", "image-forensics", "croissant", "mmidd"],
        **_gate(facts),
        "configs": [_config(config) for config in facts.configs],
        "dataset_info": [_info(config, config.name in ("all", "pixels")) for config in facts.configs],
    }
    return f"---\n{yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120)}---\n"


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as it is read."""


_Dumper.add_representer(
    str, lambda to, text: to.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def _gate(facts: Facts) -> dict[str, Any]:
    pixels = " ".join(text for text, told in ((_HERE, facts.shown), (_NOT_HERE, facts.withheld)) if told)
    return {
        "extra_gated_heading": "Ask for access: research on the detection of manipulated faces",
        "extra_gated_prompt": _GATE.format(pixels=pixels),
        "extra_gated_fields": {
            "Full name": "text",
            "Institution": "text",
            "E-mail address at the institution": "text",
            "Country": "country",
            "What I am": {"type": "select", "options": ["Academic researcher", "Student", "Industry researcher", "Other"]},
            "What I will use it for": "text",
            "I have read LICENSES.md and keep the terms of every source that I use": "checkbox",
            "I will not try to identify anybody": "checkbox",
            "I will delete what a later version removes": "checkbox",
        },
        "extra_gated_button_content": "Agree and ask for access",
    }


def _config(config: Config) -> dict[str, Any]:
    files = [{"split": split, "path": config.path(split)} for split in config.splits]
    return {"config_name": config.name, "data_files": files} | ({"default": True} if config.default else {})


def _info(config: Config, whole: bool) -> dict[str, Any]:
    """`whole`: with the features. They are in every Parquet file too, and the same in all configs with or without pixels: to
    keep this short they stand once."""
    size = sum(each.bytes for each in config.files.values())
    columns = [{"name": name, **card_feature(each)} for name, each in _FEATURES[config.pixels].items()] if whole else []
    return {
        "config_name": config.name,
        **({"features": columns} if columns else {}),
        "splits": [_split(config, split) for split in config.splits],
        "download_size": size,
        "dataset_size": size,
    }


def _split(config: Config, split: str) -> Mapping[str, Any]:
    files = config.of_split(split).values()
    rows = sum(each.rows or 0 for each in files)
    return {"name": split, "num_bytes": sum(each.bytes for each in files), "num_examples": rows}
