"""Fuzzing of everything that reads what others wrote: `python -m tests.fuzz`, or `make fuzz`. See docs/fuzzing.md."""

from pathlib import Path

FINDS = Path(__file__).parent / "finds"
"""Inputs that once broke a target, by its name: each is a regression test."""
