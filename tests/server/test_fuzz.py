"""Made-up requests, right and wrong, against the whole OpenAPI document: it says what happens, and nothing breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.databases import fresh_database
from support.pictures import picture_bytes
from support.services import Service, running_service

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth"
)
"""Not `allow_header_conformance`: each path below an image is one of `/images/{dataset}/{path}`; `Allow` says so."""
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "414", "415", "422", "429"]
"""
EXAMPLES_EACH = 15
SECONDS = 400
RUN = """
import schemathesis
schemathesis.serializer.alias("application/vnd.apache.arrow.stream", "application/octet-stream")  # it knows no Arrow
from schemathesis.cli import schemathesis
schemathesis()"""


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 60)
def test_made_up_requests_find_no_fault_and_nothing_that_is_not_declared(
    postgres: str, template: str, tmp_path: Path
) -> None:
    pytest.importorskip("schemathesis")
    with (
        fresh_database(postgres, template) as url,
        running_service(url, tmp_path / "data", max_bytes=100_000, workers=1) as service,
    ):
        organization = service.organization()
        key = service.key(organization, "installation")
        document = tmp_path / "openapi.json"
        document.write_text(json.dumps(with_examples(service, key)))
        (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
        command = [
            sys.executable, "-c", RUN, "run", str(document), "--url", service.address, "-H", f"X-API-Key: {key}",
            "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES_EACH),
            "--request-timeout", "30", "--seed", "1", "--no-color", "--warnings", "off", "--continue-on-failure",
        ]  # fmt: skip
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=SECONDS)
    assert ran.returncode == 0, "\n".join(line[:500] for line in (ran.stdout + ran.stderr).splitlines()[-200:])


def with_examples(service: Service, key: str) -> dict[str, Any]:
    """The document, with names of what is there as examples, so that not everything ends in a 404."""
    headers = {"X-API-Key": key}
    with httpx.Client(base_url=f"{service.address}/api/v1/developer", headers=headers) as http:
        http.post("/datasets/", json={"name": "street"}).raise_for_status()
        file = {"file": ("a.jpg", picture_bytes(1))}
        image = http.post("/images/upload", data={"dataset": "street"}, files=file).raise_for_status().json()["data"]
    document: dict[str, Any] = httpx.get(f"{service.address}/openapi.json").json()
    known = {"image_id": image["id"], "dataset": "street", "dataset_name": "street", "path": "a.jpg", "text": "a car",
             "objects": ["car"], "directory_path": "/", "label": "dog", "encoder": "siglip2"}  # fmt: skip
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in known:
                    parameter["example"] = known[parameter["name"]]
    return document
