"""`model pull | list | verify | bundle | unbundle`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pictograph.cli.failures import exit_code_of
from pictograph.cli.output import Json, byte_bar, console, print_json, print_table
from pictograph.errors import ConfigurationError, ModelDamaged
from pictograph.settings import AUTO, Settings
from pictograph_search import command_name, install_command

if TYPE_CHECKING:
    from pictograph.models.choose import Choice
    from pictograph.models.installed import InstalledModel
    from pictograph.models.verify import Verdict

app = typer.Typer(no_args_is_help=True, help="SigLIP models: fetch them, check them, carry them to other machines.")

Replace = Annotated[bool, typer.Option("--replace", help="Replace what is there.")]
COLUMNS = ("model", "MB", "revision", "from", "state")


@app.command(
    epilog="Examples: [bold]pictograph model pull[/] (what fits this machine), "
    "[bold]pictograph model pull siglip2[/] (so400m, for a GPU), "
    "[bold]pictograph model pull siglip2-base-patch16-256 --from https://hub.example.org[/]"
)
def pull(
    name: Annotated[
        str | None,
        typer.Argument(
            help="siglip2, a short name (siglip2-base-patch16-224), or owner/name. Default: so400m where torch sees a "
            "GPU, else base-patch16-224.",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.", show_default="main")] = None,
    mirror: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="A mirror of the hub. Else HF_ENDPOINT, else the hub.")
    ] = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Fetch a model from the hub. After an interruption, the same command goes on where it stopped.

    It fetches only the files that are read, never code, and installs nothing before every checksum is right.
    For a gated or private model set HF_TOKEN.
    """
    with server_packages():
        from pictograph.models.choose import model_to_pull  # noqa: PLC0415
        from pictograph.models.pull import pull as fetch  # noqa: PLC0415
    choice = None if name else model_to_pull()
    if choice and not as_json:
        say(f"Chose {choice.name}: {choice.why}")
    with byte_bar("Fetching") as bar:
        pulled = fetch(
            name or choice.name,  # type: ignore[union-attr]
            revision=revision,
            endpoint=mirror,
            replace=replace,
            report=bar,
        )
    if as_json:
        told = pulled.manifest.values() if pulled.manifest else {"name": pulled.name}
        print_json(told | {"folder": str(pulled.folder), "fetched": pulled.fetched})
        return
    origin = pulled.manifest.origin if pulled.manifest else "copied there by hand"
    say(f"{'Fetched' if pulled.fetched else 'Nothing to fetch, it is there and complete:'} {pulled.name} ({origin})")
    say_how_to_start(pulled.name, pulled.folder)


@app.command("list", epilog="Example: [bold]pictograph model list --json[/]")
def list_models(as_json: Json = False) -> None:
    """List the models on this machine, and the one that `pictograph serve` would take. Reads no weights."""
    with server_packages():
        from pictograph.encode.registry import models_folder  # noqa: PLC0415
        from pictograph.models.choose import pull_command  # noqa: PLC0415
        from pictograph.models.installed import half_fetched, installed_models  # noqa: PLC0415
    models = installed_models()
    choice = serves()
    if as_json:
        rows = [described(model) for model in models]
        print_json({"folder": str(models_folder()), "models": [*rows, offline_row()], "serve": plain_choice(choice)})
        return
    print_table(f"Models in {models_folder()}", COLUMNS, [*map(shown, models), offline_cells()])
    for model in models:
        if model.fault:
            say(f"\n{model.name}: {model.fault} `pictograph model verify {model.name}` tells more.")
    for repository, size in half_fetched().items():
        say(f"\nHalf fetched: {repository}, {size / 1e6:.1f} MB so far. It goes on with: {pull_command(repository)}")
    say(f"\nFor new data, pictograph serve takes {choice.name}: {choice.why}")
    if choice.hint:
        say(f"To change that: {choice.hint}")


@app.command(epilog="Example: [bold]pictograph model verify siglip2-base-patch16-224[/]")
def verify(
    name: Annotated[str | None, typer.Argument(help="Default: every model there is.", show_default=False)] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write a manifest of a folder that was copied by hand, to compare later.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every byte of a model and compare it with what was fetched. Names any damage and its fix; exit code 7."""
    with server_packages():
        from pictograph.models.installed import installed_folder, installed_models  # noqa: PLC0415
        from pictograph.models.verify import record as write_manifest  # noqa: PLC0415
        from pictograph.models.verify import verify as read_all  # noqa: PLC0415
    if record and not name:
        raise ConfigurationError("Name the model to record: pictograph model verify NAME --record.")
    folders = [installed_folder(name)] if name else [model.folder for model in installed_models()]
    with byte_bar("Reading") as bar:
        if record:
            write_manifest(folders[0], bar)
        verdicts = [read_all(folder, bar) for folder in folders]
    if as_json:
        print_json([judged(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            print_verdict(verdict)
        if not verdicts:
            say("There is no model to verify. `pictograph model pull` fetches one.")
    if any(verdict.faults for verdict in verdicts):
        raise typer.Exit(exit_code_of(ModelDamaged("")))


@app.command(epilog="Example: [bold]pictograph model bundle siglip2-base-patch16-224 --output /media/stick/base.tar[/]")
def bundle(
    name: Annotated[str, typer.Argument(help="A model that is here.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: NAME.pictograph.tar in this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pack a model into ONE file, for a machine without a network. The same model gives the same bytes every time."""
    with server_packages():
        from pictograph.models.bundle import SUFFIX  # noqa: PLC0415
        from pictograph.models.bundle import bundle as pack  # noqa: PLC0415
        from pictograph.models.installed import installed_folder  # noqa: PLC0415
    folder = installed_folder(name)
    target = output or Path(f"{folder.name}{SUFFIX}")
    with byte_bar("Packing") as bar:
        pack(folder, target, bar)
    size = target.stat().st_size
    if as_json:
        print_json({"name": folder.name, "file": str(target.absolute()), "size": size})
        return
    say(f"Packed {folder.name} into {target} ({size / 1e6:.1f} MB). There: pictograph model unbundle {target.name}")


@app.command(epilog="Example: [bold]pictograph model unbundle /media/stick/base.tar[/]")
def unbundle(
    file: Annotated[Path, typer.Argument(help="What `pictograph model bundle` made.")],
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Install a model from a bundle, without a network, once every checksum is right."""
    with server_packages():
        from pictograph.models.unbundle import unbundle as unpack  # noqa: PLC0415
    with byte_bar("Unpacking") as bar:
        done = unpack(file, replace=replace, report=bar)
    if as_json:
        taxonomies = {"bundle": done.their_taxonomy, "here": done.our_taxonomy}
        told = {"folder": str(done.folder), "unpacked": done.unpacked, "taxonomy": taxonomies}
        print_json(done.manifest.values() | told)
        return
    say(f"{'Unpacked' if done.unpacked else 'Nothing to unpack, it is there and complete:'} {done.name}")
    if done.their_taxonomy != done.our_taxonomy:
        say(
            f"The bundle was packed by a version with taxonomy {done.their_taxonomy}; this one has "
            f"{done.our_taxonomy}, and its tags are those of {done.our_taxonomy}."
        )
    say_how_to_start(done.name, done.folder)


@contextmanager
def server_packages() -> Iterator[None]:
    """For imports of what the plain SDK does not bring."""
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(f"Models need {error.name}: {install_command('siglip')}") from error


def serves() -> Choice:
    """The encoder that `serve` would take if it were started here without `--encoder`."""
    from pictograph.models.choose import Choice, detect  # noqa: PLC0415

    named = Settings.load({}).encoder
    if named == AUTO:
        return detect().choice()
    return Choice(named, "the setting `encoder` (PICTOGRAPH_ENCODER, --encoder) names it.", None)


def shown(model: InstalledModel) -> tuple[str, ...]:
    state = "damaged" if model.fault else "ok"
    return model.name, f"{model.size / 1e6:.1f}", model.revision or "not read yet", model.origin, state


def offline_cells() -> tuple[str, ...]:
    row = offline_row()
    return row["name"], "", row["revision"], row["origin"], "ok"


def offline_row() -> dict[str, Any]:
    from pictograph.encode.registry import describe_encoder  # noqa: PLC0415

    spec = describe_encoder("offline")
    nothing = {"size": None, "folder": None, "fault": None}
    return {"name": spec.name, "revision": spec.revision, "origin": "comes with Pictograph"} | nothing


def described(model: InstalledModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "size": model.size,
        "revision": model.revision,
        "origin": model.origin,
        "folder": str(model.folder),
        "fault": model.fault,
    }


def plain_choice(choice: Choice) -> dict[str, Any]:
    return {"encoder": choice.name, "why": choice.why, "hint": choice.hint}


def judged(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "ok": not verdict.faults,
        "compared": verdict.manifest is not None,
        "faults": [fault._asdict() for fault in verdict.faults],
        "fix": verdict.fix,
    }


def print_verdict(verdict: Verdict) -> None:
    if verdict.faults:
        say(f"{verdict.name} is DAMAGED:")
        for fault in verdict.faults:
            say(f"  {fault}")
        say(f"  fix: {verdict.fix}")
    elif verdict.manifest:
        manifest = verdict.manifest
        say(f"{verdict.name} is whole: {len(manifest.files)} files as in its manifest ({manifest.origin}).")
    else:
        say(
            f"{verdict.name} can be read, but it has no manifest, so there is nothing to compare it with. If you "
            f"trust it: pictograph model verify {verdict.name} --record"
        )


def say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def say_how_to_start(name: str, folder: Path) -> None:
    say(f"  folder    {folder}")
    say(f"  start     {command_name()} serve --encoder {name}")
