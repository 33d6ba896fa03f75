"""A local Hub to rehearse on: `python -m tests.hub FOLDER`, in a checkout; prints what to export, runs until Ctrl-C."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event

from .server import Hub


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or (place := Path(arguments[0])).exists():
        print("usage: python -m tests.hub FOLDER (a new one: it keeps the Hub's files and the client's)", file=sys.stderr)
        return 2
    hub = Hub(place)
    print("# repositories are of the user `owner` or the organisation `lab`, such as lab/sample; all is gone at the end")
    for name, value in hub.env(place.resolve() / "home").items():
        print(f"export {name}={shlex.quote(value)}", flush=True)
    with suppress(KeyboardInterrupt):
        Event().wait()
    hub.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
