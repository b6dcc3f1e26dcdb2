"""What the SDK's own work gives back; everything else is a wire model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeVar

from pictograph.client.tables import fiftyone_dataset_of, frame_of, hf_dataset_of, paths_of
from pictograph.wire import (
    DuplicateGroup,
    DuplicatesAnswer,
    Image,
    Pagination,
    SearchFacts,
    SimilarImage,
    TagAnswer,
    TaggedImage,
)
from pictograph.wire.base import Pictured, Wire

Row = TypeVar("Row")
SHOWN_ROWS: Final = 3
"""Rows that a list of rows shows when it is printed; it holds them all."""


def brief_list(name: str, rows: Sequence[object], facts: str) -> str:
    """`<SearchResults: 50 rows, exact: [..., ..., ..., and 47 more]>`."""
    more = [f"and {len(rows) - SHOWN_ROWS} more"] if len(rows) > SHOWN_ROWS else []
    shown = ", ".join([*(repr(row) for row in rows[:SHOWN_ROWS]), *more])
    return f"<{name}: {facts}: [{shown}]>"


def of_all(rows: int, total: int | None) -> str:
    """`50 of 1234 rows`."""
    return f"{rows} rows" if total in (None, rows) else f"{rows} of {total} rows"


class Rows(Pictured, list[Row]):
    """A list like any other, that a notebook shows as a grid of thumbnails and that other libraries take over."""

    row_type: ClassVar[type[Wire] | None] = None
    """What its rows are, where they are always the same: then a table has its columns also without rows."""

    @property
    def said(self) -> str:
        """What is said of all rows together: `50 rows`."""
        return of_all(len(self), None)

    def __repr__(self) -> str:
        return brief_list(type(self).__name__, self, self.said)

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each of these rows, and tags as lists in columns of their own.

        Raises ConfigurationError without pandas.
        """
        return frame_of(self, self.row_type)

    def to_paths(self, root: str | PathLike[str] | None = None) -> list[Path]:
        """Folder and filename of each, as paths below `root`: the directory that was uploaded, or a download of it.

        root: None gives paths relative to the dataset. Raises ValidationError for rows without a file.
        """
        return paths_of(self, root)

    def to_hf(self, root: str | PathLike[str] | None = None) -> Any:
        """A `datasets.Dataset` of Hugging Face: the columns of `to_pandas`, and `image` if `root` says where files lie.

        Raises ConfigurationError without datasets.
        """
        return hf_dataset_of(self, self.row_type, root)

    def to_fiftyone(self, root: str | PathLike[str]) -> Any:
        """A `fiftyone.Dataset` of samples with their paths below `root`, tags as Classifications, and scores.

        Raises ConfigurationError without fiftyone, ValidationError for rows without a file.
        """
        return fiftyone_dataset_of(self, root)


class SearchResults(Rows[Row]):
    """The rows of a search: a list like any other, that also says how they were found and what they are worth.

    rows = client.search.by_text("a dog on a beach")
    if not rows.exact:
        print(f"{rows.scanned} of {rows.scope_size} images compared by {rows.plan}: {rows.plan_reason}")
    """

    row_type = SimilarImage

    def __init__(self, rows: Iterable[Row], facts: SearchFacts) -> None:
        super().__init__(rows)
        self.answer = facts
        """The whole answer, as it came."""
        self.plan = facts.plan
        """`exact`: every vector was compared. `quantized`: every code was, then the best by their vectors."""
        self.plan_reason = facts.plan_reason
        """Why that plan, for people; says so if there is no index."""
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
        self.relevance = facts.relevance
        """What the scores are worth: the best one, how many are just below the threshold, whether nothing fits words;
        with `percentiles=True` also the scale of the scope. None from a service older than this client."""
        self.nothing_fits = facts.relevance.nothing_fits if facts.relevance else None
        """Of words: whether no image shows what they say, whatever the rows; None if that is not known."""
        self.unknown_tags = facts.unknown_tags
        """Tags in the question that are not in the taxonomy: no image can carry them."""
        self.unjudged_tags = facts.unjudged_tags
        """Tags in the question that the running encoder cannot judge, and that no image found carries."""
        self.nearest_tags = facts.nearest_tags
        """For some of both, keys of tags that are near and that are judged: `{"nighttime": ["attributes/dark"]}`."""
        self.undecided = facts.undecided
        """Images of the place that the filter could not judge, since a fact that it asks for is not known of them."""
        self.undecided_waiting = facts.undecided_waiting
        """Of those, the images at whose picture nobody has looked yet."""
        self.total = facts.pagination.total
        """How many rows there are in all, on whatever page; None where the service did not count."""
        self.total_is = facts.pagination.total_is
        """Whether `total` is `exact`, or an `estimate`; None where there is no total."""
        self.has_more = facts.pagination.has_more
        """Whether rows follow these."""
        self.next_cursor = facts.pagination.next_cursor
        """Where the next page begins: pass it as `cursor` with the same question; None on the last page."""

    @property
    def said(self) -> str:
        """`50 rows, exact, 1000 images, 2.1 ms`."""
        nothing = ", but nothing fits the words" if self.nothing_fits else ""
        return f"{len(self)} rows, {self.plan}, {self.scope_size} images, {self.took_ms:.1f} ms{nothing}"


class ListPage(Rows[Row]):
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
        """How many there are in all, on whatever page; None where the service did not count."""
        self.has_more = pagination.has_more
        """Whether rows follow these."""
        self.next_cursor = pagination.next_cursor
        """Where the next page begins; None on the last one."""

    @property
    def said(self) -> str:
        """`50 of 1234 rows`."""
        return of_all(len(self), self.total)


class TaggedResults(Rows[TaggedImage]):
    """The rows of a search by tag: a list like any other, that also says how many there are in all.

    rows = client.search.by_tag(objects=["car"], limit=50)
    print(f"{len(rows)} of {rows.total}")
    """

    row_type = TaggedImage

    def __init__(self, answer: TagAnswer) -> None:
        super().__init__(answer.results)
        self.answer = answer
        """The whole answer, as it came."""
        self.total = answer.pagination.total
        """Images that carry the tags, on whatever page; None for some seconds after the service started, until a large
        library's tags are in its memory."""
        self.has_more = answer.pagination.has_more
        """Whether there are rows behind these."""
        self.next_cursor = answer.pagination.next_cursor
        """Where the next page begins: pass it as `cursor` with the same question; None on the last one."""
        self.unknown_tags = answer.unknown_tags
        """Tags in the question that are not in the taxonomy: no image can carry them."""
        self.unjudged_tags = answer.unjudged_tags
        """Tags in the question that the running encoder cannot judge, and that no image found carries."""
        self.nearest_tags = answer.nearest_tags
        """For some of both, keys of tags that are near and that are judged: `{"nighttime": ["attributes/dark"]}`."""
        self.undecided = answer.undecided
        """Images of the place that the filter could not judge, since a fact that it asks for is not known of them."""
        self.undecided_waiting = answer.undecided_waiting
        """Of those, the images at whose picture nobody has looked yet."""

    @property
    def said(self) -> str:
        """`50 of 1234 rows`."""
        return of_all(len(self), self.total)


class DuplicateGroups(Pictured, list[DuplicateGroup]):
    """Groups of near-duplicates: a list like any other, that says how fresh they are and what was not compared.

    groups = client.datasets.near_duplicates("street")
    extra = [image for group in groups for image in group.others if not image.keep]
    """

    def __init__(self, answer: DuplicatesAnswer) -> None:
        super().__init__(answer.data)
        self.answer = answer
        """The whole answer, as it came."""
        self.state = answer.state
        """`complete`, `refreshing` (being made again), or `running`: nothing was found yet."""
        self.found_at = answer.found_at
        """The moment whose images the groups are of, UTC."""
        self.images = answer.images
        """Images of the place at that moment."""
        self.not_hashed = answer.not_hashed
        """Those of them whose perceptual hash is not known yet."""
        self.not_embedded = answer.not_embedded
        """Those of them without a vector."""
        self.total = answer.pagination.total
        """Groups on all pages."""
        self.duplicates = answer.duplicates
        """Images beside the representatives, in all groups."""
        self.has_more = answer.pagination.has_more
        """Whether groups follow these."""
        self.next_cursor = answer.pagination.next_cursor
        """Where the next page begins; None on the last one."""

    @property
    def said(self) -> str:
        """`2 groups, 3 duplicates, complete`."""
        groups = f"{len(self)} groups" if self.total in (None, len(self)) else f"{len(self)} of {self.total} groups"
        return f"{groups}, {self.duplicates} duplicates, {self.state}"

    def __repr__(self) -> str:
        return brief_list("DuplicateGroups", self, self.said)


@dataclass(frozen=True, slots=True)
class UploadFailure:
    """One file that was refused."""

    path: Path
    """The local file."""
    reason: str
    """What the server, or the local disk, said."""
    code: str
    """Stable: `bad_image`, `too_large`, ..."""


LeftAsideKind = Literal["not_a_picture", "unsupported", "unreadable", "broken_link", "hidden", "special", "seen"]
LEFT_ASIDE_WORDS: Final[dict[LeftAsideKind, str]] = {
    "unreadable": "cannot be read",
    "broken_link": "are links to nothing",
    "unsupported": "are pictures of a kind that is not supported",
    "not_a_picture": "are not pictures",
    "hidden": "are hidden",
    "special": "are not files",
    "seen": "are links to a folder that is read under another name",
}
"""Each kind as the end of "3 of them ...", the worst first."""


@dataclass(frozen=True, slots=True)
class LeftAside:
    """One file or folder of a directory that was not sent."""

    path: Path
    """The local file or folder; a hidden or unreadable folder stands for all below it."""
    kind: LeftAsideKind
    """`not_a_picture`; `unsupported`: a picture of a kind that the service does not read; `unreadable`; `broken_link`;
    `hidden`: its name begins with a dot; `special`: a pipe, a socket, a device; `seen`: a link to a folder that is
    looked through under another name, or that lies above."""
    reason: str
    """What it looks like, or what the disk said."""


def counted(left_aside: Sequence[LeftAside]) -> str:
    """`2 cannot be read, 3 are no pictures`."""
    counts = Counter(item.kind for item in left_aside)
    return ", ".join(f"{counts[kind]} {words}" for kind, words in LEFT_ASIDE_WORDS.items() if counts[kind])


def listed(left_aside: Sequence[LeftAside], most: int = 5) -> str:
    """`a.txt (plain text), b.jp2 (JPEG 2000) and 3 more`."""
    more = f" and {len(left_aside) - most} more" if len(left_aside) > most else ""
    return ", ".join(f"{item.path} ({item.reason})" for item in left_aside[:most]) + more


@dataclass(frozen=True, slots=True)
class Different:
    """One file that differs from the image of its folder and name."""

    path: Path
    """The local file."""
    image_id: str
    """UUID of the image in the dataset."""
    reason: str
    """What differs."""


@dataclass(slots=True, repr=False)
class UploadReport:
    """What became of each file of a directory. It prints as counts; its lists hold every file."""

    dataset_name: str
    attempted: int = 0
    """Files that looked like pictures."""
    uploaded: list[Image] = field(default_factory=list)
    """New images, in the order in which the server accepted them."""
    skipped: list[Path] = field(default_factory=list)
    """Files that were there already: same folder, same name, same bytes."""
    restored: list[Image] = field(default_factory=list)
    """Files that were there already but archived; searches find them again."""
    replaced: list[Image] = field(default_factory=list)
    """Images that get the bytes of the files of their places, because of `replace`."""
    different: list[Different] = field(default_factory=list)
    """Files that are other than the image that has their folder and name; nothing was sent of them."""
    failures: list[UploadFailure] = field(default_factory=list)
    """Files that were not taken, and why; none of them stops the others."""
    left_aside: list[LeftAside] = field(default_factory=list)
    """Files and folders below the directory that were not sent, and why."""

    def __repr__(self) -> str:
        lists = {item.name: getattr(self, item.name) for item in fields(self)}
        shown = (f"{name}={len(it) if isinstance(it, list) else repr(it)}" for name, it in lists.items())
        return f"UploadReport({', '.join(shown)}, success={self.success})"

    @property
    def unreadable(self) -> list[LeftAside]:
        """What the local disk did not give: it may hold pictures that are not in the dataset now."""
        return [item for item in self.left_aside if item.kind in ("unreadable", "broken_link")]

    @property
    def done(self) -> int:
        """Files whose fate is known."""
        parts = (self.uploaded, self.skipped, self.restored, self.replaced, self.different, self.failures)
        return sum(len(part) for part in parts)

    @property
    def success(self) -> bool:
        """True if every file was read, and every picture of a kind that the service reads is in the dataset now."""
        return not self.failures and not self.unreadable and not self.different


@dataclass(frozen=True, slots=True)
class DifferentRow:
    """One row of a file of vectors that differs from the image of its folder and filename."""

    source: str
    """The file."""
    row: int
    """Of the file, from 0."""
    image_id: str
    """UUID of the image in the dataset."""
    folder_path: str
    """`/`, or `/a/b`."""
    filename: str
    """Its name within its folder."""
    reason: str
    """What differs."""


SKIPPED_WORDS: Final[dict[str, str]] = {
    "failed": "could not be fetched or written",
    "taken": "found another file at their path, which stays (--overwrite replaces it)",
    "gone": "were deleted meanwhile",
    "no_bytes": "were imported as vectors and have no file",
}
"""Why an image has no file in an export, as the end of "3 of them ...", the worst first."""
MOST_EXAMPLES: Final = 100


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """One image of which an export has no file."""

    image_id: str
    """UUID of the image."""
    path: str
    """Where its file would be: dataset, folder and name."""
    why: str
    """`failed`, `taken`, `gone` or `no_bytes`."""
    reason: str
    """In words."""


BY_THEMSELVES: Final = ("path", "rows")
"""Fields that an `ExportReport` shows always."""


@dataclass(slots=True, repr=False)
class ExportReport:
    """What was written, what was not, and why."""

    path: Path
    """The file or the folder."""
    rows: int = 0
    """Images in it."""
    left_out: int = 0
    """Images that are meant, but that no search finds yet, and so are not in it: they wait, or failed."""
    format: str = "parquet"
    """What was written."""
    total: int | None = None
    """Images that the query found when the export began; None where the service does not count them."""
    total_is: Literal["exact", "estimate"] | None = None
    """Whether `total` is exact or an estimate."""
    complete: bool = True
    """False if a zip is full and the query finds more."""
    cut_off: bool = False
    """Whether more images passed the threshold than can be put in the order of a fact: it has the best 10,000."""
    already_there: int = 0
    """Files that were there, with the right bytes: by an earlier run, or by yourself."""
    linked: int = 0
    """Files that share their bytes with the library's own."""
    copied: int = 0
    """Files that were copied from the library's own folder."""
    downloaded: int = 0
    """Files that were fetched from the service."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Images without a file: how many for each reason, `{"no_bytes": 3}`."""
    examples: list[SkippedImage] = field(default_factory=list)
    """The first 100 of them; the file `manifest.jsonl` of an export with files has them all."""
    renamed: int = 0
    """Files whose path is other than dataset, folder and name, because not every file system takes those, or another
    file has it."""
    left_over: int = 0
    """Files of an earlier run in the same folder, whose images the query no longer finds; they stay."""
    changed: int = 0
    """Images that changed after the export began: it has them as they were when their page was read."""
    vanished: int = 0
    """Images that were deleted after the export began, before it came to them, as far as that can be told."""
    guarded_cells: int = 0
    """Cells of CSV that got an apostrophe, because a spreadsheet would have taken them for formulas."""
    files: list[Path] = field(default_factory=list)
    """The shards of WebDataset, those of earlier runs too."""
    started_at: datetime | None = None
    """When the export began, by the service's clock: images uploaded later are not in it."""
    resumed: bool = False
    """Whether it went on with an earlier one that was interrupted."""

    def __repr__(self) -> str:
        counts = ((item.name, getattr(self, item.name)) for item in fields(self) if item.name not in BY_THEMSELVES)
        said = ", ".join(f"{name}={len(it) if isinstance(it, list) else it}" for name, it in counts if it)
        return f"ExportReport({str(self.path)!r}, rows={self.rows}{said and f', {said}'}, success={self.success})"

    @property
    def success(self) -> bool:
        """True if every image that has a file has it in the export, too."""
        return self.complete and not self.skipped.get("failed") and not self.skipped.get("taken")

    @property
    def done(self) -> int:
        """Images whose fate is known."""
        return self.rows + sum(self.skipped.values())

    def skip(self, image: SkippedImage) -> None:
        """Counts an image without a file."""
        self.skipped[image.why] = self.skipped.get(image.why, 0) + 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(image)


@dataclass(slots=True, repr=False)
class ImportReport:
    """What became of the rows of files of vectors."""

    dataset_name: str
    rows: int | None = None
    """In all files; None where a file does not say before it is read."""
    imported: int = 0
    """New images, which are found from now on."""
    skipped: int = 0
    """Rows that were there already: same folder, same name, same vector, tags and facts."""
    restored: int = 0
    """Rows whose images were there already but archived: searches find them again."""
    replaced: int = 0
    """Images that got the vector, the tags and the facts of their rows, because of `replace`."""
    different: list[DifferentRow] = field(default_factory=list)
    """Rows of which nothing was stored, because another image has their place."""
    ignored_columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each file, the columns of which nothing was stored, if there are any."""

    def __repr__(self) -> str:
        counts = (f"{name}={getattr(self, name)}" for name in ("rows", "imported", "skipped", "restored", "replaced"))
        return f"ImportReport({self.dataset_name!r}, {', '.join(counts)}, different={len(self.different)})"

    @property
    def done(self) -> int:
        """Rows whose fate is known."""
        return self.imported + self.skipped + self.restored + self.replaced + len(self.different)

    @property
    def success(self) -> bool:
        """True if every row that was sent is in the dataset now."""
        return not self.different
