"""What people call a label -> the label."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from pictograph.errors import NotFoundError, wrong_value
from pictograph.tagging.assign import lowest_threshold
from pictograph.tagging.taxonomy import Label, Taxonomy
from pictograph.types import TagCategory


def find_label(taxonomy: Taxonomy, text: str, category: TagCategory | None = None) -> Label:
    """The label with this name, or with this key: `dog`, `objects/dog`.

    Raises NotFoundError that names similar labels, ValidationError if the name is in several categories.
    """
    wanted = text.strip().lower()
    within = [label for label in taxonomy.labels if category in (None, label.category)]
    found = [label for label in within if wanted in (label.name, label.key)]
    if len(found) == 1:
        return found[0]
    if found:
        raise wrong_value("category", f"{wanted!r} is in several categories: {listed(found)}. Say which category.")
    raise NotFoundError(unknown_label(taxonomy, wanted, within, category))


def unknown_label(taxonomy: Taxonomy, wanted: str, within: Sequence[Label], category: TagCategory | None) -> str:
    where = f" in {category}" if category else ""
    elsewhere = [label for label in taxonomy.labels if label not in within and label.name == wanted]
    names = [label.name for label in within]
    near = [within[names.index(name)] for name in get_close_matches(wanted, names, n=5)]
    advice = f"Did you mean {listed(elsewhere or near)}?" if elsewhere or near else "GET /tags lists them all."
    printable = wanted.encode("utf-8", "backslashreplace").decode()
    return f"There is no label {printable!r}{where} in the taxonomy. {advice}"


def listed(labels: Sequence[Label]) -> str:
    return ", ".join(label.key for label in labels)


def checked_threshold(label: Label, threshold: float) -> float:
    """The threshold, if the scores that are kept can answer it. Raises ValidationError that names the range."""
    floor = lowest_threshold(label)
    if not floor - 1e-9 <= threshold <= 1:
        raise wrong_value(
            "threshold",
            f"The threshold of {label.key} must be between {floor:g} and 1, not {threshold:g}: "
            f"lower scores are not kept.",
        )
    return threshold


def rivals_of(taxonomy: Taxonomy, label: Label) -> list[str]:
    """Keys of the labels that never stand beside this one, in the order of the taxonomy."""
    rivals = {key for keys in taxonomy.exclusive if label.key in keys for key in keys} - {label.key}
    return sorted(rivals, key=taxonomy.index_of.__getitem__)
