"""Near-duplicates by HTTP, SDK and command: groups of real pictures, decisions, and what the answer says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pictograph import Client, ForbiddenError, NotFoundError, ValidationError
from pictograph.types import OrganizationId
from pictograph.wire import Dataset
from support.commands import Command, runner
from support.raw import Raw
from support.services import Service

SIZE = (320, 240)


def scene(seed: int) -> Image.Image:
    """Soft shapes, the same for the same seed."""
    random = np.random.default_rng(seed)
    layers = [
        Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)).resize(
            SIZE, Image.Resampling.BICUBIC
        )
        for cells in (3, 6, 12)
    ]
    return Image.fromarray(np.mean([np.asarray(layer) for layer in layers], axis=0).astype(np.uint8))


def saved(image: Image.Image, quality: int = 90) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture
def filled(client: Client, street: Dataset) -> dict[str, str]:
    """Ids by name: two scenes, one of them twice as bytes."""
    pictures = {"a.jpg": saved(scene(1)), "a again.jpg": saved(scene(1)), "b.jpg": saved(scene(2))}
    images = {name: client.images.upload("street", data, filename=name).id for name, data in pictures.items()}
    client.datasets.wait_until_processed("street", timeout=60)
    return images


def test_copies_are_found_and_the_answer_says_what_it_is_worth(client: Client, filled: dict[str, str]) -> None:
    groups = client.datasets.near_duplicates("street")
    assert [(group.representative.filename, [image.filename for image in group.others]) for group in groups] == [
        ("a.jpg", ["a again.jpg"])
    ]
    other = groups[0].others[0]
    assert (other.found_by, other.hash_distance, groups[0].because, groups[0].size) == ("bytes", 0, "older", 2)
    assert other.similarity == pytest.approx(1, abs=1e-3)
    assert (groups.state, groups.images, groups.not_hashed, groups.not_embedded) == ("complete", 3, 0, 0)
    assert (groups.total, groups.duplicates, groups.next_cursor) == (1, 1, None)
    assert groups.found_at is not None
    assert not groups.answer.threshold_is_measured  # the tests' encoder is none that it was measured with
    assert client.datasets.near_duplicates("street", threshold=0.97).answer.threshold_is_measured
    assert repr(groups).startswith("<DuplicateGroups: 1 groups, 1 duplicates, complete: [DuplicateGroup(size=2")


def test_a_notebook_shows_the_groups(client: Client, filled: dict[str, str]) -> None:
    groups = client.datasets.near_duplicates("street")
    for thing, said in ((groups, "1 groups, 1 duplicates"), (groups[0], "DuplicateGroup: 2 images")):
        html = thing._repr_html_()
        assert html is not None
        assert said in html
        assert html.count("data:image/jpeg;base64,") == 2
        assert "keep: older" in html


def test_decisions_are_remembered_and_taken_back(client: Client, filled: dict[str, str]) -> None:
    pair = [filled["a.jpg"], filled["a again.jpg"]]
    kept = client.datasets.decide_duplicates(pair[1], "keep")
    assert (kept.image_ids, kept.decision, kept.taken_back) == ([pair[1]], "keep", False)
    group = client.datasets.near_duplicates("street")[0]
    assert (group.representative.filename, group.because, group.representative.keep) == ("a again.jpg", "chosen", True)
    client.datasets.decide_duplicates([group.representative, *group.others], "not_duplicates")
    assert client.datasets.near_duplicates("street") == []
    client.datasets.decide_duplicates(pair, "not_duplicates", take_back=True)
    assert len(client.datasets.near_duplicates("street")) == 1


def test_what_cannot_be_asked_or_decided_is_said(
    service: Service, client: Client, filled: dict[str, str], organization: OrganizationId
) -> None:
    with pytest.raises(NotFoundError):
        client.datasets.near_duplicates("nowhere")
    with pytest.raises(NotFoundError):
        client.datasets.near_duplicates("street", folder_path="/nowhere")
    with pytest.raises(ValidationError):
        client.datasets.near_duplicates("street", hash_distance=17)
    with pytest.raises(ValidationError):
        client.datasets.decide_duplicates([filled["a.jpg"]], "not_duplicates")
    with pytest.raises(NotFoundError):
        service.client().datasets.decide_duplicates(list(filled.values()), "not_duplicates")
    viewer = service.client(organization, "viewer")
    assert len(viewer.datasets.near_duplicates("street")) == 1
    with pytest.raises(ForbiddenError):
        viewer.datasets.decide_duplicates(filled["a.jpg"], "keep")


def test_rows_carry_addresses_of_their_pictures(raw: Raw, client: Client, filled: dict[str, str], http: Any) -> None:
    answer = raw("GET", "/api/v1/developer/datasets/street/near-duplicates").json()
    address = answer["data"][0]["representative"]["thumbnail_url"]
    assert http.get(address).headers["content-type"] == "image/jpeg"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(monkeypatch, capsys)


def test_the_command_shows_groups_and_remembers(
    service: Service, organization: OrganizationId, filled: dict[str, str], command: Callable[..., tuple[int, str, str]]
) -> None:
    begin = ("--api-key", service.key(organization), "--base-url", service.address)
    code, out, _ = command(*begin, "duplicates", "street")
    assert code == 0
    assert "1 groups with 1 near-duplicates" in out
    assert "keep: older" in out
    assert "same bytes" in out
    assert "Of the 3 images at" in out
    code, out, _ = command(*begin, "duplicates", "street", "--json", "--keep", filled["a again.jpg"])
    assert (code, json.loads(out)["data"][0]["because"]) == (0, "chosen")
    apart = [word for name in ("a.jpg", "a again.jpg") for word in ("--not-duplicates", filled[name])]
    assert command(*begin, "duplicates", *apart)[0] == 0
    code, out, _ = command(*begin, "duplicates", "street")
    assert "0 groups with 0 near-duplicates" in out
