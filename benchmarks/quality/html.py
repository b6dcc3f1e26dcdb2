"""The same pictures as a page for the browser, where tags can be searched for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.quality.page import MISSING, NOT_JUDGED, RIGHT, WRONG, Colour, Words

STYLE = """
body { font: 14px/1.35 sans-serif; margin: 1.5em; color: #1d2733 }
.figures { display: flex; flex-wrap: wrap; gap: 12px }
figure { margin: 0; width: 240px } figure img { max-width: 240px; display: block }
.row { display: flex; gap: 8px; margin-bottom: 12px } .row figure { width: 150px } .row img { max-width: 142px }
figcaption { overflow-wrap: anywhere } span { margin-right: .5em }
"""


@dataclass(frozen=True)
class Figure:
    """A thumbnail and what stands below it."""

    source: str
    """Relative to the page."""
    caption: str
    lines: Sequence[Sequence[Words]]
    frame: Colour | None = None


def index_page(
    title: str, pages: Mapping[str, Sequence[str]], tagged: Sequence[Figure], neighbours: Sequence[Sequence[Figure]]
) -> str:
    """One page that refers to nothing but the files beside it."""
    legend = " ".join(
        _span(Words(text, colour))
        for text, colour in (("right", RIGHT), ("wrong", WRONG), ("missing", MISSING), ("not judged", NOT_JUDGED))
    )
    links = " ".join(f'<a href="{name}">{name}</a>' for names in pages.values() for name in names)
    figures = "\n".join(map(_figure, tagged))
    rows = "\n".join(f'<div class="row">{"".join(map(_figure, row))}</div>' for row in neighbours)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>
<h1>{escape(title)}</h1><p>{legend}</p><p>As pages: {links}</p>
<h2>Tags</h2><div class="figures">
{figures}
</div><h2>Nearest</h2><p>Framed: related {_span(Words("green", RIGHT))} unrelated {_span(Words("red", WRONG))}</p>
{rows}
</html>
"""


def _figure(figure: Figure) -> str:
    frame = f' style="border: 4px solid {figure.frame}"' if figure.frame else ""
    lines = "<br>".join("".join(map(_span, line)) for line in figure.lines)
    image = f'<img src="{escape(figure.source)}" alt="{escape(figure.caption)}" loading="lazy"{frame}>'
    return f"<figure>{image}<figcaption>{escape(figure.caption)}<br>{lines}</figcaption></figure>"


def _span(words: Words) -> str:
    return f'<span style="color: {words.colour}">{escape(words.text)}</span>'
