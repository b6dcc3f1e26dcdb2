"""Prints a JSON line for each question, and draws contact sheets.

python -m benchmarks quality FOLDER                              the folder of labelled photographs, offline encoder
python -m benchmarks quality FOLDER --sheet OUT --encoder siglip2
python -m benchmarks quality FOLDER --only copies attributes     questions that take longer, on request
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import report
from benchmarks.quality.related import DEFINITIONS, WORDNET_FILE
from benchmarks.quality.run import ALL_QUESTIONS, DEFAULT_QUESTIONS, Run
from pictograph.errors import PictographError


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks quality", description="Is what Pictograph finds and tags any good?"
    )
    parser.add_argument("folder", type=Path, help="class_name/*.jpg, or files named n01531178_goldfinch.JPEG")
    parser.add_argument("--encoder", default="offline", help="offline, a model's name, or its folder")
    parser.add_argument("--k", type=int, nargs="+", default=[5, 10], help="how many of the nearest to look at")
    parser.add_argument("--sheet", type=Path, metavar="OUT", help="also draw contact sheets into this folder")
    parser.add_argument("--queries", type=int, default=20, help="pictures whose neighbours are drawn")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=ALL_QUESTIONS,
        default=DEFAULT_QUESTIONS,
        metavar="QUESTION",
        help=f"of {', '.join(ALL_QUESTIONS)}; default: {', '.join(DEFAULT_QUESTIONS)}",
    )
    parser.add_argument("--related", choices=("auto", *DEFINITIONS), default="auto", help="see related.py")
    parser.add_argument("--wordnet", type=Path, default=WORDNET_FILE, help="data.noun of WordNet 3.0")
    options = parser.parse_args(arguments)
    if min(options.k) < 1 or options.queries < 1:
        parser.error("--k and --queries take whole numbers from 1 on")
    return options


def main(arguments: Sequence[str]) -> int:
    """The exit status: 2 if the folder, the encoder or a file cannot be used."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    options = parsed(arguments)
    try:
        run = Run.start(options.folder, options.encoder, related_by=options.related, wordnet=options.wordnet)
        for name in options.only:
            report(name, **run.facts(), **run.answer(name, options.k))
        if options.sheet:
            from benchmarks.quality.sheets import draw_sheets  # noqa: PLC0415

            print(draw_sheets(run, options.sheet, options.queries), file=sys.stderr)
    except PictographError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
