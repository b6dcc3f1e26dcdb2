"""`/docs` and `/redoc`: the API's reference in a browser. Scripts and styles come from a package; nothing is fetched.

Addresses in the pages are relative, so that they hold below any prefix that a proxy puts in front.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

ASSETS: Final = "docs/assets"
INLINE_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
POLICY: Final = {
    "default-src": "'none'",
    "connect-src": "'self'",
    "font-src": "data:",
    "img-src": "'self' data: blob:",
    "style-src": "'self' 'unsafe-inline'",
    "worker-src": "blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
"""Both pages make styles as they run, and ReDoc its search in a worker of its own text; scripts are in `script-src`.

What it refuses is the picture in ReDoc's link to its maker, which lies on another site.
"""


def add_reference(app: FastAPI) -> None:
    """Adds both pages and what they load; `app` is made without its own, which load from another site."""
    folder = Path(str(files("fastapi_offline"))) / "static"
    app.mount(f"/{ASSETS}", StaticFiles(directory=folder), name="reference")
    add_page(app, "/docs", swagger_page(app.title))
    add_page(app, "/redoc", redoc_page(app.title))


def swagger_page(title: str) -> bytes:
    return bytes(
        get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{title} - API",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
            swagger_ui_parameters={"persistAuthorization": False, "tryItOutEnabled": True},
        ).body
    )


def redoc_page(title: str) -> bytes:
    page = get_redoc_html(
        openapi_url="openapi.json",
        title=f"{title} - API",
        redoc_js_url=f"{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    return bytes(page.body)


def add_page(app: FastAPI, path: str, page: bytes) -> None:
    headers = {"Content-Security-Policy": policy_of(page), "X-Content-Type-Options": "nosniff"}

    @app.get(path, include_in_schema=False)
    async def reference() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)


def policy_of(page: bytes) -> str:
    """Lets run what this service serves and the scripts that stand in this very page, by their hashes."""
    hashes = (base64.b64encode(hashlib.sha256(script).digest()).decode() for script in INLINE_SCRIPT.findall(page))
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in hashes)])
    return "; ".join(f"{name} {value}" for name, value in {**POLICY, "script-src": scripts}.items())
