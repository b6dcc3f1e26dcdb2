"""Search by words: the same scan as by likeness, from the vector of a text."""

from __future__ import annotations

import pytest

from pictograph.errors import NotFoundError, ValidationError
from pictograph.search.query import TextQuery
from support.engines import ReadingEncoder, engine_of
from support.planting import Garden, direction


async def names(garden: Garden, text: str, encoder: ReadingEncoder | None = None, **options: object) -> list[str]:
    engine = engine_of(garden, encoder=encoder or ReadingEncoder())
    answer = await engine.by_text(garden.organization, TextQuery(text, **options))  # type: ignore[arg-type]
    return [row.filename for row in answer.rows]


async def test_rows_come_by_falling_similarity_to_the_words(garden: Garden) -> None:
    street = await garden.dataset()
    for cosine in (0.2, 0.9, 0.5):
        await garden.plant(street, f"{cosine}.jpg", direction(cosine))
    assert await names(garden, "along 1.0") == ["0.9.jpg", "0.5.jpg", "0.2.jpg"]
    assert await names(garden, "along 1.0", limit=1) == ["0.9.jpg"]


async def test_nothing_is_cut_off_unless_asked(garden: Garden) -> None:
    street = await garden.dataset()
    await garden.plant(street, "far.jpg", direction(0.02))
    await garden.plant(street, "near.jpg", direction(0.3))
    assert await names(garden, "along 1.0") == ["near.jpg", "far.jpg"]
    assert await names(garden, "along 1.0", threshold=0.25) == ["near.jpg"]


async def test_the_scope_is_the_organization_a_dataset_or_a_folder_with_all_below(garden: Garden) -> None:
    street, shop = await garden.dataset("street"), await garden.dataset("shop")
    await garden.plant(street, "root.jpg", direction(0.9))
    await garden.plant(street, "rain.jpg", direction(0.8), folder="/day/rain")
    await garden.plant(shop, "shelf.jpg", direction(0.7), folder="/day")
    assert await names(garden, "along 1.0") == ["root.jpg", "rain.jpg", "shelf.jpg"]
    assert await names(garden, "along 1.0", dataset="street") == ["root.jpg", "rain.jpg"]
    assert await names(garden, "along 1.0", folder_path="/day") == ["rain.jpg", "shelf.jpg"]
    assert await names(garden, "along 1.0", dataset=str(shop.id), folder_path="day/") == ["shelf.jpg"]


async def test_another_organizations_images_are_invisible(garden: Garden) -> None:
    other = await Garden.open(garden.database, "other")
    await other.plant(await other.dataset("theirs"), "secret.jpg")
    assert await names(garden, "along 1.0") == []
    with pytest.raises(NotFoundError, match="theirs"):
        await names(garden, "along 1.0", dataset="theirs")


async def test_the_same_words_are_read_once(garden: Garden) -> None:
    encoder = ReadingEncoder()
    engine = engine_of(garden, encoder=encoder)
    for text in ("along 1.0", "  ALONG   1.0 ", "along 0.5"):
        await engine.by_text(garden.organization, TextQuery(text))
    assert encoder.asked == ["along 1.0", "along 0.5"]


async def test_an_encoder_that_cannot_read_says_so(garden: Garden) -> None:
    with pytest.raises(ValidationError, match="noop has no text side"):
        await engine_of(garden).by_text(garden.organization, TextQuery("a red truck"))


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("text", {"text": "  "}),
        ("text", {"text": "x" * 1001}),
        ("limit", {"text": "car", "limit": 501}),
        ("threshold", {"text": "car", "threshold": 1.5}),
        ("threshold", {"text": "car", "threshold": float("nan")}),
    ],
)
def test_a_wrong_value_is_named(field: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        TextQuery(**options)  # type: ignore[arg-type]
    assert refused.value.field_errors[0]["loc"] == [field]
