"""The example notebook runs from its first cell to its last, and its answers show themselves."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "curate.ipynb"


def code_cells() -> list[str]:
    return ["".join(cell["source"]) for cell in opened()["cells"] if cell["cell_type"] == "code"]


def opened() -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return notebook


def run(cell: str, names: dict[str, Any]) -> Any:
    """What the cell's last line gives, as a notebook shows it below."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), names)
    return (
        eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names) if isinstance(last, ast.Expr) else None
    )


def test_the_notebook_is_saved_without_outputs_and_each_cell_has_an_id() -> None:
    notebook = opened()
    assert (notebook["nbformat"], notebook["nbformat_minor"] >= 5) == (4, True)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.long
@pytest.mark.acceptance
@pytest.mark.timeout(300)
def test_every_cell_runs_and_every_answer_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {"__name__": "__main__"}
    shown: list[Any] = []
    try:
        for cell in code_cells():
            shown.append(run(cell, names))
            if hasattr(shown[-1], "_repr_html_") and type(shown[-1]).__module__.startswith("pictograph"):
                assert "data:image/jpeg;base64," in (shown[-1]._repr_html_() or ""), cell
    finally:
        if "client" in names:
            names["client"].close()
    grids = [type(thing).__name__ for thing in shown if hasattr(thing, "_repr_html_")]
    assert {"Dataset", "TaggedResults", "SearchResults"} <= {*grids}
    assert names["report"].success
    assert {"filename", "similarity", "objects"} <= {*names["table"].columns}
    assert all(path.is_file() for path in names["alike"].to_paths(names["photos"]))
    assert len(names["alike"]) > 1
