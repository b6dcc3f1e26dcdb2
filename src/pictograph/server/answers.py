"""Large answers are made in a thread: a thousand rows take longer than anybody should wait for another's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from fastapi import Response
from pydantic import BaseModel

JSON: Final = "application/json"


async def answer_of(build: Callable[[], BaseModel]) -> Response:
    """The model that `build` makes, as JSON. The route names it as its `response_model`."""
    return Response(await asyncio.to_thread(lambda: build().model_dump_json(by_alias=True)), media_type=JSON)
