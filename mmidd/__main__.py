"""The command `mmidd`, also as `python -m mmidd`."""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from mmidd.cli import main as command  # not above: a spawned worker imports this module again, and needs none of it

    command()


if __name__ == "__main__":
    main()
