"""The reference detectors on a CPU: real weights of other people's packages, one table over all, beside the peers' own
code."""
