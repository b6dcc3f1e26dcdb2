"""Rows are written without their models, which takes half as long: they must say, word for word, what those say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from pictograph import wire
from pictograph.search.found import Hit, Neighbour
from pictograph.server import present
from pictograph.store.signing import PictureUrls
from pictograph.types import DatasetId, ImageId

TAGS: Any = {"objects": ["car", 'caf\u00e9 "x"'], "scenes": [], "attributes": ["sharp"]}
IMAGE, DATASET = ImageId(uuid4()), DatasetId(UUID(int=7))
URLS = PictureUrls(b"s" * 32, UUID(int=3), 86_400, "/api/v1/pictures", "http://host")
NAMES = ["a.jpg", 'quo"te\\.jpg', "\u2028\u00e9\U0001f600.png", "tab\t\x00.gif"]


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_written_as_their_model_is(name: str) -> None:
    near = Neighbour(IMAGE, name, "/a/b", DATASET, TAGS, datetime.now(UTC), 0.1 + 0.2, 0.7, 0.1 + 0.2)
    shown = {"image_id": str(IMAGE), "filename": name, "folder_path": "/a/b", "dataset_id": str(DATASET), "tags": TAGS}
    shown |= {"thumbnail_url": URLS.thumbnail(IMAGE), "image_url": URLS.original(IMAGE)}
    model: wire.SearchRow = wire.SimilarImage(**shown, similarity=0.1 + 0.2)
    assert as_json(present.similar_rows([near], URLS)) == [model.model_dump(mode="json")]
    (hit,) = as_json(present.tagged_rows([Hit(**{**hit_values(), "filename": name})], URLS))
    assert hit == wire.TaggedImage(**shown).model_dump(mode="json")


def as_json(rows: list[Any]) -> Any:
    return json.loads(orjson.dumps(rows))


def hit_values() -> dict[str, Any]:
    known = {"id": IMAGE, "filename": "", "folder_path": "/a/b", "dataset_id": DATASET, "tags": TAGS}
    return known | {"created_at": datetime.now(UTC)}


def test_an_answer_with_rows_is_written_as_its_model_is() -> None:
    empty = wire.TagAnswer(
        results=[],
        count=1,
        filters=wire.TagFilters(objects=["car"]),
        unknown_tags=["\u00e9"],
        pagination=wire.Pagination(limit=1, offset=0, has_more=False),
    )
    rows = present.tagged_rows([Hit(**hit_values())], URLS)
    full = empty.model_copy(update={"results": [wire.TaggedImage.model_validate(row) for row in as_json(rows)]})
    assert json.loads(bytes(present.with_rows(empty, rows).body)) == full.model_dump(mode="json")
