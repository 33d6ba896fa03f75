"""The parts, in the order of their worth: what each needs, how long it may take, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass

_MMIDD = ("numpy", "cv2", "av", "pydantic", "pydantic_core", "pebble", "simplejpeg", "pyarrow", "onnx", "onnxruntime")
_CLI = (*_MMIDD, "typer", "rich", "httpx2", "yaml", "huggingface_hub", "PIL")


@dataclass(frozen=True)
class Part:
    """`seconds`: it is ended after so many. `needs`: packages by the names they are imported by; where one is missing, the
    part is skipped, unless it is a `must`: then it counts as broken. `tells`: one line."""

    name: str
    seconds: int
    needs: tuple[str, ...]
    tells: str
    must: bool = False
    module: str = ""

    @property
    def where(self) -> str:
        return self.module or f"benchmarks.gpu.{self.name}"


PARTS = (
    Part("machine", 15, ("torch",), "the GPU, driver, versions, and the ceilings that rates are held against", must=True),
    Part("detectors", 40, ("torch", "facenet_pytorch", *_MMIDD), "are mtcnn, yunet, scrfd on the device those of the CPU"),
    Part("extraction", 85, ("torch", *_CLI), "faces/s of mmidd extract with 1 to N workers, and who waits for whom"),
    Part("corpus", 50, ("torch", "facenet_pytorch", *_CLI), "is a corpus the same every time, and is it the CPU's"),
    Part("rates", 40, ("torch", "facenet_pytorch", *_MMIDD), "faces/s of the detectors' networks alone"),
    Part("training", 90, ("torch", *_MMIDD), "training steps of the reference detectors at paper settings"),
    Part("decoding", 40, ("torch", "torchcodec", *_MMIDD), "NVDEC: are its frames ours, and how fast"),
    Part("pixels", 25, ("torch", *_MMIDD), "warp and JPEG on the device against the CPU"),
    Part("captions", 60, ("torch", "transformers"), "captions/s of the transformers captioner"),
    Part("grpo", 35, ("torch", "transformers"), "step time of GRPO on a model of 2 to 3 billion weights"),
)
