"""Which encoder a start takes: the one named, the one the data has, or the best that is here or can be had."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pictograph.db.pool import Database
from pictograph.encode.noop import SPEC
from pictograph.errors import ConfigurationError, ConnectionFailed
from pictograph.models.choose import Choice, Machine
from pictograph.server import encoder_choice
from pictograph.server.encoder_choice import names_a_siglip_model, settle_encoder
from pictograph.settings import Settings
from pictograph.spaces.registry import Spaces
from pictograph_search import command_name

BASE = "siglip2-base-patch16-224"


def settings(encoder: str) -> Settings:
    return Settings.load({"encoder": encoder}, {})


class Hub:
    """Notes what was asked for; `fails` says with what."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.fails = fails

    def __call__(self, name: str) -> None:
        self.asked.append(name)
        if self.fails:
            raise self.fails


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretends what is installed here; one call for each time it is looked at."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def pretend(*seen: Machine) -> None:
        looks = iter(seen)
        last = seen[-1]
        monkeypatch.setattr(encoder_choice, "detect", lambda: next(looks, last))
        monkeypatch.setattr(encoder_choice, "runtime_installed", lambda: last.runtime_installed)
        monkeypatch.setattr(encoder_choice, "model_to_pull", lambda: Choice(BASE, "", None))

    return pretend


BARE = Machine(has_gpu=False, runtime_installed=False, installed=(), sizes={})
READY = Machine(has_gpu=False, runtime_installed=True, installed=(), sizes={})
EQUIPPED = Machine(has_gpu=False, runtime_installed=True, installed=(BASE,), sizes={BASE: 1})


async def test_data_keeps_the_encoder_it_has_and_nothing_is_asked(
    database: Database, machine: Callable[..., None]
) -> None:
    machine(READY)
    await Spaces(database).open(SPEC, "noop")
    hub = Hub()
    assert await settle_encoder(settings("auto"), database, hub) == (settings("auto"), None)
    assert hub.asked == []


async def test_new_data_without_torch_gets_the_offline_encoder_and_the_command_that_changes_it(
    database: Database, machine: Callable[..., None]
) -> None:
    machine(BARE)
    hub = Hub()
    settled, choice = await settle_encoder(settings("auto"), database, hub)
    assert (settled.encoder, hub.asked) == ("offline", [])
    assert choice is not None
    assert "model pull" in str(choice.hint)


async def test_new_data_gets_a_model_that_is_here_without_asking_the_hub(
    database: Database, machine: Callable[..., None]
) -> None:
    machine(EQUIPPED)
    hub = Hub()
    settled, _ = await settle_encoder(settings("auto"), database, hub)
    assert (settled.encoder, hub.asked) == (BASE, [])


async def test_new_data_gets_a_model_that_can_be_had(database: Database, machine: Callable[..., None]) -> None:
    machine(READY, EQUIPPED)
    hub = Hub()
    settled, _ = await settle_encoder(settings("auto"), database, hub)
    assert (settled.encoder, hub.asked) == (BASE, [BASE])


async def test_without_a_network_new_data_gets_the_offline_encoder(
    database: Database, machine: Callable[..., None]
) -> None:
    machine(READY)
    hub = Hub(ConnectionFailed("no route"))
    settled, choice = await settle_encoder(settings("auto"), database, hub)
    assert (settled.encoder, hub.asked) == ("offline", [BASE])
    assert choice is not None
    assert choice.hint == f"{command_name()} model pull"


async def test_the_hub_is_left_alone_where_people_say_so(
    database: Database, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(READY)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub = Hub()
    settled, _ = await settle_encoder(settings("auto"), database, hub)
    assert (settled.encoder, hub.asked) == ("offline", [])


async def test_a_model_that_was_named_is_fetched(database: Database, machine: Callable[..., None]) -> None:
    machine(READY)
    hub = Hub()
    assert (await settle_encoder(settings("siglip2"), database, hub))[0].encoder == "siglip2"
    assert hub.asked == ["siglip2"]


async def test_a_model_that_was_named_and_cannot_be_had_ends_the_start_with_both_reasons(
    database: Database, machine: Callable[..., None]
) -> None:
    machine(READY)
    with pytest.raises(ConfigurationError, match=r"no encoder 'siglip2'.*could not be fetched: no route"):
        await settle_encoder(settings("siglip2"), database, Hub(ConnectionFailed("no route")))


async def test_without_torch_a_named_model_is_not_fetched(database: Database, machine: Callable[..., None]) -> None:
    machine(BARE)
    hub = Hub()
    with pytest.raises(ConfigurationError, match="no encoder 'siglip2'"):
        await settle_encoder(settings("siglip2"), database, hub)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["siglip2", "siglip2-base-patch16-224", "google/siglip-so400m-patch14-384"])
def test_names_of_the_hub(name: str) -> None:
    assert names_a_siglip_model(name)


@pytest.mark.parametrize(
    "name", ["offline", "noop", "ofline", "./siglip2-mine", "/models/siglip2", "~/siglip", "a/b/c"]
)
def test_what_is_no_name_of_the_hub(name: str) -> None:
    assert not names_a_siglip_model(name)
