"""Beside another product of the same name: we say so, and every command that we name works from where we came from."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import warnings
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

import pictograph
import pictograph_search
from pictograph_search import (
    DISTRIBUTION,
    OUR_SUMMARY,
    NamesakeWarning,
    command_name,
    install_command,
    quoted,
    requirement,
    warn_of_namesake,
)

ROOT = Path(__file__).parents[2]
SOURCE = Path(pictograph.__file__).parents[1]
NAMESAKE_LINE = 'The distribution "pictograph" 1.69.146 (another product) is installed in this environment too'


def install_namesake(folder: Path, summary: str = "agent-native annotation platform", package: bool = False) -> Path:
    """As pip would leave it; its package only on request."""
    record = folder / "pictograph-1.69.146.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: pictograph\nVersion: 1.69.146\nSummary: {summary}\n"
    )
    if package:
        (folder / "pictograph").mkdir()
        (folder / "pictograph" / "__init__.py").write_text("raise ImportError('needs pydantic_settings')\n")
    return folder


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


COMMAND = "import sys; sys.argv = ['pictograph', '--version']; from pictograph_search.command import run; run()"


def test_the_command_says_in_one_line_that_the_other_product_is_installed_too(tmp_path: Path) -> None:
    ran = run(COMMAND, install_namesake(tmp_path))
    assert ran.returncode == 0
    assert ran.stdout.startswith("pictograph ")
    [line] = ran.stderr.splitlines()
    assert line.startswith(NAMESAKE_LINE)
    assert "-m pip uninstall pictograph, then" in line
    assert install_command("server") in line


def test_without_it_the_command_says_nothing() -> None:
    assert run(COMMAND).stderr == ""


def test_the_sdk_warns_at_import(tmp_path: Path) -> None:
    ran = run("from pictograph import Client", install_namesake(tmp_path))
    assert ran.returncode == 0
    assert f"NamesakeWarning: {NAMESAKE_LINE}" in ran.stderr


def test_where_the_other_package_is_found_first_the_command_names_it_and_stops(tmp_path: Path) -> None:
    ran = run(COMMAND, install_namesake(tmp_path, package=True), SOURCE)
    assert ran.returncode == 2
    [line] = ran.stderr.splitlines()
    assert line.startswith(f"The package `pictograph` in {tmp_path / 'pictograph'} is that of the distribution")


def test_our_own_versions_under_the_old_name_are_no_other_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(install_namesake(tmp_path, f"{OUR_SUMMARY}, on your own machine")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_namesake()


def test_another_product_warns_once_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(install_namesake(tmp_path)))
    with pytest.warns(NamesakeWarning) as caught:
        warn_of_namesake()
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        (None, '"pictograph-search[server]"'),
        ({"url": "file:///a%24b/c", "dir_info": {}}, "'/a$b/c[server]'"),
        ({"url": "file:///a%20b/c", "dir_info": {"editable": True}}, '--editable "/a b/c[server]"'),
        ({"url": "file:///a/c", "dir_info": {}}, '"/a/c[server]"'),
        ({"url": "file:///d/p-0.1.0-py3-none-any.whl", "archive_info": {}}, '"/d/p-0.1.0-py3-none-any.whl[server]"'),
        ({"url": "https://h/p.whl", "archive_info": {}}, '"pictograph-search[server] @ https://h/p.whl"'),
        (
            {"url": "https://h/p.git", "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "v1"}},
            '"pictograph-search[server] @ git+https://h/p.git@v1"',
        ),
        (
            {"url": "file:///r/p", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            '"pictograph-search[server] @ git+file://localhost/r/p@abc"',
        ),
    ],
)
def test_an_extra_comes_from_where_the_rest_came_from(tmp_path: Path, record: object, asked: str) -> None:
    if record is not None:
        (tmp_path / "direct_url.json").write_text(json.dumps(record))
    assert requirement(PathDistribution(tmp_path), "[server]") == asked


@pytest.mark.parametrize(
    "path", ["/a/b", "/a b/c", "/a(b)/c", "/a$b", "/a'b", '/a"b', "/a`b`", "/a&b", "/ä/b", "/a!b", "/a\\b c", "/a;b"]
)
def test_a_shell_reads_a_path_as_one_word(path: str) -> None:
    assert shlex.split(quoted(path)) == [path]


def test_a_path_that_needs_none_has_no_quotation_marks() -> None:
    assert quoted("/tmp/ä-1.0/bin_x") == "/tmp/ä-1.0/bin_x"


def test_pip_and_the_command_are_those_of_this_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("python", "pictograph"):
        (tmp_path / "my env").mkdir(exist_ok=True)
        (tmp_path / "my env" / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "my env" / "python"))
    monkeypatch.setattr(pictograph_search, "command_name", command_name.__wrapped__)
    assert install_command().startswith(f'"{tmp_path}/my env/python" -m pip install ')
    assert command_name.__wrapped__() == f'"{tmp_path}/my env/pictograph"'
    monkeypatch.chdir(tmp_path)
    assert command_name.__wrapped__() == '"my env/pictograph"'
    monkeypatch.setenv("PATH", str(tmp_path / "my env"))
    assert command_name.__wrapped__() == "pictograph"


def test_the_name_of_the_distribution_is_one_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION == pictograph.__distribution__
    assert project["description"].startswith(OUR_SUMMARY)
    assert set(project["scripts"]) == {"pictograph", DISTRIBUTION}
    assert f"dist/pictograph_search-{pictograph.__version__}-py3-none-any.whl" in (ROOT / "README.md").read_text()


def test_nothing_tells_anybody_to_install_the_other_product() -> None:
    """`pip install pictograph`, its extras and its updates: on PyPI that is another company's."""
    wrong = re.compile(r"pip3? install\b[^\n`]*?[\s\"']pictograph(?![-_\w/.])")
    warning = "`pip install pictograph` installs"
    pages = [ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.md"), *ROOT.glob(".ci/*")]
    folders = [ROOT / name for name in ("src", "docs", "scripts", "benchmarks", "examples")]
    pages += [
        path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".md", ".toml", ".sql"}
    ]
    found = {
        str(path.relative_to(ROOT)): wrong.findall(path.read_text().replace(warning, ""))
        for path in pages
        if path.is_file()
    }
    assert {path: hits for path, hits in found.items() if hits} == {}
