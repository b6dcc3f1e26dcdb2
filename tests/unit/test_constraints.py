"""constraints.txt has a version of everything that pyproject.toml asks for, and nothing but names and versions."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PINS = dict(line.split("==") for line in LINES)
ASKED = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]


def test_each_line_is_a_name_and_a_version_and_nothing_of_where_it_was_made() -> None:
    assert [line for line in LINES if not re.fullmatch(r"[a-z0-9.-]+==[0-9][0-9a-z.]*", line)] == []


@pytest.mark.parametrize("asked", sorted({line for line in ASKED if not line.startswith(PROJECT["name"])}))
def test_what_the_project_asks_for_is_pinned_within_what_it_allows(asked: str) -> None:
    requirement = Requirement(asked)
    name = canonicalize_name(requirement.name)
    assert name in PINS, f"{name} is not in constraints.txt: run `make lock`, or add a line name==version"
    assert requirement.specifier.contains(PINS[name], prereleases=True)
