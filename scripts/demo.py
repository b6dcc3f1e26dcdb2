"""`make demo`: the whole path on real photographs, as a new user would walk it.

    python scripts/demo.py [PHOTOS]

Starts a service of its own on an empty data folder and a free port, uploads the folder, waits until every image is
embedded and tagged, runs the two examples of the search page through the SDK, and stops the service.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from pictograph import Client, PictographError
from pictograph.cli.output import console, print_table, progress_bar
from pictograph.cli.search import labels, path_of
from pictograph.types import TagCategory
from pictograph.wire import Image

DATASET = "demo"
REFERENCES_SHOWN = 3
ROWS_SHOWN = 5


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    console.print(f"[green]✓[/] {what} [dim]{time.perf_counter() - started:.2f} s[/]", highlight=False)


def main(photos: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pictograph-demo-") as folder:
        with timed("service started: PostgreSQL + pgvector, HTTP API, worker with the offline (demo) encoder"):
            client = Client.embedded(Path(folder) / "data")
        with client:
            console.print(f"  seen at {client.base_url}/docs while this runs", highlight=False)
            upload(client, photos)
            show_similar(client)
            show_tagged(client)
        console.print(
            "[green]✓[/] service stopped, its data removed. For good: [bold]make serve[/], then "
            "[bold].venv/bin/pictograph upload DIR --dataset NAME[/]",
            soft_wrap=True,
        )


def upload(client: Client, photos: Path) -> None:
    with timed(f"photographs of {photos} uploaded"), progress_bar("Uploading") as bar:
        report = client.images.upload_from_directory(DATASET, photos, progress=lambda done, total, _: bar(done, total))
    with timed("every one embedded and tagged"), progress_bar("Embedding and tagging") as bar:
        counts = client.datasets.wait_until_processed(
            DATASET, progress=lambda now: bar(now.total - now.received, now.total)
        )
    console.print(f"  {counts.tagged} images tagged, {counts.failed} failed", highlight=False)
    if report.failures:
        print_table("Refused", ("file", "why"), ((failure.path, failure.reason) for failure in report.failures))


def show_similar(client: Client) -> None:
    """by_similarity, for the images whose nearest neighbours are the most alike."""
    console.print('\n[bold]client.search.by_similarity(image_id=..., threshold=0.6, limit=50, folder_path="/")[/]')
    for image in references(client):
        started = time.perf_counter()
        results = client.search.by_similarity(image_id=image.id, threshold=0.6, limit=50, folder_path="/")
        elapsed_ms = (time.perf_counter() - started) * 1000
        cells = ((f"{row.similarity:.3f}", path_of(row), labels(row, "objects")) for row in results[:5])
        print_table(
            f"{image.folder_path.rstrip('/')}/{image.filename}  {elapsed_ms:.1f} ms",
            ("cosine", "file", "objects"),
            cells,
        )


def references(client: Client) -> list[Image]:
    """The first image of each folder, as far as it has neighbours; one folder may hold everything."""
    chosen: dict[str, Image] = {}
    for image in client.images.iterate(DATASET):
        key = image.folder_path if image.folder_path != "/" else image.filename
        if key not in chosen and client.search.by_similarity(image.id, folder_path="/"):
            chosen[key] = image
        if len(chosen) == REFERENCES_SHOWN:
            break
    return list(chosen.values())


def show_tagged(client: Client) -> None:
    """by_tag: two objects OR'd, then a scene AND an attribute; labels that say something about this very folder."""
    images = list(client.images.iterate(DATASET))
    objects = telling_labels(images, "objects")
    scenes = telling_labels(images, "scenes")[:1]
    in_scene = [image for image in images if set(scenes) & set(image.image_auto_tags["scenes"])]
    attributes = telling_labels(in_scene or images, "attributes")[:1]
    if objects:
        show_by_tag(client, objects=objects[:2])
    if scenes or attributes:
        show_by_tag(client, scenes=scenes or None, attributes=attributes or None)


def telling_labels(images: list[Image], category: TagCategory) -> list[str]:
    """Labels of a category, the commonest first, without those that more than half of the images have."""
    given = Counter(label for image in images for label in image.image_auto_tags[category])
    return [label for label, count in given.most_common() if count <= len(images) / 2]


def show_by_tag(client: Client, **tags: list[str] | None) -> None:
    asked = ", ".join(f"{category}={labels}" for category, labels in tags.items() if labels)
    console.print(
        f"\n[bold]client.search.by_tag({asked.replace('[', chr(92) + '[')}, dataset_name={DATASET!r}, limit=100)[/]"
    )
    started = time.perf_counter()
    results = client.search.by_tag(**tags, dataset_name=DATASET, limit=100)  # type: ignore[arg-type]
    elapsed_ms = (time.perf_counter() - started) * 1000
    columns = ("objects", "scenes", "attributes")
    cells = [(path_of(row), *(labels(row, name) for name in columns)) for row in results[:ROWS_SHOWN]]
    print_table(f"{found(len(results))}  {elapsed_ms:.1f} ms", ("file", *columns), cells)


def found(count: int) -> str:
    return f"{count} images" if count <= ROWS_SHOWN else f"{count} images, the first {ROWS_SHOWN}"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "examples/photos"))
    except PictographError as error:
        Console(stderr=True).print(f"[bold red]The demo stopped:[/] {error}", soft_wrap=True)
        sys.exit(1)
