"""Near-duplicates as a library changes: what is found is what comparing everything anew finds, and decisions hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from pictograph.duplicates import service
from pictograph.duplicates.finding import DuplicateFinder
from pictograph.duplicates.service import Answer, Asked, NearDuplicates
from pictograph.errors import NotFoundError, ValidationError
from pictograph.spaces.registry import Spaces
from pictograph.store import duplicates as store
from pictograph.store.datasets import Dataset, Datasets
from pictograph.types import ImageId
from support.planting import Garden, direction

HASH = 0x0123_4567_89AB_CDEF
FAR = direction(0.0)


@dataclass
class Plot:
    """A dataset, and how its near-duplicates are asked for."""

    garden: Garden
    dataset: Dataset
    names: dict[ImageId, str]

    async def plant(
        self, name: str, bits: int | None, *, like: float | None = None, folder: str = "/", **facts: Any
    ) -> ImageId:
        """bits: how many of the hash differ from `HASH`; None: it is not known. like: cosine to `direction(1.0)`; None:
        a vector like no other."""
        axis = 2 + len(self.names)
        vector = direction(0.85, axis) if like is None else direction(like, axis)
        image = await self.garden.plant(self.dataset, name, vector, folder=folder, content=facts.pop("content", None))
        self.names[image] = name
        await self.know(image, bits, **facts)
        return image

    async def know(self, image: ImageId, bits: int | None, **facts: Any) -> None:
        number = None if bits is None else (HASH ^ ((1 << bits) - 1))
        columns = {"perceptual_hash": number, **facts}
        async with self.garden.database.connection() as connection:
            names = ", ".join(f"{name} = %({name})s" for name in columns)
            await connection.execute(f"UPDATE image SET {names} WHERE id = %(id)s".encode(), {**columns, "id": image})

    async def change(self, image: ImageId, statement: str) -> None:
        async with self.garden.database.connection() as connection:
            await connection.execute(statement.encode(), [image])

    async def ask(self, **asked: Any) -> Answer:
        return await near_duplicates(self.garden).find(
            self.garden.organization, Asked(**({"dataset": self.dataset.name} | asked))
        )

    async def groups(self, **asked: Any) -> list[list[str]]:
        """Names, each group's representative first."""
        return [[self.names[member.id] for member in group.members] for group in (await self.ask(**asked)).groups]


def near_duplicates(garden: Garden) -> NearDuplicates:
    return NearDuplicates(garden.database, Spaces(garden.database))


@pytest.fixture
async def plot(garden: Garden) -> Plot:
    return Plot(garden, await garden.dataset(), {})


async def test_groups_are_found_by_bytes_by_hash_and_by_vector(plot: Plot) -> None:
    await plot.plant("a.jpg", 0, content=b"same")
    await plot.plant("b.jpg", 0, content=b"same")
    await plot.plant("c.jpg", 9)
    await plot.plant("other.jpg", 40)
    await plot.plant("cropped.jpg", None, like=1.0)
    await plot.plant("whole.jpg", None, like=0.98)
    answer = await plot.ask()
    assert [[plot.names[one.id] for one in group.members] for group in answer.groups] == [
        ["a.jpg", "b.jpg", "c.jpg"],
        ["cropped.jpg", "whole.jpg"],
    ]
    first, second = answer.groups
    assert [(one.same_bytes, one.bits) for one in first.members] == [(False, None), (True, 0), (False, 9)]
    assert second.members[1].cosine == pytest.approx(0.98, abs=1e-3)
    assert second.members[1].bits is None
    assert [group.members[0].reason for group in answer.groups] == ["older", "older"]
    assert (answer.state, answer.total, answer.duplicates) == ("complete", 2, 3)
    assert (answer.finding.images, answer.finding.not_hashed, answer.finding.not_embedded) == (6, 2, 0)


async def test_what_comes_changes_and_goes_is_followed(plot: Plot) -> None:
    first = await plot.plant("first.jpg", 0)
    assert await plot.groups() == []
    second = await plot.plant("second.jpg", 3)
    assert await plot.groups() == [["first.jpg", "second.jpg"]]
    late = await plot.plant("late.jpg", None)
    assert await plot.groups() == [["first.jpg", "second.jpg"]]
    await plot.know(late, 5)
    assert await plot.groups() == [["first.jpg", "second.jpg", "late.jpg"]]
    await plot.know(second, 40)
    assert await plot.groups() == [["first.jpg", "late.jpg"]]
    await plot.know(second, 3)
    assert await plot.groups() == [["first.jpg", "second.jpg", "late.jpg"]]
    await plot.change(first, "DELETE FROM image WHERE id = %s")
    assert await plot.groups() == [["second.jpg", "late.jpg"]]
    await plot.change(late, "UPDATE image SET archived_at = now() WHERE id = %s")
    assert await plot.groups() == []
    await plot.change(late, "UPDATE image SET archived_at = NULL WHERE id = %s")
    assert await plot.groups() == [["second.jpg", "late.jpg"]]


async def test_the_largest_image_names_the_group_and_decisions_hold(plot: Plot) -> None:
    small, large, other = [
        await plot.plant(name, 0, width=width) for name, width in (("s.jpg", 300), ("l.jpg", 3000), ("o.jpg", 300))
    ]
    near = near_duplicates(plot.garden)
    organization = plot.garden.organization
    assert (await plot.ask()).groups[0].members[0].reason == "larger"
    assert (await plot.groups())[0][0] == "l.jpg"
    await near.decide(organization, [other], "keep")
    answer = await plot.ask()
    best = answer.groups[0].members[0]
    assert (plot.names[best.id], best.reason, best.is_kept) == ("o.jpg", "chosen", True)
    await near.decide(organization, [small, other], "not_duplicates")
    assert sorted(map(sorted, await plot.groups())) == [["l.jpg", "s.jpg"]] or sorted(
        map(sorted, await plot.groups())
    ) == [["l.jpg", "o.jpg", "s.jpg"]]
    await near.decide(organization, [small, large, other], "not_duplicates")
    assert await plot.groups() == []
    await near.decide(organization, [small, large, other], "not_duplicates", take_back=True)
    await near.decide(organization, [other], "keep", take_back=True)
    assert await plot.groups() == [["l.jpg", "s.jpg", "o.jpg"]]
    with pytest.raises(NotFoundError):
        await near.decide(organization, [small, ImageId(uuid4())], "not_duplicates")
    with pytest.raises(ValidationError):
        await near.decide(organization, [small], "not_duplicates")


async def test_between_two_datasets_only_what_is_in_the_other_one_too(plot: Plot) -> None:
    train = Plot(plot.garden, await plot.garden.dataset("train"), plot.names)
    await train.plant("train.jpg", 0, content=b"leak")
    await train.plant("train twin.jpg", 1)
    await plot.plant("test copy.jpg", 0, content=b"leak")
    await plot.plant("test near.jpg", 2)
    await plot.plant("clean.jpg", 40)
    await plot.plant("clean twin.jpg", 40)
    leaks = {name for group in await plot.groups(against="train") for name in group[1:]}
    assert leaks == {"test copy.jpg", "test near.jpg"}
    answer = await plot.ask(against="train")
    assert {plot.names[group.members[0].id] for group in answer.groups} <= {"train.jpg", "train twin.jpg"}
    assert {group.members[0].reason for group in answer.groups} == {"in the other place"}
    await train.plant("train late.jpg", 40)
    leaks = {name for group in await plot.groups(against="train") for name in group[1:]}
    assert leaks == {"test copy.jpg", "test near.jpg", "clean.jpg", "clean twin.jpg"}
    with pytest.raises(ValidationError, match="compared with itself"):
        await plot.ask(against=plot.dataset.name)
    with pytest.raises(ValidationError, match="needs against"):
        await plot.ask(against_path="/a")


async def test_folders_of_one_dataset_can_be_compared(plot: Plot) -> None:
    await plot.plant("1.jpg", 0, folder="/train")
    await plot.plant("2.jpg", 0, folder="/test/deep")
    await plot.plant("3.jpg", 0)
    assert await plot.groups(folder_path="/test") == []
    assert await plot.groups(folder_path="/test", against=plot.dataset.name, against_path="/train") == [
        ["1.jpg", "2.jpg"]
    ]
    with pytest.raises(NotFoundError):
        await plot.ask(folder_path="/nowhere")


async def test_pages_neither_skip_nor_repeat_while_groups_come(plot: Plot) -> None:
    for number in range(5):
        for copy in range(2):
            await plot.plant(f"{number}-{copy}.jpg", None, content=b"group %d" % number)
    page = await plot.ask(limit=2)
    seen = [group.id for group in page.groups]
    await plot.plant("0-2.jpg", None, content=b"group 0")
    while page.next_cursor:
        page = await plot.ask(limit=2, cursor=page.next_cursor)
        seen += [group.id for group in page.groups]
    assert len(seen) == len(set(seen)) == 5
    assert page.total == 5
    with pytest.raises(ValidationError):
        await plot.ask(limit=2, threshold=0.9, cursor=(await plot.ask(limit=2)).next_cursor)


async def test_large_groups_are_cut_and_say_so(plot: Plot) -> None:
    for number in range(6):
        await plot.plant(f"{number}.jpg", None, content=b"same")
    group = (await plot.ask(members=3)).groups[0]
    assert (group.size, len(group.members)) == (6, 3)
    assert group.members[0].representative


async def test_a_large_place_is_worked_off_in_the_background(plot: Plot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SMALL", 1)
    await plot.plant("1.jpg", 0)
    await plot.plant("2.jpg", 0)
    near = near_duplicates(plot.garden)
    answer = await plot.ask()
    assert (answer.state, answer.groups, answer.finding.found_at) == ("running", [], None)
    assert await near.is_wanted()
    assert await DuplicateFinder(plot.garden.database).work_off() == 1
    assert not await near.is_wanted()
    answer = await plot.ask()
    assert (answer.state, len(answer.groups)) == ("complete", 1)
    async with plot.garden.database.connection() as connection:
        await connection.execute("UPDATE duplicate_finding SET found_at = now() - interval '1 hour'")
    await plot.plant("3.jpg", 0)
    answer = await plot.ask()
    assert (answer.state, answer.groups[0].size) == ("refreshing", 2)
    await DuplicateFinder(plot.garden.database).work_off()
    assert (await plot.ask()).groups[0].size == 3


async def test_one_that_died_at_it_is_replaced(plot: Plot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SMALL", 0)
    await plot.plant("1.jpg", 0)
    await plot.ask()
    async with plot.garden.database.connection() as connection:
        taken = await store.take(connection, uuid4())
        assert taken is not None
        assert await store.take(connection, uuid4()) is None
        await connection.execute("UPDATE duplicate_finding SET claimed_until = now() - interval '1 second'")
        assert await store.is_wanted(connection)
    assert await DuplicateFinder(plot.garden.database).work_off() == 1
    async with plot.garden.database.connection() as connection:
        assert not await store.beat(connection, taken.id, UUID(int=1), 1, 2)


async def test_incremental_findings_are_whole_ones(plot: Plot) -> None:
    random = np.random.default_rng(4)
    for number in range(40):
        await plot.plant(f"{number}.jpg", int(random.integers(0, 30)))
        if number % 9 == 0:
            await plot.ask()
    grown = {frozenset(group) for group in await plot.groups()}
    fresh = {frozenset(group) for group in await plot.groups(threshold=0.9599999)}  # another question, the same answer
    assert grown == fresh
    assert len(grown) > 1


async def test_a_deleted_dataset_takes_its_findings_along(plot: Plot) -> None:
    await plot.plant("1.jpg", 0)
    await plot.plant("2.jpg", 0)
    await plot.ask()
    await Datasets(plot.garden.database).delete(plot.garden.organization, plot.dataset.name)
    async with plot.garden.database.connection() as connection:
        for table in ("duplicate_finding", "duplicate_link", "duplicate_compared"):
            cursor = await connection.execute(f"SELECT count(*) FROM {table}".encode())
            assert (await cursor.fetchone()) == (0,)
