"""The face detector that a configuration names: made, and named."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from mmidd.errors import MissingExtra, WrongWeights
from mmidd.faces.detector import Detector, DetectorConfig, DetectorIdentity, DetectorMaker, Device, computed_by
from mmidd.faces.registry import DETECTORS
from mmidd.networks.choose import runtime_of


def make_detector(config: DetectorConfig, device: Device = "cpu") -> Detector:
    """Load the detector that `config` names.

    On "cpu" one thread computes (process-wide: work is spread over processes), else the device process. Raises MissingExtra,
    MissingWeights, WrongWeights (also for others than the pinned ones), PluginError, or MmiddError where CUDA is asked for
    and absent.
    """
    made = DETECTORS.ask(config.kind, DETECTORS.load(config.kind, DetectorMaker).make, config, device)
    if config.pinned and dict(config.pinned) != detector_identity(config).weights:
        raise WrongWeights(f"the weights of the detector {config.kind} changed while the build was under way; run it again")
    return made


def detector_identity(config: DetectorConfig, device: Device = "cpu") -> DetectorIdentity:
    """Name the weights and libraries that `config`'s detector computes with on a device, without loading any of them; of a
    detector from another package that package is among them.

    Raises MissingExtra, MissingWeights, WrongWeights or PluginError, as `make_detector` would. May download the weights.
    """
    identity = DETECTORS.ask(config.kind, DETECTORS.load(config.kind, DetectorMaker).identity, config)
    plugin = DETECTORS.plugin(config.kind)
    if plugin is not None:
        return replace(identity, libraries=identity.libraries | {plugin.package: plugin.version})
    runtime = runtime_of(config.runtime, device)
    if runtime == "torch" and find_spec("torch") is None:
        raise MissingExtra("faces", f"the detector {config.kind} on torch")
    return replace(identity, libraries=computed_by(identity.libraries, runtime))
