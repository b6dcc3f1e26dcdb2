"""What a wrong name was meant to be, and which other names a right one has."""

from __future__ import annotations

import pytest

from pictograph.naming import SYNONYMS, aliases_of, nearest_name, similar_names, unknown_name

SEARCH = ("image_id", "threshold", "limit", "directory_path", "objects", "scenes", "attributes", "match", "exact")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("limt", "limit"), ("Limit", "limit"), ("max_limit", "limit"), ("treshold", "threshold"),
        ("folder", "directory_path"), ("folderpath", "directory_path"), ("directory-path", "directory_path"),
        ("object", "objects"), ("imageId", "image_id"), ("qqqqqq", None), ("", None),
    ],
)  # fmt: skip
def test_the_nearest_right_name_is_found(wrong: str, right: str | None) -> None:
    assert nearest_name(wrong, SEARCH, aliases_of(SEARCH)) == right


def test_a_message_says_what_there_is_and_stays_short() -> None:
    assert unknown_name("parameter", "limt", ("limit", "offset"), {}) == (
        "There is no parameter 'limt' here. Did you mean 'limit'? There are: limit, offset."
    )
    assert "It takes no parameters." in unknown_name("parameter", "x", (), {})
    long = unknown_name("field", "x" * 100_000, [f"name{n}" for n in range(1000)], {})
    assert len(long) < 800  # a search has some 50 parameters, and all are named
    assert "and 940 more" in long


def test_a_declared_name_has_all_its_other_names_unless_a_route_tells_two_of_them_apart() -> None:
    assert set(aliases_of(["dataset"])) == set(SYNONYMS[0]) - {"dataset"}
    assert aliases_of(["dataset_name"])["dataset"] == "dataset_name"
    assert aliases_of(["directory_path", "folder_path"]) == {}
    assert aliases_of(["limit"]) == {}


def test_similar_names_come_the_most_similar_first_and_what_is_like_nothing_has_none() -> None:
    assert similar_names("bicyle", ["tricycle", "bicycle", "dog"], 5) == ["bicycle", "tricycle"]
    assert similar_names("bicyle", ["tricycle", "bicycle", "dog"], 1) == ["bicycle"]
    assert similar_names("x" * 100_000, ["bicycle"], 5) == []
