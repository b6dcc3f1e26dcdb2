"""`python -m pictograph` is the `pictograph` command."""

from pictograph_search.command import run

if __name__ == "__main__":
    run()
