"""The face detector that a configuration names: made, and named."""

from __future__ import annotations

from dataclasses import replace

from mmidd.errors import WrongWeights
from mmidd.faces.detector import Detector, DetectorConfig, DetectorIdentity, DetectorMaker, Device
from mmidd.faces.registry import DETECTORS


def make_detector(config: DetectorConfig, device: Device = "cpu") -> Detector:
    """Load the detector that `config` names.

    On "cpu" one thread computes (process-wide: work is spread over processes). Raises MissingExtra, MissingWeights,
    WrongWeights (also for others than the pinned ones), PluginError, or MmiddError where CUDA is asked for and absent.
    """
    made = DETECTORS.ask(config.kind, DETECTORS.load(config.kind, DetectorMaker).make, config, device)
    if config.pinned and dict(config.pinned) != detector_identity(config).weights:
        raise WrongWeights(f"the weights of the detector {config.kind} changed while the build was under way; run it again")
    return made


def detector_identity(config: DetectorConfig) -> DetectorIdentity:
    """Name the weights and libraries that `config`'s detector computes with, without loading any of them; of a detector
    from another package that package is among them.

    Raises MissingExtra, MissingWeights, WrongWeights or PluginError, as `make_detector` would. May download the weights.
    """
    identity = DETECTORS.ask(config.kind, DETECTORS.load(config.kind, DetectorMaker).identity, config)
    plugin = DETECTORS.plugin(config.kind)
    return replace(identity, libraries=identity.libraries | {plugin.package: plugin.version}) if plugin else identity
