"""The statements of a search, each whole in a file of its own with a comment that says what it is for.

`{place}` and `{facts}` stand for the conditions that where.py makes of a filter; everything else is as it is sent.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `NAME.sql`, without its comments."""
    lines = files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))
