"""A zip that the service makes while it is read."""

from __future__ import annotations

import json
import zipfile
from typing import Any, Final

from pictograph.client.exporting.job import require_free, require_parent
from pictograph.client.exporting.options import ExportOptions
from pictograph.client.results import MOST_EXAMPLES, ExportReport, SkippedImage
from pictograph.errors import ServerError

REPORT: Final = "export.json"


class ZipFile:
    """Takes the bytes as they come; the file gets its name when they are a whole zip."""

    def __init__(self, options: ExportOptions, report: ExportReport) -> None:
        """Raises ConflictError if something of somebody else's is where the zip would be."""
        path = report.path
        require_parent(path)
        require_free(path, options)
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._report = report
        self._file = self._part.open("wb")

    def begin_again(self) -> None:
        """From the first byte: a zip that broke off cannot be gone on with."""
        self._file.seek(0)
        self._file.truncate()

    def write(self, data: bytes) -> None:
        """Appends."""
        self._file.write(data)

    def finish(self) -> None:
        """Reads what the service says of it, and gives it its name. Raises ServerError for what is no whole zip."""
        self._file.close()
        try:
            with zipfile.ZipFile(self._part) as zipped:
                told: dict[str, Any] = json.loads(zipped.read(REPORT))
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise ServerError(f"The zip of the service is not whole: {error}. Ask for it again.") from error
        for name in ("rows", "total", "left_out", "changed", "vanished", "renamed", "skipped", "complete", "cut_off"):
            setattr(self._report, name, told[name])
        self._report.examples = [SkippedImage(**it) for it in told["examples"][:MOST_EXAMPLES]]
        self._report.downloaded = self._report.rows
        self._part.replace(self._path)

    def give_up(self) -> None:
        """Removes what was written."""
        self._file.close()
        self._part.unlink(missing_ok=True)
