"""Two contact sheets for the eye: every picture with its tags, and some pictures with their nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.quality.classes import PhotoClass
from benchmarks.quality.html import Figure, index_page
from benchmarks.quality.metrics import nearest
from benchmarks.quality.page import (
    MISSING,
    NOT_JUDGED,
    RIGHT,
    WRONG,
    Cell,
    Colour,
    Grid,
    Words,
    draw_pages,
    thumbnail,
)
from benchmarks.quality.run import Run
from benchmarks.quality.tags import verdict
from pictograph.errors import ConfigurationError
from pictograph.tagging.assign import Tagged
from pictograph.types import DEFAULT_THRESHOLD, TAG_CATEGORIES

TAG_GRID = Grid(columns=5, rows=4, width_px=310, picture_px=205, text_lines=7)
NEIGHBOURS = 8
NEIGHBOUR_GRID = Grid(columns=1 + NEIGHBOURS, rows=7, width_px=172, picture_px=130, text_lines=3)
QUALITY = 85


def draw_sheets(run: Run, out: Path, queries: int) -> str:
    """Writes pages, thumbnails and index.html into `out`; a sentence that says what.

    Raises ConfigurationError if the folder cannot be written.
    """
    try:
        (out / "thumbnails").mkdir(parents=True, exist_ok=True)
        rows = list(query_rows(run, queries))
        pages = {
            "tags": draw_pages(list(tag_cells(run)), TAG_GRID),
            "neighbours": draw_pages([cell for row in rows for cell in neighbour_cells(run, row)], NEIGHBOUR_GRID),
        }
        names = {
            kind: [_saved(page, out / f"{kind}-{n:02}.jpg") for n, page in enumerate(drawn, 1)]
            for kind, drawn in pages.items()
        }
        for row, photo in enumerate(run.seen.photos):
            _saved(thumbnail(photo.path, 240, 240), out / thumbnail_name(row))
        figures = [tag_figure(run, row) for row in range(len(run.seen.photos))]
        neighbours = [[neighbour_figure(run, *place) for place in row] for row in rows]
        title = f"{run.encoder.spec.name} {run.encoder.spec.revision}, {len(run.seen.photos)} photographs"
        (out / "index.html").write_text(index_page(title, names, figures, neighbours), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The contact sheets cannot be written to {out}: {error}. Choose another.") from error
    return f"{sum(map(len, names.values()))} pages and {out / 'index.html'}"


def _saved(image: Image.Image, path: Path) -> str:
    image.save(path, "JPEG", quality=QUALITY)
    return path.name


def thumbnail_name(row: int) -> str:
    """Relative to index.html."""
    return f"thumbnails/{row:05}.jpg"


def tag_cells(run: Run) -> Iterator[Cell]:
    """One for each photograph."""
    for row, photo in enumerate(run.seen.photos):
        picture = thumbnail(photo.path, TAG_GRID.width_px - 8, TAG_GRID.picture_px)
        yield Cell(picture, [[Words(f"{row}: {caption(run, row)}")], *tag_lines(run, row)])


def tag_figure(run: Run, row: int) -> Figure:
    """The same for index.html."""
    return Figure(thumbnail_name(row), f"{row}: {caption(run, row)}", tag_lines(run, row))


def caption(run: Run, row: int) -> str:
    """The class as a word, and where folders hold many, the file's name."""
    entry, photo = run.classes[row], run.seen.photos[row]
    word = entry.words or entry.name
    return word if photo.path.stem.startswith(entry.name) else f"{word} / {photo.path.stem}"


def tag_lines(run: Run, row: int) -> list[list[Words]]:
    """A line for each category that has tags; the object tags judged, the missing ones behind them."""
    if run.seen.tagged is None:
        return []
    tagged = run.seen.tagged[row]
    lines = [_judged_objects(tagged, run.classes[row])]
    lines += [
        [_scored(tagged, category, name, NOT_JUDGED) for name in tagged.tags[category]]
        for category in TAG_CATEGORIES[1:]
    ]
    return [line for line in lines if line]


def _judged_objects(tagged: Tagged, entry: PhotoClass) -> list[Words]:
    found = verdict(tagged, entry)

    def colour(name: str) -> Colour:
        key = f"objects/{name}"
        return RIGHT if found.right[key] else WRONG if found.wrong[key] else NOT_JUDGED

    given = [_scored(tagged, "objects", name, colour(name)) for name in tagged.tags["objects"]]
    missing = [key.removeprefix("objects/") for key in sorted(found.missed)]
    return given + [_scored(tagged, "objects", name, MISSING) for name in missing]


def _scored(tagged: Tagged, category: str, name: str, colour: Colour) -> Words:
    return Words(f"{name} {tagged.scores.get(f'{category}/{name}', 0):.2f}".replace(" 0.", " ."), colour)


def query_rows(run: Run, queries: int) -> Iterator[list[tuple[int, int, float]]]:
    """(query, picture, similarity) of evenly spread queries, each with itself and then its nearest."""
    vectors = run.seen.vectors
    order = nearest(vectors)[:, :NEIGHBOURS]
    chosen = np.unique(np.linspace(0, len(vectors) - 1, min(queries, len(vectors))).round().astype(int))
    for query in chosen.tolist():
        yield [(query, other, float(vectors[query] @ vectors[other])) for other in (query, *order[query].tolist())]


def neighbour_cells(run: Run, row: Sequence[tuple[int, int, float]]) -> Iterator[Cell]:
    """The query, then its nearest; framed in green if related, in red if certainly not."""
    for query, other, cosine in row:
        size = (NEIGHBOUR_GRID.width_px - 8, NEIGHBOUR_GRID.picture_px)
        words = Words(caption(run, other))
        frame = None if query == other else relation_colour(run, query, other)
        yield Cell(thumbnail(run.seen.photos[other].path, *size), [[_similarity(query, other, cosine)], [words]], frame)
    empty = Image.new("RGB", (1, 1), "white")
    yield from [Cell(empty, [])] * (NEIGHBOUR_GRID.columns - len(row))


def neighbour_figure(run: Run, query: int, other: int, cosine: float) -> Figure:
    """The same for index.html."""
    lines = [[_similarity(query, other, cosine)]]
    frame = None if query == other else relation_colour(run, query, other)
    return Figure(thumbnail_name(other), caption(run, other), lines, frame)


def relation_colour(run: Run, one: int, other: int) -> Colour:
    """Green, red, or grey between."""
    if run.relation.related[one, other]:
        return RIGHT
    return WRONG if run.relation.unrelated[one, other] else MISSING


def _similarity(query: int, other: int, cosine: float) -> Words:
    if query == other:
        return Words("like this:")
    return Words(f"{cosine:.3f}", RIGHT if cosine >= DEFAULT_THRESHOLD else MISSING)
