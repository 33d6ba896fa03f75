"""Where the manifests find the masks of fakes, and what becomes of these files."""

from __future__ import annotations

import pytest

from mmidd.errors import ManifestError
from mmidd.manifest import describe, find_manifest, load_manifest

FF = "manipulated_sequences"
TAKE = "01_02__walking_outside__ABCDEFGH.mp4"
CASES = [
    ("FaceForensics++", f"{FF}/Deepfakes/c23/videos/000_003.mp4", f"{FF}/Deepfakes/masks/videos/000_003.mp4"),
    ("FaceForensics++", f"{FF}/Face2Face/raw/videos/000_003.mp4", f"{FF}/Face2Face/masks/videos/000_003.mp4"),
    ("FaceForensics++", f"{FF}/DeepFakeDetection/c40/videos/{TAKE}", f"{FF}/DeepFakeDetection/masks/videos/{TAKE}"),
    ("FFIW-10K", "target/train/a.mp4", "target_mask/train/a.mp4"),
    ("FFIW-10K", "target/val/videos/a.mp4", "target_mask/val/videos/a.mp4"),
    ("FFIW-10K", "FFIW10K-v1-release/target/val/a.mp4", "FFIW10K-v1-release/target_mask/val/videos/a.mp4"),
    ("DFFD", "stargan/train/F_1.png", "stargan/train_mask/F_1.png"),
    ("DFFD", "Deepfakes/test/000_003_7.png", "Deepfakes/test_mask/000_003_7.png"),
    ("DFFD", "validation/Fake/a.png", "validation/Mask/a.png"),
]


@pytest.mark.parametrize(("dataset", "fake", "mask"), CASES, ids=[f"{name}:{fake}" for name, fake, _ in CASES])
def test_a_fake_has_the_mask_that_is_there_and_the_mask_is_no_medium(dataset: str, fake: str, mask: str) -> None:
    manifest = find_manifest(dataset)
    for files, wanted in (([fake, mask], mask), ([fake], None)):
        found = describe(manifest, files, lambda path: b"")
        assert [(medium.media, medium.mask) for medium in found.media] == [(fake, wanted)]
        assert not found.unmatched and sum(found.ignored.values()) == len(files) - 1


MADE_UP = """\
name: Made-Up
slug: made_up
year: 2024
folders: [MadeUp]
summary: none
access: none
citation: none
licence: {id: other, name: Terms, url: "https://example.org", redistributable: false}
verified: true
type_basis: stated
fields: {name: '[a-z]+', old: {choices: [x], as: {x: y}}}
rules:
  - {id: real, path: "real/{name}.mp4", label: real}
  - id: fake
    path: "fake/{old}/{name}.mp4"
    label: fake
    method: FaceSwap
    mask: MASKS
"""


def test_the_first_mask_that_is_there_counts_and_is_a_sidecar_that_no_ignore_has_to_know() -> None:
    masks = '["mask/{old}/{name}.mp4", "mask/{name}.png"]'
    manifest = load_manifest(MADE_UP.replace("MASKS", masks), "made_up.yaml")
    files = ["fake/x/a.mp4", "fake/x/b.mp4", "mask/a.png", "mask/b.png", "mask/c.png", "mask/x/a.mp4"]
    found = describe(manifest, files, lambda path: b"")
    assert {medium.media: medium.mask for medium in found.media} == {
        "fake/x/a.mp4": "mask/x/a.mp4", "fake/x/b.mp4": "mask/b.png",
    }  # fmt: skip
    assert found.ignored == {"mask/{old}/{name}.mp4": 1, "mask/{name}.png": 1}
    assert sorted(path for path, _ in found.unmatched) == ["mask/a.png", "mask/c.png"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MADE_UP.replace("MASKS", "mask/{name}.npy"), "ends in no known suffix"),
        (MADE_UP.replace("MASKS", "mask/{nam}.png"), "did you mean 'name'|no value 'nam'|unknown value 'nam'"),
        (
            MADE_UP.replace("MASKS", "mask/{name}.png").replace("label: real", "label: real, mask: 'm.png'"),
            "a real has no 'mask'",
        ),
    ],
    ids=["no picture", "unknown field", "of a real"],
)
def test_a_mask_that_cannot_be_is_an_error(text: str, told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        load_manifest(text, "made_up.yaml")
