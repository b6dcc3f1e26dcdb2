"""WebDataset: tar files, in each a picture and a JSON record of the same key for every image.

https://github.com/webdataset/webdataset: samples are the files that share what stands before the first dot.
"""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pictograph.client.exporting.files import There
from pictograph.client.exporting.ledger import MANIFEST, REPORT, Kept, Ledger
from pictograph.client.exporting.options import ExportOptions
from pictograph.client.exporting.output import Arrived, WantedFile
from pictograph.client.exporting.text import record_of
from pictograph.errors import ConflictError
from pictograph.placing import Placed
from pictograph.wire.export import ExportedImage

SUFFIXES: Final = {"image/jpeg": "jpg", "image/tiff": "tif", "image/svg+xml": "svg"}


class Shards:
    """The image's id is its key: it is unique, and no name can put a dot or a slash into it."""

    kind = "webdataset"
    own_names: tuple[str, ...] = (MANIFEST, REPORT)

    def __init__(self, root: Path, ledger: Ledger, options: ExportOptions) -> None:
        self._root, self._ledger, self._options = root, ledger, options
        self._tar: tarfile.TarFile | None = None
        self._number = ledger.forget_shards_but(lambda number: (root / shard_name(number)).is_file())
        """Of the shard that is written, or is next."""
        self._images = self._bytes = 0

    def place(self, row: ExportedImage) -> Placed:
        """Its key with a suffix, in whatever shard."""
        return Placed(f"{row.image_id}.{suffix_of(row.content_type)}", renamed=False)

    def there(self, row: ExportedImage, _placed: Placed, kept: Kept | None, /) -> There:
        """Whether a whole shard has these bytes."""
        return "there" if kept and kept.shard is not None and kept.sha256 == row.sha256 else "wanted"

    def put(self, wanted: WantedFile) -> Arrived | None:
        """Reads the library's own file."""
        return Arrived("copied", wanted.source.read_bytes()) if wanted.source else None

    def take(self, _wanted: WantedFile, data: bytes, /) -> Arrived:
        """Keeps the bytes until they are noted."""
        return Arrived("downloaded", data)

    def note(self, row: ExportedImage, placed: Placed, arrived: Arrived | None, /) -> dict[str, Any]:
        """Writes them into the shard; says in which one they are."""
        if arrived is None or arrived.data is None:
            kept = self._ledger.of(row.image_id)
            return {"shard": kept.shard if kept else None}
        if self._images >= self._options.shard_images or self._bytes >= self._options.shard_bytes:
            self._close()
        if self._tar is None:
            self._tar = self._opened()
        record = json.dumps(record_of(row), ensure_ascii=False).encode()
        for name, data in ((placed.path, arrived.data), (f"{row.image_id}.json", record)):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), int(row.created_at.timestamp())
            self._tar.addfile(member, BytesIO(data))
            self._bytes += len(data)
        self._images += 1
        return {"shard": self._number}

    def _opened(self) -> tarfile.TarFile:
        path = self._root / shard_name(self._number)
        if path.exists() and not self._options.overwrite:
            raise ConflictError(f"{path} is there, and is not of this export. Name another folder, or --overwrite.")
        return tarfile.open(path.with_name(path.name + ".part"), "w", format=tarfile.PAX_FORMAT)

    def _close(self) -> None:
        """Gives the shard its name, after the books say what is in it: a shard without its name is written anew."""
        if self._tar is None:
            return
        self._tar.close()
        self._ledger.commit()
        path = self._root / shard_name(self._number)
        path.with_name(path.name + ".part").replace(path)
        self._tar = None
        self._number += 1
        self._images = self._bytes = 0

    def commit(self) -> None:
        """A shard goes on over many pages."""

    def finish(self) -> list[Path]:
        """Closes the last shard; all of them."""
        self._close()
        return [self._root / shard_name(number) for number in range(self._number)]

    def give_up(self) -> None:
        """Closes the shard as it is: what is in it need not come again."""
        self._close()


def shard_name(number: int) -> str:
    """`shard-000042.tar`."""
    return f"shard-{number:06d}.tar"


def suffix_of(content_type: str) -> str:
    """`jpg`, `png`."""
    return SUFFIXES.get(content_type, content_type.rpartition("/")[2])
