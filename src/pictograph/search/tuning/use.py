"""The costs that hold for a library: those measured for it, else the defaults."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from pictograph.db.pool import Database
from pictograph.errors import ConfigurationError
from pictograph.index.costs import StoredCosts, find_costs, save_costs
from pictograph.search.execute import DEFAULT_COSTS, Executor
from pictograph.search.planner import Costs
from pictograph.search.tuning.fit import POLICY, require_sane

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CostsInUse:
    """What the planner weighs with, and where it is from."""

    costs: Costs
    measured: StoredCosts | None
    """None: these are the defaults."""
    ignored: str | None = None
    """Why a measurement that is stored is not used."""


async def costs_in_use(database: Database) -> CostsInUse:
    """What a server of this library plans with; the defaults too if what is stored does not fit this version."""
    stored = await find_costs(database)
    if stored is None:
        return CostsInUse(DEFAULT_COSTS, None)
    try:
        return CostsInUse(costs_from(stored.costs), stored)
    except ConfigurationError as error:
        return CostsInUse(DEFAULT_COSTS, None, f"what version {stored.version} measured is not used. {error.message}")


async def store_costs(database: Database, costs: Costs, machine: str) -> None:
    """For every server of this library, from now on. Raises ConfigurationError for costs that no machine has."""
    require_sane(costs)
    await save_costs(database, asdict(costs), machine)


def costs_from(values: Mapping[str, float]) -> Costs:
    """Costs from what was stored. Raises ConfigurationError if names are missing or unknown, or values no costs."""
    names = asdict(DEFAULT_COSTS).keys()
    if values.keys() != names:
        different = ", ".join(sorted(names ^ values.keys()))
        raise ConfigurationError(f"This version measures other costs ({different}). Run `pictograph tune` again.")
    wrong = [name for name, value in values.items() if isinstance(value, bool) or not isinstance(value, int | float)]
    if wrong:
        raise ConfigurationError(f"{', '.join(wrong)} must be numbers. Run `pictograph tune` again.")
    costs = replace(Costs(**dict(values)), exact_up_to=int(values[POLICY]))  # type: ignore[arg-type]
    require_sane(costs)
    return costs


class FollowedCosts:
    """Keeps what an executor plans with as the library has it, whoever measures."""

    def __init__(self, database: Database, executor: Executor) -> None:
        self._database = database
        self._executor = executor
        self._ignored: str | None = None

    async def refresh(self) -> None:
        """Takes up a measurement, or that there is none any more."""
        now = await costs_in_use(self._database)
        if now.ignored and now.ignored != self._ignored:
            logger.warning("Searches are planned with the default costs: %s", now.ignored)
        self._ignored = now.ignored
        if now.costs != self._executor.costs:
            logger.info("Searches are planned with %s", now.costs)
            self._executor.costs = now.costs
