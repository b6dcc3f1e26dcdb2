"""`python -m pictograph` is the `pictograph` command."""

from pictograph_search import run

if __name__ == "__main__":
    run()
