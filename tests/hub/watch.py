"""A reader that never stops: whatever main is while it is written to has to be whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from .git import Blob
from .http import WATCHER
from .server import Hub

Look = Callable[[Mapping[str, Blob]], str | None]
"""What is wrong with a state of the files; None if nothing."""


@contextmanager
def watched(hub: Hub, name: str, look: Look) -> Iterator[list[str]]:
    """Meanwhile main is read over HTTP again and again, as its owner would; in the end every state that main ever had is
    looked at, too. Gives the commits that were seen. Its requests meet no faults and are not logged."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(endpoint=hub.url, token=hub.token, headers={WATCHER: "1"})
    stop, seen, problems = threading.Event(), list[str](), list[str]()

    def read() -> None:
        while not stop.wait(0.02):
            try:
                sha = api.dataset_info(name).sha or ""
                listed = api.list_repo_files(name, repo_type="dataset", revision=sha) if sha not in seen else []
            except HfHubHTTPError:
                continue  # it is not there yet
            if listed:
                seen.append(sha)
                tree = hub.repos[name].commits[sha].tree
                problems.extend([] if set(listed) == {*tree} else [f"{sha}: listed as {listed}"])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join(timeout=30)
    for oid in hub.states(name) if name in hub.repos else []:
        told = look(hub.repos[name].commits[oid].tree)
        problems.extend([f"{oid}: {told}"] if told else [])
    assert not problems, problems
