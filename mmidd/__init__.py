"""mmidd: licensed face-forgery datasets into one corpus that is safe to train on."""

__version__ = "0.1.0"
