"""Names of parameters and fields: one for each thing, the older ones that are taken too, and what a typo meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Final

SYNONYMS: Final[tuple[tuple[str, ...], ...]] = (
    ("dataset", "dataset_name", "dataset_id", "project", "project_name", "project_id"),
    ("directory_path", "folder_path"),
    ("content_type", "mime_type"),
    ("width", "image_width"),
    ("height", "image_height"),
    ("new_name", "name"),
)
"""Of each set, a request may use any name for the one that its route declares; published clients differ in them."""
MOST_SHOWN: Final = 60
"""Names in one message."""
MOST_CHARACTERS: Final = 60
"""Of a made-up name, in a message."""
ALIKE: Final = 0.7
"""How alike two names must be for one to be the other's typo, 0 to 1."""


def aliases_of(declared: Collection[str]) -> dict[str, str]:
    """Other name -> declared name, for every declared name that has others."""
    aliases: dict[str, str] = {}
    for names in SYNONYMS:
        ours = [name for name in names if name in declared]
        if len(ours) == 1:
            aliases |= {name: ours[0] for name in names if name != ours[0]}
    return aliases


def similar_names(wanted: str, known: Sequence[str], most: int) -> list[str]:
    """Up to `most` of the known names that `wanted` may be a typo of, the most similar first."""
    return difflib.get_close_matches(wanted[:MOST_CHARACTERS], known, most, ALIKE)


def nearest_name(name: str, known: Collection[str], aliases: Mapping[str, str]) -> str | None:
    """What a name that does not exist was probably meant to be; None if nothing is near."""
    wanted = name.lower().replace("-", "_")
    candidates = [*known, *aliases]
    near = similar_names(wanted, candidates, 1)
    near = near or [other for other in candidates if wanted and (wanted in other or other in wanted)][:1]
    return aliases.get(near[0], near[0]) if near else None


def unknown_name(what: str, name: str, known: Collection[str], aliases: Mapping[str, str]) -> str:
    """`There is no parameter 'limt' here. Did you mean 'limit'? There are: limit, offset.`

    what: `parameter` or `field`.
    """
    near = nearest_name(name, known, aliases)
    shown = list(known)[:MOST_SHOWN]
    others = f", and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    listed = f"There are: {', '.join(shown)}{others}." if shown else f"It takes no {what}s."
    meant = f" Did you mean {near!r}?" if near else ""
    return f"There is no {what} {name[:MOST_CHARACTERS]!r} here.{meant} {listed}"


def two_values(one: str, other: str) -> str:
    """For two names of one thing that say different things."""
    return f"{one!r} and {other!r} are two names of one thing, and were given different values. Send one of them."


def other_names(name: str, aliases: Mapping[str, str]) -> list[str]:
    """The aliases of a declared name, in order."""
    return [alias for alias, declared in aliases.items() if declared == name]
