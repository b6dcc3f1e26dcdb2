"""Tags through the SDK and the command, on real photographs, with a real worker and the offline encoder."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from pictograph import AsyncClient, Client, ConflictError, NotFoundError, ValidationError
from pictograph.localconfig import LocalConfig, write_config
from pictograph.tagging.assign import Assigner
from pictograph.tagging.offline import OfflineTagger
from pictograph.types import TAG_CATEGORIES, TagMatch
from pictograph.wire import API_PREFIX, Image
from support.commands import Command, runner
from support.databases import fresh_database
from support.raw import Raw
from support.services import Service, running_service
from support.tagging import EDITED, RUNNING, TAXONOMY, edited, entry

PHOTOS = Path(__file__).parents[2] / "examples/photos"


@pytest.fixture(scope="module")
def tagged(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Client]]:
    """A service of its own, since thresholds hold for all of one, with the animals and the flowers."""
    folder = tmp_path_factory.mktemp("tags")
    options = {"workers": 1, "encoder": "offline"}
    with fresh_database(postgres, template) as url, running_service(url, folder, **options) as service:
        client = service.client(role="installation")
        for name in ("animals", "flowers"):
            client.images.upload_from_directory("photos", PHOTOS / name, folder_path=f"/{name}")
        client.datasets.wait_until_processed("photos", timeout=100)
        yield service, client


@pytest.fixture
def client(tagged: tuple[Service, Client]) -> Iterator[Client]:
    """The installation's client; the thresholds are put back afterwards."""
    _, client = tagged
    yield client
    for label in client.tags.taxonomy().labels:
        if label.threshold != label.default_threshold:
            client.tags.reset(label.name, category=label.category)


@pytest.fixture
def command(
    tagged: tuple[Service, Client], client: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    service, _ = tagged
    write_config(LocalConfig(service.address, client._transport.config.api_key, "elsewhere"))
    return runner(monkeypatch, capsys)


def images_of(client: Client) -> dict[str, Image]:
    return {image.filename: client.images.get(image.id) for image in client.images.list("photos")}


def tags_of(client: Client) -> dict[str, Any]:
    return {image.filename: image.image_auto_tags for image in client.images.list("photos")}


def parsed(result: tuple[int, str, str]) -> Any:
    code, out, err = result
    assert (code, err) == (0, ""), err
    return json.loads(out)


def test_tags_are_counted_in_a_dataset_and_in_a_folder(client: Client) -> None:
    images = list(tags_of(client).values())
    counts = client.search.tags(dataset_name="photos")
    assert counts.images == len(images)
    for category in TAG_CATEGORIES:
        expected = Counter(label for tags in images for label in tags[category])
        assert {row.label: row.count for row in getattr(counts, category)} == dict(expected)
        frequencies = [row.count for row in getattr(counts, category)]
        assert frequencies == sorted(frequencies, reverse=True)
    flowers = client.search.tags(dataset_name="photos", folder_path="/flowers")
    assert flowers.images == 4
    bees = {row.label: row.count for row in flowers.objects}["bee"]
    assert bees == len(client.search.by_tag(objects=["bee"]))


@pytest.mark.parametrize("match", ["any", "all"])
@pytest.mark.parametrize("folder", [None, "/flowers"])
def test_counts_follow_a_filter_and_agree_with_the_search(client: Client, match: TagMatch, folder: str | None) -> None:
    asked: dict[str, Any] = {"objects": ["Insect", "bee"], "attributes": ["landscape-orientation"], "match": match}
    rows = client.search.by_tag(**asked, dataset_name="photos", folder_path=folder, limit=500)
    counts = client.search.tags(**asked, dataset_name="photos", folder_path=folder)
    assert counts.images == rows.total == len(rows) > 0
    for category in TAG_CATEGORIES:
        expected = Counter(label for row in rows for label in row.tags[category])
        assert {count.label: count.count for count in getattr(counts, category)} == dict(expected)
    assert client.search.tags(objects=[]).images == 0
    assert client.search.tags(objects=["dog", "dgo"]).unknown_tags == ["dgo"]
    with pytest.raises(ValidationError, match="match"):
        client.search.tags(objects=["dog"], match="some")  # type: ignore[arg-type]


def test_an_archived_image_is_not_counted(client: Client) -> None:
    before = client.search.tags().images
    image = client.search.by_tag(objects=["bee"])[0].image_id
    client.images.delete(image)
    assert client.search.tags().images == before - 1
    client.images.restore(image)
    client.datasets.wait_until_processed("photos", timeout=60)
    assert client.search.tags().images == before


def test_an_unknown_dataset_is_a_404(client: Client) -> None:
    for call in (
        lambda: client.search.tags(dataset_name="nowhere"),
        lambda: client.tags.preview("dog", threshold=0.3, dataset_name="nowhere"),
    ):
        with pytest.raises(NotFoundError, match="nowhere"):
            call()


def test_the_taxonomy_says_what_each_label_is_and_what_the_tagger_can_judge(client: Client) -> None:
    taxonomy = client.tags.taxonomy()
    assert (taxonomy.version, taxonomy.tagger) == (TAXONOMY.version, RUNNING)
    assert [f"{label.category}/{label.name}" for label in taxonomy.labels] == [label.key for label in TAXONOMY.labels]
    labels = {label.name: label for label in taxonomy.labels}
    dog = labels["dog"]
    assert (dog.threshold, dog.default_threshold, dog.lowest_threshold) == (0.5, 0.5, 0.1)
    assert (dog.parents, dog.is_judged, dog.exclusive_with) == (["animal"], True, [])
    assert len(dog.prompts) >= 2
    assert labels["bright"].exclusive_with == ["attributes/dark", "attributes/low-light"]
    assert not labels["nighttime"].is_judged
    asked = client.search.by_tag(objects=["man", "dog"], scenes=["nighttime"])
    assert asked.unjudged_tags == ["man", "nighttime"]
    assert asked.nearest_tags["man"] == ["objects/person"]
    assert asked.nearest_tags["nighttime"][0] == "attributes/dark"
    client.tags.apply("dog", threshold=0.4)
    changed = {label.name: label for label in client.tags.taxonomy().labels}["dog"]
    assert (changed.threshold, changed.default_threshold) == (0.4, 0.5)


def test_where_the_encoder_brings_no_tagger_nothing_is_judged_and_nothing_updated(service: Service) -> None:
    client = service.client(role="installation")
    taxonomy = client.tags.taxonomy()
    assert taxonomy.tagger is None
    assert not any(label.is_judged for label in taxonomy.labels)
    with pytest.raises(ConflictError, match="noop"):
        client.tags.update()


def test_an_image_says_who_gave_its_tags(client: Client) -> None:
    image = client.images.list("photos")[0]
    assert image.tagger is None
    assert client.images.get(image.id).tagger == RUNNING


def test_what_a_preview_announces_applying_does_and_a_reset_undoes(client: Client) -> None:
    before, scores = tags_of(client), {name: image.tag_scores or {} for name, image in images_of(client).items()}
    threshold = 0.97
    assigner = Assigner(TAXONOMY, {"objects/bird": threshold})
    expected = {name for name in before if before[name] != assigner.tags(scores[name])}
    assert expected
    assert all("bird" in before[name]["objects"] for name in expected)
    found = client.tags.preview("bird", threshold=threshold, dataset_name="photos")
    assert (found.label, found.current_threshold, found.threshold) == ("bird", 0.5, threshold)
    assert (found.gained, found.lost) == (0, len(expected))
    assert {example.filename for example in found.lost_examples} <= expected
    assert all(example.score == scores[example.filename]["objects/bird"] for example in found.lost_examples)
    assert tags_of(client) == before

    applied = client.tags.apply("bird", threshold=threshold)
    assert (applied.previous_threshold, applied.threshold, applied.images) == (0.5, threshold, found.images)
    now = tags_of(client)
    assert {name for name in before if before[name] != now[name]} == expected
    birds = {name for name, tags in before.items() if "bird" in tags["objects"]}
    assert {row.filename for row in client.search.by_tag(objects=["bird"])} == birds - expected
    assert client.tags.apply("bird", threshold=threshold).images == 0
    assert client.tags.preview("bird").gained == len(expected)
    assert client.tags.reset("bird").images == len(expected)
    assert tags_of(client) == before


def test_later_uploads_follow_the_new_threshold_whether_their_bytes_are_known_or_not(client: Client) -> None:
    known = PHOTOS / "animals/bird-osprey.jpg"
    score = (images_of(client)["bird-osprey.jpg"].tag_scores or {})["objects/bird"]
    client.tags.apply("bird", threshold=1.0)
    assert score < 1
    client.datasets.create("later")
    client.images.upload("later", known)
    client.images.upload("later", known.read_bytes() + b"\x00", filename="new-bytes.jpg")
    client.datasets.wait_until_processed("later", timeout=60)
    images = client.images.list("later")
    assert len(images) == 2
    assert all("bird" not in image.image_auto_tags["objects"] for image in images)
    client.tags.reset("bird")
    assert all("bird" in image.image_auto_tags["objects"] for image in client.images.list("later"))
    client.datasets.delete("later")


@pytest.mark.parametrize("threshold", [0.05, 1.5, float("nan"), float("inf")])
def test_a_threshold_out_of_range_is_a_422_that_names_the_floor(client: Client, threshold: float) -> None:
    for call in (client.tags.preview, client.tags.apply):
        with pytest.raises(ValidationError) as caught:
            call("dog", threshold=threshold)
        assert "threshold" in caught.value.field_errors[0]["loc"]
        assert threshold not in (0.05, 1.5) or "0.1" in caught.value.message


def test_a_threshold_says_of_a_label_that_nobody_judges_it(client: Client) -> None:
    assert client.tags.preview("bird", threshold=0.9).is_judged
    found = client.tags.preview("nighttime", threshold=0.9)
    assert (found.is_judged, found.images) == (False, 0)
    assert not client.tags.apply("nighttime", threshold=found.current_threshold).is_judged
    assert not client.tags.reset("nighttime").is_judged


def test_a_wrong_label_is_a_404_with_similar_ones(client: Client) -> None:
    for call in (client.tags.preview, client.tags.apply):
        with pytest.raises(NotFoundError, match="objects/bird"):
            call("brid", threshold=0.5)
    with pytest.raises(NotFoundError):
        client.tags.reset("unicorn")


def test_wrong_requests_are_422(tagged: tuple[Service, Client], client: Client, http: Any) -> None:
    service, _ = tagged
    raw = Raw(service, client._transport.config.api_key, http)
    for method, path, options in (
        ("GET", "/tags/preview", {}),
        ("GET", "/tags/preview", {"params": {"label": "dog", "threshold": "high"}}),
        ("GET", "/tags/preview", {"params": {"label": "dog", "threshold": 0.3, "category": "colours"}}),
        ("POST", "/tags/apply", {"json": {"label": "dog"}}),
        ("POST", "/tags/apply", {"json": {"label": "dog", "threshold": None}}),
        ("POST", "/tags/reset", {"json": {}}),
        ("POST", "/tags/update", {"params": {"cursor": "nonsense"}}),
        ("POST", "/tags/update", {"params": {"limit": 0}}),
    ):
        answer = raw(method, API_PREFIX + path, **options)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error"), (path, options)


def test_an_update_to_a_new_taxonomy_shows_on_images_without_reading_one(
    tagged: tuple[Service, Client], client: Client
) -> None:
    def add_feathers(content: dict[str, Any]) -> None:
        classes = entry(content, "bird")["imagenet_classes"]
        content["labels"].append(
            {"category": "objects", "name": "feathers", "group": "x", "parents": ["bird"], "prompts": ["a.", "b."],
             "imagenet_classes": classes, "conditions": []}
        )  # fmt: skip

    service, _ = tagged
    before = tags_of(client)
    retag = service.services.retag
    shipped = retag._taxonomy, retag._tagger_of
    newer = edited(add_feathers)

    async def tagger_of(_: object) -> OfflineTagger:
        return OfflineTagger(newer)

    steps: list[tuple[int, int]] = []
    try:
        retag._taxonomy, retag._tagger_of = newer, tagger_of
        done = client.tags.update(progress=lambda step: steps.append((step.updated, step.remaining)))
        assert (done.tagger, done.remaining, done.cannot_update) == (EDITED, 0, 0)
        assert done.updated == steps[-1][0] >= len(before)  # what deleted images left is kept, and updated, too
        now = tags_of(client)
        birds = {name for name, tags in before.items() if "bird" in tags["objects"]}
        assert birds
        assert {name for name, tags in now.items() if "feathers" in tags["objects"]} == birds
        assert client.tags.update().updated == 0
    finally:
        retag._taxonomy, retag._tagger_of = shipped
    assert client.tags.update().updated == done.updated
    assert tags_of(client) == before


def test_a_server_that_finds_tags_of_another_version_names_the_command(
    tagged: tuple[Service, Client], client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings_of_a_start() -> list[str]:
        caplog.clear()
        with running_service(service.database_url, service.services.settings.data_folder, encoder="offline") as second:
            second.run(second.services.retag.is_due())  # takes as long as what the start does beside
            time.sleep(0.5)
        return [record.message for record in caplog.records if "pictograph tags update" in record.message]

    service, _ = tagged
    assert warnings_of_a_start() == []
    service.run(set_tagger(service, "taxonomy-0+offline-1"))
    assert len(warnings_of_a_start()) == 1
    assert client.tags.update().updated > 0
    assert warnings_of_a_start() == []


async def set_tagger(service: Service, tagger: str) -> None:
    async with service.services.database.connection() as connection:
        await connection.execute("UPDATE encoding SET tagger = %s", [tagger])


async def test_the_async_client_does_the_same(tagged: tuple[Service, Client], client: Client) -> None:
    async with AsyncClient(client._transport.config.api_key, base_url=client.base_url, max_retries=0) as twin:
        assert await twin.search.tags(dataset_name="photos") == client.search.tags(dataset_name="photos")
        assert await twin.tags.taxonomy() == client.tags.taxonomy()
        assert await twin.tags.preview("bird", threshold=0.9) == client.tags.preview("bird", threshold=0.9)
        assert (await twin.tags.apply("bird", threshold=0.9)).threshold == 0.9
        assert (await twin.tags.reset("bird")).previous_threshold == 0.9
        seen: list[int] = []
        assert (await twin.tags.update(progress=lambda step: seen.append(step.updated))).updated == 0
        assert seen == [0]


def test_the_command_lists_and_shows(command: Command, client: Client) -> None:
    counts = parsed(command("tags", "list", "--dataset", "photos", "--json"))
    assert counts["images"] == len(tags_of(client))
    code, out, _ = command("tags", "list", "-n", 2)
    assert code == 0
    assert "animal" in out
    assert "more: --limit" in out
    dogs = client.search.by_tag(objects=["dog"])
    assert parsed(command("tags", "list", "-o", "dog", "--json"))["images"] == dogs.total == len(dogs) > 1
    code, out, err = command("tags", "list", "-o", "dog", "-o", "dgo", "--all")
    assert (code, "Tags of 0 images" in out, "dgo" in err) == (0, True, True)
    assert f"1 of {len(dogs)} images by tag" in command("search", "tags", "-o", "dog", "-n", 1)[1]
    assert f"{len(dogs)} images by tag" in command("search", "tags", "-o", "dog")[1]
    label = parsed(command("tags", "show", "dog", "--json"))["labels"]
    assert [row["name"] for row in label] == ["dog"]
    out = command("tags", "show", "bright")[1]
    assert "attributes/dark" in out
    assert "0.1 to 1" in out
    assert f"judged by {RUNNING}" in command("tags", "show", "--category", "scenes")[1]
    image = client.images.list("photos")[0]
    assert RUNNING in command("images", "get", image.id)[1]


def test_the_command_previews_asks_applies_and_resets(
    command: Command, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--label", "bird", "--threshold", 0.97)
    found = parsed(command("tags", "preview", *arguments, "--json"))
    assert found["lost"] > 0
    assert f"{found['lost']} images lose it" in command("tags", "preview", *arguments)[1]
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    code, _, err = command("tags", "apply", *arguments)
    assert code == 1
    assert f"{found['lost']} images lose it" in err
    assert client.tags.preview("bird", threshold=0.97).lost == found["lost"]
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))
    assert "before: 0.5" in command("tags", "apply", *arguments)[1]
    assert client.tags.preview("bird", threshold=0.97).lost == 0
    assert parsed(command("tags", "reset", "--label", "bird", "--yes", "--json"))["images"] == found["lost"]
    assert "0 updated" in command("tags", "update")[1]
    assert parsed(command("tags", "update", "--json"))["remaining"] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("preview", "--label", "brid", "--threshold", "0.3"), 4),
        (("preview", "--label", "bird", "--threshold", "0.01"), 6),
        (("apply", "--label", "bird", "--threshold", "2", "--yes"), 6),
        (("reset", "--label", "[/brid]", "--yes"), 4),
        (("show", "brid"), 4),
        (("list", "--dataset", "nowhere"), 4),
        (("list", "--folder", "/a/../b"), 6),
        (("show", "dog", "--category", "colours"), 2),
    ],
)
def test_the_command_fails_as_every_other(command: Command, arguments: tuple[str, ...], code: int) -> None:
    status, out, err = command("tags", *arguments)
    assert (status, out) == (code, "")
    assert "Traceback" not in err


def test_members_and_admins_may_look_but_not_change(tagged: tuple[Service, Client], command: Command) -> None:
    service, _ = tagged
    for role in ("member", "admin"):
        key = service.key(service.organization(), role)
        assert command("--api-key", key, "tags", "preview", "--label", "bird", "--threshold", "0.9")[0] == 0
        for arguments in (("apply", "--label", "bird", "--threshold", "0.9", "--yes"), ("update",)):
            code, _, err = command("--api-key", key, "tags", *arguments)
            assert code == 3
            assert "installation" in err
