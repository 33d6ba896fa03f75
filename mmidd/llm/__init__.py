"""Asking language models over HTTP: one asynchronous client, shared by captioners and judges."""
