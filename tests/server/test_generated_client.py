"""A client that another program makes of `/openapi.json` works: no warning when it is made, none when it asks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pictograph import Client
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from support.pictures import picture_bytes
from support.services import Service

CONFIG = Path(__file__).parents[2] / "examples" / "openapi-python-client.yaml"
SCRIPT = """
import sys
from pictograph_api.api.images import images_bytes, images_upload
from pictograph_api.api.search import search_similar
from pictograph_api.client import AuthenticatedClient
from pictograph_api.models import ErrorAnswer, SimilarAnswer

address, key, image_id = sys.argv[1:]
by_key = {"prefix": "", "auth_header_name": "X-API-Key", "raise_on_unexpected_status": True}
with AuthenticatedClient(address, key, **by_key) as client:
    answer = search_similar.sync(client=client, image_id=image_id, threshold=0.9)
    assert isinstance(answer, SimilarAnswer), answer
    print(*(row.filename for row in answer.results))
    picture = images_bytes.sync_detailed(image_id, client=client)
    print(picture.content[:3].hex())
    refused = search_similar.sync(client=client, image_id="nothing")
    assert isinstance(refused, ErrorAnswer), refused
    print(refused.error.code)
"""


@pytest.mark.long
def test_a_generated_client_searches_fetches_and_reads_errors(
    service: Service, organization: OrganizationId, client: Client, street: Dataset, tmp_path: Path
) -> None:
    found = shutil.which("openapi-python-client")
    if found is None:
        pytest.skip("no openapi-python-client here: pip install openapi-python-client, in an environment of its own")
    generator = Path(found).resolve()
    document = ["--url", f"{service.address}/openapi.json", "--config", str(CONFIG), "--fail-on-warning"]
    command = [str(generator), "generate", *document, "--meta", "none", "--output-path", "pictograph_api"]
    path = {"PATH": f"{generator.parent}:/usr/bin:/bin"}  # its own ruff lies beside it
    made = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, timeout=100, check=False)
    assert (made.returncode, "arning" in made.stdout + made.stderr) == (0, False), made.stdout + made.stderr

    image = client.images.upload("street", picture_bytes(1), filename="a.jpg")
    client.images.upload("street", picture_bytes(1), filename="b.jpg")
    client.datasets.wait_until_processed("street", timeout=60)
    python = [str(generator.parent / "python"), "-W", "error", "-c", SCRIPT]
    asked = [*python, service.address, service.key(organization), image.id]
    ran = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.split(), ran.stderr) == (["b.jpg", "ffd8ff", "not_found"], "")
