"""Chooses the encoder before the service starts, and fetches it if necessary."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from pictograph.db.pool import Database
from pictograph.encode.registry import ENCODERS, source_of
from pictograph.errors import ConfigurationError, PictographError
from pictograph.models.choose import Choice, detect, model_to_pull, runtime_installed
from pictograph.models.names import repository_of
from pictograph.settings import AUTO, Settings
from pictograph.spaces.registry import Spaces

logger = logging.getLogger(__name__)

Fetch: TypeAlias = Callable[[str], None]
"""Fetches the model of that name from the hub; raises a PictographError if that fails."""


async def settle_encoder(settings: Settings, database: Database, fetch: Fetch) -> tuple[Settings, Choice | None]:
    """Settings that name an encoder which is here, and for new data the reason for it.

    `auto` is left as it is where the data has an encoder. A SigLIP model that is not here is fetched if torch is, so
    that it could run. Raises ConfigurationError, NotFoundError or ConnectionFailed if one that was named cannot be had.
    """
    if settings.encoder != AUTO:
        await asyncio.to_thread(fetch_if_missing, settings.encoder, fetch)
        return settings, None
    if await Spaces(database).active() is not None:
        return settings, None
    choice = await asyncio.to_thread(best_for_new_data, fetch)
    return replace(settings, encoder=choice.name), choice


def fetch_if_missing(name: str, fetch: Fetch) -> None:
    """Fetches the model if it is one of the hub's that could run here. Raises ConfigurationError if there is none."""
    try:
        source_of(name)
    except ConfigurationError as unknown:
        if not (names_a_siglip_model(name) and runtime_installed()):
            raise
        try:
            fetch(name)
        except PictographError as error:
            raise ConfigurationError(f"{unknown.message} It could not be fetched: {error.message}") from error


def best_for_new_data(fetch: Fetch) -> Choice:
    """SigLIP 2 if it is here or can be had, else the offline encoder."""
    machine = detect()
    if machine.installed or not machine.runtime_installed or os.environ.get("HF_HUB_OFFLINE"):
        return machine.choice()
    wanted = model_to_pull()
    try:
        fetch(wanted.name)
    except PictographError as error:
        logger.info("%s could not be fetched: %s", wanted.name, error.message)
        return machine.choice()
    return detect().choice()


def names_a_siglip_model(name: str) -> bool:
    """Whether this can only mean a model on the hub, not a folder with a typing error in it."""
    if name in ENCODERS or name.startswith((".", "~", os.sep)) or Path(name).exists():
        return False
    try:
        return repository_of(name).name.startswith("siglip")
    except ConfigurationError:
        return False
