"""`/docs` and `/redoc` need nothing but the service, and may reach nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from support.services import Service

PAGES = ["/docs", "/redoc"]


def policy(answer: httpx.Response) -> dict[str, list[str]]:
    directives = (directive.split() for directive in answer.headers["Content-Security-Policy"].split(";"))
    return {name: values for name, *values in directives}


@pytest.mark.parametrize("path", PAGES)
def test_all_that_the_page_loads_comes_from_this_service(service: Service, path: str) -> None:
    page = httpx.get(f"{service.address}{path}")
    assert page.status_code == 200
    named = re.findall(r"(?:src|href|spec-url|url)\s*[=:]\s*[\"']([^\"']+)[\"']", page.text)
    assert len(named) >= 3
    for name in named:
        address = urljoin(str(page.url), name)
        assert urlsplit(address).netloc == urlsplit(service.address).netloc, name
        loaded = httpx.get(address)
        assert loaded.status_code == 200, name
        assert len(loaded.content) > 1000, name


@pytest.mark.parametrize("path", PAGES)
def test_the_policy_lets_in_the_service_and_the_scripts_of_the_page_alone(service: Service, path: str) -> None:
    page = httpx.get(f"{service.address}{path}")
    allowed = policy(page)
    assert allowed["default-src"] == allowed["base-uri"] == allowed["frame-ancestors"] == ["'none'"]
    sources = {source for values in allowed.values() for source in values}
    assert not [source for source in sources if ":/" in source or "*" in source or "eval" in source]
    assert "'unsafe-inline'" not in allowed["script-src"]
    for script in re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in allowed["script-src"]


def test_a_language_model_gets_a_page_that_names_every_route_and_where_to_read_on(service: Service) -> None:
    page = httpx.get(f"{service.address}/llms.txt")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/markdown; charset=utf-8")
    assert page.text.startswith("# Pictograph\n\n> ")
    for path, item in httpx.get(f"{service.address}/openapi.json").json()["paths"].items():
        for method in item:
            line = re.search(rf"^- `{method.upper()} {re.escape(path)}`: (.+)$", page.text, re.MULTILINE)
            assert line, (method, path)
            assert line[1].endswith("."), line[1]
    for name in re.findall(r"\]\(([^)]+)\)", page.text):
        assert httpx.get(urljoin(str(page.url), name)).status_code == 200, name


@pytest.mark.parametrize("name", ["../core.py", "..%2fcore.py", "nothing.js", "%2e%2e/core.py"])
def test_nothing_else_of_the_package_is_handed_out(service: Service, name: str) -> None:
    assert httpx.get(f"{service.address}/docs/assets/{name}").status_code == 404


@pytest.mark.long
@pytest.mark.parametrize("path", PAGES)
def test_a_browser_shows_every_route_and_asks_no_other_site(service: Service, tmp_path: Path, path: str) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=20000",
        f"--user-data-dir={tmp_path}",
    )
    only_here = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr")
    command = [browser, *options, *only_here, "--dump-dom", f"{service.address}{path}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    document = httpx.get(f"{service.address}/openapi.json").json()
    said = [line for line in shown.stderr.splitlines() if "CONSOLE" in line and "redoc/logo-mini.svg" not in line]
    assert said == []
    for route in document["paths"]:
        assert re.sub(r"[{}]", "", route) in re.sub(r"[{}\u200b]|<wbr>", "", shown.stdout), route
