"""The options of every search. A new filter is a parameter of `chosen`: every command with `filters` has it then."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from copy import copy
from typing import Annotated, Any, Final, get_args

import typer

from pictograph.client.filters import Filters

Objects = Annotated[
    list[str] | None,
    typer.Option("--object", "-o", help="A tag to find; repeat it for several, any of which may match."),
]
Scenes = Annotated[
    list[str] | None,
    typer.Option("--scene", "-s", help="A tag to find; repeat it for several, any of which may match."),
]
Attributes = Annotated[
    list[str] | None,
    typer.Option("--attribute", "-a", help="A tag to find; repeat it for several, any of which may match."),
]
MatchAll = Annotated[bool, typer.Option("--all", help="Require all tags of a category, not any one of them.")]
Dataset = Annotated[str | None, typer.Option("--dataset", "-d", help="Default: all your datasets.")]
Folder = Annotated[str | None, typer.Option("--folder", "-f", help="Only this folder and the folders below it.")]
UploadedFrom = Annotated[
    str | None, typer.Option(help="Only images uploaded then or later: 2026-11-01, or with a time; UTC without a zone.")
]
UploadedBefore = Annotated[str | None, typer.Option(help="Only images uploaded before.")]
NO_FILTERS: Final[Filters] = {}


def chosen(
    objects: Objects = None,
    scenes: Scenes = None,
    attributes: Attributes = None,
    match_all: MatchAll = False,
    folder: Folder = None,
    uploaded_from: UploadedFrom = None,
    uploaded_before: UploadedBefore = None,
) -> Filters:
    """What the client takes for these options."""
    return {
        "objects": objects or None,
        "scenes": scenes or None,
        "attributes": attributes or None,
        "match": "all" if match_all else "any",
        "folder_path": folder,
        "uploaded_from": uploaded_from,
        "uploaded_before": uploaded_before,
    }


def takes_filters(**told: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options of `chosen` in place of its parameter `filters`, which gets what they make.

    told: another help for an option, by its name.
    """
    options = [
        item.replace(annotation=with_help(item.annotation, told.get(name)))
        for name, item in inspect.signature(chosen, eval_str=True).parameters.items()
    ]

    def give(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            filters = chosen(**{option.name: given.pop(option.name) for option in options})
            command(**given, filters=filters)

        own = inspect.signature(command, eval_str=True).parameters.values()
        shown = [item for one in own for item in (options if one.name == "filters" else [one])]
        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in shown}
        return run

    return give


def with_help(annotation: Any, told: str | None) -> Any:
    if told is None:
        return annotation
    kind, option = get_args(annotation)
    option = copy(option)
    option.help = told
    return Annotated[kind, option]
