"""The parts of the contact sheets that need no encoder."""

from __future__ import annotations

from benchmarks.quality.html import Figure, index_page
from benchmarks.quality.page import WRONG, Cell, Grid, Words, broken, draw_pages, font
from PIL import Image

GRID = Grid(columns=2, rows=2, width_px=100, picture_px=40, text_lines=2)


def cell(*lines: list[Words], frame: str | None = None) -> Cell:
    return Cell(Image.new("RGB", (60, 40), "black"), lines, frame)


def test_lines_break_between_tags_and_never_run_over_the_cell() -> None:
    lines = broken([Words("animal .90"), Words("reptile .80"), Words("x" * 200)], 100)
    assert [[words.text for words in line] for line in lines][:2] == [["animal .90"], ["reptile .80"]]
    assert lines[2][0].text.endswith("…")
    assert all(font().getlength(words.text) <= 100 for line in lines for words in line)


def test_cells_fill_pages_and_the_last_page_is_short() -> None:
    pages = draw_pages([cell()] * 5, GRID)
    assert [page.size for page in pages] == [(200, 2 * GRID.height_px), (200, GRID.height_px)]


def test_a_wrong_tag_is_drawn_in_red_and_a_frame_in_its_colour() -> None:
    red = (0xD0, 0x10, 0x20)
    plain, tagged, framed = (
        draw_pages([item], GRID)[0] for item in (cell([Words("dog")]), cell([Words("dog", WRONG)]), cell(frame=WRONG))
    )
    colours = [{colour for _, colour in page.getcolors(100_000)} for page in (plain, tagged, framed)]
    assert [red in found for found in colours] == [False, True, True]


def test_the_page_for_the_browser_escapes_names_and_points_beside_itself() -> None:
    page = index_page("<title>", {"tags": ["tags-01.jpg"]}, [Figure("thumbnails/0.jpg", "<b>", [[Words("a & b")]])], [])
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "a &amp; b" in page
    assert 'href="tags-01.jpg"' in page
    assert 'src="thumbnails/0.jpg"' in page
    assert "http" not in page
