"""The blocking client is made of the asyncio one, and is what its maker gives now."""

from __future__ import annotations

import ast
import inspect

from scripts import build_client

from pictograph.client import synchronous, tasks, threads


def test_the_blocking_client_is_as_the_script_makes_it() -> None:
    assert build_client.MADE.read_text() == build_client.made(), "Run: python scripts/build_client.py"


def test_it_says_who_made_it_and_holds_nothing_of_asyncio() -> None:
    source = inspect.getsource(synchronous)
    assert "scripts/build_client.py" in source.splitlines()[0]
    awaits = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, awaits)]
    assert not [word for word in ("await ", "Async", "asyncio") if word in source]


def test_either_way_to_wait_takes_the_same() -> None:
    for name in ("pause", "run_blocking", "side_by_side"):
        twins = [inspect.signature(getattr(module, name)) for module in (tasks, threads)]
        assert list(twins[0].parameters) == list(twins[1].parameters), name
