"""A fake that follows its real: it is cut where that was cut, unless its own pixels deny that it may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mmidd.extraction.alike import grown
from mmidd.extraction.masks import Masks
from mmidd.extraction.proof import GeometryDiffers, Look, Proof, boxes_of
from mmidd.extraction.sample import ClipSamples, ExtractConfig, Sample, TrackRecord, cut, view_of, whole
from mmidd.media import STANDS
from mmidd.video import Frame


def taken_whole(frames: Iterable[Frame], track: TrackRecord | None, config: ExtractConfig, masks: Masks) -> ClipSamples:
    """Take every picture as it is: nothing is detected."""
    samples: list[Sample] = []
    reasons = []
    for frame in frames:
        picture = frame.picture
        if picture is None:
            reasons.append((frame.index, "failed", str(frame.lost)))
        elif track is not None and frame.index not in track.fixes:
            reasons.append((frame.index, "dropped", "pair_no_sample"))
        else:
            samples.append(whole(frame, picture, config, masks.at(frame.index, picture)))
    return ClipSamples(samples, reasons, {})


def shared(frames: Iterable[Frame], track: TrackRecord, config: ExtractConfig, look: Look, masks: Masks) -> ClipSamples:
    """Cut a fake where its real was cut: what a detector would have missed cannot show. On a few frames it is proved that
    the fake shows what its real does, and a face there. Of several people of the real it is cut whom it changed.

    Raises GeometryDiffers where the fake's pixels deny it: frames of another size, another picture, the face or most of the
    fake's mask elsewhere.
    """
    samples: list[Sample] = []
    reasons = []
    inside = total = 0.0
    proof = Proof(track, look)
    for frame in frames:
        fixes = track.fixes.get(frame.index)
        picture = frame.picture
        if picture is None:
            reasons.append((frame.index, "failed", str(frame.lost)))
        elif not fixes:
            reasons.append((frame.index, "dropped", "pair_no_sample"))
        elif (picture.width, picture.height) != (fixes[0].width, fixes[0].height):
            size = f"{fixes[0].width}x{fixes[0].height}"
            raise GeometryDiffers("other_size", f"frames of {picture.width}x{picture.height}, its real has {size}")
        else:
            mask = masks.at(frame.index, picture)
            if mask is not None:
                inside += mask.inside(grown(boxes_of(fixes)))[1]
                total += mask.mass()
            proof.look(frame.index, picture)
            made = [cut(frame, picture, fix, config, mask, "shared") for fix in fixes]
            described = {sample.face for sample in samples}
            view = view_of(picture) if any(sample.face not in described for sample in made) else None
            samples += [replace(sample, context=None if sample.face in described else view) for sample in made]
    if inside < total / 2:
        raise GeometryDiffers("mask_elsewhere", f"{1 - inside / total:.0%} of its mask lie outside its real's faces")
    verdict = proof.verdict()
    if verdict.check not in STANDS:
        raise GeometryDiffers(verdict.check, verdict.detail)
    facts: dict[str, Any] = {"pair_check": verdict.check}
    facts |= {"mask_empty": True} if masks.counts["mask_frames"] and not total else {}
    if len(track.people) > 1 and config.choice != "all":
        whom = min(track.people) if verdict.person is None else verdict.person
        facts |= {"people": len(track.people), "choice": config.choice if verdict.person is None else "difference"}
        everybody = {sample.frame for sample in samples}
        samples = [sample for sample in samples if sample.face == whom]
        gone = everybody - {sample.frame for sample in samples}
        reasons += [(index, "dropped", "pair_no_sample") for index in sorted(gone)]
    return ClipSamples(samples, reasons, facts)
