"""Short names of images in one conversation: a model copies eight digits right, and pays a third of a UUID for them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final
from uuid import UUID

from pictograph.errors import wrong_value

SHORT: Final = 8
"""Hexadecimal digits: the end of an id, which is random where its beginning is the time."""
REMEMBERED: Final = 200_000
"""The handles that were given out last: about 40 MB."""


class Handles:
    """Handles that were given out, and the images that they name."""

    def __init__(self) -> None:
        self._images: OrderedDict[str, str] = OrderedDict()

    def give(self, image_id: str) -> str:
        """`#6a1b8d20`; longer where another image has that one."""
        digits = UUID(image_id).hex
        for length in (SHORT, SHORT + 4, len(digits)):
            handle = digits[-length:]
            if self._images.setdefault(handle, image_id) == image_id:
                break
        self._images.move_to_end(handle)
        while len(self._images) > REMEMBERED:
            self._images.popitem(last=False)
        return f"#{handle}"

    def image_of(self, given: str) -> str:
        """The id of the image that a handle, or an id, names. Raises ValidationError that says what to give instead."""
        name = given.strip().removeprefix("#").lower()
        if name in self._images:
            return self._images[name]
        try:
            return str(UUID(name))
        except ValueError as error:
            raise wrong_value(
                "image",
                f"{given!r} names no image here. Give a handle of a row (#6a1b8d20) from this conversation, or the "
                "whole id; cell numbers of a contact sheet are no handles.",
            ) from error
