"""`/docs` and `/redoc`: the API's reference in a browser. Scripts and styles come from a package; nothing is fetched.

`/llms.txt` is the same for a language model: a page of text that says what there is and where to read on. Addresses in
the pages are relative, so that they hold below any prefix that a proxy puts in front.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.staticfiles import StaticFiles

from pictograph.server.access import API_KEY_HEADER

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
FOR_MODELS: Final = f"""\
# {{title}}

> {{description}}

Send the key in the header `{API_KEY_HEADER}`. Bodies and answers are JSON, except for bytes of pictures and for files.
Names are exact: an unknown parameter or field is answered with 422, and the message names the nearest right one.
Every error is `{{{{"error": {{{{"code", "message", "request_id", "details"}}}}, "detail"}}}}`. A list comes in pages:
send `pagination.next_cursor` as `cursor`, with the same question, until it is null. Rows name images by `image_id`.

## Reference

- [OpenAPI](openapi.json): every route with its parameters, limits, errors and examples
- [Reference to try](docs): the same in a browser
- [Reference to read](redoc): the same on one page
"""
"""What `/llms.txt` begins with: https://llmstxt.org."""


def add_reference(app: FastAPI) -> None:
    """Adds the pages and what they load; `app` is made without its own, which load from another site."""
    folder = Path(str(files("fastapi_offline"))) / "static"
    app.mount(f"/{ASSETS}", StaticFiles(directory=folder), name="reference")
    add_page(app, "/docs", swagger_page(app.title))
    add_page(app, "/redoc", redoc_page(app.title))

    @app.get("/llms.txt", include_in_schema=False)
    async def for_models() -> PlainTextResponse:
        return PlainTextResponse(text_for_models(app.openapi()), media_type="text/markdown")


def text_for_models(document: dict[str, Any]) -> str:
    """What the service is, and a line for each operation of its OpenAPI document, in Markdown."""
    info = document["info"]
    parts = [FOR_MODELS.format(title=info["title"], description=info["description"])]
    operations = [
        (operation["tags"][0], method.upper(), path, operation["description"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    for tag, of_tag in groupby(sorted(operations, key=lambda operation: operation[0]), lambda operation: operation[0]):
        lines = (f"- `{method} {path}`: {first_sentence(described)}" for _, method, path, described in of_tag)
        parts.append("\n".join([f"## {str(tag).capitalize()}", "", *lines, ""]))
    return "\n".join(parts)


def first_sentence(text: str) -> str:
    """The first sentence of a description, on one line."""
    return re.split(r"(?<=\.)\s", " ".join(text.partition("\n\n")[0].split()) + " ", maxsplit=1)[0]


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
