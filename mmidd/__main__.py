"""The command `mmidd`, also as `python -m mmidd`."""

import _signal  # type: ignore[import-not-found]  # built in: no folder can hold another
import os
import sys

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (pathlib could be the folder's)


def main() -> None:
    """Run the command line and end the process with its exit code; 1 where a package that it needs is not there."""
    _signal.signal(_signal.SIGINT, lambda number, frame: os._exit(130))  # while we import, nothing is begun that is lost
    _leave_current_folder()
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


def _leave_current_folder() -> None:
    """Import nothing from the current folder, here or in a Python that starts from here: it may hold anybody's data.

    `python -m` and an empty part of PYTHONPATH put it there, which nobody asked for. Only what is loaded already is used.
    """
    if sys.flags.ignore_environment and not sys.flags.safe_path:  # `python -E`: a child would not hear of what is set here
        os.execv(sys.executable, [sys.executable, "-P", *sys.orig_argv[1:]])
    listed = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = [part for part in listed if part]
    try:
        here = os.getcwd()  # noqa: PTH109
    except OSError:  # it is gone
        here = ""
    by_hand = here in map(os.path.abspath, named)
    if here and here != _OWN and not by_hand and len(named) < len(listed) and len(listed) > 1:
        sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path[:] = [entry for entry in sys.path if entry]
    if named:
        os.environ["PYTHONPATH"] = os.pathsep.join(named)
    else:
        os.environ.pop("PYTHONPATH", None)
    os.environ["PYTHONSAFEPATH"] = "1"


if __name__ == "__main__":
    if not sys.flags.safe_path and sys.path[:1] not in ([], [_OWN]):
        del sys.path[0]  # `python -m` put the current folder there
    main()
