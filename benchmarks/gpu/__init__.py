"""One prepared command that measures everything about a GPU: `python -m benchmarks.gpu`. No part of the wheel.

The command's own process imports nothing but the standard library: each part runs in a process of its own, with a time
limit, and is skipped with its reason where something is missing.
"""
