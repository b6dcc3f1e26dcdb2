"""Pages of thumbnails with text below them. Pillow alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from pictograph.upload.decode import decode_picture
from pictograph.upload.limits import PictureLimits

Colour: TypeAlias = str
INK: Final[Colour] = "#1d2733"
RIGHT: Final[Colour] = "#127a3a"
WRONG: Final[Colour] = "#d01020"
MISSING: Final[Colour] = "#9aa3ad"
NOT_JUDGED: Final[Colour] = "#2f5fa8"
PAPER: Final[Colour] = "#ffffff"
TEXT_PX = 14
LINE_PX = 18
MARGIN_PX = 8


@dataclass(frozen=True)
class Words:
    """A run of text in one colour; runs follow each other and break between themselves."""

    text: str
    colour: Colour = INK


@dataclass(frozen=True)
class Cell:
    """A thumbnail and the lines below it."""

    thumbnail: Image.Image
    lines: Sequence[Sequence[Words]]
    """Each begins on a line of its own, and is broken where it is too long."""
    frame: Colour | None = None


@dataclass(frozen=True)
class Grid:
    """How a page is laid out, in pixels."""

    columns: int
    rows: int
    width_px: int
    """Of a cell."""
    picture_px: int
    """Height of the thumbnail's place."""
    text_lines: int
    """What is longer is cut, and ends in an ellipsis."""

    @property
    def cells(self) -> int:
        """On one page."""
        return self.columns * self.rows

    @property
    def height_px(self) -> int:
        """Of a cell."""
        return self.picture_px + self.text_lines * LINE_PX + 2 * MARGIN_PX


@cache
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one that comes with Pillow."""
    return ImageFont.load_default(TEXT_PX)


def thumbnail(path: Path, width_px: int, height_px: int) -> Image.Image:
    """A file's picture, as large as fits."""
    picture = decode_picture(path.read_bytes(), at_least_px=max(width_px, height_px), limits=PictureLimits())
    image = Image.fromarray(picture.pixels)
    image.thumbnail((width_px, height_px), Image.Resampling.LANCZOS)
    return image


def draw_pages(cells: Sequence[Cell], grid: Grid) -> list[Image.Image]:
    """As many pages as it takes."""
    return [draw_page(cells[start : start + grid.cells], grid) for start in range(0, len(cells), grid.cells)]


def draw_page(cells: Sequence[Cell], grid: Grid) -> Image.Image:
    """At most `grid.cells` of them; the last page is no longer than it needs to be."""
    rows = -(-len(cells) // grid.columns)
    page = Image.new("RGB", (grid.columns * grid.width_px, rows * grid.height_px), PAPER)
    draw = ImageDraw.Draw(page)
    for number, cell in enumerate(cells):
        row, column = divmod(number, grid.columns)
        _draw_cell(page, draw, cell, grid, (column * grid.width_px, row * grid.height_px))
    return page


def _draw_cell(page: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, grid: Grid, at: tuple[int, int]) -> None:
    left, top = at[0] + MARGIN_PX // 2, at[1] + MARGIN_PX // 2
    page.paste(cell.thumbnail, (left, top))
    if cell.frame:
        right, bottom = left + cell.thumbnail.width - 1, top + cell.thumbnail.height - 1
        draw.rectangle((left, top, right, bottom), outline=cell.frame, width=4)
    lines = [line for words in cell.lines for line in broken(words, grid.width_px - MARGIN_PX)]
    if len(lines) > grid.text_lines:
        lines = [*lines[: grid.text_lines - 1], [Words("…")]]
    for number, line in enumerate(lines):
        _draw_line(draw, line, (left, at[1] + grid.picture_px + MARGIN_PX + number * LINE_PX))


def _draw_line(draw: ImageDraw.ImageDraw, line: Sequence[Words], at: tuple[int, int]) -> None:
    x = float(at[0])
    for words in line:
        draw.text((x, at[1]), words.text, fill=words.colour, font=font())
        x += font().getlength(words.text + "  ")


def broken(line: Sequence[Words], width_px: int) -> list[list[Words]]:
    """The line as lines that fit, broken between runs; a run that is too long alone is cut."""
    lines: list[list[Words]] = [[]]
    used = 0.0
    for words in line:
        fitted = _cut(words, width_px)
        width = font().getlength(fitted.text + "  ")
        if lines[-1] and used + width > width_px:
            lines.append([])
            used = 0.0
        lines[-1].append(fitted)
        used += width
    return lines


def _cut(words: Words, width_px: int) -> Words:
    text = words.text
    while text and font().getlength(text) > width_px:
        text = text[:-2] + "…" if len(text) > 2 else ""
    return Words(text, words.colour)
