"""What each tool does: it asks the service through the SDK, and says the answer in text that suffices alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar

from pictograph.agents import pictures, texts
from pictograph.agents.asking import Asked
from pictograph.agents.handles import Handles
from pictograph.client import AsyncClient
from pictograph.client.filters import DatasetFilters
from pictograph.client.pictures import box_query
from pictograph.client.results import DuplicateGroups, SearchResults
from pictograph.errors import BadImage, NoBytes, NotFoundError, wrong_value
from pictograph.naming import similar_names
from pictograph.shown import shown
from pictograph.types import TAG_CATEGORIES
from pictograph.upload.bounded.pool import PictureReaders
from pictograph.upload.bounded.wanted import Wanted
from pictograph.wire import Dataset, SearchRow, Taxonomy

Field: TypeAlias = Literal["path", "dataset", "score", "fact", "tags", "link", "id"]
Answer = TypeVar("Answer")
FIELDS: Final[Sequence[Field]] = ("path", "score", "tags")
ORDERED_FIELDS: Final[Sequence[Field]] = ("path", "score", "fact", "tags")
AT_ONCE: Final = 8
"""Thumbnails that are fetched beside each other for a sheet."""
MOST_DATASETS: Final = 200
MOST_GROUPS: Final = 50
MOST_MEMBERS: Final = 10
"""Of a group of near-duplicates, beside its representative."""
SMALLEST_PX: Final = 64
LARGEST_PX: Final = 1024


@dataclass(slots=True)
class Session:
    """Who asks: a client with their key, and the handles that they were given."""

    client: AsyncClient
    readers: PictureReaders
    """Decode what is shown whole or in part, in a process of its own, within a budget of memory and time."""
    handles: Handles = field(default_factory=Handles)
    _taxonomy: Taxonomy | None = None
    _names: dict[str, str] = field(default_factory=dict)

    async def datasets(self) -> str:
        """A line for each dataset."""
        listed = await self.client.datasets.list(limit=MOST_DATASETS)
        if not listed:
            return "There is no dataset: nothing has been uploaded. This is everything."
        lines = [line_of_dataset(row) for row in listed]
        rest = f"; {MOST_DATASETS} shown, the newest" if listed.has_more else ". This is everything."
        return "\n".join([f"{listed.total} datasets{rest}", *lines])

    async def facets(self, asked: Asked, prefix: str, limit: int) -> str:
        """Tags that images carry, with how many do; of images with `asked.tags`, where there are any."""
        given = asked.arguments(self.handles, await self.taxonomy())
        tags = {name: given[name] for name in TAG_CATEGORIES if name in given}
        within: DatasetFilters = {"match": asked.match}
        if asked.folder:
            within["folder_path"] = asked.folder
        if asked.datasets:
            within["dataset_name"] = asked.datasets[0]
        counts = await self.named(self.client.search.tags(**tags, **within))
        lines = [f"{texts.count_of(counts.images, 'exact')} were counted; a number is how many of them carry the tag."]
        for category in TAG_CATEGORIES:
            rows = [row for row in getattr(counts, category) if row.label.startswith(prefix.strip().lower())]
            said = ", ".join(f"{row.label} {row.count}" for row in rows[:limit])
            more = f" (+{len(rows) - limit} more: ask with prefix or a larger limit)" if len(rows) > limit else ""
            lines.append(f"{category}: {said or 'none'}{more}")
        return "\n".join([*lines, *texts.notes_of(counts)])

    async def count(self, asked: Asked) -> str:
        """How many images fit."""
        found = await self.found(asked, limit=1, count_only=True)
        return "\n".join([f"{texts.count_of(found.total or 0, total_is(found))}.", *texts.notes_of(found.answer)])

    async def search(self, asked: Asked, *, limit: int, fields: Sequence[Field], max_tokens: int) -> str:
        """Rows as lines, as many as the budget allows; what is left comes with the cursor."""
        found = await self.found(asked, limit=limit)
        lines = await self.lines(asked, found, fields)
        fit = texts.fitting(lines, max_tokens)
        if fit < len(lines):
            found = await self.found(asked, limit=fit)  # for the cursor that stands behind the last row that fits
            lines = await self.lines(asked, found, fields)
        return self.said(asked, found, lines)

    async def contact_sheet(self, asked: Asked, *, cells: int, max_kb: int) -> tuple[bytes, str]:
        """A WebP of numbered thumbnails, and the same images as lines."""
        if cells not in pictures.LAYOUTS:
            raise wrong_value("cells", f"cells must be {', '.join(map(str, pictures.LAYOUTS))}, not {cells}.")
        found = await self.found(asked, limit=cells)
        lines = await self.lines(asked, found, ())
        turns = asyncio.Semaphore(AT_ONCE)
        thumbnails = await asyncio.gather(*(self.thumbnail(row, turns) for row in found))
        most = min(max_kb * 1000, pictures.MAX_BYTES)
        sheet = await asyncio.to_thread(pictures.contact_sheet, thumbnails, 1, cells, most)
        missing = sum(thumbnail is None for thumbnail in thumbnails)
        notes = [f"{missing} of them have no picture here: their cells are empty."] if missing else []
        return sheet, "\n".join([self.said(asked, found, lines), *notes])

    async def get_image(self, image: str, *, max_px: int, box: Mapping[str, Any] | None) -> tuple[bytes, str]:
        """A WebP of one image, or of a part of it, and what is known of it."""
        row = await self.client.images.get(self.handles.image_of(image))
        whole = (float(row.width or 1), float(row.height or 1))
        part = None if box is None else fractions_of(box, whole)
        side = max(SMALLEST_PX, min(max_px, LARGEST_PX))
        data = await self.client.images.download(row.id)
        shorter = side if part is None else round(side / min(part[2] - part[0], part[3] - part[1]))
        wanted = Wanted(short_side_px=min(shorter, int(min(whole))))
        made = await asyncio.to_thread(self.readers.read, data, wanted)
        assert made.picture is not None  # pixels were wanted
        small = await asyncio.to_thread(pictures.single, made.picture, part, side, pictures.MAX_BYTES)
        scores = ", ".join(f"{tag} {score:.2f}" for tag, score in list((row.tag_scores or {}).items())[:10])
        path = f"{row.folder_path.rstrip('/')}/{row.filename}"
        name = await self.dataset_name(row.dataset_id)
        return small, shown(
            f"{self.handles.give(row.id)} [{name}] {path} {row.width}x{row.height} {row.content_type} "
            f"{row.file_size:,} bytes, {row.state}, uploaded {row.created_at:%Y-%m-%d %H:%M} UTC. "
            f"{'Part of it is shown. ' if part else ''}Tags: {scores or 'none'}. Open: {row.image_url}"
        )

    async def near_duplicates(
        self, dataset: str, *, folder: str, against: str, threshold: float | None, max_tokens: int, cursor: str
    ) -> str:
        """Groups as lines, as many as the budget allows: the image to keep, and why, then the others."""
        near = self.client.datasets.near_duplicates

        async def page(limit: int) -> DuplicateGroups:
            return await near(
                dataset, folder_path=folder or None, against=against or None, threshold=threshold, limit=limit,
                members=MOST_MEMBERS, cursor=cursor or None, wait=False,
            )  # fmt: skip

        found = await self.named(page(MOST_GROUPS))
        lines = await self.group_lines(found)
        fit = texts.fitting(lines, max_tokens)
        if fit < len(lines):
            found = await page(fit)  # for the cursor that stands behind the last group that fits
            lines = await self.group_lines(found)
        return "\n".join([texts.head_of_groups(found, first=not cursor), *lines, *texts.notes_of_groups(found)])

    async def group_lines(self, groups: DuplicateGroups) -> list[str]:
        """A text of some lines for each group."""
        images = [image for group in groups for image in (group.representative, *group.others)]
        for image in images:
            await self.dataset_name(image.dataset_id)
        several = len({image.dataset_id for image in images}) > 1
        return [
            texts.group_of(number, group, self.handles.give, self._names.__getitem__ if several else None)
            for number, group in enumerate(groups, 1)
        ]

    async def upload(self, dataset: str, file: str | bytes, filename: str | None, folder: str) -> str:
        """Where the picture is now."""
        row = await self.client.images.upload(dataset, file, filename=filename, folder_path=folder)
        return shown(
            f"{self.handles.give(row.id)} {row.folder_path.rstrip('/')}/{row.filename} is in {dataset!r}, {row.state}: "
            "searches find it as soon as it is processed."
        )

    async def found(self, asked: Asked, **more: Any) -> SearchResults[Any]:
        taxonomy = await self.taxonomy() if asked.tags or asked.not_tags else None
        return await self.named(self.client.search.query(**asked.arguments(self.handles, taxonomy), **more))

    async def named(self, question: Awaitable[Answer]) -> Answer:
        """The answer; of a dataset that does not exist, the error names the nearest ones."""
        try:
            return await question
        except NotFoundError as error:
            if "dataset" not in error.message:
                raise
            listed = [row.name for row in await self.client.datasets.list(limit=MOST_DATASETS)]
            near = similar_names(error.message.partition("'")[2].partition("'")[0], listed, 3) or listed[:3]
            raise NotFoundError(f"{error.message} There are: {', '.join(near) or 'none'}.") from error

    async def lines(self, asked: Asked, found: Sequence[SearchRow], fields: Sequence[Field]) -> list[str]:
        shown_fields = list(fields or (ORDERED_FIELDS if asked.order_by else FIELDS))
        if len({row.dataset_id for row in found}) > 1 and "dataset" not in shown_fields:
            shown_fields.insert(0, "dataset")
        if "dataset" in shown_fields:
            for row in found:
                await self.dataset_name(row.dataset_id)
        return [
            texts.line_of(number, row, self.handles.give(row.image_id), shown_fields, lambda id_: self._names[id_])
            for number, row in enumerate(found, 1)
        ]

    def said(self, asked: Asked, found: SearchResults[Any], lines: Sequence[str]) -> str:
        head = texts.head_of(len(lines), found.total, total_is(found), found.next_cursor, first=not asked.cursor)
        return "\n".join([head, *lines, *texts.notes_of(found.answer)])

    async def thumbnail(self, row: SearchRow, turns: asyncio.Semaphore) -> bytes | None:
        """None for an image without a picture here."""
        async with turns:
            try:
                return await self.client.images.thumbnail(row.image_id)
            except (NoBytes, BadImage, NotFoundError):
                return None

    async def taxonomy(self) -> Taxonomy:
        if self._taxonomy is None:
            self._taxonomy = await self.client.tags.taxonomy()
        return self._taxonomy

    async def dataset_name(self, dataset_id: str) -> str:
        if dataset_id not in self._names:
            self._names[dataset_id] = (await self.client.datasets.get(dataset_id)).name
        return self._names[dataset_id]


def total_is(found: SearchResults[Any]) -> str | None:
    return found.answer.pagination.total_is


def line_of_dataset(row: Dataset) -> str:
    archived = f" (+{row.archived_image_count:,} archived)" if row.archived_image_count else ""
    about = f": {row.description[:200]}" if row.description else ""
    return shown(f"{row.name} {row.image_count:,} images{archived}{about}")


def fractions_of(box: Mapping[str, Any], whole: tuple[float, float]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of `{x, y, width, height, unit}` as fractions. Raises ValidationError outside of it."""
    (_, numbers), (_, unit) = box_query(dict(box))
    left, top, width, height = map(float, numbers.split(","))
    right, bottom = left + width, top + height
    if unit == "px":
        left, top, right, bottom = left / whole[0], top / whole[1], right / whole[0], bottom / whole[1]
    elif unit != "fraction":
        raise wrong_value("box", f"The unit of a box is 'px' or 'fraction', not {unit!r}.")
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        size = f"{whole[0]:.0f} x {whole[1]:.0f} pixels, upright"
        raise wrong_value("box", f"box must lie inside the picture ({size}); {dict(box)!r} does not.")
    return left, top, right, bottom
