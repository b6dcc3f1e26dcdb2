"""The docs say what the code does: settings, endpoints, errors, files, examples."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from pictograph.errors import api_error_classes
from pictograph.server.app import create_app
from pictograph.settings import Settings
from pictograph.tagging.taxonomy import load_taxonomy
from pictograph.types import TAG_CATEGORIES
from pictograph.version import __version__

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), ROOT / "CONTRIBUTING.md"])


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.name)
def test_every_setting_is_in_the_settings_page_with_its_default_and_its_help(item: object) -> None:
    name, default = item.name, item.default  # type: ignore[attr-defined]
    row = next(line for line in page("docs/settings.md").splitlines() if line.startswith(f"| `{name}` "))
    assert f"`PICTOGRAPH_{name.upper()}`" in row
    assert default is None or f"`{default}`" in row
    assert item.metadata["help"] in row  # type: ignore[attr-defined]


def test_every_endpoint_is_in_the_http_page() -> None:
    text = page("docs/http-api.md")
    paths = create_app(Settings(), "").openapi()["paths"]
    for path, methods in paths.items():
        shown = path.removeprefix("/api/v1/developer").replace("/api/v1/uploads/{token}", "<upload_url>")
        assert shown in text, f"{path} is not documented"
        assert any(f"`{method.upper()} {shown}" in text for method in methods) or shown.startswith("/api/v1/api-keys")


def test_every_error_is_in_the_http_page_with_its_status() -> None:
    rows = [line for line in page("docs/http-api.md").splitlines() if line.startswith("| ")]
    for error_class in api_error_classes():
        if error_class.__name__ == "ApiError":
            continue
        row = next(line for line in rows if f"`{error_class.__name__}`" in line)
        assert f"`{error_class.code}`" in row
        assert str(error_class.status) in row or "5xx" in row


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_in_the_docs_is_python(path: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(block)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_the_docs_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_decisions_name_files_that_exist() -> None:
    named = re.compile(
        r"`((?:db|encode|index|ingest|jobs|models|search|server|spaces|store|tagging|upload|tests)/[\w/]+\.(?:py|sql))`"
    )
    for path in ROOT.glob("docs/decisions/*.md"):
        for name in named.findall(path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists() or (ROOT / "src/pictograph" / name).exists(), f"{path.name} names {name}"


def test_the_readme_counts_the_labels_of_the_taxonomy() -> None:
    counts = [len(load_taxonomy().names(category)) for category in TAG_CATEGORIES]
    assert "{} objects, {} scenes and {} attributes".format(*counts) in page("README.md")


def test_the_changelog_has_this_version() -> None:
    assert f"## {__version__}" in page("CHANGELOG.md")


def test_the_sdk_depends_on_nothing_heavy() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    names = {re.split(r"[<>=\[]", requirement)[0] for requirement in project["dependencies"]}
    assert names == {"httpx", "pydantic", "rich", "typer"}
