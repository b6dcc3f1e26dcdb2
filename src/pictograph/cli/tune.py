"""`tune`."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from pictograph.cli.output import Json, console, print_json, print_table, progress_bar
from pictograph.cli.service import DatabaseUrl, DataDir, require_server
from pictograph.errors import ConfigurationError
from pictograph.settings import Settings, available_cores

if TYPE_CHECKING:
    from pictograph.db.pool import Database
    from pictograph.search.planner import Costs
    from pictograph.search.tuning.crossovers import Crossover
    from pictograph.search.tuning.fit import Checked, Timing
    from pictograph.search.tuning.use import CostsInUse

Result = TypeVar("Result")
IMAGES: Final = 20_000
SECONDS: Final = 20.0
STORED: Final = "Stored: every service of this library plans with it within half a minute."
LEAST_IMAGES: Final = 10_100
"""With fewer, too few images carry the tag for tags to be looked at row by row."""


def tune(
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure and show, store nothing.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Show what is in use and where it is from.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget the measurement: the defaults again.")] = False,
    images: Annotated[
        int, typer.Option("--images", min=LEAST_IMAGES, help="Images in the library it is measured with.", hidden=True)
    ] = IMAGES,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, max=600, help="How long searches are timed.", hidden=True)
    ] = SECONDS,
    as_json: Json = False,
) -> None:
    """Measure what searches take on this machine, so that the planner chooses well here. Takes less than a minute.

    Run it where the service runs, with the service's --data-dir or --database-url, while little else happens; the
    service may run. It works in a database of its own, which is gone afterwards. Every service of the library takes the
    result up within half a minute.
    """
    if sum([dry_run, show, reset]) > 1:
        raise ConfigurationError("Give one of --dry-run, --show, --reset.")
    require_server()
    from pictograph.services import library_database  # noqa: PLC0415 - the SDK's command must start without these

    settings = Settings.load({"data_dir": data_dir, "database_url": database_url})
    with library_database(settings) as conninfo:
        if show or reset:
            show_in_use(on_loop(with_database(conninfo, forgotten if reset else in_use)), as_json=as_json)
            return
        before = on_loop(with_database(conninfo, in_use))
        timings = timings_of(conninfo, images, seconds)
        from pictograph.search.tuning.fit import checked, fit, require_sane  # noqa: PLC0415

        costs = fit(timings)
        checks = checked(timings, costs)
        if not as_json:
            show_measured(before.costs, costs, checks)
        require_sane(costs)
        if not dry_run:
            on_loop(with_database(conninfo, lambda database: stored(database, costs)))
    if as_json:
        print_json(measured_json(before.costs, costs, checks) | {"stored": not dry_run})
    else:
        console.print("Nothing was stored." if dry_run else STORED, highlight=False)


def timings_of(conninfo: str, images: int, seconds: float) -> list[Timing]:
    """Measured in a database beside the library's, with a bar."""
    from pictograph.db.scratch import scratch_database  # noqa: PLC0415
    from pictograph.search.tuning.measure import measure  # noqa: PLC0415

    with progress_bar("Measuring", 100) as bar, scratch_database(conninfo) as scratch:

        def report(share: float) -> None:
            bar(int(100 * share), 100)

        return on_loop(with_database(scratch, lambda database: measure(database, images, seconds, report)))


async def in_use(database: Database) -> CostsInUse:
    from pictograph.search.tuning.use import costs_in_use  # noqa: PLC0415

    return await costs_in_use(database)


async def forgotten(database: Database) -> CostsInUse:
    from pictograph.index.costs import forget_costs  # noqa: PLC0415

    await forget_costs(database)
    return await in_use(database)


async def stored(database: Database, costs: Costs) -> None:
    from pictograph.search.tuning.use import store_costs  # noqa: PLC0415

    await store_costs(database, costs, this_machine())


def this_machine() -> str:
    return f"{platform.node()} ({platform.system()} {platform.machine()}, {available_cores()} cores)"


async def with_database(conninfo: str, use: Callable[[Database], Awaitable[Result]]) -> Result:
    from pictograph.db.pool import Database  # noqa: PLC0415

    database = Database(conninfo, max_connections=4)
    await database.open()
    try:
        return await use(database)
    finally:
        await database.close()


def on_loop(what: Coroutine[Any, Any, Result]) -> Result:
    """Runs it on the event loop that the service has, because a slower one would be measured too."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:  # not on Windows
        return asyncio.run(what)
    return uvloop.run(what)


def show_in_use(now: CostsInUse, *, as_json: bool) -> None:
    from pictograph.search.tuning.crossovers import crossovers  # noqa: PLC0415

    measured = now.measured
    found = crossovers(now.costs)
    if as_json:
        source = {"machine": measured.machine, "version": measured.version} if measured else None
        measured_at = measured.measured_at.isoformat() if measured else None
        print_json(
            {
                "costs": asdict(now.costs),
                "measured": source | {"measured_at": measured_at} if source else None,
                "ignored": now.ignored,
                "crossovers": [asdict(one) for one in found],
            }
        )
        return
    if now.ignored:
        origin = f"defaults: {now.ignored}"
    elif measured:
        origin = f"measured {measured.measured_at:%Y-%m-%d %H:%M} UTC on {measured.machine}, version {measured.version}"
    else:
        origin = "defaults: nothing was measured; run pictograph tune"
    print_table(f"Costs ({origin})", ("cost", "in use"), ((n, shown(v)) for n, v in asdict(now.costs).items()))
    print_table("Codes answer scopes from", ("question", "images"), ((named(one), scope(one)) for one in found))


def measured_json(before: Costs, costs: Costs, checks: Sequence[Checked]) -> dict[str, Any]:
    from pictograph.search.planner import Costs as Defaults  # noqa: PLC0415
    from pictograph.search.tuning.crossovers import crossovers  # noqa: PLC0415

    return {
        "costs": asdict(costs),
        "before": asdict(before),
        "defaults": asdict(Defaults()),
        "crossovers": [asdict(one) for one in crossovers(costs)],
        "crossovers_before": [asdict(one) for one in crossovers(before)],
        "timings": [
            {"step": one.timing.step, **asdict(one.timing.terms)}
            | {"measured_ms": one.timing.ms, "estimated_ms": one.estimated_ms}
            for one in checks
        ],
    }


def show_measured(before: Costs, costs: Costs, checks: Sequence[Checked]) -> None:
    """What was measured, what follows, and how well it explains the timings."""
    from pictograph.search.planner import Costs as Defaults  # noqa: PLC0415
    from pictograph.search.tuning.crossovers import crossovers  # noqa: PLC0415

    was, now, defaults = crossovers(before), crossovers(costs), asdict(Defaults())
    print_table(
        "Measured",
        ("cost", "default", "in use before", "measured"),
        (
            (name, shown(defaults[name]), shown(asdict(before)[name]), shown(value))
            for name, value in asdict(costs).items()
        ),
    )
    print_table(
        "Codes answer scopes from",
        ("question", "images, before", "now"),
        ((named(new), scope(old), scope(new)) for old, new in zip(was, now, strict=True)),
    )
    print_table(
        "How well that explains what was timed, in ms",
        ("step", "images", "rows", "candidates", "timed", "estimated", "ratio"),
        (
            (
                one.timing.step,
                one.timing.terms.size,
                one.timing.terms.rows,
                f"{one.timing.terms.candidates} ({one.timing.terms.kind})" if one.timing.terms.candidates else "",
                f"{one.timing.ms:.2f}",
                f"{one.estimated_ms:.2f}",
                f"{one.ratio:.2f}",
            )
            for one in checks
        ),
    )


def named(one: Crossover) -> str:
    what = "pictures" if one.kind == "image" else "words"
    return f"{what}, {one.rows} rows{', tags of every tenth' if one.tags else ''}"


def scope(one: Crossover) -> str:
    return "none" if one.size is None else f"{one.size:,}"


def shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
