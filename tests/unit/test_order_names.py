"""Wherever the orders are told, all of them are."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from pictograph import Client
from pictograph.cli.main import app
from pictograph.search.orders import ORDERS

ROOT = Path(__file__).parents[2]


def help_of_the_option() -> str:
    command = typer.main.get_command(app).commands["search"].commands["query"]  # type: ignore[attr-defined]
    return next(str(item.help) for item in command.params if item.name == "order_by")


@pytest.mark.parametrize("name", ORDERS)
def test_every_order_is_told_by_every_door(name: str) -> None:
    texts = [(ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("http-api.md", "search.md")]
    assert all(f"`{name}`" in text for text in texts)
    assert name in help_of_the_option()
    assert name in str(Client("k", base_url="http://x").search.query.__doc__)
