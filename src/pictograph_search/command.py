"""Entry of the commands `pictograph` and `pictograph-search`: checks whose `pictograph` is there, then runs ours."""

from __future__ import annotations

import sys
import warnings
from typing import Final

from pictograph_search import NamesakeWarning, hidden_by_namesake, namesake_beside

EXIT_CONFIGURATION: Final = 2


def run() -> None:
    """Runs the command; ends with 2, in one line, where another product hides ours."""
    if fault := hidden_by_namesake():
        sys.stderr.write(f"{fault}\n")
        sys.exit(EXIT_CONFIGURATION)
    if line := namesake_beside():
        sys.stderr.write(f"{line}\n")
    warnings.filterwarnings("ignore", category=NamesakeWarning)

    from pictograph.cli.main import run as run_command  # noqa: PLC0415 - only once it is known to be ours

    run_command()
