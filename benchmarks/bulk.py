"""How fast do vectors come in and go out through the service's door, and how fast is a dataset of them deleted?

A real service, asked through the SDK: files of rows with vectors, names, 4 tags and facts are imported, imported again
(every row is there then, as after an interruption), exported and deleted. Beside the clock the processor time of all
our processes (client, service, PostgreSQL): on a machine that does other work too, the clock says little.

python -m benchmarks.bulk [--images 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import family_cpu_s, median, report
from benchmarks.uploads import served
from pictograph.client import Client
from pictograph.encode.noop import SPEC
from pictograph.services import running_database
from pictograph.settings import Settings
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import DIMENSION, TAG_CATEGORIES
from pictograph.wire.vectors import FINGERPRINT

CHUNK: Final = 10_000
FOLDERS: Final = 100
TAGS: Final = (2, 1, 1)
"""Of each category, on each image."""


def random_rows(first: int, count: int, images: int, random: np.random.Generator) -> Any:
    """A pyarrow Table of rows first, first + 1, ... of `images`, folder after folder."""
    vectors = random.standard_normal((count, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    taxonomy = load_taxonomy()
    tags: dict[str, Any] = {
        category: [[str(label) for label in row] for row in random.choice(taxonomy.names(category), (count, number))]
        for category, number in zip(TAG_CATEGORIES, TAGS, strict=True)
    }
    tags["objects"] = [list(dict.fromkeys(row)) for row in tags["objects"]]
    numbers = range(first, first + count)
    return pa.table(
        {
            "filename": [f"{number:08}.jpg" for number in numbers],
            "folder_path": [f"/{number * FOLDERS // images:03}" for number in numbers],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float16).ravel()), DIMENSION),
            **tags,
            "width": np.full(count, 1024, np.int32),
            "height": np.full(count, 768, np.int32),
            "file_size": np.full(count, 200_000),
        }
    ).replace_schema_metadata({FINGERPRINT: f"{SPEC.name}@{SPEC.revision}".encode()})


def write_files(folder: Path, images: int, seed: int) -> dict[str, Path]:
    """The same rows as Parquet and as Arrow."""
    random = np.random.default_rng(seed)
    files = {"parquet": folder / "rows.parquet", "arrow": folder / "rows.arrow"}
    tables = (random_rows(first, min(CHUNK, images - first), images, random) for first in range(0, images, CHUNK))
    first = next(tables)
    with (
        pq.ParquetWriter(files["parquet"], first.schema, use_dictionary=["folder_path"]) as parquet,
        pa.ipc.new_file(str(files["arrow"]), first.schema) as arrow,
    ):
        for table in (first, *tables):
            parquet.write_table(table)
            arrow.write_table(table)
    return files


def timed(images: int, work: Callable[[], object]) -> tuple[float, float, float]:
    """Rows a second; microseconds of processor time for a row, of all our processes and of this one."""
    all_before, own_before, started = family_cpu_s(), time.process_time(), time.perf_counter()
    work()
    took, own = time.perf_counter() - started, time.process_time() - own_before
    return images / took, (family_cpu_s() - all_before) * 1e6 / images, own * 1e6 / images


def run(client: Client, folder: Path, images: int, rounds: int) -> dict[str, dict[str, float]]:
    """Every way in turn, `rounds` times, each with rows of its own."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for turn in range(rounds):
        files = write_files(folder, images, turn)
        for kind, file in files.items():
            name = f"{kind} {turn}"
            ways: dict[str, Callable[[], object]] = {
                f"import {kind}": lambda name=name, file=file: client.datasets.import_vectors(name, file),  # type: ignore[misc]
                "import again": lambda name=name, file=file: client.datasets.import_vectors(name, file),  # type: ignore[misc]
                f"export {kind}": lambda name=name, kind=kind: client.datasets.export_vectors(  # type: ignore[misc]
                    name, folder / f"out.{kind}"
                ),
                "delete": lambda name=name: client.datasets.delete(name),  # type: ignore[misc]
            }
            for way, work in ways.items():
                found.setdefault(way, []).append(timed(images, work))
    return {
        way: {
            "rows_per_s": round(median([it[0] for it in rates])),
            "cpu_us_per_row": round(median([it[1] for it in rates])),
            "of_these_client_us": round(median([it[2] for it in rates])),
        }
        for way, rates in found.items()
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks bulk", description="Vectors in and out, and deletion.")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PICTOGRAPH_HOME"] = f"{folder}/home"
        settings = Settings.load({"data_dir": Path(folder) / "data", "encoder": SPEC.name, "workers": 1}, {})
        with running_database(settings) as conninfo, served(settings, conninfo) as client:
            ways = run(client, Path(folder), options.images, options.rounds)
    report("vectors in and out through HTTP", images=options.images, rounds=options.rounds, ways=ways)


if __name__ == "__main__":
    main(sys.argv[1:])
