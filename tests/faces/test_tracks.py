"""Linking faces through sparse frames, and choosing one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmidd.faces.detector import Faces
from mmidd.faces.tracks import MOST_GAP, Track, choose, link, long_side, pointed_at

Spot = tuple[float, float, float]


def frame(*spots: Spot) -> Faces:
    """Faces with centre x, y and side, in the given order (by falling score)."""
    boxes = np.array([[x - s / 2, y - s / 2, x + s / 2, y + s / 2] for x, y, s in spots], np.float32).reshape(-1, 4)
    scores = np.linspace(0.99, 0.6, len(spots)).astype(np.float32)
    return Faces(boxes, np.zeros((len(spots), 5, 2), np.float32), scores)


def people(tracks: list[Track], order: list[list[int]]) -> list[list[int]]:
    """Which person each track follows; order[frame][face] is the person."""
    return [[order[f][i] for f, i in track.faces] for track in tracks]


def test_no_frames_and_no_faces_give_no_tracks() -> None:
    assert link([]) == []
    assert link([Faces.empty(), Faces.empty()]) == []
    assert choose([], []) == choose([], [], "central") == choose([], [], "all") == ()
    assert pointed_at([], []) is None


def test_two_people_keep_their_tracks_whatever_their_order_in_a_frame() -> None:
    left, right = (100.0, 100.0, 60.0), (300.0, 120.0, 60.0)
    assert link([frame(left, right), frame(right, left), frame(left, right)]) == [
        Track(((0, 0), (1, 1), (2, 0))),
        Track(((0, 1), (1, 0), (2, 1))),
    ]


@pytest.mark.parametrize("step", [20.0, 30.0, 45.0])
def test_people_who_cross_keep_their_tracks(step: float) -> None:
    order = [[0, 1] if k % 2 else [1, 0] for k in range(12)]
    frames = []
    for k in range(12):
        spots = [(100 + step * k, 100.0, 60.0), (100 + step * (11 - k), 130.0, 60.0)]
        frames.append(frame(*(spots[person] for person in order[k])))
    assert sorted(people(link(frames), order)) == [[0] * 12, [1] * 12]


@pytest.mark.parametrize(("missing", "tracks"), [(1, 1), (MOST_GAP, 1), (MOST_GAP + 1, 2)])
def test_a_track_survives_misses_but_not_for_ever(missing: int, tracks: int) -> None:
    face = frame((100, 100, 50))
    assert len(link([face, face, *[Faces.empty()] * missing, face])) == tracks


@pytest.mark.parametrize(
    ("other", "tracks"),
    [
        ((140, 100, 50), 1),
        ((160, 100, 50), 2),
        ((100, 100, 70), 1),
        ((100, 100, 80), 2),
        ((100, 100, 30), 2),
    ],
    ids=["near", "far", "grown", "grown too much", "shrunk too much"],
)
def test_a_face_must_be_near_and_of_like_size(other: Spot, tracks: int) -> None:
    assert len(link([frame((100, 100, 50)), frame(other)])) == tracks


def test_the_largest_track_is_chosen_even_where_another_is_larger_for_a_moment() -> None:
    steady, passer = (100.0, 100.0, 60.0), (400.0, 100.0, 100.0)
    frames = [frame(steady), frame(passer, steady), frame(steady), frame(steady)]
    tracks = link(frames)
    (chosen,) = choose(tracks, frames, "largest")
    assert tracks[chosen].faces == ((0, 0), (1, 1), (2, 0), (3, 0))
    assert choose(tracks, frames, "all") == (chosen, 1 - chosen)


SIZE = (400, 300)
MIDDLE, ASIDE, CORNER = (200.0, 160.0, 40.0), (90.0, 150.0, 90.0), (380.0, 280.0, 120.0)


@pytest.mark.parametrize(
    ("frames", "wanted"),
    [
        ([[ASIDE, MIDDLE]] * 3, MIDDLE),
        ([[ASIDE], [ASIDE, MIDDLE], [ASIDE]], ASIDE),
        ([[ASIDE, MIDDLE], [], [], [ASIDE, MIDDLE]], MIDDLE),
        ([[CORNER]] * 2, CORNER),
    ],
    ids=["nearer", "nearer but mostly away", "frames without a face count for nobody", "alone"],
)
def test_the_central_track_is_nearest_to_the_centre_over_the_whole_clip(frames: list[list[Spot]], wanted: Spot) -> None:
    faces = [frame(*spots) for spots in frames]
    tracks = link(faces)
    (chosen,) = choose(tracks, faces, "central", [SIZE] * len(faces))
    first, face = tracks[chosen].faces[0]
    assert frames[first][face] == wanted


def test_a_mask_points_at_the_track_with_most_of_it_inside() -> None:
    small, large = (100.0, 100.0, 40.0), (300.0, 100.0, 90.0)
    frames = [frame(large, small), frame(small, large), frame(large)]
    tracks = link(frames)
    inside = [[0.1, 0.4], [0.3, 0.1], [0.2]]
    chosen = pointed_at(tracks, inside)
    assert chosen is not None and tracks[chosen].faces == ((0, 1), (1, 0))
    assert pointed_at(tracks, [[0.0] * len(faces) for faces in frames]) is None


def test_a_tracks_long_side_is_the_median_over_its_frames() -> None:
    frames = [frame((100, 100, side)) for side in (40, 44, 50)]
    (track,) = link(frames)
    assert long_side(track, frames) == 44


def test_ties_go_to_the_earlier_track_then_to_the_left() -> None:
    a, b = (100.0, 100.0, 64.0), (400.0, 100.0, 64.0)
    frames = [frame(b, a)]
    assert choose(link(frames), frames) == (1,)
    assert choose(link(frames), frames, "all") == (1, 0)
    frames = [frame(b), frame(a)]
    assert choose(link(frames), frames) == (0,)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="largest"):
        choose([], [], "smallest")  # type: ignore[arg-type]


spots = st.tuples(
    st.floats(0, 2000, width=32),
    st.floats(0, 2000, width=32),
    st.floats(8, 500, width=32).map(lambda s: round(s) + 0.5),
)


@settings(max_examples=60)
@given(st.lists(st.lists(spots, max_size=5), max_size=12))
def test_every_face_is_in_exactly_one_track_and_no_track_twice_in_a_frame(scene: list[list[Spot]]) -> None:
    frames = [frame(*faces) for faces in scene]
    tracks = link(frames)
    linked = [face for track in tracks for face in track.faces]
    assert sorted(linked) == [(f, i) for f, faces in enumerate(scene) for i in range(len(faces))]
    for track in tracks:
        positions = [f for f, _ in track.faces]
        assert positions == sorted(set(positions))
    assert [track.faces[0] for track in tracks] == sorted(track.faces[0] for track in tracks)
    assert link(frames) == tracks
    assert (choose(tracks, frames) == ()) == (not linked)
    assert sorted(choose(tracks, frames, "all")) == list(range(len(tracks)))
    assert choose(tracks, frames) == choose(tracks, frames, "all")[:1]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 4),
    missed=st.floats(0, 0.3),
)
def test_people_who_move_apart_from_each_other_are_never_mixed(seed: int, count: int, missed: float) -> None:
    rng = np.random.default_rng(seed)
    frames, order = [], []
    places = np.stack([np.arange(count) * 300.0, rng.uniform(100, 200, count)], 1)
    for _ in range(24):
        places = places + rng.uniform(-12, 12, places.shape)
        places[:, 0] = np.clip(places[:, 0], np.arange(count) * 300 - 60, np.arange(count) * 300 + 60)
        seen = [person for person in rng.permutation(count).tolist() if rng.random() >= missed]
        order.append(seen)
        frames.append(frame(*((places[p, 0], places[p, 1], 80.0) for p in seen)))
    for persons in people(link(frames), order):
        assert len(set(persons)) == 1
