"""`serve`, `worker`, `index`, `status`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from pictograph.cli.connection import connected
from pictograph.cli.output import Json, byte_bar, console, errors, print_json, print_table
from pictograph.cli.streams import OutputLost
from pictograph.client.walk import given_path
from pictograph.errors import ConfigurationError
from pictograph.localconfig import LocalConfig, config_path
from pictograph.settings import Settings, help_of, unknown_variables
from pictograph.telemetry import set_up_logging
from pictograph_search import command_name, install_command

if TYPE_CHECKING:
    from pictograph.server.run import Start


logger = logging.getLogger(__name__)


def described(name: str, *flags: str, **options: Any) -> typer.models.OptionInfo:
    """An option whose help is the setting's own."""
    described_as = f"{help_of(name)} [PICTOGRAPH_{name.upper()}]"
    return typer.Option(*flags, help=described_as, show_default=False, **options)  # type: ignore[no-any-return]


Host = Annotated[str | None, described("host", "--host")]
Port = Annotated[int | None, described("port", "--port")]
PublicUrl = Annotated[str | None, described("public_url", "--public-url")]
AllowedHosts = Annotated[str | None, described("allowed_hosts", "--allowed-hosts")]
DataDir = Annotated[Path | None, described("data_dir", "--data-dir", parser=given_path, metavar="<path>")]
DatabaseUrl = Annotated[str | None, described("database_url", "--database-url")]
BlobUrl = Annotated[str | None, described("blob_url", "--blob-url")]
EncoderName = Annotated[str | None, described("encoder", "--encoder")]
HttpWorkers = Annotated[int | None, described("http_workers", "--http-workers")]
Workers = Annotated[int | None, described("workers", "--workers")]
WorkerBatch = Annotated[int | None, described("worker_batch", "--worker-batch")]
WorkerThreads = Annotated[int | None, described("worker_threads", "--worker-threads")]
LeaseS = Annotated[float | None, described("lease_s", "--lease-s")]
MaxBytes = Annotated[int | None, described("max_bytes", "--max-bytes")]
MaxPixels = Annotated[int | None, described("max_pixels", "--max-pixels")]
IndexBytes = Annotated[int | None, described("index_bytes", "--index-bytes")]
IndexDir = Annotated[Path | None, described("index_dir", "--index-dir", parser=given_path, metavar="<path>")]
LogLevel = Annotated[str | None, described("log_level", "--log-level")]
AdoptBlobStore = Annotated[
    bool,
    typer.Option(
        "--adopt-blob-store",
        help="Make this blob store the library's own, once every file is found in it: after a move or a restore.",
    ),
]
LogFormat = Annotated[str | None, described("log_format", "--log-format")]
AccessLog = Annotated[bool | None, described("access_log", "--access-log/--no-access-log")]
ExitWithParent = Annotated[
    bool, typer.Option("--exit-with-parent", help="Stop when standard input closes.", hidden=True)
]

BeatTo = Annotated[
    int | None, typer.Option("--beat-to", help="Write signs of life to this file descriptor.", hidden=True)
]


def serve(
    host: Host = None,
    port: Port = None,
    public_url: PublicUrl = None,
    allowed_hosts: AllowedHosts = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    blob_url: BlobUrl = None,
    encoder: EncoderName = None,
    http_workers: HttpWorkers = None,
    workers: Workers = None,
    worker_batch: WorkerBatch = None,
    worker_threads: WorkerThreads = None,
    lease_s: LeaseS = None,
    max_bytes: MaxBytes = None,
    max_pixels: MaxPixels = None,
    index_bytes: IndexBytes = None,
    index_dir: IndexDir = None,
    log_level: LogLevel = None,
    adopt_blob_store: AdoptBlobStore = False,
    log_format: LogFormat = None,
    access_log: AccessLog = None,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print every setting's value and exit.")
    ] = False,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Run the service: database, HTTP API and workers. Ctrl-C stops it; nothing accepted is ever lost.

    The first start writes the address and a key to ~/.pictograph/config.toml, where the SDK and this command
    find them.
    """
    settings = Settings.load({name: value for name, value in locals().items() if name in Settings.__slots__})
    if show_settings:
        for warning in unknown_variables():
            typer.echo(warning, err=True)
        print_table("Settings", ("setting", "value"), settings.shown().items())
        return
    set_up_logging(settings.log_level, role="server", log_format=settings.log_format)
    warn_of_unknown_variables()
    require_server().serve(
        settings,
        announce=lambda start: announce_if_heard(start, settings),
        fetch=fetch_model,
        adopt=told_of_files if adopt_blob_store else None,
        exit_with_parent=exit_with_parent,
    )


def serve_http(
    listener: Annotated[int, typer.Option("--listener")],
    board: Annotated[int, typer.Option("--board")],
    beat_to: Annotated[int, typer.Option("--beat-to")],
) -> None:
    """Be one of several serving processes of `pictograph serve`, which starts this and passes open files."""
    settings = Settings.load({})
    set_up_logging(settings.log_level, role="server", log_format=settings.log_format, is_one_of_several=True)
    from pictograph.server.serving_process import Given, serve_part  # noqa: PLC0415 - as in `require_server`

    serve_part(settings, Given(listener=listener, board=board, signs=beat_to))


def encode_pictures(
    listener: Annotated[int, typer.Option("--listener")],
    beat_to: Annotated[int, typer.Option("--beat-to")],
) -> None:
    """Be the process that encodes pictures sent as questions; `pictograph serve` starts it."""
    settings = Settings.load({})
    set_up_logging(settings.log_level, role="pictures", log_format=settings.log_format)
    from pictograph.server import picture_encoder  # noqa: PLC0415 - as in `require_server`

    picture_encoder.encode_pictures(settings, listener, beat_to)


def worker(
    database_url: DatabaseUrl = None,
    blob_url: BlobUrl = None,
    data_dir: DataDir = None,
    encoder: EncoderName = None,
    worker_batch: WorkerBatch = None,
    worker_threads: WorkerThreads = None,
    lease_s: LeaseS = None,
    max_bytes: MaxBytes = None,
    max_pixels: MaxPixels = None,
    log_level: LogLevel = None,
    adopt_blob_store: AdoptBlobStore = False,
    log_format: LogFormat = None,
    exit_with_parent: ExitWithParent = False,
    beat_to: BeatTo = None,
) -> None:
    """Run one more worker, on this or another machine, against the database and the blob store of a service."""
    settings = Settings.load({name: value for name, value in locals().items() if name in Settings.__slots__})
    set_up_logging(settings.log_level, role="worker", log_format=settings.log_format)
    if beat_to is None:  # else the service that started it has said it
        warn_of_unknown_variables()
    require_server().work(
        settings,
        adopt=told_of_files if adopt_blob_store else None,
        exit_with_parent=exit_with_parent,
        beat_to=beat_to,
    )


def index(
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    index_bytes: IndexBytes = None,
    index_dir: IndexDir = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Build the index that servers of this data folder read, and renew it until Ctrl-C. `serve` does it by itself."""
    settings = Settings.load({name: value for name, value in locals().items() if name in Settings.__slots__})
    set_up_logging(settings.log_level, role="index", log_format=settings.log_format)
    require_server().build_index(settings, exit_with_parent=exit_with_parent)


def find_duplicates(
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Find the near-duplicates that somebody waits for, then end. `serve` does it by itself."""
    settings = Settings.load({name: value for name, value in locals().items() if name in Settings.__slots__})
    set_up_logging(settings.log_level, role="duplicates", log_format=settings.log_format)
    require_server().find_duplicates(settings, exit_with_parent=exit_with_parent)


def warn_of_unknown_variables() -> None:
    for warning in unknown_variables():
        logger.warning(warning)


def status(context: typer.Context, as_json: Json = False) -> None:
    """Show whether the service is ready, which encoder runs, and how many images wait."""
    with connected(context) as client:
        health = client.ready()
        if as_json:
            print_json(health.model_dump(mode="json") | {"base_url": client.base_url})
            return
        rows = [
            ("address", client.base_url),
            ("version", health.version),
            ("encoder", health.encoder),
            ("workers", health.workers),
            ("images waiting", health.queue),
            ("index", health.index),
            *(
                (f"disk of the {room.holds}", f"{room.free_bytes / 1e9:.1f} of {room.total_bytes / 1e9:.1f} GB free")
                for room in health.storage
            ),
            *(("warning", text) for text in health.warnings),
        ]
        print_table("Ready", ("", ""), rows)


def require_server() -> ModuleType:
    """The server's code, whose packages the plain SDK does not bring."""
    try:
        from pictograph.server import run  # noqa: PLC0415 - the SDK's command must start without FastAPI
    except ImportError as error:
        raise ConfigurationError(f"The service needs {error.name}: {install_command('server')}") from error
    return run


def told_of_files(seen: int, total: int) -> None:
    """How far the look at all files is; a line for each hundred thousand, and the last."""
    if seen == total or seen % 100_000 == 0:
        errors.print(f"Looked for {seen} of {total} files in the blob store", highlight=False)


def fetch_model(name: str) -> None:
    """From the hub, with a bar: seconds to many minutes. Stopped, it goes on where it was at the next start."""
    from pictograph.models.pull import pull  # noqa: PLC0415

    errors.print(f"Looking for {name} on the model hub ...", highlight=False)
    with byte_bar(f"Fetching {name}") as bar:
        pull(name, report=bar)


def announce_if_heard(start: Start, settings: Settings) -> None:
    """As `announce`; where standard output takes nothing, the service runs all the same and the log says so."""
    try:
        announce(start, settings)
    except OutputLost as lost:
        logging.getLogger(__name__).warning(
            "Ready at %s. Nothing else is shown: standard output cannot be written (%s)", start.address, lost
        )


def announce(start: Start, settings: Settings) -> None:
    """What a person wants to know once the service takes requests."""
    address, config = start.address, start.config
    console.print(f"\n[bold green]Pictograph is ready[/] at [bold]{address}[/]  (API: {address}/docs)", soft_wrap=True)
    for line in encoder_lines(start):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"  data      {escape(str(settings.data_folder))}", highlight=False, soft_wrap=True)
    console.print(f"  {escape(key_line(config))}", highlight=False, soft_wrap=True)
    console.print(
        f"  try       {command_name()} upload DIR --dataset NAME, or python: from pictograph import Client\n",
        highlight=False,
        soft_wrap=True,
    )


def encoder_lines(start: Start) -> Iterator[str]:
    """Which encoder runs, why, and what would change that."""
    yield f"  encoder   {start.encoder}{DEMO_NOTE if start.encoder == 'offline' else ''}"
    if start.choice:
        yield f"            {start.choice.why}"
        if start.choice.hint:
            yield f"            for SigLIP 2: {start.choice.hint}, then pictograph reindex --encoder NAME"


DEMO_NOTE = "  (the demo encoder: objects and likeness of everyday things; docs/offline-encoder.md)"


def key_line(config: LocalConfig) -> str:
    path = config_path()
    if config.api_key is None:
        return f"key       use one made for this service; {path} belongs to another"
    if path.exists() and config.api_key in path.read_text(encoding="utf-8"):
        return f"key       in {path}"
    return f"key       {config.api_key}  (shown once; {path} belongs to another service)"
