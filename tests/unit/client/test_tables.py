"""Rows go on to pandas, Hugging Face's datasets and FiftyOne, none of which the SDK depends on."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pandas
import pytest
from PIL import Image as Pillow

from pictograph import ConfigurationError, ListPage, SearchResults, TaggedResults, ValidationError, wire
from support.pictures import picture_bytes

PAGE = wire.Pagination(limit=50, total=2, has_more=False)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def similar(number: int, **other: Any) -> wire.SimilarImage:
    tags: Any = {"objects": ["car"] if number else [], "scenes": [], "attributes": []}
    values = {"image_id": f"id-{number}", "filename": f"{number}.jpg", "folder_path": "/a/b", "dataset_id": "d"}
    values |= {"thumbnail_url": "http://x/t", "image_url": "http://x/i"}
    return wire.SimilarImage(**{**values, "tags": tags, "similarity": 0.5 + number / 10, **other})


def rows(*found: wire.SimilarImage) -> SearchResults[wire.SimilarImage]:
    facts = wire.SearchFacts(
        plan="exact", plan_reason="", scope_size=9, scanned=9, exact=True, complete=True, took_ms=1, pagination=PAGE
    )
    return SearchResults(found, facts)


def image(filename: str = "a.jpg") -> wire.Image:
    return wire.Image(
        id="i", dataset_id="d", filename=filename, folder_path="/", state="tagged", sha256="0" * 64, file_size=1,
        content_type="image/jpeg", width=4, height=3, created_at=NOW, image_auto_tags={"objects": ["dog"]},
        image_url="", thumbnail_url="",
    )  # fmt: skip


def test_pandas_gets_a_column_for_each_field_and_for_each_category_of_tags() -> None:
    frame = rows(similar(0), similar(1)).to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["similarity"].tolist() == [0.5, 0.6]
    assert frame["objects"].tolist() == [[], ["car"]]
    assert {"image_id", "filename", "folder_path", "dataset_id", "scenes", "attributes"} <= {*frame.columns}
    assert not {"status", "annotation_count", "tags", "thumbnail_url", "image_url"} & {*frame.columns}
    listed = ListPage([image()], PAGE).to_pandas()
    assert listed["created_at"].dt.year.tolist() == [2026]
    assert (listed["state"][0], listed["objects"][0]) == ("tagged", ["dog"])


def test_a_table_without_rows_has_its_columns() -> None:
    assert "similarity" in rows().to_pandas().columns
    answer = wire.TagAnswer(results=[], count=0, filters=wire.TagFilters(), pagination=PAGE)
    assert {"image_id", "objects"} <= {*TaggedResults(answer).to_pandas().columns}


def test_paths_lie_below_the_directory_that_was_uploaded(tmp_path: Path) -> None:
    assert rows(similar(1)).to_paths() == [Path("a/b/1.jpg")]
    assert rows(similar(1)).to_paths(tmp_path) == [tmp_path / "a" / "b" / "1.jpg"]
    assert ListPage([image()], PAGE).to_paths("/photos") == [Path("/photos/a.jpg")]


@pytest.mark.parametrize("other", [{"folder_path": "/../.."}, {"filename": "../x.jpg"}, {"filename": "/etc/passwd"}])
def test_no_name_leads_out_of_that_directory(tmp_path: Path, other: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="lead out of the directory"):
        rows(similar(1, **other)).to_paths(tmp_path)


def test_rows_that_are_no_images_have_no_paths() -> None:
    with pytest.raises(ValidationError, match="Rows of type Dataset have no files"):
        ListPage([wire.Dataset(id="d", organization_id="o", name="street", created_at=NOW)], PAGE).to_paths()


def test_hugging_face_gets_typed_columns_and_pictures_that_are_read_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "0.jpg").write_bytes(picture_bytes(0, size=(64, 48)))
    made = rows(similar(0)).to_hf(tmp_path)
    assert isinstance(made, datasets.Dataset)
    assert made.features["objects"] == datasets.List(datasets.Value("string"))  # although no row has one
    assert (made[0]["filename"], made[0]["similarity"]) == ("0.jpg", 0.5)
    assert isinstance(made[0]["image"], Pillow.Image)
    assert made[0]["image"].size == (64, 48)
    without = rows(similar(0), similar(1)).to_hf()
    assert "image" not in without.features
    assert without["objects"][:] == [[], ["car"]]


@dataclass
class Sample:
    """As `fiftyone.Sample` is made: a path and fields by name."""

    filepath: str
    fields: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def fiftyone(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The few names of FiftyOne that are used; the real one brings a database server of 100 MB."""
    module = ModuleType("fiftyone")

    class Dataset(list[Sample]):
        def add_samples(self, samples: list[Sample]) -> None:
            self.extend(samples)

    vars(module).update(
        Dataset=Dataset,
        Sample=lambda filepath, **fields: Sample(filepath, fields),
        Classification=lambda *, label: label,
        Classifications=lambda *, classifications: classifications,
    )
    monkeypatch.setitem(sys.modules, "fiftyone", module)
    return module


def test_fiftyone_gets_samples_with_absolute_paths_scores_and_classifications(fiftyone: ModuleType) -> None:
    made = rows(similar(0), similar(1)).to_fiftyone("/photos")
    assert isinstance(made, fiftyone.Dataset)
    assert [sample.filepath for sample in made] == ["/photos/a/b/0.jpg", "/photos/a/b/1.jpg"]
    assert made[1].fields["objects"] == ["car"]
    assert (made[1].fields["image_id"], made[1].fields["similarity"]) == ("id-1", 0.6)


@pytest.mark.parametrize(
    ("method", "package", "arguments"),
    [("to_pandas", "pandas", ()), ("to_hf", "datasets", ()), ("to_fiftyone", "fiftyone", ("/photos",))],
)
def test_what_is_not_installed_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, method: str, package: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"{method} needs the package {package}.*pip install {package}"):
        getattr(rows(similar(1)), method)(*arguments)
