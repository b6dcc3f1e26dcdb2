"""Which image of a group names it, and is the one to keep: the best that all others are near-duplicates of. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pictograph.duplicates.measuring import Images
from pictograph.duplicates.rule import Rule
from pictograph.search.memory.arrays import Mask, Rows

TRIED: Final = 8
"""Images of a group that are tried as its representative, the best first; its leader always can be it."""
NOTICEABLE: Final = 0.05
"""Of the measure of sharpness, which is about 0 for blurred and 1 for crisp: a saved copy wavers by less."""


@dataclass(frozen=True)
class Worth:
    """What makes an image the one to keep; row i is image i."""

    chosen: Mask
    """Somebody said to keep it."""
    pixels: npt.NDArray[np.int64]
    """Width by height."""
    sharpness: npt.NDArray[np.float32]
    """NaN where it is not known."""
    created: npt.NDArray[np.int64]
    """Microseconds since 1970."""

    def steps_of_sharpness(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Rises by 1 with what is noticeably sharper; -inf where it is not known."""
        steps: npt.NDArray[np.float64] = np.floor(self.sharpness[rows].astype(np.float64) / NOTICEABLE)
        return np.nan_to_num(steps, nan=-np.inf)

    def best_first(self, rows: Rows) -> Rows:
        """The rows in the order in which one would keep them: chosen, larger, sharper, older."""
        keys = (rows, self.created[rows], -self.steps_of_sharpness(rows), -self.pixels[rows], ~self.chosen[rows])
        ordered: Rows = rows[np.lexsort(keys)]
        return ordered


def representative(images: Images, rule: Rule, worth: Worth, leader: int, members: Rows) -> int:
    """The best image of a group that every other one is a near-duplicate of.

    members: without the leader.
    """
    group = np.append(members, leader)
    for place in worth.best_first(group)[:TRIED].tolist():
        if place == leader or len(group) == 2:
            return int(place)
        others = group[group != place]
        same = np.full(len(others), place)
        if images.may_pair(same, others).all() and rule.holds(images.measured(same, others)).all():
            return int(place)
    return leader


def reason(worth: Worth, best: int, others: Rows) -> str:
    """Why this one: `chosen`, `larger`, `sharper`, `older`, or `nearest to all` where a better one is not near all."""
    order = worth.best_first(np.append(others, best))
    if int(order[0]) != best:
        return "nearest to all"
    if worth.chosen[best]:
        return "chosen"
    second = order[1:2]
    if worth.pixels[best] > worth.pixels[second[0]]:
        return "larger"
    if worth.steps_of_sharpness(np.array([best]))[0] > worth.steps_of_sharpness(second)[0]:
        return "sharper"
    return "older"
