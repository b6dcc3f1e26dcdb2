"""A part of a picture: the rectangle that a question means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pictograph.errors import ValidationError, wrong_value

BoxUnit: TypeAlias = Literal["px", "fraction"]
_SLACK: Final = 1e-6
"""Of a side: fractions such as 1/3 + 2/3 may reach past the edge by a rounding error, and mean the edge."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle whose origin is the top left corner of the upright picture, as a person sees it.

    `px` counts the file's own pixels after its EXIF turn; `fraction` takes each side for 1.
    """

    x: float
    y: float
    width: float
    height: float
    unit: BoxUnit = "px"

    def __post_init__(self) -> None:
        """Raises ValidationError for what is a rectangle on no picture at all."""
        if self.unit not in ("px", "fraction"):
            raise wrong_box(f"its unit must be 'px' or 'fraction', not {self.unit!r}")
        if not all(math.isfinite(value) for value in (self.x, self.y, self.width, self.height)):
            raise wrong_box("its numbers must be finite")
        if self.width <= 0 or self.height <= 0:
            raise wrong_box(f"its width and height must be above 0, not {self.width:g} x {self.height:g}")
        if self.x < 0 or self.y < 0:
            raise wrong_box(f"it begins left of the picture or above it, at ({self.x:g}, {self.y:g})")
        if self.unit == "fraction" and not (fits(self.x, self.width, 1) and fits(self.y, self.height, 1)):
            raise wrong_box(
                f"it ends at ({self.x + self.width:g}, {self.y + self.height:g}), and fractions end at (1, 1)"
            )

    def edges(self, width_px: int, height_px: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in whole pixels of a picture of this size, at least one pixel across and down.

        Raises ValidationError if the box reaches out of the picture.
        """
        across, down = (1, 1) if self.unit == "px" else (width_px, height_px)
        if self.unit == "px" and not (fits(self.x, self.width, width_px) and fits(self.y, self.height, height_px)):
            raise wrong_box(
                f"it ends at ({self.x + self.width:g}, {self.y + self.height:g}), and the picture, upright, has "
                f"{width_px} x {height_px} pixels"
            )
        left, right = whole(self.x * across, (self.x + self.width) * across, width_px)
        top, bottom = whole(self.y * down, (self.y + self.height) * down, height_px)
        return left, top, right, bottom


def fits(start: float, length: float, side: int) -> bool:
    return start + length <= side * (1 + _SLACK)


def whole(start: float, end: float, side_px: int) -> tuple[int, int]:
    """The nearest pixel edges, at least one pixel apart, inside the side."""
    first = min(round(start), side_px - 1)
    return first, min(side_px, max(first + 1, round(end)))


def wrong_box(why: str) -> ValidationError:
    return wrong_value("box", f"The box does not lie in its picture: {why}. Write it as x, y, width, height.")
