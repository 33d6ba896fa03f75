"""Which reference detectors there are: a new one is one file with a `DETECTOR`, and one row here. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mmidd.errors import MissingExtra, UsageError
from mmidd.registry import Registry, Row

if TYPE_CHECKING:
    from mmidd.runs.detector import Detector


@dataclass(frozen=True)
class Facts:
    """What is known of a detector without importing it: parts of what its `DETECTOR` says, and what its network with the
    defaults of its options has (`parameters` in all, `trained` of them), which is what its preset `paper` trains."""

    paper: str
    code_licence: str
    backbone: str
    backbone_licence: str
    parameters: int
    trained: int
    needs: tuple[str, ...] = ("label",)
    presets: tuple[str, ...] = ("paper", "small", "tiny")


_CLIP = ("CLIP ViT-L/14", "MIT")
_XCEPTION = ("Xception", "Apache-2.0 (timm)")
REFERENCE_DETECTORS: Registry[Facts] = Registry(
    "reference detector",
    "mmidd.detectors",
    "DETECTOR",
    (
        Row(
            "gend", "mmidd.detectors.gend", "layer norms of CLIP, DINOv3 or the Perception Encoder; unit features",
            Facts("arXiv 2508.06248 (WACV 2026)", "MIT", *_CLIP, 303_968_258, 104_450),
            "train", ("torch", "transformers", "timm"),
        ),
        Row(
            "lnclip", "mmidd.detectors.lnclip", "LNCLIP-DF, before GenD: layer norms, features mixed in their class",
            Facts("arXiv 2508.06248 v1 (2025)", "MIT", *_CLIP, 303_968_258, 104_450),
            "train", ("torch", "transformers", "timm"),
        ),
        Row(
            "univfd", "mmidd.detectors.univfd", "a linear layer on CLIP's frozen image features",
            Facts("(CVPR 2023), arXiv 2302.10174", "MIT", *_CLIP, 303_966_977, 769),
            "train", ("torch", "transformers", "timm"),
        ),
        Row(
            "effort", "mmidd.detectors.effort", "Effort, or CLIP-SVD: the weakest singular directions of CLIP's attention",
            Facts("arXiv 2411.15633 (ICML 2025)", "CC BY-NC 4.0 (theirs)", *_CLIP, 304_164_962, 198_754),
            "train", ("torch", "transformers", "timm"),
        ),
        Row(
            "clip-lora", "mmidd.detectors.clip_lora", "both towers of CLIP by LoRA, told apart by one prompt a class",
            Facts("arXiv 2405.18541 (CVPR workshops 2024)", "Apache-2.0 (this file)", *_CLIP, 428_022_016, 405_504),
            "train", ("torch", "transformers", "timm", "peft"),
        ),
        Row(
            "sd2", "mmidd.detectors.sd2", "CLIP by LoRA, CLAM over its layers, texts of five types, captions",
            Facts(
                "(OpenReview hNd5L7WnjC)", "Apache-2.0 (this file)", *_CLIP, 434_469_891, 6_853_378,
                ("label", "forgery_type", "face_caption", "environment_caption"),
            ),
            "train", ("torch", "transformers", "timm", "peft"),
        ),
        Row(
            "xception", "mmidd.detectors.xception", "a convolutional network, all of it trained: the field's baseline",
            Facts("arXiv 2307.01426", "CC BY-NC 4.0", *_XCEPTION, 20_811_050, 20_811_050),
            "train", ("torch", "timm"),
        ),
        Row(
            "spsl", "mmidd.detectors.spsl", "Xception that sees the phase of the spectrum as well",
            Facts("CVPR 2021 (arXiv 2103.01856)", "CC BY-NC 4.0", *_XCEPTION, 20_811_338, 20_811_338),
            "train", ("torch", "timm"),
        ),
        Row(
            "recce", "mmidd.detectors.recce", "Xception that learns to reconstruct reals, and looks where that fails",
            Facts("CVPR 2022", "MIT", *_XCEPTION, 23_781_509, 23_781_509),
            "train", ("torch", "timm"),
        ),
        Row(
            "aide", "mmidd.detectors.aide", "a frozen ConvNeXt-XXL, and the noise of the patches with most and least detail",
            Facts(
                "ICLR 2025 (arXiv 2406.19435)", "MIT", "OpenCLIP ConvNeXt-XXL (LAION-2B, soup), frozen; two ResNet-50",
                "MIT (OpenCLIP); BSD-3 (torchvision)", 893_732_482, 49_547_778,
            ),
            "train", ("torch", "timm"),
        ),
        Row(
            "forensics-adapter", "mmidd.detectors.forensics_adapter",
            "a small transformer beside a frozen CLIP, taught where a face was blended in",
            Facts("arXiv 2411.19715 (CVPR 2025)", "CC BY-NC 4.0", *_CLIP, 310_193_607, 6_227_399),
            "train", ("torch", "transformers"),
        ),
        Row(
            "explain", "mmidd.detectors.explain.dual",
            "a vision-language model beside a frozen specialist: explains, then classifies; GRPO",
            Facts(
                "arXiv 2605.31192 (2026)", "Apache-2.0 (this file)", "Qwen2.5-VL-7B-Instruct", "Apache-2.0", 8_453_647_360,
                161_480_704,
                presets=("paper", "small", "tiny", "paper-rl", "small-rl", "tiny-rl"),
            ),
            "train", ("torch", "transformers", "peft"),
        ),
        Row(
            "rft-fas", "mmidd.detectors.explain.rft_fas",
            "a vision-language model that tells live faces from presentation attacks and says why; GRPO on TRL",
            Facts(
                "arXiv 2506.21895 (2025)", "Apache-2.0 (this file)", "Qwen2.5-VL-7B-Instruct", "Apache-2.0", 8_453_647_360,
                161_480_704,
                presets=("paper", "small", "tiny", "paper-rl", "small-rl", "tiny-rl"),
            ),
            "train", ("torch", "transformers", "peft"),
        ),
        Row(
            "tall", "mmidd.detectors.tall", "takes clips: four frames laid out as one thumbnail, for a Swin",
            Facts(
                "arXiv 2307.07494 (ICCV 2023)", "MIT", "Swin-B, ImageNet-22k", "MIT", 86_920_506, 86_920_506,
                ("label", "frame"),
            ),
            "train", ("torch", "timm"),
        ),
    ),
)  # fmt: skip


def reference_detector(name: str) -> Detector:
    """The reference detector of that name, its module imported now.

    Raises UsageError for none, MissingExtra where torch or what it needs is not installed, PluginError for another package's
    that does not work."""
    if name not in REFERENCE_DETECTORS:
        known = sorted(REFERENCE_DETECTORS.names())
        near = get_close_matches(name, known, 1)
        hint = (
            f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)} (mmidd plugins lists face detectors)"
        )
        raise UsageError(f"there is no reference detector {name!r}; {hint}")
    try:
        from mmidd.runs.detector import Detector
    except ModuleNotFoundError as error:
        raise MissingExtra("train", f"the reference detector {name}") from error
    return REFERENCE_DETECTORS.load(name, Detector)
