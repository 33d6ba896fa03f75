"""What a build costs on given media: each stage, the whole, the decoder's floor and the peers, in one run.

Run as `python -m benchmarks`; no part of the wheel. This package's own process imports nothing heavy: Linux counts the
memory of whoever starts a process towards the peak of what it starts.
"""
