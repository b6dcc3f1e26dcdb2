"""What a query's rows should be like, or unlike, as people write it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pictograph.client.pictures import BoxLike, PictureLike, box_body, picture_bytes
from pictograph.errors import wrong_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One thing that images should be like, or unlike: exactly one of `image_id`, `text`, `vector` and `picture`.

    Example(image_id=image.image_id)
    Example(text="at night", weight=0.5)
    Example(image_id=other.image_id, negative=True)
    Example(picture="photo.jpg", box=(120, 40, 300, 200))
    """

    image_id: str | None = None
    """UUID of an indexed image. It is never among the rows."""
    text: str | None = None
    """Words that say what images show."""
    vector: Sequence[float] | None = None
    """A vector of the library's encoder, of any length but 0: a list, or a one-dimensional array."""
    encoder: str | None = None
    """With a vector: the fingerprint of the encoder that made it, as exported files have it."""
    picture: PictureLike | None = None
    """A picture that is not stored, and that is never kept: whatever `by_image` takes; of several together, 12 MB."""
    box: BoxLike | None = None
    """With an image or a picture: only this part of it counts, as in `by_image`."""
    weight: float = 1.0
    """Among positive examples, its share of the score; of a negative one, its force. Above 0."""
    negative: bool = False
    """Whether images should be unlike it."""

    def body(self) -> dict[str, Any]:
        """As the service takes it."""
        given = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("picture", "box")}
        body = {name: plain(value) for name, value in given.items() if value is not None}
        if self.picture is not None:
            body["image"] = base64.b64encode(picture_bytes(self.picture)).decode()
        return body | ({"box": box_body(self.box)} if self.box is not None else {})


def plain(value: Any) -> Any:
    """A value as JSON has it; an array of numbers becomes a list."""
    if isinstance(value, bool | int | float | str):
        return value
    return (
        [float(number) for number in value] if isinstance(value, Sequence) or hasattr(value, "tolist") else str(value)
    )


def example_bodies(examples: Sequence[Example | str]) -> list[Mapping[str, Any]]:
    """As the service takes them; a plain text is the id of an image. Pictures are read for that.

    Raises ValidationError for a lone text, and what `picture_bytes` raises.
    """
    if isinstance(examples, str | Example):
        raise wrong_value("examples", f"examples must be a list, not {examples!r}: pass [{examples!r}].")
    return [one.body() if isinstance(one, Example) else {"image_id": str(one)} for one in examples]
