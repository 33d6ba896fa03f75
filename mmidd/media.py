"""The words for single media that all rooms share."""

from __future__ import annotations

from typing import Literal

Name = tuple[str, str]
"""A medium among all: its dataset, and its path relative to the dataset's root."""

Kind = Literal["video", "image", "frames"]
"""What a medium is: `frames` is a folder of numbered images."""

FaceMode = Literal["detect", "padded", "keep", "whole"]
"""How a medium's faces are had (docs/manifests.md)."""
