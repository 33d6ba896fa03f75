"""Faces: detection behind one protocol, linking through a clip, alignment as one warp, and the crop's bytes."""
