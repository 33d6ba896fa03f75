"""The corpus folder: writing shards, swapping it in, its card, and checking it from its files alone."""
