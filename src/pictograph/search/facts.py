"""What is known of an image as one number, or is not known: what a filter bounds and an order sorts by. A leaf.

A new fact is a line of `FACTS`, its column in the index (memory/values.py), and its bounds in `Conditions` (filter.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact."""

    sql: str
    """Its value of the row `{row}` of `image`, to the last bit as the index has it; NULL where it is not known."""
    at_least: str
    """The condition that asks for this value or more."""
    at_most: str
    """The condition that asks for this value or less; of a time, for an earlier one."""
    is_time: bool = False
    is_sure: bool = False
    """Whether it is known of every image."""
    is_single: bool = False
    """Whether the column is `real`: a bound is rounded as its values are, so that 0.1 is at most 0.1."""

    @property
    def sql_type(self) -> str:
        """Of the bounds that it is compared with."""
        return "timestamptz" if self.is_time else "real" if self.is_single else "float8"

    @property
    def number(self) -> str:
        """Its value as float8: of a time, microseconds since 1970."""
        return f"(extract(epoch FROM {self.sql}) * 1000000)::float8" if self.is_time else f"({self.sql})::float8"


FACTS: Final[Mapping[str, Fact]] = {
    "created_at": Fact("{row}.created_at", "uploaded_from", "uploaded_before", is_time=True, is_sure=True),
    "taken_at": Fact("{row}.taken_at", "taken_from", "taken_before", is_time=True),
    "width": Fact("nullif({row}.width, 0)", "min_width", "max_width"),
    "height": Fact("nullif({row}.height, 0)", "min_height", "max_height"),
    "file_size": Fact("nullif({row}.file_size, 0)", "min_file_size", "max_file_size"),
    "aspect": Fact("nullif({row}.width, 0)::float8 / nullif({row}.height, 0)", "min_aspect", "max_aspect"),
    "sharpness": Fact("{row}.sharpness", "min_sharpness", "max_sharpness", is_single=True),
    "brightness": Fact("{row}.brightness", "min_brightness", "max_brightness", is_single=True),
    "contrast": Fact("{row}.contrast", "min_contrast", "max_contrast", is_single=True),
}
"""By the name that an order has."""
