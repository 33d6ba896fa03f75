"""`python -m mmidd` is the command `mmidd`."""

from mmidd.cli import main

if __name__ == "__main__":  # a spawned worker imports this module again and must not start a second build
    main()
