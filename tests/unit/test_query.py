"""Questions are checked when they are made, before anything is asked."""

from __future__ import annotations

import math
from typing import Any
from uuid import uuid4

import pytest

from pictograph.errors import NotFoundError, ValidationError
from pictograph.search.query import SimilarQuery, TagQuery, TextQuery, parse_image_id
from pictograph.search.where import containment
from pictograph.types import ImageId

IMAGE = ImageId(uuid4())


def test_the_defaults_are_the_pages() -> None:
    query = SimilarQuery(IMAGE)
    assert (query.threshold, query.limit, query.folder_path) == (0.6, 50, None)
    tags = TagQuery(objects=["car"])
    assert (tags.limit, tags.offset, tags.match, tags.dataset) == (50, 0, "any", None)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan, math.inf, -math.inf, 1 + 1e-9])
def test_a_threshold_lies_between_0_and_1(threshold: float) -> None:
    with pytest.raises(ValidationError, match="between 0 and 1") as caught:
        SimilarQuery(IMAGE, threshold)
    assert caught.value.field_errors[0]["loc"] == ["threshold"]


@pytest.mark.parametrize("threshold", [0, 1, 0.0, 1.0, -0.0])
def test_0_and_1_are_thresholds(threshold: float) -> None:
    assert SimilarQuery(IMAGE, threshold).threshold == threshold


@pytest.mark.parametrize("limit", [0, -1, 501, 10**9])
def test_a_limit_lies_between_1_and_500_and_the_message_names_the_cap(limit: int) -> None:
    for make in (lambda: SimilarQuery(IMAGE, limit=limit), lambda: TagQuery(objects=["x"], limit=limit)):
        with pytest.raises(ValidationError, match="500") as caught:
            make()
        assert caught.value.field_errors[0]["loc"] == ["limit"]


@pytest.mark.parametrize("text", ["", " ", "\x00", "\u200b", "\ufeff \u202e", "\n\t"])
def test_words_that_nobody_sees_are_no_question(text: str) -> None:
    with pytest.raises(ValidationError, match="must not be empty") as caught:
        TextQuery(text)
    assert caught.value.field_errors[0]["loc"] == ["text"]


@pytest.mark.parametrize(("given", "canonical"), [("/", "/"), ("", "/"), ("a/", "/a"), (None, None)])
def test_a_folder_is_made_canonical(given: str | None, canonical: str | None) -> None:
    assert SimilarQuery(IMAGE, folder_path=given).folder_path == canonical


def test_none_is_not_filtered_and_an_empty_list_is() -> None:
    assert TagQuery(objects=["car"], scenes=None).filters == {"objects": ["car"]}
    assert TagQuery(objects=[]).filters == {"objects": []}
    with pytest.raises(ValidationError):
        TagQuery()


def test_labels_are_lower_case_trimmed_and_each_once_in_the_order_given() -> None:
    assert TagQuery(objects=["Truck ", "car", "CAR"]).filters == {"objects": ["truck", "car"]}


@pytest.mark.parametrize(("field", "value"), [("match", "some"), ("offset", -1), ("offset", 1_000_001)])
def test_other_wrong_values_are_named(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TagQuery(objects=["x"], **{field: value})
    assert caught.value.field_errors[0]["loc"] == [field]


@pytest.mark.parametrize(
    "text", ["", "x", "12345", "\x00", "\ud800", "x" * 5000, "0b8e8ef5-8d0c-4c4e-9a53-6d2f7f1a2c11x"]
)
def test_what_is_no_uuid_is_an_image_that_is_not_there(text: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        parse_image_id(text)
    caught.value.message.encode()


def test_containment_asks_for_any_or_for_all() -> None:
    assert containment("objects", ["car", "dog"], "any") == ['{"objects": ["car"]}', '{"objects": ["dog"]}']
    assert containment("objects", ["car", "dog"], "all") == ['{"objects": ["car", "dog"]}']
    assert containment("objects", [], "any") == containment("objects", [], "all") == []
    assert containment("objects", ["car", "\x00"], "any") == ['{"objects": ["car"]}']
    assert containment("objects", ["car", "\x00"], "all") == []
