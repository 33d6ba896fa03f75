"""The columns of a score file and the words in them."""

from __future__ import annotations

import pyarrow as pa

from mmidd.schema import FORGERY_TYPES

LEVELS = ("frame", "clip")
STATUSES = ("ok", "missing", "error")
MEAN = "the mean of its frames that have a score"
ONE_A_CLIP = "one score a clip, made elsewhere"
"""How a clip's score is made where frames have none."""
TYPES_OFF = 1e-3
"""How far types may be from adding up to 1: half precision is."""
SCHEMA = pa.schema(
    [
        pa.field("level", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("media", pa.string(), nullable=False),
        pa.field("frame", pa.int32()),
        pa.field("face", pa.int32()),
        pa.field("id", pa.string()),
        pa.field("group", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("forgery_type", pa.string()),
        pa.field("method", pa.string()),
        pa.field("compression", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("types", pa.list_(pa.float64(), len(FORGERY_TYPES))),
        pa.field("frames", pa.int32(), nullable=False),
        pa.field("frames_named", pa.int32(), nullable=False),
    ]
)
"""`level`: frame or clip (of one medium; an image is a clip of one frame). `frame` and `id`: null for clips, and for frames
that are known only by their number lost. `face`: which kept face; null for clips, which take all. `status`: ok, missing (the
split names it, and there is no sample of it, or scores from elsewhere lack it: `reason` says why), error (there is a sample,
and scoring it failed). `score`: how
likely it is forged, 0..1; null unless
ok. `types`: of FORGERY_TYPES, adding up to 1; null from a detector that knows none.
`frames`: how many scores it comes from (0 unless ok, 1 for frames); `frames_named`: of how many."""
