"""How a corpus was made, what was lost on the way, and what is known against it: plain words for the card and for Croissant,
of `mmidd.json`, the media table and the manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow.compute as pc

from mmidd.share.card.facts import Facts, entries, number

_CHOICE = {
    "largest": "the largest face of a clip", "central": "the most central face of a clip", "all": "every face of a clip",
}  # fmt: skip
_CAPTIONS = {
    "none": "No captions were made.",
    "attributes": "Captions are sentences about measured attributes of the picture (no language model).",
    "transformers": "Captions were written by a vision-language model, {model}.",
    "openai": "Captions were written by a served vision-language model, {model}.",
}
_PARTS = {"any": "a frame", "half": "half of their frames", "all": "all their frames"}


def sampling(facts: Facts) -> str:
    count, spacing = facts.told("frames", "count"), facts.told("frames", "spacing")
    return (
        f"Of each video up to {count} frames were taken (spacing: {spacing}; a recipe may differ for a dataset), of each "
        f"image one. Videos were decoded by {facts.told('decoder')}."
    )


def cropping(facts: Facts) -> str:
    kind, choice = facts.told("detector", "kind"), facts.told("crop", "choice")
    size = facts.told("crop", "size")
    return (
        f"Faces were found by the detector {kind} and followed through a clip; kept is {_CHOICE.get(choice, choice)}. Crops "
        f"are {size} x {size} pixels, aligned to five landmarks (template {facts.told('crop', 'template')}, margin "
        f"{facts.told('crop', 'margin')}), stored as {facts.told('image', 'format')}. The column transform holds the map "
        "from frame to crop. Images that their source gives as aligned faces are kept whole (geometry: whole)."
    )


def pairing(facts: Facts) -> str:
    if facts.told("crop", "pairs") != "shared":
        return "Fakes and the reals they were made from were each cut on their own detections."
    return (
        "A fake is cut at the frames and with the boxes of the real it was made from, if its own pixels prove that it is "
        "the same picture; then the cut tells nothing of the label (geometry: shared)."
    )


def labelling(facts: Facts) -> str:
    return (
        "Labels, types of forgery, methods and identities come from the sources' own folders and label files, by "
        "mmidd's manifest of each; nobody looked at single samples again. Where a source does not say the type, it is null."
    )


def captioning(facts: Facts) -> str:
    kind = facts.told("captioner", "kind")
    told = _CAPTIONS.get(kind, f"Captions were made by {kind}.").replace("{model}", facts.told("captioner", "model"))
    if kind == "none":
        return told
    gone = " They were removed before publishing." if "captions" in facts.publication.redacted else ""
    return f"{told} The captioner sees the crop and the frame, and no label. Nobody corrected them.{gone}"


def curating(facts: Facts) -> str:
    exact = facts.told("curation", "exact_duplicates")
    same = "Of crops that are equal bit for bit one was kept. " if exact == "True" else ""
    shares = entries(facts.corpus.about.recipe.get("curation")).get("splits", {})
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if isinstance(share, float | int))
    hashed = f" All others were put into splits by a hash of their group{f' ({told})' if told else ''}." if shares else ""
    return (
        f"{same}Official splits are kept where a source has them (split_basis: official or partial).{hashed} A group is "
        "what shares an identity, a clip or a pair: all of it lies in one split. Splits hold within this dataset alone: the "
        "same person or picture may be in another dataset."
    )


def flagged(facts: Facts) -> Iterator[str]:
    """The significant differences of what real and fake lost, in words."""
    found, here = _losses(facts).get("flagged"), {source.name for source in facts.sources}
    seen = set[tuple[str, str]]()
    for each in found if isinstance(found, list) else ():
        if not isinstance(each, dict) or each.get("dataset") not in here:
            continue
        dataset, method = str(each.get("dataset")), str(each.get("method") or "all methods")
        if (dataset, method) in seen:
            continue
        seen.add((dataset, method))
        counts = [number(each.get(name)) for name in ("fakes_lost", "fakes", "reals_lost", "reals")]
        part = _PARTS.get(str(each.get("threshold")), "frames")
        yield (
            f"{dataset}, {method}: {counts[0]:,} of {counts[1]:,} fakes and {counts[2]:,} of {counts[3]:,} reals lost "
            f"{part} (mostly {each.get('reason')}): what is missing may tell real from fake."
        )


def one_sided(facts: Facts) -> list[str]:
    """Datasets that have rows of reals or of fakes alone."""
    sides: dict[str, set[str]] = {}
    for dataset, kind, _ in facts.counts:
        sides.setdefault(dataset, set()).add("reals" if kind == "REAL" else "fakes")
    return [
        f"{dataset} has {min(found)} alone: there a detector can learn the dataset in place of the forgery."
        for dataset, found in sides.items()
        if len(found) == 1
    ]


def pair_checks(facts: Facts) -> str | None:
    """How many fakes prove on their own pixels where they were made."""
    found = entries(_losses(facts).get("pair_checks"))
    checks = [found[source.name] for source in facts.sources if source.name in found]
    checked, proved = (sum(number(each.get(name)) for each in checks) for name in ("checked", "proved"))
    if not checked:
        return None
    return f"Of {checked:,} fakes with a real, {proved:,} prove on their own pixels to be made from it at that place."


def lost(facts: Facts) -> str:
    """Media and frames that gave no row."""
    ends = Counter(facts.media["outcome"].to_pylist())
    planned, failed, dropped = (
        pc.sum(facts.media[f"frames_{name}"]).as_py() or 0 for name in ("planned", "failed", "dropped")
    )
    return (
        f"Of {len(facts.media):,} media that were found {ends['ok']:,} gave samples, {ends['dropped']:,} were left out or "
        f"dropped, {ends['failed']:,} failed; of {planned:,} frames that were planned {dropped:,} were dropped and "
        f"{failed:,} failed."
    )


def biases(facts: Facts) -> list[str]:
    """What may let a detector look good without seeing a forgery."""
    reals = sum(count for (_, kind, _), count in facts.counts.items() if kind == "REAL")
    largest = max(facts.sources, key=lambda source: source.total)
    return [
        f"{reals:,} rows are of reals, {facts.total - reals:,} of fakes; {largest.name} alone has "
        f"{largest.total / facts.total:.0%} of all rows.",
        *one_sided(facts),
        *flagged(facts),
        "Sources differ in compression, resolution, cameras and people; a detector that tells the sources apart looks "
        "better than it is. What columns alone reach should be looked at before any score is believed.",
        "The people in the sources are those who were easy to collect (often celebrities and actors), no sample of mankind; "
        "which groups are missing was not measured here.",
    ]


def limits(facts: Facts) -> list[str]:
    """What this dataset cannot say."""
    unverified = [each.name for each in facts.sources if each.manifest is not None and not each.manifest.verified]
    unknown = [each.name for each in facts.sources if each.manifest is None]
    partial = sorted(set(_split_bases(facts)) & {"partial"})
    return [
        "Labels are the sources': errors of theirs are in here.",
        "Crops were cut by a detector; faces that it does not find are missing (media.parquet counts them).",
        "The sources are of their years: newer methods of forgery are not in them.",
        *([f"Of {', '.join(unverified)} the layout is known from third parties alone."] if unverified else []),
        *([f"Of {', '.join(unknown)} no manifest is known: licence and citation could not be checked."] if unknown else []),
        *(["Some official splits come from lists that may not be whole (split_basis: partial)."] if partial else []),
        *(
            f"{each.name}: {' '.join(defect.split())}"
            for each in facts.sources if each.manifest is not None for defect in each.manifest.known_defects
        ),
    ]  # fmt: skip


def _split_bases(facts: Facts) -> list[str]:
    return [each for each in facts.media["split_basis"].unique().to_pylist() if each]


def _losses(facts: Facts) -> dict[str, object]:
    found = facts.content.get("losses")
    return found if isinstance(found, dict) else {}
