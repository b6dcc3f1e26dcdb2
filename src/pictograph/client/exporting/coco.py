"""COCO: https://cocodataset.org/#format-data, with the pictures in `data/` and the rest in `labels.json`.

The library knows tags of whole images, no boxes yet: every label of the taxonomy is a category, each image names those
that it carries in `category_ids`, and `annotations`, which are of boxes, is empty.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pictograph.client.exporting.files import Files
from pictograph.client.exporting.ledger import MANIFEST, REPORT, Ledger
from pictograph.client.exporting.options import Asked, ExportOptions
from pictograph.client.exporting.output import Arrived, Output, WantedFile
from pictograph.client.exporting.page import Page
from pictograph.client.exporting.text import path_of, record_of
from pictograph.client.results import ExportReport
from pictograph.placing import Placed
from pictograph.version import __version__
from pictograph.wire.export import ExportedImage

LABELS: Final = "labels.json"
DATA: Final = "data"


class Labels:
    """Writes one JSON file, image by image, which gets its name when it is whole."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._categories = {key: number for number, key in enumerate(asked.categories, 1)}
        self._images = 0
        self._file = self._part.open("w", encoding="utf-8", newline="\n")
        info = {
            "description": f"Images of the library at {asked.base_url}",
            "version": __version__,
            "date_created": datetime.now(UTC).isoformat(timespec="seconds"),
            "query": asked.question,
        }
        self._file.write(f'{{"info": {json.dumps(info, ensure_ascii=False)},\n"licenses": [],\n"images": [')

    def add(self, row: ExportedImage, file_name: str) -> None:
        """One image. file_name: relative to the folder of the pictures."""
        self._images += 1
        record = record_of(row)
        entry = {
            "id": self._images,
            "file_name": file_name,
            "width": row.width,
            "height": row.height,
            "date_captured": record["created_at"],
            "category_ids": [
                self._category(category, label) for category, labels in row.tags.items() for label in labels
            ],
            **{name: value for name, value in record.items() if name not in ("width", "height")},
        }
        self._file.write(("," if self._images > 1 else "") + "\n" + json.dumps(entry, ensure_ascii=False))

    def _category(self, category: str, label: str) -> int:
        return self._categories.setdefault((category, label), len(self._categories) + 1)

    def finish(self) -> None:
        """Writes the categories, closes the file and gives it its name."""
        categories = [
            {"id": number, "name": label, "supercategory": category}
            for (category, label), number in self._categories.items()
        ]
        self._file.write('],\n"annotations": [],\n"categories": ' + json.dumps(categories, ensure_ascii=False) + "}\n")
        self._file.close()
        self._part.replace(self._path)

    def give_up(self) -> None:
        """Removes what was written."""
        self._file.close()
        self._part.unlink(missing_ok=True)


class CocoFiles(Files):
    """A folder with pictures and labels."""

    kind = "coco"
    own_names: tuple[str, ...] = (MANIFEST, REPORT, LABELS)

    def __init__(self, root: Path, ledger: Ledger, options: ExportOptions, asked: Asked) -> None:
        super().__init__(root, ledger, options, below=DATA)
        self._labels = Labels(root / LABELS, asked)

    def note(self, row: ExportedImage, placed: Placed, arrived: Arrived | None, /) -> dict[str, Any]:
        """Writes its entry, too."""
        self._labels.add(row, placed.path.removeprefix(f"{DATA}/"))
        return super().note(row, placed, arrived)

    def finish(self) -> list[Path]:
        """Closes the labels."""
        self._labels.finish()
        return []

    def give_up(self) -> None:
        """Removes the labels: the next run writes them whole."""
        self._labels.give_up()


class CocoLabels(Output):
    """The labels alone, for pictures that are elsewhere: `file_name` is `dataset/folder/filename`."""

    def __init__(self, path: Path, asked: Asked, report: ExportReport) -> None:
        self._labels, self._report = Labels(path, asked), report

    def begin(self, page: Page) -> Sequence[WantedFile]:
        """Writes the rows; no file is wanted."""
        for row in page.rows:
            self._labels.add(row, path_of(row))
        self._report.rows += len(page.rows)
        return ()

    def finish(self) -> None:
        """Gives the file its name."""
        self._labels.finish()

    def give_up(self) -> None:
        """Removes what was written."""
        self._labels.give_up()
