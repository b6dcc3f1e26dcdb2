"""Decides how a question by likeness is answered: a page of rules, no cost model.

Measured on two cores (docs/decisions/0010): comparing 6,000 mapped vectors takes about as long as the detour over
codes, and is exact; so below that, exact wins twice.
"""

from __future__ import annotations

from typing import Final

from pictograph.search.found import Likeness, Plan

EXACT_UP_TO: Final = 6000
"""Images that are compared one by one sooner than their codes lead to the best."""
BY_TABLE: Final = "the database compared every vector"


def plan_of(ask: Likeness, meant: int, without_index: str | None) -> Plan:
    """meant: how many images the filter means, where the index knows. without_index: why it cannot answer."""
    if ask.exact:
        return Plan("exact", "an exact answer was wanted")
    if without_index is not None:
        return Plan("exact", f"{without_index}, so {BY_TABLE}")
    if ask.beyond is not None:
        return Plan("exact", "pages after the first are compared exactly")
    if meant <= EXACT_UP_TO:
        return Plan("exact", f"the filter means only {counted(meant)}")
    return Plan("quantized", f"{counted(meant)}: the quantized index names candidates, their vectors decide")


def counted(images: int) -> str:
    """`1 image`, `1,500 images`."""
    return f"{images:,} image{'' if images == 1 else 's'}"
