"""What the SDK's own work gives back; everything else is a wire model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pictograph.wire import Image, Pagination, SearchFacts, TagAnswer, TaggedImage

Row = TypeVar("Row")


class SearchResults(list[Row]):
    """The rows of a search: a list like any other, that also says how they were found and what they are worth.

    rows = client.search.by_text("a dog on a beach")
    if not rows.exact:
        print(f"{rows.scanned} of {rows.scope_size} images compared by {rows.plan}: {rows.plan_reason}")
    """

    def __init__(self, rows: Iterable[Row], facts: SearchFacts) -> None:
        super().__init__(rows)
        self.answer = facts
        """The whole answer, as it came."""
        self.plan = facts.plan
        """`exact`: vectors were compared in SQL. `codes`: short codes in memory, then the best by their vectors."""
        self.plan_reason = facts.plan_reason
        """Why that plan, for people; says so if another was tried first and fell short."""
        self.scope_size = facts.scope_size
        """Findable images in the scope, the reference too if it lies there."""
        self.scanned = facts.scanned
        """Images whose vector or code was compared; tags ruled the others out."""
        self.exact = facts.exact
        """True if the rows are the true nearest: nothing was estimated."""
        self.complete = facts.complete
        """True if every image of the scope was considered."""
        self.took_ms = facts.took_ms
        """Milliseconds in the service, without HTTP."""
        self.unknown_tags = facts.unknown_tags
        """Tags asked for besides that are not in the taxonomy: no image can carry them."""


class ListPage(list[Row]):
    """One page of a list: a list like any other, that also says how many there are and where the next page begins.

    images = client.images.list("street")
    print(f"{len(images)} of {images.total}")
    if images.has_more:
        rest = client.images.list("street", cursor=images.next_cursor)
    """

    def __init__(self, rows: Iterable[Row], pagination: Pagination) -> None:
        super().__init__(rows)
        self.pagination = pagination
        """What the answer says of the page."""
        self.total = pagination.total
        """How many there are in all, on whatever page; None where nobody counted."""
        self.has_more = pagination.has_more
        """Whether rows follow these."""
        self.next_cursor = pagination.next_cursor
        """Where the next page begins; None on the last one."""


class TaggedResults(list[TaggedImage]):
    """The rows of a search by tag: a list like any other, that also says how many there are in all.

    rows = client.search.by_tag(objects=["car"], limit=50)
    print(f"{len(rows)} of {rows.total}")
    """

    def __init__(self, answer: TagAnswer) -> None:
        super().__init__(answer.results)
        self.total = answer.pagination.total
        """Images that carry the tags, on whatever page; None for some seconds after the service started, until a large
        library's tags are in its memory."""
        self.has_more = answer.pagination.has_more
        """Whether there are rows behind these."""
        self.next_cursor = answer.pagination.next_cursor
        """Where the next page begins, for `by_tag_page`; None on the last one."""
        self.unknown_tags = answer.unknown_tags
        """Tags asked for that are not in the taxonomy: no image can carry them."""


@dataclass(frozen=True, slots=True)
class UploadFailure:
    """One file that was not taken."""

    path: Path
    """The local file."""
    reason: str
    """What the server, or the local disk, said."""
    code: str
    """Stable: `bad_image`, `too_large`, ..."""


@dataclass(slots=True)
class UploadReport:
    """What became of each file of a directory."""

    dataset_name: str
    attempted: int = 0
    """Files that looked like pictures."""
    uploaded: list[Image] = field(default_factory=list)
    """New images, in the order in which the server accepted them."""
    skipped: list[Path] = field(default_factory=list)
    """Files that were there already, by folder and name."""
    failures: list[UploadFailure] = field(default_factory=list)
    """Files that were not taken, and why; none of them stops the others."""

    @property
    def done(self) -> int:
        """Files whose fate is known."""
        return len(self.uploaded) + len(self.skipped) + len(self.failures)

    @property
    def success(self) -> bool:
        """True if every file is in the dataset now."""
        return not self.failures
