"""Detectors that explain: a vision-language model, with or without a frozen specialist beside it, that gives reasons before
its answer. `options`, `network`; `prompts`, `answers`, `soft`, `specialist` are its parts; `dual` and `rft_fas` the two
detectors."""
