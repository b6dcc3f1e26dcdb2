"""The error tree: every class with its own code, a status, and whether to try again."""

from __future__ import annotations

import re

import pytest

from pictograph import errors
from pictograph.errors import ApiError, PictographError, api_error_classes, error_class_for

TREE = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, PictographError) and value.__module__ == errors.__name__
]


def test_every_class_has_a_code_of_its_own() -> None:
    codes = [error.code for error in TREE]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_the_drawing_of_the_tree_names_every_class_with_its_status() -> None:
    drawing = errors.__doc__ or ""
    for error in TREE:
        assert re.search(rf"\b{error.__name__}\b", drawing), error
        if issubclass(error, ApiError) and error is not ApiError and "status" in vars(error):
            line = next(line for line in drawing.splitlines() if re.search(rf"\b{error.__name__}\b", line))
            assert str(error.status) in line or "5xx" in line, line


@pytest.mark.parametrize(
    ("error", "status", "retryable"),
    [
        (errors.AuthError, 401, False), (errors.ForbiddenError, 403, False), (errors.NotFoundError, 404, False),
        (errors.ConflictError, 409, False), (errors.EmbeddingFailed, 409, False), (errors.SpaceMismatch, 409, False),
        (errors.ValidationError, 422, False), (errors.BadImage, 422, False), (errors.TooCostly, 422, False),
        (errors.UnsupportedFormat, 415, False),
        (errors.TooLarge, 413, False), (errors.RateLimitError, 429, True), (errors.ServerError, 500, True),
        (errors.EmbeddingPending, 503, True), (errors.Unavailable, 503, True), (errors.BlobMissing, 503, True),
        (errors.SlowSender, 408, True), (errors.StorageFull, 507, False), (errors.DatabaseAway, 503, True),
        (errors.DatabaseRefused, 503, False), (errors.WriteConflict, 503, True),
        (errors.HeadTooLarge, 431, False),
    ],
)  # fmt: skip
def test_each_class_has_the_status_and_the_retry_that_are_documented(
    error: type[ApiError], status: int, retryable: bool
) -> None:
    assert (error.status, error.retryable) == (status, retryable)
    assert error_class_for(status, error.code) is error


def test_every_class_says_what_it_means() -> None:
    for error in TREE:
        assert error.__doc__


def test_an_unknown_code_falls_back_to_the_status() -> None:
    assert error_class_for(404, "from_the_future") is errors.NotFoundError
    assert error_class_for(503, "from_the_future") is errors.ServerError
    assert error_class_for(418, "from_the_future") is ApiError


def test_the_message_is_what_is_printed_with_the_request_if_it_is_known() -> None:
    assert str(ApiError("What.")) == "What."
    assert str(ApiError("What.", request_id="abc")) == "What. (request abc)"
    assert ApiError("What.").status_code == 500
    assert ApiError("What.", status_code=418).status_code == 418


def test_field_errors_are_always_a_list() -> None:
    assert errors.ValidationError("x").field_errors == []
    assert errors.ValidationError("x", details={"errors": "odd"}).field_errors == []
    assert errors.ValidationError("x", details={"errors": [{"loc": ["a"]}]}).field_errors == [{"loc": ["a"]}]


def test_the_general_comes_before_the_special() -> None:
    classes = list(api_error_classes())
    assert classes[0] is ApiError
    for error in classes[1:]:
        assert classes.index(error.__bases__[0]) < classes.index(error)
