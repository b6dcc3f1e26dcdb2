"""What would be gained by fitting the planner's costs to each machine? The formulas alone: no database, no clock.

A machine is the defaults with some costs some times off. For each kind of question, the plan that the defaults choose
is priced with the machine's own costs, and so is the plan that those choose: the difference is what planning with the
defaults loses (the regret).

python -m benchmarks.planning
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from benchmarks.common import report
from pictograph.index.candidates import QueryKind
from pictograph.search.planner import Costs, Terms, plan, weigh

SIZES = (1000, 3000, 5000, 8000, 12_000, 20_000, 50_000, 100_000, 300_000, 1_000_000)
ROWS: tuple[tuple[int, QueryKind, int], ...] = ((50, "image", 125), (50, "text", 300), (500, "image", 1250))
"""Rows asked for, what the vector was made of, and how many candidates that takes."""
CARRIED = (None, 1.0, 0.5, 0.1, 0.02, 0.002, 0.0, -1.0)
"""Share of the scope that carries the tags; None: no tags are asked for; -1: how many carry them is not known."""
DATABASE = ("statement_ms", "row_us", "exact_row_us", "filter_row_us", "rerank_row_us")
CODES = ("codes_ms", "code_row_us", "refine_row_us")
MACHINES = {
    "database 3 x slower": (DATABASE, 3.0),
    "database 3.5 x faster": (DATABASE, 1 / 3.5),
    "codes 3 x slower": (CODES, 3.0),
    "codes 3.5 x faster": (CODES, 1 / 3.5),
}


def questions() -> list[Terms]:
    """Every kind of question: scope, rows, words or pictures, and how many images carry the tags."""
    found = []
    for size, (rows, kind, candidates), carried in itertools.product(SIZES, ROWS, CARRIED):
        known = None if carried is None or carried < 0 else round(size * carried)
        found.append(Terms(size, rows, candidates, kind, size, carried is not None, known))
    return found


def regret_ms(question: Terms, machine: Costs) -> float:
    """How much longer the plan of the defaults takes on this machine than the machine's own best plan."""
    prices = {option.name: option.estimated_ms for option in weigh(question, machine)}
    return prices[plan(question, Costs()).name] - prices[plan(question, machine).name]


def main() -> None:
    """Prints one line for each machine."""
    asked = questions()
    for name, (costs, factor) in MACHINES.items():
        machine = replace(Costs(), **{cost: getattr(Costs(), cost) * factor for cost in costs})
        regrets = np.array([regret_ms(question, machine) for question in asked])
        differ = sum(plan(question, machine).name != plan(question, Costs()).name for question in asked)
        report(
            "ms lost by planning with the default costs",
            costs=name,
            decisions=len(asked),
            differ=differ,
            mean=round(float(regrets.mean()), 3),
            p90=round(float(np.percentile(regrets, 90)), 2),
            p99=round(float(np.percentile(regrets, 99)), 2),
            worst=round(float(regrets.max()), 1),
        )


if __name__ == "__main__":
    main()
