"""`python -m entrypoints`: the one command line of UserSplit."""

from entrypoints.cli import main

if __name__ == "__main__":
    main()
