"""croissant.json: the files with their digests, a record set for every config, and what the RAI vocabulary asks.

Written as JSON-LD by hand, so that publishing needs no further package; tests validate and load it with mlcroissant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mmidd.schema import FORGERY_NAMES, FORGERY_TYPES, IMAGE, LABELS, Column, columns_of
from mmidd.share.card import made
from mmidd.share.card.citation import bibtex
from mmidd.share.card.facts import Config, Facts
from mmidd.share.card.readme import FORBIDDEN, PEOPLE, USES, contents, people, takedown
from mmidd.share.publication.format import PIXELS, PROOF_COLUMNS

_TERMS = {
    name: f"cr:{name}"
    for name in (
        "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
        "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
        "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator", "source",
        "subField", "transform",
    )
}  # fmt: skip
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **_TERMS,
}
_PARQUET = "application/x-parquet"
_KINDS = ((pa.types.is_floating, "sc:Float"), (pa.types.is_integer, "sc:Integer"))


def croissant(facts: Facts) -> bytes:
    """The document, of Croissant 1.1."""
    told = columns_of(kind for _, kind, _ in facts.counts)
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": facts.title,
        "description": _description(facts),
        "version": f"{facts.publication.version}.0.0",
        "license": f"{facts.url}/blob/main/LICENSES.md" if facts.url else "LICENSES.md",
        "citeAs": bibtex(facts).removeprefix("```bibtex\n").removesuffix("\n```\n"),
        "keywords": ["deepfake detection", "face forgery", "image forensics"],
        "inLanguage": "en",
        **({"url": facts.url} if facts.url else {}),
        **({"creator": {"@type": "sc:Organization", "name": facts.owner}} if facts.owner else {}),
        **_responsible(facts),
        "distribution": list(_distribution(facts)),
        "recordSet": [*_classes(), *(_record_set(config, told) for config in facts.configs)],
    }
    return (json.dumps(content, indent=1, ensure_ascii=True) + "\n").encode()


def _description(facts: Facts) -> str:
    pixels = "Every row has its pixels." if not facts.withheld else (
        "Rows of sources that forbid it have no pixels, but what is needed to make them again from the originals."
    )  # fmt: skip
    return (
        f"{facts.total:,} samples of faces from {len(facts.sources)} published datasets, for research on the detection of "
        f"manipulated faces. {contents(facts)}. {pixels}"
    )


def _responsible(facts: Facts) -> dict[str, Any]:
    """The RAI vocabulary, by the names of its specification."""
    told = {
        "dataCollection": (
            f"{len(facts.sources)} published datasets were read from copies as their authors distribute them: "
            f"{', '.join(source.name for source in facts.sources)}. {made.sampling(facts)}"
        ),
        "dataCollectionType": ["Secondary data analysis"],
        "dataCollectionMissingData": made.lost(facts),
        "dataCollectionRawData": "The media of the sources; media.parquet names each, with its digest.",
        "dataImputationProtocol": "Nothing is imputed: what is not known is null.",
        "dataPreprocessingProtocol": [made.cropping(facts), made.pairing(facts), made.curating(facts)],
        "dataAnnotationProtocol": [made.labelling(facts), made.captioning(facts)],
        "dataAnnotationAnalysis": [each for each in [made.pair_checks(facts)] if each],
        "annotationsPerItem": "One label, from the source; captions at most two.",
        "machineAnnotationTools": [
            f"face detector: {facts.told('detector', 'kind')}", f"captioner: {facts.told('captioner', 'kind')}",
            f"mmidd {facts.publication.mmidd}",
        ],
        "dataBiases": made.biases(facts),
        "dataLimitations": made.limits(facts),
        "dataUseCases": [*USES, *(f"Not for: {each}" for each in FORBIDDEN)],
        "dataSocialImpact": (
            "Better detection protects people who are shown in manipulations; the same data can help to evade "
            "detectors, and detectors that fail on some groups harm these. Access is gated for that reason."
        ),
        "personalSensitiveInformation": [PEOPLE, people(facts)],
        "dataReleaseMaintenancePlan": (
            f"Versions are numbered, tagged and listed in CHANGELOG.md. {takedown(facts)}"
        ),
    }  # fmt: skip
    return {f"rai:{name}": each for name, each in told.items() if each}


def _distribution(facts: Facts) -> Iterator[dict[str, Any]]:
    for name, listed in sorted(facts.publication.files.items()):
        if name.endswith(".parquet"):
            yield {
                "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "encodingFormat": _PARQUET,
                "contentSize": f"{listed.bytes} B", "sha256": listed.sha256,
            }  # fmt: skip
    for config in facts.configs:
        yield {
            "@type": "cr:FileSet", "@id": f"files/{config.name}", "name": f"files of {config.name}",
            "encodingFormat": _PARQUET, "includes": [config.path(split) for split in config.splits],
        }  # fmt: skip


def _classes() -> Iterator[dict[str, Any]]:
    """What the numbers of the two class columns mean."""
    meanings = {"label": dict.fromkeys(LABELS, ""), "forgery_type": {name: FORGERY_NAMES[name] for name in FORGERY_TYPES}}
    for column, names in meanings.items():
        key = f"classes/{column}"
        yield {
            "@type": "cr:RecordSet", "@id": key, "name": key, "description": f"The classes of the column {column}.",
            "dataType": "sc:Enumeration", "key": {"@id": f"{key}/number"},
            "field": [
                {"@type": "cr:Field", "@id": f"{key}/number", "name": "number", "dataType": "sc:Integer"},
                {"@type": "cr:Field", "@id": f"{key}/name", "name": "name", "dataType": ["sc:Text", "sc:name"]},
            ],
            "data": [
                {f"{key}/number": number, f"{key}/name": name + (f": {told}" if told else "")}
                for number, (name, told) in enumerate(names.items())
            ],
        }  # fmt: skip


def _record_set(config: Config, told: Sequence[Column]) -> dict[str, Any]:
    columns = [(column.name, column.type, f"{column.meaning} ({column.unit})" if column.unit else column.meaning)
               for column in told if config.pixels or column.name not in PIXELS]  # fmt: skip
    columns += [] if config.pixels else list(PROOF_COLUMNS)
    split = {
        "@type": "cr:Field", "@id": f"{config.name}/split", "name": "split", "dataType": ["sc:Text", "cr:Split"],
        "description": "train, validation or test, of the file's name",
        "source": {
            "fileSet": {"@id": f"files/{config.name}"}, "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": f"^.*{config.folder}/(train|validation|test)-.*$"},
        },
    }  # fmt: skip
    return {
        "@type": "cr:RecordSet", "@id": config.name, "name": config.name,
        "description": f"The rows of the config {config.name}, {'with' if config.pixels else 'without'} pixels.",
        "key": {"@id": f"{config.name}/id"},
        "field": [split, *(_field(config, *each) for each in columns)],
    }  # fmt: skip


def _field(config: Config, name: str, kind: pa.DataType, meaning: str) -> Mapping[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": f"files/{config.name}"}, "extract": {"column": name}}
    shape = list[str]()
    while pa.types.is_fixed_size_list(kind):
        shape.append(str(kind.list_size))
        kind = kind.value_type
    if kind == IMAGE:
        source["transform"] = {"jsonPath": "bytes"}
        told = "sc:ImageObject"
    else:
        told = next((name for is_one, name in _KINDS if is_one(kind)), "sc:Text")
    array = {"isArray": True, "arrayShape": ",".join(shape)} if shape else {}
    return {
        "@type": "cr:Field", "@id": f"{config.name}/{name}", "name": name, "description": meaning, "dataType": told,
        **array, "source": source,
    }  # fmt: skip
