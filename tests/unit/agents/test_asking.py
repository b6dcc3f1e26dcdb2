"""Handles, tags and boxes of a question, as a model gives them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from pictograph import wire
from pictograph.agents import handles as module
from pictograph.agents.asking import Asked, by_category
from pictograph.agents.handles import Handles
from pictograph.agents.tools import fractions_of
from pictograph.errors import ValidationError


def taxonomy(*keys: str) -> wire.Taxonomy:
    rest: Any = {
        "group": "", "parents": [], "exclusive_with": [], "prompts": [], "threshold": 0.5, "default_threshold": 0.5,
        "lowest_threshold": 0.1, "is_judged": True,
    }  # fmt: skip
    pairs = [key.split("/") for key in keys]
    return wire.Taxonomy(version="1", labels=[wire.Label(category=c, name=n, **rest) for c, n in pairs])  # type: ignore[arg-type]


TAXONOMY = taxonomy("objects/car", "objects/cart", "scenes/night", "attributes/night", "attributes/dark")


def test_a_handle_is_the_end_of_an_id_and_names_it_again() -> None:
    handles = Handles()
    image = "0198c0de-7e1f-7a3b-9c55-2f4f6a1b8d20"
    assert handles.give(image) == handles.give(image) == "#6a1b8d20"
    assert handles.image_of("#6a1b8d20") == handles.image_of(" 6A1B8D20 ") == handles.image_of(image) == image


def test_two_images_with_one_end_get_different_handles() -> None:
    handles = Handles()
    first, second = UUID(int=5), UUID(int=(1 << 40) + 5)
    names = [handles.give(str(image)) for image in (first, second)]
    assert names == ["#00000005", "#010000000005"]
    assert [handles.image_of(name) for name in names] == [str(first), str(second)]


def test_a_handle_that_was_not_given_out_is_refused_with_what_to_give() -> None:
    with pytest.raises(ValidationError, match=r"cell numbers of a contact sheet are no handles"):
        Handles().image_of("#7")


def test_only_the_last_handles_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    handles, images = Handles(), [str(uuid4()) for _ in range(4)]
    names = [handles.give(image) for image in images]
    assert handles.image_of(names[3]) == images[3]
    with pytest.raises(ValidationError):
        handles.image_of(names[0])


def test_tags_find_their_categories() -> None:
    assert by_category(["Car", "scenes/night", "dark"], TAXONOMY, "") == {
        "objects": ["car"],
        "scenes": ["night"],
        "attributes": ["dark"],
    }
    assert by_category(["car"], TAXONOMY, "not_") == {"not_objects": ["car"]}


@pytest.mark.parametrize(
    ("tag", "said"),
    [("carr", "Nearest: objects/car"), ("night", "several categories"), ("zzzz", "Say what has no tag")],
)
def test_a_tag_that_does_not_exist_is_said_with_the_nearest(tag: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        by_category([tag], TAXONOMY, "")


def test_a_question_becomes_a_query_of_the_sdk() -> None:
    handles, image, other = Handles(), str(uuid4()), str(uuid4())
    asked = Asked(
        words="a dog", like=[handles.give(image)], not_like=[other], tags=["car"],
        datasets=["street"], folder="/a", filters={"uploaded_from": "2026-11-01"}, order_by="created_at",
        min_score=0.5, cursor="C",
    )  # fmt: skip
    given = asked.arguments(handles, TAXONOMY)
    examples = given.pop("examples")
    assert [(one.text, one.image_id, one.negative) for one in examples] == [
        ("a dog", None, False),
        (None, image, False),
        (None, other, True),
    ]
    assert given == {
        "uploaded_from": "2026-11-01", "objects": ["car"], "match": "all", "dataset_names": ["street"],
        "folder_path": "/a", "order_by": "created_at", "threshold": 0.5, "cursor": "C",
    }  # fmt: skip
    assert Asked().arguments(handles, None) == {"examples": []}


def test_a_filter_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="Did you mean 'uploaded_from'"):
        Asked(filters={"uploadet_from": "2026"}).arguments(Handles(), None)


def test_a_box_without_an_image_is_refused() -> None:
    with pytest.raises(ValidationError, match="name that image"):
        Asked(words="x", box={"x": 0}).arguments(Handles(), None)


def test_a_box_is_a_part_of_the_picture_in_either_unit() -> None:
    whole = (200.0, 100.0)
    assert fractions_of({"x": 20, "y": 10, "width": 100, "height": 50, "unit": "px"}, whole) == (0.1, 0.1, 0.6, 0.6)
    assert fractions_of({"x": 0, "y": 0, "width": 1, "height": 1, "unit": "fraction"}, whole) == (0, 0, 1, 1)
    for wrong in (
        {},
        {"x": 0, "y": 0, "width": 201, "height": 1},
        {"x": 0.5, "y": 0, "width": 0, "height": 1},
        {"x": "a", "y": 0, "width": 1, "height": 1},
        {"x": 0, "y": 0, "width": 1, "height": 1, "unit": "mm"},
        {"x": 0, "y": 0, "width": float("nan"), "height": 1},
    ):
        with pytest.raises(ValidationError, match="box"):
            fractions_of(wrong, whole)
