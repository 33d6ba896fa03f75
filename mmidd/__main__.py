"""The command `mmidd`, also as `python -m mmidd`."""

import os
import signal
import sys


def main() -> None:
    """Run the command line and end the process with its exit code; 1 where a package that it needs is not there."""
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))  # while we import, nothing is begun that could be lost
    try:
        from mmidd.cli import main as command  # not above: a spawned worker imports this module again, and needs none of it
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "mmidd"):
            raise
        if "_MMIDD_COMPLETE" not in os.environ:  # a shell would print it at every Tab
            print(f"mmidd: the package {name} is not installed; run: pip install {name}", file=sys.stderr)
        sys.exit(1)
    command()


if __name__ == "__main__":
    main()
