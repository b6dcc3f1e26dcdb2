import pkgutil
from importlib import import_module
from types import ModuleType

import pydantic
import pytest

from pictograph import wire

ROOMS = [import_module(f"pictograph.wire.{room.name}") for room in pkgutil.iter_modules(wire.__path__)]
SHOWN = [room for room in ROOMS if room.__name__ != "pictograph.wire.compat"]


def models(room: ModuleType) -> dict[str, type[pydantic.BaseModel]]:
    return {
        name: value
        for name, value in vars(room).items()
        if isinstance(value, type) and issubclass(value, pydantic.BaseModel) and value.__module__ == room.__name__
    }


@pytest.mark.parametrize("room", SHOWN, ids=lambda room: str(room.__name__))
def test_every_model_is_also_to_be_had_from_the_package(room: ModuleType) -> None:
    found = models(room)
    assert found
    assert {name: getattr(wire, name, None) for name in found} == found


@pytest.mark.parametrize("room", SHOWN, ids=lambda room: str(room.__name__))
def test_other_names_for_published_clients_lie_in_their_own_room(room: ModuleType) -> None:
    for name, model in models(room).items():
        computed = set(model.model_computed_fields) | set(getattr(model, "MEANINGLESS", ()))
        assert not computed & set(vars(model)) - {"MEANINGLESS"}, name
        assert not computed & set(model.__annotations__), name
