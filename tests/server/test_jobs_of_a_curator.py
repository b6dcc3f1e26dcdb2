"""The everyday jobs of somebody who curates a dataset, one test each: real photographs, the offline encoder."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter, ImageOps

from pictograph import Client, Example
from support.databases import fresh_database
from support.services import running_service

pytestmark = pytest.mark.long  # a worker that reads sixteen photographs
PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
TRAIN = (
    "animals/cat-kitten-ginger", "animals/cat-kitten-yarn", "animals/bird-macaw", "city/castle-chambord",
    "city/castle-chenonceau", "city/castle-neuschwanstein", "city/windmill-mykonos", "city/windmill-rhodes",
    "things/scissors-orange", "things/scissors-on-wood", "nature/sunset-over-hills",
)  # fmt: skip
TEST = ("animals/giraffe-portrait", "food/coffee-cup", "flowers/dahlia")
"""Beside these, it has what leaked from `train`: one photograph smaller and saved again, another one mirrored."""


def photo(name: str) -> Image.Image:
    return Image.open(PHOTOS / f"{name}.jpg").convert("RGB")


def saved(image: Image.Image, *, taken: str | None = None, camera: str | None = None, quality: int = 70) -> bytes:
    """A JPEG; taken: as EXIF has it, `2026:10:31 18:20:11`."""
    exif, file = Image.Exif(), BytesIO()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    if camera:
        exif[0x0110] = camera
    image.save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


@pytest.fixture(scope="module")
def curator(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The client of somebody whose library has the datasets `train` and `test`."""
    folder = tmp_path_factory.mktemp("curator")
    options = {"encoder": "offline", "workers": 1}
    with fresh_database(postgres, template) as url, running_service(url, folder, **options) as service:
        client = service.client()
        for dataset in ("train", "test"):
            client.datasets.create(dataset)
        for number, name in enumerate(TRAIN):
            data = saved(
                photo(name), taken=f"2026:{number + 1:02}:15 12:00:00" if number < 11 else None, camera="Box 1"
            )
            folder_path, _, filename = name.rpartition("/")
            client.images.upload("train", data, folder_path=f"/{folder_path}", filename=f"{filename}.jpg")
        for name in TEST:
            client.images.upload("test", saved(photo(name)), filename=f"{name.rpartition('/')[2]}.jpg")
        client.images.upload("test", saved(halved(photo("things/scissors-orange"))), filename="smaller.jpg")
        blurred = photo("food/citrus-fruits").filter(ImageFilter.GaussianBlur(6))
        client.images.upload("test", saved(blurred), filename="blurred.jpg")
        client.images.upload("test", saved(ImageOps.mirror(photo("city/castle-chambord"))), filename="mirrored.jpg")
        for dataset in ("train", "test"):
            client.datasets.wait_until_processed(dataset, timeout=100)
        yield client


def image_id(client: Client, name: str, dataset: str = "train") -> str:
    [image] = client.images.list(dataset, filename=f"{name}.jpg")
    return image.id


def names(rows: object) -> list[str]:
    return [row.filename.removesuffix(".jpg") for row in rows]  # type: ignore[attr-defined]


def test_a_picture_on_disk_is_the_question(curator: Client, tmp_path: Path) -> None:
    file = tmp_path / "from-a-phone.webp"
    halved(photo("animals/bird-macaw")).save(file)
    rows = curator.search.by_image(file, dataset_name="train", threshold=0, limit=3)
    assert names(rows)[0] == "bird-macaw"
    assert rows[0].similarity > 0.9
    assert curator.datasets.get("train").image_count == len(TRAIN)  # the picture was not stored


def test_a_part_of_a_picture_is_the_question(curator: Client) -> None:
    castle, kitten = photo("city/castle-neuschwanstein"), photo("animals/cat-kitten-yarn").resize((300, 300))
    both = Image.new("RGB", (castle.width + 300, castle.height))
    both.paste(castle, (0, 0))
    both.paste(kitten, (castle.width, 0))
    right = {"x": castle.width, "y": 0, "width": 300, "height": 300}
    rows = curator.search.by_image(both, box=right, dataset_name="train", threshold=0, limit=1)
    assert names(rows) == ["cat-kitten-yarn"]


def test_what_was_found_is_looked_at_in_a_notebook(curator: Client) -> None:
    rows = curator.search.by_similarity(image_id(curator, "castle-chambord"), folder_path="/", threshold=0, limit=5)
    shown = rows._repr_html_()
    assert shown is not None
    assert shown.count("data:image/jpeg;base64,") == 5
    assert names(rows)[0] in shown


def test_what_was_found_is_kept_by_name(curator: Client) -> None:
    rows = curator.search.by_similarity(image_id(curator, "castle-chambord"), folder_path="/", threshold=0, limit=2)
    curator.collections.create("castles")
    assert curator.collections.add("castles", rows).changed == 2
    assert sorted(names(curator.collections.images("castles"))) == sorted(names(rows))


def test_what_was_found_is_exported_as_a_table_and_as_files(curator: Client, tmp_path: Path) -> None:
    wanted: Any = {"dataset_names": ["train"], "folder_path": "/city"}
    table = curator.search.export(tmp_path / "city.csv", **wanted)
    with (tmp_path / "city.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    cities = sorted(name.rpartition("/")[2] for name in TRAIN if name.startswith("city/"))
    assert (table.rows, table.success) == (len(cities), True)
    assert sorted(row["filename"].removesuffix(".jpg") for row in rows) == cities
    files = curator.search.export(tmp_path / "city", format="folder", **wanted)
    assert files.success
    written = {path.stem: path for path in (tmp_path / "city").rglob("*.jpg")}
    assert sorted(written) == cities
    original = curator.images.download(image_id(curator, "castle-chambord"))
    assert written["castle-chambord"].read_bytes() == original


def lead(rows: Any, name: str) -> float:
    """How much better an image fits than the others that are no windmills."""
    scores = dict(zip(names(rows), [row.score for row in rows], strict=True))
    others = [score for other, score in scores.items() if not other.startswith("windmill")]
    return float(scores[name] - sum(others) / len(others))


def test_like_these_but_not_like_that_one(curator: Client) -> None:
    castles = [image_id(curator, f"castle-{name}") for name in ("chambord", "chenonceau", "neuschwanstein")]
    unlike = Example(image_id=image_id(curator, "windmill-mykonos"), negative=True)
    these = curator.search.query(examples=castles, dataset_names=["train"])
    not_that = curator.search.query(examples=[*castles, unlike], dataset_names=["train"])
    assert not {"castle-chambord", "windmill-mykonos"} & {*names(not_that)}  # examples are no answers
    assert {*names(these)[:2]} == {"windmill-mykonos", "windmill-rhodes"}  # walls below a blue sky, like a castle's
    assert lead(not_that, "windmill-rhodes") < 0.75 * lead(these, "windmill-rhodes")
    assert (these.total, not_that.total) == (len(TRAIN) - 3, len(TRAIN) - 4)


def test_leakage_between_train_and_test(curator: Client) -> None:
    leaked = {
        row.filename: image.filename
        for image in curator.images.iterate("train")
        for row in curator.search.query(examples=[image.id], dataset_names=["test"], threshold=0.9)
    }
    assert leaked == {"smaller.jpg": "scissors-orange.jpg", "mirrored.jpg": "castle-chambord.jpg"}


def test_near_duplicates_between_two_datasets_and_what_was_decided_of_them(curator: Client) -> None:
    def leaks() -> dict[str, str]:
        groups = curator.datasets.near_duplicates("test", against="train")
        assert (groups.state, groups.not_hashed, groups.not_embedded) == ("complete", 0, 0)
        return {other.filename: group.representative.filename for group in groups for other in group.others}

    assert leaks() == {"smaller.jpg": "scissors-orange.jpg", "mirrored.jpg": "castle-chambord.jpg"}
    pair = [image_id(curator, "mirrored", "test"), image_id(curator, "castle-chambord")]
    curator.datasets.decide_duplicates(pair, "not_duplicates")
    assert leaks() == {"smaller.jpg": "scissors-orange.jpg"}
    curator.datasets.decide_duplicates(pair, "not_duplicates", take_back=True)
    assert len(leaks()) == 2


def test_words_for_which_nothing_is_there_are_told_from_words_that_fit(curator: Client) -> None:
    fits = curator.search.by_text("a castle", dataset_name="train", threshold="auto")
    assert fits.relevance is not None
    assert not fits.relevance.nothing_fits
    assert names(fits)
    assert all(name.startswith("castle") for name in names(fits)[:2])
    nonsense = curator.search.by_text("flurbl gnarzt", dataset_name="train", threshold="auto")
    assert nonsense.relevance is not None
    assert (nonsense.relevance.nothing_fits, list(nonsense)) == (True, [])


def test_how_many_are_there_without_fetching_them(curator: Client) -> None:
    rows = curator.search.query(dataset_names=["train"], folder_path="/city", count_only=True)
    assert (list(rows), rows.total) == ([], 5)


def test_all_of_it_page_by_page_the_largest_first(curator: Client) -> None:
    pages, cursor = [], None
    while True:
        page = curator.search.query(dataset_names=["train", "test"], order_by="file_size", limit=4, cursor=cursor)
        pages += page
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len({row.image_id for row in pages}) == len(pages) == len(TRAIN) + len(TEST) + 3
    sizes = [row.order_value for row in pages]
    assert sizes == sorted(sizes, reverse=True)
    assert pages == list(curator.search.iterate_query(dataset_names=["train", "test"], order_by="file_size"))


def test_only_what_was_taken_in_spring(curator: Client) -> None:
    spring: Any = {"taken_from": "2026-03-01", "taken_before": "2026-06-01"}
    rows = curator.search.query(dataset_names=["train"], order_by="taken_at", descending=False, **spring)
    assert names(rows) == [name.rpartition("/")[2] for name in TRAIN[2:5]]
    before = curator.images.list("train", limit=1)[0].created_at
    assert len(curator.search.query(dataset_names=["train"], uploaded_before=before)) == len(TRAIN) - 1


def test_images_of_which_no_time_is_known_are_counted_not_forgotten(curator: Client) -> None:
    rows = curator.search.query(dataset_names=["train", "test"], taken_from="2026-01-01", order_by="taken_at")
    assert len(rows) == len(TRAIN)
    assert rows.undecided == len(TEST) + 3
    assert rows.undecided_waiting == 0  # they were looked at: they have no EXIF


def test_the_blurred_ones(curator: Client) -> None:
    rows = curator.search.query(dataset_names=["test"], order_by="sharpness", descending=False, limit=1)
    assert names(rows) == ["blurred"]
    sharp = curator.search.query(dataset_names=["test"], min_sharpness=rows[0].order_value + 0.01)
    assert "blurred" not in names(sharp)
    assert len(sharp) == len(TEST) + 2


def test_by_filename_size_camera_and_without_a_tag(curator: Client) -> None:
    search = curator.search
    assert sorted(names(search.query(filename="castle-*", camera="box*"))) == [
        "castle-chambord", "castle-chenonceau", "castle-neuschwanstein",
    ]  # fmt: skip
    small = halved(photo("things/scissors-orange")).width
    assert names(search.query(dataset_names=["test"], max_width=small)) == ["smaller"]
    label = search.tags(dataset_name="train").objects[0].label
    with_tag = names(search.query(dataset_names=["train"], objects=[label]))
    without = names(search.query(dataset_names=["train"], not_objects=[label]))
    assert with_tag
    assert without
    assert sorted(with_tag + without) == sorted(name.rpartition("/")[2] for name in TRAIN)


def test_the_examples_of_the_page_on_near_duplicates_run(curator: Client, capsys: pytest.CaptureFixture[str]) -> None:
    page = (PHOTOS.parents[1] / "docs" / "duplicates.md").read_text(encoding="utf-8")
    first, second, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"client": curator}
    exec(first.replace('"street"', '"train"'), names)
    assert capsys.readouterr().out.startswith("complete ")
    exec(second.partition("\n")[0], names)
    assert [group.representative.filename for group in names["leaks"]] == ["castle-chambord.jpg", "scissors-orange.jpg"]


def test_the_examples_of_the_docs_run(curator: Client, capsys: pytest.CaptureFixture[str]) -> None:
    page = (PHOTOS.parents[1] / "docs" / "client.md").read_text(encoding="utf-8")
    section = page.partition("## Filters and queries")[2].partition("\n## ")[0]
    names: dict[str, Any] = {"client": curator}
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        exec(block, names)
    assert names["rows"]
    assert names["how_many"] == len(TRAIN)
    assert len(names["sharpest"]) == 5
    assert len(names["everything"]) == len(TRAIN)
    assert "mean similarity" in capsys.readouterr().out
