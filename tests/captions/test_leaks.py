from __future__ import annotations

import pytest

from mmidd.captions.leaks import leaks
from mmidd.manifest import bundled
from mmidd.manifest.methods import registry


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A deepfake made by StyleGAN2 from FFHQ.", {"deepfake", "StyleGAN2", "FFHQ"}),
        ("A real photo, authentic and genuine.", {"real photo", "authentic", "genuine"}),
        ("Swapped, blended and manipulated; artifacts.", {"Swapped", "blended", "manipulated", "artifacts"}),
        ("An AI-generated, synthetic forgery.", {"AI-generated", "synthetic", "forgery"}),
        ("FaceForensics++ and Celeb-DF and DFDC", {"FaceForensics++", "Celeb-DF", "DF", "DFDC"}),
        ("a neural-textures face, a Face Swap", {"neural-textures", "Face Swap", "Swap"}),
        ("It looks real, photorealistic even.", {"looks real", "photorealistic"}),
        ("The FAKE is digitally altered CGI.", {"FAKE", "digitally altered", "CGI"}),
        ("Made with SiT or GHOST.", {"SiT", "GHOST"}),
        ("Spoofed: no liveness; anti-spoofing.", {"Spoofed", "liveness", "anti-spoofing"}),
        ("A printed page is held before a screen, a mask on a shelf.", set()),
        ("Soft natural light falls on a painted, aisle-like plain wall.", set()),
        ("It is really sharp; he sits on a real wooden chair.", set()),
        ("A ghost of a smile, light as a float, a memo on the wall.", set()),
        ("A gander, a forge-grey sky? no: ganders and a swapfile.", {"forge"}),
    ],
)
def test_the_leak_list_finds_words_that_tell_a_label(text: str, found: set[str]) -> None:
    assert set(leaks(text)) == found


def test_every_dataset_and_every_method_is_in_the_leak_list_as_it_is_spelled() -> None:
    names = [name for manifest in bundled().values() for name in (manifest.name, manifest.slug)]
    names += [name for method in registry().by_id.values() for name in (method.id, *method.aliases)]
    plain = {name for name in names if name == name.lower() and (name.isalpha() and len(name) <= 3)}
    missed = {name for name in names if not leaks(f"a face of {name} here")} - plain
    assert missed <= {"insight", "Lightweight", "one_shot_free"}
