"""A filter is an option once, and every command that searches has it."""

from __future__ import annotations

from typing import Any

import pytest
import typer.main

from pictograph.cli.filters import chosen
from pictograph.cli.main import app
from pictograph.client.filters import Filters

SEARCHES = ("search similar", "search text", "search query", "search tags", "search explain", "tags list")


def command_of(path: str) -> Any:
    command: Any = typer.main.get_command(app)
    for name in path.split():
        command = command.commands[name]
    return command


def test_every_filter_of_the_client_has_an_option() -> None:
    assert set(chosen()) == set(Filters.__annotations__)
    told = chosen(objects=[], match_all=True, folder="/a", formats=["png"], min_width=3, not_objects=["car"])
    given = {"match": "all", "folder_path": "/a", "formats": ["png"], "min_width": 3, "not_objects": ["car"]}
    assert told == dict.fromkeys(Filters.__annotations__) | given


@pytest.mark.parametrize("path", SEARCHES)
def test_every_search_has_every_option(path: str) -> None:
    options = {option for item in command_of(path).params for option in item.opts}
    assert {"--object", "--scene", "--attribute", "--all", "--folder"} <= options
    assert "--filters" not in options


def test_a_command_may_say_otherwise_what_an_option_means() -> None:
    helps = {
        path: next(item.help for item in command_of(path).params if item.name == "folder")
        for path in ("search similar", "search text")
    }
    assert helps["search similar"] != helps["search text"]
