"""`python -m pictograph` is the `pictograph` command."""

from pictograph.cli.main import run

if __name__ == "__main__":
    run()
