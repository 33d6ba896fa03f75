"""Is a fake cut where its real was, and is that its real at all? Proved on a few frames of the fake's own pixels.

A real leaves small views of a few of its frames with its track record. Outside the faces a fake of it shows the same
picture, and a face is found where the real's was. Which person was manipulated, of several, is the one whose pixels differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import cv2
import numpy as np

from mmidd.captions.protocol import CONTEXT_SIDE
from mmidd.extraction.alike import SIDE, Boxes, beside, changes, differences, likeness, within
from mmidd.extraction.masks import Mask, Masks
from mmidd.extraction.sample import Fix, TrackRecord
from mmidd.faces.detector import Faces
from mmidd.faces.encode import decode
from mmidd.media import PairCheck
from mmidd.video import Picture, Pixels
from mmidd.video.picture import Image

Look = Callable[[list[Picture]], list[Faces]]
"""Finds the faces of pictures."""

CHUNK_PIXELS = 33_000_000
"""What pictures that are looked at together may hold (four frames of 4K), so that large ones come in smaller chunks."""

VIEWS = 5
"""Frames of a real, evenly among those with a face, of which a view is kept, and at which its fakes are checked."""

SAME = 0.6
"""Correlation of two pictures outside the faces, from which on they show the same (measured: docs/recipes.md)."""

NEAR = 0.15
"""Mean distance of the five points over the face's size, up to which a face is where the real's was."""
NEIGHBOUR = 1.0
"""Beyond this distance it is somebody else's face."""

DECISIVE = 1.25
"""By what factor one person has to differ more than any other to be the manipulated one."""

BESIDE = 2.5
"""By what factor something else has to differ more than every known face to be a face that was manipulated."""

CHANGED = 12.0
"""Grey levels: where pictures differ less they point at nobody."""


class GeometryDiffers(Exception):
    """The real's geometry cannot be taken over: `check` names why."""

    def __init__(self, check: PairCheck, message: str) -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True)
class Verdict:
    """What the fake's pixels say: the check's name, and whom of the real's people they show changed (None: cannot be told
    apart)."""

    check: PairCheck
    person: int | None
    detail: str = ""


@dataclass
class _Seen:
    """One checked frame: how like the pictures are outside the faces (None: nothing to compare), by face of the real how
    much it differs, how much more something beside them does, and how far the nearest face of the fake is from each (None:
    there is none)."""

    likeness: float | None
    changes: Mapping[int, float]
    beside: float
    distances: Mapping[int, float | None] = field(default_factory=dict)


@dataclass
class Proof:
    """Collects what the frames of a fake say of its track record."""

    track: TrackRecord
    detect: Look
    _seen: list[_Seen] = field(default_factory=list)
    _held: list[tuple[_Seen, Picture, Sequence[Fix]]] = field(default_factory=list)

    def look(self, index: int, picture: Picture) -> None:
        """Check this frame of the fake, if there is a view of the real's. The sizes are the real's."""
        view, fixes = self.track.views.get(index), self.track.fixes.get(index)
        if view is None or not fixes:
            return
        real, fake = decode(view), picture.small(CONTEXT_SIDE)
        boxes = boxes_of(fixes) * (fake.shape[1] / picture.width)
        apart = differences(real, fake)
        places = boxes_of(fixes) * (apart.shape[1] / picture.width)
        by_face = dict(zip((fix.face for fix in fixes), changes(apart, places), strict=True))
        seen = _Seen(likeness(real, fake, boxes), by_face, beside(apart, places))
        self._seen.append(seen)
        self._held.append((seen, picture, fixes))
        if sum(held.width * held.height for _, held, _ in self._held) > CHUNK_PIXELS:
            self._find()

    def _find(self) -> None:
        """Look for faces in the frames that are held, together."""
        if self._held:
            found = self.detect([picture for _, picture, _ in self._held])
            for (seen, _, fixes), faces in zip(self._held, found, strict=True):
                seen.distances = {fix.face: distance(fix, faces) for fix in fixes}
            self._held.clear()

    def verdict(self) -> Verdict:
        """What all checked frames together say."""
        self._find()
        people = self.track.people
        person = min(people, default=None) if len(people) < 2 else _most_changed([seen.changes for seen in self._seen])
        if not self._seen:
            return Verdict("unchecked", person)
        like = [seen.likeness for seen in self._seen if seen.likeness is not None]
        if _many([each < SAME for each in like]):
            what = f"outside the faces it correlates with its real's picture by {median(like):.2f}"
            return Verdict("other_picture", None, what)
        if like and median(seen.beside for seen in self._seen) >= BESIDE:
            return Verdict("person_elsewhere", None, "it differs from its real elsewhere than in its real's faces")
        whom = min(people) if person is None else person
        found = [each for seen in self._seen if (each := seen.distances.get(whom)) is not None]
        near = [each for each in found if not like or each <= NEIGHBOUR]
        if _many([each > NEAR for each in near]):
            what = f"its face is {median(near):.2f} face sizes away from its real's"
            return Verdict("face_elsewhere" if like else "other_picture", person, what)
        return Verdict("proved" if near else "unseen", person)


def _many(faults: Sequence[bool]) -> bool:
    """More than a third: one odd frame of five is none, a drift is one."""
    return 3 * sum(faults) > len(faults)


def boxes_of(fixes: Sequence[Fix]) -> Boxes:
    """The boxes of faces."""
    return np.array([fix.box for fix in fixes], np.float64)


def _scaled(view: Image, fixes: Sequence[Fix]) -> Boxes:
    """The boxes of faces in a view of their frame."""
    return np.asarray(boxes_of(fixes) * (view.shape[1] / fixes[0].width), np.float64)


def size_of(fixes: Sequence[Fix]) -> tuple[int, int]:
    """Width and height of the frame that faces are in."""
    return fixes[0].width, fixes[0].height


def distance(fix: Fix, faces: Faces) -> float | None:
    """Of the nearest face: the mean distance of its points from the real's, over the size of the real's face."""
    if not len(faces):
        return None
    x0, y0, x1, y1 = fix.box
    size = float(np.sqrt(max((x1 - x0) * (y1 - y0), 1.0)))
    apart = np.linalg.norm(faces.landmarks.astype(np.float64) - np.array(fix.landmarks), axis=2).mean(axis=1)
    return float(apart.min()) / size


def _most_changed(frames: Sequence[Mapping[int, float]]) -> int | None:
    """The person who differs most over the frames, if clearly more than any other."""
    people = sorted({face for frame in frames for face in frame})
    means = {face: float(np.mean([frame[face] for frame in frames if face in frame])) for face in people}
    order = sorted(people, key=lambda face: -means[face])
    if len(order) == 1:
        return order[0]
    return order[0] if order and means[order[0]] >= DECISIVE * means[order[1]] > 0 else None


_COMPARABLE = ("face_elsewhere", "person_elsewhere", "unchecked")
"""Why a fake may be cut on its own that can still be compared with its real, pixel by pixel."""


class Differences(Masks):
    """Where a fake's frames differ from its real's, as masks that point at a person."""

    how = "difference"

    def __init__(self, track: TrackRecord) -> None:
        super().__init__(present=bool(track.views))
        self._track = track

    def at(self, index: int, picture: Picture) -> Mask | None:
        """The difference at a frame of which the real left a view."""
        view, fixes = self._track.views.get(index), self._track.fixes.get(index)
        if view is None or not fixes or size_of(fixes) != (picture.width, picture.height):
            return None
        apart = differences(decode(view), picture.small(CONTEXT_SIDE))
        level = np.where(apart < CHANGED, 0, np.minimum(apart, 255)).astype(np.uint8)
        whole = cv2.resize(level, (picture.width, picture.height), interpolation=cv2.INTER_LINEAR)
        return Mask(Pixels(np.repeat(whole[..., None], 3, axis=2)), own=False)


@dataclass
class Search:
    """Looks in the frames of a fake that is cut on its own for the pictures of its real: another size of them is the same
    clip, another time is not. `check` is why it is cut on its own: `unchecked` if the recipe has it so."""

    track: TrackRecord
    check: PairCheck
    _fakes: dict[int, tuple[Image, tuple[int, int]]] = field(default_factory=dict)

    @property
    def masks(self) -> Masks:
        """Whom the fake's differences from its real point at, where they can."""
        return Differences(self.track) if self.check in _COMPARABLE else Masks()

    def see(self, index: int, picture: Picture) -> None:
        """One frame of the fake."""
        if self.check in ("other_size", "other_picture", "unchecked"):
            self._fakes[index] = picture.small(SIDE), (picture.width, picture.height)

    def found(self) -> PairCheck:
        """What the pair is after all."""
        reals = {index: (decode(view), self.track.fixes[index]) for index, view in self.track.views.items()}
        there = [at for at in reals if at in self._fakes]
        resized = [at for at in there if size_of(reals[at][1]) != self._fakes[at][1]]
        check = self.check
        if check == "other_size" or (check == "unchecked" and resized):
            like = [within(reals[at][0], size_of(reals[at][1]), *self._fakes[at]) for at in resized]
            return "other_picture" if _many([each < SAME for each in like]) else "other_size"
        if check == "unchecked":
            alike = [
                likeness(real, self._fakes[at][0], _scaled(real, fixes))
                for at, (real, fixes) in reals.items()
                if at in there
            ]
            known = [each for each in alike if each is not None]
            check = "other_picture" if _many([each < SAME for each in known]) else "proved" if known else check
        if check == "other_picture":
            at_others = [self._best_elsewhere(index, *real) for index, real in reals.items()]
            if sum(best >= SAME for best in at_others) * 2 > len(at_others):
                return "other_time"
        return check

    def _best_elsewhere(self, index: int, real: Image, fixes: Sequence[Fix]) -> float:
        """How like a view of the real is to the fake's frame, at another time, that is most like it."""
        boxes = _scaled(real, fixes)
        found = [likeness(real, fake, boxes) for at, (fake, _) in self._fakes.items() if at != index]
        return max((like for like in found if like is not None), default=0.0)
