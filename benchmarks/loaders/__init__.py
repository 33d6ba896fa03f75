"""Loaders side by side: images a second of the same crops, the first batch, a worker's memory, a million rows."""
