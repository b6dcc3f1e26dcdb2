"""The facts of the index as numbers: NaN where one is not known. Pure, numpy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pictograph.search.memory.segment import UNKNOWN_TIME, Facts

Values: TypeAlias = npt.NDArray[np.float64]
"""A fact of each image, float64 (N,), NaN where it is not known; of a time, microseconds since 1970."""


def known(column: npt.NDArray[np.generic]) -> Values:
    """Sizes, of which 0 means that nobody knows."""
    return known_but(column, 0)


def known_but(column: npt.NDArray[np.generic], unknown: int) -> Values:
    """A column in which one number means that nobody knows."""
    values = column.astype(np.float64)
    values[column == unknown] = np.nan
    return values


VALUES: Final[Mapping[str, Callable[[Facts, slice], Values]]] = {
    "created_at": lambda facts, rows: facts.created[rows].astype(np.float64),
    "taken_at": lambda facts, rows: known_but(facts.taken[rows], UNKNOWN_TIME),
    "width": lambda facts, rows: known(facts.width[rows]),
    "height": lambda facts, rows: known(facts.height[rows]),
    "file_size": lambda facts, rows: known(facts.file_size[rows]),
    "aspect": lambda facts, rows: known(facts.width[rows]) / known(facts.height[rows]),
    "sharpness": lambda facts, rows: facts.sharpness[rows].astype(np.float64),
    "brightness": lambda facts, rows: facts.brightness[rows].astype(np.float64),
    "contrast": lambda facts, rows: facts.contrast[rows].astype(np.float64),
}
"""For each name of `FACTS` (facts.py) the column, of some rows."""
