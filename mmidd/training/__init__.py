"""Training on a corpus: any row at once, samplers that know pairs and types, augmentations, resuming to the next sample.

Needs torch (`pip install 'mmidd[train]'`) and, of mmidd, only what reads a corpus. docs/training.md tells of it;
augmentations are in `mmidd.training.augment`.
"""

from mmidd.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtra("train", "mmidd.training") from error

from mmidd.training.balance import BalancedSampler
from mmidd.training.batch import Skipped, collate
from mmidd.training.clips import ClipSampler, FrameSampler
from mmidd.training.dataset import CorpusDataset
from mmidd.training.draws import Draw
from mmidd.training.epochs import EpochSampler
from mmidd.training.loader import Loader
from mmidd.training.pairs import PairSampler
from mmidd.training.sample import Sample, Transform
from mmidd.training.samplers import BlendSampler, SequentialSampler, ShuffleSampler, StreamSampler
from mmidd.training.stream import CorpusStream

__all__ = [
    "BalancedSampler", "BlendSampler", "ClipSampler", "CorpusDataset", "CorpusStream", "Draw", "EpochSampler",
    "FrameSampler", "Loader", "PairSampler", "Sample", "SequentialSampler", "ShuffleSampler", "Skipped", "StreamSampler",
    "Transform", "collate",
]  # fmt: skip
