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
NotObjects = Annotated[list[str] | None, typer.Option("--not-object", help="A tag that no image may carry; repeat it.")]
NotScenes = Annotated[list[str] | None, typer.Option("--not-scene", help="A tag that no image may carry; repeat it.")]
NotAttributes = Annotated[
    list[str] | None, typer.Option("--not-attribute", help="A tag that no image may carry; repeat it.")
]
TakenFrom = Annotated[str | None, typer.Option(help="Only images taken then or later, by their EXIF.")]
TakenBefore = Annotated[str | None, typer.Option(help="Only images taken before.")]
Pixels = Annotated[int | None, typer.Option(min=0, help="Pixels.")]
Bytes = Annotated[int | None, typer.Option(min=0, help="Bytes.")]
Aspect = Annotated[float | None, typer.Option(help="Width / height: 1 square, above 1 wider than high.")]
Sharpness = Annotated[float | None, typer.Option(help="About 0 blurred to 1 crisp; may lie beyond.")]
Brightness = Annotated[float | None, typer.Option(help="0 black to 1 white.")]
Contrast = Annotated[float | None, typer.Option(help="Standard deviation of the luminance, 0 to 0.5.")]
Formats = Annotated[
    list[str] | None, typer.Option("--image-format", help="jpeg, png, webp, gif, bmp, tiff, heif or avif; repeat it.")
]
States = Annotated[list[str] | None, typer.Option("--state", help="received, embedded, tagged or failed; repeat it.")]
Filename = Annotated[
    str | None, typer.Option(help="A pattern for the whole name: 'IMG_*.jpg', '?' is one character; a and A are alike.")
]
Camera = Annotated[str | None, typer.Option(help="A pattern for make and model: 'canon*'.")]
Collection = Annotated[str | None, typer.Option(help="Only images of this collection.")]
NO_FILTERS: Final[Filters] = {}


def chosen(
    objects: Objects = None,
    scenes: Scenes = None,
    attributes: Attributes = None,
    match_all: MatchAll = False,
    folder: Folder = None,
    uploaded_from: UploadedFrom = None,
    uploaded_before: UploadedBefore = None,
    not_objects: NotObjects = None,
    not_scenes: NotScenes = None,
    not_attributes: NotAttributes = None,
    taken_from: TakenFrom = None,
    taken_before: TakenBefore = None,
    min_width: Pixels = None,
    max_width: Pixels = None,
    min_height: Pixels = None,
    max_height: Pixels = None,
    min_file_size: Bytes = None,
    max_file_size: Bytes = None,
    min_aspect: Aspect = None,
    max_aspect: Aspect = None,
    min_sharpness: Sharpness = None,
    max_sharpness: Sharpness = None,
    min_brightness: Brightness = None,
    max_brightness: Brightness = None,
    min_contrast: Contrast = None,
    max_contrast: Contrast = None,
    formats: Formats = None,
    states: States = None,
    filename: Filename = None,
    camera: Camera = None,
    collection: Collection = None,
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
        "not_objects": not_objects or None,
        "not_scenes": not_scenes or None,
        "not_attributes": not_attributes or None,
        "taken_from": taken_from,
        "taken_before": taken_before,
        "min_width": min_width,
        "max_width": max_width,
        "min_height": min_height,
        "max_height": max_height,
        "min_file_size": min_file_size,
        "max_file_size": max_file_size,
        "min_aspect": min_aspect,
        "max_aspect": max_aspect,
        "min_sharpness": min_sharpness,
        "max_sharpness": max_sharpness,
        "min_brightness": min_brightness,
        "max_brightness": max_brightness,
        "min_contrast": min_contrast,
        "max_contrast": max_contrast,
        "formats": formats or None,
        "states": states or None,
        "filename": filename,
        "camera": camera,
        "collection": collection,
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
