"""Builds the index and keeps it near the present: one process for each data folder, in rounds.

A round reads which images changed since the last one, writes them into a new segment, makes tombstones of what older
segments have of them, and publishes the new set by replacing one small file. Why no image is lost, and how the index is
found to belong to another database: docs/decisions/0010-index.md.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import faiss
import numpy as np
import numpy.typing as npt

from pictograph.db.blocking import BlockingConnection, BlockingDatabase
from pictograph.errors import PictographError
from pictograph.search.memory import rows
from pictograph.search.memory.arrays import COARSE_BYTES, FINE_BYTES, Bytes, FloatArray, Mask
from pictograph.search.memory.index import WORTH_IT_FROM
from pictograph.search.memory.manifest import (
    FILE,
    Manifest,
    SegmentEntry,
    SpaceEntry,
    dead_file,
    quantiser_file,
    read_dead,
    segment_folder,
    write_dead,
)
from pictograph.search.memory.merging import Piece, groups_to_merge, merged
from pictograph.search.memory.opening import load
from pictograph.search.memory.quantiser import Quantiser
from pictograph.search.memory.segment import Block, Segment, Vectors
from pictograph.search.memory.segment_files import (
    ABOUT,
    Doubtful,
    SegmentWriter,
    files_of,
    flush,
    open_segment,
    recoded,
)
from pictograph.types import SpaceId

logger = logging.getLogger(__name__)

SEGMENT_ROWS: Final = 131_072
"""Writing one takes about 0.3 GB of memory; a million images are eight of them."""
BLOCK_ROWS: Final = 4096
"""Images that are read together: 40 MB while their vectors are made into codes."""
CODE_BYTES: Final = COARSE_BYTES + FINE_BYTES + 16
"""Of an image and a space, what a search of everything reads."""
DEFAULT_BYTES: Final = 1 << 32
MOST_DEAD: Final = 0.2
"""A segment with more tombstones is written again."""
DELETED_S: Final = 300.0
"""So long after an image was deleted for good, what a segment has of it goes."""
LEAST_CENTRED: Final = 1000
OUTGROWN: Final = 4
"""A quantiser is made again once there are this many times the vectors it was made for."""
TIDY_S: Final = 60.0
UNGUARDED: Final = "A trigger that notes changed images is missing or off: searches go on in the table"


@dataclass
class Held:
    """A segment that is part of the index."""

    name: str
    segment: Segment
    dead: Mask
    dead_name: str | None
    """The file that has the tombstones; None if it has yet to be written, or there are none."""
    deleted_at: float | None

    @property
    def alive(self) -> int:
        """Rows that are no tombstones."""
        return len(self.dead) - int(np.count_nonzero(self.dead))

    @property
    def entry(self) -> SegmentEntry:
        """As the manifest has it."""
        return SegmentEntry(self.name, self.dead_name, self.deleted_at)


@dataclass
class Fitted:
    """A space's quantiser, and its file."""

    quantiser: Quantiser
    entry: SpaceEntry


@dataclass
class State:
    """The index as the builder has it."""

    follower: UUID
    token: UUID
    era: str
    watermark: int
    read_before: int
    """The watermark of the set published before: readers may have it still."""
    spaces: dict[SpaceId, Fitted] = field(default_factory=dict)
    segments: list[Held] = field(default_factory=list)

    @property
    def quantisers(self) -> dict[SpaceId, Quantiser]:
        """By space."""
        return {space: fitted.quantiser for space, fitted in self.spaces.items()}

    def vectors(self, space: SpaceId) -> int:
        """Images with a vector in the space."""
        return sum(
            int(np.count_nonzero(held.segment.vectors[space].has & ~held.dead))
            for held in self.segments
            if space in held.segment.vectors
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """What the builder is at."""

    done: int = 0
    total: int = 0
    """Images to be read before the index is complete; 0 when nothing is to be done."""
    problem: str | None = None
    """Why there is no index, or one without vectors."""


class Builder:
    """Keeps the index of one data folder. One process at a time: see `builder_process`.

    most_bytes: what the codes may take; beyond it the index has no vectors, and says so. worth_it_from: images from
    which there is an index. told: is told of the progress.
    """

    def __init__(
        self,
        conninfo: str,
        folder: Path,
        *,
        most_bytes: int = DEFAULT_BYTES,
        worth_it_from: int = WORTH_IT_FROM,
        segment_rows: int = SEGMENT_ROWS,
        told: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        faiss.omp_set_num_threads(1)  # its threads wait for each other on busy cores, many times as long as one works
        self._database = BlockingDatabase(conninfo)
        self._folder = folder
        self._most_bytes = most_bytes
        self._worth_it_from = worth_it_from
        self._segment_rows = segment_rows
        self._told = told
        self._state: State | None = None
        self._unverified: list[str] = []
        self._is_read = False
        self._known_at = time.monotonic()
        self._counted_at = -TIDY_S
        self._too_large: str | None = None

    def close(self) -> None:
        """Ends the connection."""
        self._database.close()

    def step(self) -> bool:
        """One round. Whether there is more to do at once.

        Raises PictographError while the database is away, OSError if files cannot be written; the next round goes on.
        """
        try:
            return self._step()
        except Doubtful as error:
            logger.warning("The index is discarded and will be built again: %s", error)
            self._discard()
            return True
        except Exception:
            self._remove_strays()  # of a disk that is full, what was just written is the last thing to keep
            raise

    def _step(self) -> bool:
        if not self._is_read:
            self._read()
        state = self._state
        raise_if(state is not None and not (self._folder / FILE).exists(), "somebody deleted its manifest")
        with self._database.connection() as connection:
            at = rows.look(connection, state.watermark if state else 0, state.follower if state else None)
            if not at.is_guarded:
                raise_if(state is not None, UNGUARDED)
                return self._rest(UNGUARDED)
            if state is None:
                if not rows.has_images(connection, self._worth_it_from):
                    return self._rest()
            else:
                self._prove(connection, state, at)
                self._stay_known(connection, state)
        spaces = self._affordable(at.spaces)
        if state is None or at.changed or set(spaces) != set(state.spaces):
            return self._catch_up(state, spaces) > BLOCK_ROWS
        return self._maintain(state)

    def _rest(self, problem: str | None = None) -> bool:
        self._told(Progress(problem=problem or self._too_large))
        return False

    # What is there at the start.

    def _read(self) -> None:
        """Opens what an earlier process left. Raises Doubtful."""
        self._is_read = True
        manifest = Manifest.read(self._folder)
        if manifest is None:
            self._remove_strays()
            return
        spaces = {
            space: Fitted(load(quantiser_file(self._folder, entry.quantiser)), entry)
            for space, entry in manifest.spaces.items()
        }
        state = State(manifest.follower, manifest.token, manifest.era, manifest.watermark, manifest.watermark, spaces)
        for entry in manifest.segments:
            segment = open_segment(segment_folder(self._folder, entry.name), list(spaces))
            dead = read_dead(dead_file(self._folder, entry.dead) if entry.dead else None, len(segment))
            state.segments.append(Held(entry.name, segment, dead, entry.dead, entry.deleted_at))
        self._unverified = [entry.name for entry in manifest.segments]
        self._state = state

    def _prove(self, connection: BlockingConnection, state: State, at: rows.Look) -> None:
        """That the index was made from this database, and that this has lost nothing since. Raises Doubtful."""
        raise_if(at.pruned > state.watermark, "changes were taken out of the log that it has not read")
        raise_if(state.watermark > at.ahead, "it is ahead of the database")
        raise_if(state.token not in (at.token, at.token_before), "it belongs to another database, or to its future")
        raise_if(rows.tables_of(state.era) != at.tables, "tables were replaced, or their triggers changed")
        if state.era != at.era:
            state.era = at.era
            self._publish(connection, state)

    def _discard(self) -> None:
        """Throws the index away; readers see that there is none."""
        (self._folder / FILE).unlink(missing_ok=True)
        state, self._state, self._unverified = self._state, None, []
        self._remove_strays()
        if state is not None:
            with self._database.transaction() as connection:
                rows.unfollow(connection, state.follower)

    # Catching up.

    def _affordable(self, spaces: Sequence[SpaceId]) -> list[SpaceId]:
        """The spaces whose vectors the index has; none if their codes would take too much."""
        now, state = time.monotonic(), self._state
        if now - self._counted_at < TIDY_S:
            return [] if self._too_large else list(spaces)
        self._counted_at = now
        with self._database.connection() as connection:
            count = sum(
                state.vectors(space) if state and space in state.spaces else rows.count_vectors(connection, space)
                for space in spaces
            )
        too_large = (
            f"{count:,} vectors need {count * CODE_BYTES:,} bytes for their codes, and index_bytes allows "
            f"{self._most_bytes:,}: likeness is searched in the table"
        )
        if count * CODE_BYTES <= self._most_bytes:
            self._too_large = None
            return list(spaces)
        if not self._too_large:
            logger.warning("The index goes without vectors: %s", too_large)
        self._too_large = too_large
        return []

    def _catch_up(self, state: State | None, spaces: Sequence[SpaceId]) -> int:
        """Brings the index to the present, and publishes it. How many images had changed."""
        is_first = state is None
        state = state or self._follow()
        try:
            return self._read_and_publish(state, spaces, is_first=is_first)
        except BaseException:
            if is_first:
                with suppress(PictographError), self._database.connection() as connection:
                    rows.unfollow(connection, state.follower)
            raise

    def _follow(self) -> State:
        """An index without anything. From now on the log keeps what the first snapshot will not see."""
        with self._database.connection() as connection:
            at = rows.look(connection)
            state = State(uuid4(), uuid4(), at.era, at.watermark, at.watermark)
            rows.follow(connection, state.follower, state.watermark, state.token, None)
        return state

    def _read_and_publish(self, state: State, spaces: Sequence[SpaceId], *, is_first: bool) -> int:
        with self._database.snapshot(*rows.TABLES) as connection:
            at = rows.look(connection)
            if is_first:
                state.era = at.era
                changed = ordered = rows.all_images(connection)
                vector_changed = np.ones(len(changed), bool)
            else:
                raise_if(state.era != at.era, "tables were replaced")
                new = [space for space in spaces if space not in state.spaces]
                changed, vector_changed = rows.changes(connection, state.watermark, at.watermark, new)
                ordered = rows.in_order(connection, changed)
            after = self._with_spaces(connection, state, spaces)
            after.watermark = at.watermark
            reading = Reading(connection, state, after, ids_where(changed, ~vector_changed))
            made = self._written(reading, ordered)
        bury(after.segments, changed, ordered)
        after.segments += made.segments
        self._merge(after, made.piece)
        with self._database.connection() as connection:
            self._publish(connection, after)
        return len(changed)

    def _with_spaces(self, connection: BlockingConnection, state: State, spaces: Sequence[SpaceId]) -> State:
        """A copy that has these spaces, with a quantiser for each new one."""
        fitted = {space: one for space, one in state.spaces.items() if space in spaces}
        for space in spaces:
            if space not in fitted:
                count = rows.count_vectors(connection, space)
                fitted[space] = self._fit(space, rows.sample_of(connection, space, count), count)
        held = [replace(one, dead=one.dead.copy()) for one in state.segments]
        if set(fitted) != set(state.spaces):
            for one in held:
                one.segment = open_segment(one.segment.folder, list(fitted))
        return replace(state, spaces=fitted, segments=held)

    def _fit(self, space: SpaceId, sample: FloatArray, count: int) -> Fitted:
        quantiser = Quantiser.fitted(sample)
        name = f"{space}-{uuid4().hex}"
        path = quantiser_file(self._folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        quantiser.save(path)
        flush(path)
        return Fitted(quantiser, SpaceEntry(name, count))

    def _written(self, reading: Reading, ordered: Bytes) -> Made:
        """New segments of these images; or, of a few, a piece that is to be merged with other small ones."""
        if len(ordered) <= BLOCK_ROWS:
            return Made([], reading.block(ordered) if len(ordered) else None)
        segments: list[Held] = []
        parts = -(-len(ordered) // self._segment_rows)
        done = 0
        for part in np.array_split(ordered, parts):
            name = uuid4().hex
            writer = SegmentWriter(segment_folder(self._folder, name), reading.after.quantisers)
            try:
                for start in range(0, len(part), BLOCK_ROWS):
                    writer.add(reading.block(part[start : start + BLOCK_ROWS]))
                    done += min(BLOCK_ROWS, len(part) - start)
                    self._told(Progress(done, len(ordered), self._too_large))
                writer.finish()
            finally:
                writer.close()
            segments.append(self._held(name, reading.after))
        return Made(segments, None)

    def _held(self, name: str, state: State) -> Held:
        segment = open_segment(segment_folder(self._folder, name), list(state.spaces))
        return Held(name, segment, np.zeros(len(segment), bool), None, None)

    # Keeping few segments, with few tombstones, coded for what there is.

    def _merge(self, state: State, new: Block | None) -> None:
        """Writes small segments as one, together with the new images, and those again that have too many tombstones."""
        now = time.time()
        pieces = [Piece(held.segment, np.flatnonzero(~held.dead)) for held in state.segments]
        worn = [is_worn(held, now) for held in state.segments]
        if new is not None:
            pieces.append(Piece(new, np.arange(len(new))))
            worn.append(True)
        groups = groups_to_merge([len(piece.rows) for piece in pieces], worn, self._segment_rows)
        gone = {number for group in groups for number in group}
        kept = [held for number, held in enumerate(state.segments) if number not in gone]
        for group in groups:
            chosen = [pieces[number] for number in group if len(pieces[number].rows)]
            if not chosen:
                continue
            name = uuid4().hex
            writer = SegmentWriter(segment_folder(self._folder, name), state.quantisers)
            try:
                for block in merged(chosen, BLOCK_ROWS):
                    writer.add(block)
                writer.finish()
            finally:
                writer.close()
            kept.append(self._held(name, state))
        state.segments = kept

    def _maintain(self, state: State) -> bool:
        """One piece of work that nobody waits for. Whether there may be more."""
        if self._unverified:
            name = self._unverified.pop()
            if any(held.name == name for held in state.segments):
                open_segment(segment_folder(self._folder, name), list(state.spaces), verify=True)
            return True
        for space, fitted in state.spaces.items():
            count = state.vectors(space)
            if count > OUTGROWN * max(fitted.entry.centred_on, LEAST_CENTRED):
                self._code_again(state, space, count)
                return True
        if any(is_worn(held, time.time()) for held in state.segments):
            after = replace(state, segments=[replace(held) for held in state.segments])
            self._merge(after, None)
            with self._database.connection() as connection:
                self._publish(connection, after)
            return True
        return self._rest()

    def _code_again(self, state: State, space: SpaceId, count: int) -> None:
        """Makes a quantiser for the vectors that there are now, and codes by it."""
        fitted = self._fit(space, sample_of(state, space, count), count)
        after = replace(state, spaces=state.spaces | {space: fitted}, segments=[])
        for held in state.segments:
            if held.segment.vectors[space].coarse is None:
                after.segments.append(held)
                continue
            name = uuid4().hex
            recoded(held.segment, segment_folder(self._folder, name), space, fitted.quantiser)
            segment = open_segment(segment_folder(self._folder, name), list(state.spaces))
            after.segments.append(replace(held, name=name, segment=segment, dead_name=None))
        with self._database.connection() as connection:
            self._publish(connection, after)

    # What others see.

    def _publish(self, connection: BlockingConnection, state: State) -> None:
        """Makes this set the index; it becomes the state. A crash in between leaves the one before."""
        for held in state.segments:
            raise_if(not (held.segment.folder / ABOUT).exists(), "somebody deleted some of its files")
            if held.dead_name is None and held.dead.any():
                held.dead_name = f"{held.name}-{uuid4().hex[:8]}"
                write_dead(dead_file(self._folder, held.dead_name), held.dead)
        before, token = state.token, uuid4()
        with connection.transaction():
            rows.follow(connection, state.follower, state.read_before, token, before)
        state.token = token
        self._folder.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(
            state.follower,
            token,
            state.era,
            state.watermark,
            {space: fitted.entry for space, fitted in state.spaces.items()},
            [held.entry for held in state.segments],
        )
        manifest.write(self._folder)
        state.read_before = state.watermark
        self._state = state
        self._remove_strays()

    def _remove_strays(self) -> None:
        """Files that are no part of the index. Who has them mapped goes on reading them."""
        spaces = self._state.spaces if self._state is not None else {}
        segments = self._state.segments if self._state is not None else []
        names = {held.name for held in segments}
        dead = {f"{held.dead_name}.bin" for held in segments}
        quantisers = {f"{fitted.entry.quantiser}.npz" for fitted in spaces.values()}
        for path in entries(self._folder / "segments"):
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)
        for path in entries(self._folder / "dead"):
            if path.name not in dead:
                path.unlink(missing_ok=True)
        for path in entries(self._folder / "quantisers"):
            if path.name not in quantisers:
                path.unlink(missing_ok=True)
        for held in segments:
            remove_retired(held.segment.folder, spaces)

    def _stay_known(self, connection: BlockingConnection, state: State) -> None:
        """Says once a minute that this index is alive. What it has read may leave the log then (store/changes.py)."""
        if time.monotonic() - self._known_at >= TIDY_S:
            self._known_at = time.monotonic()
            rows.still_follow(connection, state.follower, state.watermark)


@dataclass(frozen=True, slots=True)
class Made:
    """What a round has read: segments of many images, or a block of a few."""

    segments: list[Held]
    piece: Block | None


@dataclass
class Reading:
    """Makes blocks of images, in one snapshot. What did not change of them is taken from older segments."""

    connection: BlockingConnection
    before: State
    after: State
    same_vectors: frozenset[bytes]
    """Ids of images whose vectors the older segments have."""

    def block(self, ids: Bytes) -> Block:
        """Everything of these images, which are all there, in this order."""
        named = rows.facts_of(self.connection, ids)
        vectors = {space: self._vectors(space, fitted.quantiser, ids) for space, fitted in self.after.spaces.items()}
        return Block(named.facts, named.formats, named.cameras, named.filenames, named.labels, named.tags, vectors)

    def _vectors(self, space: SpaceId, quantiser: Quantiser, ids: Bytes) -> Vectors:
        made = Vectors.none(len(ids))
        missing = self._copy(space, ids, made)
        if len(missing):
            places, found = rows.vectors_of(self.connection, space, ids[missing])
            if len(places):
                at = missing[places]
                made.has[at] = True
                made.float16[at] = found
                made.coarse[at], made.fine[at] = quantiser.codes(found.astype(np.float32))
        return made

    def _copy(self, space: SpaceId, ids: Bytes, made: Vectors) -> npt.NDArray[np.int64]:
        """Fills in what older segments have; returns the places of the others."""
        missing = np.ones(len(ids), bool)
        if self.same_vectors and space in self.before.spaces:
            same = np.flatnonzero([one.tobytes() in self.same_vectors for one in ids])
            for held in self.before.segments:
                ours, at = held.segment.places_of(ids[same])
                alive = ~held.dead[ours]
                ours, at = ours[alive], same[at[alive]]
                vectors = held.segment.vectors[space]
                made.has[at], made.coarse[at] = vectors.has[ours], vectors.coarse_codes[ours]
                made.fine[at], made.float16[at] = vectors.fine[ours], vectors.float16[ours]
                missing[at] = False
        return np.flatnonzero(missing)


def bury(segments: Sequence[Held], changed: Bytes, there: Bytes) -> None:
    """Makes tombstones of what segments have of changed images. there: those that still exist."""
    gone = set(map(bytes, changed)) - set(map(bytes, there)) if len(there) < len(changed) else set()
    for held in segments:
        dead, places = held.segment.places_of(changed)
        if not len(dead):
            continue
        held.dead[dead] = True
        held.dead_name = None
        if held.deleted_at is None and any(changed[place].tobytes() in gone for place in places):
            held.deleted_at = time.time()


def is_worn(held: Held, now: float) -> bool:
    """Whether a segment is to be written again for its tombstones."""
    if held.deleted_at is not None and now - held.deleted_at > DELETED_S:
        return True
    return bool(np.count_nonzero(held.dead) > MOST_DEAD * len(held.dead))


def sample_of(state: State, space: SpaceId, count: int) -> FloatArray:
    """Some of the space's vectors, float32 (N, 1152), from the segments."""
    chance = np.random.default_rng(count)
    parts = []
    for held in state.segments:
        vectors = held.segment.vectors[space]
        ours = np.flatnonzero(vectors.has & ~held.dead)
        wanted = min(len(ours), -(-rows.SAMPLE * len(ours) // max(count, 1)))
        chosen = np.sort(chance.choice(ours, wanted, replace=False)) if wanted else ours[:0]
        parts.append(vectors.float16[chosen].astype(np.float32))
    return np.concatenate(parts)


def ids_where(ids: Bytes, chosen: npt.NDArray[np.bool_]) -> frozenset[bytes]:
    return frozenset(one.tobytes() for one in ids[chosen])


def raise_if(doubtful: bool, why: str) -> None:
    """Raises Doubtful."""
    if doubtful:
        raise Doubtful(why)


def entries(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from list(folder.iterdir())


def remove_retired(folder: Path, spaces: Mapping[SpaceId, object]) -> None:
    """Files of spaces that are no longer in the index."""
    kept = {name for space in spaces for name in files_of(space)}
    for path in entries(folder):
        if path.name.startswith(("space-", "coarse-", "float16-")) and path.name not in kept:
            path.unlink(missing_ok=True)
