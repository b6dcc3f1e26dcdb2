"""Makes a finding what it should be now: what came, changed or went since is compared, the rest stays as it was found.

An image is compared again if anything about it changed: its bytes, its hash, its vector, what somebody decided. So
images that wait for their hash or vector are found by what they have, and again when they have more.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import numpy as np

from pictograph.db.pool import Connection, Database
from pictograph.duplicates.choosing import Worth, reason, representative
from pictograph.duplicates.groups import linked
from pictograph.duplicates.measuring import Images
from pictograph.duplicates.reading import Scope, StoredVectors, ids_of, packed, places_among
from pictograph.duplicates.rule import UNKNOWN_BITS, Measured, Rule
from pictograph.search.memory.arrays import Mask, Rows
from pictograph.settings import available_cores
from pictograph.store import duplicates as store
from pictograph.store.duplicates import Finding
from pictograph.types import DatasetId

WRITTEN_AT_ONCE: Final = 5000
"""Images of one statement."""
LINK_COLUMNS: Final = (
    "images", "leaders", "representatives", "reasons", "same_bytes", "bits", "mirrored", "cosines",
)  # fmt: skip
BEAT_S: Final = 2.0


@dataclass(frozen=True)
class State:
    """A finding's images, those that lead between two places first, and what was found of them before."""

    scope: Scope
    own: Mask
    """False for images of the other place."""
    compared: Mask
    """What is as it was when it was compared."""
    leader: Rows
    """Of each image the place of the one it was found by; -1: none, or not known any more."""
    gone: list[UUID]
    """Leaders whose groups are to be forgotten."""

    @property
    def counts(self) -> dict[str, int]:
        """Images, those of them with a picture that is not hashed yet, and those without a vector."""
        return {
            "images": int(self.own.sum()),
            "not_hashed": int((self.own & ~self.scope.hashed & self.scope.has_bytes).sum()),
            "not_embedded": int((self.own & ~self.scope.has_vector).sum()),
        }


class Lost(Exception):
    """The claim is not ours any more."""


class DuplicateFinder:
    """Carries findings out. Several processes may: each finding is claimed by one of them."""

    def __init__(self, database: Database, folder: Path | None = None) -> None:
        """folder: where vectors are kept meanwhile, 2.3 kB an image; None: where temporary files go."""
        self._database = database
        self._folder = folder

    async def work_off(self) -> int:
        """Carries out what is wanted, one after the other, until nothing is; how many."""
        count = 0
        while True:
            claim = uuid4()
            async with self._database.connection() as connection:
                finding = await store.take(connection, claim)
            if finding is None:
                return count
            await self.carry_out(finding, claim)
            count += 1

    async def carry_out(self, finding: Finding, claim: UUID) -> None:
        """Brings a finding up to date; the caller has claimed it."""
        try:
            await self._carry_out(finding, claim)
        except Lost:
            return
        except BaseException:
            async with self._database.connection() as connection:
                await store.let_go(connection, finding.id, claim)
            raise

    async def _carry_out(self, finding: Finding, claim: UUID) -> None:
        began = time.monotonic()
        async with self._database.snapshot() as connection:
            moment, stretch = await store.moment_and_stretch(connection, finding.space_id)
            state = await self._state(connection, finding)
            told = await store.read_told_apart(connection, datasets_of(finding))
            rule = Rule.of(finding.threshold, finding.hash_distance, stretch)
            changed = bool(state.gone) or not state.compared.all()
            vectors = StoredVectors(len(state.scope) if changed else 0, self._folder)
            if changed:
                await vectors.read(connection, finding.space_id, state.scope)
        try:
            found: list[dict[str, Any]] | None = None
            if changed:
                images = Images(state.scope.hashes, state.scope.hashed, vectors, pairs_of(state.scope, told))
                found = await Work(state, images, rule, self._beats(finding, claim)).done()
            facts = {"found_at": moment, "took_s": time.monotonic() - began, "changed": changed, **state.counts}

            async def write(connection: Connection) -> None:
                if not await store.finish(connection, finding.id, claim, facts):
                    raise Lost
                if found is not None:
                    await store.write_links(connection, finding.id, state.gone, found)
                    await store.write_compared(connection, finding.id, state.scope.compared)

            await self._database.write(write)
        finally:
            vectors.close()

    async def _state(self, connection: Connection, finding: Finding) -> State:
        space = finding.space_id
        own = Scope.of(await store.read_scope(connection, space, finding.dataset_id, finding.folder_path))
        parts, count = [own], 0
        if finding.against_id is not None:
            other = Scope.of(await store.read_scope(connection, space, finding.against_id, finding.against_path))
            other = other.take(np.flatnonzero(places_among(own.ids, other.ids) < 0))
            parts, count = [other, own], len(other)
        scope = Scope.joined(parts)
        compared = await store.read_compared(connection, finding.id)
        links = await store.read_links(connection, finding.id)
        return state_of(scope, np.arange(len(scope)) >= count, compared, links, whole=finding.against_id is None)

    def _beats(self, finding: Finding, claim: UUID) -> Callable[[int, int], Awaitable[None]]:
        async def beat(done: int, total: int) -> None:
            async with self._database.connection() as connection:
                if not await store.beat(connection, finding.id, claim, done, total):
                    raise Lost

        return beat


def datasets_of(finding: Finding) -> list[DatasetId]:
    return [one for one in (finding.dataset_id, finding.against_id) if one is not None]


def pairs_of(scope: Scope, told: list[tuple[UUID, UUID]]) -> Any:
    """Pairs that were told apart, by place: int64 (M, 2), the smaller first."""
    if not told:
        return np.zeros((0, 2), np.int64)
    one, other = (places_among(scope.ids, packed([pair[side] for pair in told])) for side in (0, 1))
    pairs = np.sort(np.column_stack([one, other]), axis=1)
    return pairs[pairs[:, 0] >= 0]


def state_of(scope: Scope, own: Mask, compared: bytes, links: list[tuple[UUID, UUID]], *, whole: bool) -> State:
    """What is left of what was found before. whole: all images are of one place, in one order.

    Images that were compared and are as they were come first then, so that new ones come after them.
    """
    kept = np.frombuffer(compared, np.uint8).reshape(-1, 24)
    at = places_among(kept[:, :16], scope.ids)
    prints = np.ascontiguousarray(kept[:, 16:]).view(np.uint64).reshape(len(kept))
    same = (at >= 0) & (prints[at] == scope.prints) if len(kept) else np.zeros(len(scope), bool)
    images, leaders = (packed([link[side] for link in links]) for side in (0, 1))
    members, their = places_among(scope.ids, images), places_among(scope.ids, leaders)
    leader = np.full(len(scope), -1, np.int64)
    leader[members[members >= 0]] = their[members >= 0]
    linked_before = np.zeros(len(scope), bool)
    linked_before[members[members >= 0]] = True
    lost = linked_before & ((leader < 0) | ~same[np.maximum(leader, 0)])
    same &= ~lost
    leader[~same] = -1
    alive = np.zeros(len(links), bool)
    alive[:] = (members >= 0) & (their >= 0)
    alive[alive] = same[members[alive]] & same[their[alive]]
    touched = sorted({link[1] for link, fine in zip(links, alive.tolist(), strict=True) if not fine})
    if whole:
        order = np.concatenate([np.flatnonzero(same), np.flatnonzero(~same)])
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        scope, own, same = scope.take(order), own[order], same[order]
        leader = np.where(leader[order] >= 0, back[np.maximum(leader[order], 0)], -1)
    return State(scope, own, same, leader, touched)


class Work:
    """The comparing itself, in threads, and its progress."""

    def __init__(self, state: State, images: Images, rule: Rule, beat: Callable[[int, int], Awaitable[None]]) -> None:
        self._state, self._images, self._rule, self._beat = state, images, rule, beat
        self._done = 0
        self._total = int((~state.compared & state.own).sum())
        self._stopped = False

    async def done(self) -> list[dict[str, Any]]:
        """Rows of the groups that are new or other than before."""
        task = asyncio.create_task(asyncio.to_thread(self._find))
        try:
            while not (await asyncio.wait([task], timeout=BEAT_S))[0]:
                await self._beat(self._done, self._total)
            return await task
        finally:
            self._stopped = True  # a thread cannot be cancelled: it sees this
            await asyncio.wait([task])

    def _told(self, done: int) -> None:
        if self._stopped:
            raise Lost
        self._done = done

    def _find(self) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(available_cores()) as helpers:
            leader = self._leaders(helpers)
        return self._groups(leader)

    def _leaders(self, helpers: Executor) -> Rows:
        """Of each image its leader; -1: it has none."""
        state, leader = self._state, self._state.leader.copy()
        places = np.arange(len(leader))
        inside = bool(state.own.all())
        fresh = np.flatnonzero(~state.compared & state.own)
        known = places[~state.own] if not inside else places[state.compared & ((leader < 0) | (leader == places))]
        first = self._first_of_same_bytes()
        copies = fresh[first[fresh] != fresh]
        rest = fresh[first[fresh] == fresh]
        links = linked(self._images, self._rule, rest, known, may_lead=inside, helpers=helpers, told=self._told)
        leader[links.members] = links.leaders
        if not inside:
            new = np.flatnonzero(~state.compared & ~state.own)
            before = np.flatnonzero(state.compared & state.own & (leader < 0))
            links = linked(self._images, self._rule, before, new, may_lead=False, helpers=helpers, told=self._told)
            leader[links.members] = links.leaders
        may_lead = np.ones(len(leader), bool) if inside else ~state.own
        own_first = np.where(may_lead[first[copies]], first[copies], -1)
        leader[copies] = np.where(leader[first[copies]] >= 0, leader[first[copies]], own_first)
        return leader

    def _first_of_same_bytes(self) -> Rows:
        """For each image the first one with the same bytes: itself, for imported vectors and what was told apart."""
        scope = self._state.scope
        _, first, again = np.unique(scope.sha256, return_index=True, return_inverse=True)
        places = np.arange(len(scope))
        found = np.where(scope.has_bytes, first[again], places)
        told = np.unique(self._images.told_apart)
        found[told] = told
        return np.asarray(found, np.int64)

    def _groups(self, leader: Rows) -> list[dict[str, Any]]:
        """Rows of groups with a member that was not in them before, or that lost one."""
        state = self._state
        places = np.arange(len(leader))
        gone = places_among(state.scope.ids, packed(state.gone))
        touched = np.unique(
            np.concatenate(
                [leader[~state.compared & (leader >= 0)], leader[(leader >= 0) & (leader != state.leader)], gone]
            )
        )
        touched = touched[touched >= 0]
        members = np.flatnonzero((leader >= 0) & (leader != places) & np.isin(leader, touched))
        order = members[np.argsort(leader[members], kind="stable")]
        heads, starts = np.unique(leader[order], return_index=True)
        worth = Worth(state.scope.kept, state.scope.pixels, state.scope.sharpness, state.scope.created)
        rows = LinkRows(state.scope)
        for head, group in zip(heads.tolist(), np.split(order, starts)[1:], strict=True):
            if self._stopped:
                raise Lost
            self._add_group(rows, worth, head, group)
        return rows.parts()

    def _add_group(self, rows: LinkRows, worth: Worth, head: int, group: Rows) -> None:
        if self._state.own[head]:
            best = representative(self._images, self._rule, worth, head, group)
            others = np.append(group, head)
            others = others[others != best]
            why = reason(worth, best, others)
        else:
            best, others, why = head, group, "in the other place"
        measured = self._images.measured(np.full(len(others), best), others)
        same = (self._state.scope.sha256[others] == self._state.scope.sha256[best]) & self._state.scope.has_bytes[
            others
        ]
        rows.add(FoundGroup(head, best, why, others, same, measured))


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """A group as it is written."""

    leader: int
    representative: int
    reason: str
    """Why that one."""
    others: Rows
    same_bytes: Mask
    """Whose bytes are the representative's."""
    measured: Measured
    """Of the others with the representative."""


class LinkRows:
    """Rows of groups, gathered into what the database takes at once."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._parts: list[dict[str, Any]] = []

    def add(self, group: FoundGroup) -> None:
        """A group more."""
        if not self._parts or len(self._parts[-1]["images"]) >= WRITTEN_AT_ONCE:
            self._parts.append({name: [] for name in LINK_COLUMNS})
        part, measured, rest = self._parts[-1], group.measured, len(group.others)
        part["images"] += ids_of(self._scope.ids[np.append(group.representative, group.others)])
        part["leaders"] += ids_of(self._scope.ids[[group.leader]]) * (rest + 1)
        part["representatives"] += [True, *[False] * rest]
        part["reasons"] += [group.reason, *[None] * rest]
        part["same_bytes"] += [False, *group.same_bytes.tolist()]
        part["bits"] += [None, *(None if bits >= UNKNOWN_BITS else bits for bits in measured.bits.tolist())]
        part["mirrored"] += [False, *measured.mirrored.tolist()]
        part["cosines"] += [None, *(None if math.isnan(cosine) else cosine for cosine in measured.cosines.tolist())]

    def parts(self) -> list[dict[str, Any]]:
        """Values of `store.ADD_LINKS`."""
        return self._parts
