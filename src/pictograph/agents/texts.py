"""What tools say: compact lines that suffice without a picture, in a budget, and never silent on what is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pictograph.client.results import DuplicateGroups
from pictograph.shown import shown
from pictograph.types import TAG_CATEGORIES
from pictograph.wire import DuplicateGroup, DuplicateImage, SearchRow

MINUTES: Final = len("2026-11-01T12:00")
BYTES_A_TOKEN: Final = 4
"""Of English and JSON, in the vocabularies of large models; digits are split one by one, or nearly."""


def tokens_of(text: str) -> int:
    """About how many tokens a text costs: one for four bytes of UTF-8, and one for each digit.

    Against the tokenizer that anthropic 0.38 publishes: descriptions of tools 3 % above, rows of handles and paths
    5 to 9 % above.
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES_A_TOKEN) + sum(character.isdigit() for character in text)


def fitting(lines: Sequence[str], max_tokens: int) -> int:
    """How many of the lines, from the first on, cost at most so many tokens; one line always goes."""
    left = max_tokens
    for number, line in enumerate(lines):
        left -= tokens_of(line + "\n")
        if left < 0:
            return max(1, number)
    return len(lines)


def line_of(number: int, row: SearchRow, handle: str, fields: Sequence[str], dataset: Callable[[str], str]) -> str:
    """`7 #6a1b8d20 /city/castle.jpg 0.81 building,outdoor`."""
    path = f"{row.folder_path.rstrip('/')}/{row.filename}"
    parts = [str(number), handle]
    values: Mapping[str, Callable[[], str]] = {
        "dataset": lambda: f"[{dataset(row.dataset_id)}]",
        "path": lambda: path,
        "score": lambda: score_of(row),
        "fact": lambda: fact_of(row),
        "tags": lambda: ",".join(label for category in TAG_CATEGORIES for label in row.tags.get(category, ())),
        "link": lambda: row.image_url,
        "id": lambda: row.image_id,
    }
    parts += [text for field in fields if (text := values[field]())]
    return shown(" ".join(parts))


def score_of(row: SearchRow) -> str:
    """Two decimals, `0.81`; nothing where there is no score."""
    score = getattr(row, "score", None)
    if score is None:
        score = getattr(row, "similarity", None)
    return "" if score is None else f"{score:.2f}"


def fact_of(row: SearchRow) -> str:
    """What the rows are ordered by, `1920` or `2026-11-01T12:00`; nothing where it is not known."""
    fact = getattr(row, "order_value", None)
    if isinstance(fact, float):
        return f"{fact:.4g}"
    return "" if fact is None else str(fact)[:MINUTES]


def count_of(total: int, total_is: str | None) -> str:
    """`1,932 images (exact)`, `about 1,900 images (an estimate)`."""
    images = "1 image" if total == 1 else f"{total:,} images"
    return f"about {images} (an estimate)" if total_is == "estimate" else f"{images} (exact)"


def head_of(rows: int, total: int | None, total_is: str | None, cursor: str | None, *, first: bool) -> str:
    """How many are shown, of how many, and how to go on; or that this is everything."""
    if rows == 0:
        return "No image fits: this is everything." if first else "No more images: that was everything."
    if cursor is None:
        return (
            f"{rows} shown. This is everything." if first else f"{rows} shown. These are the last: that is everything."
        )
    of = f" of {count_of(total, total_is)}" if total is not None else "; more follow, not counted (count_only counts)"
    return f"{rows} shown{of}. next: cursor={cursor}"


def notes_of(answer: Any) -> list[str]:
    """What a reader must know of an answer: tags that nothing carries, and rows that may be missing."""
    said: list[str] = []
    nearest = getattr(answer, "nearest_tags", None) or {}
    for tag in getattr(answer, "unknown_tags", ()):
        said.append(f"There is no tag {tag!r}: no image can carry it.{near(nearest.get(tag))}")
    for tag in getattr(answer, "unjudged_tags", ()):
        said.append(f"The running encoder does not judge the tag {tag!r}.{near(nearest.get(tag))}")
    if getattr(answer, "exact", True) is False:
        said.append("Found by the quantized index: a row near the end may be missing (exact=true compares all).")
    if getattr(answer, "complete", True) is False:
        said.append("Not every image of the scope was considered.")
    if undecided := getattr(answer, "undecided", 0):
        said.append(f"Of {undecided:,} images it is not known yet whether they fit: they are left out.")
    if unknown := getattr(answer, "unknown_values", 0):
        said.append(f"{unknown:,} images have no value to be ordered by: they come last.")
    if getattr(answer, "cut_off", False):
        said.append("More images would pass the cut than are ordered here.")
    return [shown(line) for line in [*said, *worth_of(answer)]]


def worth_of(answer: Any) -> list[str]:
    """What an answer says of its scores: that nothing fits, what lies just below the cut, the best of all."""
    relevance = getattr(answer, "relevance", None)
    if relevance is None:
        return []
    said: list[str] = []
    if relevance.nothing_fits:
        unknown = relevance.nothing_fits_because == "unknown_words"
        why = "the encoder knows nothing that the words name" if unknown else "no image here shows it"
        said.append(f"Nothing fits the words, whatever rows there are: {why}.")
    if relevance.just_below:
        least = "at least " if relevance.just_below_is == "at_least" else ""
        said.append(
            f"{least}{relevance.just_below:,} more just below the cut, down to {relevance.just_below_from:.2f}."
        )
    if relevance.best is not None and not getattr(answer, "results", None):
        said.append(f"The best score of all is {relevance.best:.2f}.")
    return said


def near(names: Sequence[str] | None) -> str:
    return f" Nearest: {', '.join(names)}." if names else ""


def group_of(
    number: int, group: DuplicateGroup, handle: Callable[[str], str], dataset: Callable[[str], str] | None
) -> str:
    """A line for the image to keep, and one for each other: `1 keep #6a1b8d20 /a.jpg 640x480 (larger)`."""

    def named(image: DuplicateImage) -> str:
        within = f"[{dataset(image.dataset_id)}] " if dataset else ""
        path = f"{image.folder_path.rstrip('/')}/{image.filename}"
        size = f" {image.width}x{image.height}" if image.width else ""
        return f"{handle(image.image_id)} {within}{path}{size}"

    lines = [f"{number} keep {named(group.representative)} ({group.because})"]
    lines += [f"  {named(image)} by {found_by(image)}" for image in group.others]
    if group.left_out:
        lines.append(f"  and {group.left_out} more of this group")
    return "\n".join(map(shown, lines))


def found_by(image: DuplicateImage) -> str:
    """`bytes`, `hash 3 bits, mirrored, similarity 0.97`."""
    said = [image.found_by if image.hash_distance is None else f"{image.found_by} {image.hash_distance} bits"]
    said += ["mirrored"] if image.mirrored else []
    said += [] if image.similarity is None else [f"similarity {image.similarity:.2f}"]
    return ", ".join(said) if image.found_by != "bytes" else "bytes"


def head_of_groups(groups: DuplicateGroups, *, first: bool) -> str:
    """How many groups are shown, of how many, and how to go on; or that this is everything."""
    if groups.state == "running":
        return f"Still comparing: {groups.answer.done:,} of {groups.answer.total:,} images. Ask again in some seconds."
    if not groups:
        return "No near-duplicates: this is everything." if first else "No more groups: that was everything."
    if groups.next_cursor is None:
        end = "This is everything." if first else "These are the last: that is everything."
    else:
        end = f"next: cursor={groups.next_cursor}"
    of = f" of {groups.total:,}" if groups.total is not None and groups.total > len(groups) else ""
    return f"{len(groups)} groups{of}; {groups.duplicates:,} images beside those to keep. {end}"


def notes_of_groups(groups: DuplicateGroups) -> list[str]:
    """What was not compared, and how old the answer is."""
    said = []
    if groups.state == "refreshing":
        said.append(f"As of {groups.found_at:%Y-%m-%d %H:%M} UTC; being made again meanwhile.")
    if groups.not_hashed:
        said.append(f"{groups.not_hashed:,} images have no perceptual hash yet: found by bytes and vector alone.")
    if groups.not_embedded:
        said.append(f"{groups.not_embedded:,} images have no vector: found by bytes and nearly equal hashes alone.")
    if not groups.answer.threshold_is_measured:
        said.append("The default threshold was measured with another encoder: look at some groups first.")
    return said
