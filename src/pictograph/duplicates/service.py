"""What people ask of near-duplicates: groups, page by page, made at once or in the background; and their decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, TypeAlias
from uuid import UUID, uuid4

from pictograph.db.pool import Connection, Database
from pictograph.duplicates.rule import DEFAULT_BITS, DEFAULT_THRESHOLD, MOST_BITS
from pictograph.errors import ConflictError, wrong_value
from pictograph.spaces.registry import Space, Spaces
from pictograph.store import duplicates as store
from pictograph.store.datasets import resolve_dataset
from pictograph.store.duplicates import Finding, Member, Question
from pictograph.store.folders import require_folder
from pictograph.store.names import canonical_folder
from pictograph.store.pages import question_key, sealed, unsealed
from pictograph.types import ImageId, OrganizationId

SMALL: Final = 3000
"""Images whose groups are made while the question waits: a second at most."""
LEAST_AGE: Final = timedelta(seconds=60)
"""Groups of larger places are not made again sooner than this, nor than ten times what making them took."""
CALIBRATED: Final = "offline"
"""The encoder with which the default threshold was measured."""
Decision: TypeAlias = Literal["not_duplicates", "keep"]
State: TypeAlias = Literal["complete", "refreshing", "running"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks."""

    dataset: str
    folder_path: str | None = None
    against: str | None = None
    against_path: str | None = None
    threshold: float | None = None
    """Least similarity of vectors that suffices alone; None: 0.96."""
    hash_distance: int = DEFAULT_BITS
    limit: int = 50
    cursor: str | None = None
    members: int = 100
    """Most images of a group that are listed."""


@dataclass(frozen=True, slots=True)
class Group:
    """Images, each a near-duplicate of the representative, which comes first."""

    id: UUID
    size: int
    members: list[Member]


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of groups, and what they are worth."""

    groups: list[Group]
    next_cursor: str | None
    finding: Finding
    state: State
    total: int
    """Groups on all pages."""
    duplicates: int
    """Images beside the representatives, in all groups."""
    threshold: float
    stretch: float
    is_calibrated: bool
    """Whether the threshold is one that was measured with the running encoder."""


class NearDuplicates:
    """Answers questions about near-duplicates. An organization sees only its own."""

    def __init__(self, database: Database, spaces: Spaces, folder: Path | None = None) -> None:
        """folder: as for `DuplicateFinder`."""
        self._database = database
        self._spaces = spaces
        self._folder = folder

    async def find(self, organization: OrganizationId, asked: Asked) -> Answer:
        """One page of groups. Those of a small place are made first, if anything changed; else in the background.

        Raises NotFoundError for datasets and folders that are not there, ValidationError for a wrong cursor.
        """
        space = await self._active()
        async with self._database.connection() as connection:
            question = await self._question(connection, organization, asked, space)
        key = question_key("duplicates", *(getattr(question, name) for name in question.__slots__))
        after = read_place(asked.cursor, key)
        async with self._database.writing() as connection:
            finding = await store.ask(connection, question)
        if after is None:
            await self._refresh(finding)
        async with self._database.snapshot() as connection:
            finding = await store.get(connection, finding.id)
            sizes = await store.read_page(connection, finding.id, after, asked.limit + 1)
            page, last = sizes[: asked.limit], sizes[asked.limit - 1] if len(sizes) > asked.limit else None
            leaders = [one.leader_id for one in page]
            members = await store.read_members(connection, finding.id, leaders, asked.members)
            totals = await store.read_totals(connection, finding.id)
        by_leader: dict[UUID, list[Member]] = {leader: [] for leader in leaders}
        for member in members:
            by_leader[member.leader_id].append(member)
        return Answer(
            groups=[Group(one.leader_id, one.size, by_leader[one.leader_id]) for one in page],
            next_cursor=sealed([str(last.leader_id)], key) if last else None,
            finding=finding,
            state=state_of(finding),
            total=totals.groups,
            duplicates=totals.duplicates,
            threshold=question.threshold,
            stretch=space.stretch,
            is_calibrated=asked.threshold is not None or space.encoder.startswith(CALIBRATED),
        )

    async def decide(
        self, organization: OrganizationId, images: Sequence[ImageId], decision: Decision, *, take_back: bool = False
    ) -> None:
        """Remembers that no two of the images are near-duplicates, or that each is to be kept; or takes that back.

        Raises NotFoundError for images that are not there, ValidationError if there are too few.
        """
        if decision == "not_duplicates" and len(set(images)) < 2:
            raise wrong_value("image_ids", "Name at least two images that are no near-duplicates of each other.")

        async def step(connection: Connection) -> None:
            await store.require_own(connection, organization, images)
            await store.decide(connection, organization, images, decision, take_back=take_back)

        await self._database.write(step)

    async def forget_old(self) -> None:
        """Findings that nobody has asked for in a month go."""
        await self._database.write(store.forget_old)

    async def is_wanted(self) -> bool:
        """Whether a finding waits that nobody is at."""
        async with self._database.connection() as connection:
            return await store.is_wanted(connection)

    async def _active(self) -> Space:
        space = await self._spaces.active()
        if space is None:
            raise ConflictError("There is no library here yet.")
        return space

    async def _question(
        self, connection: Connection, organization: OrganizationId, asked: Asked, space: Space
    ) -> Question:
        if not 0 <= asked.hash_distance <= MOST_BITS:
            raise wrong_value("hash_distance", f"hash_distance must be between 0 and {MOST_BITS}.")
        dataset = await resolve_dataset(connection, organization, asked.dataset)
        folder = canonical_folder(asked.folder_path or "/")
        await require_folder(connection, [dataset], folder)
        against, against_path = None, "/"
        if asked.against_path is not None and asked.against is None:
            raise wrong_value("against_folder", "against_folder needs against: the dataset that has the folder.")
        if asked.against is not None:
            against = await resolve_dataset(connection, organization, asked.against)
            against_path = canonical_folder(asked.against_path or "/")
            await require_folder(connection, [against], against_path)
            if (against, against_path) == (dataset, folder):
                raise wrong_value("against", "A place is compared with itself if against is left out.")
        threshold = DEFAULT_THRESHOLD if asked.threshold is None else asked.threshold
        return Question(organization, dataset, folder, against, against_path, threshold, asked.hash_distance, space.id)

    async def _refresh(self, finding: Finding) -> None:
        """Made at once if it is small, else wanted of whoever works in the background, if it is old."""
        async with self._database.connection() as connection:
            count = await store.count_scope(connection, finding.dataset_id, finding.folder_path, SMALL + 1)
            if finding.against_id is not None:
                count += await store.count_scope(connection, finding.against_id, finding.against_path, SMALL + 1)
            claim, taken = uuid4(), None
            if count <= SMALL:
                taken = await store.take(connection, claim, finding.id)
            elif is_old(finding):
                await store.want(connection, finding.id)
        if taken is not None:
            finding_module = import_module("pictograph.duplicates.finding")  # faiss: only where it is needed
            await finding_module.DuplicateFinder(self._database, self._folder).carry_out(taken, claim)


def is_old(finding: Finding) -> bool:
    """Whether it is time to make it again."""
    if finding.found_at is None:
        return True
    age = datetime.now(UTC) - finding.found_at
    return age > max(LEAST_AGE, timedelta(seconds=10 * finding.took_s))


def state_of(finding: Finding) -> State:
    """How far the answer is."""
    if finding.wanted_at is None and not finding.is_running:
        return "complete" if finding.found_at is not None else "running"
    return "running" if finding.found_at is None else "refreshing"


def read_place(cursor: str | None, key: str) -> UUID | None:
    """The leader behind which the page begins. Raises ValidationError."""
    if cursor is None:
        return None
    values = unsealed(cursor, key)
    try:
        (leader,) = values
        return UUID(leader)
    except (ValueError, TypeError, AttributeError) as error:
        raise wrong_value(
            "cursor", "This cursor is not valid. Pass the `next_cursor` of the page before, unchanged."
        ) from error
